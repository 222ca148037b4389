"""What the monitor owes a merged run: a watch, what was seen in it, and its end by timer.

Theory: the watch is judged once, at its end, by comparing each signal with the time before the merge. It ends
`regressed` if one got worse, each said by an anomaly of its own first; `clear` only if one was measured on both
sides and none got worse; `no_data` otherwise, since silence proves nothing. What was measured is an argument: the
files are read elsewhere. An anomaly that stands in the log counts, whatever a second reading says. A change that
is taken back is watched no longer.

A regression opens an incident. Once the change is taken back for it, the same signals are compared once more, over a
time as long as the watch: the incident is resolved where they are as before the merge, and where one is not, another
anomaly says that the change was not to blame. Too few points leave the incident open.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from libs.contracts.facts import (
    AnomalyDetected,
    ChangeMerged,
    ChangeReverted,
    Fact,
    IncidentOpened,
    IncidentResolved,
    Owed,
    RunStarted,
    TimerDue,
    WatchEnded,
    WatchStarted,
)
from libs.contracts.history import Fence, History, fence_for
from libs.contracts.wire import Recorded
from libs.contracts.workflow.metrics import watched as watched_metrics
from services.monitor.comparison import Comparison

RECOVERY: Final = "recovery"


class Reading(NamedTuple):
    """What a watch saw of one signal."""

    signal: str
    comparison: Comparison


@dataclass(frozen=True)
class Watched:
    """A run as the monitor sees it; `readings` is what was measured, `None` where the watch was not over then."""

    history: History
    readings: tuple[Reading, ...] | None = None

    @property
    def traceparent(self) -> str | None:
        return self.history.facts[-1].traceparent if self.history.facts else None

    def fence(self, fact: Fact) -> Fence:
        return fence_for(fact, self.history)


class Watch(NamedTuple):
    """A time that is over and not judged yet: `length_s` from `since` on, which is the merge or its revert."""

    started: RunStarted
    merged_at: float
    since: float
    length_s: float


def decide(watched: Watched) -> list[Owed]:
    """The watch's start after a merge, and its end when its timer came due."""
    found = _last_of_each(watched.history)
    started, merged = found.get(RunStarted), found.get(ChangeMerged)
    if watched.history.unread or started is None or merged is None:
        return []
    if WatchEnded in found:
        return _recovery(watched)
    assert isinstance(started.fact, RunStarted)
    assert isinstance(merged.fact, ChangeMerged)
    if WatchStarted not in found:
        return [Owed(_start(started.fact, merged.fact, merged.time), merged.id)]
    if (reverted := found.get(ChangeReverted)) is not None:
        reason = "the change was taken back before its watch had ended"
        return [Owed(WatchEnded(run=started.fact.run, outcome="no_data", reason=reason), reverted.id)]
    due = _due(watched.history, "watch")
    if due is None or watched.readings is None:
        return []
    return [Owed(fact, due.id) for fact in _judged(started.fact.run, watched.history, watched.readings)]


def watch_to_judge(history: History) -> Watch | None:
    """The time for which the signals have to be read; `None` while there is none."""
    found = _last_of_each(history)
    facts = (found[kind].fact if kind in found else None for kind in (RunStarted, WatchStarted))
    match tuple(facts):
        case (RunStarted() as started, WatchStarted() as watch):
            whole = Watch(started, watch.started_at, watch.started_at, watch.ends_at - watch.started_at)
        case _:
            return None
    if history.unread:
        return None
    if WatchEnded in found:
        return whole._replace(since=found[ChangeReverted].time) if _asks_for_recovery(history) else None
    return whole if ChangeReverted not in found and _due(history, "watch") else None


def _asks_for_recovery(history: History) -> Recorded | None:
    """The timer by which production should have recovered from a regression whose change was taken back for it."""
    found = _last_of_each(history)
    match [found[kind].fact if kind in found else None for kind in (WatchEnded, ChangeReverted)]:
        case [WatchEnded(outcome="regressed"), ChangeReverted(why="regression")]:
            return _due(history, RECOVERY) if IncidentResolved not in found else None
        case _:
            return None


def _recovery(watched: Watched) -> list[Owed]:
    """Whether the signals that got worse are as they were, once the change is taken back."""
    due = _asks_for_recovery(watched.history)
    if due is None or watched.readings is None:
        return []
    stated = [r.fact for r in watched.history.facts if isinstance(r.fact, AnomalyDetected)]
    assert isinstance(due.fact, TimerDue)
    run, signals, known = due.fact.run, {fact.signal for fact in stated}, {fact.anomaly for fact in stated}
    asked = [reading for reading in watched.readings if reading.signal in signals]
    still = [_anomaly(run, reading, RECOVERY) for reading in asked if reading.comparison.outcome == "regressed"]
    if fresh := [anomaly for anomaly in still if anomaly.anomaly not in known]:
        return [Owed(fact, due.id) for fact in fresh]
    if still or any(_identity(run, signal, RECOVERY) in known for signal in signals):
        return []
    if not asked or any(reading.comparison.outcome == "no_data" for reading in asked):
        return []
    said = "; ".join(f"{reading.signal}: {reading.comparison.message}" for reading in asked)
    return [Owed(IncidentResolved(run=run, incident=_identity(run), message=said), due.id)]


def _last_of_each(history: History) -> dict[type[Fact], Recorded]:
    return {type(recorded.fact): recorded for recorded in history.facts}


def _due(history: History, timer: str) -> Recorded | None:
    due = [r for r in history.facts if isinstance(r.fact, TimerDue) and r.fact.timer == timer]
    return due[-1] if due else None


def _start(started: RunStarted, merged: ChangeMerged, time: float) -> WatchStarted:
    ends_at = time + started.policy.watched_s
    signals = tuple(metric.name for metric in watched_metrics(started.policy))
    return WatchStarted(run=started.run, tip=merged.tip, started_at=time, ends_at=ends_at, signals=signals)


def _judged(run: str, history: History, readings: tuple[Reading, ...]) -> Iterator[Fact]:
    """An anomaly for each signal that got worse, and one incident, unless they are stated; and the end of the watch."""
    stated = {r.fact.signal: r.fact for r in history.facts if isinstance(r.fact, AnomalyDetected)}
    fresh = {r.signal: _anomaly(run, r) for r in readings if r.comparison.outcome == "regressed"}
    yield from (anomaly for signal, anomaly in fresh.items() if signal not in stated)
    if (fresh or stated) and not any(isinstance(r.fact, IncidentOpened) for r in history.facts):
        message = f"production got worse after the merge in {', '.join({**fresh, **stated})}"
        yield IncidentOpened(run=run, incident=_identity(run), message=message)
    yield _end(run, tuple({**fresh, **stated}.values()), readings)


def _anomaly(run: str, reading: Reading, *when: str) -> AnomalyDetected:
    message = f"{reading.signal}: {reading.comparison.message}{', and not better without the change' if when else ''}"
    return AnomalyDetected(
        run=run, anomaly=_identity(run, reading.signal, *when), signal=reading.signal, message=message
    )


def _identity(*parts: str) -> str:
    """One name for one thing, however often it is seen."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _end(run: str, anomalies: tuple[AnomalyDetected, ...], readings: tuple[Reading, ...]) -> WatchEnded:
    """The points told are those of the signal that was measured best: its smaller side counts."""
    compared = [reading.comparison for reading in readings]
    best = max(compared, key=lambda one: min(one.before_count, one.after_count), default=None)
    said = "; ".join(f"{reading.signal}: {reading.comparison.message}" for reading in readings)
    measured = any(one.outcome != "no_data" for one in compared)
    if anomalies:
        outcome, reason = "regressed", "; ".join(anomaly.message for anomaly in anomalies)
    elif measured:
        outcome, reason = "clear", said
    else:
        outcome, reason = "no_data", said or "no metric is watched, so nothing is known about production"
    return WatchEnded.model_validate(
        {
            "run": run,
            "outcome": outcome,
            "reason": reason,
            "points_before": best.before_count if best else 0,
            "points_after": best.after_count if best else 0,
        }
    )
