"""`rung history`: runs that were made elsewhere, kept with who vouches for them."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.ending import Ended, ExitCode, Misused
from libs.cli.laddering import By, Reason, Repo, ask, needed, repository_of
from libs.cli.person import own_key
from libs.cli.screen import Screen
from libs.cli.system import complete
from libs.contracts.facts import HistoryImported
from libs.contracts.requests import LadderKind, one_line, workflow_id
from libs.contracts.wire import Recorded
from libs.runtime.artifacts import LIMIT_BYTES

EXAMPLE: Final = 'Example: rung history import runs.csv --source "the old pipeline" --reason "for the record"'
NO_PROOF: Final = "It is kept as history and never counts as proof: no level is earned with it."

app = typer.Typer(help="Runs that were made elsewhere.", rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="What is told of them, in whatever form.")]
Source = Annotated[str, typer.Option("--source", metavar="NAME", help="Where they were made.")]


@app.callback()
def _group() -> None:
    """Runs that were made elsewhere."""


@app.command("import", epilog=EXAMPLE)
def import_history(
    file: File,
    *,
    source: Source,
    reason: Reason,
    repo: Repo = None,
    by: By = None,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Keep a file about runs that were made elsewhere, signed with your own key. It never counts as proof.

    Exit code: 0 recorded, 2 wrong usage, 3 refused with a sentence, 4 no system runs.
    """
    if not source.strip():
        raise Misused("--source is empty; say where these runs were made.")
    fields = {"source": source, "reason": needed(reason), "by": by or o.os_user()}
    content = _content(file)
    if own_key() is None:
        raise Ended(
            "Refused: who vouches for history from elsewhere signs it; rung person key NAME makes a key.",
            ExitCode.WAITING,
        )
    recorded = complete(_import(content, repository_of(repo), fields, data))
    _tell(recorded, file, Screen(is_json=as_json))


def _content(file: Path) -> bytes:
    """Raises:  Misused for a file that cannot be read, is empty or too large."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror or error}.") from error
    if not content:
        raise Misused(f"{file} is empty.")
    if len(content) > LIMIT_BYTES:
        raise Misused(f"{file} is over the limit of {LIMIT_BYTES} bytes.")
    return content


async def _import(content: bytes, repository: str, fields: dict[str, Any], data: Path | None) -> Recorded:
    async with connected(data) as connection:
        digest = await connection.artifacts.put(content)
        return await ask(connection, workflow_id(repository), LadderKind.IMPORT, digest=digest, **fields)


def _tell(recorded: Recorded, file: Path, screen: Screen) -> None:
    fact = recorded.fact
    assert isinstance(fact, HistoryImported), "that is what was asked for"
    if screen.is_json:
        return screen.answer(
            {
                "workflow": fact.workflow,
                "source": fact.source,
                "digest": fact.digest,
                "by": fact.by,
                "is_signed": fact.is_signed,
                "counts_as_proof": False,
                "sequence": recorded.sequence,
            }
        )
    screen.line(f"Recorded: {file} from {one_line(fact.source)}, vouched for by {one_line(fact.by)}.")
    screen.line(NO_PROOF)
    return None
