"""The gatekeeper's wake-ups: which run a delivery is about, and settling it.

Every wake-up ends the same way: the run and its ladder are read to the head, what is owed is
stated fact by fact, and the timers that the state asks for are scheduled. A fact that was below the
head when its run was settled last wakes nobody up again: what it tells has been decided on already.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from libs.contracts.facts import Fact, LabelStated, LadderFact, Owed, RunFact, RunStarted, SandboxProbed
from libs.contracts.history import Fence, History
from libs.contracts.ladder import Ladder
from libs.contracts.people import EVERYONE, People
from libs.contracts.requests import run_id
from libs.contracts.subjects import ladder_filter, run_filter
from libs.contracts.wire import Newer, decode_decision_request
from libs.contracts.words import Level, Service
from libs.runtime.remembering import RememberingLog
from libs.runtime.settling import settle
from libs.runtime.shell import Delivery, Refused, Shell
from libs.runtime.telemetry import root_traceparent
from libs.runtime.timers import schedule
from services.gatekeeper.authority import UNKNOWN, Experience
from services.gatekeeper.climbing import Promotion
from services.gatekeeper.decider import decide
from services.gatekeeper.decisions import consider
from services.gatekeeper.evolution import fold as fold_run
from services.gatekeeper.ladders import Ladders
from services.gatekeeper.projection import Projection, RunRow
from services.gatekeeper.readiness.identity import agent_identity
from services.gatekeeper.readiness.labels import labels_by_run, labels_of
from services.gatekeeper.replay import replay, row_of
from services.gatekeeper.run import Run
from services.gatekeeper.timers import Timer, due, open_timers
from services.gatekeeper.transitions import Stage

SWEEP_S: Final = 60.0
TIMER_DOUBT_S: Final = 3 * SWEEP_S
"""How long before its moment a timer is scheduled again at each sweep, in case it was lost."""
SETTLED_MAX: Final = 100_000
"""Runs of which it is remembered how far they were settled."""

SANDBOX_PROBED: Final = f"service.{Service.BUILDER}.{SandboxProbed.type}"
"""Where the builder says what its sandbox keeps apart."""
DISPOSING: Final = (
    Stage.ANSWERED,
    Stage.PROCEEDING,
    Stage.STOPPING,
    Stage.APPROVED,
)
"""Stages in which it matters which level is in force."""

T = TypeVar("T")

logger = logging.getLogger("rung")


@dataclass(frozen=True)
class Case:
    """A run and its ladder as of now, and the heads that a fact about them relies on."""

    run: Run
    ladder: Ladder
    experience: Experience
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


class Settled(NamedTuple):
    """How far a run and its ladder were read when nothing was owed."""

    run_head: int
    workflow: str
    ladder_head: int


class Keeper:
    """Settles runs over one shell; each run by one at a time.

    Taking turns only saves work: what keeps two gatekeepers apart is the fence. What is remembered
    saves work too, and is lost at the end of the process: which timers were scheduled (`_scheduled`),
    how far runs were settled (`_settled`) and how far they were put as rows (`_projected`).
    """

    def __init__(
        self, shell: Shell, projection: Projection, people: People = EVERYONE, promotion: Promotion = "ask"
    ) -> None:
        self._shell = shell
        self._projection = projection
        self._people = people
        self._promotion = promotion
        self._scheduled: dict[str, frozenset[Timer]] = {}
        self._settled: OrderedDict[str, Settled] = OrderedDict()
        self._projected: OrderedDict[str, int] = OrderedDict()
        self._replayed = 0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @cached_property
    def _log(self) -> RememberingLog:
        return RememberingLog(self._shell.log)

    @cached_property
    def _ladders(self) -> Ladders:
        return Ladders(self._log, self._projection, self._people, self._promotion)

    async def on_fact(self, delivery: Delivery) -> None:
        match delivery.tokens:
            case ["run", run, *_]:
                await self._settle_to(delivery.sequence, run)
            case ["issue", issue, "opened" | "edited", revision]:
                await self._settle_to(delivery.sequence, run_id(issue, int(revision)), delivery.subject)
            case ["workflow", _, "label" | "gate" | "history", *_]:
                return
            case ["workflow", workflow, *_]:
                await self._settle_runs_of(workflow, delivery.sequence)
            case _:
                return

    async def on_request(self, delivery: Delivery) -> None:
        match delivery.tokens:
            case ["intake", "ladder", workflow]:
                await self._ladders.on_request(delivery, workflow)
            case _:
                await self._on_decision(delivery)

    async def _on_decision(self, delivery: Delivery) -> None:
        envelope, request = decode_decision_request(delivery.headers, delivery.data)
        if delivery.tokens[-1] != request.run:
            raise Refused(f"the decision {envelope.id} is about run {request.run} but was sent to {delivery.subject}")
        run = (await self._read(request.run)).run
        if run.started is None:
            raise Refused(f"there is no run {request.run}")
        if run.unread:
            raise Newer(f"{len(run.unread)} facts of run {request.run} cannot be read by this build")
        async with self._turn(request.run):
            await settle(
                self._log, lambda: self._read(request.run), lambda case: consider(case.run, request, self._people)
            )
            await self._settle(request.run, _owed)

    async def on_timer(self, delivery: Delivery) -> None:
        match delivery.tokens:
            case ["timers", "due", run, name]:
                async with self._turn(run):
                    await self._settle(run, lambda case: due(case.run, name, delivery.time) or _owed(case))
            case _:
                raise Refused(f"{delivery.subject} names no timer")

    async def on_projection(self, delivery: Delivery) -> None:
        """Bring the row of the run that the fact is about to the head, and the position to the fact."""
        if delivery.sequence <= self._replayed:
            return
        row = await self._row(delivery)
        had_ended = (
            row is not None and not row.card.ended and await asyncio.to_thread(self._projection.has_ended, row.run)
        )
        await asyncio.to_thread(self._projection.put_runs, [row] if row else [], position=delivery.sequence)
        if row is not None:
            _remember(self._projected, row.run, row.sequence)
        if (workflow := _moved(delivery, row, had_ended=had_ended)) is not None:
            self._ladders.has_moved(workflow)

    async def _row(self, delivery: Delivery) -> RunRow | None:
        """The row that a fact changes, if it has not been put with this fact in sight."""
        match delivery.tokens:
            case ["run", run, *_] if self._projected.get(run, 0) < delivery.sequence:
                return await self._row_of(run)
            case ["workflow", workflow, "label", "stated"]:
                ladder = await self._log.read(ladder_filter(workflow))
                at = next((one.fact for one in ladder.facts if one.sequence == delivery.sequence), None)
                return await self._row_of(at.run) if isinstance(at, LabelStated) else None
            case _:
                return None

    async def _row_of(self, run: str) -> RunRow | None:
        history = await self._log.read(run_filter(run))
        started = next((one.fact for one in history.facts if isinstance(one.fact, RunStarted)), None)
        if started is None:
            return None
        ladder = await self._log.read(ladder_filter(started.workflow))
        return row_of(history, labels_of(labels_by_run(ladder.facts).get(run, ())))

    async def run(self) -> None:
        """What is done without a delivery, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.sweep())
            tasks.create_task(self._ladders.run())

    async def sweep(self) -> None:
        """At start and every minute: settle each run that has not ended and schedule its timers; near ones again.

        So no lost wake-up, timer or projection matters.
        """
        if await asyncio.to_thread(self._projection.position) == 0:
            head = await self._shell.log.head(">")
            await replay(self._shell.log, self._projection)
            self._replayed = head
        for workflow in await asyncio.to_thread(self._projection.workflows):
            self._ladders.has_moved(workflow)
        while True:
            self._doubt_timers()
            for run in await asyncio.to_thread(self._projection.unsettled_runs):
                await self.settle(run)
            await asyncio.sleep(SWEEP_S)

    def _doubt_timers(self) -> None:
        """Forget that timers were scheduled whose moment is near or long past; one just past is on its way."""
        now = time.time()
        for run, timers in self._scheduled.items():
            self._scheduled[run] = frozenset(timer for timer in timers if _is_sure(timer, now))

    async def _settle_runs_of(self, workflow: str, sequence: int) -> None:
        """Settle the open runs that may not have seen this fact of their workflow's ladder."""
        for run in await asyncio.to_thread(self._projection.unsettled_runs):
            settled = self._settled.get(run)
            if settled is None or (settled.workflow == workflow and settled.ladder_head < sequence):
                await self.settle(run)

    async def _settle_to(self, sequence: int, run: str, opened_on: str | None = None) -> None:
        """Settle a run unless it was settled with the fact of this sequence in sight."""
        async with self._turn(run):
            settled = self._settled.get(run)
            if settled is None or settled.run_head < sequence:
                await self._settle(run, _owed, opened_on)

    async def settle(self, run: str) -> None:
        """State what is owed about a run until nothing is, then schedule its timers."""
        async with self._turn(run):
            await self._settle(run, _owed)

    def _turn(self, run: str) -> asyncio.Lock:
        """The turn of whoever settles a run; it lives as long as somebody has it or waits for it."""
        return self._turns.setdefault(run, asyncio.Lock())

    async def _settle(self, run: str, owed: Callable[[Case], list[Owed]], opened_on: str | None = None) -> None:
        case = await settle(self._log, lambda: self._read(run, opened_on), owed)
        timers = frozenset(open_timers(case.run))
        for timer in timers - self._scheduled.pop(run, frozenset()):
            await schedule(self._shell.client, *timer)
        if timers:
            self._scheduled[run] = timers
        _remember(self._settled, run, Settled(case.run_head, _workflow(case.run) or "", case.ladder_head))

    async def _read(self, run: str, opened_on: str | None = None) -> Case:
        """The run as the log has it; one that has not begun is read from the issue that opened it."""
        log = self._log
        history = await log.read(run_filter(run))
        opening = await self._shell.log.read(opened_on) if opened_on and not history.head else History()
        state = fold_run((*opening.facts, *history.facts), [u.sequence for u in (*opening.unread, *history.unread)])
        workflow = _workflow(state)
        ladder = await log.read(ladder_filter(workflow)) if workflow else History()
        folded = self._ladders.folded(workflow or "", ladder)
        return Case(
            run=state,
            ladder=folded,
            experience=await self._experience(state, folded),
            run_head=history.head,
            ladder_head=ladder.head,
            traceparent=_traceparent(run, opening, history),
        )

    async def _experience(self, run: Run, ladder: Ladder) -> Experience:
        """What is known beside the run and its ladder, where the run is disposed of now; else nothing."""
        if run.stage not in DISPOSING or ladder.in_force(run.begun.level) is Level.ASSISTED:
            return UNKNOWN
        probed = await self._log.read(SANDBOX_PROBED)
        last = probed.facts[-1].fact if probed.facts and not probed.unread else None
        agent = agent_identity(run.begun)
        record = await asyncio.to_thread(self._projection.record_of, run.begun.workflow, agent)
        return Experience(*record, is_sandboxed=isinstance(last, SandboxProbed) and last.is_full)


def _moved(delivery: Delivery, row: RunRow | None, *, had_ended: bool) -> str | None:
    """The workflow whose standing a fact may have changed: by a run that has ended, or that is taken up again."""
    if row is not None:
        return row.workflow if row.card.ended or had_ended else None
    return delivery.tokens[1] if delivery.tokens[0] == "workflow" else None


def _is_sure(timer: Timer, now: float) -> bool:
    return now - SWEEP_S < timer.at < now or timer.at > now + TIMER_DOUBT_S


def _owed(case: Case) -> list[Owed]:
    return decide(case.run, case.ladder, case.experience)


def _remember(kept: OrderedDict[str, T], run: str, value: T) -> None:
    kept[run] = value
    kept.move_to_end(run)
    if len(kept) > SETTLED_MAX:
        kept.popitem(last=False)


def _workflow(run: Run) -> str | None:
    begun = run.started or run.issue
    return begun.workflow if begun else None


def _traceparent(run: str, *histories: History) -> str:
    """The trace goes on from the last fact that has one; the first roots it in the run's id."""
    known = [recorded.traceparent for history in histories for recorded in history.facts if recorded.traceparent]
    return known[-1] if known else root_traceparent(run)
