"""Reads line coverage in the formats that tools write, and measures a change by it.

Cobertura, JaCoCo and Clover XML, LCOV, coverage.py JSON and Istanbul's own JSON. Only whether a line
ran counts; branches and functions are not looked at. A report that says of itself that it holds more
lines than it shows has lost some and is refused.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

from libs.contracts.evidence import CoverageEvidence
from libs.workshop.evidence.reading import Unreadable, in_checkout, plain, require_readable_size
from libs.workshop.evidence.streams import json_tree, local_name, xml_events

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

    Raises: Unreadable for anything broken or of another format.
    """
    require_readable_size(data, "coverage")
    text, places = _start(data), _Places(files)
    if text.startswith("<"):
        return _read_xml(data, places)
    if text.startswith("{"):
        return _read_json(data, places)
    if text.startswith(LCOV_STARTS):
        return _read_lcov(data, places)
    raise Unreadable(
        "coverage_unknown_format",
        "The coverage report is neither Cobertura, JaCoCo, Clover, LCOV nor JSON of coverage.py or Istanbul.",
    )


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


class _Places:
    """Where files of a report lie in the checkout: the spelling that names one of its files, else the likeliest."""

    def __init__(self, files: Collection[str]) -> None:
        self._files = files

    def resolve(self, path: str, sources: Sequence[str] = ()) -> str:
        spellings = [in_checkout(path, (source,)) for source in sources] + [in_checkout(path)]
        known = next((spelling for spelling in spellings if spelling in self._files), None)
        if known is not None:
            return known
        return next((spelling for spelling in spellings if not spelling.startswith(("/", ".."))), spellings[0])

    def ending_with(self, path: str) -> str:
        """The only file of the checkout with this end, for reports that name packages and not directories."""
        ends = [file for file in self._by_name.get(PurePosixPath(path).name, ()) if f"/{file}".endswith(f"/{path}")]
        return ends[0] if len(ends) == 1 else in_checkout(path)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        named: dict[str, list[str]] = {}
        for file in self._files:
            named.setdefault(PurePosixPath(file).name, []).append(file)
        return named


def _read_json(data: bytes, places: _Places) -> FileCoverage:
    tree = json_tree(data, "coverage")
    reported = tree.get("files") if isinstance(tree, dict) else None
    if isinstance(reported, dict):
        return merge_coverage([{places.resolve(path): _json_lines(path, file)} for path, file in reported.items()])
    if (
        isinstance(tree, dict)
        and tree
        and all(isinstance(file, dict) and "statementMap" in file for file in tree.values())
    ):
        return merge_coverage([{places.resolve(path): _istanbul_lines(path, file)} for path, file in tree.items()])
    raise Unreadable("coverage_unknown_format", "The coverage report is JSON, but neither of coverage.py nor Istanbul.")


def _json_lines(path: str, file: Any) -> Lines:
    if not isinstance(file, dict):
        raise _malformed(path)
    covered = _line_numbers(path, file.get("executed_lines"))
    return Lines(covered, _line_numbers(path, file.get("missing_lines")) - covered)


def _line_numbers(path: str, numbers: Any) -> frozenset[int]:
    if not isinstance(numbers, list) or not all(type(number) is int and 0 <= number < LINE_MAX for number in numbers):
        raise _malformed(path)
    return frozenset(numbers)


def _istanbul_lines(path: str, file: Mapping[str, Any]) -> Lines:
    """A line ran as often as the statement that starts on it, as Istanbul itself counts lines."""
    statements, counts = file["statementMap"], file.get("s")
    if not isinstance(statements, dict) or not isinstance(counts, dict) or statements.keys() != counts.keys():
        raise _malformed(path)
    hits = _Hits(path)
    for key, statement in statements.items():
        start = statement.get("start") if isinstance(statement, dict) else None
        line, count = start.get("line") if isinstance(start, dict) else None, counts[key]
        if type(line) is not int or type(count) is not int or not 0 <= line < LINE_MAX or count < 0:
            raise _malformed(path)
        hits.add(line, count)
    return hits.lines()


def _malformed(path: str) -> Unreadable:
    return Unreadable("coverage_malformed", f"The coverage report's entry for {plain(path, 200)!r} is not readable.")


def _read_xml(data: bytes, places: _Places) -> FileCoverage:
    return merge_coverage(list(_xml_files(data, places)))


@dataclass
class _Hits:
    """How often the lines of one file ran."""

    path: str
    by_line: dict[int, int] = field(default_factory=dict)

    def add(self, line: int, count: int) -> None:
        self.by_line[line] = self.by_line.get(line, 0) + count

    def lines(self) -> Lines:
        covered = frozenset(number for number, count in self.by_line.items() if count)
        return Lines(covered, frozenset(self.by_line) - covered)


def _xml_files(data: bytes, places: _Places) -> Iterator[FileCoverage]:
    """Files one by one: `class` of Cobertura, `sourcefile` of JaCoCo, `file` of Clover, which may hold classes."""
    sources: list[str] = []
    package, root = "", ""
    hits: _Hits | None = None
    opened: Element | None = None
    for event, element in xml_events(data, "coverage"):
        tag = local_name(element)
        if event == "start":
            root = root or _require_coverage_root(tag)
            package = element.get("name", "") if tag == "package" else package
            if opened is None and tag in _FILE_TAGS[root]:
                opened, hits = element, _Hits(_path(element))
        elif tag == "source":
            sources.append((element.text or "").strip())
        elif tag == "line" and hits is not None:
            _add_line(hits, element)
        elif element is opened and hits is not None:
            is_jacoco = tag == "sourcefile"
            path = f"{package}/{hits.path}".lstrip("/") if is_jacoco else hits.path
            yield {places.ending_with(path) if is_jacoco else places.resolve(path, sources): hits.lines()}
            opened, hits = None, None


_FILE_TAGS = {"coverage": frozenset({"class", "file"}), "report": frozenset({"sourcefile"})}
"""Elements that hold the lines of a file, by the root of the document."""


def _require_coverage_root(tag: str) -> str:
    if tag not in _FILE_TAGS:
        raise Unreadable("coverage_wrong_root", f"The coverage report starts with <{plain(tag, 60)}>.")
    return tag


def _path(element: Element) -> str:
    path = element.get("filename") or element.get("path") or element.get("name")
    if not path or (local_name(element) == "class" and not element.get("filename")):
        raise Unreadable("coverage_malformed", "The coverage report holds a class without a file name.")
    return path


def _add_line(hits: _Hits, element: Element) -> None:
    """Cobertura says `number` and `hits`; JaCoCo `nr` and covered instructions; Clover `num` and `count`."""
    attributes = element.attrib
    if "nr" in attributes:
        hits.add(_number(hits.path, attributes["nr"]), _number(hits.path, attributes.get("ci")))
    elif "num" in attributes:
        if attributes.get("type") != "method":
            hits.add(_number(hits.path, attributes["num"]), _clover_count(hits.path, attributes))
    else:
        hits.add(_number(hits.path, attributes.get("number")), _number(hits.path, attributes.get("hits")))


def _clover_count(path: str, attributes: Mapping[str, str]) -> int:
    """A condition of Clover's own has, in place of a count, how often it was true and how often false."""
    if "count" in attributes:
        return _number(path, attributes["count"])
    return _number(path, attributes.get("truecount")) + _number(path, attributes.get("falsecount"))


def _number(path: str, text: str | None) -> int:
    stripped = (text or "").strip()
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) < 20):
        raise _malformed(path)
    return int(stripped)


LCOV_STARTS = ("TN:", "SF:")
_LCOV_KEYS = frozenset(
    ("TN SF VER FN FNDA FNF FNH FNL FNA BRDA BRF BRH BA DA LF LH MCDC MCF MCH").split()  # noqa: SIM905 - one line
)


def _read_lcov(data: bytes, places: _Places) -> FileCoverage:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except ValueError as error:
        raise Unreadable("coverage_malformed", "The coverage report is LCOV that is not UTF-8.") from error
    return merge_coverage(list(_lcov_files(lines, places)))


def _lcov_files(lines: Sequence[str], places: _Places) -> Iterator[FileCoverage]:
    current: _Hits | None = None
    for line in lines:
        key, _, value = line.strip().partition(":")
        if key == "SF":
            _require_no_open(current)
            current = _Hits(value)
        elif key == "end_of_record":
            if current is not None:
                yield {places.resolve(current.path): current.lines()}
            current = None
        elif current is not None:
            _take_lcov(current, key, value)
        elif key and key not in _LCOV_KEYS and not key.startswith("#"):
            raise _unknown_lcov(key)
    _require_no_open(current)


def _require_no_open(current: _Hits | None) -> None:
    if current is not None:
        raise Unreadable("coverage_malformed", "The coverage report is LCOV that ends inside a record.")


def _take_lcov(current: _Hits, key: str, value: str) -> None:
    if key == "DA":
        number, count, *_ = *value.split(","), ""
        current.add(_number(current.path, number), _number(current.path, count))
    elif key == "LF" and _number(current.path, value) > len(current.by_line):
        sentence = f"The coverage report declares {value} lines of {plain(current.path, 200)!r} and shows fewer."
        raise Unreadable("coverage_contradicts", sentence)
    elif key and key not in _LCOV_KEYS and not key.startswith("#"):
        raise _unknown_lcov(key)


def _unknown_lcov(key: str) -> Unreadable:
    return Unreadable("coverage_malformed", f"The coverage report is LCOV with an unknown line {plain(key, 60)!r}.")
