"""The forensic bundle of a run: issue, plan, every attempt with its change and failures, every verdict and decision.

It is made from the run's facts and artifacts alone, so it can be had at any time, also for a run that still waits.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import Connection, connected
from libs.cli.ending import Misused
from libs.cli.screen import Screen, moment
from libs.cli.system import complete
from libs.cli.telling import said
from libs.contracts.facts import (
    DecisionRecorded,
    DecisionRefused,
    GateJudged,
    PhaseCompleted,
    PhaseErrored,
    RunAborted,
    RunEscalated,
    RunFinished,
    RunStarted,
)
from libs.contracts.history import History
from libs.contracts.requests import plain
from libs.contracts.subjects import run_filter
from libs.contracts.wire import Recorded
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing

EXAMPLE: Final = "Example: rung runs bundle 1f2e3d4c --output bundle/"
TEXT_MAX: Final = 200_000

Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="DIR", help="Write bundle.md and bundle.json there; else print the text."),
]


def bundle_run(run: o.RunName, *, output: Output = None, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Hand over all that is known of a run: issue, plan, every attempt with its change and failures, every verdict."""
    complete(_bundle(run, output, data, Screen(is_json=as_json)))


async def _bundle(prefix: str, output: Path | None, data: Path | None, screen: Screen) -> None:
    async with connected(data) as connection:
        view = await connection.view(prefix)
        history = await connection.log.read(run_filter(view.run))
        told = bundle_of(history, await _texts(connection, history))
    if output is not None:
        _write(output, told)
        screen.progress(f"Written: {output / 'bundle.md'}, {output / 'bundle.json'}")
    if screen.is_json:
        return screen.answer(told)
    if output is None:
        screen.out.print(as_markdown(told), markup=False, highlight=False, soft_wrap=True)
    return None


def _write(output: Path, told: Mapping[str, Any]) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "bundle.md").write_text(as_markdown(told), encoding="utf-8")
        (output / "bundle.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    except OSError as error:
        raise Misused(f"The bundle cannot be written to {output}: {error.strerror}.") from error


async def _texts(connection: Connection, history: History) -> dict[str, str]:
    """The artifacts that the bundle quotes, by digest; one that is erased or damaged says so."""
    texts: dict[str, str] = {}
    for digest in {digest for recorded in history.facts for digest in _quoted(recorded)}:
        try:
            data = await connection.artifacts.get(digest)
            texts[digest] = plain(data[:TEXT_MAX].decode("utf-8", "replace"))
        except (ArtifactMissing, ArtifactDamaged) as gone:
            texts[digest] = f"({gone})"
    return texts


def _quoted(recorded: Recorded) -> Iterable[str]:
    match recorded.fact:
        case RunStarted() as fact:
            return [fact.body]
        case PhaseCompleted() as fact:
            return [digest for name, digest in fact.evidence.artifacts.items() if name.endswith((".md", ".patch"))]
        case _:
            return []


def bundle_of(history: History, texts: Mapping[str, str]) -> dict[str, Any]:
    """The bundle as JSON values; `attempts` are in the order of the log."""
    begun = next(recorded for recorded in history.facts if isinstance(recorded.fact, RunStarted))
    started = begun.fact
    assert isinstance(started, RunStarted)
    attempts: dict[tuple[str, int], dict[str, Any]] = {}
    for recorded in history.facts:
        if isinstance(fact := recorded.fact, PhaseCompleted | PhaseErrored | GateJudged):
            place = (fact.phase, fact.attempt)
            attempts.setdefault(place, {"phase": fact.phase, "attempt": fact.attempt}).update(_told(recorded, texts))
    return {
        "run": started.run,
        "issue": {"title": started.title, "body": texts.get(started.body, ""), "type": started.issue_type},
        "repository": started.repository,
        "base": started.base,
        "agent": started.agent,
        "level": started.level,
        "began_at": begun.time,
        "attempts": list(attempts.values()),
        "decisions": [_line(r) for r in history.facts if isinstance(r.fact, DecisionRecorded | DecisionRefused)],
        "endings": [_line(r) for r in history.facts if isinstance(r.fact, RunEscalated | RunAborted | RunFinished)],
        "unread": [unread.subject for unread in history.unread],
    }


def _line(recorded: Recorded) -> dict[str, Any]:
    return {"at": recorded.time, "fact": recorded.fact.type, "says": said(recorded.fact)}


def _told(recorded: Recorded, texts: Mapping[str, str]) -> dict[str, Any]:
    match recorded.fact:
        case PhaseCompleted() as fact:
            files = {name: texts[digest] for name, digest in fact.evidence.artifacts.items() if digest in texts}
            work = {"agent": fact.agent, "commit": fact.commit, "summary": fact.summary, "declined": fact.declined}
            return {**work, "duration_s": fact.duration_s, "answered_at": recorded.time, "files": files}
        case PhaseErrored() as fact:
            return {"error": fact.message, "code": fact.code, "answered_at": recorded.time, "files": {}}
        case GateJudged() as fact:
            verdict = {"outcome": fact.verdict.outcome, "disposition": fact.disposition, "reason": fact.reason}
            return {**verdict, "level_in_force": fact.level_in_force, "failures": list(fact.verdict.reasons)}
        case _:
            return {}


def as_markdown(told: Mapping[str, Any]) -> str:
    """The bundle as one file to read; texts of strangers stand in fences that they cannot close."""
    issue = told["issue"]
    lines = [
        f"# Run {told['run']}",
        f"{issue['type']} in {told['repository']}, base {told['base']}, agent {told['agent']}, level {told['level']}",
        f"## Issue: {issue['title']}",
        _fenced(issue["body"]),
        *(part for attempt in told["attempts"] for part in _attempt(attempt)),
        "## Decisions",
        *(f"- {moment(line['at'])} {line['says']}" for line in told["decisions"]),
        "## How it went on",
        *(f"- {moment(line['at'])} {line['fact']}: {line['says']}" for line in told["endings"]),
    ]
    return "\n\n".join(lines) + "\n"


def _attempt(attempt: Mapping[str, Any]) -> list[str]:
    words = attempt.get("declined") or attempt.get("error") or attempt.get("summary") or ""
    head = f"## {attempt['phase']}, attempt {attempt['attempt']}: {attempt.get('outcome', 'not judged')}"
    verdict = f"{attempt.get('disposition', '')}: {attempt.get('reason', '')}" if "reason" in attempt else ""
    failures = [f"- {failure}" for failure in attempt.get("failures", ())]
    files = [part for name, text in attempt.get("files", {}).items() for part in (f"### {name}", _fenced(text))]
    return [part for part in (head, words, verdict, *failures, *files) if part]


def _fenced(text: str) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(4, longest + 1)
    return f"{fence}\n{text}\n{fence}"
