"""How long a workflow of ten thousand runs takes to say how ready it is: `python -m tests.bench.readiness [runs]`.

Three ways in one process, one after the other in each round: the answer that is kept (what the gatekeeper gives, which
is promised within 50 ms), the same worked out anew from all scorecards, and a bare peer that only selects the same rows
by `sqlite3` alone. The answers are compared; of the times nothing is asserted. A fixed piece of arithmetic is timed
beside them: what it varies by is the machine's noise.
"""

import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from libs.contracts.facts import LadderFact, RunFact
from libs.contracts.history import History
from libs.contracts.ladder import Ladder
from libs.contracts.ladder import fold as fold_ladder
from libs.contracts.words import Phase
from services.gatekeeper.projection import Projection, RunRow
from services.gatekeeper.readiness.labels import labels_by_run, labels_of
from services.gatekeeper.readiness.scorecard import Scorecard
from services.gatekeeper.readiness.standing import readiness
from services.gatekeeper.replay import row_of
from tests.spec.decider import Given
from tests.spec.outcomes import (
    L2,
    L4,
    REJECT,
    at_merge,
    begun,
    closed,
    ended,
    go_to,
    label,
    lost,
    ordered,
    overridden_at,
    reverted,
    say,
    work,
)
from tests.spec.story import BAD, RUN, WORKFLOW

RUNS: Final = 10_000
ROUNDS: Final = 15
PROMISED_MS: Final = 50.0
STEP: Final = 40
"""Facts of one run in the log."""
TYPES: Final = ("bug", "feature", "docs", "patch", "dependency", "hotfix")
AGENTS: Final = 25
"""Agents of which the runs are."""


def kinds() -> tuple[RunRow, ...]:
    """Rows of runs that went every way that a run may go."""
    stories = (
        ended(),
        ended(level=L2),
        ended("no_data", L4),
        ended("clear", L4),
        ended("clear", L4).then(ordered(), reverted()),
        ended().then(label(Phase.PLAN, is_right=False), label(source="human", is_right=True)),
        ended("clear", L4).then(label(is_right=True), reverted("drill")),
        say(at_merge(L2).then(closed("wrong")), REJECT),
        overridden_at(Phase.TEST, "clear"),
        work(begun(L4), BAD[Phase.PLAN], declined="no way").then(label(Phase.PLAN, is_right=True)),
        lost(go_to(begun(L4), Phase.REVIEW), is_silent=False),
        ended(automatic=True),
        begun(),
    )
    return tuple(row(story) for story in stories)


def row(story: Given) -> RunRow:
    facts = tuple(one for one in story.recorded if isinstance(one.fact, RunFact))
    made = row_of(History(facts), labels_of(labels_by_run(story.recorded).get(RUN, ())))
    assert made is not None
    return made


def rows(count: int) -> Iterator[RunRow]:
    """That many runs, each of one of the kinds, one after the other in the log."""
    known = kinds()
    for number in range(count):
        kind = known[number * 7 % 11 if number % 3 else number % len(known)]
        yield moved(kind, number)


def moved(kind: RunRow, number: int) -> RunRow:
    """The same run under another name, elsewhere in the log, on another type of issue and by another agent."""
    name, card = f"run-{number:06d}", kind.card
    places = {
        place: getattr(card, place) and getattr(card, place) + number * STEP for place in ("started", "ended", "merged")
    }
    by = f"agent#{number % AGENTS:08x}"
    elsewhere = card._replace(run=name, issue_type=TYPES[number % len(TYPES)], agent=by, **places)
    return replace(kind, run=name, sequence=kind.sequence + number * STEP, card=elsewhere)


def ladder() -> Ladder:
    return fold_ladder(one for one in begun(L4).recorded if isinstance(one.fact, LadderFact))


def stored(projection: Projection) -> str:
    """As the gatekeeper answers."""
    found = projection.readiness(WORKFLOW)
    assert found is not None
    return json.dumps(found.model_dump(mode="json"))


def anew(projection: Projection, on: Ladder) -> str:
    return json.dumps(readiness(on, projection.cards(WORKFLOW), None).model_dump(mode="json"))


def bare(file: Path) -> int:
    """What any answer from these rows costs at least."""
    connection = sqlite3.connect(file)
    names = ", ".join(f'"{name}"' for name in Scorecard._fields)
    found = connection.execute(f"SELECT {names} FROM rung_scorecards WHERE workflow = ?", (WORKFLOW,)).fetchall()  # noqa: S608 - fixed names
    connection.close()
    return len(found)


def arithmetic() -> int:
    return sum(number * number % 7 for number in range(100_000))


def timed_ms(work: Callable[[], Any]) -> float:
    begun_at = time.perf_counter()
    work()
    return (time.perf_counter() - begun_at) * 1e3


def told(name: str, times: Sequence[float], more: str = "") -> str:
    low, median, high = statistics.quantiles(times, n=4)
    figures = f"median {median:7.1f} ms, half of them {low:.1f} to {high:.1f}, all {min(times):.1f} to {max(times):.1f}"
    return f"{name:18} {figures}{more}"


def say_it(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a bench prints


def measure(file: Path, count: int) -> None:
    projection, on = Projection(f"sqlite:///{file}"), ladder()
    made_ms = timed_ms(lambda: projection.put_runs(rows(count), position=count * STEP))
    found = readiness(on, projection.cards(WORKFLOW), None)
    projection.put_readiness(found, position=count * STEP)
    ways: dict[str, Callable[[], Any]] = {
        "kept": lambda: stored(projection),
        "worked out anew": lambda: anew(projection, on),
        "bare select": lambda: bare(file),
        "arithmetic (noise)": arithmetic,
    }
    assert stored(projection) == anew(projection, on)
    assert bare(file) == count
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            times[name].append(timed_ms(way))
    verdicts = f"{found.labels.right} verdicts right, {found.labels.wrong} wrong, {found.labels.unlabelled} unlabelled"
    say_it(f"{count} runs put in {made_ms / 1e3:.1f} s; {verdicts}; {ROUNDS} rounds")
    for name in ways:
        say_it(told(name, times[name], f"; promised within {PROMISED_MS:g} ms" if name == "kept" else ""))
    projection.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory, "projection.sqlite"), int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)


if __name__ == "__main__":
    main()
