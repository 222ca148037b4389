"""Questions about documentation."""

from libs.contracts.evidence import Evidence
from libs.contracts.verdict import CriterionVerdict
from libs.contracts.workflow import Criterion
from services.gatekeeper.questions.measuring import failed, none_of, passed, silent

UNREAD = "nobody looked at the documents"


def has_changelog_entry(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The change adds to the changelog."""
    if evidence.changelog_touched is None:
        return silent(criterion, "nobody looked for a changelog")
    if not evidence.changelog_touched:
        return failed(criterion, "changelog_untouched", "the change adds nothing to a changelog", measured=False)
    return passed(criterion, "the changelog has an entry", measured=True)


def no_broken_links(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """Every link between files of the repository leads somewhere; addresses elsewhere are not tried."""
    if (documents := evidence.documents) is None:
        return silent(criterion, UNREAD)
    fine = f"{documents.links_checked} links lead somewhere"
    return none_of(criterion, documents.broken_links, "links_broken", "links lead nowhere", fine)


def readme_updated_if_needed(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No readme speaks of a public name that the change removed."""
    if (documents := evidence.documents) is None:
        return silent(criterion, UNREAD)
    return none_of(
        criterion,
        documents.stale,
        "readme_stale",
        "a readme still speaks of what was removed",
        "no readme speaks of what was removed",
    )


def all_public_apis_documented(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """Every public name in the changed files has documentation."""
    documents = evidence.documents
    if documents is None or documents.undocumented is None:
        return silent(criterion, "nobody can tell which names are public in these files")
    return none_of(
        criterion,
        documents.undocumented,
        "api_undocumented",
        "public names have no documentation",
        "every public name in the changed files is documented",
    )
