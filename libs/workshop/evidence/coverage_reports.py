"""Reads line coverage from coverage.py JSON, Cobertura XML and LCOV, and measures a change by it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from libs.contracts.evidence import CoverageEvidence
from libs.workshop.evidence.reading import (
    Unreadable,
    in_checkout,
    json_tree,
    local_name,
    plain,
    require_readable_size,
    xml_root,
)

LINE_MAX = 10**8


@dataclass(frozen=True)
class Lines:
    """Line numbers of one file that ran and that could have run but did not; they never overlap."""

    covered: frozenset[int] = frozenset()
    missing: frozenset[int] = frozenset()

    @property
    def runnable(self) -> frozenset[int]:
        return self.covered | self.missing

    def merged(self, other: "Lines") -> "Lines":
        covered = self.covered | other.covered
        return Lines(covered, (self.missing | other.missing) - covered)


FileCoverage = dict[str, Lines]


def read_coverage(data: bytes, *, files: Collection[str] = frozenset()) -> FileCoverage:
    """Lines by path relative to the checkout; `files` (what the checkout holds) settles paths that are ambiguous.

    Raises: Unreadable for anything broken or of a format that is none of the three.
    """
    require_readable_size(data, "coverage")
    text = _start(data)
    if text.startswith("<"):
        return _read_cobertura(data, files)
    if text.startswith("{"):
        return _read_json(data, files)
    if text.startswith(("TN:", "SF:")):
        return _read_lcov(data, files)
    raise Unreadable("coverage_unknown_format", "The coverage report is neither coverage.py JSON, Cobertura nor LCOV.")


def merge_coverage(reports: Sequence[FileCoverage]) -> FileCoverage:
    """One coverage from several: a line ran if any report says so."""
    merged: FileCoverage = {}
    for report in reports:
        for path, lines in report.items():
            merged[path] = merged.get(path, Lines()).merged(lines)
    return merged


def coverage_evidence(
    coverage: FileCoverage,
    *,
    changed: Mapping[str, frozenset[int]] | None = None,
    is_left_out: Callable[[str], bool] = lambda _path: False,
) -> CoverageEvidence:
    """Totals over all files that count; the changed lines are those of the change that could run."""
    counted = {path: lines for path, lines in coverage.items() if not is_left_out(path)}
    touched = (
        None if changed is None else [(counted[path], numbers) for path, numbers in changed.items() if path in counted]
    )
    return CoverageEvidence(
        covered_count=sum(len(lines.covered) for lines in counted.values()),
        lines_count=sum(len(lines.runnable) for lines in counted.values()),
        changed_covered_count=None if touched is None else sum(len(lines.covered & ours) for lines, ours in touched),
        changed_lines_count=None if touched is None else sum(len(lines.runnable & ours) for lines, ours in touched),
    )


def _start(data: bytes) -> str:
    """The first characters, whatever the encoding, to tell the format by."""
    return data[:400].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").decode("latin-1")


def _read_json(data: bytes, files: Collection[str]) -> FileCoverage:
    tree = json_tree(data, "coverage")
    reported = tree.get("files") if isinstance(tree, dict) else None
    if not isinstance(reported, dict):
        raise Unreadable("coverage_unknown_format", "The coverage report is JSON, but not of coverage.py: no `files`.")
    return merge_coverage([{_resolved(path, (), files): _json_lines(path, file)} for path, file in reported.items()])


def _json_lines(path: str, file: Any) -> Lines:
    if not isinstance(file, dict):
        raise _malformed(path)
    covered = _line_numbers(path, file.get("executed_lines"))
    return Lines(covered, _line_numbers(path, file.get("missing_lines")) - covered)


def _line_numbers(path: str, numbers: Any) -> frozenset[int]:
    if not isinstance(numbers, list) or not all(type(number) is int and 0 <= number < LINE_MAX for number in numbers):
        raise _malformed(path)
    return frozenset(numbers)


def _malformed(path: str) -> Unreadable:
    return Unreadable("coverage_malformed", f"The coverage report's entry for {plain(path, 200)!r} is not readable.")


def _read_cobertura(data: bytes, files: Collection[str]) -> FileCoverage:
    root = xml_root(data, "coverage")
    if local_name(root) != "coverage":
        raise Unreadable("coverage_wrong_root", f"The coverage report starts with <{plain(local_name(root), 60)}>.")
    sources = [(element.text or "").strip() for element in _named(root, "source")]
    return merge_coverage([_class_lines(element, sources, files) for element in _named(root, "class")])


def _class_lines(element: Element, sources: Sequence[str], files: Collection[str]) -> FileCoverage:
    path = element.get("filename")
    if not path:
        raise Unreadable("coverage_malformed", "The coverage report holds a class without a file name.")
    hits = [(_number(path, line.get("number")), _number(path, line.get("hits"))) for line in _named(element, "line")]
    covered = frozenset(number for number, count in hits if count)
    return {_resolved(path, sources, files): Lines(covered, frozenset(number for number, _ in hits) - covered)}


def _number(path: str, text: str | None) -> int:
    stripped = (text or "").strip()
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) < 20):
        raise _malformed(path)
    return int(stripped)


def _named(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if local_name(element) == name]


def _resolved(path: str, sources: Sequence[str], files: Collection[str]) -> str:
    """The path in the checkout: the first spelling that names one of its files, else the likeliest."""
    spellings = [in_checkout(path, (source,)) for source in sources] + [in_checkout(path)]
    known = next((spelling for spelling in spellings if spelling in files), None)
    if known is not None:
        return known
    return next((spelling for spelling in spellings if not spelling.startswith(("/", ".."))), spellings[0])


@dataclass
class _LcovFile:
    path: str
    hits: dict[int, int] = field(default_factory=dict)

    def lines(self) -> Lines:
        covered = frozenset(number for number, count in self.hits.items() if count)
        return Lines(covered, frozenset(self.hits) - covered)


def _read_lcov(data: bytes, files: Collection[str]) -> FileCoverage:
    found: list[FileCoverage] = []
    current: _LcovFile | None = None
    for line in data.decode("utf-8", "replace").splitlines():
        key, _, value = line.strip().partition(":")
        if key == "SF":
            current = _LcovFile(value)
        elif key == "DA" and current is not None:
            number, _, rest = value.partition(",")
            count = rest.partition(",")[0]
            place = _number(current.path, number)
            current.hits[place] = current.hits.get(place, 0) + _number(current.path, count)
        elif key == "end_of_record" and current is not None:
            found.append({_resolved(current.path, (), files): current.lines()})
            current = None
    if current is not None:
        raise Unreadable("coverage_malformed", "The coverage report is LCOV that ends inside a record.")
    return merge_coverage(found)
