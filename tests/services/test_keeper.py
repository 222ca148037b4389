"""The gatekeeper's wake-ups on a real log: what is owed is stated, and the timers asked for are scheduled."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from nats.aio.client import Client

from libs.contracts.facts import Fact, MergeAuthorised, SandboxProbed, speaker_of
from libs.contracts.history import Fence
from libs.contracts.subjects import run_filter
from libs.contracts.words import DecisionKind, Level, Phase, Service
from libs.runtime.log import Log
from libs.runtime.rights import API
from libs.runtime.shell import Delivery, Shell
from services.gatekeeper.keeper import Keeper
from services.gatekeeper.projection import Projection
from services.gatekeeper.readiness.identity import agent_identity
from tests.spec.decider import Given, given
from tests.spec.story import ROUTE, RUN, WORKFLOW, adopted, completed, decided, granted, started
from tests.support.bus import Bus
from tests.support.experience import put

MERGE = f"timers.at.{RUN}.merge-1"


@dataclass
class Watched:
    """A client that remembers which timers were scheduled over it."""

    client: Client
    scheduled: list[str] = field(default_factory=list)

    async def request(self, subject: str, *rest: Any, **more: Any) -> Any:
        if subject.startswith("timers.at."):
            self.scheduled.append(subject)
        return await self.client.request(subject, *rest, **more)


@dataclass
class Bench:
    """What a keeper needs of its shell."""

    client: Watched
    log: Log


@pytest.fixture
async def bench(bus: Bus) -> AsyncIterator[Bench]:
    async with bus.client(Service.GATEKEEPER) as client:
        yield Bench(Watched(client), Log(client, api=API, producer=Service.GATEKEEPER))


@pytest.fixture
def keeper(bench: Bench, projection: Projection) -> Keeper:
    put(projection, WORKFLOW, agent_identity(started()))
    return Keeper(cast("Shell", bench), projection)


def before_the_merge() -> Given:
    """A run at the highest level whose deploy was just answered."""
    probed = SandboxProbed(service=Service.BUILDER, is_full=True)
    log = given(probed, adopted(), *granted(Level.ASE), started(level=Level.ASE)).settled()
    for phase in ROUTE[:-1]:
        log = log.then(completed(phase)).settled()
    return log.then(completed(Phase.DEPLOY))


async def state(bus: Bus, *facts: Fact) -> None:
    for fact in facts:
        async with bus.log(speaker_of(fact)) as log:
            await log.append(fact, cause="test", fence=Fence(fact.subject, await log.head(fact.subject)))


def due(name: str, time: float) -> Delivery:
    return Delivery("TIMERS", f"timers.due.{RUN}.{name}", {}, b"{}", 1, time, 1)


async def test_a_timer_is_scheduled_once_however_often_the_run_is_settled(
    bus: Bus, bench: Bench, keeper: Keeper
) -> None:
    await state(bus, *before_the_merge().facts)
    await keeper.settle(RUN)
    await keeper.settle(RUN)
    assert bench.client.scheduled == [MERGE]


async def test_a_timer_that_passed_while_the_run_was_held_is_scheduled_again_on_release(
    bus: Bus, bench: Bench, keeper: Keeper
) -> None:
    await state(bus, *before_the_merge().facts)
    await keeper.settle(RUN)
    await state(bus, decided(DecisionKind.HOLD, Phase.DEPLOY, decision="h"))
    await keeper.on_timer(due("merge-1", 1e10))
    await state(bus, decided(DecisionKind.RELEASE, Phase.DEPLOY, decision="r"))
    await keeper.settle(RUN)
    assert bench.client.scheduled == [MERGE, MERGE]
    await keeper.on_timer(due("merge-1", 1e10))
    assert isinstance((await bench.log.read(run_filter(RUN))).facts[-1].fact, MergeAuthorised)


async def test_a_timer_that_comes_early_or_means_nothing_states_nothing(bus: Bus, bench: Bench, keeper: Keeper) -> None:
    await state(bus, *before_the_merge().facts)
    await keeper.settle(RUN)
    head = await bench.log.head(run_filter(RUN))
    await keeper.on_timer(due("merge-1", 1.0))
    await keeper.on_timer(due("deadline-plan-1", 1e10))
    assert await bench.log.head(run_filter(RUN)) == head


async def test_each_fact_brings_the_row_of_its_run_to_the_head(
    bus: Bus, bench: Bench, keeper: Keeper, projection: Projection
) -> None:
    await state(bus, *before_the_merge().facts)
    head = await bench.log.head(">")
    await keeper.on_projection(Delivery("FACTS", f"run.{RUN}.run.started", {}, b"", 4, 1.0, 1))
    assert (projection.run_by_prefix(RUN).sequence, projection.position()) == (head, 4)
