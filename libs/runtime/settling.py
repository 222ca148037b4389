"""Settling an aggregate: read it to its head, decide what is owed, append the first of it, and ask again.

The append is fenced by what was read, so of two that settle the same aggregate one is refused and
decides again; when the answer is already there, nothing is owed.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from libs.contracts.facts import Fact, Owed
from libs.contracts.history import Fence
from libs.contracts.requests import fact_id
from libs.contracts.words import Service
from libs.runtime.log import Conflict
from libs.runtime.telemetry import span

ROUNDS_MAX: Final = 200

logger = logging.getLogger("rung")


class View(Protocol):
    """A folded aggregate, able to say behind which fence a fact about it belongs."""

    @property
    def traceparent(self) -> str | None: ...

    def fence(self, fact: Fact) -> Fence: ...


class Appends(Protocol):
    """Where facts are appended, in the name of one service."""

    @property
    def producer(self) -> Service | None: ...

    async def append(self, fact: Fact, *, cause: str, fence: Fence, traceparent: str | None = None) -> int: ...


V = TypeVar("V", bound=View)


async def settle(log: Appends, read: Callable[[], Awaitable[V]], decide: Callable[[V], list[Owed]]) -> V:
    """Bring an aggregate to where nothing is owed, and return it as it then is."""
    for _ in range(ROUNDS_MAX):
        view = await read()
        if not (owed := decide(view)):
            return view
        await _state(log, view, owed[0])
    raise AssertionError(f"still owing {owed[0].fact.subject} after {ROUNDS_MAX} rounds")


async def _state(log: Appends, view: View, owed: Owed) -> None:
    fact, cause = owed
    with span(f"{log.producer} {fact.type}", parent=view.traceparent, subject=fact.subject):
        try:
            await log.append(fact, cause=cause, fence=view.fence(fact), traceparent=view.traceparent)
        except Conflict:
            logger.info("somebody was first on %s; deciding again", fact.subject)
        else:
            named = {"run": getattr(fact, "run", None), "fact": fact_id(cause, fact.subject), "cause": cause}
            logger.info("stated %s", fact.subject, extra=named)
