"""Who answers at a checkpoint: nobody, a program in somebody's name, or a person at the terminal."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from libs.cli.connection import Connection
from libs.cli.options import os_user
from libs.cli.screen import Screen, cell, diff, show
from libs.contracts.requests import plain
from libs.contracts.views import CheckpointView, RunView
from libs.contracts.words import DecisionKind
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing

PASSED: Final = ("pass", "warn")
LEAVE: Final = "wait"
SHOWN: Final = {"diff": "diff.patch", "plan": "plan.md"}
NEEDS_WORDS: Final = {
    DecisionKind.OVERRIDE: "Why override? ",
    DecisionKind.REJECT: "Why reject? ",
    DecisionKind.GUIDE: "Guidance for the next attempt: ",
}


@dataclass(frozen=True)
class Choice:
    """A decision that is to be sent."""

    kind: DecisionKind
    by: str
    fields: Mapping[str, Any] = field(default_factory=dict)


class Answers(Protocol):
    """What to answer at a checkpoint; `None` leaves the run waiting."""

    async def answer(self, view: RunView, checkpoint: CheckpointView) -> Choice | None: ...


class Nobody:
    """Leaves every checkpoint as it is."""

    async def answer(self, view: RunView, checkpoint: CheckpointView) -> Choice | None:  # noqa: ARG002 - the protocol's
        return None


@dataclass
class Automatic:
    """Approves what passed and rejects the rest, in somebody's name; never twice the same, never against the gate."""

    name: str
    approved: set[tuple[str, int]] = field(default_factory=set)

    async def answer(self, view: RunView, checkpoint: CheckpointView) -> Choice | None:  # noqa: ARG002 - the protocol's
        place = (str(checkpoint.phase), checkpoint.attempt)
        if place in self.approved:
            return None
        kind = DecisionKind.APPROVE if checkpoint.outcome in PASSED else DecisionKind.REJECT
        if kind is DecisionKind.APPROVE:
            self.approved.add(place)
        reason = f"automatic: the gate says {checkpoint.outcome}"
        return Choice(kind, self.name, {**seen(checkpoint), "automatic": True, "reason": reason})


@dataclass(frozen=True)
class Person:
    """Asks at the terminal, and shows the change or the plan on request."""

    screen: Screen
    connection: Connection

    async def answer(self, view: RunView, checkpoint: CheckpointView) -> Choice | None:
        self._introduce(view, checkpoint)
        words = [*(str(kind) for kind in checkpoint.answers), *(w for w in SHOWN if SHOWN[w] in view.artifacts), LEAVE]
        while True:
            match await self._choose(words):
                case None | "wait":
                    return None
                case ("diff" | "plan") as name:
                    await self._show(view, name)
                case word:
                    return await self._decide(DecisionKind(word), checkpoint)

    def _introduce(self, view: RunView, checkpoint: CheckpointView) -> None:
        self.screen.progress("")
        self.screen.progress(
            f"The run waits at the checkpoint “{checkpoint.name}”: {cell(checkpoint.reason, 500)}", "bold"
        )
        judged = next((phase for phase in reversed(view.phases) if phase.phase == checkpoint.phase), None)
        self.screen.progress(f"  the gate says {checkpoint.outcome}" + (f"; {cell(judged.summary)}" if judged else ""))
        known = (checkpoint.reason, judged.summary if judged else "")
        for reason in (reason for reason in (judged.reasons if judged else ()) if reason not in known):
            self.screen.progress(f"  · {cell(reason, 300)}")

    async def _choose(self, words: list[str]) -> str | None:
        """One of the words or of their unambiguous beginnings; `None` at the end of the input."""
        while True:
            if (line := await self._read(f"{' / '.join(words)}? ")) is None:
                return None
            said = line.strip().lower()
            meant = [word for word in words if said and word.startswith(said)]
            if said in words or len(meant) == 1:
                return said if said in words else meant[0]
            if said:
                self.screen.progress(f"“{cell(said)}” is none of these, or may be several.")

    async def _decide(self, kind: DecisionKind, checkpoint: CheckpointView) -> Choice | None:
        words = ""
        while kind in NEEDS_WORDS and not words:
            if (line := await self._read(NEEDS_WORDS[kind])) is None:
                return None
            words = plain(line).strip()
        said = {"guidance": words} if kind is DecisionKind.GUIDE else {"reason": words}
        return Choice(kind, os_user(), {**seen(checkpoint), **said})

    async def _show(self, view: RunView, name: str) -> None:
        try:
            data = await self.connection.artifacts.get(view.artifacts[SHOWN[name]])
        except (ArtifactMissing, ArtifactDamaged) as error:
            self.screen.progress(f"The {name} cannot be shown: {error}.")
            return
        if name == "diff":
            diff(self.screen.err, data)
        else:
            show(self.screen.err, data.decode(errors="replace"))

    async def _read(self, prompt: str) -> str | None:
        """A line from the terminal; `None` at its end. The loop goes on meanwhile, so that Ctrl-C is heard."""
        self.screen.err.print(prompt, end="", soft_wrap=True)
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(sys.stdin, _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(sys.stdin)
        with contextlib.suppress(UnicodeDecodeError):
            return sys.stdin.readline() or None
        return ""


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def seen(checkpoint: CheckpointView) -> dict[str, Any]:
    """What a decision is bound to: the place and the commit that were looked at."""
    return {"phase": checkpoint.phase, "attempt": checkpoint.attempt, "commit": checkpoint.commit}
