"""One command's stay in the sandbox: feeds it, keeps what it says, watches its limits, and ends it for certain."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from libs.workshop.sandbox import occupancy
from libs.workshop.sandbox.confinement import Limits

CHUNK: Final = 2**16
LINE_MAX: Final = 64 * 2**20
TICK_S: Final = 0.25
DEATH_S: Final = 5.0
STOP_S: Final = 1.0
TINY_S: Final = 0.0002

ADVICE: Final = (
    "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1 and "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that permits unshare and mount)"
)

Dialogue = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
"""Talks with the command: reads its standard output and writes to its standard input."""

OnOutput = Callable[[bytes], None]


class SandboxUnavailable(Exception):
    """The sandbox cannot be had here; the message says why and what to do."""


class Ended(StrEnum):
    """What ended a command: itself, a limit of time, of silence or of resources, or the caller."""

    EXITED = "exited"
    WALL = "wall"
    IDLE = "idle"
    LIMIT = "limit"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Finished:
    """A command that ended; `exit_code` is None when it was ended from outside, 127 when there is no such command."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    duration_s: float
    ended: Ended

    @property
    def is_ok(self) -> bool:
        return self.ended is Ended.EXITED and self.exit_code == 0


class Status:
    """What bubblewrap tells of itself: the namespaces once they are made, the exit code once the command ended."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._text = b""

    def get(self, key: str) -> int | None:
        with suppress(BlockingIOError):
            while chunk := os.read(self._fd, CHUNK):
                self._text += chunk
        for line in self._text.splitlines():
            with suppress(ValueError):
                if isinstance(value := json.loads(line).get(key), int):
                    return value
        return None

    def close(self) -> None:
        os.close(self._fd)


@dataclass
class Kept:
    """The head and the tail of a stream, each at most half of `bound` bytes; the middle is counted only."""

    bound: int
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    left_out_count: int = 0

    def add(self, chunk: bytes) -> None:
        room = self.bound - self.bound // 2 - len(self.head)
        self.head += chunk[:room]
        self.tail += chunk[room:]
        excess = len(self.tail) - self.bound // 2
        if excess > 0:
            del self.tail[:excess]
            self.left_out_count += excess

    @property
    def content(self) -> bytes:
        note = f"\n[{self.left_out_count} bytes left out]\n" if self.left_out_count else ""
        return bytes(self.head) + note.encode() + bytes(self.tail)


class Stay:
    def __init__(
        self, process: asyncio.subprocess.Process, status: Status, limits: Limits, on_output: OnOutput | None
    ) -> None:
        self._process = process
        self._status = status
        self._limits = limits
        self._on_output = on_output
        self._stdout = Kept(limits.output_bytes)
        self._stderr = Kept(limits.output_bytes)
        self._heard: asyncio.StreamReader | None = None
        self._trouble: Exception | None = None
        self._killed: set[int] = set()
        self._started_s = self._last_output_s = time.monotonic()

    async def follow(self, speech: bytes | Dialogue, cancel: asyncio.Event) -> Finished:
        """Wait for the end, whichever it is; on return, and on every error, nothing of the command is left."""
        if not isinstance(speech, bytes):
            self._heard = asyncio.StreamReader(limit=LINE_MAX)
        life = asyncio.ensure_future(self._live())
        talk = asyncio.ensure_future(self._talk(speech))
        watch = asyncio.ensure_future(self._watch(cancel))
        try:
            ended = await _first_end(life, talk, watch)
        finally:
            await self._end(life, talk, watch)
        if self._trouble is not None:
            raise self._trouble
        return self._finished(ended)

    async def _live(self) -> None:
        out, err = self._process.stdout, self._process.stderr
        assert out is not None
        assert err is not None
        await asyncio.gather(self._pump(out, self._stdout), self._pump(err, self._stderr), self._process.wait())

    async def _pump(self, stream: asyncio.StreamReader, kept: Kept) -> None:
        heard = self._heard if kept is self._stdout else None
        try:
            while chunk := await stream.read(CHUNK):
                self._last_output_s = time.monotonic()
                kept.add(chunk)
                if heard is not None:
                    heard.feed_data(chunk)
                self._tell(chunk)
        finally:
            if heard is not None:
                heard.feed_eof()

    def _tell(self, chunk: bytes) -> None:
        if self._on_output is None or self._trouble is not None:
            return
        try:
            self._on_output(chunk)
        except Exception as error:  # noqa: BLE001 - raised by `follow` once the command is gone
            self._trouble = error
            self._kill()

    async def _talk(self, speech: bytes | Dialogue) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):  # the command need not listen to the end
            if isinstance(speech, bytes):
                stdin.write(speech)
                await stdin.drain()
            elif self._heard is not None:
                await speech(self._heard, stdin)
            stdin.close()
            await stdin.wait_closed()

    async def _watch(self, cancel: asyncio.Event) -> Ended:
        while True:
            if (ended := self._exceeded(cancel, time.monotonic())) is not None:
                return ended
            rest_s = self._limits.wall_s - (time.monotonic() - self._started_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(cancel.wait(), max(0.0, min(TICK_S, rest_s)))

    def _exceeded(self, cancel: asyncio.Event, now_s: float) -> Ended | None:
        limits = self._limits
        if cancel.is_set():
            return Ended.CANCELLED
        if now_s - self._started_s >= limits.wall_s:
            return Ended.WALL
        if limits.idle_s is not None and now_s - self._last_output_s >= limits.idle_s:
            return Ended.IDLE
        return Ended.LIMIT if self._is_over() else None

    def _is_over(self) -> bool:
        namespace = self._status.get("pid-namespace")
        if namespace is None:
            return False
        limits = self._limits
        over = occupancy.excess(namespace, memory_mib=limits.memory_mib, process_count=limits.process_count)
        if over is not None:
            self._stderr.add(f"\n{over}\n".encode())
        return over is not None

    async def _end(self, life: asyncio.Future[None], talk: asyncio.Future[None], watch: asyncio.Future[Ended]) -> None:
        talk.cancel()
        watch.cancel()
        self._kill()
        await asyncio.gather(talk, watch, life, return_exceptions=True)
        await self._process.wait()
        told = self._status.get("child-pid")
        await asyncio.gather(*map(_death_of, self._killed | ({told} if told is not None else set())))

    def _kill(self) -> None:
        """Stop bubblewrap first, so that no child appears between the look at its children and its own death."""
        pid = self._process.pid
        if self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            _wait_until_stopped(pid)
            for child in _children(pid):
                self._killed.add(child)
                os.kill(child, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)

    def _finished(self, ended: Ended) -> Finished:
        return Finished(
            exit_code=self._exit_code() if ended is Ended.EXITED else None,
            stdout=self._stdout.content,
            stderr=self._stderr.content,
            duration_s=time.monotonic() - self._started_s,
            ended=ended,
        )

    def _exit_code(self) -> int:
        told = self._status.get("exit-code")
        if told is not None:
            return told
        said = self._stderr.content.decode(errors="replace").strip()
        if said.startswith("bwrap: ") or self._status.get("child-pid") is None:
            why = said.removeprefix("bwrap: ").rstrip(".") or "bwrap ended at once"
            raise SandboxUnavailable(f"The sandbox cannot start: {why}; {ADVICE}.")
        return 128 + signal.SIGKILL


async def _first_end(life: asyncio.Future[None], talk: asyncio.Future[None], watch: asyncio.Future[Ended]) -> Ended:
    pending: set[asyncio.Future[Any]] = {life, talk, watch}
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if life in done:
            life.result()
            return Ended.EXITED
        if talk in done:
            talk.result()
        if watch in done:
            return watch.result()


def _wait_until_stopped(pid: int) -> None:
    """A stop signal takes a moment to arrive, and until then the process goes on, and may fork."""
    give_up_s = time.monotonic() + STOP_S
    while time.monotonic() < give_up_s and not _has_state(pid, "tTZX"):
        time.sleep(TINY_S)


def _has_state(pid: int, states: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in states
    except OSError:
        return True


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


async def _death_of(pid: int) -> None:
    """Wait for the first process of a namespace: it counts as ended only when all others in there have."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    loop, is_dead = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pidfd, is_dead.set)
    try:
        with suppress(TimeoutError):  # so that a number given to another process meanwhile holds up nobody
            await asyncio.wait_for(is_dead.wait(), DEATH_S)
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
