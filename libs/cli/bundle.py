"""The forensic bundle of a run: issue, plan, every attempt with its change and failures, every verdict and decision.

It is made from the run's facts and artifacts alone, so it can be had at any time, also for a run that still waits.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import Connection, connected
from libs.cli.ending import Misused
from libs.cli.screen import Screen, duration, moment
from libs.cli.system import complete
from libs.cli.telling import place, said
from libs.contracts.facts import (
    ChangeMerged,
    ChangeProposed,
    ChangeRefused,
    CheckpointClosed,
    CheckpointOpened,
    CheckpointReminded,
    DecisionRecorded,
    DecisionRefused,
    GateJudged,
    PhaseCompleted,
    PhaseErrored,
    PhaseFact,
    PhaseRequested,
    RollbackOrdered,
    RunAborted,
    RunEscalated,
    RunFinished,
    RunStarted,
    WatchEnded,
)
from libs.contracts.history import History
from libs.contracts.requests import one_line, plain
from libs.contracts.subjects import run_filter
from libs.contracts.wire import Recorded
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing
from libs.runtime.reports import fenced

EXAMPLE: Final = "Example: rung runs bundle 1f2e3d4c --output bundle/"
TEXT_MAX: Final = 200_000
TEXTS_MAX: Final = 4_000_000
"""Characters of one quoted artifact, and of all together: the latest are quoted first."""
LINE_MAX: Final = 1000
ATTEMPTED: Final = (PhaseRequested, PhaseCompleted, PhaseErrored, GateJudged)
DECIDED: Final = (DecisionRecorded, DecisionRefused)
CALLED: Final = (CheckpointOpened, CheckpointReminded, CheckpointClosed, RunEscalated)
ENDED: Final = (ChangeProposed, ChangeRefused, ChangeMerged, WatchEnded, RollbackOrdered, RunAborted, RunFinished)
PLANS: Final = ("intent.md", "plan.md")

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
        told = await bundle(connection, view.run)
    if output is not None:
        write(output, told)
        screen.progress(f"Written: {output / 'bundle.md'}, {output / 'bundle.json'}")
    if screen.is_json:
        return screen.answer(told)
    if output is None:
        screen.out.print(as_markdown(told), markup=False, highlight=False, soft_wrap=True)
    return None


async def bundle(connection: Connection, run: str) -> dict[str, Any]:
    """All that is known of a run as JSON values."""
    history = await connection.log.read(run_filter(run))
    return bundle_of(history, await _texts(connection, history))


def write(output: Path, told: Mapping[str, Any], *, is_private: bool = False) -> None:
    """Both files into a directory; a private one and what lies in it is for its owner's eyes alone.

    Raises:  Misused when that cannot be done.
    """
    try:
        output.mkdir(parents=True, exist_ok=True, mode=0o700 if is_private else 0o777)
        _write(output / "bundle.md", as_markdown(told), is_private=is_private)
        _write(output / "bundle.json", json.dumps(told, ensure_ascii=False, indent=1), is_private=is_private)
    except OSError as error:
        raise Misused(f"The bundle cannot be written to {output}: {error.strerror}.") from error


def _write(path: Path, text: str, *, is_private: bool) -> None:
    """The whole file or the one before: it is made beside its place and moved there."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if is_private else 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8", "replace"))
    made.replace(path)


async def _texts(connection: Connection, history: History) -> dict[str, str]:
    """The artifacts that the bundle quotes, by digest; one that is erased, damaged or too much says so."""
    texts: dict[str, str] = {}
    room = TEXTS_MAX
    for digest in dict.fromkeys(digest for recorded in reversed(history.facts) for digest in _quoted(recorded)):
        if room <= 0:
            texts[digest] = "(left out: the bundle would be too large)"
            continue
        try:
            texts[digest] = _shortened(plain((await connection.artifacts.get(digest)).decode("utf-8", "replace")), room)
        except (ArtifactMissing, ArtifactDamaged) as gone:
            texts[digest] = f"({gone})"
        room -= len(texts[digest])
    return texts


def _shortened(text: str, room: int) -> str:
    most = min(room, TEXT_MAX)
    return text if len(text) <= most else f"{text[:most]}\n… {len(text) - most} characters more"


def _quoted(recorded: Recorded) -> Iterable[str]:
    match recorded.fact:
        case RunStarted() as fact:
            return [fact.body]
        case PhaseCompleted() as fact:
            return [digest for name, digest in fact.evidence.artifacts.items() if name.endswith((".md", ".patch"))]
        case _:
            return []


def bundle_of(history: History, texts: Mapping[str, str]) -> dict[str, Any]:
    """The bundle as JSON values without control characters; `attempts` are in the order of the log."""
    attempts = _attempts(history, texts)
    told: dict[str, Any] = _clean(
        {
            **_begun(history, texts),
            **{name.removesuffix(".md"): _latest(attempts, name) for name in PLANS},
            "attempts": attempts,
            "tried": [_tried(attempt) for attempt in attempts],
            "decisions": _lines(history, DECIDED),
            "calls": _lines(history, CALLED),
            "endings": _lines(history, ENDED),
            "totals": _totals(attempts, history),
            "unread": [unread.subject for unread in history.unread],
        }
    )
    return told


def _begun(history: History, texts: Mapping[str, str]) -> dict[str, Any]:
    """What the run's first fact says; a run whose first fact this build cannot read says less."""
    for recorded in history.facts:
        if isinstance(started := recorded.fact, RunStarted):
            return {
                "run": started.run,
                "issue": {"title": started.title, "body": texts.get(started.body, ""), "type": started.issue_type},
                "repository": started.repository,
                "base": started.base,
                "agent": started.agent,
                "level": started.level,
                "policy_digest": started.policy_digest,
                "began_at": recorded.time,
            }
    return {
        "run": str(getattr(history.facts[0].fact, "run", "")) if history.facts else "",
        "issue": {"title": "(the beginning of this run cannot be read)", "body": "", "type": "unknown"},
        **dict.fromkeys(("repository", "base", "agent", "level", "policy_digest", "began_at")),
    }


def _attempts(history: History, texts: Mapping[str, str]) -> list[dict[str, Any]]:
    attempts: dict[tuple[str, int], dict[str, Any]] = {}
    for recorded in history.facts:
        if isinstance(fact := recorded.fact, PhaseFact) and isinstance(fact, ATTEMPTED):
            place = (fact.phase, fact.attempt)
            attempts.setdefault(place, {"phase": fact.phase, "attempt": fact.attempt}).update(_told(recorded, texts))
    return [{**attempt, "took_s": _took_s(attempt)} for attempt in attempts.values()]


def _took_s(attempt: Mapping[str, Any]) -> float | None:
    """From request to answer, in seconds; `None` while there is none of them."""
    asked, answered = attempt.get("asked_at"), attempt.get("answered_at")
    return None if asked is None or answered is None else round(max(answered - asked, 0.0), 3)


def _latest(attempts: Iterable[Mapping[str, Any]], name: str) -> str | None:
    found = [attempt["files"][name] for attempt in attempts if name in attempt.get("files", {})]
    return found[-1] if found else None


def _tried(attempt: Mapping[str, Any]) -> str:
    """An attempt in one line."""
    words = attempt.get("declined") or attempt.get("error") or attempt.get("summary") or "no answer"
    failures = "; ".join(attempt.get("failures", ()))
    outcome = attempt.get("outcome", "not judged")
    return one_line(
        f"{attempt['phase']} {attempt['attempt']}: {words} → {outcome}{': ' if failures else ''}{failures}", LINE_MAX
    )


def _totals(attempts: list[dict[str, Any]], history: History) -> dict[str, Any]:
    """Sums over the run; `cost_usd` is what was told, and `cost_unknown` the attempts that told nothing."""
    costs = [attempt.get("cost_usd") for attempt in attempts if "answered_at" in attempt]
    known = [cost for cost in costs if cost is not None]
    times = [recorded.time for recorded in history.facts]
    return {
        "attempts": len(attempts),
        "work_s": round(sum(attempt["took_s"] or 0.0 for attempt in attempts), 3),
        "wall_s": round(max(times) - min(times), 3) if times else 0.0,
        "cost_usd": round(sum(known), 6),
        "cost_unknown": len(costs) - len(known),
    }


def _lines(history: History, kinds: tuple[type, ...]) -> list[dict[str, Any]]:
    return [
        {"at": recorded.time, "fact": recorded.fact.type, "place": place(recorded), "says": _says(recorded)}
        for recorded in history.facts
        if isinstance(recorded.fact, kinds)
    ]


def _says(recorded: Recorded) -> str:
    match recorded.fact:
        case CheckpointReminded() as fact:
            return f"nobody has decided; the checkpoint expires at {moment(fact.expires_at)}"
        case CheckpointOpened() as fact:
            return f"{said(fact)}; may be answered by {', '.join(fact.answers)}"
        case RunEscalated() as fact:
            return f"{fact.target} is called after {fact.phase} {fact.attempt}: {said(fact)}"
        case DecisionRecorded(guidance=str() as guidance) as fact:
            return f"{said(fact)}; guidance: {one_line(guidance, LINE_MAX)}"
        case fact:
            return said(fact)


def _told(recorded: Recorded, texts: Mapping[str, str]) -> dict[str, Any]:
    match recorded.fact:
        case PhaseRequested() as fact:
            asked = {"asked_at": recorded.time, "agent": fact.agent, "loop": fact.loop, "guidance": fact.guidance}
            return {**asked, "from_commit": fact.commit, "cost_limit_usd": fact.cost_limit_usd}
        case PhaseCompleted() as fact:
            files = {name: texts[digest] for name, digest in fact.evidence.artifacts.items() if digest in texts}
            work = {"agent": fact.agent, "commit": fact.commit, "summary": fact.summary, "declined": fact.declined}
            spent = {"duration_s": fact.duration_s, "cost_usd": fact.cost_usd, "answered_at": recorded.time}
            evidence = fact.evidence.model_dump(mode="json", exclude_none=True)
            return {**work, **spent, "files": files, "evidence": evidence}
        case PhaseErrored() as fact:
            failed = {"error": fact.message, "code": fact.code, "is_retryable": fact.is_retryable}
            return {**failed, "answered_at": recorded.time, "cost_usd": None, "files": {}}
        case GateJudged() as fact:
            verdict = {"outcome": fact.verdict.outcome, "disposition": fact.disposition, "reason": fact.reason}
            criteria = [criterion.model_dump(mode="json") for criterion in fact.verdict.criteria]
            failures = list(fact.verdict.reasons)
            return {**verdict, "level_in_force": fact.level_in_force, "failures": failures, "criteria": criteria}
        case _:
            return {}


def _clean(value: Any) -> Any:
    """The value with control and direction characters gone from every text in it."""
    match value:
        case str():
            return plain(value)
        case dict():
            return {plain(key): _clean(one) for key, one in value.items()}
        case list() | tuple():
            return [_clean(one) for one in value]
        case _:
            return value


def as_markdown(told: Mapping[str, Any]) -> str:
    """The bundle as one file to read; texts of strangers stand in fences that they cannot close, or within a line."""
    issue, totals = told["issue"], told["totals"]
    spent = f"{totals['attempts']} attempts, {duration(totals['work_s'])} of work in {duration(totals['wall_s'])}"
    unknown = f", and {totals['cost_unknown']} attempts did not say" if totals["cost_unknown"] else ""
    where = f"{issue['type']} in {told['repository']}, base {told['base']}"
    lines = [
        f"# Run {told['run']}",
        one_line(f"{where}, agent {told['agent']}, level {told['level']}", LINE_MAX),
        f"{spent}; cost {totals['cost_usd']:g} US dollars{unknown}.",
        *_section("How it went on", [_dated(line) for line in told["endings"]]),
        f"## Issue: {one_line(issue['title'], LINE_MAX)}",
        fenced(issue["body"]),
        *(
            part
            for name in ("intent", "plan")
            if told[name]
            for part in (f"## {name.capitalize()}", fenced(told[name]))
        ),
        *_section("What was tried", [f"- {line}" for line in told["tried"]]),
        *_section("Decisions", [_dated(line) for line in told["decisions"]]),
        *_section("Checkpoints and calls", [_dated(line) for line in told["calls"]]),
        *(part for attempt in told["attempts"] for part in _attempt(attempt, told)),
        *_section("Facts that this build cannot read", [f"- {one_line(subject)}" for subject in told["unread"]]),
    ]
    return "\n\n".join(lines) + "\n"


def _section(heading: str, lines: list[str]) -> tuple[str, str]:
    return (f"## {heading}", "\n".join(lines)) if lines else (f"## {heading}", "None.")


def _dated(line: Mapping[str, Any]) -> str:
    where = " ".join(part for part in (line["fact"], line["place"]) if part)
    return f"- {moment(line['at'])} {one_line(where)}: {one_line(line['says'], LINE_MAX)}"


def _attempt(attempt: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    words = attempt.get("declined") or attempt.get("error") or attempt.get("summary") or "no answer"
    shown = {
        name: text for name, text in attempt.get("files", {}).items() if name not in PLANS or text != told[name[:-3]]
    }
    return [
        f"## {attempt['phase']}, attempt {attempt['attempt']}: {attempt.get('outcome', 'not judged')}",
        f"It said: {one_line(words, LINE_MAX)}",
        _spent(attempt),
        *([f"Asked with guidance: {one_line(attempt['guidance'], LINE_MAX)}"] if attempt.get("guidance") else []),
        *([one_line(f"{attempt['disposition']}: {attempt['reason']}", LINE_MAX)] if "reason" in attempt else []),
        *(["\n".join(map(_criterion, attempt["criteria"]))] if attempt.get("criteria") else []),
        *(part for name, text in shown.items() for part in (f"### {one_line(name)}", fenced(text))),
    ]


def _spent(attempt: Mapping[str, Any]) -> str:
    took = "an unknown time" if attempt["took_s"] is None else duration(attempt["took_s"])
    cost = "unknown" if attempt.get("cost_usd") is None else f"{attempt['cost_usd']:g} US dollars"
    return f"Agent {one_line(str(attempt.get('agent')), LINE_MAX)}, {took}, cost {cost}."


def _criterion(criterion: Mapping[str, Any]) -> str:
    flip = f" ({criterion['flip']})" if criterion.get("flip") else ""
    return one_line(f"- {criterion['outcome']} {criterion['name']}: {criterion['message']}{flip}", LINE_MAX)
