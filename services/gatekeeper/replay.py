"""Replay: every row made again from the log alone, and held against what the live projection has.

A row is a pure function of its run's history, here as in the live projection. The two are compared
as of what the live one had taken in: a row may be ahead of the position, never behind it.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from libs.contracts.facts import RunFact
from libs.contracts.history import History, Unread
from libs.contracts.wire import Recorded
from libs.contracts.words import Phase
from libs.runtime.log import Log
from services.gatekeeper.evolution import fold
from services.gatekeeper.projection import Projection, RunRow, Snapshot, dump
from services.gatekeeper.readiness.labels import labels_by_run, labels_of
from services.gatekeeper.readiness.scorecard import scorecard
from services.gatekeeper.views import view

logger = logging.getLogger("rung")


@dataclass(frozen=True)
class Replayed:
    """What a replay read and made; `was_same` says whether the live projection had said the same."""

    facts: int
    runs: int
    seconds: float
    was_same: bool


async def replay(log: Log, projection: Projection) -> Replayed:
    """Make the projection again from the whole log.

    Rows that were put while this ran are neither lost nor set back: where the log has moved on
    meanwhile, it is read once more.

    Raises:  LogUnavailable.
    """
    begun = time.monotonic()
    live = await asyncio.to_thread(projection.snapshot)
    whole = await log.read(">")
    rows = await asyncio.to_thread(rows_of, whole)
    was_same = await asyncio.to_thread(_is_same, live, whole, rows)
    await asyncio.to_thread(projection.rebuild, rows, position=whole.head)
    if await log.head(">") > whole.head:
        later = await log.read(">")
        await asyncio.to_thread(projection.put_runs, rows_of(later), position=later.head)
    return Replayed(len(whole.facts), len(rows), round(time.monotonic() - begun, 3), was_same)


def _is_same(live: Snapshot, whole: History, rows: Iterable[RunRow]) -> bool:
    """Whether the log, up to what the live projection had taken in, makes just what it holds.

    `rows` are what the whole log makes; most of them are the answer already.
    """
    made = {row.run: row for row in rows}
    expected = []
    labels = labels_by_run(whole.facts)
    for run, history in by_run(whole).items():
        upto = max(live.position, live.sequences.get(run, 0))
        row = made.get(run)
        if row is None or row.sequence > upto:
            row = row_of(_until(history, upto), labels_of(facts_until(labels.get(run, ()), upto)))
        expected += [row] if row else []
    return dump(expected) == live.dump


def _until(history: History, sequence: int) -> History:
    return History(
        facts_until(history.facts, sequence),
        tuple(unread for unread in history.unread if unread.sequence <= sequence),
    )


def facts_until(facts: Iterable[Recorded], sequence: int) -> tuple[Recorded, ...]:
    return tuple(recorded for recorded in facts if recorded.sequence <= sequence)


def rows_of(whole: History) -> list[RunRow]:
    """The rows of all runs in the log; a run whose beginning cannot be read has none, which is said."""
    rows = []
    labels = labels_by_run(whole.facts)
    for run, history in by_run(whole).items():
        if (row := row_of(history, labels_of(labels.get(run, ())))) is not None:
            rows.append(row)
        else:
            logger.warning("run %s has no row: the fact that began it is missing or cannot be read", run)
    return rows


def by_run(whole: History) -> dict[str, History]:
    """The history of each run in the log, by name; facts about anything else are left out."""
    facts: dict[str, list[Recorded]] = defaultdict(list)
    unread: dict[str, list[Unread]] = defaultdict(list)
    for recorded in whole.facts:
        if isinstance(recorded.fact, RunFact):
            facts[recorded.fact.run].append(recorded)
    for message in whole.unread:
        stream, _, tail = message.subject.partition(".")
        if stream == RunFact.stream:
            unread[tail.partition(".")[0]].append(message)
    return {run: History(tuple(facts[run]), tuple(unread[run])) for run in sorted({*facts, *unread})}


def row_of(history: History, labels: Mapping[Phase, Recorded]) -> RunRow | None:
    """The row of a run as of its whole history and what was stated of its gates; `None` while it has not begun."""
    run = fold(history.facts, [unread.sequence for unread in history.unread])
    if run.started is None:
        return None
    told = view(run)
    return RunRow(
        run=run.run,
        workflow=told.workflow,
        repository=told.repository,
        issue=told.issue,
        title=told.title,
        outcome=told.outcome,
        stage=str(told.stage),
        level=str(told.level),
        level_in_force=str(told.level_in_force) if told.level_in_force else None,
        started_at=told.started_at,
        moved_at=told.moved_at,
        sequence=max(history.head, *(label.sequence for label in labels.values()), 0),
        is_settled=run.is_settled,
        view=told,
        card=scorecard(run, history.facts, labels),
    )
