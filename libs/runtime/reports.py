"""Evidence as Markdown, for agents and people: what tests, review and deploy found, and why gates failed.

What strangers wrote (messages of tests and analysers, reasons) stands in fences that it cannot close, or on one line.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from libs.contracts.evidence import Evidence, Finding, TestCase, TestEvidence
from libs.contracts.facts import GateJudged
from libs.contracts.requests import one_line, plain
from libs.contracts.words import Outcome, Severity

LINE_MAX: Final = 500
MESSAGE_MAX: Final = 4000
WEIGHTY: Final = (Severity.BLOCKER, Severity.CRITICAL, Severity.MAJOR)
NAMED_MAX: Final = 50

_EXPECTED: Final = (
    re.compile(
        r"expected:?\s*<(?P<expected>.{1,300}?)>\s*but was:?\s*<(?P<actual>.{1,300}?)>", re.IGNORECASE | re.DOTALL
    ),
    re.compile(r"Expected:\s*(?P<expected>[^\n]{1,300})\n\s*(?:Received|Actual|Got):\s*(?P<actual>[^\n]{1,300})"),
    re.compile(r"assert\s+(?P<actual>[^\n]{1,300}?)\s+==\s+(?P<expected>[^\n]{1,300})"),
)
"""How test tools say what they expected; where none fits, the message alone speaks."""


def report_of_tests(evidence: Evidence) -> str:
    """The test evidence of one run: counts, coverage, and each failure with what was expected and what came."""
    return _document("Test", (*_tests(evidence), *_coverage(evidence), *_problems(evidence)))


def report_of_review(evidence: Evidence, judged: GateJudged | None = None) -> str:
    """The findings of a review on the changed lines, and the gate's verdict once there is one."""
    return _document("Review", (*_verdict(judged), *_review(evidence), *_problems(evidence)))


def report_of_deploy(evidence: Evidence) -> str:
    """What would land: the integration commit or its conflicts, the files, and the tests on exactly that commit."""
    return _document(
        "Deploy",
        (*_integration(evidence), *_files(evidence), *_tests(evidence), *_coverage(evidence), *_problems(evidence)),
    )


def report_of_failure(judged: GateJudged, evidence: Evidence) -> str:
    """Why a gate did not pass, exactly: its reasons, the failing tests with their messages, the findings, the paths."""
    tests = evidence.tests.failures if evidence.tests else ()
    parts = (
        *_verdict(judged),
        *_listed("Failing tests", [part for case in tests for part in _case(case)]),
        *_listed("Findings", [_finding(finding) for finding in weighty(evidence)]),
        *_listed("Files that do not exist", _paths(evidence.plan.files_missing if evidence.plan else ())),
        *_listed("Protected paths", _paths(evidence.diff.protected if evidence.diff else ())),
        *_listed("Conflicts", _paths(evidence.integration.conflicts if evidence.integration else ())),
        *_problems(evidence),
    )
    return "\n\n".join((f"# {judged.phase}, attempt {judged.attempt}: {judged.verdict.outcome}", *parts))


def weighty(evidence: Evidence) -> tuple[Finding, ...]:
    """The findings of a review that weigh, heaviest first; all of them where none does."""
    findings = evidence.review.findings if evidence.review else ()
    order = tuple(Severity)
    chosen = [finding for finding in findings if finding.severity in WEIGHTY] or list(findings)
    return tuple(sorted(chosen, key=lambda finding: order.index(finding.severity)))


def told_tests(tests: TestEvidence) -> list[dict[str, Any]]:
    """The failing tests as JSON values."""
    return [{"test": case.name, "message": plain(case.message), **expected_of(case.message)} for case in tests.failures]


def expected_of(message: str) -> Mapping[str, str]:
    """What a failure's message says was expected and what came instead; empty where it says neither."""
    for pattern in _EXPECTED:
        if (found := pattern.search(message)) is not None:
            return {name: one_line(found[name], LINE_MAX) for name in ("expected", "actual")}
    return {}


def fenced(text: str, language: str = "") -> str:
    """Text in a fence that it cannot close."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(4, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _document(title: str, parts: Iterable[str]) -> str:
    told = tuple(parts) or ("Nothing was measured.",)
    return "\n\n".join((f"# {title}", *told)) + "\n"


def _verdict(judged: GateJudged | None) -> Iterator[str]:
    if judged is None:
        return
    yield f"The gate says {judged.verdict.outcome}."
    unmet = [
        f"- {one_line(criterion.message, LINE_MAX)}"
        + (f" ({one_line(criterion.flip, LINE_MAX)})" if criterion.flip else "")
        for criterion in judged.verdict.unmet
        if criterion.outcome is not Outcome.PASS
    ]
    if unmet:
        yield "\n".join(unmet)


def _tests(evidence: Evidence) -> Iterator[str]:
    if (tests := evidence.tests) is None:
        return
    counts = ", ".join(f"{getattr(tests, name)} {name}" for name in ("passed", "failed", "errors", "skipped"))
    yield f"{tests.total} tests: {counts}."
    if tests.targets:
        yield f"Tests to be repaired: {tests.targets_passed} of {len(tests.targets)} pass."
    yield from _listed("Failures", [part for case in tests.failures for part in _case(case)])
    if (left := tests.failed + tests.errors - len(tests.failures)) > 0:
        yield f"{left} more failed and are not named here."


def _case(case: TestCase) -> Iterator[str]:
    yield f"### {_name(case.name)}"
    where = f"in {_name(case.file)}, " if case.file else ""
    yield f"{where}{case.outcome}"
    for name, value in expected_of(case.message).items():
        yield f"{name}: {_name(value)}"
    if case.message.strip():
        yield fenced(plain(case.message)[:MESSAGE_MAX])


def _coverage(evidence: Evidence) -> Iterator[str]:
    if (coverage := evidence.coverage) is None:
        return
    yield f"Coverage: {coverage.covered_count} of {coverage.lines_count} lines ran."
    if coverage.changed_lines_count is not None:
        yield f"Of the changed lines {coverage.changed_covered_count} of {coverage.changed_lines_count} ran."


def _review(evidence: Evidence) -> Iterator[str]:
    if (review := evidence.review) is None:
        return
    counts = ", ".join(f"{getattr(review, severity)} {severity}" for severity in Severity)
    yield f"Analysers: {', '.join(one_line(tool) for tool in review.tools) or 'none'}. Findings: {counts}."
    yield from _listed("Findings", [_finding(finding) for finding in review.findings])


def _finding(finding: Finding) -> str:
    where = f"{finding.file}:{finding.line}" if finding.line else finding.file
    head = f"- {finding.severity}: {_name(where)} {one_line(finding.rule)} ({one_line(finding.tool)})"
    return f"{head}: {one_line(finding.message, LINE_MAX)}" if finding.message else head


def _integration(evidence: Evidence) -> Iterator[str]:
    if (made := evidence.integration) is None:
        return
    if made.commit:
        yield f"The integration commit {made.commit} stands on {made.base}."
    yield from _listed("Conflicts", _paths(made.conflicts))


def _files(evidence: Evidence) -> Iterator[str]:
    if (diff := evidence.diff) is None:
        return
    sizes = [f"- {_name(f.path)} (+{_size(f.lines_added)} -{_size(f.lines_removed)})" for f in diff.files[:NAMED_MAX]]
    yield from _listed("Changes", sizes)
    if (left := len(diff.files) - NAMED_MAX) > 0:
        yield f"{left} more files are changed."


def _size(lines: int | None) -> str:
    return "binary" if lines is None else str(lines)


def _problems(evidence: Evidence) -> Iterator[str]:
    yield from _listed("Problems", [f"- {p.code}: {one_line(p.message, LINE_MAX)}" for p in evidence.problems])


def _paths(paths: Iterable[str]) -> list[str]:
    return [f"- {_name(path)}" for path in tuple(paths)[:NAMED_MAX]]


def _listed(heading: str, parts: list[str]) -> Iterator[str]:
    """A heading with what stands under it; nothing where there is nothing."""
    if parts:
        yield f"## {heading}"
        yield ("\n" if parts[0].startswith("- ") else "\n\n").join(parts)


def _name(text: str) -> str:
    """A name of strangers in code quotes that it cannot close."""
    return f"`{one_line(text, LINE_MAX).replace('`', chr(39))}`"
