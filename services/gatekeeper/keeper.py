"""The gatekeeper's wake-ups: which run a delivery is about, and settling it.

Every wake-up ends the same way: the run and its ladder are read to the head, what is owed is
stated fact by fact, and the timers that the state asks for are scheduled.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from libs.contracts.facts import Fact, LadderFact, Owed, RunFact
from libs.contracts.history import Fence, History
from libs.contracts.ladder import Ladder
from libs.contracts.ladder import fold as fold_ladder
from libs.contracts.people import EVERYONE, People
from libs.contracts.requests import run_id
from libs.contracts.subjects import ladder_filter, run_filter
from libs.contracts.wire import Newer, decode_decision_request
from libs.runtime.settling import settle
from libs.runtime.shell import Delivery, Refused, Shell
from libs.runtime.telemetry import root_traceparent
from libs.runtime.timers import schedule
from services.gatekeeper.decider import decide
from services.gatekeeper.decisions import consider
from services.gatekeeper.evolution import fold as fold_run
from services.gatekeeper.projection import Projection
from services.gatekeeper.replay import replay, row_of
from services.gatekeeper.run import Run
from services.gatekeeper.timers import Timer, due, open_timers

SWEEP_S = 60.0

logger = logging.getLogger("rung")


@dataclass(frozen=True)
class Case:
    """A run and its ladder as of now, and the heads that a fact about them relies on."""

    run: Run
    ladder: Ladder
    run_head: int
    ladder_head: int
    traceparent: str | None

    def fence(self, fact: Fact) -> Fence:
        match fact:
            case RunFact():
                return Fence(run_filter(fact.run), self.run_head)
            case LadderFact():
                return Fence(ladder_filter(fact.workflow), self.ladder_head)
            case _:
                raise AssertionError(f"the gatekeeper does not state {fact.subject}")


class Keeper:
    """Settles runs over one shell, one at a time; `scheduled` remembers what has been scheduled since the last sweep.

    Taking turns only saves work: what keeps two gatekeepers apart is the fence.
    """

    def __init__(self, shell: Shell, projection: Projection, people: People = EVERYONE) -> None:
        self._shell = shell
        self._projection = projection
        self._people = people
        self._scheduled: dict[str, frozenset[Timer]] = {}
        self._turn = asyncio.Lock()

    async def on_fact(self, delivery: Delivery) -> None:
        match delivery.tokens:
            case ["run", run, *_]:
                await self.settle(run)
            case ["issue", issue, "opened" | "edited", revision]:
                await self.settle(run_id(issue, int(revision)), delivery.subject)
            case ["workflow", *_]:
                await self._settle_open_runs()
            case _:
                return

    async def on_decision(self, delivery: Delivery) -> None:
        envelope, request = decode_decision_request(delivery.headers, delivery.data)
        if delivery.tokens[-1] != request.run:
            raise Refused(f"the decision {envelope.id} is about run {request.run} but was sent to {delivery.subject}")
        run = (await self._read(request.run)).run
        if run.started is None:
            raise Refused(f"there is no run {request.run}")
        if run.unread:
            raise Newer(f"{len(run.unread)} facts of run {request.run} cannot be read by this build")
        await self._settle(request.run, lambda case: consider(case.run, request, self._people))
        await self.settle(request.run)

    async def on_timer(self, delivery: Delivery) -> None:
        match delivery.tokens:
            case ["timers", "due", run, name]:
                await self._settle(run, lambda case: due(case.run, name, delivery.time))
                await self.settle(run)
            case _:
                raise Refused(f"{delivery.subject} names no timer")

    async def on_projection(self, delivery: Delivery) -> None:
        """Bring the row of the run that the fact is about to the head, and the position to the fact."""
        rows = []
        if delivery.tokens[0] == "run" and (row := row_of(await self._shell.log.read(run_filter(delivery.tokens[1])))):
            rows.append(row)
        await asyncio.to_thread(self._projection.put_runs, rows, position=delivery.sequence)

    async def sweep(self) -> None:
        """At start and every minute: settle each run that has not ended and schedule all its timers again.

        So no lost wake-up, timer or projection matters.
        """
        if await asyncio.to_thread(self._projection.position) == 0:
            await replay(self._shell.log, self._projection)
        while True:
            self._scheduled.clear()
            await self._settle_open_runs()
            await asyncio.sleep(SWEEP_S)

    async def _settle_open_runs(self) -> None:
        for run in await asyncio.to_thread(self._projection.unsettled_runs):
            await self.settle(run)

    async def settle(self, run: str, opened_on: str | None = None) -> None:
        """State what is owed about a run until nothing is, then schedule its timers."""
        case = await self._settle(run, lambda case: decide(case.run, case.ladder), opened_on)
        timers = frozenset(open_timers(case.run))
        for timer in timers - self._scheduled.pop(run, frozenset()):
            await schedule(self._shell.client, *timer)
        if timers:
            self._scheduled[run] = timers

    async def _settle(self, run: str, owed: Callable[[Case], list[Owed]], opened_on: str | None = None) -> Case:
        async with self._turn:
            return await settle(self._shell.log, lambda: self._read(run, opened_on), owed)

    async def _read(self, run: str, opened_on: str | None = None) -> Case:
        """The run as the log has it; one that has not begun is read from the issue that opened it."""
        log = self._shell.log
        history = await log.read(run_filter(run))
        opening = await log.read(opened_on) if opened_on and not history.head else History()
        state = fold_run((*opening.facts, *history.facts), [u.sequence for u in (*opening.unread, *history.unread)])
        workflow = _workflow(state)
        ladder = await log.read(ladder_filter(workflow)) if workflow else History()
        return Case(
            run=state,
            ladder=fold_ladder(ladder.facts, is_unread=bool(ladder.unread)),
            run_head=history.head,
            ladder_head=ladder.head,
            traceparent=_traceparent(run, opening, history),
        )


def _workflow(run: Run) -> str | None:
    begun = run.started or run.issue
    return begun.workflow if begun else None


def _traceparent(run: str, *histories: History) -> str:
    """The trace goes on from the last fact that has one; the first roots it in the run's id."""
    known = [recorded.traceparent for history in histories for recorded in history.facts if recorded.traceparent]
    return known[-1] if known else root_traceparent(run)
