"""`rung readiness`: how far a workflow is from the next rung, from the running system or from an exported log."""

import os
import shlex
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.ending import Misused
from libs.cli.laddering import Repo, ladder_of, repository_of
from libs.cli.offline import asked_of_file
from libs.cli.readiness_tables import show_gates, show_kinds, show_labels, show_open, show_shadow
from libs.cli.readiness_text import (
    in_force_sentence,
    levels_line,
    show_moves,
    show_prose,
    show_rungs,
    show_trend,
)
from libs.cli.screen import Screen, cell
from libs.cli.system import complete
from libs.contracts.facts import FreezeSet
from libs.contracts.readiness import Readiness

EXAMPLE: Final = "Example: rung readiness --repo ~/shop"

From = Annotated[
    Path | None, typer.Option("--from", metavar="EXPORT", help="An exported log; no system is needed or touched.")
]
WorkflowId = Annotated[
    str | None,
    typer.Option("--workflow", metavar="ID", help="With --from: which of its workflows, or the beginning of its id."),
]


def readiness(
    *,
    repo: Repo = None,
    export: From = None,
    workflow: WorkflowId = None,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Show what of the next rung is earned, criterion by criterion, and what it rests on.

    All figures come from the log alone: the same log gives the same answer to the byte, on any machine.

    Exit code: 0 shown, 2 wrong usage or an export that cannot be read, 4 no system runs.
    """
    screen = Screen(is_json=as_json)
    if export is not None:
        named = None if repo is None else repository_of(repo)
        said, freeze = _exported(export, workflow, named, repo), None
    elif workflow is not None:
        raise Misused("--workflow goes with --from; of a running system name the repository with --repo.")
    else:
        said, freeze = complete(_live(repository_of(repo), data))
    if screen.is_json:
        return screen.answer(said)
    return tell(screen, Readiness.model_validate(said), freeze, data)


def _exported(export: Path, workflow: str | None, repository: str | None, named: str | None) -> Any:
    """What the log of an export says; a repository counts as it was named, or as this machine sees its path."""
    if workflow is not None and repository is not None:
        raise Misused("Name a workflow by --workflow or by --repo, not by both.")
    path = os.path.normpath(named) if named and Path(named).is_absolute() else None
    return asked_of_file("readiness", export, workflow=workflow, repository=repository, named=path)


async def _live(repository: str, data: Path | None) -> tuple[Any, FreezeSet | None]:
    async with connected(data) as connection:
        said = await connection.ask("readiness", repository=repository)
        return said, (await ladder_of(connection, said["workflow"])).freeze


def tell(screen: Screen, found: Readiness, freeze: FreezeSet | None, data: Path | None) -> None:
    """The whole answer for people."""
    screen.line(cell(found.repository, 1000), "bold")
    screen.line(f"  {levels_line(found)}")
    show_prose(screen, f"  {in_force_sentence(found)}")
    if freeze is not None:
        screen.line(f"  Frozen by {cell(freeze.by)}: {cell(freeze.reason, 500)}. Nothing is merged.", "yellow")
    if not found.as_of:
        return _tell_beginning(screen, found, data)
    show_trend(screen, found)
    show_rungs(screen, found, data)
    show_labels(screen, found)
    show_gates(screen, found)
    show_kinds(screen, found)
    show_shadow(screen, found)
    show_open(screen, found, data)
    show_moves(screen, found)
    screen.progress(f"As of fact {found.as_of} of the log. What each line means: docs/readiness.md.")
    return None


def _tell_beginning(screen: Screen, found: Readiness, data: Path | None) -> None:
    """No run began yet: what to do next."""
    first = found.rungs[0]
    runs = next((int(one.limit) for one in first.criteria if one.name == "successful_runs"), 0)
    screen.line()
    screen.line(f"No run of this workflow has begun yet; {first.to} takes {runs} that succeed. Begin with:")
    where = f"--repo {shlex.quote(found.repository)}" if found.repository else "--repo PATH"
    screen.line(f"  {o.run_command(f'run {where} --title TEXT', data)}")
