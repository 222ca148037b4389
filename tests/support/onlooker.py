"""Looks on from the operator's place while many runs go on, without making the server count."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.contracts.history import History, matches
from libs.contracts.subjects import LIVE
from libs.contracts.words import Service
from libs.runtime.log import Log
from libs.runtime.rights import API, DURABLES

PATIENCE_S = 300.0


@dataclass
class Onlooker:
    """Counts the facts under one pattern, as they are stated, each subject once."""

    client: Client
    pattern: str
    stated: set[str] = field(default_factory=set)
    told: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear(self, message: Msg) -> None:
        subject = message.subject.removeprefix(f"{LIVE}.")
        if matches(self.pattern, subject):
            async with self.told:
                self.stated.add(subject)
                self.told.notify_all()

    async def until_count(self, count: int) -> None:
        await self._until(lambda: len(self.stated) >= count)

    async def until_all(self, subjects: AbstractSet[str]) -> None:
        await self._until(lambda: subjects <= self.stated)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self.told:
            await self.told.wait_for(is_so)

    async def timer_count(self) -> int:
        """Timers that were scheduled, whether they have fired or not."""
        info = await self._ask("STREAM.INFO.TIMERS")
        return int(info["state"].get("num_subjects", 0))

    async def timers(self) -> set[tuple[str, str]]:
        """Run and name of each timer that was scheduled, whether it has fired or not."""
        info = await self._ask("STREAM.INFO.TIMERS", subjects_filter="timers.>")
        places = (subject.split(".") for subject in info["state"].get("subjects") or {})
        return {(run, name) for _, _, run, name in places}

    async def is_caught_up(self, service: Service) -> bool:
        """Whether everything that the service is woken up for has been acknowledged."""
        own = [durable for durable in DURABLES if durable.role == service]
        infos = [await self._ask(f"CONSUMER.INFO.{durable.stream}.{durable.name}") for durable in own]
        return not any(info["num_pending"] or info["num_ack_pending"] for info in infos)

    async def log(self) -> History:
        return await Log(self.client, api=API).read(">")

    async def _ask(self, call: str, **question: Any) -> dict[str, Any]:
        answer = await self.client.request(f"{API}.{call}", json.dumps(question).encode(), timeout=30)
        return dict(json.loads(answer.data))


@asynccontextmanager
async def looking_on(client: Client, pattern: str) -> AsyncIterator[Onlooker]:
    """Look on from now on."""
    onlooker = Onlooker(client, pattern)
    subscription = await client.subscribe(f"{LIVE}.>", cb=onlooker.hear)
    await client.flush()
    yield onlooker
    await subscription.unsubscribe()
