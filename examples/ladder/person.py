"""The person of the ladder: answers every checkpoint, check and rung by the truth, and takes their time to look."""

import time
from collections.abc import Callable
from typing import Final

from examples.ladder.tasks import Kind
from examples.ladder.truth import Truth
from libs.cli.connection import Connection
from libs.cli.ending import Ended
from libs.cli.laddering import ask
from libs.cli.requesting import decide
from libs.contracts.readiness import Readiness
from libs.contracts.requests import LadderKind
from libs.contracts.views import CheckpointView, RunView
from libs.contracts.words import DecisionKind, Level, Phase
from libs.contracts.workflow import CONSIDERED_AFTER_S

NAME: Final = "dana"
LOOKS_S: Final = CONSIDERED_AFTER_S + 0.5
"""How long a checkpoint is looked at: what is decided faster labels nothing."""

Known = Callable[[RunView], tuple[Kind, Truth]]
"""What the person knows of a run's candidate as it is now."""


class Person:
    """Decides over the operator's connection; `known` tells the truth about a candidate.

    Merges are approved one after another (`_landing`): each makes all others stand on a base that is old, so that
    what would land of them is tested once more.
    """

    def __init__(self, connection: Connection, known: Known) -> None:
        self._connection = connection
        self._known = known
        self._landing = ""

    async def decide(self, waiting: list[RunView], working: list[RunView]) -> None:
        """Answer each checkpoint that was looked at for long enough, and one merge at a time."""
        is_landing = self._landing in {view.run for view in working}
        for view in waiting:
            if view.checkpoint is None or time.time() - view.moved_at < LOOKS_S:
                continue
            is_merge = view.checkpoint.phase is Phase.DEPLOY
            if is_merge and is_landing:
                continue
            kind, truth = self._known(view)
            await self._answer(view, view.checkpoint, answer(kind, truth, view.checkpoint))
            if is_merge:
                self._landing, is_landing = view.run, True

    async def _answer(self, view: RunView, checkpoint: CheckpointView, kind: DecisionKind) -> None:
        seen = {"phase": checkpoint.phase, "attempt": checkpoint.attempt, "commit": checkpoint.commit}
        await decide(self._connection, view.run, kind, by=NAME, reason="the reference tests say so", **seen)

    async def check(self, found: Readiness, views: dict[str, RunView]) -> None:
        """Label what the log asks to be checked, and runs that a gate has ended."""
        asked = {audit.run for audit in found.audits}
        ended = {run.run for run in found.unlabelled if run.run in views and views[run.run].outcome == "aborted"}
        for name in sorted((asked | ended) & views.keys()):
            await self._label(views[name], tuple(str(phase.phase) for phase in views[name].phases if phase.outcome))

    async def condemn(self, view: RunView) -> None:
        """Say of every gate that let a bad change through that it was wrong."""
        await self._label(view, tuple(str(phase.phase) for phase in view.phases if phase.outcome in ("pass", "warn")))

    async def _label(self, view: RunView, gates: tuple[str, ...]) -> None:
        _, truth = self._known(view)
        outcomes = {str(phase.phase): phase.outcome for phase in view.phases}
        for gate in gates:
            is_pass = outcomes.get(gate) in ("pass", "warn")
            is_right = (truth.of_gate(gate) if view.outcome != "merged" else truth.is_good) is is_pass
            fields = {"run": view.run, "phase": gate, "is_right": is_right}
            try:
                await ask(
                    self._connection, view.workflow, LadderKind.LABEL, by=NAME, reason="the reference tests", **fields
                )
            except Ended:
                continue  # a gate without a verdict that counts

    async def climb(self, found: Readiness) -> Level | None:
        """Grant what is earned; the last rung for the first time only once more than luck speaks for it."""
        level = found.level.earned
        if level.rank <= found.level.granted.rank:
            return None
        rung = next(rung for rung in found.rungs if rung.to is level)
        was_there = any(move.to is Level.ASE for move in found.moves)
        if not rung.met or (level is Level.ASE and not rung.is_proven and not was_there):
            return None
        await ask(
            self._connection, found.workflow, LadderKind.GRANT, by=NAME, reason="the figures hold", level=str(level)
        )
        return level


def answer(kind: Kind, truth: Truth, checkpoint: CheckpointView) -> DecisionKind:
    """What the person says of a verdict, knowing the truth: agrees with gates that are right, and only with those."""
    if checkpoint.outcome in ("pass", "warn"):
        return DecisionKind.APPROVE if truth.of_gate(checkpoint.phase) else DecisionKind.REJECT
    if truth.is_good:
        wanted = DecisionKind.OVERRIDE if checkpoint.outcome == "fail" else DecisionKind.APPROVE
        return wanted if wanted in checkpoint.answers else DecisionKind.RETRY
    return DecisionKind.GUIDE if kind is Kind.AMENDED else DecisionKind.REJECT
