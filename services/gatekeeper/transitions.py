"""The stages of a run and what moves it from one to the next: one table, data.

Theory of operation: a run is always in exactly one stage. A fact is named by its event, which is
the fact's type and, where the type alone does not tell, what was disposed or decided (`agreed`: by one
person of several that are needed). `TRANSITIONS`
says where each event leads; `SILENT` events are true but move nothing; any other event in a stage
does not fit, is counted and shown, and changes nothing. Terminal stages are listed too: an aborted
run can be taken up by a human, an ended one stays as it is. The diagram in the documentation is
made from this table. Taking a merged change back is silent throughout, since it may come while the run
is watched or long after its end.
"""

from enum import StrEnum
from typing import Final

from libs.contracts.facts import ChangeRefused, DecisionRecorded, Fact, GateJudged, TimerDue


class Stage(StrEnum):
    UNKNOWN = "unknown"
    OPENED = "opened"
    STARTED = "started"
    WORKING = "working"
    ANSWERED = "answered"
    PROCEEDING = "proceeding"
    RETRYING = "retrying"
    HEALING = "healing"
    STOPPING = "stopping"
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLING = "cancelling"
    EXPIRED = "expired"
    ABORTING = "aborting"
    AUTHORISED = "authorised"
    REFUSED = "refused"
    MOVED = "moved"
    MERGED = "merged"
    WATCHING = "watching"
    WATCHED = "watched"
    ABORTED = "aborted"
    ENDED = "ended"


TRANSITIONS: Final[dict[Stage, dict[str, Stage]]] = {
    Stage.UNKNOWN: {"issue.opened": Stage.OPENED, "issue.edited": Stage.OPENED, "run.started": Stage.STARTED},
    Stage.OPENED: {"run.started": Stage.STARTED},
    Stage.STARTED: {"phase.requested": Stage.WORKING, "run.finished": Stage.ENDED, "run.aborted": Stage.ABORTED},
    Stage.WORKING: {
        "phase.completed": Stage.ANSWERED,
        "phase.errored": Stage.ANSWERED,
        "timer.due:deadline": Stage.ANSWERED,
        "decision.recorded:cancel": Stage.CANCELLING,
    },
    Stage.ANSWERED: {
        "gate.judged:proceed": Stage.PROCEEDING,
        "gate.judged:warn": Stage.PROCEEDING,
        "gate.judged:heal": Stage.HEALING,
        "gate.judged:checkpoint": Stage.STOPPING,
        "gate.judged:abort": Stage.ABORTING,
        "timer.due:retry": Stage.RETRYING,
        "decision.recorded:cancel": Stage.CANCELLING,
    },
    Stage.PROCEEDING: {
        "phase.requested": Stage.WORKING,
        "run.aborted": Stage.ABORTED,
        "timer.due:merge": Stage.APPROVED,
        "checkpoint.opened": Stage.WAITING,
        "run.finished": Stage.ENDED,
        "decision.recorded:cancel": Stage.CANCELLING,
    },
    Stage.RETRYING: {
        "phase.requested": Stage.WORKING,
        "run.aborted": Stage.ABORTED,
        "decision.recorded:cancel": Stage.CANCELLING,
    },
    Stage.HEALING: {
        "phase.requested": Stage.WORKING,
        "run.aborted": Stage.ABORTED,
        "decision.recorded:cancel": Stage.CANCELLING,
    },
    Stage.STOPPING: {
        "checkpoint.opened": Stage.WAITING,
        "merge.authorised": Stage.AUTHORISED,
        "decision.recorded:cancel": Stage.CANCELLING,
    },
    Stage.WAITING: {
        "decision.recorded:approve": Stage.APPROVED,
        "decision.recorded:override": Stage.APPROVED,
        "decision.recorded:retry": Stage.HEALING,
        "decision.recorded:guide": Stage.HEALING,
        "decision.recorded:reject": Stage.REJECTED,
        "decision.recorded:cancel": Stage.CANCELLING,
        "timer.due:checkpoint": Stage.EXPIRED,
    },
    Stage.APPROVED: {
        "phase.requested": Stage.WORKING,
        "merge.authorised": Stage.AUTHORISED,
        "checkpoint.opened": Stage.WAITING,
        "run.aborted": Stage.ABORTED,
        "run.finished": Stage.ENDED,
    },
    Stage.REJECTED: {"run.finished": Stage.ENDED},
    Stage.CANCELLING: {"run.finished": Stage.ENDED},
    Stage.EXPIRED: {"checkpoint.opened": Stage.WAITING, "run.aborted": Stage.ABORTED},
    Stage.ABORTING: {"run.aborted": Stage.ABORTED},
    Stage.AUTHORISED: {
        "change.merged": Stage.MERGED,
        "change.refused:moved": Stage.MOVED,
        "change.refused": Stage.REFUSED,
    },
    Stage.REFUSED: {"checkpoint.opened": Stage.WAITING},
    Stage.MOVED: {"phase.requested": Stage.WORKING, "run.aborted": Stage.ABORTED},
    Stage.MERGED: {"watch.started": Stage.WATCHING},
    Stage.WATCHING: {"watch.ended": Stage.WATCHED},
    Stage.WATCHED: {"run.finished": Stage.ENDED},
    Stage.ABORTED: {
        "decision.recorded:approve": Stage.APPROVED,
        "decision.recorded:override": Stage.APPROVED,
        "decision.recorded:resume": Stage.HEALING,
        "decision.recorded:guide": Stage.HEALING,
        "decision.recorded:retry": Stage.HEALING,
    },
    Stage.ENDED: {},
}

SILENT: Final = frozenset(
    {
        "anomaly.detected",
        "change.closed",
        "change.proposed",
        "change.queued",
        "change.reverted",
        "checkpoint.closed",
        "checkpoint.reminded",
        "decision.recorded:agreed",
        "decision.recorded:hold",
        "decision.recorded:release",
        "decision.recorded:revoke",
        "decision.refused",
        "incident.opened",
        "incident.resolved",
        "phase.claimed",
        "rollback.ordered",
        "run.escalated",
        "timer.due:landing",
        "timer.due:recovery",
        "timer.due:reminder",
        "timer.due:rollback",
        "timer.due:watch",
    }
)
"""Events that are folded wherever they come and move no run."""

SETTLED: Final = (Stage.ABORTED, Stage.ENDED)
"""Stages in which nothing is owed and no timer runs."""


def event_of(fact: Fact) -> str:
    """The name under which a fact stands in the table."""
    match fact:
        case GateJudged():
            return f"{fact.type}:{fact.disposition}"
        case DecisionRecorded():
            return f"{fact.type}:{'agreed' if fact.awaits else fact.kind}"
        case TimerDue():
            return f"{fact.type}:{fact.timer.partition('-')[0]}"
        case ChangeRefused(code="moved"):
            return f"{fact.type}:moved"
        case _:
            return fact.type


def next_stage(stage: Stage, event: str) -> Stage | None:
    """Where an event leads; `None` when it does not fit."""
    return TRANSITIONS[stage].get(event, stage if event in SILENT else None)


def diagram() -> str:
    """The table as a Mermaid state diagram, in the order of the table."""
    lines = ["stateDiagram-v2", f"    [*] --> {Stage.UNKNOWN}"]
    for stage, moves in TRANSITIONS.items():
        by_target: dict[Stage, list[str]] = {}
        for event, target in moves.items():
            by_target.setdefault(target, []).append(event.replace(":", " "))
        lines += [f"    {stage} --> {target}: {', '.join(events)}" for target, events in by_target.items()]
        if not moves:
            lines.append(f"    {stage} --> [*]")
    return "\n".join(lines) + "\n"
