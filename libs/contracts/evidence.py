"""What was measured for an attempt: collected by Rung from tools' reports, never claimed by an agent.

A part that is `None` was not collected, which no criterion takes for consent. A report that
should have been there and could not be read leaves a `Problem`, which never passes.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from libs.contracts.words import Digest, Frozen, ObjectId, Severity

Count = Annotated[int, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0, le=1)]

FAILURES_KEPT = 50
"""Failures named one by one in a fact; the counts stay exact, the full report is an artifact."""


class TestOutcome(StrEnum):
    __test__ = False

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class TestCase(Frozen):
    """One test as a report tells it; `name` is unique within a report as far as the tool makes it so."""

    __test__ = False

    name: str
    outcome: TestOutcome
    duration_s: float = 0.0
    file: str | None = None
    message: str = ""


class TestEvidence(Frozen):
    """Counts over all cases; `failures` names the first failed or errored ones.

    `targets` are the tests that the plan set out to repair. Of the failures, `flaky` passed when they were
    run again on the same commit, and `preexisting` fail on the base too and are no targets; the names are
    the first of each. `quarantined` are flaky ones that the gate lists. `command` runs the tests by hand.
    """

    __test__ = False

    passed: Count = 0
    failed: Count = 0
    errors: Count = 0
    skipped: Count = 0
    duration_s: float = 0.0
    exit_code: int | None = None
    failures: tuple[TestCase, ...] = ()
    targets: tuple[str, ...] = ()
    targets_passed: Count = 0
    flaky: Count = 0
    flaky_names: tuple[str, ...] = ()
    preexisting: Count = 0
    preexisting_names: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    command: str = ""

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors + self.skipped


class CoverageEvidence(Frozen):
    """Covered lines over lines that could run; `changed_*` the same over the lines that the change added."""

    covered_count: Count
    lines_count: Count
    changed_covered_count: Count | None = None
    changed_lines_count: Count | None = None
    base_covered_count: Count | None = None
    base_lines_count: Count | None = None

    @property
    def changed_ratio(self) -> float | None:
        """The same share over the changed lines; `None` when they were not looked at, or none can run."""
        if self.changed_covered_count is None or not self.changed_lines_count:
            return None
        return self.changed_covered_count / self.changed_lines_count

    @property
    def base_ratio(self) -> float | None:
        """The same share on the base; `None` when it was not measured."""
        return (
            self.base_covered_count / self.base_lines_count
            if self.base_covered_count is not None and self.base_lines_count
            else None
        )

    @property
    def lines_ratio(self) -> float | None:
        """Share of runnable lines that ran.

        Unit:    ratio, 0 to 1.
        None:    the report holds no runnable line.
        Raises:  nothing.
        Source:  criterion `coverage_min` of the framework (there in percent).
        """
        return self.covered_count / self.lines_count if self.lines_count else None


class Finding(Frozen):
    """One remark of an analyser; `line` counts from 1, `fingerprint` is stable when lines move."""

    tool: str
    rule: str
    severity: Severity
    file: str
    line: Count = 0
    message: str = ""
    fingerprint: str = ""
    is_security: bool = False


class Waived(Frozen):
    """A finding that a waiver lets pass; `days_left` is negative once it has expired, and then the finding counts."""

    fingerprint: str
    severity: Severity
    rule: str
    file: str
    author: str
    reason: str
    days_left: int


class ReviewEvidence(Frozen):
    """Findings on the changed lines only; `tools` ran and were read, so no findings from them is an answer.

    Waived findings are in no count. `lint_errors` and `lint_warnings` go by the level that the tools gave,
    `type_errors` by type checkers alone, `None` when none ran. `command` runs the analysers by hand.
    """

    tools: tuple[str, ...] = ()
    blocker: Count = 0
    critical: Count = 0
    major: Count = 0
    minor: Count = 0
    info: Count = 0
    findings: tuple[Finding, ...] = ()
    security: Count = 0
    lint_errors: Count = 0
    lint_warnings: Count = 0
    type_errors: Count | None = None
    waived: tuple[Waived, ...] = ()
    command: str = ""


class Mutant(Frozen):
    """A small change to a changed line which no test noticed."""

    path: str
    line: Count
    change: str


class MutationEvidence(Frozen):
    """Mutants of the changed lines: how many were tried, how many made a test fail, and the first that did not."""

    tried: Count
    killed: Count
    survivors: tuple[Mutant, ...] = ()


class DocumentEvidence(Frozen):
    """What was found in the documents of the candidate; each list names the first ones.

    `undocumented` are public names of changed files without documentation, `None` when nobody can tell;
    `stale` are names that the change removed and a readme still speaks of.
    """

    links_checked: Count = 0
    broken_links: tuple[str, ...] = ()
    undocumented: tuple[str, ...] | None = None
    stale: tuple[str, ...] = ()


class ChangedFile(Frozen):
    """One path of a change. `status` is git's letter (A, M, D, T); line counts are `None` for binary files."""

    path: str
    status: str
    lines_added: Count | None = None
    lines_removed: Count | None = None


class DiffEvidence(Frozen):
    """A change against its base, without rename detection.

    `refused` names what no change may hold (symlinks, submodules) as sentences; `protected` the
    changed paths that the policy protects.
    """

    files: tuple[ChangedFile, ...] = ()
    protected: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def files_changed(self) -> int:
        return len(self.files)


class PlanEvidence(Frozen):
    """What a plan names: files that exist on the base, files that do not, and the issue's own terms."""

    files_named: tuple[str, ...] = ()
    files_missing: tuple[str, ...] = ()
    issue_terms: tuple[str, ...] = ()
    is_empty: bool = False


class IntegrationEvidence(Frozen):
    """The commit that would land: `tree` on `base`; `conflicts` are the paths that kept it from being made."""

    base: ObjectId
    commit: ObjectId | None = None
    tree: ObjectId | None = None
    patch_id: str | None = None
    conflicts: tuple[str, ...] = ()


class Problem(Frozen):
    """Evidence that should be there and is not; `code` is stable, `message` one sentence for a person."""

    code: str
    message: str


class Evidence(Frozen):
    """All that was collected for one attempt; artifacts by name and digest hold the reports themselves.

    `strayed` are changed files that the plan does not name, `unsigned_count` commits of the change without a
    valid signature, `reported` the values that the repository's own reports hold.
    """

    commit: ObjectId | None = None
    tree: ObjectId | None = None
    plan: PlanEvidence | None = None
    diff: DiffEvidence | None = None
    tests: TestEvidence | None = None
    coverage: CoverageEvidence | None = None
    review: ReviewEvidence | None = None
    integration: IntegrationEvidence | None = None
    changelog_touched: bool | None = None
    mutation: MutationEvidence | None = None
    documents: DocumentEvidence | None = None
    strayed: tuple[str, ...] | None = None
    is_proposed: bool | None = None
    unsigned_count: Count | None = None
    reported: dict[str, bool | int | float | str] = Field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    artifacts: dict[str, Digest] = Field(default_factory=dict)
