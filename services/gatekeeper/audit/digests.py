"""Artifacts that facts name by digest."""

from collections.abc import Iterable

from libs.contracts.facts import (
    ChangeProposed,
    Fact,
    GateCalibrated,
    IssueOpened,
    PhaseCompleted,
    PhaseErrored,
    PhaseRequested,
    RunStarted,
)


def digests_of(fact: Fact) -> Iterable[str]:
    """The artifacts of a fact. What was imported from elsewhere lies elsewhere."""
    match fact:
        case IssueOpened() | RunStarted():
            return (fact.body,)
        case PhaseRequested():
            return fact.inputs.values()
        case PhaseCompleted():
            return fact.evidence.artifacts.values()
        case PhaseErrored():
            return fact.artifacts.values()
        case ChangeProposed():
            return (fact.description,)
        case GateCalibrated():
            return (fact.report,)
        case _:
            return ()
