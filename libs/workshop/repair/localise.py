"""Spectrum-based fault localisation: how suspicious each line is, from which tests ran it.

Theory (Ochiai): a line that many failing and few passing tests ran is suspect; the score is failing runs over the
root of (all failing tests x all runs of the line). With several defects each failing test accuses for itself too, and
the highest accusation counts. Lines that only ran at import (constants, signatures, decorators) belong to no test;
they inherit from the functions around them or that use their names.
"""

import ast
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from .site import COMPOUND, Function, Hints, Module, Site, bindings
from .source import bodies
from .suite import Result

IMPORT_SHARE = 0.75
BINDING_SHARE = 0.88
MENTIONED = 1.2
RAISED_HERE = 1.25


@dataclass(frozen=True)
class Suspect:
    file: str
    line: int
    score: float


@dataclass(frozen=True)
class Spectrum:
    """Which tests ran which lines of the repository's own source (no tests, no conftest)."""

    result: Result
    targets: frozenset[str]
    """The failing tests, as pytest names them."""

    @cached_property
    def bad(self) -> frozenset[int]:
        return frozenset(n for n, nodeid in enumerate(self.result.order) if nodeid in self.targets)

    @cached_property
    def good(self) -> frozenset[int]:
        passing = {test.nodeid for test in self.result.passing}
        return frozenset(n for n, nodeid in enumerate(self.result.order) if nodeid in passing)

    @cached_property
    def files(self) -> list[str]:
        """Source files that a failing test ran or imported, most suspicious first."""
        tests = set(self.result.files.values())
        scored = {path: self.file_score(path) for path in self.result.lines if not is_test(path, tests)}
        return sorted((path for path, score in scored.items() if score > 0), key=lambda path: (-scored[path], path))

    def file_score(self, path: str) -> float:
        return max((self.score(path, line) for line in self.result.lines[path]), default=0.0)

    def runners(self, path: str, line: int) -> frozenset[int]:
        return frozenset(self.result.lines.get(path, {}).get(line, ()))

    def score(self, path: str, line: int) -> float:
        """Suspicion of a line, 0 to 1; 0 if no failing test ran it."""
        runners = self.runners(path, line)
        guilty, innocent = len(runners & self.bad), len(runners & self.good)
        if not guilty:
            return 0.0
        return max(guilty / math.sqrt(len(self.bad) * (guilty + innocent)), 1 / math.sqrt(1 + innocent))

    @cached_property
    def has_common_line(self) -> bool:
        """Whether some line is run by every failing test, so that one edit may mend them all."""
        return any(self.bad <= set(runners) for path in self.files for runners in self.result.lines[path].values())

    def suspects(self, limit: int = 20) -> list[Suspect]:
        found = [
            Suspect(path, line, round(self.score(path, line), 4))
            for path in self.files
            for line in self.result.lines[path]
            if self.score(path, line) > 0
        ]
        return sorted(found, key=lambda item: (-item.score, item.file, item.line))[:limit]


def is_test(path: str, collected: Collection[str]) -> bool:
    """Whether a file belongs to the tests, which are never suspects and never edited."""
    pure = PurePosixPath(path)
    named = pure.name.startswith("test_") or pure.stem.endswith("_test") or pure.name in {"conftest.py", "tests.py"}
    return named or path in collected or bool({"tests", "test"} & set(pure.parts[:-1]))


def header_lines(statement: ast.stmt) -> range:
    """The lines of a statement without the blocks under it."""
    last = statement.end_lineno or statement.lineno
    if isinstance(statement, (*COMPOUND, Function, ast.ClassDef)):
        inner = [block[0].lineno for block in bodies(statement)]
        last = max(statement.lineno, min(inner, default=last + 1) - 1)
    first = min([statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", []))])
    return range(first, last + 1)


class Judge:
    """Scores the statements of one file."""

    def __init__(self, spectrum: Spectrum, module: Module, hints: Hints) -> None:
        self._spectrum = spectrum
        self._module = module
        self._hints = hints
        self._path = module.source.path
        self._raised = raised_lines(spectrum)

    def score(self, site: Site) -> float:
        """Suspicion of a statement; may exceed 1 when the issue names its function or an exception came from it."""
        statement = site.statement
        if site.function is not None and not isinstance(statement, Function | ast.ClassDef):
            score = self._highest(header_lines(statement))
            if isinstance(statement, ast.Try):
                score = max(score, self._highest(range(statement.lineno, (statement.end_lineno or 0) + 1)))
        else:
            score = self._inherited(site)
        return score * self._mentions(site) * self._blame(statement)

    def _highest(self, lines: range) -> float:
        return max((self._spectrum.score(self._path, line) for line in lines), default=0.0)

    def _inherited(self, site: Site) -> float:
        """A definition's own body, or the most suspicious line that uses what the statement binds."""
        statement = site.statement
        if isinstance(statement, Function | ast.ClassDef):
            return IMPORT_SHARE * self._highest(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
        bound = [name for name in bindings(statement) if name.isidentifier()]
        if not bound:
            return IMPORT_SHARE * 0.3 * self._spectrum.file_score(self._path)
        used = re.compile(rf"\b(?:{'|'.join(map(re.escape, bound))})\b")
        lines = self._module.source.lines
        users = [number for number, line in enumerate(lines, 1) if used.search(line)]
        own = header_lines(statement)
        direct = max((self._spectrum.score(self._path, line) for line in users if line not in own), default=0.0)
        return BINDING_SHARE * max(direct, 0.3 * self._spectrum.file_score(self._path))

    def _mentions(self, site: Site) -> float:
        names = {site.function.name if site.function else "", site.owner.name if site.owner else ""}
        return MENTIONED if names & self._hints.words else 1.0

    def _blame(self, statement: ast.stmt) -> float:
        return RAISED_HERE if any((self._path, line) in self._raised for line in header_lines(statement)) else 1.0


def raised_lines(spectrum: Spectrum) -> set[tuple[str, int]]:
    """For each failing test the innermost place in the source that its exception went through."""
    tests = set(spectrum.result.files.values())
    found = set()
    for test in spectrum.result.failing:
        places = [frame for frame in test.frames if not is_test(frame[0], tests)]
        found.update(places[-1:])
    return found
