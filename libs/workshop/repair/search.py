"""The search: tries candidates in order on two cores, confirms in a fresh interpreter, goes on until nothing fails.

Theory: a candidate is *plausible* when in a fork the failing tests pass and no passing test breaks; only a run of the
whole suite in a fresh interpreter makes it a repair. A candidate that mends some failing tests and breaks none is
*partial*; when no single edit mends everything the best partial one is kept and the search goes on from there.
Edits of kinds that often silence a test rather than mend the code are taken only when nothing better turns up in a
short extra time.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from .candidates import Candidate, ranked
from .diagnosis import Diagnosis
from .screening import Screening
from .servers import Ground, ServerError, Worker
from .site import Hints
from .suite import Result, SuiteError, copy, run, workplace

ALONE_S = 0.8
"""How long one worker searches alone; most repairs turn up by then, and a second one costs as much to start."""
EXTRA_S = 6.0
"""How long to look for something better than an edit that may only silence the tests."""
PARTIAL_SHARE = 0.35
"""Share of the remaining time after which a partial repair is taken."""


@dataclass
class Clock:
    """The time there is, in seconds, from the agent's start."""

    budget_s: float
    started: float = field(default_factory=time.monotonic)

    @property
    def spent_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def left_s(self) -> float:
        return self.budget_s - self.spent_s


@dataclass
class Tally:
    """What has been tried so far, over all rounds."""

    tried: int = 0
    lines: set[tuple[str, int]] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    refuted: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Repair:
    """One edit that is kept, its rank among the candidates, and the suite's result with it."""

    candidate: Candidate
    rank: int
    result: Result


@dataclass
class Round:
    """One search for a single edit on top of the edits kept so far."""

    diagnosis: Diagnosis
    root: Path
    clock: Clock
    tally: Tally
    refuted: AbstractSet[str]
    screening: Screening
    stop_s: float
    accepted: list[Repair] = field(default_factory=list)
    partial: list[tuple[int, Candidate, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    trouble: ServerError | None = None

    def is_over(self) -> bool:
        return self.clock.spent_s >= self.stop_s or self.trouble is not None

    def next(self, candidates: Iterator[tuple[int, Candidate]]) -> tuple[int, Candidate] | None:
        with self.lock:
            while not self.is_over():
                rank, candidate = next(candidates, (0, None))
                if candidate is None:
                    return None
                if candidate.digest not in self.refuted and candidate.digest not in self.tally.taken:
                    self.tally.taken.add(candidate.digest)
                    self.tally.tried += 1
                    self.tally.lines.add((candidate.source.path, candidate.line))
                    return rank, candidate
        return None

    def work(self, worker: Worker, candidates: Iterator[tuple[int, Candidate]]) -> None:
        """One thread's loop: screen a candidate, confirm it if it is plausible, note it if it is partial."""
        try:
            while (following := self.next(candidates)) is not None:
                rank, candidate = following
                mended = self.screening.mended(worker, candidate)
                if mended == self.screening.targets:
                    self.confirm(candidate, rank)
                elif mended:
                    self.note_partial(candidate, rank, mended)
                else:
                    self.tally.refuted.append(candidate.digest)
        except ServerError as error:
            self.trouble = error

    def confirm(self, candidate: Candidate, rank: int) -> None:
        result = confirmed(self.root, candidate, self.diagnosis, self.clock.left_s)
        if result is None or result.failing:
            self.tally.refuted.append(candidate.digest)
            return
        with self.lock:
            self.accepted.append(Repair(candidate, rank, result))
            extra = EXTRA_S if candidate.is_overfitting else 0.0
            self.stop_s = min(self.stop_s, self.clock.spent_s + extra)

    def note_partial(self, candidate: Candidate, rank: int, mended: frozenset[str]) -> None:
        with self.lock:
            self.partial.append((len(mended), candidate, rank))
            share = 0.0 if self.screening.is_complete(candidate, mended) else PARTIAL_SHARE
            self.stop_s = min(self.stop_s, self.clock.spent_s + share * self.clock.left_s)

    def best(self) -> Repair | None:
        """The most likely repair, edits that may only silence the tests last."""
        ordered = sorted(self.accepted, key=lambda repair: (repair.candidate.is_overfitting, -repair.candidate.score))
        return next(iter(ordered), None)

    def best_partial(self) -> Repair | None:
        """The partial repair that mends most, if a fresh run of the suite agrees that it mends something."""
        ordered = sorted(self.partial, key=lambda item: (-item[0], item[1].is_overfitting, -item[1].score))
        for _, candidate, rank in ordered[:5]:
            result = confirmed(self.root, candidate, self.diagnosis, self.clock.left_s)
            if result is not None and len(result.failing) < len(self.diagnosis.failing):
                return Repair(candidate, rank, result)
        return None


def confirmed(root: Path, candidate: Candidate, diagnosis: Diagnosis, limit_s: float) -> Result | None:
    """The suite's result with the edit, in a fresh interpreter and a fresh copy; None if it breaks anything."""
    with workplace() as fresh:
        target = copy(root, fresh)
        (target / candidate.source.path).write_bytes(candidate.source.changed(candidate.edit).data())
        try:
            result = run(target, launch=diagnosis.launch, limit_s=limit_s)
        except SuiteError:
            return None
    before = {test.nodeid for test in diagnosis.result.passing}
    after = {test.nodeid for test in result.passing}
    new = {test.nodeid for test in result.failing} - {test.nodeid for test in diagnosis.failing}
    return None if result.errors or new or not before <= after else result


def search(
    root: Path, diagnosis: Diagnosis, hints: Hints, *, clock: Clock, tally: Tally, refuted: AbstractSet[str]
) -> tuple[Repair | None, bool]:
    """The best single edit of the repository at `root`, and whether it mends everything."""
    with workplace() as place:
        ground = Ground(root, diagnosis.launch, diagnosis.result.modules, start_s=2.0)
        screening = Screening(diagnosis)
        round_ = Round(diagnosis, root, clock, tally, refuted, screening, stop_s=clock.budget_s)
        candidates = enumerate(ranked(root, diagnosis.spectrum, hints), start=1)
        in_threads(ground, place, screening, lambda worker: round_.work(worker, candidates))
        best = round_.best()
        best = best or round_.best_partial()
        return best, best is not None and not best.result.failing


def in_threads(ground: Ground, place: Path, screening: Screening, work: Callable[[Worker], None]) -> None:
    """Run `work` with a worker of its own on up to two cores."""
    with Worker(ground, place / "w1") as first:
        screening.calibrate(first)
        if cores() < 2:
            work(first)
            return
        leading = threading.Thread(target=work, args=(first,), daemon=True)
        leading.start()
        leading.join(ALONE_S)
        if leading.is_alive():
            with Worker(ground, place / "w2") as second:
                work(second)
                leading.join()


def cores() -> int:
    return min(2, len(os.sched_getaffinity(0)))
