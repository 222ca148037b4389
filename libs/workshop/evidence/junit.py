"""Reads JUnit XML as pytest, Maven, Gradle, jest, go-junit-report, ctest and their like write it.

Theory: there is no one schema, only habits. Cases are counted, declared counts are not
believed, except against the tests: a suite that declares more failures than its cases show has
lost some, and the whole report is refused. Skipped tests that are declared and not shown, as mocha's
reporter does by default, are counted as skipped. A test that failed and later passed, told by Maven's
`flakyFailure` or by the same name twice in one suite, stays a failure, marked as flaky, since
nothing tells which of the two is the truth.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from xml.etree.ElementTree import Element

from libs.contracts.evidence import TestCase, TestOutcome
from libs.workshop.evidence.reading import Unreadable, in_checkout, plain
from libs.workshop.evidence.streams import local_name, without_collection, xml_events

ROOTS = frozenset({"testsuites", "testsuite"})
NESTING_MAX = 30
CASES_MAX = 200_000
NAME_LENGTH_MAX = 1000
MESSAGE_LENGTH_MAX = 1500
DURATION_S_MAX = 1e9
FLAKY = "passed when run again: "
_QUOTED = "it said: "
"""Before a message that begins like the mark of a flaky test without being one."""

_STATUS = {
    "fail": TestOutcome.FAILED,
    "failed": TestOutcome.FAILED,
    "failure": TestOutcome.FAILED,
    "error": TestOutcome.ERROR,
    "errored": TestOutcome.ERROR,
    "broken": TestOutcome.ERROR,
    "aborted": TestOutcome.ERROR,
    "crashed": TestOutcome.ERROR,
    "timeout": TestOutcome.ERROR,
    "timedout": TestOutcome.ERROR,
    "skip": TestOutcome.SKIPPED,
    "skipped": TestOutcome.SKIPPED,
    "disabled": TestOutcome.SKIPPED,
    "notrun": TestOutcome.SKIPPED,
    "ignored": TestOutcome.SKIPPED,
    "inconclusive": TestOutcome.SKIPPED,
    "pending": TestOutcome.SKIPPED,
    "suppressed": TestOutcome.SKIPPED,
}
"""Words of ctest, googletest and others in the attributes `status` and `result`; anything else says nothing."""

_TROUBLE = {
    "error": TestOutcome.ERROR,
    "failure": TestOutcome.FAILED,
    "rerunError": TestOutcome.ERROR,
    "rerunFailure": TestOutcome.FAILED,
    "flakyError": TestOutcome.ERROR,
    "flakyFailure": TestOutcome.FAILED,
    "skipped": TestOutcome.SKIPPED,
}
"""Child elements that say how a case ended, the one that is heard first."""

_FLAKY_TROUBLE = frozenset({"flakyError", "flakyFailure"})
_SHOWN = frozenset({"error", "failure"})
"""What a suite counts as its failures and errors; a test that passed in the end is none to Maven."""
_FAILING = (TestOutcome.FAILED, TestOutcome.ERROR)


@without_collection()
def read_junit(data: bytes) -> tuple[TestCase, ...]:
    """All test cases of a report, in its order; none is a valid report of nothing.

    Raises: Unreadable for anything broken, of another kind, or that contradicts itself.
    """
    told = list(islice(_told(data), CASES_MAX + 1))
    if len(told) > CASES_MAX:
        raise Unreadable("junit_too_big", f"The junit report holds more than {CASES_MAX} tests and is not read.")
    passed_at = {one.identity: place for place, one in enumerate(told) if one.case.outcome is TestOutcome.PASSED}
    return tuple(_marked(one, passed_at.get(one.identity, -1) > place) for place, one in enumerate(told))


def is_flaky(case: TestCase) -> bool:
    """Whether a case of `read_junit` failed and later passed within one report."""
    return case.outcome in _FAILING and case.message.startswith(FLAKY)


def flaky_count(cases: Iterable[TestCase]) -> int:
    """How many tests, by name, failed and later passed.

    Unit:    tests.
    Raises:  nothing.
    Source:  the reports alone; a tool that hides what it repeats is not seen through.
    """
    return len({case.name for case in cases if is_flaky(case)})


@dataclass(frozen=True, slots=True)
class _Told:
    """A case; two of the same identity are the same test, run twice."""

    case: TestCase
    identity: tuple[str, str, str | None]
    passed_again: bool = False


def _marked(told: _Told, passed_later: bool) -> TestCase:  # noqa: FBT001 - private, called once
    case = told.case
    if case.outcome not in _FAILING:
        return case
    if told.passed_again or passed_later:
        return case.model_copy(update={"message": plain(FLAKY + case.message, MESSAGE_LENGTH_MAX)})
    if case.message.startswith(FLAKY):
        return case.model_copy(update={"message": plain(_QUOTED + case.message, MESSAGE_LENGTH_MAX)})
    return case


@dataclass(slots=True)
class _Suite:
    """An open suite: what it declares, and what was shown in it and below it so far."""

    name: str
    declared_tests: int
    declared_failures: int
    declared_skips: int
    cases_count: int = 0
    failures_count: int = 0
    skips_count: int = 0

    def join(self, inner: "_Suite") -> None:
        self.cases_count += inner.cases_count
        self.failures_count += inner.failures_count
        self.skips_count += inner.skips_count

    def require_no_contradiction(self) -> None:
        """Refuse failures or tests that are declared and that no case shows."""
        if self.declared_failures > self.failures_count:
            shown = f"declares {self.declared_failures} failed tests and shows {self.failures_count} of them"
            raise Unreadable("junit_contradicts", f"The junit report {shown}.")
        if self.declared_tests and not self.cases_count and not self.failures_count:
            shown = f"declares {self.declared_tests} tests and shows none of them"
            raise Unreadable("junit_contradicts", f"The junit report {shown}.")


@dataclass(slots=True)
class _Case:
    """An open case: the first trouble of each kind, and how often a failure was told."""

    element: Element
    troubles: dict[str, str] = field(default_factory=dict)
    failures_count: int = 0


def _told(data: bytes) -> Iterator[_Told]:
    """Cases, and the errors that a suite holds outside any case."""
    suites: list[_Suite] = []
    case: _Case | None = None
    stack_trace = ""
    for event, element in xml_events(data, "junit"):
        tag = local_name(element)
        if event == "start":
            if not suites:
                _require_root(tag)
            if tag in ROOTS:
                _open(suites, element)
            elif tag == "testcase" and case is None:
                case = _Case(element)
        elif tag in ROOTS:
            yield from _hidden_skips(suites[-1])
            _close(suites)
        elif tag == "testcase" and case is not None and element is case.element:
            yield _end_of_case(case, suites)
            case = None
        elif tag == "stackTrace":
            stack_trace = (element.text or "")[-4 * MESSAGE_LENGTH_MAX :]
        elif tag in _TROUBLE:
            message = _message(element, stack_trace)
            stack_trace = ""
            if case is not None:
                _note(case, tag, message)
            elif tag in _SHOWN:
                suites[-1].failures_count += 1
                yield _outside_any_case(suites, _TROUBLE[tag], message)


def _require_root(tag: str) -> None:
    if tag not in ROOTS:
        raise Unreadable("junit_wrong_root", f"The junit report starts with <{plain(tag, 60)}>.")


def _open(suites: list[_Suite], element: Element) -> None:
    if len(suites) > NESTING_MAX:
        raise Unreadable("junit_too_deep", f"The junit report nests suites more than {NESTING_MAX} deep.")
    failures = _count(element, "failures") + _count(element, "errors")
    suites.append(_Suite(element.get("name", ""), _count(element, "tests"), failures, _count(element, "skipped")))


def _hidden_skips(suite: _Suite) -> Iterator[_Told]:
    """Skipped tests that a suite declares and does not show; nobody knows their names."""
    name = plain(f"{suite.name}::(skipped, not shown)".removeprefix("::"), NAME_LENGTH_MAX)
    while suite.skips_count < suite.declared_skips:
        suite.skips_count += 1
        yield _Told(TestCase(name=name, outcome=TestOutcome.SKIPPED), (suite.name, name, None))


def _close(suites: list[_Suite]) -> None:
    closed = suites.pop()
    closed.require_no_contradiction()
    if suites:
        suites[-1].join(closed)


def _note(case: _Case, tag: str, message: str) -> None:
    case.troubles.setdefault(tag, message)
    case.failures_count += tag in _SHOWN


def _outside_any_case(suites: Sequence[_Suite], outcome: TestOutcome, message: str) -> _Told:
    name = plain(suites[-1].name, NAME_LENGTH_MAX) or "(suite)"
    return _Told(TestCase(name=name, outcome=outcome, message=message), (name, name, None))


def _end_of_case(open_case: _Case, suites: Sequence[_Suite]) -> _Told:
    element = open_case.element
    tag = next((tag for tag in _TROUBLE if tag in open_case.troubles), None)
    outcome = _by_status(element) if tag is None else _TROUBLE[tag]
    if tag == "skipped" and _could_not_start(element, open_case.troubles[tag]):
        outcome = TestOutcome.ERROR
    suites[-1].cases_count += 1
    suites[-1].skips_count += outcome is TestOutcome.SKIPPED or "skipped" in open_case.troubles
    suites[-1].failures_count += open_case.failures_count or (tag is None and outcome in _FAILING)
    file = element.get("file") or element.get("filepath")
    case = TestCase(
        name=_name(element),
        outcome=outcome,
        duration_s=_seconds(element.get("time")),
        file=in_checkout(plain(file, NAME_LENGTH_MAX)) if file else None,
        message=open_case.troubles.get(tag or "", ""),
    )
    return _Told(case, (suites[-1].name, case.name, case.file), passed_again=tag in _FLAKY_TROUBLE)


def _could_not_start(element: Element, reason: str) -> bool:
    """Whether ctest, which says `notrun` of both, means a test whose program is missing, not one that was skipped."""
    return element.get("status") == "notrun" and bool(reason) and not reason.upper().startswith("SKIP")


def _name(element: Element) -> str:
    parts = (element.get("classname", ""), element.get("name", ""))
    name = "::".join(part.strip() for part in parts if part.strip())
    return plain(name, NAME_LENGTH_MAX) or "(unnamed)"


def _by_status(element: Element) -> TestOutcome:
    for attribute in ("result", "status"):
        said = _STATUS.get(element.get(attribute, "").strip().lower())
        if said is not None:
            return said
    return TestOutcome.PASSED


def _message(trouble: Element, stack_trace: str) -> str:
    """The short message, then as much of the end of the long one as there is room for: the cause stands last."""
    short = plain(trouble.get("message", ""), MESSAGE_LENGTH_MAX).strip()
    long = plain(((trouble.text or "").strip() or stack_trace.strip())[-4 * MESSAGE_LENGTH_MAX :]).strip()
    if not long or long == short:
        return short
    short = plain(short, MESSAGE_LENGTH_MAX // 3)
    room = MESSAGE_LENGTH_MAX - len(short) - 2
    return f"{short}\n{long if len(long) <= room else '…' + long[-room:]}".strip()


def _count(element: Element, attribute: str) -> int:
    """A declared count, zero where none is declared.

    Raises: Unreadable for what is no count, since then nothing says what the tool meant.
    """
    text = element.get(attribute, "").strip().replace(",", "").removesuffix(".0")
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Unreadable("junit_malformed", f"The junit report declares {plain(text, 40)!r} {attribute}.")
    return int(text or 0)


def _seconds(text: str | None) -> float:
    try:
        seconds = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and 0 <= seconds <= DURATION_S_MAX else 0.0
