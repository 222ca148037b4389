"""The language of the specs: `given(facts).owes(facts)`.

Each spec is asked twice and after every prefix of what is owed: what stands in the log already is
never owed again. Facts of the ladder may stand among the given ones; they fold into the ladder.
Fact n has the sequence and id n, and the store's time 1000 + n.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from libs.contracts.facts import Fact, IssueFact, LadderFact, Owed, RunFact
from libs.contracts.ladder import Ladder
from libs.contracts.ladder import fold as fold_ladder
from libs.contracts.requests import DecisionRequest
from libs.contracts.wire import Recorded
from services.gatekeeper.authority import LABELLED_MIN, Experience
from services.gatekeeper.decider import decide
from services.gatekeeper.decisions import consider
from services.gatekeeper.evolution import fold
from services.gatekeeper.run import Run
from services.gatekeeper.timers import due, open_timers
from services.gatekeeper.transitions import event_of

ROUNDS_MAX = 10
T0 = 1_000.0
EXPERIENCED = Experience(LABELLED_MIN, has_live_signal=True, has_drilled=True, is_sandboxed=True)
"""All that keeps caps away that are not about the change itself."""


def given(*facts: Fact) -> "Given":
    return Given(facts)


def record(facts: Iterable[Fact]) -> tuple[Recorded, ...]:
    """The facts as the log would have them."""
    return tuple(
        Recorded(fact, id=str(n), cause="", producer="", sequence=n, time=T0 + n)
        for n, fact in enumerate(facts, start=1)
    )


@dataclass(frozen=True)
class Given:
    """A log that tells of one run, and questions to the decider about it."""

    facts: tuple[Fact, ...]
    experience: Experience = EXPERIENCED

    def __repr__(self) -> str:
        return f"given({', '.join(event_of(fact) for fact in self.facts)})"

    @cached_property
    def recorded(self) -> tuple[Recorded, ...]:
        return record(self.facts)

    @cached_property
    def run(self) -> Run:
        return fold(recorded for recorded in self.recorded if not isinstance(recorded.fact, LadderFact))

    @cached_property
    def ladder(self) -> Ladder:
        return fold_ladder(recorded for recorded in self.recorded if isinstance(recorded.fact, LadderFact))

    def then(self, *facts: Fact) -> "Given":
        return replace(self, facts=(*self.facts, *facts))

    def owes(self, *expected: Fact) -> None:
        """Just these facts are owed now, and after some of them just the rest."""
        for count in range(len(expected) + 1):
            after = self.then(*expected[:count])
            owed = _facts(after.asked())
            if count < len(expected):
                assert owed == list(expected[count:])
            else:
                assert not [fact for fact in owed if fact in expected]

    def owes_nothing(self) -> None:
        assert _facts(self.asked()) == []

    def settles(self, *expected: Fact) -> "Given":
        """Stated one by one, these facts lead to where nothing is owed."""
        stated = list(self.stated())
        assert stated == list(expected)
        return self.then(*stated)

    def settled(self) -> "Given":
        """The log after the gatekeeper has stated all that it owes."""
        return self.then(*self.stated())

    def stated(self) -> Iterator[Fact]:
        """What the gatekeeper states, as its shell does: the first that is owed, then asked again."""
        log = self
        for _ in range(ROUNDS_MAX):
            if not (owed := log.asked()):
                return
            yield owed[0].fact
            log = log.then(owed[0].fact)
        raise AssertionError(f"still owing {owed[0].fact.subject} after {ROUNDS_MAX} rounds")

    def asked(self) -> list[Owed]:
        """What is owed; asked twice, and of the run as it is read once it has begun: without its issue."""
        run, ladder = self.run, self.ladder
        owed = decide(run, ladder, self.experience)
        assert decide(run, ladder, self.experience) == owed
        assert decide(self._without_issue(), ladder, self.experience) == owed
        return owed

    def requests(self, request: DecisionRequest) -> "Answer":
        """What a decision request is answered with; after the answer a repeat is owed nothing."""
        owed = consider(self.run, request)
        assert consider(self.run, request) == owed
        after = self.then(*_facts(owed))
        assert consider(after.run, request) == []
        return Answer(owed[0].fact if owed else None, after)

    def timer(self, name: str) -> "Given":
        """The log after this timer has come due."""
        (moment,) = [timer.at for timer in open_timers(self.run) if timer.name == name]
        (owed,) = due(self.run, name, moment)
        return self.then(owed.fact)

    @property
    def timers(self) -> list[str]:
        return [timer.name for timer in open_timers(self.run)]

    def _without_issue(self) -> Run:
        has_begun = any(isinstance(fact, RunFact) for fact in self.facts)
        skipped = (LadderFact, IssueFact) if has_begun else LadderFact
        return fold(recorded for recorded in self.recorded if not isinstance(recorded.fact, skipped))


@dataclass(frozen=True)
class Answer:
    """What a request was answered with, `None` for nothing, and the log after it."""

    fact: Fact | None
    after: Given


def _facts(owed: Iterable[Owed]) -> list[Fact]:
    return [fact for fact, _ in owed]
