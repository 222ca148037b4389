"""`rung replay`: the projection made anew from the log alone."""

from pathlib import Path
from typing import Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.ending import ExitCode
from libs.cli.screen import Screen
from libs.cli.system import complete

EXAMPLE: Final = "Example: rung replay --json"
REPLAY_S: Final = 900.0


def replay(*, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Drop the projection, make it anew from the log, and say whether it equals the one that was there.

    Exit code: 0 equal, 1 not equal, 4 no system runs.
    """
    screen = Screen(is_json=as_json)
    done = complete(_replay(data))
    if screen.is_json:
        screen.answer(done)
    else:
        equal = "equals" if done["was_same"] else "does not equal"
        screen.line(
            f"{done['facts']} facts, {done['runs']} runs, {done['seconds']:.2f} s; {equal} the live projection."
        )
    raise typer.Exit(ExitCode.OK if done["was_same"] else ExitCode.FAILED)


async def _replay(data: Path | None) -> dict[str, Any]:
    async with connected(data) as connection:
        return dict(await connection.ask("replay", timeout_s=REPLAY_S))
