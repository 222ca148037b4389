"""What stands on the bus, counted by the server: for tests that wait for many things at once."""

import json
from dataclasses import dataclass
from typing import Any, Final

from nats.aio.client import Client

from libs.contracts.history import History
from libs.contracts.words import Service
from libs.runtime.log import Log
from libs.runtime.rights import API, DURABLES

CHECKPOINT_DUE: Final = "run.*.timer.due.checkpoint-*"


@dataclass(frozen=True)
class Onlooker:
    """Reads and counts over the operator's connection."""

    client: Client

    async def count(self, stream: str, subjects: str) -> int:
        """How many subjects under the filter hold a message."""
        info = await self._ask(f"STREAM.INFO.{stream}", subjects_filter=subjects)
        return len(info["state"].get("subjects") or {})

    async def timers(self) -> int:
        """Timers that were scheduled, whether they have fired or not."""
        info = await self._ask("STREAM.INFO.TIMERS", subjects_filter="timers.>")
        return len({tuple(subject.split(".")[2:]) for subject in info["state"].get("subjects") or {}})

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
