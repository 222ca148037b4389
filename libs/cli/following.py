"""Follows a run: what is new in its log, and its view, each time something happens.

Live messages come at most once and only ring a bell; what is told is read from the log, and the
view is asked for until it has taken in what was read.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from libs.cli.connection import Connection, NoAnswer
from libs.cli.ending import Misused
from libs.contracts.requests import one_line
from libs.contracts.subjects import LIVE, PROGRESS, run_filter
from libs.contracts.views import RunView
from libs.contracts.wire import Recorded

BELL_S: Final = 2.0
"""How long a run is left alone when nothing rings."""
CATCH_UP_S: Final = 5.0
CATCH_UP_STEP_S: Final = 0.03


@dataclass(frozen=True)
class Moment:
    """What happened since the last moment, and the run as it is now; `None` while it has not begun."""

    news: tuple[Recorded, ...]
    view: RunView | None


class Follower:
    """Subscribed to one run while the context lasts.

    `told` is the sequence of the last fact that was news, `doing` what a worker said last.
    """

    def __init__(self, connection: Connection, run: str, told: int = 0) -> None:
        self._connection = connection
        self._run = run
        self._bell = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self.told = told
        self.doing = ""

    async def __aenter__(self) -> Self:
        client = self._connection.client
        self._subscriptions = [
            await client.subscribe(f"{LIVE}.{run_filter(self._run)}", cb=self._ring),
            await client.subscribe(f"{PROGRESS}.{self._run}.>", cb=self._hear),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(Exception):  # the connection may be gone, and with it the subscription
                await subscription.unsubscribe()

    async def wait(self, within_s: float = BELL_S) -> None:
        """Until something happened, or a while has gone by."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._bell.wait()

    async def look(self) -> Moment:
        """What is new, and the run as it is now."""
        self._bell.clear()
        news = await self._news()
        view = await self._view(self.told)
        if view is not None and view.sequence > self.told:
            news += await self._news()  # the run went on in between; its view is not shown before its facts
        return Moment(news, view)

    async def _news(self) -> tuple[Recorded, ...]:
        history = await self._connection.log.read(run_filter(self._run))
        news = tuple(recorded for recorded in history.facts if recorded.sequence > self.told)
        if news:
            self.told, self.doing = news[-1].sequence, ""
        return news

    async def _view(self, sequence: int) -> RunView | None:
        """The view once it has taken in a fact, or the newest there is when it lags."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + CATCH_UP_S
        while True:
            with contextlib.suppress(Misused, NoAnswer):
                view = await self._connection.view(self._run)
                if view.sequence >= sequence or clock.time() > deadline:
                    return view
            if not sequence or clock.time() > deadline:
                return None
            await asyncio.sleep(CATCH_UP_STEP_S)

    async def _ring(self, _: Msg) -> None:
        self._bell.set()

    async def _hear(self, message: Msg) -> None:
        with contextlib.suppress(ValueError, AttributeError):
            self.doing = one_line(str(json.loads(message.data).get("text", "")))
            self._bell.set()
