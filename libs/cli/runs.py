"""`rung runs`: which runs there are, where one stands, and how it goes on."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from libs.cli import bundle
from libs.cli import options as o
from libs.cli.answers import Nobody
from libs.cli.connection import Connection, connected
from libs.cli.ending import ExitCode
from libs.cli.handover import HandOver
from libs.cli.narrator import Narrator
from libs.cli.pursuit import Pursuit, Result
from libs.cli.screen import Screen, cell, diff, moment, show, styled, table
from libs.cli.stories import DIFF, PLAN, artifact, next_commands, show_next, show_story
from libs.cli.system import complete
from libs.contracts.views import RunView

LIST_EXAMPLE: Final = "Example: rung runs --repo ~/shop --limit 5"
SHOW_EXAMPLE: Final = "Example: rung runs show 1f2e3d4c --diff"
WATCH_EXAMPLE: Final = "Example: rung runs watch 1f2e3d4c"

app = typer.Typer(help="The runs: list, show, watch, hand over.", invoke_without_command=True, rich_markup_mode=None)

RepoFilter = Annotated[str | None, typer.Option("--repo", metavar="PATH", help="Only runs of this repository.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="At most so many.")]
ShowDiff = Annotated[bool, typer.Option("--diff", help="Show the change as well.")]
ShowPlan = Annotated[bool, typer.Option("--plan", help="Show the plan as well.")]


@app.callback(epilog=LIST_EXAMPLE)
def list_runs(
    context: typer.Context,
    *,
    repo: RepoFilter = None,
    limit: Limit = 20,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """List the runs, newest first; show or watch one."""
    if context.invoked_subcommand is None:
        repository = os.path.realpath(Path(repo).expanduser()) if repo is not None else None
        complete(_list(repository, limit, data, Screen(is_json=as_json)))


@app.command("show", epilog=SHOW_EXAMPLE)
def show_run(
    run: o.RunName,
    *,
    with_diff: ShowDiff = False,
    with_plan: ShowPlan = False,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Tell where a run stands, why, who may move it, and what would."""
    names = {**({"plan": PLAN} if with_plan else {}), **({"diff": DIFF} if with_diff else {})}
    complete(_show(run, names, data, Screen(is_json=as_json)))


@app.command("watch", epilog=WATCH_EXAMPLE)
def watch_run(run: o.RunName, *, data: o.Data = None, timeout: o.Timeout = None, as_json: o.AsJson = False) -> None:
    """Follow a run until it ends, without deciding anything.

    Exit code: 0 merged, 1 declined or aborted, 3 still waiting or at work when the time was over.
    """
    raise typer.Exit(complete(_watch(run, data, timeout, Screen(is_json=as_json))))


app.command("bundle", epilog=bundle.EXAMPLE)(bundle.bundle_run)


async def _list(repository: str | None, limit: int, data: Path | None, screen: Screen) -> None:
    async with connected(data) as connection:
        found = await connection.views(limit, repository=repository)
    if screen.is_json:
        return screen.answer([view.model_dump(mode="json") for view in found])
    if not found:
        screen.progress("No runs yet." if repository is None else f"No runs of {repository} yet.")
        return None
    made = table("run", "outcome", "at", "level", "began (UTC)", "repository", "title")
    for view in found:
        at = view.phases[-1].phase if view.phases else view.stage
        level = view.level_in_force or view.level
        repository_name = cell(Path(view.repository).name, 30)
        made.add_row(
            view.run[:8], styled(view.outcome), at, level, moment(view.started_at), repository_name, cell(view.title)
        )
    screen.out.print(made)
    return None


async def _show(run: str, names: dict[str, str], data: Path | None, screen: Screen) -> None:
    async with connected(data) as connection:
        view = await connection.view(run)
        found = {key: await artifact(view, connection, name) for key, name in names.items()}
    if screen.is_json:
        texts = {key: text.decode(errors="replace") if text is not None else None for key, text in found.items()}
        return screen.answer({**view.model_dump(mode="json"), **texts})
    _tell(view, screen)
    for key, text in found.items():
        screen.line()
        if text is None:
            screen.progress(f"The run has no {key}.", "yellow")
        elif key == "diff":
            diff(screen.out, text)
        else:
            show(screen.out, text.decode(errors="replace"))
    show_next(screen, next_commands(Result(view.run, view.outcome, view.reason, view), data))
    return None


def _tell(view: RunView, screen: Screen) -> None:
    screen.line(f"run {view.run}", "bold")
    screen.line(
        f"  {cell(view.repository, 1000)} → {cell(view.target)}, level {view.level}, agent {cell(view.agent, 300)}"
    )
    show_story(screen, view)


async def _watch(run: str, data: Path | None, timeout_s: float | None, screen: Screen) -> ExitCode:
    async with connected(data) as connection:
        view = await connection.view(run)
        hand_over = HandOver(data, screen)
        with Narrator(screen) as narrator:
            pursuit = Pursuit(view.run, narrator, Nobody(), stays=True, hand_over=hand_over)
            result = await _followed(connection, pursuit, timeout_s)
    if screen.is_json:
        screen.answer({**result.as_json(), "bundle": str(hand_over.path) if hand_over.path else None})
    else:
        screen.line(f"{result.outcome}: {cell(result.reason, 1000)}")
    return result.code


async def _followed(connection: Connection, pursuit: Pursuit, timeout_s: float | None) -> Result:
    try:
        async with asyncio.timeout(timeout_s):
            return await pursuit.follow(connection)
    except TimeoutError:
        return pursuit.given_up(timeout_s or 0)
