"""`rung debt`: what reviews found in merged changes and nobody has mended since.

Theory: a finding that did not stop a change is debt from the merge on. Reviews look at whole files, so a
later merged change that touches the file tells whether the finding is still there: it is gone when the
tool that found it looked again and did not see it, when the file is gone, or when the run that brought it
was reverted. Changes that no run made are not looked at, so debt that somebody mended by hand stays until
the next run that touches its file.
"""

import asyncio
import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from pydantic import ValidationError

from libs.cli import options as o
from libs.cli.connection import Connection, connected
from libs.cli.inbox import span
from libs.cli.screen import Screen, cell, table
from libs.cli.system import complete
from libs.contracts.evidence import Finding, ReviewEvidence
from libs.contracts.facts import ChangeMerged, ChangeReverted, PhaseCompleted, RunStarted
from libs.contracts.subjects import pattern
from libs.contracts.words import Phase, Severity
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing

EXAMPLE: Final = "Example: rung debt --repo ~/shop --json"
FINDINGS: Final = "findings.json"
AT_ONCE: Final = 32

Repository = Annotated[str | None, typer.Option("--repo", metavar="PATH", help="Only debt of this repository.")]


@dataclass
class Merged:
    """A merged run: when, what its review told, and whether it was reverted."""

    run: str
    at: float
    review: PhaseCompleted
    repository: str = ""
    is_reverted: bool = False
    findings: tuple[Finding, ...] = ()
    tools: frozenset[str] = frozenset()
    present: Mapping[str, frozenset[str]] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    is_whole: bool = True


class Item(NamedTuple):
    """One finding that stands in a repository, and the first run that merged it."""

    id: str
    repository: str
    finding: Finding
    run: str
    since: float


def debt(*, repo: Repository = None, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """List what reviews found in merged changes below a blocker, until a later run's review no longer sees it.

    An id is the finding's fingerprint, as a waiver in workflow.yaml names it.
    """
    repository = os.path.realpath(Path(repo).expanduser()) if repo is not None else None
    complete(_debt(repository, data, Screen(is_json=as_json)))


async def _debt(repository: str | None, data: Path | None, screen: Screen) -> None:
    async with connected(data) as connection:
        merged = await _merged(connection)
        await _each(merged, lambda one: _name_repository(connection, one))
        chosen = [one for one in merged if repository in (None, one.repository)]
        await _each(chosen, lambda one: _read_findings(connection, one))
    items = outstanding(chosen)
    if lost := sum(not one.is_whole for one in chosen):
        screen.progress(f"Of {lost} merged runs only the first findings are known; the rest was erased.", "yellow")
    if screen.is_json:
        return screen.answer([_fields(item) for item in items])
    if not items:
        screen.progress("No debt." if repository is None else f"No debt in {cell(repository, 1000)}.")
        return None
    return _show(items, screen)


async def _merged(connection: Connection) -> list[Merged]:
    """Every merged run with its last review, in the order of the merges."""
    history = await connection.log.read(
        pattern(PhaseCompleted, phase=Phase.REVIEW), pattern(ChangeMerged), pattern(ChangeReverted)
    )
    reviews: dict[str, PhaseCompleted] = {}
    merged: dict[str, Merged] = {}
    for recorded in history.facts:
        match recorded.fact:
            case PhaseCompleted() as fact:
                reviews[fact.run] = fact
            case ChangeMerged() as fact if fact.run in reviews:
                merged[fact.run] = Merged(fact.run, recorded.time, reviews[fact.run])
            case ChangeReverted() as fact if fact.run in merged:
                merged[fact.run].is_reverted = True
            case _:
                continue
    return list(merged.values())


async def _each(runs: list[Merged], act: Callable[[Merged], Awaitable[None]]) -> None:
    for start in range(0, len(runs), AT_ONCE):
        await asyncio.gather(*map(act, runs[start : start + AT_ONCE]))


async def _name_repository(connection: Connection, one: Merged) -> None:
    history = await connection.log.read(pattern(RunStarted, aggregate=one.run))
    names = [recorded.fact.repository for recorded in history.facts if isinstance(recorded.fact, RunStarted)]
    one.repository = names[-1] if names else ""


async def _read_findings(connection: Connection, one: Merged) -> None:
    """All findings from the artifact; where it was erased, those that the fact names."""
    evidence = one.review.evidence
    one.findings = evidence.review.findings if evidence.review else ()
    one.is_whole = len(one.findings) >= _count(evidence.review)
    if (digest := evidence.artifacts.get(FINDINGS)) is None:
        return
    try:
        told = json.loads(await connection.artifacts.get(digest))
        findings = tuple(Finding.model_validate(finding) for finding in told["findings"])
        present = {path: frozenset(found) for path, found in (told["present"] or {}).items()}
        removed, tools = frozenset(told["removed"]), frozenset(told["tools"])
    except (ArtifactMissing, ArtifactDamaged, ValidationError, ValueError, TypeError, KeyError, AttributeError):
        return
    one.findings, one.present, one.removed, one.tools = findings, present, removed, tools
    one.is_whole = not told.get("left_out")


def _count(review: ReviewEvidence | None) -> int:
    return sum(getattr(review, severity) for severity in Severity) if review else 0


def outstanding(merged: Iterable[Merged]) -> list[Item]:
    """What is left of the findings after all merges, heaviest first, the oldest first among equals."""
    places: defaultdict[tuple[str, str], dict[str, Item]] = defaultdict(dict)
    for one in merged:
        if one.is_reverted:
            continue
        for file in one.present.keys() | one.removed:
            at = places[one.repository, file]
            for gone in [key for key, item in at.items() if _is_gone(item, one)]:
                del at[gone]
        for item in _brought(one):
            places[item.repository, item.finding.file].setdefault(item.id, item)
    order = tuple(Severity)
    items = [item for at in places.values() for item in at.values()]
    return sorted(items, key=lambda item: (order.index(item.finding.severity), item.since, item.id))


def _brought(one: Merged) -> Iterator[Item]:
    for finding in one.findings:
        if finding.severity is not Severity.BLOCKER:
            yield Item(_id(finding), one.repository, finding, one.run, one.at)


def _is_gone(item: Item, later: Merged) -> bool:
    """Whether the file was removed, or the tool looked at it again and no longer saw the finding."""
    file, tool, fingerprint = item.finding.file, item.finding.tool, item.finding.fingerprint
    was_sought = bool(fingerprint) and tool in later.tools and file in later.present
    return file in later.removed or (was_sought and fingerprint not in later.present[file])


def _id(finding: Finding) -> str:
    """The fingerprint; for a finding without one, a hash of what it says."""
    parts = (finding.tool, finding.rule, finding.file, finding.message)
    return finding.fingerprint or hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _fields(item: Item) -> dict[str, Any]:
    finding = item.finding
    return {
        "id": item.id,
        "repository": item.repository,
        "file": finding.file,
        "line": finding.line,
        "rule": finding.rule,
        "tool": finding.tool,
        "severity": finding.severity,
        "message": finding.message,
        "run": item.run,
        "since": item.since,
    }


def _show(items: list[Item], screen: Screen) -> None:
    now = time.time()
    made = table("id", "weight", "age", "run", "place", "rule", "says")
    for item in items:
        finding = item.finding
        place = cell(f"{Path(item.repository).name}: {finding.file}:{finding.line}", 100)
        rule = cell(f"{finding.tool} {finding.rule}", 60)
        age = span(now - item.since)
        made.add_row(item.id, finding.severity, age, item.run[:8], place, rule, cell(finding.message, 120))
    screen.out.print(made)
