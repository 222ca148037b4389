"""What may be stated once: a run's beginning and end, one request, answer and verdict an attempt, one merge."""

from collections.abc import Iterator
from typing import Final

from libs.contracts.facts import (
    AnomalyDetected,
    ChangeMerged,
    DecisionRecorded,
    DecisionRefused,
    Fact,
    GateJudged,
    IncidentOpened,
    IncidentResolved,
    IssueFact,
    PhaseCompleted,
    PhaseErrored,
    PhaseRequested,
    RunFinished,
    RunStarted,
    TimerDue,
)
from libs.contracts.wire import Recorded
from services.gatekeeper.audit.findings import Finding

ONCE: Final = (
    AnomalyDetected,
    ChangeMerged,
    GateJudged,
    IncidentOpened,
    IncidentResolved,
    IssueFact,
    PhaseRequested,
    RunFinished,
    RunStarted,
    TimerDue,
)
"""Facts of which no second stands on the same subject."""


class Slots:
    """The places that are taken, and by which sequence."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def see(self, recorded: Recorded) -> Iterator[Finding]:
        if (slot := slot_of(recorded.fact)) is None:
            return
        if slot in self._taken:
            said = f"this place was taken at {self._taken[slot]}; it is stated once only"
            yield Finding("slot.repeated", recorded.sequence, recorded.fact.subject, said)
        else:
            self._taken[slot] = recorded.sequence


def slot_of(fact: Fact) -> str | None:
    """The place that a fact takes for good; `None` for one that may come again."""
    match fact:
        case PhaseCompleted() | PhaseErrored():
            return f"{fact.run} answers {fact.phase} {fact.attempt}"
        case DecisionRecorded() | DecisionRefused():
            return f"{fact.run} decides {fact.decision}"
        case IssueFact():
            return fact.subject
        case _:
            return fact.subject if isinstance(fact, ONCE) else None
