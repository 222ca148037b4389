"""The whole system for tests: the bus and the five services as processes, as a user would run them."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import nats
from nats.aio.client import Client

from libs.contracts.facts import Fact, LevelGranted
from libs.contracts.history import History
from libs.contracts.requests import DecisionRequest, IssueRequest, issue_id, run_id, workflow_id
from libs.contracts.subjects import ladder_filter, run_filter
from libs.contracts.views import RunView
from libs.contracts.wire import encode_request
from libs.contracts.words import DecisionKind, Service
from libs.runtime.health import missing_consumers
from libs.runtime.log import Log
from libs.runtime.provision import wait_and_provision
from libs.runtime.rights import API
from libs.runtime.server import EmbeddedServer, connect_options, start
from libs.runtime.settings import Settings
from tests.support.experience import give
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
F = TypeVar("F", bound=Fact)


@dataclass
class System:
    """A running system; `environment` is added to each service's own."""

    server: EmbeddedServer
    data: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: dict[Service, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        endpoint = self.server.endpoint
        return Settings(endpoint.url, endpoint.keys, self.data, f"sqlite:///{self.data / 'projection.sqlite'}")

    def start_service(self, service: Service) -> None:
        environment = {
            **os.environ,
            "RUNG_NATS_URL": self.server.endpoint.url,
            "RUNG_KEYS": str(self.server.endpoint.keys),
            "RUNG_STATE": str(self.data),
            "RUNG_OPERATOR": str(self.data / "operator.yaml"),
            **self.environment,
        }
        with (self.data / f"{service}.log").open("ab") as log:
            self.processes[service] = subprocess.Popen(
                [sys.executable, "-m", f"services.{service}"], cwd=ROOT, env=environment, stderr=log
            )

    def kill_service(self, service: Service) -> None:
        """As a power cut would: no chance to say goodbye."""
        self.processes[service].send_signal(signal.SIGKILL)
        self.processes[service].wait()

    async def restart(self, *services: Service) -> None:
        """Kill them all, then start them all, and go on when they are ready."""
        for service in services:
            self.kill_service(service)
        await self.start_again(*services)

    async def start_again(self, *services: Service) -> None:
        """Start what was killed, and go on when it is ready."""
        for service in services:
            self.start_service(service)
        await asyncio.gather(*(self.healthy(service) for service in services))

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()

    async def healthy(self, service: Service) -> None:
        async def is_healthy() -> bool:
            assert self.processes[service].poll() is None, self.log_of(service)
            return not await missing_consumers(service, self.settings)

        await until(is_healthy, within_s=60)

    def log_of(self, service: Service) -> str:
        return (self.data / f"{service}.log").read_text(encoding="utf-8")[-4000:]

    @contextlib.asynccontextmanager
    async def operator(self) -> AsyncIterator["Operator"]:
        endpoint = self.server.endpoint
        async with await nats.connect(endpoint.url, **connect_options(endpoint.keys, "operator")) as client:
            yield Operator(client, self.settings.database_url)


@dataclass
class Operator:
    """A person at the bus: opens issues, decides, asks.

    Where the system's projection is named, every agent has a track record where a level was granted.
    """

    client: Client
    database_url: str | None = None

    async def ask(self, name: str, **question: Any) -> Any:
        answer = await self.client.request(f"query.{name}", json.dumps(question).encode(), timeout=30)
        return json.loads(answer.data)

    async def view(self, run: str) -> RunView | None:
        answer = await self.ask("run", run=run)
        return RunView.model_validate(answer["ok"]) if "ok" in answer else None

    async def history(self, run: str) -> History:
        return await Log(self.client, api=API).read(run_filter(run))

    async def facts(self, run: str, kind: type[F]) -> list[F]:
        """The run's facts of one kind, oldest first, read from the log itself."""
        return [recorded.fact for recorded in (await self.history(run)).facts if isinstance(recorded.fact, kind)]

    async def until_stated(self, run: str, kind: type[F], **fields: Any) -> F:
        """Until the run's log holds a fact of this kind with these fields."""

        async def found() -> list[F]:
            facts = await self.facts(run, kind)
            return [fact for fact in facts if all(getattr(fact, name) == value for name, value in fields.items())]

        return (await until(found, within_s=60))[-1]

    async def open_issue(
        self, repository: Path, title: str, body: str = "", *, is_known: bool = True, **more: Any
    ) -> str:
        request = IssueRequest(repository=str(repository), key=uuid.uuid4().hex, title=title, body=body, **more)
        headers, data = encode_request(request, request_id=uuid.uuid4().hex, source="/test")
        if self.database_url is not None and is_known and await self._was_granted(repository):
            await asyncio.to_thread(give, self.database_url, repository, request)
        await self.client.request("intake.issue.cli", data, headers=headers)
        return run_id(issue_id("cli", os.path.realpath(repository), request.key), request.revision)

    async def _was_granted(self, repository: Path) -> bool:
        """Whether the repository has a level at which it matters who works."""
        ladder = await Log(self.client, api=API).read(ladder_filter(workflow_id(os.path.realpath(repository))))
        return any(isinstance(recorded.fact, LevelGranted) for recorded in ladder.facts)

    async def decide(self, run: str, kind: DecisionKind, **more: Any) -> str:
        decision = uuid.uuid4().hex
        fields = {"by": "tester", "os_user": "tester", **more}
        request = DecisionRequest(decision=decision, run=run, kind=kind, **fields)
        headers, data = encode_request(request, request_id=decision, source="/test")
        await self.client.request(f"intake.decision.{run}", data, headers=headers)
        return decision

    async def until_stage(self, run: str, *stages: str, phase: str | None = None) -> RunView:
        async def is_there() -> RunView | None:
            view = await self.view(run)
            if view is None or view.stage not in stages:
                return None
            return view if phase is None or (view.phases and view.phases[-1].phase == phase) else None

        found = await until(is_there, within_s=120)
        assert found is not None
        return found

    async def until_stopped(self, run: str, after: RunView | None = None) -> RunView:
        """The next place, later than the view `after`, where the run waits for somebody or is through."""

        async def is_there() -> RunView | None:
            view = await self.view(run)
            if view is None or (after is not None and view.sequence <= after.sequence):
                return None
            return view if view.stage in ("waiting", "aborted", "ended") or view.outcome == "merged" else None

        view = await until(is_there, within_s=60)
        assert view is not None
        return view

    async def answer(self, view: RunView, kind: DecisionKind, **more: Any) -> RunView:
        """Decide where the view shows the run, and see where it stops next."""
        await self.decide(view.run, kind, **more)
        return await self.until_stopped(view.run, after=view)

    async def approve_until_end(self, run: str) -> RunView:
        """Approve what passed and reject what did not, checkpoint after checkpoint."""
        answered: set[tuple[str, int]] = set()
        while True:
            view = await self.until_stage(run, "waiting", "ended", "aborted")
            if view.checkpoint is None:
                return view
            place = (view.checkpoint.phase, view.checkpoint.attempt)
            if place in answered:
                return view
            answered.add(place)
            is_passed = view.checkpoint.outcome in ("pass", "warn")
            await self.decide(run, DecisionKind.APPROVE if is_passed else DecisionKind.REJECT, automatic=True)
            await self.until_left(view)

    async def until_left(self, before: RunView) -> None:
        """Until the run has left the checkpoint that the view shows, or come back to it."""

        async def is_left() -> bool:
            view = await self.view(before.run)
            return view is not None and view.sequence > before.sequence and view.checkpoint != before.checkpoint

        with contextlib.suppress(TimeoutError):
            await until(is_left, within_s=30)


@contextlib.contextmanager
def running_system(data: Path, environment: Mapping[str, str] | None = None) -> Iterator[System]:
    """Bus and services, ready for work, and ended afterwards."""
    data.mkdir(parents=True, exist_ok=True)
    server = asyncio.run(start(data))
    system = System(server, data, environment or {})
    try:
        asyncio.run(wait_and_provision(server.endpoint.url, server.endpoint.keys))
        for service in Service:
            system.start_service(service)
        asyncio.run(_all_healthy(system))
        yield system
    finally:
        system.stop()
        asyncio.run(server.stop())


async def _all_healthy(system: System) -> None:
    await asyncio.gather(*(system.healthy(service) for service in Service))
