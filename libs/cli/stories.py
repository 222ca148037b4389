"""A run told to people: where it stands and why, its phases, decisions, change, and what to do next."""

import shlex
from pathlib import Path
from typing import Final

from rich.text import Text

from libs.cli.connection import Connection
from libs.cli.options import run_command
from libs.cli.pursuit import Result
from libs.cli.screen import STYLES, Screen, cell, diff, duration, styled, table
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing
from libs.runtime.log import LogUnavailable

DIFF: Final = "diff.patch"
PLAN: Final = "plan.md"
DIFF_LINES: Final = 200


async def show_end(screen: Screen, result: Result, connection: Connection | None, data: Path | None) -> None:
    """The last block of `rung run`."""
    view, is_own = result.view, connection is not None and connection.is_own
    if view is not None and result.outcome == "merged" and connection is not None:
        screen.line()
        await show_diff(screen, view, connection, DIFF_LINES)
    if view is not None:
        show_story(screen, view)
    screen.line()
    head = Text.assemble(
        (result.outcome, f"bold {STYLES.get(result.outcome, '')}".strip()), f": {cell(result.reason, 1000)}"
    )
    screen.line(head)
    first = {run_command("up", data): "first, for the system ends with this command"} if is_own else {}
    commands = next_commands(result, data)
    show_next(screen, {**(first if commands else {}), **commands})


def show_story(screen: Screen, view: RunView) -> None:
    screen.line()
    for sentence in view.sentences:
        screen.line(cell(sentence, 1000))
    if view.phases:
        screen.line()
        show_phases(screen, view)
    for decision in view.decisions:
        screen.line(f"  {cell(decision, 500)}")


def show_phases(screen: Screen, view: RunView) -> None:
    made = table("phase", "attempts", "outcome", "then", "took", "what")
    for phase in view.phases:
        what = "; ".join(phase.reasons) if phase.outcome not in ("pass", None) else phase.summary
        took = duration(max(phase.ended_at - phase.started_at, 0)) if phase.ended_at else ""
        made.add_row(
            phase.phase, str(phase.attempts), styled(phase.outcome), phase.disposition or "", took, cell(what, 120)
        )
    screen.out.print(made)


async def show_diff(screen: Screen, view: RunView, connection: Connection, line_limit: int | None = None) -> None:
    if (patch := await artifact(view, connection, DIFF)) is not None:
        diff(screen.out, patch, line_limit)


async def artifact(view: RunView, connection: Connection, name: str) -> bytes | None:
    """An artifact of the run; `None` where there is none, or none that can be read any more."""
    if name not in view.artifacts:
        return None
    try:
        return await connection.artifacts.get(view.artifacts[name])
    except (ArtifactMissing, ArtifactDamaged, LogUnavailable):
        return None


def next_commands(result: Result, data: Path | None) -> dict[str, str]:
    """What a person may want to do now: command and meaning."""
    run, view = result.run[:8], result.view
    told = {run_command(f"log {run}", data): "why each step happened"} if view else {}
    if view is None:
        return told
    if result.outcome == "waiting" and view.checkpoint is not None:
        kinds = {f"decide {run} {kind} {_words_for(kind)}": f"answer: {kind}" for kind in view.checkpoint.answers}
        return {**{run_command(command, data): meaning for command, meaning in kinds.items()}, **told}
    if result.outcome == "merged" and view.merged_tip:
        repository = shlex.quote(view.repository)
        return {f"git -C {repository} show {view.merged_tip[:12]}": "the merged commit", **told}
    if view.stage == "aborted":
        command = run_command(f"decide {run} guide --guidance TEXT", data)
        return {command: "go on from where it stopped, with advice", **told}
    return told


def _words_for(kind: DecisionKind) -> str:
    return "--guidance TEXT" if kind is DecisionKind.GUIDE else "--reason TEXT"


def show_next(screen: Screen, commands: dict[str, str]) -> None:
    if not commands:
        return
    screen.line()
    width = max(map(len, commands))
    for command, meaning in commands.items():
        screen.line(f"  {command:<{width}}  {meaning}")
