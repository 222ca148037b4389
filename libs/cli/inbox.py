"""`rung inbox`: what waits for a human, with all that is needed to decide it.

Order: what has waited since an earlier day comes first; within a day what is riskiest, then what
has waited longest. Risk is the verdict's (not passed, then passed with a warning, then passed), and
among equals the last checkpoint before a merge.
"""

import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.text import Text

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.screen import STYLES, Screen, cell, moment
from libs.cli.system import complete
from libs.contracts.views import CheckpointView, RunView
from libs.contracts.words import DecisionKind, Outcome, Phase

EXAMPLE: Final = "Example: rung inbox --json"
SHOWN_MAX: Final = 100
"""Runs in one answer; those that wait longest are never among the ones left out."""
REASONS_SHOWN: Final = 5
DAY_S: Final = 86_400
_WORDS: Final = {DecisionKind.GUIDE: "--guidance TEXT", DecisionKind.RESUME: "--guidance TEXT"}


class Waiting(NamedTuple):
    """A run and the checkpoint at which it waits."""

    view: RunView
    checkpoint: CheckpointView

    @property
    def since(self) -> float:
        return self.view.moved_at

    @property
    def short(self) -> str:
        return self.view.run[:8]

    @property
    def is_merge(self) -> bool:
        return self.checkpoint.phase is Phase.DEPLOY

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the gate says what it says."""
        return next((seen.reasons for seen in self.view.phases if seen.phase is self.checkpoint.phase), ())


def inbox(*, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """List what waits for a human: earlier days first, and the riskiest first within a day."""
    complete(_inbox(data, Screen(is_json=as_json)))


async def _inbox(data: Path | None, screen: Screen) -> None:
    async with connected(data) as connection:
        found = await connection.ask("runs", outcome="waiting", oldest_first=True, limit=SHOWN_MAX + 1)
    waiting = in_order(RunView.model_validate(view) for view in found[:SHOWN_MAX])
    if screen.is_json:
        screen.answer([_entry(one, data) for one in waiting])
    else:
        _list(waiting, data, screen)
    if len(found) > SHOWN_MAX:
        screen.progress(f"These are the {SHOWN_MAX} that wait longest; there are more behind them.", "yellow")


def _list(waiting: list[Waiting], data: Path | None, screen: Screen) -> None:
    now = time.time()
    for one in waiting:
        _tell(one, data, now, screen)
    if not waiting:
        screen.progress("Nothing waits for a human.")


def in_order(views: Iterable[RunView]) -> list[Waiting]:
    """The runs that a human can move, in the order in which to look at them."""
    waiting = [Waiting(view, view.checkpoint) for view in views if view.checkpoint is not None]
    return sorted(waiting, key=_urgency)


def _urgency(one: Waiting) -> tuple[int, int, bool, float, str]:
    return int(one.since // DAY_S), _safety(one.checkpoint.outcome), not one.is_merge, one.since, one.view.run


def _safety(outcome: str) -> int:
    """0 for a verdict that is not passed, also for a word that is not known here."""
    return {Outcome.WARN: 1, Outcome.PASS: 2}.get(Outcome(outcome), 0) if outcome in tuple(Outcome) else 0


def _entry(one: Waiting, data: Path | None) -> dict[str, Any]:
    view, checkpoint = one
    return {
        "run": view.run,
        "short": one.short,
        "title": view.title,
        "repository": view.repository,
        "checkpoint": checkpoint.name,
        "phase": checkpoint.phase,
        "attempt": checkpoint.attempt,
        "since": one.since,
        "expires_at": checkpoint.expires_at,
        "outcome": checkpoint.outcome,
        "reasons": list(one.reasons),
        "why": checkpoint.reason,
        "commit": checkpoint.commit,
        "level": view.level_in_force or view.level,
        "answers": list(checkpoint.answers),
        "commands": commands(one, data),
    }


def commands(one: Waiting, data: Path | None) -> dict[str, str]:
    """The command for each answer, bound to the attempt that was seen."""
    seen = f"--phase {one.checkpoint.phase} --attempt {one.checkpoint.attempt}"
    return {
        kind.value: o.run_command(f"decide {one.short} {kind} {seen} {_WORDS.get(kind, '--reason TEXT')}", data)
        for kind in one.checkpoint.answers
    }


def _tell(one: Waiting, data: Path | None, now: float, screen: Screen) -> None:
    view, checkpoint = one
    outcome = (checkpoint.outcome, f"bold {STYLES.get(checkpoint.outcome, '')}".strip())
    screen.line(Text.assemble((one.short, "bold"), "  ", outcome, f"  {checkpoint.name}  {cell(view.title)}"))
    for name, said in _details(one, now):
        screen.line(f"  {name:<10}  {said}")
    for command in commands(one, data).values():
        screen.line(f"    {command}")
    screen.line()


def _details(one: Waiting, now: float) -> Iterable[tuple[str, str]]:
    """What there is to know before deciding, name and value."""
    view, checkpoint = one
    yield "repository", cell(shlex.quote(view.repository), 1000)
    yield "waits", f"{span(now - one.since)}, since {moment(one.since)} UTC: {cell(checkpoint.reason, 500)}"
    if checkpoint.expires_at is not None:
        yield "expires", f"in {span(checkpoint.expires_at - now)}, at {moment(checkpoint.expires_at)} UTC"
    if checkpoint.commit is not None:
        yield "commit", checkpoint.commit
    for reason in one.reasons[:REASONS_SHOWN]:
        yield "gate", cell(reason, 500)
    if len(one.reasons) > REASONS_SHOWN:
        yield "gate", f"… {len(one.reasons) - REASONS_SHOWN} more"


def span(seconds: float) -> str:
    """An age in its largest whole unit; never negative, whatever two clocks say."""
    whole = max(int(seconds), 0)
    for unit, size in (("d", DAY_S), ("h", 3600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
