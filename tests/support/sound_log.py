"""A log as the services would have written it, made in memory by the deciders themselves, and ways to forge it.

Every fact is one that a decider owes or a worker answers, with the id, cause and speaker that it has in a real log.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from libs.contracts.evidence import Evidence
from libs.contracts.export import Entry, Line, canonical, encode_stored, read_lines
from libs.contracts.facts import Fact, LadderFact, PhaseClaimed, speaker_of
from libs.contracts.ladder import Ladder
from libs.contracts.ladder import fold as fold_ladder
from libs.contracts.requests import DecisionRequest, fact_id
from libs.contracts.wire import Recorded, decode_fact, encode_fact
from libs.contracts.words import DecisionKind, Outcome, Phase, Service
from services.gatekeeper.authority import UNKNOWN, Experience
from services.gatekeeper.decider import decide
from services.gatekeeper.decisions import consider
from services.gatekeeper.evolution import fold
from services.gatekeeper.run import Run
from services.gatekeeper.timers import due, open_timers
from services.gatekeeper.transitions import Stage
from tests.spec import story

FIRST_SECOND: Final = 1_700_000_000.123456789


class Ledger:
    """A log that grows by one second a message."""

    def __init__(self, experience: Experience = UNKNOWN) -> None:
        self._experience = experience
        self.lines: list[Line] = []
        self.recorded: list[Recorded] = []

    def add(self, fact: Fact, cause: str, *, speaker: Service | None = None, identity: str | None = None) -> Recorded:
        """State a fact behind all others; a forger may choose who says it and its id."""
        headers, data = encode_fact(
            fact,
            fact_id=identity or fact_id(cause, fact.subject),
            cause=cause,
            producer=speaker or speaker_of(fact),
            traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        )
        sequence = len(self.lines) + 1
        time = FIRST_SECOND + sequence
        self.lines.append(encode_stored(fact.subject, headers, data, sequence=sequence, time=time))
        self.recorded.append(decode_fact(fact.subject, headers, data, sequence=sequence, time=time))
        return self.recorded[-1]

    @property
    def run(self) -> Run:
        return fold(r for r in self.recorded if not isinstance(r.fact, LadderFact))

    @property
    def ladder(self) -> Ladder:
        return fold_ladder(r for r in self.recorded if isinstance(r.fact, LadderFact))

    def settle(self) -> Run:
        """State what the gatekeeper owes until nothing is."""
        while owed := decide(self.run, self.ladder, self._experience):
            self.add(owed[0].fact, owed[0].cause)
        return self.run

    def opens(self, **more: Any) -> Run:
        opened = story.opened(**more)
        self.add(opened, opened.request)
        return self.settle()

    def works(self, evidence: Evidence | None = None) -> Run:
        """The worker claims the attempt at hand and answers it."""
        run = self.run
        assert run.stage is Stage.WORKING, run.stage
        self.add(PhaseClaimed(run=run.run, phase=run.phase, attempt=run.attempt, worker="host:1"), run.cause)
        answer = story.completed(run.phase, run.attempt, evidence)
        self.add(answer, run.cause)
        return self.settle()

    def decides(self, kind: DecisionKind, decision: str = "", **more: Any) -> Run:
        name = decision or f"d{len(self.lines)}"
        request = story.asks(kind, name, **more)
        self._consider(request)
        return self.settle()

    def comes_due(self, name: str) -> Run:
        """The moment of a timer comes."""
        run = self.run
        timer = next(timer for timer in open_timers(run) if timer.name.startswith(name))
        (owed,) = due(run, timer.name, timer.at)
        self.add(owed.fact, owed.cause)
        return self.settle()

    def merges(self) -> Run:
        self.add(story.merged(), self.run.cause)
        merged = self.recorded[-1]
        self.add(story.watch_started(), merged.id)
        self.comes_due("watch")
        self.add(story.watch_ended(), self.recorded[-1].id)
        return self.settle()

    def _consider(self, request: DecisionRequest) -> None:
        (owed,) = consider(self.run, request)
        self.add(owed.fact, owed.cause)


def healed_and_merged() -> Ledger:
    """A run whose test gate fails once, whose human guides it, and that is merged and watched to its end."""
    ledger = Ledger()
    run = ledger.opens()
    fails = [Phase.TEST]
    while run.stage is not Stage.ENDED:
        if run.stage is Stage.WORKING:
            run = ledger.works(story.BAD[fails.pop()] if run.phase in fails else None)
        elif run.stage is Stage.AUTHORISED:
            run = ledger.merges()
        else:
            assert run.judged is not None
            is_fail = run.judged.verdict.outcome is Outcome.FAIL
            run = ledger.decides(DecisionKind.GUIDE if is_fail else DecisionKind.APPROVE)
    return ledger


# -- forging ------------------------------------------------------------------

Forge = Callable[[list[Line]], list[Line]]


def entries(lines: Iterable[Line]) -> list[Entry]:
    """As they come out of the file of an export."""
    return list(read_lines(canonical(line) + b"\n" for line in lines))


def found(lines: Iterable[Line], kind: str, nth: int = 0) -> Line:
    """The nth line of a type, such as `run.change.merged`."""
    return [line for line in lines if line["type"] == f"rung.{kind}"][nth]


def altered(lines: Iterable[Line], kind: str, nth: int = 0, /, **data: Any) -> list[Line]:
    """The log with other data in one of its lines."""
    copied: list[Line] = json.loads(json.dumps(list(lines)))
    found(copied, kind, nth)["data"].update(data)
    return copied


def relabelled(lines: Iterable[Line], kind: str, attributes: Mapping[str, Any], nth: int = 0) -> list[Line]:
    """The log with other attributes on one of its lines."""
    copied: list[Line] = json.loads(json.dumps(list(lines)))
    found(copied, kind, nth).update(attributes)
    return copied


def without(lines: Iterable[Line], kind: str, nth: int = 0) -> list[Line]:
    """The log without one of its lines, and with the gap."""
    kept = list(lines)
    kept.remove(found(kept, kind, nth))
    return kept


def closed_up(lines: Iterable[Line]) -> list[Line]:
    """Sequences and times made good, as a careful forger would."""
    return [{**line, "sequence": number, "time": FIRST_SECOND + number} for number, line in enumerate(lines, start=1)]
