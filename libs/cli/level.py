"""`rung level`: where a workflow's level stands, and how a person moves it."""

import shlex
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.laddering import By, Reason, Repo, ask_once, ladder_of, needed, repo_option, repository_of
from libs.cli.readiness_text import in_force_sentence, levels_line, move_line
from libs.cli.screen import Screen, cell
from libs.cli.system import complete
from libs.contracts.facts import FreezeSet, LevelGranted, LevelLowered
from libs.contracts.readiness import Readiness
from libs.contracts.requests import LadderKind, one_line
from libs.contracts.words import Level

SHOW_EXAMPLE: Final = "Example: rung level --repo ~/shop"
GRANT_EXAMPLE: Final = 'Example: rung level grant supervised --reason "ten runs went well"'
LOWER_EXAMPLE: Final = 'Example: rung level lower assisted --reason "a new team takes over"'

app = typer.Typer(
    help="How much a workflow may do by itself: show, grant, lower.", invoke_without_command=True, rich_markup_mode=None
)

LevelName = Annotated[
    Level,
    typer.Argument(metavar="LEVEL", parser=o.parse_level, help="assisted, supervised, autonomous, ase, or L1 to L4."),
]


@app.callback(epilog=SHOW_EXAMPLE)
def level(context: typer.Context, *, repo: Repo = None, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Show the level of a workflow: configured, earned, granted, in force, and why it moved last."""
    if context.invoked_subcommand is None:
        _show(repo, data, Screen(is_json=as_json))


@app.command("show", epilog=SHOW_EXAMPLE)
def show(*, repo: Repo = None, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Show the level of a workflow: configured, earned, granted, in force, and why it moved last."""
    _show(repo, data, Screen(is_json=as_json))


@app.command("grant", epilog=GRANT_EXAMPLE)
def grant(
    to: LevelName, *, reason: Reason, repo: Repo = None, by: By = None, data: o.Data = None, as_json: o.AsJson = False
) -> None:
    """Grant the level that was earned, one rung above the one granted now.

    Exit code: 0 recorded, 2 wrong usage, 3 refused with a sentence (not earned, no rung is skipped), 4 no system runs.
    """
    _move(LadderKind.GRANT, to, needed(reason), repo=repo, by=by, data=data, screen=Screen(is_json=as_json))


@app.command("lower", epilog=LOWER_EXAMPLE)
def lower(
    to: LevelName, *, reason: Reason, repo: Repo = None, by: By = None, data: o.Data = None, as_json: o.AsJson = False
) -> None:
    """Take a level back, at once and by as many rungs as you like; it has to be earned anew.

    Exit code: 0 recorded, 2 wrong usage, 3 refused with a sentence, 4 no system runs.
    """
    _move(LadderKind.LOWER, to, needed(reason), repo=repo, by=by, data=data, screen=Screen(is_json=as_json))


def _move(
    kind: LadderKind, to: Level, reason: str, *, repo: str | None, by: str | None, data: Path | None, screen: Screen
) -> None:
    recorded = complete(ask_once(repo, kind, data, level=to, by=by or o.os_user(), reason=reason))
    fact = recorded.fact
    assert isinstance(fact, LevelGranted | LevelLowered), "that is what was asked for"
    with_proof = isinstance(fact, LevelGranted) and fact.with_proof
    if screen.is_json:
        return screen.answer(
            {
                "workflow": fact.workflow,
                "kind": kind,
                "level": fact.level,
                "by": fact.by,
                "reason": fact.reason,
                "with_proof": with_proof,
                "sequence": recorded.sequence,
            }
        )
    said = "Granted" if kind is LadderKind.GRANT else "Lowered to"
    screen.line(f"{said}: {fact.level}, by {one_line(fact.by)}.", "green")
    if kind is LadderKind.GRANT and to is Level.ASE and not with_proof:
        screen.line("It was granted without proof, and the log says so; what is missing: rung readiness.", "yellow")
    screen.progress(f"Look at it with: {o.run_command(f'level{repo_option(repo)}', data)}")
    return None


def _show(repo: str | None, data: Path | None, screen: Screen) -> None:
    found, freeze = complete(_standing(repository_of(repo), data))
    if screen.is_json:
        return screen.answer(_answer(found, freeze))
    screen.line(cell(found.repository, 1000), "bold")
    screen.line(f"  {levels_line(found)}")
    screen.line(f"  {in_force_sentence(found)}")
    if freeze is not None:
        screen.line(f"  Frozen by {cell(freeze.by)}: {cell(freeze.reason, 500)}. Nothing is merged.", "yellow")
    screen.line(f"  Last moved: {move_line(found.moves[-1])}" if found.moves else "  It has never moved.")
    command = o.run_command(f"readiness --repo {shlex.quote(found.repository)}", data)
    screen.progress(f"What it takes to climb: {command}")
    return None


async def _standing(repository: str, data: Path | None) -> tuple[Readiness, FreezeSet | None]:
    async with connected(data) as connection:
        found = Readiness.model_validate(await connection.ask("readiness", repository=repository))
        return found, (await ladder_of(connection, found.workflow)).freeze


def _answer(found: Readiness, freeze: FreezeSet | None) -> dict[str, Any]:
    return {
        "workflow": found.workflow,
        "repository": found.repository,
        "as_of": found.as_of,
        **found.level.model_dump(mode="json"),
        "why": in_force_sentence(found),
        "moved": found.moves[-1].model_dump(mode="json") if found.moves else None,
        "frozen": None if freeze is None else {"by": freeze.by, "reason": freeze.reason},
    }
