"""How a run comes from its facts: one fold, by the table of transitions.

`evolve` never raises and reads no clock: the log is already true. A fact that does not fit the
stage is counted and changes nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from libs.contracts.facts import (
    AnomalyDetected,
    ChangeMerged,
    ChangeProposed,
    ChangeRefused,
    ChangeReverted,
    CheckpointClosed,
    CheckpointOpened,
    CheckpointReminded,
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
    RollbackOrdered,
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
from libs.contracts.words import DecisionKind
from services.gatekeeper.changing import changed
from services.gatekeeper.run import AttemptRecord, Run, TakingBack
from services.gatekeeper.timers import ROLLBACK_TIMER, open_timers
from services.gatekeeper.transitions import Stage, event_of, next_stage


def evolve(run: Run, recorded: Recorded) -> Run:
    """Fold one fact into the run."""
    fact = recorded.fact
    if run.merged is not None and (back := _taken_back(run, recorded)) is not None:
        return changed(run, sequence=recorded.sequence, **back)
    stage = next_stage(run.stage, event_of(fact)) if _is_about_now(run, fact) else None
    if stage is None:
        return changed(run, misfits=(*run.misfits, recorded.sequence), sequence=recorded.sequence)
    moved: dict[str, Any] = {"sequence": recorded.sequence}
    if stage is not run.stage:
        moved |= {"stage": stage, "cause": recorded.id, "since": recorded.time}
    if isinstance(fact, WatchEnded) and run.rollback is None and run.taking_back.asked is None:
        moved["taking_back"] = replace(run.taking_back, cause=recorded.id, since=recorded.time)
    return changed(run, **moved, **_change(run, fact, recorded.time))


def fold(facts: Iterable[Recorded], unread: Iterable[int] = ()) -> Run:
    """The run that a history tells of."""
    run = Run(unread=tuple(unread))
    for recorded in facts:
        run = evolve(run, recorded)
    return run


def _taken_back(run: Run, recorded: Recorded) -> dict[str, Any] | None:
    """What a fact about taking back the merged change sets; `None` for every other, and for one that does not fit."""
    back = run.taking_back
    news: dict[str, Any] = {"cause": recorded.id, "since": recorded.time}
    match recorded.fact:
        case DecisionRecorded(kind=DecisionKind.REVOKE, awaits=0) as fact:
            decisions = {**run.decisions, fact.decision: fact}
            return {"taking_back": replace(back, asked=fact, **news), "decisions": decisions}
        case RollbackOrdered() as fact:
            return {"taking_back": TakingBack(order_count=back.order_count + 1, **news), "rollback": fact}
        case ChangeRefused() as fact if run.is_rolling_back:
            return {"taking_back": replace(back, refused=fact, **news)}
        case ChangeReverted() as fact:
            return {"taking_back": replace(back, asked=None, **news), "reverted": fact}
        case AnomalyDetected() as fact if run.reverted is not None and back.unrecovered is None:
            return {"taking_back": replace(back, unrecovered=fact, **news)}
        case RunEscalated():
            return {"taking_back": replace(back, called_in=back.cause), "escalated_in": run.cause}
        case TimerDue() as fact if fact.timer.startswith(ROLLBACK_TIMER) and _is_about_now(run, fact):
            return {"taking_back": replace(back, is_overdue=True, **news), "timers_due": run.timers_due | {fact.timer}}
        case _:
            return None


def _is_about_now(run: Run, fact: Fact) -> bool:
    """An answer or verdict counts only for the attempt at hand; a late one does not fit."""
    match fact:
        case PhaseRequested():
            return fact.attempt == run.attempts_of(fact.phase) + 1
        case TimerDue():
            return any(timer.name == fact.timer for timer in open_timers(run))
        case CheckpointClosed():
            return run.checkpoint is not None and run.stage is not Stage.WAITING
        case PhaseFact():
            return (fact.phase, fact.attempt) == (run.phase, run.attempt)
        case _:
            return True


KEPT: Final[Mapping[type[Fact], str]] = {
    ChangeMerged: "merged",
    ChangeProposed: "proposed",
    ChangeRefused: "refused",
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
        case CheckpointOpened():
            return {"checkpoint": fact, "checkpoint_count": run.checkpoint_count + 1, "is_reminded": False}
        case CheckpointReminded():
            return {"is_reminded": True}
        case CheckpointClosed():
            return {"checkpoint": None}
        case RunEscalated():
            return {"escalations": (*run.escalations, (fact.phase, fact.attempt)), "escalated_in": run.cause}
        case DecisionRecorded() | DecisionRefused():
            return _decision_change(run, fact)
        case TimerDue():
            timers_due = run.timers_due | {fact.timer}
            lost = {"attempts": _answered(run, time, is_lost=True)} if run.stage is Stage.WORKING else {}
            return {"timers_due": timers_due, **lost}
        case _:
            return _phase_change(run, fact, time)


def _phase_change(run: Run, fact: Fact, time: float) -> dict[str, Any]:
    match fact:
        case PhaseRequested():
            return {
                "phase": fact.phase,
                "attempt": fact.attempt,
                "request": fact,
                "answer": None,
                "judged": None,
                "attempts": (*run.attempts, AttemptRecord(fact, requested_at=time)),
            }
        case PhaseCompleted():
            return {
                "answer": fact,
                "commit": fact.commit if fact.declined is None else run.commit,
                "targets": fact.targets or run.targets,
                "artifacts": {**run.artifacts, **fact.evidence.artifacts},
                "attempts": _answered(
                    run,
                    time,
                    summary=fact.declined or fact.summary,
                    evidence=fact.evidence,
                    cost_usd=fact.cost_usd,
                ),
            }
        case PhaseErrored():
            return {
                "answer": fact,
                "attempts": _answered(
                    run, time, summary=fact.message, cost_usd=fact.cost_usd, is_lost=fact.is_retryable
                ),
            }
        case GateJudged():
            last = changed(run.attempts[-1], judged=fact)
            return {"judged": fact, "attempts": (*run.attempts[:-1], last)}
        case _:
            return {}


def _answered(run: Run, time: float, **told: Any) -> tuple[AttemptRecord, ...]:
    return (*run.attempts[:-1], changed(run.attempts[-1], answered_at=time, **told))


def _decision_change(run: Run, fact: DecisionRecorded | DecisionRefused) -> dict[str, Any]:
    decisions = {**run.decisions, fact.decision: fact}
    match fact:
        case DecisionRecorded(kind=DecisionKind.HOLD | DecisionKind.RELEASE):
            return {"is_held": fact.kind is DecisionKind.HOLD, "decisions": decisions}
        case DecisionRecorded(awaits=0):
            return {"decision": fact, "decisions": decisions}
        case _:
            return {"decisions": decisions}
