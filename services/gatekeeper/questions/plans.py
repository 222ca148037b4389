"""Questions about the plan, and about whether the change keeps to it."""

from libs.contracts.evidence import Evidence
from libs.contracts.verdict import CriterionVerdict
from libs.contracts.workflow import Criterion
from services.gatekeeper.questions.measuring import failed, named, none_of, passed, silent


def names_existing_files(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The plan names at least one file of the repository, and every file it names exists."""
    if (plan := evidence.plan) is None:
        return silent(criterion, "no plan was read")
    if missing := plan.files_missing:
        said = f"the plan names files that do not exist: {named(missing)}"
        return failed(criterion, "plan_names_missing_files", said, len(missing))
    if not plan.files_named:
        return failed(criterion, "plan_names_no_file", "the plan names no file of the repository", 0)
    return passed(criterion, f"the plan names {len(plan.files_named)} existing files", len(plan.files_named))


def answers_issue(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The plan is not empty and speaks of what the issue asks for."""
    if (plan := evidence.plan) is None:
        return silent(criterion, "no plan was read")
    if plan.is_empty:
        return failed(criterion, "plan_empty", "the plan is empty", 0)
    if not plan.issue_terms:
        return failed(criterion, "plan_off_topic", "the plan uses no word of the issue", 0)
    return passed(criterion, "the plan speaks of " + ", ".join(plan.issue_terms[:5]), len(plan.issue_terms))


def plan_adherence(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change touches no code that the plan does not name."""
    if evidence.strayed is None:
        return silent(criterion, "there is no plan to hold the change against")
    return none_of(
        criterion,
        evidence.strayed,
        "plan_left",
        "the plan names not all that is changed",
        "the change keeps to the files of the plan",
    )
