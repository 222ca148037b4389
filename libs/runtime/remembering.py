"""A log that remembers the histories it read last and asks only for what came after.

Facts never change and are never removed, so what was read once stays true: a history is brought to
its head by reading behind the last sequence that is known. An append that is refused forgets the
history it relied on, so that it is read anew from its beginning, whatever the reason was.
"""

from collections import OrderedDict
from typing import Final

from libs.contracts.facts import Fact
from libs.contracts.history import Fence, History
from libs.contracts.words import Service
from libs.runtime.log import Conflict, Log

KEPT_MAX: Final = 2048
"""Histories that are remembered; the one that was asked for longest ago gives way."""


class RememberingLog:
    """A log for who reads the same histories again and again."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kept: OrderedDict[str, History] = OrderedDict()

    @property
    def producer(self) -> Service | None:
        return self._log.producer

    async def read(self, subjects: str) -> History:
        """All messages under the filter to its head, in the order of the log."""
        known = self._kept.get(subjects)
        history = await self._log.read(subjects) if known is None else await self._brought_on(known, subjects)
        self._keep(subjects, history)
        return history

    async def _brought_on(self, known: History, subjects: str) -> History:
        later = await self._log.read_on(subjects, known.head)
        return History((*known.facts, *later.facts), (*known.unread, *later.unread)) if later.head else known

    async def append(self, fact: Fact, *, cause: str, fence: Fence, traceparent: str | None = None) -> int:
        """Append it as the log does; a conflict makes the history behind the fence unknown."""
        try:
            return await self._log.append(fact, cause=cause, fence=fence, traceparent=traceparent)
        except Conflict:
            self._kept.pop(fence.subjects, None)
            raise

    def _keep(self, subjects: str, history: History) -> None:
        """Remember it as the one asked for last; of two that were read at once the longer stays.

        An empty one is not worth a place.
        """
        if not history.head:
            return
        before = self._kept.pop(subjects, history)
        self._kept[subjects] = max(before, history, key=lambda one: one.head)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
