"""The gates: every question that may be asked of the evidence, and how the answers become one verdict.

A gate's name is its function's name and the name in the workflow and the verdict; its docstring
is the sentence a person reads. `GATES` lists all of them. Silence is not consent: a criterion that
no evidence answers is `no_data`, an empty list of criteria never passes, and a problem with the
evidence stands in the verdict beside the criteria.
"""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from libs.contracts.criteria import CRITERIA, canonical_name
from libs.contracts.evidence import Evidence, Problem, TestEvidence
from libs.contracts.verdict import CriterionVerdict, Verdict, worst
from libs.contracts.words import Outcome, Phase
from libs.contracts.workflow import AllOf, AnyOf, Criterion, GateSeverity, Policy, Rule
from services.gatekeeper.questions import changes, documents, findings, own, plans, tests

Gate = Callable[[Evidence, Criterion], CriterionVerdict]

GATES: Final[tuple[Gate, ...]] = (
    plans.names_existing_files,
    plans.answers_issue,
    plans.plan_adherence,
    changes.has_change,
    changes.applies_cleanly,
    changes.nothing_protected_touched,
    changes.max_files_changed,
    changes.no_merge_conflicts,
    changes.branch_up_to_date,
    changes.pr_created,
    changes.all_commits_signed,
    tests.all_pass,
    tests.no_skipped_tests,
    tests.max_test_duration_ms,
    tests.no_snapshot_regressions,
    tests.coverage_min,
    tests.new_code_covered,
    tests.new_code_coverage_min,
    tests.mutation_score_min,
    tests.no_surviving_mutants,
    findings.max_blockers,
    findings.max_critical,
    findings.no_blockers,
    findings.security_issues,
    findings.lint_errors,
    findings.lint_warnings_max,
    findings.type_check_pass,
    findings.tech_debt_max,
    findings.tech_debt_logged,
    documents.has_changelog_entry,
    documents.no_broken_links,
    documents.readme_updated_if_needed,
    documents.all_public_apis_documented,
)

_BY_NAME: Final[dict[str, Gate]] = {gate.__name__: gate for gate in GATES}

GATES_MEANING: Final = {gate.__name__: (gate.__doc__ or "").strip().splitlines()[0] for gate in GATES}
"""The sentence of each gate, by name."""

FOUL_PLAY: Final = (
    *("test_removed", "test_skipped", "base_test_broken", "fix_unproven", "report_contradicted"),
    *("runner_changed", "dependencies_changed", "suppression_added"),
    *("special_cased", "equality_faked", "runtime_patched", "document_touched_code"),
)
"""Problems that a change makes for its own judging: only a human lets them pass."""

_PROBLEM_OUTCOMES: Final = {
    "collection_failed": Outcome.FAIL,
    "no_tests": Outcome.NO_DATA,
    "report_missing": Outcome.NO_DATA,
    "deadline_passed": Outcome.NO_DATA,
    "infrastructure": Outcome.NO_DATA,
    "base_unmeasured": Outcome.NO_DATA,
    **dict.fromkeys(FOUL_PLAY, Outcome.FAIL),
}
"""How a problem with the evidence weighs; one that is not listed could not be judged at all."""

WAIVER_WARNS_DAYS: Final = 14


def verdict_of(policy: Policy, phase: Phase, evidence: Evidence, *, declined: str | None = None) -> Verdict:
    """What the gate after a phase says of the evidence."""
    flaky = policy.gates[phase].flaky if phase in policy.gates else ()
    return classify(evidence, policy.criteria_of(phase), declined=declined, flaky=flaky)


def classify(
    evidence: Evidence, rules: Iterable[Rule], *, declined: str | None = None, flaky: Sequence[str] = ()
) -> Verdict:
    """The verdict on an attempt: every rule asked, every problem listed, the worst outcome wins.

    `flaky` are names or globs of tests that the gate knows to be so.
    """
    if declined is not None:
        said = CriterionVerdict(name="worker", outcome=Outcome.FAIL, code="declined", message=declined)
        return Verdict(outcome=Outcome.FAIL, criteria=(said,))
    seen = _with_quarantine(evidence, flaky)
    asked = tuple(ask(seen, rule) for rule in rules if not _is_off(rule))
    beside = (*(_problem(problem) for problem in evidence.problems), *_waivers(evidence))
    return worst((*beside, *asked)) if asked else worst(())


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
    return isinstance(rule, Criterion) and rule.limit is False and rule.name in CRITERIA


def _ask_criterion(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    name = canonical_name(criterion.name)
    said = _BY_NAME.get(name, own.reported)(evidence, criterion)
    return said.model_copy(update={"reproduce": _command(evidence, name)})


def _command(evidence: Evidence, name: str) -> str:
    """By which command a person measures the same."""
    read = CRITERIA[name].evidence if name in CRITERIA else ()
    if "review" in read:
        return evidence.review.command if evidence.review else ""
    return evidence.tests.command if evidence.tests and {"tests", "coverage", "mutation"} & {*read} else ""


def _joined(name: str, said: list[CriterionVerdict], *, best: bool) -> CriterionVerdict:
    chosen = (min if best else max)(said, key=lambda one: one.outcome.rank)
    return chosen.model_copy(update={"name": f"{name}({', '.join(one.name for one in said)})"})


def _problem(problem: Problem) -> CriterionVerdict:
    outcome = _PROBLEM_OUTCOMES.get(problem.code, Outcome.ERROR)
    return CriterionVerdict(name="evidence", outcome=outcome, code=problem.code, message=problem.message)


def _with_quarantine(evidence: Evidence, flaky: Sequence[str]) -> Evidence:
    """The evidence with the flaky tests that the gate lists set apart; one that never passed is never among them."""
    if evidence.tests is None or not flaky:
        return evidence
    tests: TestEvidence = evidence.tests
    listed = tuple(name for name in tests.flaky_names if any(fnmatchcase(name, glob) for glob in flaky))
    rest = tuple(name for name in tests.flaky_names if name not in listed)
    changed = {"quarantined": listed, "flaky": tests.flaky - len(listed), "flaky_names": rest}
    return evidence.model_copy(update={"tests": tests.model_copy(update=changed)})


def _waivers(evidence: Evidence) -> Iterable[CriterionVerdict]:
    """Findings that were waived are tallied apart, and warned of before and after their waiver expires."""
    for waived in evidence.review.waived if evidence.review else ():
        who = f"{waived.severity} finding {waived.rule} in {waived.file}, waived by {waived.author} ({waived.reason})"
        if waived.days_left < 0:
            outcome, code, when = Outcome.WARN, "waiver_expired", f"the waiver expired {-waived.days_left} days ago"
        elif waived.days_left <= WAIVER_WARNS_DAYS:
            outcome, code, when = Outcome.WARN, "waiver_expires", f"the waiver expires in {waived.days_left} days"
        else:
            outcome, code, when = Outcome.PASS, "waived", f"for {waived.days_left} days more"
        yield CriterionVerdict(
            name="waivers", outcome=outcome, code=code, message=f"{who}; {when}", measured=waived.days_left
        )
