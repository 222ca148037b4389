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

    `targets` are the tests that the plan set out to repair.
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

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors + self.skipped


class CoverageEvidence(Frozen):
    """Covered lines over lines that could run; `changed_*` the same over the lines that the change added."""

    covered_count: Count
    lines_count: Count
    changed_covered_count: Count | None = None
    changed_lines_count: Count | None = None

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


class ReviewEvidence(Frozen):
    """Findings on the changed lines only; `tools` ran and were read, so no findings from them is an answer."""

    tools: tuple[str, ...] = ()
    blocker: Count = 0
    critical: Count = 0
    major: Count = 0
    minor: Count = 0
    info: Count = 0
    findings: tuple[Finding, ...] = ()


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
    """All that was collected for one attempt; artifacts by name and digest hold the reports themselves."""

    commit: ObjectId | None = None
    tree: ObjectId | None = None
    plan: PlanEvidence | None = None
    diff: DiffEvidence | None = None
    tests: TestEvidence | None = None
    coverage: CoverageEvidence | None = None
    review: ReviewEvidence | None = None
    integration: IntegrationEvidence | None = None
    changelog_touched: bool | None = None
    problems: tuple[Problem, ...] = ()
    artifacts: dict[str, Digest] = Field(default_factory=dict)
