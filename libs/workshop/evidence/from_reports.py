"""Evidence from report files alone, whoever made them: how gates are tried on reports of last month.

Nothing was run here, so nothing is known of how the commands ended; a report that cannot be read is a
problem of the evidence, never left out in silence.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from libs.contracts.evidence import (
    FAILURES_KEPT,
    CoverageEvidence,
    DiffEvidence,
    Evidence,
    Problem,
    ReviewEvidence,
    TestCase,
    TestEvidence,
    TestOutcome,
)
from libs.contracts.workflow import Policy
from libs.workshop.evidence.coverage_reports import FileCoverage, coverage_evidence, merge_coverage, read_coverage
from libs.workshop.evidence.diffs import read_diff
from libs.workshop.evidence.findings import counted, counted_once
from libs.workshop.evidence.junit import is_flaky, read_junit
from libs.workshop.evidence.paths import is_test_file
from libs.workshop.evidence.reading import Unreadable, plain
from libs.workshop.evidence.review import Review
from libs.workshop.evidence.sarif import ChangedLines, Weighed, weighed_findings
from libs.workshop.evidence.values import parse_values
from libs.workshop.evidence.waivers import waive

Reports = Mapping[str, bytes]
"""Bytes by the name that a person knows them by."""

R = TypeVar("R")


@dataclass
class _Reading:
    """The reports of one kind, read one by one; what cannot be read is noted."""

    problems: list[Problem] = field(default_factory=list)

    def each(self, reports: Reports, read: Callable[[bytes], R]) -> list[R]:
        found = []
        for name, data in reports.items():
            try:
                found.append(read(data))
            except Unreadable as broken:
                self.problems.append(Problem(code=broken.code, message=plain(f"{name}: {broken.message}", 500)))
        return found


def evidence_of(
    *,
    policy: Policy,
    junit: Reports,
    coverage: Reports,
    base_coverage: Reports,
    sarif: Reports,
    diff: Reports,
    values: Reports,
) -> Evidence:
    """What the reports say; of findings and changed lines only what the diffs touch, where there are any."""
    reading = _Reading()
    diffs = reading.each(diff, read_diff)
    changed = _merged_lines([one.added for one in diffs]) if diffs else None
    reported: dict[str, bool | int | float | str] = {}
    for one in reading.each(values, parse_values):
        reported |= one
    return Evidence(
        diff=_diff([one.evidence for one in diffs]) if diffs else None,
        tests=_tests(reading.each(junit, read_junit)),
        coverage=_coverage(reading.each(coverage, read_coverage), reading.each(base_coverage, read_coverage), changed),
        review=_review(reading, sarif, changed, policy) if sarif else None,
        reported=reported,
        problems=tuple(reading.problems),
    )


def _diff(diffs: Sequence[DiffEvidence]) -> DiffEvidence:
    files = {file.path: file for diff in diffs for file in diff.files}
    return DiffEvidence(files=tuple(files.values()), refused=tuple(said for diff in diffs for said in diff.refused))


def _merged_lines(parts: Sequence[ChangedLines]) -> dict[str, frozenset[int]]:
    merged: dict[str, frozenset[int]] = {}
    for part in parts:
        for path, lines in part.items():
            merged[path] = merged.get(path, frozenset()) | lines
    return merged


def _tests(reports: Sequence[Sequence[TestCase]]) -> TestEvidence | None:
    if not reports:
        return None
    cases = [case for report in reports for case in report]
    counts = Counter(case.outcome for case in cases)
    failures = tuple(case for case in cases if case.outcome in (TestOutcome.FAILED, TestOutcome.ERROR))
    flaky = tuple(dict.fromkeys(case.name for case in failures if is_flaky(case)))
    return TestEvidence(
        passed=counts[TestOutcome.PASSED],
        failed=counts[TestOutcome.FAILED],
        errors=counts[TestOutcome.ERROR],
        skipped=counts[TestOutcome.SKIPPED],
        duration_s=sum(case.duration_s for case in cases),
        failures=failures[:FAILURES_KEPT],
        flaky=sum(is_flaky(case) for case in failures),
        flaky_names=flaky[:FAILURES_KEPT],
    )


def _coverage(
    reports: Sequence[FileCoverage], base: Sequence[FileCoverage], changed: ChangedLines | None
) -> CoverageEvidence | None:
    if not reports:
        return None
    found = coverage_evidence(merge_coverage(reports), changed=changed, is_left_out=is_test_file)
    if not base:
        return found
    before = coverage_evidence(merge_coverage(base), is_left_out=is_test_file)
    return found.model_copy(update={"base_covered_count": before.covered_count, "base_lines_count": before.lines_count})


def _review(reading: _Reading, sarif: Reports, changed: ChangedLines | None, policy: Policy) -> ReviewEvidence | None:
    def read(data: bytes) -> list[Weighed]:
        return weighed_findings(data, changed=changed)

    heard = reading.each(sarif, read)
    if not heard:
        return None
    marked = [
        one.finding.model_copy(update={"is_security": True}) if one.is_security else one.finding
        for weighed in heard
        for one in weighed
    ]
    findings = counted_once(marked)
    tools = tuple(dict.fromkeys(finding.tool for finding in findings)) or tuple(sarif)
    evidence = counted(ReviewEvidence(tools=tools), findings)
    return waive(Review(evidence, (), findings=findings), policy.waivers, time.time())[0]
