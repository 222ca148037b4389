"""`rung audit`: the log taken out, held against itself and against earlier checkpoints, and told run by run."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import chronicle
from libs.cli import options as o
from libs.cli.connection import Connection, connected
from libs.cli.ending import ExitCode, Misused
from libs.cli.exporting import WRITERS, Writer, written
from libs.cli.offline import asked_of_entries, asked_of_file
from libs.cli.screen import Screen, cell, moment
from libs.cli.system import complete
from libs.cli.whole_log import exported, head_of, stored
from libs.contracts.export import Entry
from libs.contracts.hashtree import Seal
from libs.contracts.history import Unread
from libs.contracts.subjects import ladder_filter, run_filter
from libs.contracts.wire import Recorded
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing

EXPORT_EXAMPLE: Final = "Example: rung audit export --format jsonl --output log.jsonl"
VERIFY_EXAMPLE: Final = "Example: rung audit verify --from log.jsonl --checkpoint checkpoint.json"
CHECKPOINT_EXAMPLE: Final = "Example: rung audit checkpoint --output checkpoint.json"
SHOW_EXAMPLE: Final = "Example: rung audit show --run 1f2e3d4c"
AT_ONCE: Final = 8
CANDIDATES_SHOWN: Final = 5
TOLD_FROM: Final = 20_000
"""From so many messages on it is told how far the reading is."""

app = typer.Typer(help="The log: taken out, verified, told.", rich_markup_mode=None)


def _format(word: str) -> str:
    return o.parse_word(word, WRITERS, "format")


Format = Annotated[
    str,
    typer.Option("--format", metavar="FORMAT", parser=_format, help="jsonl, complete, or cdevents, for other tools."),
]
Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Where to; by default standard output.")]
From = Annotated[Path | None, typer.Option("--from", metavar="EXPORT", help="An exported log instead of a system.")]
Before = Annotated[Path | None, typer.Option("--checkpoint", metavar="FILE", help="An earlier checkpoint of this log.")]
WithArtifacts = Annotated[
    bool, typer.Option("--artifacts", help="With --from: look for the artifacts in the running system as well.")
]
RunOption = Annotated[str, typer.Option("--run", metavar="RUN", help="A run's id, or the beginning of it.")]


@app.callback()
def _group() -> None:
    """The log: taken out, verified, told."""


async def _live(connection: Connection, screen: Screen, head: int | None = None) -> AsyncIterator[Entry]:
    """Every message up to the head; of a long log it is told how far the reading is."""
    upto = await head_of(connection) if head is None else head
    tell = screen.progress if upto >= TOLD_FROM else _nothing
    async for entry in stored(connection, upto, tell):
        yield entry


def _nothing(_: str) -> None:
    """A short log is read before anybody wonders."""


# -- export -------------------------------------------------------------------


@app.command("export", epilog=EXPORT_EXAMPLE)
def export(*, form: Format = "jsonl", output: Output = None, data: o.Data = None) -> None:
    """Write every message of the log, one a line, in the order of the log.

    jsonl is complete: it can be replayed and verified anywhere. cdevents holds what that vocabulary has words for.
    """
    screen, writer = Screen(), WRITERS[form]()
    count = complete(_export(data, output, writer, screen))
    screen.progress(f"{count} messages written.")
    if writer.left_out:
        screen.progress(f"{writer.left_out} facts have no counterpart in CDEvents and are left out.")
    if writer.unread:
        screen.progress(f"{writer.unread} messages cannot be read and are left out; rung audit verify names them.")


async def _export(data: Path | None, output: Path | None, writer: Writer, screen: Screen) -> int:
    count = 0
    async with connected(data) as connection:
        with written(output) as file:
            async for entry in _live(connection, screen):
                if (line := writer.line(entry)) is not None:
                    file.write(f"{line}\n")
                    count += 1
    return count


# -- verify -------------------------------------------------------------------


@app.command("verify", epilog=VERIFY_EXAMPLE)
def verify(
    *,
    export: From = None,
    checkpoint: Before = None,
    artifacts: WithArtifacts = False,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Read the whole log and say all that is wrong with it: gaps, forged facts, steps that cannot have happened.

    An earlier checkpoint shows in addition what was cut off or changed since. Of a running system the artifacts are
    read as well. Exit code: 0 nothing is wrong, 1 findings, 2 wrong usage, 4 no system runs.
    """
    screen = Screen(is_json=as_json)
    if export is not None:
        done = asked_of_file("verify", export, checkpoint=checkpoint)
        checked = complete(_with_artifacts(data, done["digests"])) if artifacts else None
    else:
        done, checked = complete(_verify(data, checkpoint, screen))
    report = _report(done, checked)
    if screen.is_json:
        screen.answer(report)
    else:
        _tell(screen, report)
    raise typer.Exit(ExitCode.FAILED if report["findings"] else ExitCode.OK)


Checked = dict[str, str | None]
"""By digest: the code of what is wrong with an artifact, `None` for nothing."""


async def _verify(data: Path | None, checkpoint: Path | None, screen: Screen) -> tuple[Any, Checked]:
    async with connected(data) as connection:
        head = await head_of(connection)
        entries = _live(connection, screen, head)
        done = await asked_of_entries("verify", entries, head=head, checkpoint=checkpoint)
        return done, await _checked(connection, done["digests"])


async def _with_artifacts(data: Path | None, digests: Iterable[str]) -> Checked:
    async with connected(data) as connection:
        return await _checked(connection, digests)


async def _checked(connection: Connection, digests: Iterable[str]) -> Checked:
    turns = asyncio.Semaphore(AT_ONCE)

    async def check(digest: str) -> str | None:
        async with turns:
            try:
                await connection.artifacts.get(digest)
            except ArtifactMissing:
                return "artifact.missing"
            except ArtifactDamaged:
                return "artifact.damaged"
            return None

    names = sorted(digests)
    return dict(zip(names, await asyncio.gather(*map(check, names)), strict=True))


def _report(done: Mapping[str, Any], checked: Checked | None) -> dict[str, Any]:
    """What the log and its artifacts came to, as JSON values."""
    found = {
        code: [
            _of_artifact(code, digest, *done["digests"][digest])
            for digest, said in (checked or {}).items()
            if said == code
        ]
        for code in ("artifact.damaged", "artifact.missing")
    }
    return {
        "messages": done["messages"],
        "findings": [*done["findings"], *found["artifact.damaged"]],
        "notes": [*done["notes"], *found["artifact.missing"]],
        "artifacts": None if checked is None else len(checked),
        "root": done["root"],
        "grown": done["grown"],
    }


def _of_artifact(code: str, digest: str, sequence: int, subject: str) -> dict[str, Any]:
    is_missing = code == "artifact.missing"
    said = "is not there; it may have been erased" if is_missing else "has not the bytes that its digest names"
    return {"code": code, "sequence": sequence, "subject": subject, "message": f"the artifact {digest[:12]} {said}"}


def _tell(screen: Screen, report: Mapping[str, Any]) -> None:
    for note in report["notes"]:
        screen.line(f"note     {_said(note)}", "yellow")
    for finding in report["findings"]:
        screen.line(f"finding  {_said(finding)}", "red")
    if report["grown"]:
        screen.line(report["grown"])
    count = len(report["findings"])
    artifacts = "" if report["artifacts"] is None else f" and {report['artifacts']} artifacts"
    end = f"{count} findings" if count else "nothing is wrong"
    screen.line(f"{report['messages']} messages{artifacts} read: {end}.", "red" if count else "green")


def _said(found: Mapping[str, Any]) -> str:
    where = f"{found['sequence']} {cell(found['subject'], 120)}".strip() if found["sequence"] else "-"
    return f"{found['code']:<24} {where}: {cell(found['message'], 300)}"


# -- checkpoint ---------------------------------------------------------------


@app.command("checkpoint", epilog=CHECKPOINT_EXAMPLE)
def checkpoint(*, export: From = None, output: Output = None, data: o.Data = None) -> None:
    """Write what the log is now, as one hash over all its messages and one for each run and workflow.

    Kept elsewhere, it shows later whether anything that stands in the log today was cut off or changed.
    """
    screen = Screen()
    seal = _sealed(export) if export is not None else complete(_seal(data, screen))
    with written(output) as file:
        file.write(json.dumps(seal.checkpoint().model_dump(mode="json")) + "\n")


def _sealed(export: Path) -> Seal:
    seal = Seal()
    for entry in exported(export):
        seal.add(entry)
    return seal


async def _seal(data: Path | None, screen: Screen) -> Seal:
    seal = Seal()
    async with connected(data) as connection:
        async for entry in _live(connection, screen):
            seal.add(entry)
    return seal


# -- show ---------------------------------------------------------------------


@app.command("show", epilog=SHOW_EXAMPLE)
def show(*, run: RunOption, export: From = None, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Tell a whole run in plain words, in order of time: what happened, who stated or decided it, and because of what.

    Labels and moves of the level that concern the run stand among its own facts.
    """
    screen = Screen(is_json=as_json)
    facts = _story_in(export, run) if export is not None else complete(_story_of(data, run))
    numbers = chronicle.numbers_of(facts)
    if screen.is_json:
        screen.answer([chronicle.as_json(one, numbers) for one in facts])
        return
    for one in facts:
        _tell_fact(screen, one, numbers)


def _tell_fact(screen: Screen, one: Recorded | Unread, numbers: Mapping[str, int]) -> None:
    if isinstance(one, Unread):
        screen.line(f"{one.sequence:>7}  {cell(one.subject, 120)} cannot be read: {cell(str(one.reason), 200)}", "red")
        return
    because = f" (because of {numbers[one.cause]})" if one.cause in numbers else ""
    place = f"{one.sequence:>7}  {moment(one.time)}  {chronicle.who(one):<12}"
    screen.line(f"{place}  {chronicle.sentence(one)}{because}")


async def _story_of(data: Path | None, prefix: str) -> list[Recorded | Unread]:
    async with connected(data) as connection:
        view = await connection.view(prefix)
        filters = (f"issue.{view.issue}.>", run_filter(view.run), ladder_filter(view.workflow))
        history = await connection.log.read(*filters)
    return chronicle.story((*history.facts, *history.unread), view.run)


def _story_in(export: Path, prefix: str) -> list[Recorded | Unread]:
    """The story of the one run whose name begins so.

    Raises:  Misused where there is none, or more than one.
    """
    kept = [entry for entry in exported(export) if _may_concern(entry, prefix)]
    runs = sorted({entry.aggregate.removeprefix("run.") for entry in kept if entry.aggregate.startswith("run.")})
    if not prefix or not runs:
        raise Misused(f"There is no run {prefix} in {export}." if prefix else "Name a run by its id or its beginning.")
    if len(runs) > 1 and prefix not in runs:
        raise Misused(f"{prefix} may be any of {', '.join(runs[:CANDIDATES_SHOWN])}; give more of the name.")
    run = prefix if prefix in runs else runs[0]
    return chronicle.story((entry.read for entry in kept), run)


def _may_concern(entry: Entry, prefix: str) -> bool:
    return entry.subject.startswith((f"run.{prefix}", "issue.", "workflow."))
