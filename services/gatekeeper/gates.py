"""The gates: each a small pure function that asks one question of the evidence.

A gate's name is its function's name and the name in the workflow and the verdict; its docstring
is the sentence a person reads. `GATES` lists all of them. Silence is not consent: a criterion that
no evidence answers is `no_data`, an empty list of criteria never passes, and a problem with the
evidence stands in the verdict beside the criteria.
"""

from collections.abc import Callable, Iterable
from typing import Final

from libs.contracts.criteria import canonical_name
from libs.contracts.evidence import Evidence, Problem
from libs.contracts.verdict import CriterionVerdict, Measured, Verdict, worst
from libs.contracts.words import Outcome, Severity
from libs.contracts.workflow import AllOf, AnyOf, Criterion, GateSeverity, Rule

Gate = Callable[[Evidence, Criterion], CriterionVerdict]


def names_existing_files(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The plan names at least one file of the repository, and every file it names exists."""
    if (plan := evidence.plan) is None:
        return _silent(criterion, "no plan was read")
    if plan.files_missing:
        named = ", ".join(plan.files_missing[:3])
        return _fail(
            criterion,
            "plan_names_missing_files",
            f"the plan names files that do not exist: {named}",
            len(plan.files_missing),
        )
    if not plan.files_named:
        return _fail(criterion, "plan_names_no_file", "the plan names no file of the repository", 0)
    return _pass(criterion, f"the plan names {len(plan.files_named)} existing files", len(plan.files_named))


def answers_issue(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The plan is not empty and speaks of what the issue asks for."""
    if (plan := evidence.plan) is None:
        return _silent(criterion, "no plan was read")
    if plan.is_empty:
        return _fail(criterion, "plan_empty", "the plan is empty", 0)
    if not plan.issue_terms:
        return _fail(criterion, "plan_off_topic", "the plan uses no word of the issue", 0)
    return _pass(criterion, "the plan speaks of " + ", ".join(plan.issue_terms[:5]), len(plan.issue_terms))


def has_change(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change touches at least one file."""
    if (diff := evidence.diff) is None:
        return _silent(criterion, "no change was collected")
    if not diff.files:
        return _fail(criterion, "change_empty", "the change is empty", 0)
    return _pass(criterion, f"{diff.files_changed} files changed", diff.files_changed)


def applies_cleanly(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change applies to its base and holds nothing that is refused."""
    if (diff := evidence.diff) is None:
        return _silent(criterion, "no change was collected")
    if diff.refused:
        return _fail(criterion, "change_refused", "; ".join(diff.refused[:3]), len(diff.refused))
    return _pass(criterion, "the change stands on its base", 0)


def nothing_protected_touched(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No protected path and nothing refused (symlinks, submodules) is in the change."""
    if (diff := evidence.diff) is None:
        return _silent(criterion, "no change was collected")
    if diff.protected:
        named = ", ".join(diff.protected[:3])
        return _fail(criterion, "protected_touched", f"protected paths are changed: {named}", len(diff.protected))
    return applies_cleanly(evidence, criterion)


def all_pass(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """At least one test ran, none failed or errored, and the tests to be repaired passed."""
    if (tests := evidence.tests) is None:
        return _silent(criterion, "no test report was read")
    if bad := tests.failed + tests.errors:
        named = ", ".join(case.name for case in tests.failures[:3])
        return _fail(criterion, "tests_failed", f"{bad} of {tests.total} tests failed: {named}", bad)
    if not tests.passed:
        return _silent(criterion, f"no test passed ({tests.total} collected, {tests.skipped} skipped)")
    if tests.targets_passed < len(tests.targets):
        missing = len(tests.targets) - tests.targets_passed
        return _fail(criterion, "targets_not_repaired", f"{missing} of the tests to be repaired did not run", missing)
    return _pass(criterion, f"all {tests.passed} tests passed", 0)


def no_skipped_tests(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No test was skipped."""
    if (tests := evidence.tests) is None or not tests.total:
        return _silent(criterion, "no test report was read")
    if tests.skipped:
        return _fail(criterion, "tests_skipped", f"{tests.skipped} tests were skipped", tests.skipped)
    return _pass(criterion, "no test was skipped", 0)


def max_test_duration_ms(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The tests together took no longer than the limit."""
    if (tests := evidence.tests) is None or not tests.total:
        return _silent(criterion, "no test report was read")
    return _at_most(criterion, round(tests.duration_s * 1000), "the tests took {} ms", "tests_slow")


def coverage_min(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The tests ran at least this share of the runnable lines, in percent."""
    ratio = evidence.coverage.lines_ratio if evidence.coverage else None
    if ratio is None:
        return _silent(criterion, "no coverage report was read")
    percent = round(ratio * 100, 2)
    return _at_least(criterion, percent, "coverage is {} %", "coverage_low")


def new_code_covered(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """Every runnable line that the change added was run by a test."""
    coverage = evidence.coverage
    if coverage is None or coverage.changed_lines_count is None or coverage.changed_covered_count is None:
        return _silent(criterion, "no coverage of the changed lines was read")
    if missing := coverage.changed_lines_count - coverage.changed_covered_count:
        return _fail(criterion, "new_code_uncovered", f"{missing} changed lines were run by no test", missing)
    return _pass(criterion, f"all {coverage.changed_lines_count} changed runnable lines were run", 0)


def max_blockers(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more blocker findings on the changed lines than the limit."""
    return _findings(evidence, criterion, Severity.BLOCKER)


def max_critical(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more critical findings on the changed lines than the limit."""
    return _findings(evidence, criterion, Severity.CRITICAL)


def no_blockers(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No blocker finding on the changed lines."""
    return _findings(evidence, criterion.model_copy(update={"limit": 0}), Severity.BLOCKER)


def tech_debt_max(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more findings of technical debt (major, minor) on the changed lines than the limit."""
    if (review := evidence.review) is None or not review.tools:
        return _silent(criterion, "no analyser's report was read")
    return _at_most(criterion, review.major + review.minor, "{} findings of technical debt", "too_much_debt")


def tech_debt_logged(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """Every finding of technical debt stands one by one in the log."""
    if (review := evidence.review) is None or not review.tools:
        return _silent(criterion, "no analyser's report was read")
    debt = review.major + review.minor
    logged = sum(finding.severity in (Severity.MAJOR, Severity.MINOR) for finding in review.findings)
    if logged < debt:
        return _fail(criterion, "debt_not_logged", f"{debt - logged} findings of technical debt are not listed", debt)
    return _pass(criterion, f"{debt} findings of technical debt are listed", debt)


def has_changelog_entry(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change adds to the changelog."""
    if evidence.changelog_touched is None:
        return _silent(criterion, "nobody looked for a changelog")
    if not evidence.changelog_touched:
        return _fail(criterion, "changelog_untouched", "the change adds nothing to a changelog", measured=False)
    return _pass(criterion, "the changelog has an entry", measured=True)


def no_merge_conflicts(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change joins the current tip without a conflict."""
    if (integration := evidence.integration) is None:
        return _silent(criterion, "no integration commit was tried")
    if integration.conflicts or integration.commit is None:
        named = ", ".join(integration.conflicts[:3])
        return _fail(
            criterion,
            "merge_conflict",
            f"the change conflicts with the current tip in {named}",
            len(integration.conflicts),
        )
    return _pass(criterion, "the change applies on the current tip", 0)


def branch_up_to_date(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change stands on the current tip of its target branch."""
    return no_merge_conflicts(evidence, criterion)


def max_files_changed(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change touches no more files than the limit."""
    if (diff := evidence.diff) is None:
        return _silent(criterion, "no change was collected")
    return _at_most(criterion, diff.files_changed, "{} files changed", "change_too_wide")


GATES: Final[tuple[Gate, ...]] = (
    names_existing_files,
    answers_issue,
    has_change,
    applies_cleanly,
    nothing_protected_touched,
    all_pass,
    no_skipped_tests,
    max_test_duration_ms,
    coverage_min,
    new_code_covered,
    max_blockers,
    max_critical,
    no_blockers,
    tech_debt_max,
    tech_debt_logged,
    has_changelog_entry,
    no_merge_conflicts,
    branch_up_to_date,
    max_files_changed,
)

_BY_NAME: Final[dict[str, Gate]] = {gate.__name__: gate for gate in GATES}

_PROBLEM_OUTCOMES: Final = {
    "collection_failed": Outcome.FAIL,
    "no_tests": Outcome.NO_DATA,
    "report_missing": Outcome.NO_DATA,
    "deadline_passed": Outcome.NO_DATA,
    "infrastructure": Outcome.NO_DATA,
    "document_touched_code": Outcome.FAIL,
}
"""How a problem with the evidence weighs; one that is not listed could not be judged at all."""


def classify(evidence: Evidence, rules: Iterable[Rule], *, declined: str | None = None) -> Verdict:
    """The verdict on an attempt: every rule asked, every problem listed, the worst outcome wins."""
    if declined is not None:
        said = CriterionVerdict(name="worker", outcome=Outcome.FAIL, code="declined", message=declined)
        return Verdict(outcome=Outcome.FAIL, criteria=(said,))
    asked = tuple(ask(evidence, rule) for rule in rules if not _is_off(rule))
    return worst((*(_problem(problem) for problem in evidence.problems), *asked)) if asked else worst(())


def ask(evidence: Evidence, rule: Rule) -> CriterionVerdict:
    """Ask one rule, and ease a failure that the workflow takes for a warning or only tries out."""
    match rule:
        case Criterion():
            said = _ask_criterion(evidence, rule)
        case AnyOf():
            said = _joined("any_of", [ask(evidence, one) for one in rule.any_of], best=True)
        case AllOf():
            said = _joined("all_of", [ask(evidence, one) for one in rule.all_of], best=False)
    if said.outcome.is_passed:
        return said
    if rule.is_dry_run:
        return said.model_copy(update={"outcome": Outcome.PASS, "message": f"{said.message} (dry run)"})
    is_eased = rule.severity is GateSeverity.WARNING
    return said.model_copy(update={"outcome": Outcome.WARN}) if is_eased else said


def _is_off(rule: Rule) -> bool:
    """A criterion with the limit `false` asks nothing, and so says nothing."""
    return isinstance(rule, Criterion) and rule.limit is False


def _ask_criterion(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    gate = _BY_NAME.get(canonical_name(criterion.name))
    if gate is None:
        return _silent(criterion, f"nothing that is collected answers {criterion.name}")
    return gate(evidence, criterion)


def _joined(name: str, said: list[CriterionVerdict], *, best: bool) -> CriterionVerdict:
    chosen = (min if best else max)(said, key=lambda one: one.outcome.rank)
    return chosen.model_copy(update={"name": f"{name}({', '.join(one.name for one in said)})"})


def _problem(problem: Problem) -> CriterionVerdict:
    outcome = _PROBLEM_OUTCOMES.get(problem.code, Outcome.ERROR)
    return CriterionVerdict(name="evidence", outcome=outcome, code=problem.code, message=problem.message)


def _findings(evidence: Evidence, criterion: Criterion, severity: Severity) -> CriterionVerdict:
    if (review := evidence.review) is None or not review.tools:
        return _silent(criterion, "no analyser's report was read")
    count = getattr(review, severity)
    said = _at_most(criterion, count, f"{{}} {severity} findings on the changed lines", f"too_many_{severity}")
    first = next((found for found in review.findings if found.severity is severity), None)
    if said.outcome.is_passed or first is None:
        return said
    return said.model_copy(update={"message": f"{said.message}, first: {first.file}:{first.line} {first.rule}"})


def _at_most(criterion: Criterion, measured: float, sentence: str, code: str) -> CriterionVerdict:
    is_met = measured <= _number(criterion.limit)
    warns = criterion.warn_at is not None and measured > criterion.warn_at
    message = f"{sentence.format(_shown(measured))}, at most {_shown(_number(criterion.limit))} allowed"
    return _compared(criterion, measured, message, "ok" if is_met else code, warns=warns)


def _at_least(criterion: Criterion, measured: float, sentence: str, code: str) -> CriterionVerdict:
    is_met = measured >= _number(criterion.limit)
    warns = criterion.warn_at is not None and measured < criterion.warn_at
    message = f"{sentence.format(_shown(measured))}, at least {_shown(_number(criterion.limit))} needed"
    return _compared(criterion, measured, message, "ok" if is_met else code, warns=warns)


def _compared(criterion: Criterion, measured: float, message: str, code: str, *, warns: bool) -> CriterionVerdict:
    limit = _number(criterion.limit)
    return CriterionVerdict(
        name=criterion.name,
        outcome=Outcome.FAIL if code != "ok" else Outcome.WARN if warns else Outcome.PASS,
        code=code,
        message=message,
        measured=measured,
        limit=limit,
        margin=round(measured - limit, 6),
        flip=f"a value of {_shown(limit)}",
    )


def _number(limit: Measured) -> float:
    return limit if isinstance(limit, (int, float)) else float(str(limit))


def _shown(number: float) -> str:
    return f"{number:g}" if abs(number) < 1e6 else f"{number:.0f}"


def _pass(criterion: Criterion, message: str, measured: Measured) -> CriterionVerdict:
    return CriterionVerdict(
        name=criterion.name, outcome=Outcome.PASS, code="ok", message=message, measured=measured, limit=criterion.limit
    )


def _fail(criterion: Criterion, code: str, message: str, measured: Measured) -> CriterionVerdict:
    flip = (GATES_MEANING.get(canonical_name(criterion.name)) or "").rstrip(".")
    return CriterionVerdict(
        name=criterion.name,
        outcome=Outcome.FAIL,
        code=code,
        message=message,
        measured=measured,
        limit=criterion.limit,
        flip=flip,
    )


def _silent(criterion: Criterion, message: str) -> CriterionVerdict:
    return CriterionVerdict(
        name=criterion.name, outcome=Outcome.NO_DATA, code="no_data", message=message, limit=criterion.limit
    )


GATES_MEANING: Final = {gate.__name__: (gate.__doc__ or "").strip().splitlines()[0] for gate in GATES}
"""The sentence of each gate, by name."""
