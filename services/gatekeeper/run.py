"""The run: one issue revision from its first fact to its last observation, folded.

`evolve` never raises and reads no clock: the log is already true. A fact that does not fit the
stage is counted in `misfits` and changes nothing else; one that this build cannot read stops all
decisions about the run (`unread`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from libs.contracts.evidence import Evidence, Problem
from libs.contracts.facts import (
    ChangeMerged,
    ChangeProposed,
    ChangeRefused,
    CheckpointClosed,
    CheckpointOpened,
    DecisionRecorded,
    DecisionRefused,
    Fact,
    GateJudged,
    IssueOpened,
    MergeAuthorised,
    PhaseCompleted,
    PhaseErrored,
    PhaseFact,
    PhaseRequested,
    RunAborted,
    RunEscalated,
    RunFinished,
    RunStarted,
    TimerDue,
    WatchEnded,
    WatchStarted,
)
from libs.contracts.requests import run_id
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind, Phase
from services.gatekeeper.transitions import SETTLED, Stage, event_of, next_stage

PLANNING: Final = (Phase.INTENT, Phase.PLAN)
"""Phases before there is a change."""


@dataclass(frozen=True)
class AttemptRecord:
    """One execution of a phase as the run remembers it; times are the store's."""

    phase: Phase
    attempt: int
    requested_at: float
    answered_at: float | None = None
    judged: GateJudged | None = None
    evidence: Evidence = field(default_factory=Evidence)
    summary: str = ""


@dataclass(frozen=True)
class Run:
    """State of a run. `cause` is the id of the fact that brought it to its stage.

    `commit` is the candidate so far, `artifacts` the latest of each name, `answer` what came back
    for the attempt at hand (`None` when its deadline passed), `decisions` the first answer to each.
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
    escalations: tuple[tuple[Phase, int], ...] = ()
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
    def is_settled(self) -> bool:
        """Nothing is owed and no timer runs: ended, or aborted until a human resumes it."""
        return self.stage in SETTLED

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
                problem = Problem(code=errored.code, message=errored.message)
                return Evidence(problems=(problem,), artifacts=errored.artifacts)
            case None:
                message = f"no answer came before the deadline of {self.request.deadline_s:g} s" if self.request else ""
                return Evidence(problems=(Problem(code="deadline_passed", message=message),))


def evolve(run: Run, recorded: Recorded) -> Run:
    """Fold one fact into the run."""
    fact = recorded.fact
    stage = next_stage(run.stage, event_of(fact)) if _is_about_now(run, fact) else None
    if stage is None:
        return replace(run, misfits=(*run.misfits, recorded.sequence), sequence=recorded.sequence)
    moved: dict[str, Any] = {"sequence": recorded.sequence}
    if stage is not run.stage:
        moved |= {"stage": stage, "cause": recorded.id, "since": recorded.time}
    return replace(run, **moved, **_change(run, fact, recorded.time))


def fold(facts: Iterable[Recorded], unread: Iterable[int] = ()) -> Run:
    """The run that a history tells of."""
    run = Run(unread=tuple(unread))
    for recorded in facts:
        run = evolve(run, recorded)
    return run


def _is_about_now(run: Run, fact: Fact) -> bool:
    """An answer or verdict counts only for the attempt at hand; a late one does not fit."""
    match fact:
        case PhaseRequested():
            return fact.attempt == run.attempts_of(fact.phase) + 1
        case TimerDue():
            return fact.timer in live_timer_names(run)
        case CheckpointClosed():
            return run.checkpoint is not None
        case PhaseFact():
            return (fact.phase, fact.attempt) == (run.phase, run.attempt)
        case _:
            return True


def live_timer_names(run: Run) -> tuple[str, ...]:
    """Names of the timers that mean something in the run's present stage and have not come due."""
    return tuple(name for name in _timer_names(run) if name not in run.timers_due)


def _timer_names(run: Run) -> tuple[str, ...]:
    match run.stage:
        case Stage.WORKING:
            return (f"deadline-{run.phase}-{run.attempt}",)
        case Stage.WAITING if run.checkpoint and run.checkpoint.expires_at is not None:
            return (f"checkpoint-{run.phase}-{run.attempt}-{len(run.escalations)}",)
        case Stage.PROCEEDING if run.phase is Phase.DEPLOY and not run.is_held:
            return (f"merge-{run.attempt}",)
        case Stage.WATCHING:
            return ("watch",)
        case _:
            return ()


KEPT: Final[Mapping[type[Fact], str]] = {
    ChangeMerged: "merged",
    ChangeProposed: "proposed",
    ChangeRefused: "refused",
    CheckpointOpened: "checkpoint",
    MergeAuthorised: "authorised",
    RunAborted: "aborted",
    RunFinished: "finished",
    WatchEnded: "watched",
    WatchStarted: "watch",
}
"""Facts that the run keeps whole, and the field that holds them."""


def _change(run: Run, fact: Fact, time: float) -> dict[str, Any]:
    """The fields that a fact sets, beside the stage."""
    if (name := KEPT.get(type(fact))) is not None:
        return {name: fact}
    match fact:
        case IssueOpened():
            return {"run": run_id(fact.issue, fact.revision), "issue": fact}
        case RunStarted():
            return {"run": fact.run, "started": fact, "commit": fact.base, "artifacts": {"issue.md": fact.body}}
        case CheckpointClosed():
            return {"checkpoint": None}
        case RunEscalated():
            return {"escalations": (*run.escalations, (fact.phase, fact.attempt))}
        case DecisionRecorded() | DecisionRefused():
            return _decision_change(run, fact)
        case TimerDue():
            timers_due = run.timers_due | {fact.timer}
            is_deadline = run.stage is Stage.WORKING
            return {"timers_due": timers_due, **({"attempts": _answered(run, time, "")} if is_deadline else {})}
        case _:
            return _phase_change(run, fact, time)


def _phase_change(run: Run, fact: Fact, time: float) -> dict[str, Any]:
    match fact:
        case PhaseRequested():
            record = AttemptRecord(phase=fact.phase, attempt=fact.attempt, requested_at=time)
            return {
                "phase": fact.phase,
                "attempt": fact.attempt,
                "request": fact,
                "answer": None,
                "judged": None,
                "attempts": (*run.attempts, record),
            }
        case PhaseCompleted():
            return {
                "answer": fact,
                "commit": fact.commit if fact.declined is None else run.commit,
                "targets": fact.targets or run.targets,
                "artifacts": {**run.artifacts, **fact.evidence.artifacts},
                "attempts": _answered(run, time, fact.declined or fact.summary, fact.evidence),
            }
        case PhaseErrored():
            return {"answer": fact, "attempts": _answered(run, time, fact.message)}
        case GateJudged():
            last = replace(run.attempts[-1], judged=fact)
            return {"judged": fact, "attempts": (*run.attempts[:-1], last)}
        case _:
            return {}


def _answered(
    run: Run,
    time: float,
    summary: str,
    evidence: Evidence = Evidence(),  # noqa: B008 - frozen
) -> tuple[AttemptRecord, ...]:
    last = replace(run.attempts[-1], answered_at=time, summary=summary, evidence=evidence)
    return (*run.attempts[:-1], last)


def _decision_change(run: Run, fact: DecisionRecorded | DecisionRefused) -> dict[str, Any]:
    decisions = {**run.decisions, fact.decision: fact}
    match fact:
        case DecisionRecorded(kind=DecisionKind.HOLD | DecisionKind.RELEASE):
            return {"is_held": fact.kind is DecisionKind.HOLD, "decisions": decisions}
        case DecisionRecorded():
            return {"decision": fact, "decisions": decisions}
        case DecisionRefused():
            return {"decisions": decisions}
