"""Reads JUnit XML as pytest, Maven, Gradle, jest, go-junit-report, ctest and their like write it.

Theory: there is no one schema, only habits. Cases are counted, declared counts are not
believed, except against the tests: a suite that declares more failures than its cases show has
lost some, and the whole report is refused. A test that failed and later passed under the same
name stays a failure, marked as flaky, since nothing tells which of the two is the truth.
"""

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from libs.contracts.evidence import TestCase, TestOutcome
from libs.workshop.evidence.reading import Unreadable, in_checkout, local_name, plain, xml_root

ROOTS = frozenset({"testsuites", "testsuite"})
NESTING_MAX = 30
NAME_LENGTH_MAX = 1000
MESSAGE_LENGTH_MAX = 1500
DURATION_S_MAX = 1e9
FLAKY = "passed when run again: "

_STATUS = {
    "fail": TestOutcome.FAILED,
    "failed": TestOutcome.FAILED,
    "failure": TestOutcome.FAILED,
    "error": TestOutcome.ERROR,
    "broken": TestOutcome.ERROR,
    "skip": TestOutcome.SKIPPED,
    "skipped": TestOutcome.SKIPPED,
    "disabled": TestOutcome.SKIPPED,
    "notrun": TestOutcome.SKIPPED,
    "ignored": TestOutcome.SKIPPED,
    "pending": TestOutcome.SKIPPED,
    "suppressed": TestOutcome.SKIPPED,
}
"""Words of ctest, googletest and others in the attributes `status` and `result`; anything else says nothing."""

_TROUBLE = {"error": TestOutcome.ERROR, "failure": TestOutcome.FAILED, "skipped": TestOutcome.SKIPPED}
"""Child elements, worst first."""


def read_junit(data: bytes) -> tuple[TestCase, ...]:
    """All test cases of a report, in its order; none is a valid report of nothing.

    Raises: Unreadable for anything broken, of another kind, or that contradicts itself.
    """
    root = xml_root(data, "junit")
    if local_name(root) not in ROOTS:
        raise Unreadable("junit_wrong_root", f"The junit report starts with <{plain(local_name(root), 60)}>.")
    require_no_contradiction(root)
    return _mark_flaky(tuple(_cases(root)))


def require_no_contradiction(root: Element) -> None:
    """Refuse a report whose suites declare failures or tests that no case shows."""
    for suite in _suites(root):
        declared = _count(suite, "failures") + _count(suite, "errors")
        shown = _shown_failures(suite)
        if declared > shown:
            raise Unreadable(
                "junit_contradicts", f"The junit report declares {declared} failed tests and shows {shown} of them."
            )
        if _count(suite, "tests") and not shown and next(_elements(suite, "testcase"), None) is None:
            raise Unreadable(
                "junit_contradicts", f"The junit report declares {_count(suite, 'tests')} tests and shows none of them."
            )


def _shown_failures(suite: Element) -> int:
    by_status = sum(1 for case in _elements(suite, "testcase") if not _children(case) and _by_status(case) in _FAILING)
    return by_status + sum(1 for _ in _elements(suite, "failure", "error"))


_FAILING = (TestOutcome.FAILED, TestOutcome.ERROR)


def _suites(root: Element) -> Iterator[Element]:
    """The root and every suite below it; each is searched whole, so their nesting has to be bounded."""
    level = [root]
    for _ in range(NESTING_MAX):
        yield from level
        level = [child for suite in level for child in suite if local_name(child) in ROOTS]
    if level:
        raise Unreadable("junit_too_deep", f"The junit report nests suites more than {NESTING_MAX} deep.")


def _cases(suite: Element) -> Iterator[TestCase]:
    """Cases, and the errors that a suite holds outside any case."""
    for child in suite:
        tag = local_name(child)
        if tag == "testcase":
            yield _case(child)
        elif tag in ROOTS:
            yield from _cases(child)
        elif tag in ("error", "failure"):
            name = plain(suite.get("name", ""), NAME_LENGTH_MAX) or "(suite)"
            yield TestCase(name=name, outcome=_TROUBLE[tag], message=_message(child))


def _case(element: Element) -> TestCase:
    outcome, trouble = _outcome(element)
    file = element.get("file") or element.get("filepath")
    return TestCase(
        name=_name(element),
        outcome=outcome,
        duration_s=_seconds(element.get("time")),
        file=in_checkout(plain(file, NAME_LENGTH_MAX)) if file else None,
        message=_message(trouble) if trouble is not None else "",
    )


def _name(element: Element) -> str:
    parts = (element.get("classname", ""), element.get("name", ""))
    name = "::".join(part.strip() for part in parts if part.strip())
    return plain(name, NAME_LENGTH_MAX) or "(unnamed)"


def _outcome(element: Element) -> tuple[TestOutcome, Element | None]:
    children = _children(element)
    for tag, outcome in _TROUBLE.items():
        if tag in children:
            return outcome, children[tag]
    return _by_status(element), None


def _by_status(element: Element) -> TestOutcome:
    for attribute in ("result", "status"):
        said = _STATUS.get(element.get(attribute, "").strip().lower())
        if said is not None:
            return said
    return TestOutcome.PASSED


def _children(element: Element) -> dict[str, Element]:
    """The first child of each kind that says how a case ended."""
    found: dict[str, Element] = {}
    for child in element:
        if local_name(child) in _TROUBLE:
            found.setdefault(local_name(child), child)
    return found


def _message(trouble: Element) -> str:
    """The short message, then as much of the end of the long one as there is room for: the cause stands last."""
    short = plain(trouble.get("message", ""), MESSAGE_LENGTH_MAX).strip()
    long = plain("".join(trouble.itertext()).strip()[-4 * MESSAGE_LENGTH_MAX :]).strip()
    if not long or long == short:
        return short
    short = plain(short, MESSAGE_LENGTH_MAX // 3)
    room = MESSAGE_LENGTH_MAX - len(short) - 2
    return f"{short}\n{long if len(long) <= room else '…' + long[-room:]}".strip()


def _mark_flaky(cases: tuple[TestCase, ...]) -> tuple[TestCase, ...]:
    passed_at = {case.name: place for place, case in enumerate(cases) if case.outcome is TestOutcome.PASSED}
    return tuple(
        case.model_copy(update={"message": FLAKY + case.message})
        if case.outcome in _FAILING and passed_at.get(case.name, -1) > place
        else case
        for place, case in enumerate(cases)
    )


def _elements(root: Element, *names: str) -> Iterator[Element]:
    return (element for element in root.iter() if local_name(element) in names)


def _count(element: Element, attribute: str) -> int:
    text = element.get(attribute, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _seconds(text: str | None) -> float:
    try:
        seconds = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and 0 <= seconds <= DURATION_S_MAX else 0.0
