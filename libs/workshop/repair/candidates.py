"""All edits worth trying, most likely first, each with what a server needs to know to try it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from . import mutations
from .localise import Judge, Spectrum, header_lines
from .site import Function, Hints, Module, Site, sites
from .source import Edit, Source, digest, load

OVERFITTING = frozenset(
    {"delete", "guard", "condition", "return", "branch", "ending", "repeat", "lookup", "drop operand"}
)
FILES_MAX = 60
SITES_FIRST = 150
SITES_MAX = 600
SUSPICION_POWER = 1.5


@dataclass(frozen=True)
class Candidate:
    """One edit of one file, with its score (suspicion x prior)."""

    source: Source = field(repr=False)
    edit: Edit
    score: float
    line: int
    lines: range
    unit: ast.stmt = field(repr=False)
    is_cold: bool
    """Whether the edit changes what is computed at import, so that the module must be imported anew."""
    is_elsewhere: bool
    """Whether the line runs at import, so that any test may depend on it."""

    @cached_property
    def text(self) -> str:
        return self.source.edited(self.edit)

    @cached_property
    def digest(self) -> str:
        return digest(self.source.path, self.text)

    @property
    def is_overfitting(self) -> bool:
        """Whether such an edit often silences a test instead of mending what it tests."""
        return self.edit.kind in OVERFITTING

    def units(self) -> tuple[int, str, str]:
        """First line, old and new text of the top-level statement that holds the edit."""
        start, end = self.source.line_span(self.unit)
        first = self.source.text.count("\n", 0, start) + 1
        change = len(self.edit.text) - (self.edit.end - self.edit.start)
        return first, self.source.text[start:end], self.text[start : end + change]


def ranked(root: Path, spectrum: Spectrum, hints: Hints) -> Iterator[Candidate]:
    """Candidates of all suspect files, most likely first, each resulting text once."""
    scored: list[tuple[float, Site]] = []
    for path in spectrum.files[:FILES_MAX]:
        source = None if (root / path).is_symlink() else load(root, path)
        if source is not None:
            module = Module(source)
            judge = Judge(spectrum, module, hints)
            scored += [(judge.score(site), site) for site in sites(module, hints)]
    worth = sorted((item for item in scored if item[0] > 0), key=lambda item: -item[0])[:SITES_MAX]
    seen: set[tuple[str, int, int, str]] = set()
    for portion in (worth[:SITES_FIRST], worth[SITES_FIRST:]):
        found = [candidate for score, site in portion for candidate in _of_site(site, score, spectrum)]
        found.sort(key=lambda candidate: (-candidate.score, len(candidate.edit.text), candidate.edit.start))
        for candidate in found:
            key = (candidate.source.path, candidate.edit.start, candidate.edit.end, candidate.edit.text)
            if key not in seen:
                seen.add(key)
                yield candidate


def _of_site(site: Site, score: float, spectrum: Spectrum) -> Iterator[Candidate]:
    top = site.statement if len(site.ancestors) == 1 else site.ancestors[-2]
    if not isinstance(top, ast.stmt):
        return
    lines = header_lines(site.statement)
    runs_at_import = any(-1 in spectrum.runners(site.source.path, line) for line in lines)
    inside = site.function is not None and not isinstance(site.statement, Function | ast.ClassDef)
    body = inner_span(site) if inside else (0, 0)
    for edit in mutations.edits(site):
        is_warm = body[0] <= edit.start and edit.end <= body[1] and not runs_at_import
        yield Candidate(
            source=site.source,
            edit=edit,
            score=score**SUSPICION_POWER * edit.prior,
            line=site.statement.lineno,
            lines=lines,
            unit=top,
            is_cold=not is_warm,
            is_elsewhere=not inside or runs_at_import,
        )


def inner_span(site: Site) -> tuple[int, int]:
    """The body of the outermost function around the statement: an edit there can be put into the loaded function."""
    functions = [node for node in site.ancestors if isinstance(node, Function)]
    outermost = functions[-1]
    first, last = outermost.body[0], outermost.body[-1]
    return site.source.line_span(first)[0], site.source.line_span(last)[1]
