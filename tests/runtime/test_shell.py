"""The shell against a real server: what it does with deliveries that go well, cannot be read, or meet a bug."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.client import Client

from libs.contracts.facts import Owed, RunEscalated, RunFinished
from libs.contracts.history import Fence, History
from libs.contracts.subjects import run_filter
from libs.contracts.wire import Newer, Unreadable
from libs.contracts.words import Phase, RunOutcome, Service
from libs.runtime import settling
from libs.runtime import shell as shell_module
from libs.runtime.health import missing_consumers
from libs.runtime.log import LogUnavailable
from libs.runtime.settings import Settings
from libs.runtime.settling import settle
from libs.runtime.shell import Delivery, Inlet, Refused, Shell
from tests.support.bus import Bus, running_bus
from tests.support.waiting import until


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with running_bus(tmp_path / "bus") as bus:
        yield bus


def _settings(bus: Bus) -> Settings:
    return Settings(bus.endpoint.url, bus.endpoint.keys, bus.data / "state", "sqlite://")


@contextlib.asynccontextmanager
async def _listening(bus: Bus, act: Callable[[Delivery], Awaitable[None]]) -> AsyncIterator[Shell]:
    """A planner that listens on its intake only."""
    shell = Shell(Service.PLANNER, _settings(bus))
    shell.listen(Inlet("INTAKE", "planner", act))
    task = asyncio.create_task(shell.run())
    try:
        yield shell
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _send(bus: Bus, data: bytes = b"{}") -> None:
    async with bus.client("tracker") as client:
        await client.request("intake.issue.here", data, headers={"ce-id": "i1"})


async def _pending(client: Client) -> tuple[int, int]:
    answer = await client.request("api.CONSUMER.INFO.INTAKE.planner", timeout=5)
    info = json.loads(answer.data)
    return info["num_pending"], info["num_ack_pending"]


async def _is_pending(client: Client, wanted: tuple[int, int]) -> bool:
    return await _pending(client) == wanted


async def _aside(bus: Bus) -> list[tuple[str, str]]:
    async with bus.client("operator") as client:
        message = await client.request("api.DIRECT.GET.ASIDE", b'{"seq":1,"next_by_subj":"aside.planner.>"}', timeout=5)
        headers = message.headers or {}
        return [] if headers.get("Status") else [(headers["Rung-Reason"], headers["ce-id"])]


async def test_a_delivery_is_acknowledged_only_after_it_was_acted_on(bus: Bus) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def act(_: Delivery) -> None:
        entered.set()
        await leave.wait()

    async with _listening(bus, act), bus.client("planner") as client:
        await _send(bus)
        await asyncio.wait_for(entered.wait(), 10)
        assert await _pending(client) == (0, 1)
        leave.set()
        await until(lambda: _is_pending(client, (0, 0)))


@pytest.mark.parametrize("reason", [Unreadable("no CloudEvent: id missing"), Refused("there is no run x — “y”")])
async def test_what_cannot_be_acted_on_is_set_aside_with_the_sentence_and_never_comes_back(
    bus: Bus, reason: Exception
) -> None:
    tries = 0

    async def act(_: Delivery) -> None:
        nonlocal tries
        tries += 1
        raise reason

    async with _listening(bus, act):
        await _send(bus)
        aside = await until(lambda: _aside(bus))
    said = str(reason).encode("ascii", "backslashreplace").decode()
    assert aside == [(said, "i1")]
    assert tries == 1


async def test_trouble_that_may_pass_is_retried_until_it_has(bus: Bus) -> None:
    done = asyncio.Event()
    tries: list[int] = []

    async def act(delivery: Delivery) -> None:
        tries.append(delivery.tries)
        if len(tries) < 3:
            raise LogUnavailable("not now")
        done.set()

    async with _listening(bus, act):
        await _send(bus)
        await asyncio.wait_for(done.wait(), 20)
    assert tries == [1, 2, 3]
    assert await _aside(bus) == []


async def test_a_newer_fact_waits_and_is_neither_dropped_nor_set_aside(bus: Bus) -> None:
    met = asyncio.Event()

    async def act(_: Delivery) -> None:
        met.set()
        raise Newer("version 9 is not known")

    async with _listening(bus, act), bus.client("planner") as client:
        await _send(bus)
        await asyncio.wait_for(met.wait(), 10)
        assert await _pending(client) == (0, 1)
        assert await _aside(bus) == []


async def test_a_bug_is_retried_and_then_set_aside_by_name(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_module, "BUG_TRIES", 2)

    async def act(_: Delivery) -> None:
        raise ZeroDivisionError("planted")

    async with _listening(bus, act):
        await _send(bus)
        aside = await until(lambda: _aside(bus))
    assert aside == [("a bug in the planner: ZeroDivisionError: planted", "i1")]


async def test_health_names_the_consumers_on_which_nobody_listens(bus: Bus) -> None:
    async def act(_: Delivery) -> None: ...

    assert await missing_consumers(Service.PLANNER, _settings(bus)) == ["INTAKE/planner", "FACTS/planner"]

    async def is_half_healthy() -> bool:
        return await missing_consumers(Service.PLANNER, _settings(bus)) == ["FACTS/planner"]

    async with _listening(bus, act):
        assert await until(is_half_healthy)


class _View:
    """A run as a list of facts, fenced by the whole run."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.traceparent = None

    def fence(self, _: object) -> Fence:
        return Fence(run_filter("r1"), self.history.head)


async def test_settle_states_one_fact_after_another_until_nothing_is_owed(bus: Bus) -> None:
    facts = [
        RunEscalated(run="r1", phase=Phase.PLAN, attempt=1, reason="first"),
        RunFinished(run="r1", outcome=RunOutcome.DECLINED, reason="last"),
    ]
    async with bus.log(Service.GATEKEEPER) as log:

        async def read() -> _View:
            return _View(await log.read(run_filter("r1")))

        def decide(view: _View) -> list[Owed]:
            return [Owed(fact, "c") for fact in facts[len(view.history.facts) :]]

        view = await settle(log, read, decide)
        assert [recorded.fact for recorded in view.history.facts] == facts
        assert len((await settle(log, read, decide)).history.facts) == 2


async def test_settle_decides_again_when_somebody_else_was_first(bus: Bus) -> None:
    mine = RunFinished(run="r1", outcome=RunOutcome.DECLINED, reason="mine")
    theirs = RunFinished(run="r1", outcome=RunOutcome.CANCELLED, reason="theirs")
    async with bus.log(Service.GATEKEEPER) as log:

        async def read() -> _View:
            view = _View(await log.read(run_filter("r1")))
            if not view.history.facts:
                await log.append(theirs, cause="x", fence=Fence(run_filter("r1"), 0))
            return view

        def decide(view: _View) -> list[Owed]:
            return [] if view.history.facts else [Owed(mine, "c")]

        view = await settle(log, read, decide)
        assert [recorded.fact for recorded in view.history.facts] == [theirs]


async def test_a_decider_that_always_owes_is_a_bug_and_not_an_endless_loop(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "ROUNDS_MAX", 3)
    fact = RunEscalated(run="r1", phase=Phase.PLAN, attempt=1, reason="again")
    async with bus.log(Service.GATEKEEPER) as log:

        async def read() -> _View:
            return _View(await log.read(run_filter("r1")))

        with pytest.raises(AssertionError, match="still owing"):
            await settle(log, read, lambda view: [Owed(fact, f"c{view.history.head}")])
