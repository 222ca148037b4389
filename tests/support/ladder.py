"""Seeds a ladder with the gatekeeper's own key: the product has no switch that gives a level.

Everything else in a test of a level is the product's own doing.
"""

import contextlib
import json
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import nats
from nats.aio.client import Client

from libs.contracts.facts import FreezeLifted, FreezeSet, LadderFact, LevelEarned, LevelGranted, LevelLowered
from libs.contracts.history import Fence
from libs.contracts.requests import workflow_id
from libs.contracts.subjects import TIMER_AT, TIMER_DUE, ladder_filter
from libs.contracts.words import Level, Service
from libs.runtime.log import Conflict, Log
from libs.runtime.rights import API
from libs.runtime.server import connect_options
from tests.support.system import System
from tests.support.waiting import until

BY: Final = "tester"
REASON: Final = "seeded by a test"


async def grant(system: System, repository: Path, level: Level) -> None:
    """The rungs up to this level, earned and granted one at a time."""
    workflow = _workflow(repository)
    for rung in list(Level)[1 : level.rank]:
        await _state(system, LevelEarned(workflow=workflow, level=rung, reason=REASON))
        await _state(system, LevelGranted(workflow=workflow, level=rung, by=BY, reason=REASON))


async def lower(system: System, repository: Path, level: Level) -> None:
    await _state(system, LevelLowered(workflow=_workflow(repository), level=level, by=BY, reason=REASON))


async def freeze(system: System, repository: Path) -> None:
    await _state(system, FreezeSet(workflow=_workflow(repository), by=BY, reason=REASON))


async def lift_freeze(system: System, repository: Path) -> None:
    await _state(system, FreezeLifted(workflow=_workflow(repository), by=BY, reason=REASON))


async def timer_set(system: System, run: str, timer: str) -> None:
    """Until the bus itself will bring a timer, whoever dies meanwhile."""
    async with _as_gatekeeper(system) as client:

        async def is_set() -> bool:
            return bool(await _last(client, f"{TIMER_AT}.{run}.{timer}") or await _due(client, run, timer))

        await until(is_set)


async def timer_due(system: System, run: str, timer: str) -> None:
    """Until the moment of a timer came, whether or not anybody is there to notice."""
    async with _as_gatekeeper(system) as client:
        await until(lambda: _due(client, run, timer))


async def timer_passed(system: System, run: str, timer: str) -> None:
    """Until the moment of a timer came and the gatekeeper is done with it, whatever it made of it."""
    async with _as_gatekeeper(system) as client:
        sequence = await until(lambda: _due(client, run, timer))

        async def is_settled() -> bool:
            found = await _ask(client, "CONSUMER.INFO.TIMERS.gatekeeper")
            return int(found["ack_floor"]["stream_seq"]) >= sequence

        await until(is_settled)


def _workflow(repository: Path) -> str:
    return workflow_id(os.path.realpath(repository))


async def _state(system: System, fact: LadderFact) -> None:
    """Append the fact at the ladder's head; where the gatekeeper stated something meanwhile, behind that."""
    async with _as_gatekeeper(system) as client:
        log = Log(client, api=API, producer=Service.GATEKEEPER)
        subjects = ladder_filter(fact.workflow)

        async def is_stated() -> bool:
            try:
                await log.append(fact, cause=uuid.uuid4().hex, fence=Fence(subjects, await log.head(subjects)))
            except Conflict:
                return False
            return True

        await until(is_stated)


@contextlib.asynccontextmanager
async def _as_gatekeeper(system: System) -> AsyncIterator[Client]:
    endpoint = system.server.endpoint
    async with await nats.connect(endpoint.url, **connect_options(endpoint.keys, "gatekeeper")) as client:
        yield client


async def _due(client: Client, run: str, timer: str) -> int:
    """Where in the stream a timer came due; 0 as long as it did not."""
    return await _last(client, f"{TIMER_DUE}.{run}.{timer}")


async def _last(client: Client, subject: str) -> int:
    """Where the last message of a subject stands; 0 for none."""
    found = await _ask(client, "STREAM.MSG.GET.TIMERS", last_by_subj=subject)
    return int(found["message"]["seq"]) if "message" in found else 0


async def _ask(client: Client, call: str, **question: str) -> dict[str, dict[str, int]]:
    answer = await client.request(f"{API}.{call}", json.dumps(question).encode())
    return dict(json.loads(answer.data))
