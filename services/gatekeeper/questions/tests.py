"""Questions about tests, coverage and mutants.

Theory: a failing test blames the change only if it fails every time on the candidate and not on the
base. One that passes when run again is flaky, one that fails on the base too was there before, unless
the plan set out to repair it; both are neither yes nor no. A failing test that the gate lists as flaky
is only warned of, once it has been seen to pass.
"""

import re
from typing import Final

from libs.contracts.evidence import Evidence, TestEvidence
from libs.contracts.verdict import CriterionVerdict
from libs.contracts.workflow import Criterion
from services.gatekeeper.questions.measuring import (
    at_least,
    at_most,
    failed,
    named,
    none_of,
    passed,
    silent,
    unclear,
    warned,
)

SAMPLE_MIN: Final = 10
"""Changed runnable lines below which their share says too little, where the workflow says nothing."""

_SNAPSHOT: Final = re.compile(r"snapshot", re.IGNORECASE)
_SNAPSHOT_FILE: Final = re.compile(r"(^|/)__snapshots?__/|\.(snap|ambr|approved\.\w+)$")


def all_pass(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """At least one test ran, none failed or errored, and the tests to be repaired passed."""
    if (tests := evidence.tests) is None:
        return silent(criterion, "no test report was read")
    bad = tests.failed + tests.errors
    if bad > tests.flaky + tests.preexisting + len(tests.quarantined):
        blamed = _blamed(tests)
        return failed(criterion, "tests_failed", f"{bad} of {tests.total} tests failed: {named(blamed, bad)}", bad)
    missing = len(tests.targets) - tests.targets_passed
    if missing and (tests.passed or bad):
        said = f"{missing} of the tests to be repaired did not run"
        return failed(criterion, "targets_not_repaired", said, missing)
    if tests.preexisting or tests.flaky:
        return _excused(tests, criterion)
    if not tests.passed:
        return silent(criterion, f"no test passed ({tests.total} collected, {tests.skipped} skipped)")
    if bad:
        said = f"tests that are listed as flaky failed and passed when run again: {named(tests.quarantined)}"
        return warned(criterion, "tests_quarantined", said, len(tests.quarantined))
    return passed(criterion, f"all {tests.passed} tests passed", 0)


def _blamed(tests: TestEvidence) -> tuple[str, ...]:
    excused = {*tests.flaky_names, *tests.preexisting_names, *tests.quarantined}
    return tuple(case.name for case in tests.failures if case.name not in excused)


def _excused(tests: TestEvidence, criterion: Criterion) -> CriterionVerdict:
    """Tests failed, none of them blames the change, and nothing else is known."""
    if tests.preexisting:
        said = f"{tests.preexisting} tests fail on the base too: {named(tests.preexisting_names, tests.preexisting)}"
        return unclear(criterion, "tests_failed_before", said, tests.preexisting)
    said = f"{tests.flaky} tests passed when run again: {named(tests.flaky_names, tests.flaky)}"
    return unclear(criterion, "tests_flaky", said, tests.flaky)


def no_skipped_tests(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No test was skipped."""
    if (tests := evidence.tests) is None or not tests.total:
        return silent(criterion, "no test report was read")
    if tests.skipped:
        return failed(criterion, "tests_skipped", f"{tests.skipped} tests were skipped", tests.skipped)
    return passed(criterion, "no test was skipped", 0)


def max_test_duration_ms(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The tests together took no longer than the limit."""
    if (tests := evidence.tests) is None or not tests.total:
        return silent(criterion, "no test report was read")
    return at_most(criterion, round(tests.duration_s * 1000), "the tests took {} ms", "tests_slow")


def no_snapshot_regressions(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No test fails over a recorded snapshot, and no recorded snapshot was changed."""
    if (tests := evidence.tests) is None or not tests.total:
        return silent(criterion, "no test report was read")
    files = evidence.diff.files if evidence.diff else ()
    changed = tuple(file.path for file in files if _SNAPSHOT_FILE.search(file.path) and file.status != "A")
    differing = tuple(case.name for case in tests.failures if _SNAPSHOT.search(f"{case.name} {case.message}"))
    return none_of(
        criterion,
        (*differing, *changed),
        "snapshot_differs",
        "recorded snapshots differ or were changed",
        "no recorded snapshot differs",
    )


def coverage_min(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The tests ran at least this share of the runnable lines, in percent."""
    coverage = evidence.coverage
    if coverage is None or coverage.lines_ratio is None:
        return silent(criterion, "no coverage report was read")
    base = None if coverage.base_ratio is None else _percent(coverage.base_ratio)
    return at_least(criterion, _percent(coverage.lines_ratio), "coverage is {} %", "coverage_low", base)


def new_code_covered(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """Every runnable line that the change added was run by a test."""
    coverage = evidence.coverage
    if coverage is None or coverage.changed_lines_count is None or coverage.changed_covered_count is None:
        return silent(criterion, "no coverage of the changed lines was read")
    if missing := coverage.changed_lines_count - coverage.changed_covered_count:
        return failed(criterion, "new_code_uncovered", f"{missing} changed lines were run by no test", missing)
    return passed(criterion, f"all {coverage.changed_lines_count} changed runnable lines were run", 0)


def new_code_coverage_min(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The tests ran at least this share of the changed runnable lines, in percent; a few lines are not judged."""
    coverage = evidence.coverage
    if coverage is None or coverage.changed_lines_count is None or coverage.changed_covered_count is None:
        return silent(criterion, "no coverage of the changed lines was read")
    if not (lines := coverage.changed_lines_count):
        return passed(criterion, "no runnable line was changed", 0)
    said = at_least(
        criterion,
        _percent(coverage.changed_covered_count / lines),
        "coverage of the changed lines is {} %",
        "new_coverage_low",
    )
    least = criterion.min_sample or SAMPLE_MIN
    if said.outcome.is_passed or lines >= least:
        return said
    few = f"{said.message}; only {lines} changed lines can run, fewer than {least}, so it is not judged"
    return warned(criterion, "small_sample", few, said.measured)


def mutation_score_min(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The tests noticed at least this share of the mutants of the changed lines, in percent."""
    if (mutation := evidence.mutation) is None:
        return silent(criterion, "no mutants were tried")
    if not mutation.tried:
        return passed(criterion, "the changed lines have no mutants", 0)
    return at_least(
        criterion,
        _percent(mutation.killed / mutation.tried),
        f"the tests noticed {{}} % of {mutation.tried} mutants{_survivors(evidence)}",
        "mutants_survived",
    )


def no_surviving_mutants(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The tests noticed every mutant of the changed lines."""
    if (mutation := evidence.mutation) is None:
        return silent(criterion, "no mutants were tried")
    if alive := mutation.tried - mutation.killed:
        said = f"{alive} of {mutation.tried} mutants were noticed by no test{_survivors(evidence)}"
        return failed(criterion, "mutants_survived", said, alive)
    return passed(criterion, f"all {mutation.tried} mutants were noticed", 0)


def _survivors(evidence: Evidence) -> str:
    survivors = evidence.mutation.survivors if evidence.mutation else ()
    first = tuple(f"{one.path}:{one.line} {one.change}" for one in survivors)
    return f" (not: {named(first)})" if first else ""


def _percent(ratio: float) -> float:
    return round(ratio * 100, 2)
