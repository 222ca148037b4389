"""Questions about what analysers found on the changed lines."""

from libs.contracts.evidence import Evidence, ReviewEvidence
from libs.contracts.verdict import CriterionVerdict
from libs.contracts.words import Severity
from libs.contracts.workflow import Criterion
from services.gatekeeper.questions.measuring import at_most, failed, passed, silent

UNREAD = "no analyser's report was read"


def max_blockers(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more blocker findings on the changed lines than the limit."""
    return _of_severity(evidence, criterion, Severity.BLOCKER)


def max_critical(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more critical findings on the changed lines than the limit."""
    return _of_severity(evidence, criterion, Severity.CRITICAL)


def no_blockers(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No blocker finding on the changed lines."""
    return _of_severity(evidence, criterion.model_copy(update={"limit": 0}), Severity.BLOCKER)


def security_issues(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more findings of security analysers on the changed lines than the limit."""
    if (review := _read(evidence)) is None:
        return silent(criterion, UNREAD)
    return at_most(criterion, review.security, "{} findings about security", "security_issues")


def lint_errors(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more linter findings of level error on the changed lines than the limit."""
    if (review := _read(evidence)) is None:
        return silent(criterion, UNREAD)
    return at_most(criterion, review.lint_errors, "{} linter errors", "lint_errors")


def lint_warnings_max(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more linter findings of lesser level on the changed lines than the limit."""
    if (review := _read(evidence)) is None:
        return silent(criterion, UNREAD)
    return at_most(criterion, review.lint_warnings, "{} linter warnings", "lint_warnings")


def type_check_pass(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """A type checker ran and found nothing on the changed lines."""
    if (review := _read(evidence)) is None or review.type_errors is None:
        return silent(criterion, "no type checker's report was read")
    if review.type_errors:
        return failed(criterion, "type_errors", f"{review.type_errors} type errors", review.type_errors)
    return passed(criterion, "the type checker found nothing", 0)


def tech_debt_max(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """No more findings of technical debt (major, minor) on the changed lines than the limit."""
    if (review := _read(evidence)) is None:
        return silent(criterion, UNREAD)
    return at_most(criterion, review.major + review.minor, "{} findings of technical debt", "too_much_debt")


def tech_debt_logged(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """Every finding of technical debt stands one by one in the log."""
    if (review := _read(evidence)) is None:
        return silent(criterion, UNREAD)
    debt = review.major + review.minor
    logged = sum(finding.severity in (Severity.MAJOR, Severity.MINOR) for finding in review.findings)
    if logged < debt and FINDINGS not in evidence.artifacts:
        return failed(criterion, "debt_not_logged", f"{debt - logged} findings of technical debt are not listed", debt)
    return passed(criterion, f"{debt} findings of technical debt are listed", debt)


FINDINGS = "findings.json"
"""The artifact that lists every finding, however many there are."""


def _read(evidence: Evidence) -> ReviewEvidence | None:
    return evidence.review if evidence.review and evidence.review.tools else None


def _of_severity(evidence: Evidence, criterion: Criterion, severity: Severity) -> CriterionVerdict:
    if (review := _read(evidence)) is None:
        return silent(criterion, UNREAD)
    sentence = f"{{}} {severity} findings on the changed lines"
    said = at_most(criterion, getattr(review, severity), sentence, f"too_many_{severity}")
    first = next((found for found in review.findings if found.severity is severity), None)
    if said.outcome.is_passed or first is None:
        return said
    return said.model_copy(update={"message": f"{said.message}, first: {first.file}:{first.line} {first.rule}"})
