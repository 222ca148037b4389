"""A stand-in for the gatekeeper on a real bus: it answers with the views it was given, and takes decisions."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.contracts.facts import DecisionRecorded, DecisionRefused
from libs.contracts.history import Fence
from libs.contracts.requests import DecisionRequest
from libs.contracts.subjects import run_filter
from libs.contracts.views import RunView
from libs.contracts.wire import decode_decision_request
from libs.contracts.words import Phase, Service
from libs.runtime.log import Log
from libs.runtime.rights import API
from tests.support.bus import Bus

Next = Callable[[DecisionRequest], RunView]


@dataclass
class StandIn:
    """`after` says what the view is after a decision, `refusal` the sentence with which decisions are refused."""

    client: Client
    view: RunView | None
    after: Next | None = None
    refusal: str | None = None
    before_answer: Callable[[], Awaitable[None]] | None = None
    decisions: list[DecisionRequest] = field(default_factory=list)

    async def answer(self, message: Msg) -> None:
        if self.before_answer is not None:
            await self.before_answer()
        asked = str(json.loads(message.data)["run"])
        found = self.view if self.view is not None and self.view.run.startswith(asked) else None
        answer = {"ok": found.model_dump(mode="json")} if found else {"error": f"there is no run {asked}", "code": "x"}
        await message.respond(json.dumps(answer).encode())

    async def decide(self) -> None:
        js = self.client.jetstream(prefix=API)
        requests = await js.pull_subscribe_bind("gatekeeper", "INTAKE")
        while True:
            with contextlib.suppress(TimeoutError):
                for message in await requests.fetch(1, timeout=60):
                    _, request = decode_decision_request(message.headers, message.data)
                    await self._take(request)
                    await message.ack()

    async def _take(self, request: DecisionRequest) -> None:
        self.decisions.append(request)
        fact = self._recorded(request) if self.refusal is None else self._refused(request, self.refusal)
        log = Log(self.client, api=API, producer=Service.GATEKEEPER)
        sequence = await log.append(fact, cause="c", fence=Fence(run_filter(request.run), await log.head("run.>")))
        if self.after is not None:
            self.view = self.after(request).model_copy(update={"sequence": sequence})

    def _recorded(self, request: DecisionRequest) -> DecisionRecorded:
        said = request.model_dump(include={"run", "decision", "kind", "by", "os_user", "automatic", "reason"})
        return DecisionRecorded(**said, phase=Phase.PLAN, attempt=1, policy_digest="0" * 64)

    def _refused(self, request: DecisionRequest, message: str) -> DecisionRefused:
        said = request.model_dump(include={"run", "decision", "kind", "by"})
        return DecisionRefused(**said, code="refused_here", message=message)


@contextlib.asynccontextmanager
async def stand_in(bus: Bus, view: RunView | None, after: Next | None = None) -> AsyncIterator[StandIn]:
    async with bus.client(Service.GATEKEEPER) as client:
        gatekeeper = StandIn(client, view, after)
        await client.subscribe("query.run", cb=gatekeeper.answer)
        await client.flush()
        deciding = asyncio.create_task(gatekeeper.decide())
        try:
            yield gatekeeper
        finally:
            deciding.cancel()
            await asyncio.gather(deciding, return_exceptions=True)
