"""Waiting for something to be so, without ever sleeping for a guessed time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(question: Callable[[], Awaitable[T]], *, within_s: float = 20.0) -> T:
    """The first answer that is true; TimeoutError when none comes."""
    async with asyncio.timeout(within_s):
        while not (answer := await question()):  # noqa: ASYNC110 - the bus is asked again; nothing here sets an event
            await asyncio.sleep(0.05)
        return answer
