"""Pursues a run until it ended or waits for a human, answering at checkpoints as told."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from libs.cli.answers import Answers
from libs.cli.connection import Connection
from libs.cli.ending import Ended, ExitCode
from libs.cli.following import Follower
from libs.cli.handover import HandOver
from libs.cli.narrator import Narrator
from libs.cli.requesting import Errand, decide
from libs.contracts.views import RunView
from libs.contracts.wire import Recorded

WATCH_S: Final = 10.0
"""How long the end of a watch is waited for after the merge."""
TAKEN_UP_S: Final = 60.0
ENDS: Final = {"declined": "declined", "aborted": "aborted", "cancelled": "aborted"}


@dataclass(frozen=True)
class Result:
    """How a pursuit ended: one of merged, declined, aborted, waiting."""

    run: str
    outcome: str
    reason: str
    view: RunView | None = None

    @property
    def code(self) -> ExitCode:
        return {"merged": ExitCode.OK, "waiting": ExitCode.WAITING}.get(self.outcome, ExitCode.FAILED)

    def as_json(self) -> dict[str, Any]:
        shown = self.view.model_dump(mode="json") if self.view else {}
        keys = ("phase", "attempts", "outcome", "reasons")
        more = ("title", "repository", "target", "level", "level_in_force", "checkpoint", "decisions", "stage")
        return {
            "run": self.run,
            "outcome": self.outcome,
            "reason": self.reason,
            "phases": [{key: phase[key] for key in keys} for phase in shown.get("phases", ())],
            "commit": shown.get("commit"),
            "branch": shown.get("branch"),
            **{key: shown.get(key) for key in more},
        }


@dataclass
class Pursuit:
    """One run, over one or several connections, for a system may go and come back.

    `decided` is the sequence of our last decision's answer: an older view says nothing about now.
    `stays` is for onlookers, who wait at checkpoints as well. `hand_over` writes down a run that stopped.
    """

    run: str
    narrator: Narrator
    answers: Answers
    errand: Errand | None = None
    stays: bool = False
    hand_over: HandOver | None = None
    view: RunView | None = None
    decided: int = 0
    mark: int = 0
    told: int = 0
    is_sent: bool = False
    watched_until: float = 0.0

    async def follow(self, connection: Connection) -> Result:
        """Until there is a result; may be called again with another connection.

        Raises:  Unreachable when the system is gone; it may come back. Ended when nobody takes the issue up.
        """
        if self.errand and not self.is_sent:
            self.mark = await self.errand.send(connection)
            self.is_sent = True
        async with Follower(connection, self.run, self.told) as follower:
            begun = asyncio.get_running_loop().time()
            while True:
                moment = await follower.look()
                self.view = moment.view or self.view
                self.narrator.tell(moment.news)
                self.told = follower.told
                await self._hand_over(connection, moment.news)
                if (result := await self._judge(connection, begun)) is not None:
                    return result
                self.narrator.spin(self._doing(follower))
                await follower.wait(0.2 if self.view is None else 2.0)

    async def _hand_over(self, connection: Connection, news: Iterable[Recorded]) -> None:
        if self.hand_over is not None:
            self.hand_over.note(news)
            if self.view is not None:
                await self.hand_over.offer(connection, self.view)

    def given_up(self, after_s: float) -> Result:
        """The result when there was no more time."""
        reason = f"not ended after {after_s:g} s; {self.view.reason if self.view else 'the run has not begun'}"
        return Result(self.run, "waiting", reason, self.view)

    async def _judge(self, connection: Connection, begun: float) -> Result | None:
        if self.view is None:
            return await self._refused(connection, begun)
        if self.view.outcome == "merged":
            return self._watched(self.view)
        if (end := ENDS.get(self.view.outcome)) is not None:
            return self._result(end, self.view)
        if self.view.checkpoint is None or self.view.sequence < self.decided or self.stays:
            return None
        return await self._answer(connection, self.view)

    async def _refused(self, connection: Connection, begun: float) -> Result | None:
        """The request's refusal; none while it may still be taken up."""
        if self.errand and (aside := await self.errand.refusal(connection, self.mark)) is not None:
            return Result(self.run, "declined", aside.reason)
        if asyncio.get_running_loop().time() - begun > TAKEN_UP_S:
            late = f"The issue is stored, but nobody took it up within {TAKEN_UP_S:g} s; see rung doctor."
            raise Ended(late, ExitCode.UNREACHABLE, {"run": self.run})
        return None

    def _watched(self, view: RunView) -> Result | None:
        """The merge is done; its watch may end soon, and then there is more to tell."""
        now = asyncio.get_running_loop().time()
        self.watched_until = self.watched_until or now + WATCH_S
        is_over = view.stage == "ended" or (now >= self.watched_until and not self.stays)
        return self._result("merged", view) if is_over else None

    async def _answer(self, connection: Connection, view: RunView) -> Result | None:
        assert view.checkpoint is not None
        self.narrator.rest()
        if (choice := await self.answers.answer(view, view.checkpoint)) is None:
            return self._result("waiting", view)
        answer = await decide(connection, self.run, choice.kind, by=choice.by, **choice.fields)
        self.decided = answer.sequence
        is_final = answer.code == "set_aside" or (answer.code != "stale" and "automatic" in choice.fields)
        if answer.is_refused and is_final:
            return Result(self.run, "waiting", answer.message, view)
        return self._result("waiting", view) if answer.awaits else None

    def _result(self, outcome: str, view: RunView) -> Result:
        reason = view.checkpoint.reason if outcome == "waiting" and view.checkpoint else view.reason
        return Result(self.run, outcome, reason, view)

    def _doing(self, follower: Follower) -> str:
        if self.view is None:
            return "the issue is being taken up"
        at_work = next((phase for phase in reversed(self.view.phases) if phase.ended_at is None), None)
        phase = f"{at_work.phase} attempt {at_work.attempts}" if at_work else self.view.stage
        return f"{phase}: {follower.doing}" if follower.doing else str(phase)
