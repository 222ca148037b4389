"""Questions about the change itself and about its landing."""

from libs.contracts.evidence import Evidence
from libs.contracts.verdict import CriterionVerdict
from libs.contracts.workflow import Criterion
from services.gatekeeper.questions.measuring import at_most, failed, named, passed, silent


def has_change(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change touches at least one file."""
    if (diff := evidence.diff) is None:
        return silent(criterion, "no change was collected")
    if not diff.files:
        return failed(criterion, "change_empty", "the change is empty", 0)
    return passed(criterion, f"{diff.files_changed} files changed", diff.files_changed)


def applies_cleanly(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change applies to its base and holds nothing that is refused."""
    if (diff := evidence.diff) is None:
        return silent(criterion, "no change was collected")
    if diff.refused:
        return failed(criterion, "change_refused", "; ".join(diff.refused[:3]), len(diff.refused))
    return passed(criterion, "the change stands on its base", 0)


def nothing_protected_touched(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No protected path and nothing refused (symlinks, submodules) is in the change."""
    if (diff := evidence.diff) is None:
        return silent(criterion, "no change was collected")
    if diff.protected:
        said = f"protected paths are changed: {named(diff.protected)}"
        return failed(criterion, "protected_touched", said, len(diff.protected))
    return applies_cleanly(evidence, criterion)


def max_files_changed(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change touches no more files than the limit."""
    if (diff := evidence.diff) is None:
        return silent(criterion, "no change was collected")
    return at_most(criterion, diff.files_changed, "{} files changed", "change_too_wide")


def no_merge_conflicts(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change joins the current tip without a conflict."""
    if (integration := evidence.integration) is None:
        return silent(criterion, "no integration commit was tried")
    if (conflicts := integration.conflicts) or integration.commit is None:
        said = f"the change conflicts with the current tip in {named(conflicts)}"
        return failed(criterion, "merge_conflict", said, len(conflicts))
    return passed(criterion, "the change applies on the current tip", 0)


def branch_up_to_date(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change stands on the current tip of its target branch."""
    return no_merge_conflicts(evidence, criterion)


def pr_created(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change stands on a branch of its own, with a description, for people to look at."""
    if evidence.is_proposed is None:
        return silent(criterion, "nobody looked for a proposed change")
    if not evidence.is_proposed:
        return failed(criterion, "not_proposed", "the change was not proposed", measured=False)
    return passed(criterion, "the change is proposed on its own branch", measured=True)


def all_commits_signed(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The commit that would land carries a valid signature."""
    if (unsigned := evidence.unsigned_count) is None:
        return silent(criterion, "nobody looked for signatures")
    if unsigned:
        return failed(criterion, "unsigned_commits", f"{unsigned} commits carry no valid signature", unsigned)
    return passed(criterion, "every commit is signed", 0)
