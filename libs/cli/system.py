"""A system to work with: the one that runs on the data directory, else one of our own."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from libs.cli.connection import Connection, connected, connected_to, default_data
from libs.cli.ending import Ended, ExitCode, Unreachable
from libs.cli.launcher import Tell, launched
from libs.runtime.server import DataDirectoryBusy

T = TypeVar("T")
TRIES: Final = 150
PAUSE_S: Final = 0.2


@contextlib.asynccontextmanager
async def borrowed_or_launched(data: Path | None, tell: Tell) -> AsyncIterator[Connection]:
    """A connection to the running system, or to one that is started here and ends with the block.

    A system that is just starting or stopping holds the directory without answering; it is waited for.
    """
    async with contextlib.AsyncExitStack() as stack:
        yield await _first(stack, data, tell)


async def _first(stack: contextlib.AsyncExitStack, data: Path | None, tell: Tell) -> Connection:
    for tries in range(TRIES):
        try:
            return await stack.enter_async_context(connected(data))
        except Unreachable:
            if (connection := await _launched(stack, data, tell, is_last=tries == TRIES - 1)) is not None:
                return connection
        await asyncio.sleep(PAUSE_S)
    raise AssertionError("the last try returns or raises")


async def _launched(
    stack: contextlib.AsyncExitStack, data: Path | None, tell: Tell, *, is_last: bool
) -> Connection | None:
    try:
        launcher = await stack.enter_async_context(launched((data or default_data()).absolute(), tell))
    except DataDirectoryBusy:
        if is_last:
            raise
        return None
    return await stack.enter_async_context(connected_to(launcher.endpoint, data, is_own=True))


def complete(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGTERM ends it as tidily as Ctrl-C does.

    Raises:  Ended when SIGTERM came first.
    """

    async def ended_by_signal() -> T:
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(RuntimeError, ValueError):  # not the main thread: signals are somebody else's
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(ended_by_signal())
    except asyncio.CancelledError:
        raise Ended("Ended by SIGTERM.", ExitCode.TERMINATED) from None
