"""Every fact that can stand in the log: past tense, never changed, each stated by one service only.

A fact's type is `noun.participle`; its subject is the aggregate, the type and, where one
aggregate holds several, the fields named by `place`. `SPEAKERS` says who may state what;
publish rights and the published document are made from it.
"""

from typing import Annotated, ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from libs.contracts.evidence import Count, Evidence
from libs.contracts.verdict import Verdict
from libs.contracts.words import (
    DecisionKind,
    Digest,
    Disposition,
    Frozen,
    Level,
    ObjectId,
    Phase,
    RunOutcome,
    Service,
    Token,
)
from libs.contracts.workflow import Policy

Attempt = Annotated[int, Field(ge=1)]
Moment = Annotated[float, Field(ge=0)]
"""Seconds since 1970-01-01 UTC, taken from the store's time of an earlier fact."""


class Fact(Frozen):
    """What all facts share; `aggregate` is the field that names the aggregate instance."""

    type: ClassVar[str]
    version: ClassVar[int] = 1
    stream: ClassVar[Literal["run", "workflow", "issue", "service"]]
    aggregate: ClassVar[str]
    place: ClassVar[tuple[str, ...]] = ()

    @property
    def subject(self) -> str:
        tail = "".join(f".{getattr(self, field)}" for field in self.place)
        return f"{self.stream}.{getattr(self, self.aggregate)}.{self.type}{tail}"


class Owed(NamedTuple):
    """A fact that is to be stated, and the id of the fact that caused it."""

    fact: Fact
    cause: str


class RunFact(Fact):
    stream = "run"
    aggregate = "run"
    run: Token


class LadderFact(Fact):
    stream = "workflow"
    aggregate = "workflow"
    workflow: Token


class IssueFact(Fact):
    """About one revision of an issue; the subject ends with the revision."""

    stream = "issue"
    aggregate = "issue"
    issue: Token
    revision: Annotated[int, Field(ge=1)]

    @property
    def subject(self) -> str:
        return f"issue.{self.issue}.{self.type.removeprefix('issue.')}.{self.revision}"


class ServiceFact(Fact):
    stream = "service"
    aggregate = "service"
    service: Service


class PhaseFact(RunFact):
    place = ("phase", "attempt")
    phase: Phase
    attempt: Attempt


# -- issues: the planner ------------------------------------------------------


class Snapshot(Frozen):
    """The repository as it was when the issue came in; the policy is the base commit's.

    `problem` is one sentence when no run can begin: no repository, no commit, a refused workflow.
    """

    branch: str = ""
    base: ObjectId | None = None
    policy: Policy
    policy_digest: Digest
    has_workflow: bool = False
    warnings: tuple[str, ...] = ()
    problem: str | None = None


class IssueOpened(IssueFact):
    """A revision of an issue was accepted; its body is the artifact `body`."""

    type = "issue.opened"
    workflow: Token
    tracker: str
    repository: str
    key: str
    request: str
    title: str
    body: Digest
    issue_type: str
    labels: tuple[str, ...] = ()
    author: str | None = None
    opened_by: str | None = None
    level: Level | None = None
    agent: str | None = None
    snapshot: Snapshot


class IssueEdited(IssueOpened):
    """A later revision of an issue that is known; it becomes a run of its own."""

    type = "issue.edited"


class IssueClosed(IssueFact):
    type = "issue.closed"
    request: str
    reason: str


# -- runs: the gatekeeper -----------------------------------------------------


class RunStarted(RunFact):
    """A run began for one issue revision under one policy; the level here is the configured one.

    An agent that the operator named works on all phases, and may be a program of the machine.
    """

    type = "run.started"
    issue: Token
    revision: Annotated[int, Field(ge=1)]
    workflow: Token
    repository: str
    branch: str
    base: ObjectId | None
    title: str
    body: Digest
    issue_type: str
    labels: tuple[str, ...] = ()
    author: str | None = None
    opened_by: str | None = None
    level: Level
    agent: str
    agent_by: Literal["operator", "workflow"] = "workflow"
    phases: tuple[Phase, ...]
    policy: Policy
    policy_digest: Digest
    problem: str | None = None


class PhaseRequested(PhaseFact):
    """Work is asked for on `commit`, with the artifacts named by file name and digest."""

    type = "phase.requested"
    base: ObjectId
    commit: ObjectId
    agent: str
    inputs: dict[str, Digest] = Field(default_factory=dict)
    targets: tuple[str, ...] = ()
    guidance: str | None = None
    deadline_s: Annotated[float, Field(gt=0)]


class GateJudged(PhaseFact):
    """The verdict on an attempt and who decides now; `shadow` is what the next level would have done."""

    type = "gate.judged"
    verdict: Verdict
    disposition: Disposition
    reason: str
    level_in_force: Level
    ladder_sequence: Count
    shadow: Disposition | None = None
    commit: ObjectId | None = None
    tree: ObjectId | None = None
    patch_id: str | None = None
    policy_digest: Digest


class CheckpointOpened(PhaseFact):
    """The run waits for a human after a phase; after deploy the checkpoint is called merge."""

    type = "checkpoint.opened"
    commit: ObjectId | None = None
    policy_digest: Digest
    reason: str
    answers: tuple[DecisionKind, ...]
    expires_at: Moment | None = None


class CheckpointClosed(PhaseFact):
    """A checkpoint ended: somebody decided, time ran out, or something else made it moot."""

    type = "checkpoint.closed"
    how: Literal["decided", "expired", "moot"]
    decision: str | None = None


class DecisionRecorded(RunFact):
    """A human's act, bound to what it was about.

    `automatic` decisions were taken by a program in somebody's name; they label nothing.
    """

    type = "decision.recorded"
    version = 2
    place = ("decision",)
    decision: Token
    kind: DecisionKind
    by: str
    os_user: str
    automatic: bool
    reason: str
    guidance: str | None = None
    phase: Phase
    attempt: Attempt
    commit: ObjectId | None = None
    policy_digest: Digest
    is_override: bool = False


class DecisionRefused(RunFact):
    """A decision that does not count, and the sentence why."""

    type = "decision.refused"
    place = ("decision",)
    decision: Token
    kind: DecisionKind
    by: str
    code: str
    message: str


class TimerDue(RunFact):
    """The moment of a timer came; the state decides whether it still means anything."""

    type = "timer.due"
    place = ("timer",)
    timer: Token
    at: Moment


class MergeAuthorised(RunFact):
    """The merger may land exactly this tree on exactly this base."""

    type = "merge.authorised"
    attempt: Attempt
    base: ObjectId
    commit: ObjectId
    tree: ObjectId
    branch: str
    by: str
    decision: str | None = None
    level_in_force: Level
    ladder_sequence: Count


class RollbackOrdered(RunFact):
    """The merged change is to be reverted."""

    type = "rollback.ordered"
    reason: str
    by: str


class RunEscalated(RunFact):
    """A human is called; the run waits or ends as the reason says."""

    type = "run.escalated"
    phase: Phase
    attempt: Attempt
    reason: str


class RunAborted(RunFact):
    """A gate or a limit ended the run; a human may resume it from where it stopped."""

    type = "run.aborted"
    phase: Phase
    attempt: Attempt
    reason: str


class RunFinished(RunFact):
    type = "run.finished"
    outcome: RunOutcome
    reason: str


# -- phases: planner, builder, merger -----------------------------------------


class PhaseClaimed(PhaseFact):
    """A worker took the attempt up; a later claim takes it over."""

    type = "phase.claimed"
    worker: str


class PhaseCompleted(PhaseFact):
    """The attempt's work and evidence; `declined` is the worker's reason why a retry is pointless."""

    type = "phase.completed"
    worker: str
    agent: str
    commit: ObjectId
    summary: str = ""
    declined: str | None = None
    targets: tuple[str, ...] = ()
    evidence: Evidence
    duration_s: Annotated[float, Field(ge=0)] = 0.0


class PhaseErrored(PhaseFact):
    """The attempt could not be carried out; nobody's work was judged."""

    type = "phase.errored"
    worker: str
    code: str
    message: str
    is_retryable: bool = False
    artifacts: dict[str, Digest] = Field(default_factory=dict)


class SandboxProbed(ServiceFact):
    """What the sandbox of a service really keeps apart on its machine."""

    type = "sandbox.probed"
    is_full: bool
    layers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    message: str = ""


# -- changes: the merger ------------------------------------------------------


class ChangeProposed(RunFact):
    """The change stands on its branch with a description, for people to read."""

    type = "change.proposed"
    attempt: Attempt
    branch: str
    target: str
    base: ObjectId
    commit: ObjectId
    title: str
    description: Digest


class ChangeQueued(RunFact):
    type = "change.queued"
    commit: ObjectId
    position: Count


class ChangeMerged(RunFact):
    """The authorised tree is the target's tip; a revert is the inverse of `base..tip`."""

    type = "change.merged"
    base: ObjectId
    tip: ObjectId
    tree: ObjectId
    target: str
    method: Literal["squash", "merge", "rebase", "foreign"]


class ChangeRefused(RunFact):
    """Nothing moved, and why: the base moved, the working copy is dirty, the run is held."""

    type = "change.refused"
    attempt: Attempt
    commit: ObjectId
    base: ObjectId
    code: Literal["moved", "dirty", "gone", "refused", "held", "frozen", "lowered", "mismatch"]
    message: str


class ChangeClosed(RunFact):
    type = "change.closed"
    reason: Literal["wrong", "obsolete", "duplicate", "wontfix"]
    by: str


class ChangeReverted(RunFact):
    type = "change.reverted"
    tip: ObjectId
    reverts: ObjectId
    reason: str


# -- production: the monitor --------------------------------------------------


class WatchStarted(RunFact):
    """Production is compared with before until `ends_at`."""

    type = "watch.started"
    tip: ObjectId
    started_at: Moment
    ends_at: Moment
    signals: tuple[str, ...] = ()


class WatchEnded(RunFact):
    """`no_data` is what silence ends with; only measured points end a watch clear."""

    type = "watch.ended"
    outcome: Literal["clear", "regressed", "no_data"]
    points_before: Count = 0
    points_after: Count = 0
    reason: str


class AnomalyDetected(RunFact):
    type = "anomaly.detected"
    place = ("anomaly",)
    anomaly: Token
    signal: str
    message: str


class IncidentOpened(RunFact):
    type = "incident.opened"
    place = ("incident",)
    incident: Token
    message: str


class IncidentResolved(RunFact):
    type = "incident.resolved"
    place = ("incident",)
    incident: Token
    message: str


class ServiceAnomalyDetected(ServiceFact):
    """An anomaly that no run explains."""

    type = "anomaly.detected"
    place = ("anomaly",)
    anomaly: Token
    signal: str
    message: str


class ServiceIncidentOpened(ServiceFact):
    type = "incident.opened"
    place = ("incident",)
    incident: Token
    message: str


class ServiceIncidentResolved(ServiceFact):
    type = "incident.resolved"
    place = ("incident",)
    incident: Token
    message: str


# -- the ladder: the gatekeeper -----------------------------------------------


class PolicyAdopted(LadderFact):
    """The workflow's policy in force from here on, whole, so that a log explains itself."""

    type = "policy.adopted"
    repository: str
    commit: ObjectId | None
    policy: Policy
    policy_digest: Digest


class LevelEarned(LadderFact):
    type = "level.earned"
    level: Level
    reason: str


class LevelGranted(LadderFact):
    type = "level.granted"
    level: Level
    by: str
    reason: str
    with_proof: bool = False


class LevelLowered(LadderFact):
    type = "level.lowered"
    level: Level
    by: str
    reason: str


class LabelStated(LadderFact):
    """The truth about a verdict, learnt later."""

    type = "label.stated"
    run: Token
    phase: Phase
    is_right: bool
    source: Literal["reverted", "audit", "survived", "human"]
    by: str
    reason: str


class FreezeSet(LadderFact):
    type = "freeze.set"
    by: str
    reason: str


class FreezeLifted(LadderFact):
    type = "freeze.lifted"
    by: str
    reason: str


class HistoryImported(LadderFact):
    """Runs that were not made here; named, and never counted as proof."""

    type = "history.imported"
    source: str
    digest: Digest
    by: str


PHASE_WORKERS: Final = {
    Phase.INTENT: Service.PLANNER,
    Phase.PLAN: Service.PLANNER,
    Phase.BUILD: Service.BUILDER,
    Phase.TEST: Service.BUILDER,
    Phase.REVIEW: Service.BUILDER,
    Phase.DOCUMENT: Service.BUILDER,
    Phase.DEPLOY: Service.MERGER,
}
"""Which service answers `phase.requested` of which phase; the monitor answers the merge itself."""

SPEAKERS: Final[dict[Service, tuple[type[Fact], ...]]] = {
    Service.PLANNER: (IssueOpened, IssueEdited, IssueClosed),
    Service.BUILDER: (SandboxProbed,),
    Service.GATEKEEPER: (
        RunStarted,
        PhaseRequested,
        GateJudged,
        CheckpointOpened,
        CheckpointClosed,
        DecisionRecorded,
        DecisionRefused,
        TimerDue,
        MergeAuthorised,
        RollbackOrdered,
        RunEscalated,
        RunAborted,
        RunFinished,
        PolicyAdopted,
        LevelEarned,
        LevelGranted,
        LevelLowered,
        LabelStated,
        FreezeSet,
        FreezeLifted,
        HistoryImported,
    ),
    Service.MERGER: (ChangeProposed, ChangeQueued, ChangeMerged, ChangeRefused, ChangeClosed, ChangeReverted),
    Service.MONITOR: (
        WatchStarted,
        WatchEnded,
        AnomalyDetected,
        IncidentOpened,
        IncidentResolved,
        ServiceAnomalyDetected,
        ServiceIncidentOpened,
        ServiceIncidentResolved,
    ),
}
"""Facts that one service alone states; answers to phases belong to whoever works the phase."""

PHASE_ANSWERS: Final[tuple[type[PhaseFact], ...]] = (PhaseClaimed, PhaseCompleted, PhaseErrored)

FACTS: Final[tuple[type[Fact], ...]] = (*PHASE_ANSWERS, *(fact for facts in SPEAKERS.values() for fact in facts))


def speaker_of(fact: Fact) -> Service:
    """The one service that may state this fact."""
    if isinstance(fact, PHASE_ANSWERS):
        return PHASE_WORKERS[fact.phase]
    return next(service for service, facts in SPEAKERS.items() if type(fact) in facts)
