"""What the merger owes on an authorisation or an order to roll back, from facts alone: one answer each.

Just before the ref moves run and ladder are read to the head: a run that ended is not landed, one
that is held or whose workflow is frozen is refused. Neither stops a rollback, nor does the end of the run; the
last order is answered, and none any more once the change is taken back.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from libs.contracts.facts import (
    ChangeMerged,
    ChangeRefused,
    ChangeReverted,
    DecisionRecorded,
    MergeAuthorised,
    RollbackOrdered,
    RunFinished,
    RunStarted,
)
from libs.contracts.history import History
from libs.contracts.ladder import fold
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind, Level


@dataclass(frozen=True)
class Landing:
    """An authorisation that has no answer yet; `is_held` says that a human stopped it."""

    started: RunStarted
    authorised: MergeAuthorised
    recorded: Recorded
    is_held: bool


@dataclass(frozen=True)
class Rollback:
    """An order to take a merged change back that has no answer yet; `attempt` is that of the merge."""

    started: RunStarted
    merged: ChangeMerged
    ordered: RollbackOrdered
    recorded: Recorded
    attempt: int = 1


class Stop(NamedTuple):
    """Why an authorised change is not landed now; the code is one of `change.refused`."""

    code: Literal["held", "frozen", "lowered"]
    message: str


def stop(landing: Landing, history: History) -> Stop | None:
    """What keeps the change from landing; `None` when nothing does. A ladder that cannot be read does."""
    if landing.is_held:
        return Stop("held", "the run is held; release it and approve again")
    if history.unread:
        return Stop("frozen", "the workflow's ladder holds facts that this build cannot read")
    ladder = fold(history.facts)
    if ladder.freeze is not None:
        return Stop("frozen", f"the workflow is frozen by {ladder.freeze.by}: {ladder.freeze.reason}")
    level = ladder.in_force(landing.started.level)
    if landing.authorised.decision is None and level is not Level.ASE:
        return Stop("lowered", f"the level in force fell to {level}, where a human merges")
    return None


def owed_landing(history: History) -> Landing | None:
    """The last authorisation, unless it is answered or the run is over."""
    started: RunStarted | None = None
    authorised: Recorded | None = None
    is_held = False
    for recorded in history.facts:
        match recorded.fact:
            case RunStarted() as fact:
                started = fact
            case MergeAuthorised():
                authorised = recorded
            case ChangeMerged() | ChangeRefused() | RunFinished():
                authorised = None
            case DecisionRecorded(kind=DecisionKind.HOLD | DecisionKind.RELEASE) as fact:
                is_held = fact.kind is DecisionKind.HOLD
            case _:
                pass
    if started is None or authorised is None or not isinstance(authorised.fact, MergeAuthorised) or history.unread:
        return None
    return Landing(started, authorised.fact, authorised, is_held)


def owed_rollback(history: History) -> Rollback | None:
    """The last order to take the merged change back, unless it is answered."""
    started: RunStarted | None = None
    merged: ChangeMerged | None = None
    order: Recorded | None = None
    attempt = 1
    for recorded in history.facts:
        match recorded.fact:
            case RunStarted() as fact:
                started = fact
            case MergeAuthorised() as fact:
                attempt = fact.attempt
            case ChangeMerged() as fact:
                merged = fact
            case RollbackOrdered():
                order = recorded
            case ChangeRefused():
                order = None
            case ChangeReverted():
                return None
            case _:
                pass
    if started is None or merged is None or order is None or history.unread:
        return None
    assert isinstance(order.fact, RollbackOrdered)
    return Rollback(started, merged, order.fact, order, attempt)
