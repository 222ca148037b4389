"""The criteria a gate may ask for: one table, by name, with form, unit and the evidence that answers it.

A name not in the table is refused when a workflow is read, unless the workflow declares it as
`reported` (or it starts with `has_`): then its form follows from its name and its limit.
"""

from difflib import get_close_matches
from enum import StrEnum
from typing import Final, NamedTuple

from libs.contracts.words import Phase

Limit = bool | int | float | str


class Form(StrEnum):
    """How a measured value is held against the limit: is true, at least, at most, equals."""

    BOOL = "bool"
    MIN = "min"
    MAX = "max"
    EXACT = "exact"


class Unit(StrEnum):
    TRUTH = "truth"
    PERCENT = "percent"
    COUNT = "count"
    MILLISECONDS = "ms"


class CriterionSpec(NamedTuple):
    """`evidence` names the parts of `Evidence` it reads: empty, nothing that is collected answers it.

    `same_as` names the criterion of which this is another spelling.
    """

    name: str
    form: Form
    unit: Unit
    phases: tuple[Phase, ...]
    evidence: tuple[str, ...]
    meaning: str
    same_as: str = ""


_PLAN = (Phase.INTENT, Phase.PLAN)
_BUILD = (Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DOCUMENT, Phase.DEPLOY)
_TESTED = (Phase.TEST, Phase.BUILD, Phase.DEPLOY)
_REVIEWED = (Phase.REVIEW, Phase.BUILD, Phase.DEPLOY)
_LINTED = (Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DEPLOY)
_DOCUMENTED = (Phase.DOCUMENT, Phase.DEPLOY)
_DEPLOYED = (Phase.DEPLOY,)


def _flag(
    name: str, phases: tuple[Phase, ...], evidence: tuple[str, ...], meaning: str, same_as: str = ""
) -> CriterionSpec:
    return CriterionSpec(name, Form.BOOL, Unit.TRUTH, phases, evidence, meaning, same_as)


def _at_most(
    name: str, phases: tuple[Phase, ...], evidence: tuple[str, ...], meaning: str, unit: Unit = Unit.COUNT
) -> CriterionSpec:
    return CriterionSpec(name, Form.MAX, unit, phases, evidence, meaning)


def _coverage(name: str, same_as: str = "") -> CriterionSpec:
    meaning = "Share of runnable lines that the tests ran, by the coverage report."
    return CriterionSpec(name, Form.MIN, Unit.PERCENT, _TESTED, ("coverage",), meaning, same_as)


def _share(name: str, evidence: str, meaning: str) -> CriterionSpec:
    return CriterionSpec(name, Form.MIN, Unit.PERCENT, _TESTED, (evidence,), meaning)


_SPECS: Final = (
    _flag("names_existing_files", _PLAN, ("plan",), "The plan names at least one file and every named file exists."),
    _flag("answers_issue", _PLAN, ("plan",), "The plan is not empty and speaks of what the issue asks for."),
    _flag("has_change", _BUILD, ("diff",), "The change touches at least one file."),
    _flag("applies_cleanly", _BUILD, ("diff",), "The change applies to its base and holds nothing that is refused."),
    _flag("nothing_protected_touched", _BUILD, ("diff",), "No protected path is changed."),
    _flag("all_pass", _TESTED, ("tests",), "At least one test ran and none failed or errored."),
    _flag("all_tests_pass", _TESTED, ("tests",), "At least one test ran and none failed or errored.", "all_pass"),
    _coverage("coverage_min"),
    _coverage("coverage_minimum", "coverage_min"),
    _flag("new_code_covered", _TESTED, ("coverage",), "Every runnable line that the change added was run by a test."),
    _share("new_code_coverage_min", "coverage", "Share of the changed runnable lines that the tests ran."),
    _share("mutation_score_min", "mutation", "Share of the mutants of the changed lines that the tests noticed."),
    _flag("no_surviving_mutants", _TESTED, ("mutation",), "The tests noticed every mutant of the changed lines."),
    _flag("no_skipped_tests", _TESTED, ("tests",), "No test was skipped."),
    _at_most("max_test_duration_ms", _TESTED, ("tests",), "How long all tests took together.", Unit.MILLISECONDS),
    _flag("no_snapshot_regressions", _TESTED, ("tests",), "No recorded snapshot differs or was changed."),
    _at_most("max_blockers", _REVIEWED, ("review",), "Blocker findings on the changed lines."),
    _flag("no_blockers", _REVIEWED, ("review",), "No blocker finding on the changed lines."),
    _at_most("max_critical", _REVIEWED, ("review",), "Critical findings on the changed lines."),
    _at_most("tech_debt_max", _REVIEWED, ("review",), "Findings of technical debt (major, minor) on changed lines."),
    _flag("tech_debt_logged", _REVIEWED, ("review",), "Findings of technical debt are recorded one by one."),
    _at_most("security_issues", _REVIEWED, ("review",), "Findings of security analysers on the changed lines."),
    _flag("plan_adherence", _REVIEWED, ("strayed",), "The change touches no code that the plan does not name."),
    _at_most("lint_errors", _REVIEWED, ("review",), "Linter findings of level error on the changed lines."),
    _at_most("lint_warnings_max", _REVIEWED, ("review",), "Linter findings of lesser level on the changed lines."),
    _flag("type_check_pass", _REVIEWED, ("review",), "A type checker ran and found nothing on the changed lines."),
    _flag("has_changelog_entry", _DOCUMENTED, ("changelog_touched",), "The change adds to the changelog."),
    _flag(
        "no_broken_links", _DOCUMENTED, ("documents",), "Every link between files of the repository leads somewhere."
    ),
    _flag("readme_updated_if_needed", _DOCUMENTED, ("documents",), "No readme speaks of a name that was removed."),
    _flag("all_public_apis_documented", _DOCUMENTED, ("documents",), "Public names in changed files are documented."),
    _flag("pr_created", _DEPLOYED, ("is_proposed",), "The change was proposed on a branch of its own."),
    _flag("branch_up_to_date", _DEPLOYED, ("integration",), "The change stands on the current tip."),
    _flag("no_merge_conflicts", _DEPLOYED, ("integration",), "The change joins the current tip without a conflict."),
    _flag("ci_pipeline_pass", _DEPLOYED, (), "The forge's own checks passed on the integration commit."),
    _flag("all_commits_signed", _DEPLOYED, ("unsigned_count",), "The commit that would land is signed."),
    _at_most("max_files_changed", _BUILD, ("diff",), "How many files the change touches."),
)

CRITERIA: Final[dict[str, CriterionSpec]] = {spec.name: spec for spec in _SPECS}

_FORMS_BY_END: Final = (("_min", Form.MIN), ("_minimum", Form.MIN), ("_max", Form.MAX), ("_maximum", Form.MAX))
_FORMS_BY_START: Final = (("min_", Form.MIN), ("max_", Form.MAX))


def canonical_name(name: str) -> str:
    """The one name under which two spellings of a criterion are the same."""
    spec = CRITERIA.get(name)
    return spec.same_as or name if spec else name


def form_of(name: str, limit: Limit) -> Form:
    """How the measured value is held against the limit; for a reported criterion its name and limit say so."""
    if name in CRITERIA:
        return CRITERIA[name].form
    if isinstance(limit, bool):
        return Form.BOOL
    if isinstance(limit, str):
        return Form.EXACT
    ends = (form for end, form in _FORMS_BY_END if name.endswith(end))
    starts = (form for start, form in _FORMS_BY_START if name.startswith(start))
    return next(ends, None) or next(starts, Form.EXACT)


def nearest_criterion(name: str) -> str | None:
    """The known criterion that was probably meant; `None` if no name is near."""
    return next(iter(get_close_matches(name, CRITERIA, n=1, cutoff=0.75)), None)
