"""The embedded system: the bus and the five services, each started again whenever it ends.

The services are children of a nursery, which is a child of this process. Whatever ends this
process, the nursery sees its orders end and the kernel ends the bus, so that nothing is left.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from libs.cli.ending import Misused
from libs.contracts.words import Service
from libs.runtime.keys import KeyFileError
from libs.runtime.provision import ProvisionError, wait_and_provision
from libs.runtime.server import EmbeddedServer, Endpoint, ServerError, start
from libs.runtime.settings import SettingUnusable, read_operator_file

DELAY_MIN_S: Final = 0.2
DELAY_MAX_S: Final = 10.0
STEADY_S: Final = 30.0
"""A service that ran for so long is started again at once when it ends."""
GRACE_S: Final = 8.0
LOOK_S: Final = 0.5

Tell = Callable[[str], None]


@dataclass
class Backoff:
    """How long to wait before something is started again: longer each time it did not last."""

    began: float = 0.0
    tries: int = 0

    def begin(self, now: float) -> None:
        self.began = now

    def delay_s(self, now: float) -> float:
        self.tries = 0 if now - self.began >= STEADY_S else self.tries + 1
        return min(DELAY_MIN_S * 2.0 ** max(self.tries - 1, 0), DELAY_MAX_S)


@dataclass
class Launcher:
    """What runs on one data directory; `pids` are the services' processes as last reported."""

    data: Path
    tell: Tell
    server: EmbeddedServer
    nursery: asyncio.subprocess.Process
    pids: dict[Service, int] = field(default_factory=dict)
    _backoffs: dict[str, Backoff] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _is_stopping: bool = False

    @property
    def endpoint(self) -> Endpoint:
        return self.server.endpoint

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    async def begin(self) -> None:
        await wait_and_provision(self.endpoint.url, self.endpoint.keys)
        self._start_all()
        self._spawn(self._watch_nursery())
        self._spawn(self._watch_server())

    async def stop(self) -> None:
        """The services first, for they say goodbye to the bus."""
        self._is_stopping = True
        await _cancelled(self._tasks)
        await _end(self.nursery)
        await self.server.stop()

    def _start_all(self) -> None:
        for service in Service:
            self._start(service)

    def _start(self, service: Service) -> None:
        order = {
            "service": service,
            "log": str(self.logs / f"{service}.log"),
            "environment": environment(self.endpoint, self.data),
        }
        assert self.nursery.stdin is not None
        if not self.nursery.stdin.is_closing():
            self.nursery.stdin.write(json.dumps(order).encode() + b"\n")

    async def _watch_nursery(self) -> None:
        """Hear the nursery's reports; should it end, start another one with all services."""
        while True:
            assert self.nursery.stdout is not None
            async for line in self.nursery.stdout:
                self._hear(json.loads(line))
            status = await self.nursery.wait()
            log = self.logs / "nursery.log"
            await self._pause("nursery", f"The services' parent process ended with status {status} (see {log})")
            self.pids.clear()
            self.nursery = await _nursery(self.logs)
            self._start_all()

    def _hear(self, report: Mapping[str, Any]) -> None:
        if (name := report.get("began")) is not None:
            self.pids[Service(name)] = report["pid"]
            self._backoff(name).begin(_now())
        elif (name := report.get("ended")) is not None and not self._is_stopping:
            self.pids.pop(Service(name), None)
            self._spawn(self._start_again(Service(name), report["status"]))

    async def _start_again(self, service: Service, status: int) -> None:
        log = self.logs / f"{service}.log"
        await self._pause(service, f"The {service} ended with status {status} (see {log})")
        await self._provision()
        self._start(service)

    async def _watch_server(self) -> None:
        """Start the bus again on the same port, which the services keep calling."""
        port = int(self.endpoint.url.rpartition(":")[2])
        while True:
            while self.server.is_running:  # noqa: ASYNC110 - the end of a process that is not asyncio's sets no event
                await asyncio.sleep(LOOK_S)
            status = self.server.process.returncode
            self._backoff("bus").begin(_now())
            await self._pause("bus", f"The NATS server ended with status {status} (see {self.server.log})")
            await self._serve_again(port)

    async def _serve_again(self, port: int) -> None:
        await self.server.stop()
        try:
            self.server = await start(self.data, port=port)
        except (ServerError, KeyFileError) as error:
            self.tell(str(error))
        else:
            await self._provision()

    async def _provision(self) -> None:
        try:
            await wait_and_provision(self.endpoint.url, self.endpoint.keys, attempts=1)
        except (ProvisionError, KeyFileError) as error:
            self.tell(str(error))

    async def _pause(self, name: str, what: str) -> None:
        delay_s = self._backoff(name).delay_s(_now())
        self.tell(f"{what}; started again in {delay_s:.1f} s.")
        await asyncio.sleep(delay_s)

    def _backoff(self, name: str) -> Backoff:
        return self._backoffs.setdefault(name, Backoff())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def environment(endpoint: Endpoint, data: Path) -> dict[str, str]:
    """What a service of this system finds in its environment."""
    return {"RUNG_NATS_URL": endpoint.url, "RUNG_KEYS": str(endpoint.keys), "RUNG_STATE": str(data)}


@contextlib.asynccontextmanager
async def launched(data: Path, tell: Tell, *, port: int | None = None) -> AsyncIterator[Launcher]:
    """The system on this data directory; its services may still be starting. It ends with the block.

    Raises:  DataDirectoryBusy, other ServerErrors, KeyFileError, ProvisionError with a sentence; Misused for an
             operator's file with which no service would start.
    """
    try:
        read_operator_file(os.environ)
    except SettingUnusable as unusable:
        raise Misused(f"The operator's file cannot be used: {unusable}.") from unusable
    logs = data / "logs"
    _private_directories(data, logs)
    nursery = await _nursery(logs)
    try:
        server = await start(data, port=port)
    except BaseException:
        nursery.kill()  # it has no services yet
        await nursery.wait()
        raise
    launcher = Launcher(data, tell, server, nursery)
    try:
        await launcher.begin()
        yield launcher
    finally:
        await _to_the_end(launcher.stop())


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finish, also when an impatient person interrupts once more; then be interrupted."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _private_directories(*paths: Path) -> None:
    try:
        for path in paths:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(f"The data directory {paths[0]} cannot be made: {error.strerror or error}.") from error


async def _nursery(logs: Path) -> asyncio.subprocess.Process:
    """A nursery that has begun to import; `-P` keeps the current directory out of what it imports."""
    with (logs / "nursery.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "libs.cli.nursery"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


async def _end(nursery: asyncio.subprocess.Process) -> None:
    assert nursery.stdin is not None
    nursery.stdin.close()
    try:
        await asyncio.wait_for(nursery.wait(), GRACE_S)
    except TimeoutError:
        nursery.kill()
        await nursery.wait()


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
