"""The gatekeeper alone, over a log in which runs have ended already: what it takes to climb, without the work."""

import asyncio
import contextlib
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from libs.contracts.export import canonical, encode_stored
from libs.contracts.facts import Fact, RunFact, speaker_of
from libs.contracts.history import Fence
from libs.contracts.requests import fact_id, run_id
from libs.contracts.wire import encode_fact
from libs.contracts.words import DecisionKind, Level, Service
from libs.runtime.log import Log
from libs.runtime.provision import wait_and_provision
from libs.runtime.rights import API
from libs.runtime.server import start
from tests.spec.decider import given
from tests.spec.story import ISSUE, ROUTE, adopted, completed, decided, granted, merged, started, watch_ended
from tests.spec.story import watch_started as watch_began
from tests.support.bus import Bus
from tests.support.system import System
from tests.support.waiting import until


def run_named(number: int) -> str:
    return run_id(ISSUE, number)


def ended_runs(numbers: Iterable[int], level: Level = Level.ASSISTED) -> list[Fact]:
    """The facts of runs that people approved all the way, and whose watches ended clear, on a ladder at this level."""
    ladder = () if level is Level.ASSISTED else granted(level)
    log = given(adopted(), *ladder, started(level=level)).settled()
    for phase in ROUTE:
        log = log.then(completed(phase)).settled()
        if log.run.checkpoint is not None:
            log = log.then(decided(DecisionKind.APPROVE, phase, decision=f"d-{phase}")).settled()
    log = log.then(merged(), watch_began(), watch_ended()).settled()
    of_ladder = [fact for fact in log.facts if not isinstance(fact, RunFact)]
    of_run = [fact for fact in log.facts if isinstance(fact, RunFact)]
    return [
        *of_ladder,
        *(fact.model_copy(update={"run": run_named(number)}) for number in numbers for fact in of_run),
    ]


def exported(facts: Iterable[Fact]) -> bytes:
    """The facts as the export of a log that holds nothing else."""
    return b"".join(_line(fact, sequence) for sequence, fact in enumerate(facts, start=1))


def _line(fact: Fact, sequence: int) -> bytes:
    identity = fact_id(str(sequence), fact.subject)
    headers, data = encode_fact(fact, fact_id=identity, cause="test", producer=speaker_of(fact), traceparent=None)
    line = encode_stored(fact.subject, headers, data, sequence=sequence, time=1_700_000_000.0 + sequence)
    return canonical(line) + b"\n"


@contextlib.contextmanager
def running_gatekeeper(data: Path, facts: Iterable[Fact], operator: str = "") -> Iterator[System]:
    """A bus whose log holds these facts, and a gatekeeper that is ready and has this operator's file."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "operator.yaml").write_text(operator)
    server = asyncio.run(start(data))
    system = System(server, data)
    try:
        asyncio.run(wait_and_provision(server.endpoint.url, server.endpoint.keys))
        asyncio.run(_state(Bus(server.endpoint, data), facts))
        system.start_service(Service.GATEKEEPER)
        asyncio.run(system.healthy(Service.GATEKEEPER))
        asyncio.run(_caught_up(system))
        yield system
    finally:
        system.stop()
        asyncio.run(server.stop())


async def _caught_up(system: System) -> None:
    """Until every fact of the log has been taken in."""
    async with system.operator() as operator:

        async def is_caught_up() -> bool:
            health = (await operator.ask("health"))["ok"]
            return bool(health["position"] == health["head"])

        await until(is_caught_up, within_s=60)


async def _state(bus: Bus, facts: Iterable[Fact]) -> None:
    """State the facts in their order, each with the key of its speaker."""
    async with contextlib.AsyncExitStack() as stack:
        speakers: dict[Service, Log] = {}
        for service in Service:
            client = await stack.enter_async_context(bus.client(service))
            speakers[service] = Log(client, api=API, producer=service)
        for fact in facts:
            log = speakers[speaker_of(fact)]
            fence = Fence(fact.subject, await log.head(fact.subject))
            await log.append(fact, cause=uuid.uuid4().hex, fence=fence)
