"""The timers that a run's state asks for; none is kept anywhere else.

A timer that came due is copied into the log once and counts only if the state still asks for it.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from libs.contracts.facts import Owed, TimerDue
from libs.contracts.words import Phase
from services.gatekeeper.retries import pause_s
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import Stage

LANDING_S: Final = 900.0
"""How long an authorised merge may take before a human is called."""
ROLLBACK_S: Final = 3600.0
"""How long taking back a merged change may take, its tests included, before a human is called."""
ROLLBACK_TIMER: Final = "rollback-"
REMINDER_RATIO: Final = 0.75
"""Share of a checkpoint's time after which its people are reminded."""


class Timer(NamedTuple):
    """`at` is in seconds since 1970-01-01 UTC."""

    run: str
    name: str
    at: float


def open_timers(run: Run) -> tuple[Timer, ...]:
    """The timers that mean something in the run's present stage and have not come due."""
    return tuple(timer for timer in _timers(run) if timer.name not in run.timers_due)


def due(run: Run, name: str, time: float) -> list[Owed]:
    """The fact that a timer came due, if it means anything at the store's time `time`."""
    return [
        Owed(TimerDue(run=run.run, timer=timer.name, at=timer.at), run.cause)
        for timer in open_timers(run)
        if timer.name == name and time >= timer.at and not run.unread
    ]


def _timers(run: Run) -> Iterator[Timer]:
    yield from _stage_timers(run)
    if run.is_rolling_back and run.taking_back.order_count and not run.taking_back.is_overdue:
        name = f"{ROLLBACK_TIMER}{run.taking_back.order_count}"
        yield Timer(run.run, name, run.taking_back.since + ROLLBACK_S)
    if run.may_recover:
        yield Timer(run.run, "recovery", run.taking_back.since + run.begun.policy.watched_s)


def _stage_timers(run: Run) -> Iterator[Timer]:
    attempt = f"{run.phase}-{run.attempt}"
    match run.stage:
        case Stage.WORKING if run.request is not None:
            yield Timer(run.run, f"deadline-{attempt}", run.since + run.request.deadline_s)
        case Stage.ANSWERED if (pause := pause_s(run)) is not None:
            yield Timer(run.run, f"retry-{attempt}", run.since + pause)
        case Stage.WAITING:
            yield from _checkpoint_timers(run, f"{attempt}-{run.checkpoint_count}")
        case Stage.PROCEEDING if run.phase is Phase.DEPLOY and not run.is_held:
            yield Timer(run.run, f"merge-{run.attempt}", run.since + run.begun.policy.auto_merge.delay_s)
        case Stage.AUTHORISED:
            yield Timer(run.run, f"landing-{run.attempt}", run.since + LANDING_S)
        case Stage.WATCHING if run.watch is not None:
            yield Timer(run.run, "watch", run.watch.ends_at)


def _checkpoint_timers(run: Run, checkpoint: str) -> Iterator[Timer]:
    if run.checkpoint is None or (expires_at := run.checkpoint.expires_at) is None:
        return
    yield Timer(run.run, f"reminder-{checkpoint}", run.since + (expires_at - run.since) * REMINDER_RATIO)
    yield Timer(run.run, f"checkpoint-{checkpoint}", expires_at)
