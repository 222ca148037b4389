"""`rung replay`: the projection made anew from the log alone, or from an export of it."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.ending import ExitCode
from libs.cli.offline import asked_of_file
from libs.cli.screen import Screen
from libs.cli.system import complete

EXAMPLE: Final = "Example: rung replay --json"
REPLAY_S: Final = 900.0

From = Annotated[
    Path | None, typer.Option("--from", metavar="EXPORT", help="An exported log; no system is needed or touched.")
]


def replay(*, export: From = None, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Drop the projection, make it anew from the log, and say whether it equals the one that was there.

    From an export it is made elsewhere; the digest is that of the live one exactly when both are the same.
    Exit code: 0 equal, or made from an export; 1 not equal, 4 no system runs.
    """
    screen = Screen(is_json=as_json)
    done = complete(_replay(data)) if export is None else asked_of_file("replay", export)
    if screen.is_json:
        screen.answer(done)
    else:
        _tell(screen, done)
    raise typer.Exit(ExitCode.OK if done.get("was_same", True) else ExitCode.FAILED)


def _tell(screen: Screen, done: dict[str, Any]) -> None:
    equal = f"; {'equals' if done['was_same'] else 'does not equal'} the live projection" if "was_same" in done else ""
    screen.line(f"{done['facts']} facts, {done['runs']} runs, {done['seconds']:.2f} s{equal}.")
    if done.get("unread"):
        screen.line(f"{done['unread']} messages cannot be read by this build.", "red")
    screen.line(f"Digest of the projection: {done['digest']}")


async def _replay(data: Path | None) -> dict[str, Any]:
    async with connected(data) as connection:
        return dict(await connection.ask("replay", timeout_s=REPLAY_S))
