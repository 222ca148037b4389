"""What the monitor owes a merged run, from the run's facts alone: a watch, and its end by timer.

Without a metric there is nothing to compare: the watch ends `no_data` after a moment, never clear.
"""

from dataclasses import dataclass

from libs.contracts.facts import ChangeMerged, Fact, Owed, RunStarted, TimerDue, WatchEnded, WatchStarted
from libs.contracts.history import Fence, History, fence_for


@dataclass(frozen=True)
class Watched:
    """A run as the monitor sees it."""

    history: History

    @property
    def traceparent(self) -> str | None:
        return self.history.facts[-1].traceparent if self.history.facts else None

    def fence(self, fact: Fact) -> Fence:
        return fence_for(fact, self.history)


def decide(watched: Watched) -> list[Owed]:
    """The watch's start after a merge, and its end when its timer came due."""
    if watched.history.unread:
        return []
    found = {type(recorded.fact): recorded for recorded in watched.history.facts}
    started, merged = found.get(RunStarted), found.get(ChangeMerged)
    if started is None or merged is None or WatchEnded in found:
        return []
    if WatchStarted not in found:
        assert isinstance(started.fact, RunStarted)
        assert isinstance(merged.fact, ChangeMerged)
        return [Owed(_start(started.fact, merged.fact, merged.time), merged.id)]
    due = [r for r in watched.history.facts if isinstance(r.fact, TimerDue) and r.fact.timer == "watch"]
    return [Owed(_end(merged.fact), due[-1].id)] if due else []


def _start(started: RunStarted, merged: ChangeMerged, time: float) -> WatchStarted:
    ends_at = time + started.policy.watched_s
    return WatchStarted(run=started.run, tip=merged.tip, started_at=time, ends_at=ends_at)


def _end(merged: Fact) -> WatchEnded:
    assert isinstance(merged, ChangeMerged)
    reason = "no metric is watched, so nothing is known about production"
    return WatchEnded(run=merged.run, outcome="no_data", reason=reason)
