"""`rung issue`: asks a running system for a run, and returns at once."""

import asyncio
from typing import Final

import typer

from libs.cli import options as o
from libs.cli.connection import Aside, Connection, connected
from libs.cli.ending import Ended, ExitCode
from libs.cli.requesting import LOOK_S, Errand, errand
from libs.cli.screen import Screen
from libs.cli.system import complete

EXAMPLE: Final = 'Example: rung issue open --repo ~/shop --title "Ten pieces get no discount" --key SHOP-4711'
TAKEN_S: Final = 5.0

app = typer.Typer(help="Ask for runs on issues.", rich_markup_mode=None)


def open_issue(
    *,
    repo: o.Repo,
    title: o.Title,
    body_file: o.BodyFile = None,
    issue_type: o.IssueType = "bug",
    level: o.LevelOption = None,
    agent: o.Agent = None,
    branch: o.Branch = None,
    key: o.Key = None,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Open an issue on a running system and print the ids of the issue and of its run.

    Exit code: 0 stored, 1 set aside as unreadable, 2 wrong usage, 4 no system runs.
    """
    work = errand(
        repository=repo,
        key=key,
        title=title,
        body=o.read_body(body_file),
        type=issue_type,
        level=level,
        agent=agent,
        branch=branch,
    )
    complete(_open(work, data, Screen(is_json=as_json)))


async def _open(work: Errand, data: o.Data, screen: Screen) -> None:
    async with connected(data) as connection:
        aside, is_taken = await _outcome(work, connection)
    names = {"issue": work.issue, "run": work.run, "key": work.request.key}
    if aside is not None:
        raise Ended(f"The issue was set aside: {aside.reason}.", ExitCode.FAILED, names)
    if screen.is_json:
        return screen.answer({**names, "is_taken": is_taken})
    screen.line(f"issue {work.issue}")
    screen.line(f"run   {work.run}")
    if not is_taken:
        screen.progress("The request is stored; no planner has taken it up yet.", "yellow")
    screen.progress(f"Follow it with: {o.run_command(f'runs watch {work.run[:8]}', data)}")
    return None


async def _outcome(work: Errand, connection: Connection) -> tuple[Aside | None, bool]:
    """How the request was set aside, if it was, and whether it became an issue in the log."""
    mark = await work.send(connection)
    try:
        async with asyncio.timeout(TAKEN_S):
            while True:
                if await work.is_taken(connection):
                    return None, True
                if (aside := await work.refusal(connection, mark)) is not None:
                    return aside, False
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return None, False


app.command("open", epilog=EXAMPLE)(open_issue)


@app.callback()
def _group() -> None:
    """Ask for runs on issues."""
