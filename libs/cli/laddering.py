"""Asks for things about a workflow's ladder (levels, freezes, labels, …), and waits for what became of the request."""

import asyncio
import os
import shlex
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from libs.cli.connection import Connection, connected
from libs.cli.ending import Ended, ExitCode, Misused, Unreachable
from libs.cli.options import os_user
from libs.cli.person import signed
from libs.cli.requesting import ANSWERED_S, LOOK_S, SOURCE
from libs.contracts.ladder import Ladder, fold
from libs.contracts.requests import LadderKind, LadderRequest, explain, one_line, workflow_id
from libs.contracts.subjects import INTAKE_LADDER, ladder_filter
from libs.contracts.wire import Recorded, encode_request
from libs.contracts.words import Service

Repo = Annotated[
    str | None,
    typer.Option("--repo", metavar="PATH", help="The repository; by default the one of the current directory."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the log for good.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who asks; by default the system's user.")]


async def ask(
    connection: Connection, workflow: str, kind: LadderKind, *, by: str, reason: str = "", **fields: Any
) -> Recorded:
    """Publish a request, signed if the person has a key of their own, and wait for the fact that answers it.

    Raises:  Misused with a sentence that names each field that is wrong; Ended when the gatekeeper refused it;
             Unreachable when no answer came in time, though the request is stored and will be answered.
    """
    request = signed(_request(workflow=workflow, kind=kind, by=by, reason=reason, **fields))
    mark = await connection.last_aside(Service.GATEKEEPER)
    head = (await connection.log.read(ladder_filter(workflow))).head
    headers, data = encode_request(request, request_id=request.request, source=SOURCE)
    await connection.publish(f"{INTAKE_LADDER}.{workflow}", headers, data)
    try:
        async with asyncio.timeout(ANSWERED_S):
            return await _answer(connection, request, mark, head)
    except TimeoutError:
        late = f"The request is stored, but was not answered within {ANSWERED_S:g} s; see rung doctor."
        raise Unreachable(late) from None


async def ask_once(repo: str | None, kind: LadderKind, data: Path | None, **fields: Any) -> Recorded:
    """Ask for something about the ladder of a repository's workflow."""
    async with connected(data) as connection:
        return await ask(connection, workflow_id(repository_of(repo)), kind, **fields)


async def ladder_of(connection: Connection, workflow: str) -> Ladder:
    """The ladder as the log has it now."""
    history = await connection.log.read(ladder_filter(workflow))
    return fold(history.facts, is_unread=bool(history.unread))


def repository_of(repo: str | None) -> str:
    """The path that names a repository; without one, that of the repository around the current directory.

    Raises:  Misused for an empty path.
    """
    if repo is None:
        return repository_around(Path.cwd())
    if not repo.strip():
        raise Misused("--repo names no repository.")
    return os.path.realpath(Path(repo).expanduser())


def repo_option(repo: str | None) -> str:
    """The option as it was given, for a command that somebody is to type next."""
    return "" if repo is None else f" --repo {shlex.quote(repo)}"


def repository_around(place: Path) -> str:
    """The path that names the repository which a directory lies in; the directory's own where it lies in none."""
    roots = (directory for directory in (place, *place.parents) if (directory / ".git").exists())
    return os.path.realpath(next(roots, place))


def needed(reason: str) -> str:
    """The reason, which has to say something.

    Raises:  Misused.
    """
    if not reason.strip():
        raise Misused("--reason is empty; say why, since it stands in the log for good.")
    return reason


def _request(**fields: Any) -> LadderRequest:
    try:
        return LadderRequest(request=uuid.uuid4().hex, os_user=os_user(), **fields)
    except ValidationError as error:
        raise Misused(f"The request cannot be sent: {explain(error, LadderRequest)}.") from error


async def _answer(connection: Connection, request: LadderRequest, mark: int, head: int) -> Recorded:
    while True:
        for recorded in (await connection.log.read(ladder_filter(request.workflow), after=head)).facts:
            if recorded.cause == request.request:
                return recorded
        if aside := await connection.set_aside(Service.GATEKEEPER, request.request, mark):
            told = {"request": request.request, "workflow": request.workflow, "is_recorded": False}
            raise Ended(f"Refused: {one_line(aside.reason, 1000).rstrip('.')}.", ExitCode.WAITING, told)
        await asyncio.sleep(LOOK_S)
