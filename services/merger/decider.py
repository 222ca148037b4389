"""What the merger owes on an authorisation, from the run's facts alone: one answer, after a last look.

Just before the ref moves the run is read to the head: one that was cancelled, held or authorised
anew in between is not landed.
"""

from dataclasses import dataclass

from libs.contracts.facts import ChangeMerged, ChangeRefused, DecisionRecorded, MergeAuthorised, RunFinished, RunStarted
from libs.contracts.history import History
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind


@dataclass(frozen=True)
class Landing:
    """An authorisation that has no answer yet; `is_held` says that a human stopped it."""

    started: RunStarted
    authorised: MergeAuthorised
    recorded: Recorded
    is_held: bool


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
