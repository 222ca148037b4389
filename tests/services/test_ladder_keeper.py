"""The ladder on a real log: what runs have earned is stated, what people ask is answered once, what is read is kept."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from libs.contracts.facts import (
    Fact,
    LabelStated,
    LadderFact,
    LevelEarned,
    LevelGranted,
    LevelLowered,
    SandboxProbed,
    speaker_of,
)
from libs.contracts.history import Fence
from libs.contracts.ladder import fold
from libs.contracts.operator import Operator
from libs.contracts.people import Person, Role
from libs.contracts.requests import LadderKind, LadderRequest
from libs.contracts.subjects import INTAKE_LADDER, ladder_filter
from libs.contracts.wire import encode_request
from libs.contracts.words import DecisionKind, Level, Phase, Service
from libs.runtime.log import Log
from libs.runtime.rights import API
from libs.runtime.shell import Delivery, Refused, Shell
from services.gatekeeper import projection as projected
from services.gatekeeper.keeper import Keeper
from services.gatekeeper.projection import Projection
from services.gatekeeper.readiness.scorecard import Result
from tests.spec.decider import given
from tests.spec.story import (
    POLICY,
    ROUTE,
    RUN,
    WORKFLOW,
    adopted,
    completed,
    decided,
    granted,
    merged,
    started,
    watch_ended,
    watch_started,
)
from tests.support.bus import Bus
from tests.support.experience import card


class Bench:
    """What a keeper needs of its shell."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.log = Log(client, api=API, producer=Service.GATEKEEPER)


@pytest.fixture
async def bench(bus: Bus) -> AsyncIterator[Bench]:
    async with bus.client(Service.GATEKEEPER) as client:
        yield Bench(client)


@pytest.fixture
def keeper(bench: Bench, projection: Projection) -> Keeper:
    return Keeper(cast("Shell", bench), projection)


async def state(bus: Bus, *facts: Fact) -> int:
    """Put facts into the log, each by its speaker; where the last of them stands."""
    sequence = 0
    for fact in facts:
        async with bus.log(speaker_of(fact)) as log:
            sequence = await log.append(
                fact, cause=uuid.uuid4().hex, fence=Fence(fact.subject, await log.head(fact.subject))
            )
    return sequence


def put(
    projection: Projection,
    count: int,
    level: Level = Level.ASSISTED,
    *,
    name: str = "run",
    is_right: bool = True,
    behind: int = 10_000,
) -> None:
    """So many successful runs of the workflow at a level, in the order of the log behind a place, right or wrong."""
    rows = [
        card(
            f"{name}-{level}-{number}",
            level=level,
            started=behind + 1 + number,
            ended=behind + 2 + number,
            result=Result.SUCCESSFUL,
            counts=True,
            is_clear=True,
            right=int(is_right),
            wrong=int(not is_right),
            decisions=1,
            verdicts=f"test:pass:{'right' if is_right else 'wrong'}:human",
        )
        for number in range(count)
    ]
    with projection._engine.begin() as connection:
        upsert = projected._upsert(projected._CARDS, connection.dialect.name)
        connection.execute(upsert, [{"workflow": WORKFLOW, **row._asdict(), "sequence": 1} for row in rows])


async def climbed(bench: Bench, keeper: Keeper) -> Level:
    """The level that is earned once the gatekeeper has stated what follows from the runs."""
    await keeper._ladders.climb(WORKFLOW)
    return fold((await bench.log.read(ladder_filter(WORKFLOW))).facts).earned


async def head(bench: Bench) -> int:
    return await bench.log.head(">")


async def pass_by(bus: Bus, count: int) -> int:
    """So many facts that are about something else; where the log stood before them."""
    probed = SandboxProbed(service=Service.BUILDER, is_full=True)
    async with bus.log(Service.BUILDER) as log:
        before = await log.head(">")
        for _ in range(count):
            fence = Fence(probed.subject, await log.head(probed.subject))
            await log.append(probed, cause=uuid.uuid4().hex, fence=fence)
    return before


async def state_on_ladder(bus: Bus, fact: LadderFact) -> None:
    async with bus.log(Service.GATEKEEPER) as log:
        fence = Fence(ladder_filter(WORKFLOW), await log.head(ladder_filter(WORKFLOW)))
        await log.append(fact, cause=uuid.uuid4().hex, fence=fence)


def asks(kind: LadderKind, request: str = "r-1", **more: Any) -> Delivery:
    fields: dict[str, Any] = {"by": "ann", "os_user": "ann", "reason": "the figures hold", **more}
    wanted = LadderRequest(request=request, workflow=WORKFLOW, kind=kind, **fields)
    headers, data = encode_request(wanted, request_id=request, source="/test")
    return Delivery("INTAKE", f"{INTAKE_LADDER}.{WORKFLOW}", headers, data, 1, 1.0, 1)


async def ladder(bench: Bench) -> list[Fact]:
    return [recorded.fact for recorded in (await bench.log.read(ladder_filter(WORKFLOW))).facts]


async def test_a_level_that_was_earned_is_stated_once_and_granted_by_who_asks(
    bus: Bus, bench: Bench, keeper: Keeper, projection: Projection
) -> None:
    await state(bus, adopted())
    put(projection, 9)
    await keeper._ladders.climb(WORKFLOW)
    assert await ladder(bench) == [adopted()]
    with pytest.raises(Refused, match="supervised is not earned"):
        await keeper.on_request(asks(LadderKind.GRANT, level="supervised"))
    put(projection, 10)
    await keeper._ladders.climb(WORKFLOW)
    await keeper._ladders.climb(WORKFLOW)
    earned = (await ladder(bench))[1:]
    assert [type(fact) for fact in earned] == [LevelEarned]
    await keeper.on_request(asks(LadderKind.GRANT, "r-2", level="supervised"))
    await keeper.on_request(asks(LadderKind.GRANT, "r-2", level="supervised"))
    *_, last = await ladder(bench)
    assert isinstance(last, LevelGranted)
    assert (last.level, last.by, last.automatic, len(await ladder(bench))) == (Level.SUPERVISED, "ann", False, 3)
    kept = projection.readiness(WORKFLOW)
    assert kept is not None
    assert (kept.level.earned, kept.rungs[0].met) == (Level.SUPERVISED, True)


async def test_where_the_operator_lets_it_the_machine_grants_what_is_earned(
    bus: Bus, bench: Bench, projection: Projection
) -> None:
    keeper = Keeper(cast("Shell", bench), projection, promotion="auto")
    await state(bus, adopted())
    put(projection, 10)
    await keeper._ladders.climb(WORKFLOW)
    *_, last = await ladder(bench)
    assert isinstance(last, LevelGranted)
    assert (last.level, last.by, last.automatic) == (Level.SUPERVISED, "rung", True)
    await keeper.on_request(asks(LadderKind.LOWER, level="assisted"))
    await keeper._ladders.climb(WORKFLOW)
    put(projection, 20)
    await keeper._ladders.climb(WORKFLOW)
    facts = await ladder(bench)
    lowered = next(at for at, fact in enumerate(facts) if isinstance(fact, LevelLowered))
    assert not [fact for fact in facts[lowered:] if isinstance(fact, LevelGranted)]


async def test_who_may_not_is_told_so_and_nothing_is_stated(bus: Bus, bench: Bench, projection: Projection) -> None:
    people = Operator(people={"ann": Person(role=Role.APPROVER), "bob": Person(role=Role.OPERATOR)})
    keeper = Keeper(cast("Shell", bench), projection, people)
    await state(bus, adopted())
    with pytest.raises(Refused, match="ann is approver in the operator's file and may not freeze"):
        await keeper.on_request(asks(LadderKind.FREEZE))
    await keeper.on_request(asks(LadderKind.FREEZE, "r-2", by="bob", os_user="bob"))
    assert [fact.type for fact in await ladder(bench)] == ["policy.adopted", "freeze.set"]


async def test_a_request_that_was_sent_to_another_ladder_is_refused(keeper: Keeper) -> None:
    sent = asks(LadderKind.LIFT)
    with pytest.raises(Refused, match="but was sent to"):
        await keeper.on_request(replace(sent, subject=f"{INTAKE_LADDER}.other"))


async def test_a_label_changes_the_row_of_its_run_and_with_it_the_readiness(
    bus: Bus, bench: Bench, keeper: Keeper, projection: Projection
) -> None:
    log = given(adopted(), started(level=Level.ASSISTED)).settled()
    for phase in ROUTE:
        log = log.then(completed(phase)).settled()
        log = log.then(decided(DecisionKind.APPROVE, phase, decision=f"d-{phase}")).settled()
    log = log.then(merged(), watch_started(), watch_ended()).settled()
    last = await state(bus, *log.facts)
    await keeper.on_projection(Delivery("FACTS", f"run.{RUN}.run.finished", {}, b"", last, 1.0, 1))
    await keeper._ladders.climb_where_moved()
    (before,) = projection.cards(WORKFLOW)
    await keeper.on_request(asks(LadderKind.LABEL, run=RUN, phase="test", is_right=False))
    stated = await bench.log.read(f"workflow.{WORKFLOW}.label.stated")
    assert [type(one.fact) for one in stated.facts] == [LabelStated]
    at = stated.facts[-1].sequence
    await keeper.on_projection(Delivery("FACTS", f"workflow.{WORKFLOW}.label.stated", {}, b"", at, 1.0, 1))
    await keeper._ladders.climb_where_moved()
    (after,) = projection.cards(WORKFLOW)
    assert (before.wrong, after.wrong) == (0, 1)
    kept = projection.readiness(WORKFLOW)
    assert kept is not None
    assert (kept.labels.wrong, kept.labels.false_pass, kept.as_of) == (1, 1, at)
    with pytest.raises(Refused, match="the intent gate has no verdict that counts"):
        await keeper.on_request(asks(LadderKind.LABEL, "r-2", run=RUN, phase=Phase.INTENT, is_right=True))
    with pytest.raises(Refused, match="this workflow has no run nowhere"):
        await keeper.on_request(asks(LadderKind.LABEL, "r-3", run="nowhere", phase="test", is_right=True))


def test_the_policy_of_the_stories_asks_for_the_published_numbers() -> None:
    limits = json.loads(POLICY.model_dump_json())["readiness"]["supervised"]
    assert limits["successful_runs_min"] == 10


async def test_the_last_rung_is_earned_lost_by_harm_earned_again_lost_by_drift_and_earned_once_more(
    bus: Bus, bench: Bench, keeper: Keeper, projection: Projection
) -> None:
    given_by_ann = LevelGranted(workflow=WORKFLOW, level=Level.ASE, by="ann", reason="seen")
    harm = LevelLowered(workflow=WORKFLOW, level=Level.AUTONOMOUS, by="rung", reason="harm", cause="rollback", run="h")
    await state(bus, adopted(), *granted(Level.SUPERVISED), *granted(Level.AUTONOMOUS))
    begun = await pass_by(bus, 110)
    put(projection, 99, Level.AUTONOMOUS, behind=begun)
    assert await climbed(bench, keeper) is Level.AUTONOMOUS
    put(projection, 100, Level.AUTONOMOUS, behind=begun)
    assert await climbed(bench, keeper) is Level.ASE

    await state_on_ladder(bus, given_by_ann)
    await state_on_ladder(bus, harm)
    assert await climbed(bench, keeper) is Level.AUTONOMOUS
    fallen = await pass_by(bus, 60)
    put(projection, 49, Level.AUTONOMOUS, name="back", behind=fallen)
    assert await climbed(bench, keeper) is Level.AUTONOMOUS
    put(projection, 50, Level.AUTONOMOUS, name="back", behind=fallen)
    assert await climbed(bench, keeper) is Level.ASE

    await state_on_ladder(bus, given_by_ann)
    back = await pass_by(bus, 10)
    put(projection, 3, Level.ASE, name="wrong", is_right=False, behind=back)
    assert await climbed(bench, keeper) is Level.ASE
    put(projection, 4, Level.ASE, name="wrong", is_right=False, behind=back)
    assert await climbed(bench, keeper) is Level.AUTONOMOUS
    *_, drifted = await ladder(bench)
    assert isinstance(drifted, LevelLowered)
    assert (drifted.cause, drifted.level) == ("drift", Level.AUTONOMOUS)
    put(projection, 99, Level.AUTONOMOUS, name="later", behind=await head(bench))
    assert await climbed(bench, keeper) is Level.AUTONOMOUS
    put(projection, 100, Level.AUTONOMOUS, name="later", behind=await head(bench))
    assert await climbed(bench, keeper) is Level.ASE
