"""Gates: what evidence passes, what fails, what is silence; and that silence is never consent."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.criteria import CRITERIA, canonical_name
from libs.contracts.evidence import (
    ChangedFile,
    CoverageEvidence,
    DiffEvidence,
    DocumentEvidence,
    Evidence,
    Finding,
    IntegrationEvidence,
    MutationEvidence,
    PlanEvidence,
    Problem,
    ReviewEvidence,
    TestCase,
    TestEvidence,
    TestOutcome,
    Waived,
)
from libs.contracts.words import Outcome, Severity
from libs.contracts.workflow import AllOf, AnyOf, Criterion, GateSeverity
from services.gatekeeper.gates import FOUL_PLAY, GATES, GATES_MEANING, classify
from tests.spec.story import BASE, INTEGRATION, TREE

PASS, FAIL, WARN, NO_DATA, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.WARN, Outcome.NO_DATA, Outcome.ERROR
INCONCLUSIVE = Outcome.INCONCLUSIVE

NOTHING = Evidence()
FILE = ChangedFile(path="shop.py", status="M")


def plan(**fields: Any) -> Evidence:
    return Evidence(plan=PlanEvidence(**fields))


def diff(count: int = 1, **fields: Any) -> Evidence:
    return Evidence(diff=DiffEvidence(files=(FILE,) * count, **fields))


def suite(**fields: Any) -> Evidence:
    return Evidence(tests=TestEvidence(**fields))


def coverage(*counts: int | None) -> Evidence:
    names = ("covered_count", "lines_count", "changed_covered_count", "changed_lines_count")
    return Evidence(coverage=CoverageEvidence.model_validate(dict(zip(names, counts, strict=False))))


def review(**fields: Any) -> Evidence:
    return Evidence(review=ReviewEvidence(**{"tools": ("ruff",), **fields}))


def integration(**fields: Any) -> Evidence:
    return Evidence(integration=IntegrationEvidence(base=BASE, **fields))


def mutants(tried: int, killed: int) -> Evidence:
    return Evidence(mutation=MutationEvidence(tried=tried, killed=killed))


def documents(**fields: Any) -> Evidence:
    return Evidence(documents=DocumentEvidence(**fields))


def snapshot_changed(status: str) -> Evidence:
    file = ChangedFile(path="tests/__snapshots__/test_shop.ambr", status=status)
    return suite(passed=1).model_copy(update={"diff": DiffEvidence(files=(file,))})


SNAPSHOT = TestCase(name="test_page", outcome=TestOutcome.FAILED, message="1 snapshot failed")
MINOR = Finding(tool="ruff", rule="E1", severity=Severity.MINOR, file="shop.py", line=3)

CASES: tuple[tuple[str, Any, Evidence, Outcome, str], ...] = (
    ("names_existing_files", True, plan(files_named=("a.py",)), PASS, "ok"),
    ("names_existing_files", True, plan(files_named=("a.py",), files_missing=("b.py",)), FAIL, "plan_names_missing"),
    ("names_existing_files", True, plan(), FAIL, "plan_names_no_file"),
    ("names_existing_files", True, NOTHING, NO_DATA, "no_data"),
    ("answers_issue", True, plan(issue_terms=("total",)), PASS, "ok"),
    ("answers_issue", True, plan(is_empty=True, issue_terms=("total",)), FAIL, "plan_empty"),
    ("answers_issue", True, plan(), FAIL, "plan_off_topic"),
    ("answers_issue", True, NOTHING, NO_DATA, "no_data"),
    ("has_change", True, diff(), PASS, "ok"),
    ("has_change", True, diff(0), FAIL, "change_empty"),
    ("has_change", True, NOTHING, NO_DATA, "no_data"),
    ("applies_cleanly", True, diff(), PASS, "ok"),
    ("applies_cleanly", True, diff(refused=("a symlink",)), FAIL, "change_refused"),
    ("applies_cleanly", True, NOTHING, NO_DATA, "no_data"),
    ("nothing_protected_touched", True, diff(), PASS, "ok"),
    ("nothing_protected_touched", True, diff(protected=("workflow.yaml",)), FAIL, "protected_touched"),
    ("nothing_protected_touched", True, diff(refused=("a symlink",)), FAIL, "change_refused"),
    ("nothing_protected_touched", True, NOTHING, NO_DATA, "no_data"),
    ("all_pass", True, suite(passed=1), PASS, "ok"),
    ("all_pass", True, suite(passed=9, failed=1), FAIL, "tests_failed"),
    ("all_pass", True, suite(passed=9, errors=1), FAIL, "tests_failed"),
    ("all_pass", True, suite(), NO_DATA, "no_data"),
    ("all_pass", True, suite(skipped=5), NO_DATA, "no_data"),
    ("all_pass", True, suite(passed=1, targets=("t",)), FAIL, "targets_not_repaired"),
    ("all_pass", True, suite(passed=1, targets=("t",), targets_passed=1), PASS, "ok"),
    ("all_pass", True, NOTHING, NO_DATA, "no_data"),
    ("all_tests_pass", True, suite(passed=1, failed=1), FAIL, "tests_failed"),
    ("no_skipped_tests", True, suite(passed=1), PASS, "ok"),
    ("no_skipped_tests", True, suite(passed=1, skipped=1), FAIL, "tests_skipped"),
    ("no_skipped_tests", True, suite(), NO_DATA, "no_data"),
    ("max_test_duration_ms", 500, suite(passed=1, duration_s=0.5), PASS, "ok"),
    ("max_test_duration_ms", 500, suite(passed=1, duration_s=0.6), FAIL, "tests_slow"),
    ("max_test_duration_ms", 500, suite(), NO_DATA, "no_data"),
    ("coverage_min", 80, coverage(8, 10), PASS, "ok"),
    ("coverage_min", 80, coverage(7, 10), FAIL, "coverage_low"),
    ("coverage_min", 80, coverage(0, 0), NO_DATA, "no_data"),
    ("coverage_min", 80, NOTHING, NO_DATA, "no_data"),
    ("coverage_minimum", 80, coverage(7, 10), FAIL, "coverage_low"),
    ("new_code_covered", True, coverage(8, 10, 2, 2), PASS, "ok"),
    ("new_code_covered", True, coverage(8, 10, 1, 2), FAIL, "new_code_uncovered"),
    ("new_code_covered", True, coverage(8, 10), NO_DATA, "no_data"),
    ("max_blockers", 0, review(), PASS, "ok"),
    ("max_blockers", 0, review(blocker=1), FAIL, "too_many_blocker"),
    ("max_blockers", 1, review(blocker=1), PASS, "ok"),
    ("max_blockers", 0, review(tools=()), NO_DATA, "no_data"),
    ("max_blockers", 0, NOTHING, NO_DATA, "no_data"),
    ("max_critical", 0, review(critical=2), FAIL, "too_many_critical"),
    ("max_critical", 0, review(blocker=2), PASS, "ok"),
    ("no_blockers", True, review(), PASS, "ok"),
    ("no_blockers", True, review(blocker=1), FAIL, "too_many_blocker"),
    ("no_blockers", True, NOTHING, NO_DATA, "no_data"),
    ("tech_debt_max", 2, review(major=1, minor=1), PASS, "ok"),
    ("tech_debt_max", 2, review(major=2, minor=1), FAIL, "too_much_debt"),
    ("tech_debt_max", 2, NOTHING, NO_DATA, "no_data"),
    ("tech_debt_logged", True, review(minor=1, findings=(MINOR,)), PASS, "ok"),
    ("tech_debt_logged", True, review(minor=2, findings=(MINOR,)), FAIL, "debt_not_logged"),
    ("tech_debt_logged", True, NOTHING, NO_DATA, "no_data"),
    ("has_changelog_entry", True, Evidence(changelog_touched=True), PASS, "ok"),
    ("has_changelog_entry", True, Evidence(changelog_touched=False), FAIL, "changelog_untouched"),
    ("has_changelog_entry", True, NOTHING, NO_DATA, "no_data"),
    ("no_merge_conflicts", True, integration(commit=INTEGRATION, tree=TREE), PASS, "ok"),
    ("no_merge_conflicts", True, integration(conflicts=("shop.py",)), FAIL, "merge_conflict"),
    ("no_merge_conflicts", True, integration(), FAIL, "merge_conflict"),
    ("no_merge_conflicts", True, NOTHING, NO_DATA, "no_data"),
    ("branch_up_to_date", True, integration(commit=INTEGRATION), PASS, "ok"),
    ("branch_up_to_date", True, NOTHING, NO_DATA, "no_data"),
    ("plan_adherence", True, Evidence(strayed=()), PASS, "ok"),
    ("plan_adherence", True, Evidence(strayed=("other.py",)), FAIL, "plan_left"),
    ("plan_adherence", True, NOTHING, NO_DATA, "no_data"),
    ("pr_created", True, Evidence(is_proposed=True), PASS, "ok"),
    ("pr_created", True, Evidence(is_proposed=False), FAIL, "not_proposed"),
    ("pr_created", True, NOTHING, NO_DATA, "no_data"),
    ("all_commits_signed", True, Evidence(unsigned_count=0), PASS, "ok"),
    ("all_commits_signed", True, Evidence(unsigned_count=1), FAIL, "unsigned_commits"),
    ("all_commits_signed", True, NOTHING, NO_DATA, "no_data"),
    ("all_pass", True, suite(passed=9, failed=1, flaky=1), INCONCLUSIVE, "tests_flaky"),
    ("all_pass", True, suite(passed=9, failed=1, preexisting=1), INCONCLUSIVE, "tests_failed_before"),
    ("all_pass", True, suite(passed=9, failed=2, flaky=1), FAIL, "tests_failed"),
    ("all_pass", True, suite(failed=1, flaky=1), INCONCLUSIVE, "tests_flaky"),
    ("all_pass", True, suite(failed=1, quarantined=("t",)), NO_DATA, "no_data"),
    ("all_pass", True, suite(passed=9, failed=1, flaky=1, targets=("t",)), FAIL, "targets_not_repaired"),
    ("no_snapshot_regressions", True, suite(passed=1), PASS, "ok"),
    ("no_snapshot_regressions", True, suite(failed=1, failures=(SNAPSHOT,)), FAIL, "snapshot_differs"),
    ("no_snapshot_regressions", True, snapshot_changed("M"), FAIL, "snapshot_differs"),
    ("no_snapshot_regressions", True, snapshot_changed("A"), PASS, "ok"),
    ("no_snapshot_regressions", True, NOTHING, NO_DATA, "no_data"),
    ("new_code_coverage_min", 80, coverage(8, 10, 16, 20), PASS, "ok"),
    ("new_code_coverage_min", 80, coverage(8, 10, 15, 20), FAIL, "new_coverage_low"),
    ("new_code_coverage_min", 80, coverage(8, 10, 0, 9), WARN, "small_sample"),
    ("new_code_coverage_min", 80, coverage(8, 10, 0, 0), PASS, "ok"),
    ("new_code_coverage_min", 80, coverage(8, 10), NO_DATA, "no_data"),
    ("mutation_score_min", 50, mutants(2, 1), PASS, "ok"),
    ("mutation_score_min", 50, mutants(3, 1), FAIL, "mutants_survived"),
    ("mutation_score_min", 50, mutants(0, 0), PASS, "ok"),
    ("mutation_score_min", 50, NOTHING, NO_DATA, "no_data"),
    ("no_surviving_mutants", True, mutants(2, 2), PASS, "ok"),
    ("no_surviving_mutants", True, mutants(2, 1), FAIL, "mutants_survived"),
    ("no_surviving_mutants", True, NOTHING, NO_DATA, "no_data"),
    ("security_issues", 0, review(), PASS, "ok"),
    ("security_issues", 0, review(security=1), FAIL, "security_issues"),
    ("security_issues", 0, NOTHING, NO_DATA, "no_data"),
    ("lint_errors", 0, review(lint_warnings=3), PASS, "ok"),
    ("lint_errors", 0, review(lint_errors=1), FAIL, "lint_errors"),
    ("lint_errors", 0, NOTHING, NO_DATA, "no_data"),
    ("lint_warnings_max", 2, review(lint_warnings=2), PASS, "ok"),
    ("lint_warnings_max", 2, review(lint_warnings=3), FAIL, "lint_warnings"),
    ("lint_warnings_max", 2, NOTHING, NO_DATA, "no_data"),
    ("type_check_pass", True, review(type_errors=0), PASS, "ok"),
    ("type_check_pass", True, review(type_errors=2), FAIL, "type_errors"),
    ("type_check_pass", True, review(), NO_DATA, "no_data"),
    ("no_broken_links", True, documents(links_checked=3), PASS, "ok"),
    ("no_broken_links", True, documents(broken_links=("a.md:3 b.md",)), FAIL, "links_broken"),
    ("no_broken_links", True, NOTHING, NO_DATA, "no_data"),
    ("readme_updated_if_needed", True, documents(), PASS, "ok"),
    ("readme_updated_if_needed", True, documents(stale=("total",)), FAIL, "readme_stale"),
    ("readme_updated_if_needed", True, NOTHING, NO_DATA, "no_data"),
    ("all_public_apis_documented", True, documents(undocumented=()), PASS, "ok"),
    ("all_public_apis_documented", True, documents(undocumented=("shop.total",)), FAIL, "api_undocumented"),
    ("all_public_apis_documented", True, documents(), NO_DATA, "no_data"),
    ("max_files_changed", 2, diff(2), PASS, "ok"),
    ("max_files_changed", 2, diff(3), FAIL, "change_too_wide"),
    ("max_files_changed", 2, NOTHING, NO_DATA, "no_data"),
)

LIMITS = {name: next(limit for asked, limit, *_ in CASES if asked == name) for name, *_ in CASES}

EVIDENCE = (
    NOTHING,
    *(evidence for *_, evidence, outcome, _ in CASES if outcome is not NO_DATA),
    Evidence(problems=(Problem(code="report_missing", message="no report"),)),
)


@pytest.mark.parametrize(("name", "limit", "evidence", "outcome", "code"), CASES)
def test_a_gate_says_what_it_found_with_a_code_and_a_sentence(
    name: str, limit: Any, evidence: Evidence, outcome: Outcome, code: str
) -> None:
    verdict = classify(evidence, [Criterion(name=name, limit=limit)])
    (said,) = verdict.criteria
    assert (verdict.outcome, said.name, said.outcome) == (outcome, name, outcome)
    assert said.code.startswith(code)
    assert said.message
    assert said.flip or outcome is not FAIL


def test_every_gate_has_passed_failed_and_been_silent_here() -> None:
    seen = {(canonical_name(name), outcome) for name, _, _, outcome, _ in CASES}
    assert {name for name, _ in seen} >= {gate.__name__ for gate in GATES}
    weaker = {"max_critical", "branch_up_to_date"}
    asked = {gate.__name__ for gate in GATES} - weaker
    assert {(name, outcome) for name in asked for outcome in (PASS, FAIL, NO_DATA)} <= seen


def test_every_gate_is_a_known_criterion_and_says_its_question() -> None:
    assert all(gate.__name__ in CRITERIA for gate in GATES)
    assert all(sentence.endswith(".") for sentence in GATES_MEANING.values())


def test_every_criterion_that_evidence_answers_has_a_gate() -> None:
    answered = {canonical_name(name) for name, spec in CRITERIA.items() if spec.evidence}
    assert answered == {gate.__name__ for gate in GATES}


def test_an_empty_list_of_criteria_never_passes() -> None:
    assert {classify(evidence, []).outcome for evidence in EVIDENCE} == {NO_DATA}


def test_criteria_that_are_all_switched_off_never_pass() -> None:
    off = [Criterion(name="all_pass", limit=False)]
    assert {classify(evidence, off).outcome for evidence in EVIDENCE} == {NO_DATA}


@pytest.mark.parametrize("name", ["has_telepathy", "no_such_thing"])
def test_a_criterion_that_nothing_answers_is_silence_whatever_was_collected(name: str) -> None:
    said = [classify(evidence, [Criterion(name=name, limit=True)]).criteria[-1] for evidence in EVIDENCE]
    assert {(one.outcome, one.message) for one in said} == {(NO_DATA, f"no report holds a value of the name {name}")}


def test_the_worst_outcome_wins() -> None:
    rules = [Criterion(name="all_pass", limit=True), Criterion(name="coverage_min", limit=80)]
    both = Evidence(tests=TestEvidence(passed=1), coverage=CoverageEvidence(covered_count=1, lines_count=10))
    assert classify(both, rules).outcome is FAIL
    assert classify(suite(passed=1), rules).outcome is NO_DATA
    assert classify(both, rules).reasons == ("coverage is 10 %, at least 80 needed",)


def test_reasons_come_worst_first() -> None:
    rules = [Criterion(name="coverage_min", limit=80), Criterion(name="all_pass", limit=True)]
    assert classify(suite(passed=1, failed=1), rules).codes == ("tests_failed", "no_data")


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("no_tests", NO_DATA),
        ("report_missing", NO_DATA),
        ("deadline_passed", NO_DATA),
        ("collection_failed", FAIL),
        *((code, FAIL) for code in FOUL_PLAY),
        ("something_unheard_of", ERROR),
    ],
)
def test_a_problem_with_the_evidence_stands_in_the_verdict_and_never_passes(code: str, outcome: Outcome) -> None:
    evidence = suite(passed=3).model_copy(update={"problems": (Problem(code=code, message="it is so"),)})
    verdict = classify(evidence, [Criterion(name="all_pass", limit=True)])
    assert (verdict.outcome, verdict.codes, verdict.reasons) == (outcome, (code,), ("it is so",))


def test_a_worker_that_declined_fails_with_its_own_words() -> None:
    verdict = classify(suite(passed=1), [Criterion(name="all_pass", limit=True)], declined="no failing test")
    assert (verdict.outcome, verdict.reasons) == (FAIL, ("no failing test",))


@pytest.mark.parametrize("evidence", [suite(passed=1, failed=1), NOTHING], ids=["fail", "no_data"])
def test_a_dry_run_is_shown_and_stops_nothing(evidence: Evidence) -> None:
    (said,) = classify(evidence, [Criterion(name="all_pass", limit=True, is_dry_run=True)]).criteria
    assert said.outcome is PASS
    assert said.message.endswith("(dry run)")


@pytest.mark.parametrize("evidence", [suite(passed=1, failed=1), NOTHING], ids=["fail", "no_data"])
def test_a_criterion_of_weight_warning_only_warns(evidence: Evidence) -> None:
    rule = Criterion(name="all_pass", limit=True, severity=GateSeverity.WARNING)
    assert classify(evidence, [rule]).outcome is WARN


@pytest.mark.parametrize(("percent", "outcome"), [(95, PASS), (90, PASS), (89, WARN), (80, WARN), (79, FAIL)], ids=str)
def test_between_the_two_limits_a_value_warns(percent: int, outcome: Outcome) -> None:
    rule = Criterion(name="coverage_min", limit=80, warn_at=90)
    assert classify(coverage(percent, 100), [rule]).outcome is outcome


def test_a_warn_band_from_above() -> None:
    rule = Criterion(name="max_files_changed", limit=5, warn_at=3)
    assert [classify(diff(count), [rule]).outcome for count in (3, 4, 5, 6)] == [PASS, WARN, WARN, FAIL]


def test_a_compared_value_tells_the_margin_and_what_would_flip_it() -> None:
    (said,) = classify(coverage(7, 10), [Criterion(name="coverage_min", limit=80)]).criteria
    assert (said.measured, said.limit, said.margin, said.flip) == (70.0, 80, -10.0, "a value of 80")


TESTED, COVERED = Criterion(name="all_pass", limit=True), Criterion(name="coverage_min", limit=80)
RED = Evidence(tests=TestEvidence(passed=1, failed=1), coverage=CoverageEvidence(covered_count=9, lines_count=10))


@pytest.mark.parametrize(
    ("rule", "evidence", "outcome"),
    [
        (AnyOf(any_of=(TESTED, COVERED)), RED, PASS),
        (AllOf(all_of=(TESTED, COVERED)), RED, FAIL),
        (AnyOf(any_of=(TESTED, COVERED)), NOTHING, NO_DATA),
        (AllOf(all_of=(TESTED, COVERED)), suite(passed=1), NO_DATA),
        (AnyOf(any_of=(AllOf(all_of=(TESTED, COVERED)), COVERED)), RED, PASS),
        (AnyOf(any_of=(TESTED,), severity=GateSeverity.WARNING), RED, WARN),
        (AllOf(all_of=(TESTED,), is_dry_run=True), RED, PASS),
    ],
)
def test_one_or_all_of_several_rules(rule: AnyOf | AllOf, evidence: Evidence, outcome: Outcome) -> None:
    verdict = classify(evidence, [rule])
    assert verdict.outcome is outcome
    assert all(
        part in verdict.criteria[0].name for part in ("_of(", "coverage_min" if COVERED in _leaves(rule) else "")
    )


def _leaves(rule: Any) -> list[Any]:
    if isinstance(rule, Criterion):
        return [rule]
    return [leaf for part in getattr(rule, "any_of", ()) or rule.all_of for leaf in _leaves(part)]


def test_the_first_failures_are_named() -> None:
    failures = tuple(TestCase(name=f"test_{n}", outcome=TestOutcome.FAILED) for n in range(9))
    (reason,) = classify(suite(failed=9, failures=failures), [TESTED]).reasons
    assert reason == "9 of 9 tests failed: test_0, test_1, test_2 and 6 more"


def test_a_finding_is_named_by_its_place() -> None:
    finding = Finding(tool="bandit", rule="B602", severity=Severity.BLOCKER, file="shop.py", line=7)
    verdict = classify(review(blocker=1, findings=(MINOR, finding)), [Criterion(name="max_blockers", limit=0)])
    assert verdict.reasons[0].endswith("first: shop.py:7 B602")


# -- flaky tests, waivers, limits that go by the base, values of one's own ------


def test_only_tests_that_are_to_blame_are_named() -> None:
    failures = tuple(TestCase(name=name, outcome=TestOutcome.FAILED) for name in ("old", "shaky", "broken"))
    tests = TestEvidence(
        passed=1,
        failed=3,
        failures=failures,
        flaky=1,
        flaky_names=("shaky",),
        preexisting=1,
        preexisting_names=("old",),
    )
    (reason,) = classify(Evidence(tests=tests), [TESTED]).reasons
    assert reason == "3 of 4 tests failed: broken and 2 more"


@pytest.mark.parametrize(
    ("flaky", "listed", "outcome"),
    [
        (("shop::test_clock",), ("shop::test_clock",), WARN),
        (("shop::test_clock",), ("shop::*",), WARN),
        (("shop::test_clock",), ("other::*",), INCONCLUSIVE),
        ((), ("shop::test_clock",), FAIL),
    ],
    ids=["by name", "by glob", "not listed", "never passed"],
)
def test_a_listed_flaky_test_only_warns_once_it_has_been_seen_to_pass(
    flaky: tuple[str, ...], listed: tuple[str, ...], outcome: Outcome
) -> None:
    case = TestCase(name="shop::test_clock", outcome=TestOutcome.FAILED)
    tests = TestEvidence(passed=3, failed=1, failures=(case,), flaky=len(flaky), flaky_names=flaky)
    assert classify(Evidence(tests=tests), [TESTED], flaky=listed).outcome is outcome


@pytest.mark.parametrize(
    ("days_left", "outcome", "code"),
    [(90, PASS, "waived"), (15, PASS, "waived"), (14, WARN, "waiver_expires"), (-1, WARN, "waiver_expired")],
)
def test_a_waiver_is_tallied_apart_and_warns_before_it_bites(days_left: int, outcome: Outcome, code: str) -> None:
    waived = Waived(
        fingerprint="f",
        severity=Severity.BLOCKER,
        rule="S602",
        file="shop.py",
        author="ann",
        reason="a false alarm",
        days_left=days_left,
    )
    verdict = classify(review(waived=(waived,)), [Criterion(name="max_blockers", limit=0)])
    said = verdict.criteria[0]
    assert (verdict.outcome, said.name, said.code) == (outcome, "waivers", code)
    assert "waived by ann (a false alarm)" in said.message


RELATIVE = Criterion(name="coverage_min", limit="base - 0.5", from_base=-0.5)


@pytest.mark.parametrize(
    ("base", "outcome", "code"), [(80, PASS, "ok"), (80.6, FAIL, "coverage_low"), (None, NO_DATA, "no_baseline")]
)
def test_a_limit_may_go_by_what_the_base_has(base: float | None, outcome: Outcome, code: str) -> None:
    counts = {} if base is None else {"base_covered_count": round(base * 10), "base_lines_count": 1000}
    evidence = Evidence(coverage=CoverageEvidence(covered_count=800, lines_count=1000, **counts))
    (said,) = classify(evidence, [RELATIVE]).criteria
    assert (said.outcome, said.code) == (outcome, code)
    assert "base - 0.5" in said.message


@pytest.mark.parametrize(
    ("name", "limit", "value", "outcome"),
    [
        ("bundle_kb_max", 200, 200, PASS),
        ("bundle_kb_max", 200, 200.5, FAIL),
        ("max_queries", 5, 6, FAIL),
        ("docs_ratio_min", 0.5, 0.5, PASS),
        ("docs_ratio_min", 0.5, 0.4, FAIL),
        ("docs_ratio_min", 0.5, "much", NO_DATA),
        ("docs_ratio_min", 0.5, True, NO_DATA),
        ("license", "MIT", "MIT", PASS),
        ("license", "MIT", "GPL", FAIL),
        ("open_todos", 0, 0, PASS),
        ("open_todos", 0, False, FAIL),
        ("open_todos", 0, 1, FAIL),
        ("has_diagram", True, True, PASS),
        ("has_diagram", True, "docs/diagram.svg", PASS),
        ("has_diagram", True, "", FAIL),
        ("is_beta", False, False, PASS),
        ("is_beta", False, True, FAIL),
    ],
)
def test_a_value_of_one_s_own_is_held_against_the_limit_in_the_form_its_name_says(
    name: str, limit: Any, value: Any, outcome: Outcome
) -> None:
    rule = Criterion(name=name, limit=limit)
    assert classify(Evidence(reported={name: value}), [rule]).outcome is outcome
    assert classify(NOTHING, [rule]).outcome is NO_DATA


def test_a_verdict_tells_how_to_measure_it_by_hand() -> None:
    tests = TestEvidence(passed=1, command="git checkout 1234 && python -m pytest")
    both = Evidence(tests=tests, review=ReviewEvidence(tools=("ruff",), command="ruff check"))
    rules = [TESTED, Criterion(name="max_blockers", limit=0)]
    assert [said.reproduce for said in classify(both, rules).criteria] == [tests.command, "ruff check"]


# -- properties ---------------------------------------------------------------

counts = st.integers(0, 4)
names = st.sampled_from(sorted({gate.__name__ for gate in GATES} | {"has_telepathy"}))
rules = st.lists(
    st.builds(
        lambda name, eased: Criterion(
            name=name, limit=LIMITS.get(name, True), severity=GateSeverity.WARNING if eased else GateSeverity.BLOCKER
        ),
        names,
        st.booleans(),
    ),
    max_size=5,
)
problems = st.lists(
    st.builds(
        Problem, code=st.sampled_from(["no_tests", "report_missing", "collection_failed", "x"]), message=st.just("m")
    ),
    max_size=2,
).map(tuple)
evidences = st.builds(
    Evidence,
    plan=st.none() | st.builds(PlanEvidence, files_named=st.just(("a",)) | st.just(()), is_empty=st.booleans()),
    diff=st.none() | counts.map(lambda count: DiffEvidence(files=(FILE,) * count)),
    tests=st.none() | st.builds(TestEvidence, passed=counts, failed=counts, errors=counts, skipped=counts),
    coverage=st.none() | counts.map(lambda count: CoverageEvidence(covered_count=count, lines_count=4)),
    review=st.none() | st.builds(ReviewEvidence, tools=st.just(("ruff",)) | st.just(()), blocker=counts, minor=counts),
    changelog_touched=st.none() | st.booleans(),
    integration=st.none() | st.sampled_from([IntegrationEvidence(base=BASE, commit=INTEGRATION, tree=TREE)]),
    problems=problems,
)


@settings(max_examples=150, deadline=None)
@given(evidences, rules)
def test_a_verdict_is_the_worst_of_what_was_asked_and_of_every_problem(
    evidence: Evidence, asked: list[Criterion]
) -> None:
    verdict = classify(evidence, asked)
    worst = max((criterion.outcome.rank for criterion in verdict.criteria), default=NO_DATA.rank)
    assert verdict.outcome.rank == worst
    assert not (verdict.outcome.is_passed and (evidence.problems or not asked))


@settings(max_examples=150, deadline=None)
@given(evidences, rules, rules)
def test_asking_more_never_makes_a_verdict_better(
    evidence: Evidence, asked: list[Criterion], more: list[Criterion]
) -> None:
    fewer, all_of_them = classify(evidence, asked), classify(evidence, [*asked, *more])
    assert not asked or all_of_them.outcome.rank >= fewer.outcome.rank


BETTER: dict[str, Callable[[Evidence], Evidence]] = {
    "a failed test passes": lambda e: _with(e, "tests", failed=0, errors=0, passed=9),
    "a finding is gone": lambda e: _with(e, "review", blocker=0, critical=0, major=0, minor=0),
    "all lines are covered": lambda e: _with(e, "coverage", covered_count=4),
    "the changelog is touched": lambda e: e.model_copy(update={"changelog_touched": True}),
    "no problem is left": lambda e: e.model_copy(update={"problems": ()}),
}


def _with(evidence: Evidence, part: str, **fields: Any) -> Evidence:
    present = getattr(evidence, part)
    return evidence.model_copy(update={part: present.model_copy(update=fields)}) if present else evidence


@settings(max_examples=200, deadline=None)
@given(evidences, rules, st.sampled_from(sorted(BETTER)))
def test_better_evidence_never_worsens_a_verdict(evidence: Evidence, asked: list[Criterion], how: str) -> None:
    assert classify(BETTER[how](evidence), asked).outcome.rank <= classify(evidence, asked).outcome.rank


@settings(max_examples=150, deadline=None)
@given(evidences, rules, st.sampled_from(["plan", "diff", "tests", "coverage", "review", "integration"]))
def test_losing_a_part_of_the_evidence_never_makes_a_pass(
    evidence: Evidence, asked: list[Criterion], part: str
) -> None:
    lost = classify(evidence.model_copy(update={part: None}), asked)
    assert not lost.outcome.is_passed or classify(evidence, asked).outcome.is_passed or _was_only_fail(asked)


def _was_only_fail(asked: list[Criterion]) -> bool:
    """A criterion that only warns stays a warning, whether it fails or is silent."""
    return all(rule.severity is GateSeverity.WARNING for rule in asked)


@settings(max_examples=100, deadline=None)
@given(
    st.permutations([f"test_{number}" for number in range(5)]),
    st.permutations([Severity.BLOCKER, Severity.MAJOR, Severity.MINOR]),
    st.permutations(["TESTED", "COVERED", "blockers"]),
)
def test_the_order_of_files_findings_and_rules_changes_no_outcome(
    cases: list[str], severities: list[Severity], order: list[str]
) -> None:
    rules = {"TESTED": TESTED, "COVERED": COVERED, "blockers": Criterion(name="max_blockers", limit=0)}
    evidence = Evidence(
        tests=TestEvidence(
            passed=1,
            failed=5,
            failures=tuple(TestCase(name=name, outcome=TestOutcome.FAILED) for name in cases),
            flaky=2,
            flaky_names=tuple(name for name in cases if name in ("test_1", "test_3")),
        ),
        coverage=CoverageEvidence(covered_count=8, lines_count=10),
        review=ReviewEvidence(
            tools=("x",),
            blocker=1,
            findings=tuple(
                Finding(tool="x", rule="r", severity=severity, file=f"{severity}.py") for severity in severities
            ),
        ),
    )
    verdict = classify(evidence, [rules[name] for name in order])
    told = sorted((said.name, said.outcome, said.code, said.measured) for said in verdict.criteria)
    assert (verdict.outcome, told) == (
        FAIL,
        [
            ("all_pass", FAIL, "tests_failed", 5),
            ("coverage_min", PASS, "ok", 80.0),
            ("max_blockers", FAIL, "too_many_blocker", 1),
        ],
    )
