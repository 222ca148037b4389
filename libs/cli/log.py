"""`rung log`: the facts of a run in order, each with its cause, so that one can read why each step happened."""

from pathlib import Path
from typing import Any, Final

from libs.cli import options as o
from libs.cli.connection import Connection, connected
from libs.cli.screen import Screen, cell, moment, table
from libs.cli.system import complete
from libs.cli.telling import place, said
from libs.contracts.facts import IssueFact
from libs.contracts.history import History
from libs.contracts.requests import run_id
from libs.contracts.subjects import run_filter
from libs.contracts.wire import Recorded

EXAMPLE: Final = "Example: rung log 1f2e3d4c"
SHORT: Final = 8


def log(run: o.RunName, *, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Print the facts of a run in order: time, type, place, what it says, its id and its cause's.

    The cause of a fact is the id of an earlier one, or of the request that began it all.
    """
    complete(_log(run, data, Screen(is_json=as_json)))


async def _log(prefix: str, data: Path | None, screen: Screen) -> None:
    async with connected(data) as connection:
        history = await _history(connection, prefix)
    if screen.is_json:
        return screen.answer(_all_fields(history))
    made = table("seq", "time (UTC)", "fact", "place", "id", "cause", "says")
    for recorded in history.facts:
        kind = recorded.fact.type
        where = cell(place(recorded), 24)
        ids = (recorded.id[:SHORT], recorded.cause[:SHORT])
        made.add_row(str(recorded.sequence), moment(recorded.time), kind, where, *map(cell, ids), said(recorded.fact))
    screen.out.print(made)
    for unread in history.unread:
        screen.progress(f"{unread.sequence} {cell(unread.subject)} cannot be read: {cell(str(unread.reason))}", "red")
    return None


async def _history(connection: Connection, prefix: str) -> History:
    """The facts of the run and those of the issue revision that began it."""
    view = await connection.view(prefix)
    history = await connection.log.read(f"issue.{view.issue}.>", run_filter(view.run))
    return History(tuple(r for r in history.facts if _is_of(r, view.run)), history.unread)


def _is_of(recorded: Recorded, run: str) -> bool:
    fact = recorded.fact
    return not isinstance(fact, IssueFact) or run_id(fact.issue, fact.revision) == run


def _all_fields(history: History) -> list[dict[str, Any]]:
    unread = [{"sequence": u.sequence, "subject": u.subject, "unread": str(u.reason)} for u in history.unread]
    return sorted([*map(as_fields, history.facts), *unread], key=lambda entry: int(entry["sequence"]))


def as_fields(recorded: Recorded) -> dict[str, Any]:
    fact = recorded.fact
    return {
        "sequence": recorded.sequence,
        "time": recorded.time,
        "type": fact.type,
        "place": [str(getattr(fact, name)) for name in fact.place],
        "says": said(fact),
        "id": recorded.id,
        "cause": recorded.cause,
        "producer": recorded.producer,
        "subject": fact.subject,
        "version": fact.version,
        "data": fact.model_dump(mode="json"),
    }
