"""The whole backtest of an export: read, walked by as many processes as help, and counted."""

import contextlib
import gc
import io
import json
import mmap
import multiprocessing
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from libs.contracts.export import BrokenLine
from libs.contracts.facts import RunStarted
from libs.contracts.history import Unread
from libs.contracts.wire import Recorded
from libs.contracts.words import Level
from libs.contracts.workflow import Policy, policy_digest
from services.gatekeeper.backtest.alternative import Alternative
from services.gatekeeper.backtest.reading import Data, Index, Lines, Reader, Span, index_of, parts_of
from services.gatekeeper.backtest.sides import Tally, summary
from services.gatekeeper.backtest.walk import story, walk
from services.gatekeeper.readiness.labels import labels_by_run, labels_of

ALONE: Final = 400
"""Runs up to which one process is done before others have begun."""
LARGE: Final = 16_000_000
"""Bytes of an export from which on several processes look for what matters."""
PIECES: Final = 8
"""Pieces of work for each process, so that all end at about the same time."""


@dataclass(frozen=True)
class Asked:
    """What is to be replayed: by which policies, at which level, and which runs."""

    policies: tuple[tuple[str, Policy], ...]
    level: Level | None = None
    since: float | None = None
    repositories: tuple[str, ...] = ()

    @staticmethod
    def of(options: Mapping[str, str]) -> "Asked":
        """`policies` names a file that holds a list of `{file, policy}`, `repositories` is a JSON list of paths."""
        given = json.loads(Path(options["policies"]).read_bytes())
        return Asked(
            tuple((one["file"], Policy.model_validate(one["policy"])) for one in given),
            Level(options["level"]) if "level" in options else None,
            float(options["since"]) if "since" in options else None,
            tuple(json.loads(options.get("repositories", "[]"))),
        )


def backtest(source: BinaryIO, options: Mapping[str, str]) -> dict[str, Any]:
    """What other policies would have made of the runs in an export.

    Raises:  BrokenLine.
    """
    asked = Asked.of(options)
    with _whole(source) as data:
        begun = time.monotonic()
        index = _indexed(data)
        indexed_s = time.monotonic() - begun
        tally = Backtest(data, index, asked).tally()
    return report(asked, tally) | {"seconds": round(time.monotonic() - begun, 3), "indexed_s": round(indexed_s, 3)}


def report(asked: Asked, tally: Tally) -> dict[str, Any]:
    return {
        "policies": [{"file": file, "digest": policy_digest(policy)} for file, policy in asked.policies],
        "level": asked.level,
        "since": asked.since,
        "repositories": list(tally.repositories),
        "runs": tally.runs,
        "same": tally.same,
        "different": tally.different,
        "cannot_tell": tally.cannot_tell,
        "warnings": list(tally.warnings),
        "summary": summary(tally),
    }


class Backtest:
    """Walks the runs of an index, alone or by several processes that share what has been read."""

    def __init__(self, data: Data, index: Index, asked: Asked) -> None:
        self._asked = asked
        self._reader = Reader(data)
        self._runs = [
            (run, lines) for run, lines in index.runs.items() if asked.since is None or lines.started >= asked.since
        ]
        self._labels = labels_by_run(one for one in self._reader.read(index.labels) if isinstance(one, Recorded))
        self._alternatives = [Alternative(policy, policy_digest(policy), asked.level) for _, policy in asked.policies]

    def tally(self) -> Tally:
        whole = Tally()
        for part in self._parts():
            whole.add(part)
        return whole

    def _parts(self) -> Iterator[Tally]:
        global _SHARED  # noqa: PLW0603 - what is forked finds it here; nothing of it is sent
        workers = _workers()
        if len(self._runs) <= ALONE or workers == 1:
            yield self.over(0, 1)
            return
        _SHARED = self
        pieces = workers * PIECES
        with _pool(workers) as pool:
            yield from pool.map(_over, range(pieces), [pieces] * pieces)

    def over(self, piece: int, pieces: int) -> Tally:
        """One piece of the work: runs that stand together in the log."""
        count = len(self._runs)
        tally = Tally()
        for run, lines in self._runs[piece * count // pieces : (piece + 1) * count // pieces]:
            self._take(tally, run, lines)
        return tally

    def _take(self, tally: Tally, run: str, lines: Lines) -> None:
        read = self._reader.read(lines.spans)
        facts = [one for one in read if isinstance(one, Recorded)]
        begun = next((one.fact for one in facts if isinstance(one.fact, RunStarted)), None)
        if self._asked.repositories and (begun is None or begun.repository not in self._asked.repositories):
            return
        if begun is not None:
            tally.repositories[begun.repository] = None
        unread = next((one for one in read if isinstance(one, Unread)), None)
        if unread is not None:
            title = begun.title if begun else None
            tally.cannot_read(run, title, lines.started, f"a fact cannot be read: {unread.reason}")
        elif begun is None:
            tally.cannot_read(run, None, lines.started, "the fact that began the run is not in the log")
        else:
            self._walk(tally, run, facts, begun)

    def _walk(self, tally: Tally, run: str, facts: Sequence[Recorded], begun: RunStarted) -> None:
        told = story(facts, begun)
        lenses = [alternative.over(begun) for alternative in self._alternatives]
        for lens in lenses:
            tally.warnings |= dict.fromkeys(lens.pair.warnings)
        tally.take(told, labels_of(self._labels.get(run, ())), [walk(told, lens) for lens in lenses])


_SHARED: Any = None
"""What the processes that are forked next work on."""


def _indexed(data: Data) -> Index:
    """Raises:  BrokenLine."""
    global _SHARED  # noqa: PLW0603 - what is forked finds it here; nothing of it is sent
    workers = _workers()
    if workers == 1 or len(data) < LARGE:
        return index_of(data)
    _SHARED = data
    index = Index()
    try:
        with _pool(workers) as pool:
            for part in pool.map(_index, parts_of(data, workers)):
                index.take_in(part)
    except BrokenLine:
        return index_of(data)  # which names the line by its number in the whole
    return index


def _index(part: Span) -> Index:
    return index_of(_SHARED, *part)


def _over(piece: int, pieces: int) -> Tally:
    tally: Tally = _SHARED.over(piece, pieces)
    return tally


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), initializer=gc.disable)


def _workers() -> int:
    """How many processes may share the work; one where they could not share what is read."""
    return _processors() if "fork" in multiprocessing.get_all_start_methods() else 1


def _processors() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _whole(source: BinaryIO) -> Iterator[Data]:
    """All of a source in a way that lets any part be read: a file as it lies, anything else by way of one."""
    try:
        is_file = stat.S_ISREG(os.fstat(source.fileno()).st_mode) and source.tell() == 0
    except (OSError, io.UnsupportedOperation):
        yield source.read()
        return
    if is_file:
        with _mapped(source) as data:
            yield data
        return
    with tempfile.TemporaryFile() as copy:
        while block := source.read(1 << 20):
            copy.write(block)
        copy.flush()
        with _mapped(copy) as data:
            yield data


@contextlib.contextmanager
def _mapped(file: Any) -> Iterator[Data]:
    if os.fstat(file.fileno()).st_size == 0:
        yield b""
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data
