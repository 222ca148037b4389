"""Real contract facts for stories about one run: short to write, with everything that a gate asks for.

Commits are one letter repeated: `a` the base, `c` the change, `d` the integration commit, `e` its tree.
"""

from typing import Any, Final

from libs.contracts.evidence import (
    ChangedFile,
    DiffEvidence,
    Evidence,
    IntegrationEvidence,
    PlanEvidence,
    Problem,
    ReviewEvidence,
    TestCase,
    TestEvidence,
    TestOutcome,
)
from libs.contracts.facts import (
    ChangeMerged,
    ChangeRefused,
    DecisionRecorded,
    Fact,
    GateJudged,
    IssueOpened,
    LevelEarned,
    LevelGranted,
    PhaseCompleted,
    PhaseErrored,
    PolicyAdopted,
    RunStarted,
    Snapshot,
    WatchEnded,
    WatchStarted,
)
from libs.contracts.requests import DecisionRequest, issue_id, run_id, workflow_id
from libs.contracts.words import DecisionKind, Level, Phase
from libs.contracts.workflow import AutoMergePolicy, Policy, default_policy, policy_digest
from services.gatekeeper.dispositions import dispose
from services.gatekeeper.gates import classify

BASE: Final = "a" * 40
CHANGE: Final = "c" * 40
INTEGRATION: Final = "d" * 40
TREE: Final = "e" * 40
BODY: Final = "0" * 64
POLICY: Final = default_policy().model_copy(update={"auto_merge": AutoMergePolicy(enabled=True)})
REPOSITORY: Final = "/srv/shop"
ISSUE: Final = issue_id("cli", REPOSITORY, "7")
RUN: Final = run_id(ISSUE, 1)
WORKFLOW: Final = workflow_id(REPOSITORY)
ROUTE: Final = (Phase.PLAN, Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DOCUMENT, Phase.DEPLOY)

_CASE: Final = TestCase(name="test_total", outcome=TestOutcome.FAILED)
_TESTED: Final = TestEvidence(passed=3, exit_code=0)
_DIFF: Final = DiffEvidence(files=(ChangedFile(path="shop.py", status="M", lines_added=1, lines_removed=1),))
_INTEGRATION: Final = IntegrationEvidence(base=BASE, commit=INTEGRATION, tree=TREE, patch_id="p")

GOOD: Final = {
    Phase.PLAN: Evidence(plan=PlanEvidence(files_named=("shop.py",), issue_terms=("total",))),
    Phase.BUILD: Evidence(commit=CHANGE, tree=TREE, diff=_DIFF),
    Phase.TEST: Evidence(commit=CHANGE, tree=TREE, tests=_TESTED),
    Phase.REVIEW: Evidence(commit=CHANGE, tree=TREE, review=ReviewEvidence(tools=("ruff",))),
    Phase.DOCUMENT: Evidence(commit=CHANGE, tree=TREE, diff=_DIFF, changelog_touched=True),
    Phase.DEPLOY: Evidence(commit=INTEGRATION, tree=TREE, integration=_INTEGRATION, tests=_TESTED, diff=_DIFF),
}
BAD: Final = {
    Phase.PLAN: Evidence(plan=PlanEvidence(files_missing=("nowhere.py",), issue_terms=("total",))),
    Phase.BUILD: Evidence(commit=CHANGE, tree=TREE, diff=DiffEvidence()),
    Phase.TEST: Evidence(commit=CHANGE, tree=TREE, tests=TestEvidence(passed=2, failed=1, failures=(_CASE,))),
    Phase.REVIEW: Evidence(commit=CHANGE, tree=TREE, review=ReviewEvidence(tools=("ruff",), blocker=1)),
    Phase.DOCUMENT: Evidence(commit=CHANGE, tree=TREE, diff=_DIFF, changelog_touched=False),
    Phase.DEPLOY: Evidence(integration=IntegrationEvidence(base=BASE, conflicts=("shop.py",))),
}
SILENT: Final = Evidence(commit=CHANGE, tree=TREE)


def opened(*, policy: Policy = POLICY, level: Level | None = None, **more: Any) -> IssueOpened:
    snapshot = Snapshot(branch="main", base=BASE, policy=policy, policy_digest=policy_digest(policy))
    fields: dict[str, Any] = {"issue_type": "bug", "snapshot": snapshot, **more}
    return IssueOpened(
        issue=ISSUE,
        revision=1,
        workflow=WORKFLOW,
        tracker="cli",
        repository=REPOSITORY,
        key="7",
        request="request-1",
        title="The total is wrong",
        body=BODY,
        level=level,
        **fields,
    )


def adopted(policy: Policy = POLICY) -> PolicyAdopted:
    return PolicyAdopted(
        workflow=WORKFLOW, repository=REPOSITORY, commit=BASE, policy=policy, policy_digest=policy_digest(policy)
    )


def granted(level: Level) -> tuple[Fact, ...]:
    """A ladder on which this level was earned and granted."""
    return (
        LevelEarned(workflow=WORKFLOW, level=level, reason="the criteria hold"),
        LevelGranted(workflow=WORKFLOW, level=level, by="operator", reason="proven"),
    )


def started(*, policy: Policy = POLICY, level: Level = Level.ASSISTED, **more: Any) -> RunStarted:
    fields: dict[str, Any] = {"base": BASE, "issue_type": "bug", "phases": ROUTE, "agent": "repair", **more}
    return RunStarted(
        run=RUN,
        issue=ISSUE,
        revision=1,
        workflow=WORKFLOW,
        repository=REPOSITORY,
        branch="main",
        title="The total is wrong",
        body=BODY,
        level=level,
        policy=policy,
        policy_digest=policy_digest(policy),
        **fields,
    )


def completed(phase: Phase, attempt: int = 1, evidence: Evidence | None = None, **more: Any) -> PhaseCompleted:
    commit = BASE if phase in (Phase.INTENT, Phase.PLAN) else CHANGE
    return PhaseCompleted(
        run=RUN,
        phase=phase,
        attempt=attempt,
        worker="host:1",
        agent="repair",
        evidence=GOOD[phase] if evidence is None else evidence,
        **{"commit": commit, **more},
    )


def errored(phase: Phase, attempt: int = 1, *, is_retryable: bool = False) -> PhaseErrored:
    return PhaseErrored(
        run=RUN,
        phase=phase,
        attempt=attempt,
        worker="host:1",
        code="sandbox",
        message="the sandbox did not start",
        is_retryable=is_retryable,
    )


def judged(
    phase: Phase,
    attempt: int = 1,
    evidence: Evidence | None = None,
    *,
    level: Level = Level.ASSISTED,
    can_heal: bool = True,
    ladder_sequence: int = 0,
    commit: str | None = None,
) -> GateJudged:
    """What the gate of the default policy says of this evidence at this level."""
    evidence = GOOD[phase] if evidence is None else evidence
    verdict = classify(evidence, POLICY.gates[phase].criteria)
    disposed = dispose(level, phase, verdict, can_heal=can_heal)
    shadow = dispose(level.above, phase, verdict, can_heal=can_heal).disposition if level.above else None
    integration = evidence.integration
    return GateJudged(
        run=RUN,
        phase=phase,
        attempt=attempt,
        verdict=verdict,
        disposition=disposed.disposition,
        reason=disposed.reason,
        level_in_force=level,
        ladder_sequence=ladder_sequence,
        shadow=shadow,
        commit=integration.commit if integration else commit or (BASE if phase is Phase.PLAN else CHANGE),
        tree=integration.tree if integration else evidence.tree,
        patch_id=integration.patch_id if integration else None,
        policy_digest=policy_digest(POLICY),
    )


def asks(kind: DecisionKind, decision: str = "d1", **more: Any) -> DecisionRequest:
    """A person's request about the run."""
    fields: dict[str, Any] = {"by": "ann", "os_user": "ann", "reason": "seen", **more}
    return DecisionRequest(decision=decision, run=RUN, kind=kind, **fields)


def decided(kind: DecisionKind, phase: Phase, attempt: int = 1, decision: str = "d1", **more: Any) -> DecisionRecorded:
    fields: dict[str, Any] = {"commit": CHANGE, "automatic": False, "reason": "seen", **more}
    return DecisionRecorded(
        run=RUN,
        decision=decision,
        kind=kind,
        by="ann",
        os_user="ann",
        phase=phase,
        attempt=attempt,
        policy_digest=policy_digest(POLICY),
        **fields,
    )


def merged() -> ChangeMerged:
    return ChangeMerged(run=RUN, base=BASE, tip=INTEGRATION, tree=TREE, target="main", method="squash")


def refused(code: str = "dirty") -> ChangeRefused:
    fields: dict[str, Any] = {"code": code}
    return ChangeRefused(run=RUN, attempt=1, commit=INTEGRATION, base=BASE, message=f"nothing moved: {code}", **fields)


def watch_started() -> WatchStarted:
    return WatchStarted(run=RUN, tip=INTEGRATION, started_at=2_000.0, ends_at=2_600.0)


def watch_ended(outcome: str = "clear") -> WatchEnded:
    fields: dict[str, Any] = {"outcome": outcome}
    return WatchEnded(run=RUN, reason="nothing stood out", **fields)


def problem(code: str) -> Evidence:
    return Evidence(commit=CHANGE, tree=TREE, problems=(Problem(code=code, message=f"because of {code}"),))
