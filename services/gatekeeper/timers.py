"""The timers that a run's state asks for; none is kept anywhere else.

A timer that came due is copied into the log once and counts only if the state still asks for it.
"""

from typing import NamedTuple

from libs.contracts.facts import Owed, TimerDue
from libs.contracts.words import Phase
from services.gatekeeper.run import Run, live_timer_names
from services.gatekeeper.transitions import Stage


class Timer(NamedTuple):
    """`at` is in seconds since 1970-01-01 UTC."""

    run: str
    name: str
    at: float


def open_timers(run: Run) -> tuple[Timer, ...]:
    """The timers that should be running for this run now."""
    return tuple(Timer(run.run, name, at) for name in live_timer_names(run) if (at := _moment(run)) is not None)


def due(run: Run, name: str, time: float) -> list[Owed]:
    """The fact that a timer came due, if it means anything at the store's time `time`."""
    return [
        Owed(TimerDue(run=run.run, timer=timer.name, at=timer.at), run.cause)
        for timer in open_timers(run)
        if timer.name == name and time >= timer.at and not run.unread
    ]


def _moment(run: Run) -> float | None:
    match run.stage:
        case Stage.WORKING if run.request is not None:
            return run.since + run.request.deadline_s
        case Stage.WAITING if run.checkpoint is not None:
            return run.checkpoint.expires_at
        case Stage.PROCEEDING if run.phase is Phase.DEPLOY:
            return run.since + run.begun.policy.auto_merge.delay_s
        case Stage.WATCHING if run.watch is not None:
            return run.watch.ends_at
        case _:
            return None
