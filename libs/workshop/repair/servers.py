"""Asks warm processes to try edits: one that has collected the tests, and one that starts a session for each edit."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .suite import PACKAGE, Launch, arguments, copy, environment

Answer = dict[str, Any]
START_LIMIT_S = 60.0


class ServerError(Exception):
    """The server did not start, or died."""


class Server:
    """One process with a pipe in and a pipe out; it works in its own copy of the repository."""

    def __init__(self, command: Sequence[str], root: Path, env: dict[str, str], start_limit_s: float) -> None:
        ask, self._asks = os.pipe()
        self._answers, tell = os.pipe()
        self._process = subprocess.Popen(
            command,
            cwd=root,
            env={**env, "RUNG_REPAIR_CHANNEL": f"{ask},{tell}"},
            pass_fds=(ask, tell),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(ask)
        os.close(tell)
        self._rest = b""
        try:
            self.ready = self._read(start_limit_s)
        except ServerError:
            self.close()
            raise

    def ask(self, job: Answer, limit_s: float) -> Answer:
        """Raises: ServerError if it dies or does not answer in time."""
        data = memoryview(json.dumps(job).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._asks, data) :]
        except BrokenPipeError:
            raise ServerError("the server died") from None
        return self._read(limit_s)

    def _read(self, limit_s: float) -> Answer:
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise ServerError("the server did not answer")
            piece = os.read(self._answers, 1 << 16)
            if not piece:
                raise ServerError("the server died")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        for descriptor in (self._asks, self._answers):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@dataclass(frozen=True)
class Ground:
    """What servers are started from: a repository's state, how pytest starts there, and what its tests import."""

    root: Path
    launch: Launch
    modules: tuple[str, ...]
    start_s: float
    """Seconds that a fresh run needs before the first test."""


class Worker:
    """A copy of the repository and the servers that work in it, started when first needed."""

    def __init__(self, ground: Ground, place: Path) -> None:
        self._ground = ground
        self._place = place
        place.mkdir()
        self.root = copy(ground.root, place)
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.close()

    def ask(self, job: Answer, *, is_cold: bool) -> Answer:
        """Raises: ServerError if the server cannot be started at all."""
        kind = "cold" if is_cold else "warm"
        server = self._servers.get(kind) or self._start(kind)
        limit_s = sum(job["limits"].values()) * 1.5 + 10.0 + job["start_s"]
        try:
            return server.ask(job, limit_s)
        except ServerError as error:
            server.close()
            del self._servers[kind]
            if job.get("path"):
                (self.root / job["path"]).write_bytes(job["original"].encode(job["encoding"]))
            return {"trouble": str(error)}

    def _start(self, kind: str) -> Server:
        place = self._place / kind
        place.mkdir(exist_ok=True)
        env = environment(self.root, place, self._ground.launch, RUNG_REPAIR_PRELOAD=json.dumps(self._ground.modules))
        python = [sys.executable, *([] if self._ground.launch.is_early else ["-P"])]
        options = [*arguments(place, self._ground.launch), "--assert=plain"]
        commands = {
            "warm": [*python, "-m", "pytest", "-p", f"{PACKAGE}.screen", *options],
            "cold": [*python, "-m", f"{PACKAGE}.cold", *options],
        }
        server = Server(commands[kind], self.root, env, self._ground.start_s * 4 + START_LIMIT_S)
        self._servers[kind] = server
        return server
