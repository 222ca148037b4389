"""`rung inbox`: what waits for a human, with all that is needed to decide it.

Order: what has waited since an earlier day comes first; within a day what is riskiest, then what
has waited longest. What several persons have to agree on is riskiest; then it is the verdict's (not
passed, then passed with a warning, then passed), and among equals the last checkpoint before a merge.
Shown is what the person may decide, by the operator's file as it is on this machine. Behind it come
the runs that were drawn by chance for a check of their gates; nothing waits for those.
"""

import os
import shlex
import time
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.text import Text

from libs.cli import options as o
from libs.cli.checks import checks_asked, show_checks
from libs.cli.connection import connected
from libs.cli.ending import Misused
from libs.cli.person import own_key
from libs.cli.screen import STYLES, Screen, cell, moment
from libs.cli.system import complete
from libs.contracts.people import People, Role
from libs.contracts.views import CheckpointView, RunView
from libs.contracts.words import DecisionKind, Outcome, Phase
from libs.runtime.settings import SettingUnusable, read_operator_file

EXAMPLE: Final = "Example: rung inbox --json"
SHOWN_MAX: Final = 100
"""Runs in one answer; those that wait longest are never among the ones left out."""
REASONS_SHOWN: Final = 5
DAY_S: Final = 86_400
SOON_S: Final = 3600
"""What expires within this time is marked."""
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
    def needs_several(self) -> bool:
        """Whether more than one person has to agree."""
        return self.checkpoint.awaits > 0 or bool(self.checkpoint.agreed)

    def expires_soon(self, now: float) -> bool:
        return self.checkpoint.expires_at is not None and self.checkpoint.expires_at - now < SOON_S

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the gate says what it says."""
        return next((seen.reasons for seen in self.view.phases if seen.phase is self.checkpoint.phase), ())


class Viewer(NamedTuple):
    """Whose inbox it is: a person of the operator's file, `None` for somebody who is not in it."""

    name: str | None
    people: People

    def hindrance(self, one: Waiting) -> str | None:
        """Why this is not theirs to decide; `None` when it is."""
        if (reason := self.distance(one.view)) is not None:
            return reason
        has_agreed = one.checkpoint.awaits and self.name in one.checkpoint.agreed
        return f"{self.name} has agreed already" if has_agreed else None

    def distance(self, view: RunView) -> str | None:
        """Why nothing about this run is theirs to say; `None` when something is."""
        if not self.people.people:
            return None
        if self.name is None:
            return "the operator's file does not name you"
        if self.people.people[self.name].role is Role.VIEWER:
            return f"{self.name} may look, not decide"
        if self.people.is_own(self.name, view.opened_by, view.author):
            return f"{self.name} opened or wrote this issue"
        return None


As = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Whose inbox, by the operator's file; by default the one you are."),
]
All = Annotated[bool, typer.Option("--all", help="Also what is not yours to decide.")]


def inbox(*, name: As = None, everything: All = False, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """List what waits for a human: earlier days first, the riskiest first within a day, checks by chance last."""
    complete(_inbox(viewer(name), data, Screen(is_json=as_json), everything=everything))


def viewer(name: str | None) -> Viewer:
    """The person of this name, else the one that the own key or the system's user belongs to."""
    try:
        people = read_operator_file(os.environ)
    except SettingUnusable as unusable:
        raise Misused(f"The operator's file cannot be used: {unusable}") from unusable
    if name is None:
        return Viewer(people.holder(own_key() or "") or people.named(o.os_user()), people)
    if people.people and people.called(name) is None:
        near = get_close_matches(name, list(people.people), n=1)
        raise Misused(f"The operator's file names nobody {name!r}" + (f"; did you mean {near[0]}?" if near else "."))
    return Viewer(people.called(name), people)


async def _inbox(viewer: Viewer, data: Path | None, screen: Screen, *, everything: bool) -> None:
    async with connected(data) as connection:
        found = await connection.views(SHOWN_MAX + 1, outcome="waiting", oldest_first=True)
        checks, check_count = await checks_asked(connection)
    waiting = in_order(found[:SHOWN_MAX])
    shown = [one for one in waiting if everything or viewer.hindrance(one) is None]
    theirs = [check for check in checks if everything or viewer.distance(check.view) is None]
    now = time.time()
    if screen.is_json:
        screen.answer([*(_entry(one, viewer, data, now) for one in shown), *(check.as_json(data) for check in theirs)])
    else:
        _list(shown, viewer, data, now, screen)
        show_checks(screen, theirs, check_count - len(checks), data)
    _tell_rest(len(waiting) - len(shown), len(found), viewer, screen)


def _tell_rest(hidden: int, found: int, viewer: Viewer, screen: Screen) -> None:
    if hidden:
        who = viewer.name or f"the user {o.os_user()}, whom the operator's file does not name"
        wait = "1 more waits" if hidden == 1 else f"{hidden} more wait"
        screen.progress(f"{wait}, but not for {cell(who)}; rung inbox --all shows all.")
    if found > SHOWN_MAX:
        screen.progress(f"These are the {SHOWN_MAX} that wait longest; there are more behind them.", "yellow")


def _list(shown: list[Waiting], viewer: Viewer, data: Path | None, now: float, screen: Screen) -> None:
    for one in shown:
        _tell(one, viewer, data, now, screen)
    if not shown:
        somebody = "you" if viewer.people.people else "a human"
        screen.progress(f"Nothing waits for {cell(viewer.name or somebody)}.")


def in_order(views: Iterable[RunView]) -> list[Waiting]:
    """The runs that a human can move, in the order in which to look at them."""
    waiting = [Waiting(view, view.checkpoint) for view in views if view.checkpoint is not None]
    return sorted(waiting, key=_urgency)


def _urgency(one: Waiting) -> tuple[int, bool, int, bool, float, str]:
    day, safety = int(one.since // DAY_S), _safety(one.checkpoint.outcome)
    return day, not one.needs_several, safety, not one.is_merge, one.since, one.view.run


def _safety(outcome: str) -> int:
    """0 for a verdict that is not passed, also for a word that is not known here."""
    return {Outcome.WARN: 1, Outcome.PASS: 2}.get(Outcome(outcome), 0) if outcome in tuple(Outcome) else 0


def _entry(one: Waiting, viewer: Viewer, data: Path | None, now: float) -> dict[str, Any]:
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
        "expires_soon": one.expires_soon(now),
        "is_reminded": checkpoint.is_reminded,
        "awaits": checkpoint.awaits,
        "agreed": list(checkpoint.agreed),
        "hindrance": viewer.hindrance(one),
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


def _tell(one: Waiting, viewer: Viewer, data: Path | None, now: float, screen: Screen) -> None:
    view, checkpoint = one
    outcome = (checkpoint.outcome, f"bold {STYLES.get(checkpoint.outcome, '')}".strip())
    screen.line(Text.assemble((one.short, "bold"), "  ", outcome, f"  {checkpoint.name}  {cell(view.title)}"))
    for name, said in _details(one, now):
        screen.line(f"  {name:<10}  {said}")
    if hindrance := viewer.hindrance(one):
        screen.line(f"  {'not yours':<10}  {cell(hindrance)}")
    else:
        for command in commands(one, data).values():
            screen.line(f"    {command}")
    screen.line()


def _details(one: Waiting, now: float) -> Iterable[tuple[str, str]]:
    """What there is to know before deciding, name and value."""
    view, checkpoint = one
    yield "repository", cell(shlex.quote(view.repository), 1000)
    yield "waits", f"{span(now - one.since)}, since {moment(one.since)} UTC: {cell(checkpoint.reason, 500)}"
    if checkpoint.expires_at is not None:
        marks = (("soon", one.expires_soon(now)), ("reminded", checkpoint.is_reminded))
        said = f"in {span(checkpoint.expires_at - now)}, at {moment(checkpoint.expires_at)} UTC"
        yield "expires", "; ".join((said, *(mark for mark, holds in marks if holds)))
    if one.needs_several:
        agreed = ", ".join(cell(name) for name in checkpoint.agreed) or "nobody yet"
        yield "quorum", f"{checkpoint.awaits} to agree still; agreed: {agreed}"
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
