"""Runs: what the gatekeeper states about one issue revision."""

from typing import Annotated, Literal

from pydantic import Field

from libs.contracts.evidence import Count
from libs.contracts.facts.base import Attempt, Cost, Moment, PhaseFact, RunFact
from libs.contracts.verdict import Verdict
from libs.contracts.words import (
    DecisionKind,
    Digest,
    Disposition,
    Level,
    ObjectId,
    Phase,
    RevertCause,
    RunOutcome,
    Token,
)
from libs.contracts.workflow import LoopName, Policy


class RunStarted(RunFact):
    """A run began for one issue revision under one policy; the level here is the configured one.

    An agent that the operator named works on all phases, and may be a program of the machine. The
    policy is the one of `team` where the issue names one; `policy_digest` is the whole workflow's.
    """

    type = "run.started"
    version = 2
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
    team: str | None = None
    phases: tuple[Phase, ...]
    policy: Policy
    policy_digest: Digest
    problem: str | None = None


class PhaseRequested(PhaseFact):
    """Work is asked for on `commit`, with the artifacts named by file name and digest.

    `loop` names the loop of which this is a healing attempt; `cost_limit_usd` is reserved for it and
    is what it may spend, `None` where nothing bounds it.
    """

    type = "phase.requested"
    base: ObjectId
    commit: ObjectId
    agent: str
    inputs: dict[str, Digest] = Field(default_factory=dict)
    targets: tuple[str, ...] = ()
    guidance: str | None = None
    deadline_s: Annotated[float, Field(gt=0)]
    loop: LoopName | None = None
    cost_limit_usd: Cost | None = None

    @property
    def work_s(self) -> float:
        """Time for the work itself, in seconds: a little less than the deadline, so that the answer still counts."""
        return self.deadline_s * 0.9


class GateJudged(PhaseFact):
    """The verdict on an attempt and who decides now; `shadow` is what the next level would have done.

    `caps` are sentences for what held the level in force below what was configured and granted. `calls_human` says
    that the run would have gone on without a human, had the gate passed; `loop` is the one in which the work is
    done again.
    """

    type = "gate.judged"
    verdict: Verdict
    disposition: Disposition
    reason: str
    level_in_force: Level
    ladder_sequence: Count
    shadow: Disposition | None = None
    calls_human: bool = False
    loop: LoopName | None = None
    caps: tuple[str, ...] = ()
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


class CheckpointReminded(PhaseFact):
    """Nobody has decided yet, and the checkpoint will expire."""

    type = "checkpoint.reminded"
    expires_at: Moment


class CheckpointClosed(PhaseFact):
    """A checkpoint ended: somebody decided, time ran out, or something else made it moot."""

    type = "checkpoint.closed"
    how: Literal["decided", "expired", "moot"]
    decision: str | None = None


class DecisionRecorded(RunFact):
    """A human's act, bound to what it was about.

    `automatic` decisions were taken by a program in somebody's name; they label nothing. `awaits` is how many
    more persons have to agree before it counts; `is_signed` says that the person's own key signed the request.
    `revert_for` is why a merged change is taken back, for that kind alone.
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
    awaits: Count = 0
    is_signed: bool = False
    revert_for: RevertCause | None = None


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
    """The merged change is to be reverted; `decision` is the person's who asked for it, `None` where the machine did.

    A revert for `business`, or as a `drill`, says nothing about the gates.
    """

    type = "rollback.ordered"
    reason: str
    by: str
    why: RevertCause = "regression"
    decision: str | None = None


class RunEscalated(RunFact):
    """A human is called; the run waits or ends as the reason says.

    `target` and `notify` are the workflow's words for whom to call and how.
    """

    type = "run.escalated"
    phase: Phase
    attempt: Attempt
    reason: str
    target: str = "human"
    notify: tuple[str, ...] = ()


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
