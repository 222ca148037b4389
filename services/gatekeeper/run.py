"""The run: one issue revision from its first fact to its last observation, as it stands now.

How facts become this state is told in `evolution.py`. A fact that does not fit the stage is counted
in `misfits`; one that this build cannot read stops all decisions about the run (`unread`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from libs.contracts.evidence import DiffEvidence, Evidence, Problem
from libs.contracts.facts import (
    AnomalyDetected,
    ChangeMerged,
    ChangeProposed,
    ChangeRefused,
    ChangeReverted,
    CheckpointOpened,
    DecisionRecorded,
    DecisionRefused,
    GateJudged,
    IssueOpened,
    MergeAuthorised,
    PhaseCompleted,
    PhaseErrored,
    PhaseRequested,
    RollbackOrdered,
    RunAborted,
    RunFinished,
    RunStarted,
    WatchEnded,
    WatchStarted,
)
from libs.contracts.words import Disposition, Phase
from libs.contracts.workflow import LoopName
from services.gatekeeper.transitions import SETTLED, Stage

PLANNING: Final = (Phase.INTENT, Phase.PLAN)
"""Phases before there is a change."""


@dataclass(frozen=True)
class AttemptRecord:
    """One execution of a phase as the run remembers it; times are the store's.

    `cost_usd` is what it has cost, `None` as long as nobody knows. A lost attempt ended by
    infrastructure: nobody answered in time, or with a failure that may pass.
    """

    request: PhaseRequested
    requested_at: float
    answered_at: float | None = None
    judged: GateJudged | None = None
    evidence: Evidence = field(default_factory=Evidence)
    summary: str = ""
    cost_usd: float | None = None
    is_lost: bool = False

    @property
    def phase(self) -> Phase:
        return self.request.phase

    @property
    def attempt(self) -> int:
        return self.request.attempt

    @property
    def loop(self) -> LoopName | None:
        return self.request.loop


@dataclass(frozen=True)
class TakingBack:
    """What goes on about a merged change that may be taken back; no stage tells, since it may happen after the end.

    `cause` is the id of the last fact that changed what is owed, `since` its time. `asked` is a person's decision
    that no order answers yet, `refused` the merger's answer to the last order, `unrecovered` the first signal that is
    no better without the change, `called_in` the `cause` at which a human was called last.
    """

    cause: str = ""
    since: float = 0.0
    asked: DecisionRecorded | None = None
    order_count: int = 0
    refused: ChangeRefused | None = None
    is_overdue: bool = False
    unrecovered: AnomalyDetected | None = None
    called_in: str = ""

    @property
    def is_called(self) -> bool:
        """A human was called about it as it is now."""
        return self.called_in == self.cause


@dataclass(frozen=True)
class Run:
    """State of a run. `cause` is the id of the fact that brought it to its stage.

    `commit` is the candidate so far, `artifacts` the latest of each name, `answer` what came back
    for the attempt at hand (`None` when its deadline passed), `decisions` the first answer to each.
    `is_reminded` is about the open checkpoint; `escalated_in` is the `cause` at which a human was called last.
    """

    run: str = ""
    stage: Stage = Stage.UNKNOWN
    cause: str = ""
    since: float = 0.0
    issue: IssueOpened | None = None
    started: RunStarted | None = None
    phase: Phase = Phase.PLAN
    attempt: int = 0
    request: PhaseRequested | None = None
    answer: PhaseCompleted | PhaseErrored | None = None
    judged: GateJudged | None = None
    checkpoint: CheckpointOpened | None = None
    decision: DecisionRecorded | None = None
    decisions: Mapping[str, DecisionRecorded | DecisionRefused] = field(default_factory=dict)
    is_held: bool = False
    timers_due: frozenset[str] = frozenset()
    checkpoint_count: int = 0
    is_reminded: bool = False
    escalations: tuple[tuple[Phase, int], ...] = ()
    escalated_in: str = ""
    commit: str | None = None
    targets: tuple[str, ...] = ()
    artifacts: Mapping[str, str] = field(default_factory=dict)
    attempts: tuple[AttemptRecord, ...] = ()
    proposed: ChangeProposed | None = None
    authorised: MergeAuthorised | None = None
    refused: ChangeRefused | None = None
    merged: ChangeMerged | None = None
    watch: WatchStarted | None = None
    watched: WatchEnded | None = None
    rollback: RollbackOrdered | None = None
    reverted: ChangeReverted | None = None
    taking_back: TakingBack = TakingBack()
    aborted: RunAborted | None = None
    finished: RunFinished | None = None
    misfits: tuple[int, ...] = ()
    unread: tuple[int, ...] = ()
    sequence: int = 0

    @property
    def begun(self) -> RunStarted:
        """The run's first fact, which every stage after `opened` has."""
        assert self.started is not None, f"a run in stage {self.stage} has begun"
        return self.started

    @property
    def is_escalated(self) -> bool:
        """A human was called about the attempt at hand already."""
        return (self.phase, self.attempt) in self.escalations

    @property
    def is_called(self) -> bool:
        """A human was called since the run came to its stage."""
        return self.escalated_in == self.cause

    @property
    def is_stopped_by_gate(self) -> bool:
        """The verdict on the attempt at hand ended the run, rather than time or money."""
        return self.judged is not None and self.judged.disposition is Disposition.ABORT

    @property
    def is_settled(self) -> bool:
        """Nothing is owed and no timer runs: ended, or aborted until a human resumes it; and nothing is taken back."""
        return self.stage in SETTLED and not self.is_rolling_back and not self.may_recover

    @property
    def is_rolling_back(self) -> bool:
        """The merged change is being taken back: that was ordered or asked for, and has no answer yet."""
        if self.merged is None or self.reverted is not None:
            return False
        back = self.taking_back
        return back.asked is not None or (self.rollback is not None and back.refused is None)

    @property
    def may_recover(self) -> bool:
        """A regression was taken back, and it is still to be seen whether production recovers from it."""
        has_regressed = self.watched is not None and self.watched.outcome == "regressed"
        is_for_it = self.reverted is not None and self.reverted.why == "regression"
        return has_regressed and is_for_it and "recovery" not in self.timers_due

    @property
    def lacking(self) -> str | None:
        """What keeps the run from going on, whoever would say so; `None` when nothing does."""
        if self.phase in PLANNING:
            return None
        if self.commit == self.begun.base:
            return "there is no change to go on with"
        integration = self.evidence.integration
        if self.phase is Phase.DEPLOY and not (integration and integration.commit and integration.tree):
            return "there is no commit that could land"
        return None

    @property
    def diff(self) -> DiffEvidence | None:
        """The change as it was seen last."""
        seen = (self.evidence, *(record.evidence for record in reversed(self.attempts)))
        return next((evidence.diff for evidence in seen if evidence.diff is not None), None)

    @property
    def warned_of_tests(self) -> GateJudged | None:
        """The test gate's verdict, where it did not pass and the level in force then only warned of it."""
        tested = self.last_judged(Phase.TEST)
        return tested if tested and tested.disposition is Disposition.WARN else None

    def attempts_of(self, phase: Phase) -> int:
        return sum(record.phase is phase for record in self.attempts)

    def last_judged(self, phase: Phase) -> GateJudged | None:
        """The latest verdict of a phase's gate."""
        judged = [record.judged for record in self.attempts if record.phase is phase and record.judged]
        return judged[-1] if judged else None

    @property
    def evidence(self) -> Evidence:
        """What was collected for the attempt at hand; an answer that never came is a problem, not silence."""
        match self.answer:
            case PhaseCompleted() as completed:
                return completed.evidence
            case PhaseErrored() as errored:
                return Evidence(problems=(_trouble(errored),), artifacts=errored.artifacts)
            case None:
                message = f"no answer came before the deadline of {self.request.deadline_s:g} s" if self.request else ""
                return Evidence(problems=(Problem(code="deadline_passed", message=message),))

    @property
    def after(self) -> Phase | None:
        """The phase that follows the one at hand on the run's route; `None` at the end of it, and before the watch."""
        phases = self.begun.phases
        following = phases[phases.index(self.phase) + 1 :] if self.phase in phases else ()
        return following[0] if following and following[0] is not Phase.MONITOR else None


def _trouble(errored: PhaseErrored) -> Problem:
    """A failure that may pass says nothing about the work, however often it came."""
    if errored.is_retryable:
        return Problem(code="infrastructure", message=f"{errored.code}: {errored.message}")
    return Problem(code=errored.code, message=errored.message)
