"""Causes: a fact names an earlier one, or the request from outside that it answers.

A request stands in another stream, so only its absence where a fact has to be named can be seen.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from libs.contracts.facts import (
    AnomalyDetected,
    IncidentOpened,
    IncidentResolved,
    IssueClosed,
    IssueOpened,
    PhaseClaimed,
    PolicyAdopted,
    RollbackOrdered,
    RunFact,
    ServiceFact,
)
from libs.contracts.wire import Recorded
from services.gatekeeper.audit.findings import Finding

FROM_OUTSIDE: Final = (AnomalyDetected, IncidentOpened, IncidentResolved, RollbackOrdered)
"""Facts of a run that a measurement or a person may cause."""
REPEATABLE: Final = (PhaseClaimed, ServiceFact)
"""Facts that may be stated again for the same cause: a claim that is taken over, a machine that is probed again."""


class Causes:
    """The ids seen so far, and the facts whose cause was not among them."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._waiting: dict[str, list[Recorded]] = defaultdict(list)

    def see(self, recorded: Recorded) -> Iterator[Finding]:
        fact = recorded.fact
        if isinstance(fact, IssueOpened | IssueClosed):
            if fact.request != recorded.cause:
                yield _found("cause.request", recorded, "the request that it names is not its cause")
        elif _needs_fact(recorded) and recorded.cause not in self._ids:
            self._waiting[recorded.cause].append(recorded)
        if recorded.id not in self._ids:
            self._ids[recorded.id] = recorded.sequence
        elif not isinstance(fact, REPEATABLE):
            yield _found("fact.repeated", recorded, f"the same fact stands at {self._ids[recorded.id]} already")

    def end(self) -> Iterator[Finding]:
        for cause, recordeds in self._waiting.items():
            at = self._ids.get(cause)
            code = "cause.missing" if at is None else "cause.later"
            said = "no fact has the id of its cause" if at is None else f"its cause stands behind it, at {at}"
            for recorded in recordeds:
                yield _found(code, recorded, said)


def _needs_fact(recorded: Recorded) -> bool:
    fact = recorded.fact
    return isinstance(fact, RunFact | PolicyAdopted) and not isinstance(fact, FROM_OUTSIDE)


def _found(code: str, recorded: Recorded, said: str) -> Finding:
    return Finding(code, recorded.sequence, recorded.fact.subject, said)
