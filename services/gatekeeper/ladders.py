"""The ladders' wake-ups: what their runs have earned or lost them is stated, and what people ask is answered."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from libs.contracts.facts import Fact, LadderFact, Owed
from libs.contracts.history import Fence, History
from libs.contracts.ladder import Ladder, evolve
from libs.contracts.people import People
from libs.contracts.subjects import ladder_filter, run_filter
from libs.contracts.wire import decode_ladder_request
from libs.runtime.remembering import RememberingLog
from libs.runtime.settling import settle
from libs.runtime.shell import Delivery, Refused
from services.gatekeeper.climbing import Promotion, climb
from services.gatekeeper.decisions import Refusal
from services.gatekeeper.evolution import fold as fold_run
from services.gatekeeper.petitions import Known, Labelled, answer
from services.gatekeeper.projection import Projection
from services.gatekeeper.readiness.labels import labels_by_run, labels_of
from services.gatekeeper.readiness.scorecard import Scorecard, scorecard
from services.gatekeeper.readiness.standing import readiness


@dataclass(frozen=True)
class LadderCase:
    """A ladder as of now, with the last fact about it, and what an answer to a request needs to know beside it.

    `cards` are at least as new as `position`.
    """

    ladder: Ladder
    history: History
    position: int
    cards: Sequence[Scorecard] = ()
    labelled: Labelled | None = None

    @property
    def traceparent(self) -> str | None:
        return self.history.facts[-1].traceparent if self.history.facts else None

    def fence(self, fact: Fact) -> Fence:
        assert isinstance(fact, LadderFact), f"{fact.subject} is not about a ladder"
        return Fence(ladder_filter(fact.workflow), self.history.head)

    def is_answered(self, request: str) -> bool:
        return any(recorded.cause == request for recorded in self.history.facts)


class Ladders:
    """Settles ladders over one log.

    Each ladder that was read is folded on from there (`_folded`). Whoever is told again that a workflow moved while
    its ladder waits for its turn (`_waiting`) has nothing to do: what is read then holds all of it.
    """

    def __init__(self, log: RememberingLog, projection: Projection, people: People, promotion: Promotion) -> None:
        self._log = log
        self._projection = projection
        self._people = people
        self._promotion = promotion
        self._folded: dict[str, tuple[int, Ladder]] = {}
        self._waiting: dict[str, None] = {}
        self._news = asyncio.Event()

    async def on_request(self, delivery: Delivery, workflow: str) -> None:
        """State what somebody asks about a ladder, once, or refuse it with a sentence."""
        envelope, request = decode_ladder_request(delivery.headers, delivery.data)
        if workflow != request.workflow:
            raise Refused(f"the request {envelope.id} is about {request.workflow} but was sent to {delivery.subject}")

        def owed(case: LadderCase) -> list[Owed]:
            if case.is_answered(request.request):
                return []
            given = answer(Known(case.ladder, case.cards, case.labelled), request, self._people)
            if isinstance(given, Refusal):
                raise Refused(given.message)
            return [Owed(given, request.request)]

        await settle(self._log, lambda: self._read(workflow, request.run), owed)

    def has_moved(self, workflow: str) -> None:
        """Some run of the workflow came to rest, or its ladder moved: what follows is stated as soon as may be."""
        self._waiting[workflow] = None
        self._news.set()

    async def run(self) -> None:
        """Climb wherever something has moved, for ever."""
        while True:
            await self._news.wait()
            await self.climb_where_moved()

    async def climb_where_moved(self) -> None:
        self._news.clear()
        while self._waiting:
            workflow = next(iter(self._waiting))
            del self._waiting[workflow]
            await self.climb(workflow)

    async def climb(self, workflow: str) -> None:
        """State what the runs of a workflow have earned or lost it, until nothing is owed; keep how it then stands."""

        def owed(case: LadderCase) -> list[Owed]:
            facts = climb(case.ladder, case.cards, self._promotion)
            return [Owed(fact, case.history.facts[-1].id) for fact in facts]

        case = await settle(self._log, lambda: self._read(workflow), owed)
        if case.ladder.workflow:
            found = await asyncio.to_thread(readiness, case.ladder, case.cards, None)
            await asyncio.to_thread(self._projection.put_readiness, found, position=case.position)

    def folded(self, workflow: str, history: History) -> Ladder:
        """The ladder that a history tells of, folded on from where it was read last."""
        count, ladder = self._folded.get(workflow, (0, Ladder()))
        if count > len(history.facts):
            count, ladder = 0, Ladder()
        for recorded in history.facts[count:]:
            ladder = evolve(ladder, recorded)
        self._folded[workflow] = (len(history.facts), ladder)
        return replace(ladder, is_unread=bool(history.unread))

    async def _read(self, workflow: str, run: str | None = None) -> LadderCase:
        """A ladder to its head, with the scorecards of its runs and, where a run is named, that run."""
        history = await self._log.read(ladder_filter(workflow))
        position = await asyncio.to_thread(self._projection.position)
        cards = await asyncio.to_thread(self._projection.cards, workflow)
        labelled = await self._labelled(run, history)
        return LadderCase(self.folded(workflow, history), history, position, cards, labelled)

    async def _labelled(self, run: str | None, ladder: History) -> Labelled | None:
        if run is None:
            return None
        history = await self._log.read(run_filter(run))
        state = fold_run(history.facts, [unread.sequence for unread in history.unread])
        if state.started is None:
            return None
        labels = labels_of(labels_by_run(ladder.facts).get(run, ()))
        return Labelled(state, scorecard(state, history.facts, labels))
