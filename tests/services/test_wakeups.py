"""A wake-up about what has been decided on already costs nothing; one about news is never passed over."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from nats.aio.client import Client

from libs.contracts.facts import Fact, speaker_of
from libs.contracts.history import Fence
from libs.contracts.subjects import ladder_filter, run_filter
from libs.contracts.words import Level, Phase, Service
from libs.runtime.log import Log
from libs.runtime.rights import API
from libs.runtime.shell import Delivery, Shell
from services.gatekeeper.keeper import Keeper
from services.gatekeeper.projection import Projection
from tests.spec.story import RUN, WORKFLOW, adopted, completed, granted, started
from tests.support.bus import Bus


class Counting(Log):
    """A log that counts how often it was asked."""

    asked = 0

    async def _next(self, *question: Any) -> Any:
        self.asked += 1
        return await super()._next(*question)

    async def _batch(self, *question: Any) -> Any:
        self.asked += 1
        async for message in super()._batch(*question):
            yield message


@dataclass
class Bench:
    """What a keeper needs of its shell."""

    client: Client
    log: Counting


@pytest.fixture
async def bench(bus: Bus) -> AsyncIterator[Bench]:
    async with bus.client(Service.GATEKEEPER) as client:
        yield Bench(client, Counting(client, api=API, producer=Service.GATEKEEPER))


@pytest.fixture
def keeper(bench: Bench, projection: Projection) -> Keeper:
    return Keeper(cast("Shell", bench), projection)


async def state(bus: Bus, *facts: Fact) -> int:
    sequence = 0
    for fact in facts:
        async with bus.log(speaker_of(fact)) as log:
            sequence = await log.append(fact, cause="test", fence=Fence(fact.subject, await log.head(fact.subject)))
    return sequence


def fact(subject: str, sequence: int) -> Delivery:
    return Delivery("FACTS", subject, {}, b"", sequence, 1.0, 1)


async def test_a_fact_below_the_settled_head_reads_nothing(bus: Bus, bench: Bench, keeper: Keeper) -> None:
    first = await state(bus, started())
    await keeper.on_fact(fact(f"run.{RUN}.run.started", first))
    asked, head = bench.log.asked, await bench.log.head(run_filter(RUN))
    assert head > first
    for sequence in (first, head):
        await keeper.on_fact(fact(f"run.{RUN}.run.started", sequence))
    assert bench.log.asked == asked


async def test_a_fact_above_the_settled_head_is_decided_on(bus: Bus, bench: Bench, keeper: Keeper) -> None:
    first = await state(bus, started())
    await keeper.on_fact(fact(f"run.{RUN}.run.started", first))
    answer = completed(Phase.PLAN)
    await keeper.on_fact(fact(answer.subject, await state(bus, answer)))
    assert (await bench.log.read(run_filter(RUN))).facts[-1].fact.type == "checkpoint.opened"


async def test_a_fact_of_a_ladder_settles_just_the_runs_of_its_workflow_that_have_not_seen_it(
    bus: Bus, bench: Bench, keeper: Keeper, projection: Projection
) -> None:
    ladder = await state(bus, adopted())
    await keeper.on_fact(fact(f"run.{RUN}.run.started", await state(bus, started())))
    await keeper.on_projection(fact(f"run.{RUN}.run.started", await bench.log.head(run_filter(RUN))))
    assert projection.unsettled_runs() == [RUN]
    asked = bench.log.asked
    await keeper.on_fact(fact(f"workflow.{WORKFLOW}.policy.adopted", ladder))
    await keeper.on_fact(fact("workflow.another.policy.adopted", ladder + 100))
    assert bench.log.asked == asked
    news = await state(bus, *granted(Level.SUPERVISED))
    await keeper.on_fact(fact(f"workflow.{WORKFLOW}.level.granted", news))
    assert bench.log.asked > asked
    assert news == await bench.log.head(ladder_filter(WORKFLOW))


async def test_a_row_that_has_the_fact_is_not_made_again(
    bus: Bus, bench: Bench, keeper: Keeper, projection: Projection
) -> None:
    first = await state(bus, started(), completed(Phase.PLAN))
    await keeper.on_projection(fact(f"run.{RUN}.run.started", first - 1))
    asked = bench.log.asked
    await keeper.on_projection(fact(f"run.{RUN}.phase.completed.plan.1", first))
    assert (bench.log.asked, projection.position()) == (asked, first)
    assert projection.run_by_prefix(RUN).sequence == first
