"""YAML text as a tree of places: every value knows the line it stands on and the dotted path to it.

Only YAML's node graph is used, never its constructors, so text stays text until a reader asks for
a type. What would make a small text large (nesting, aliases, cycles) is refused before anything is
read. A reader of a single value raises `Misfit`; the place it reads for adds it to the findings and
goes on with the default, so that one reading finds every problem of a file.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, TypeVar

import yaml

from libs.contracts.workflow.parts import WorkflowProblem

SIZE_MAX: Final = 256 * 1024
DEPTH_MAX: Final = 32
NODES_MAX: Final = 20_000

T = TypeVar("T")

_PLAIN_SENTENCES: Final = {
    "mapping values are not allowed here": "a colon or an indentation is out of place here",
    "could not find expected ':'": "a key without a colon, or a line that is indented wrongly",
    "expected <block end>, but found '<block mapping start>'": "this line is indented deeper than the lines before it",
    "expected <block end>, but found '-'": "a list item stands where a key is expected",
    "expected <block end>, but found '?'": "a key stands where a list item is expected",
    "found unexpected end of stream": "a quote or bracket is never closed",
}

_SEEN_LATE: Final = {"could not find expected ':'", "found unexpected end of stream"}
"""Problems that show only lines after the place where they begin."""


class Misfit(ValueError):
    """A value that cannot be what its place asks for; the message is the end of a sentence about it."""


class Unreadable(ValueError):
    """A text that is no YAML tree; `line` counts from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        self.line = line
        super().__init__(message)


@dataclass
class Findings:
    """What is wrong in a file, each thing once, in the order of lines; files that it names come after it."""

    file: str
    found: dict[WorkflowProblem, None] = field(default_factory=dict)

    def add(self, line: int, path: str, message: str, *, is_warning: bool = False) -> None:
        problem = WorkflowProblem(file=self.file, line=line, field=path, message=message, is_warning=is_warning)
        self.found.setdefault(problem)

    @property
    def has_errors(self) -> bool:
        return any(not problem.is_warning for problem in self.found)

    def in_order(self) -> tuple[WorkflowProblem, ...]:
        return tuple(sorted(self.found, key=lambda problem: (problem.file != self.file, problem.file, problem.line)))


@dataclass(frozen=True)
class Place:
    """A value of the file with its line, its path, and where to say what is wrong with it."""

    node: yaml.Node
    line: int
    path: str
    findings: Findings

    def refuse(self, message: str) -> None:
        self.findings.add(self.line, self.path, message)

    def warn(self, message: str) -> None:
        self.findings.add(self.line, self.path, message, is_warning=True)

    def read(self, reader: Callable[["Place"], T], default: T) -> T:
        """The value, or the default once the misfit is noted."""
        try:
            return reader(self)
        except Misfit as misfit:
            self.refuse(str(misfit))
            return default

    def child(self, key: str, node: yaml.Node, line: int) -> "Place":
        return Place(node, line, f"{self.path}.{_shown_key(key)}" if self.path else _shown_key(key), self.findings)

    def items(self) -> "list[Place]":
        """The places of a list, in order."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise Misfit(f"must be a list, not {shown(self.node)}")
        return [
            Place(item, item.start_mark.line + 1, f"{self.path}[{index}]", self.findings)
            for index, item in enumerate(self.node.value)
        ]

    def entries(self) -> "dict[str, Place]":
        """The places of a map by key; a key said twice is noted, the first one counts."""
        if not isinstance(self.node, yaml.MappingNode):
            raise Misfit(f"must be a map of keys and values, not {shown(self.node)}")
        places: dict[str, Place] = {}
        merged: list[Place] = []
        for key_node, value in self.node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged.append(Place(value, line, self.path, self.findings))
            elif not isinstance(key_node, yaml.ScalarNode):
                self.findings.add(line, self.path, "a key must be one word, not a list or a map")
            elif key_node.value in places:
                place = self.child(key_node.value, value, line)
                place.refuse(f"is said twice; the first time on line {places[key_node.value].line}")
            else:
                places[key_node.value] = self.child(key_node.value, value, line)
        for place in merged:
            _merge(places, place)
        return places


def _merge(places: dict[str, Place], merged: Place) -> None:
    """Add what `<<` brings in: a key that is already there wins."""
    sources = merged.items() if isinstance(merged.node, yaml.SequenceNode) else [merged]
    for source in sources:
        nothing: dict[str, Place] = {}
        for key, place in source.read(Place.entries, nothing).items():
            places.setdefault(key, place)


class Table:
    """A map whose keys are known in advance; every other key is refused with the nearest known one."""

    def __init__(self, place: Place, known: Collection[str]) -> None:
        self.place = place
        self.entries = place.entries()
        for key in [key for key in self.entries if key not in known]:
            self.entries.pop(key).refuse(unknown("key", key, known))

    def read(self, key: str, reader: Callable[[Place], T], default: T) -> T:
        place = self.entries.get(key)
        return default if place is None else place.read(reader, default)

    def optional(self, key: str, reader: Callable[[Place], T]) -> T | None:
        place = self.entries.get(key)
        if place is None:
            return None
        value: T | None = place.read(reader, None)
        return value


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """The sentence that refuses a name, with the nearest known one if any is near."""
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.65)
    return f"unknown {kind}; did you mean {near[0]}?" if near else f"unknown {kind}; known here: {', '.join(known)}"


def find(root: Place, path: Iterable[str]) -> Place | None:
    """The place under these keys, if the file says anything there; notes nothing."""
    place: Place | None = root
    for key in path:
        if place is None or not isinstance(place.node, yaml.MappingNode):
            return None
        silent = Place(place.node, place.line, place.path, Findings(place.findings.file))
        found = silent.entries().get(key)
        place = found and Place(found.node, found.line, found.path, root.findings)
    return place


def shown(node: yaml.Node) -> str:
    """A value as a sentence names it, short and on one line."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a map"
    text = str(node.value)
    if node.tag == "tag:yaml.org,2002:null":
        return "nothing"
    if node.tag.rpartition(":")[2] in {"bool", "int", "float"} and len(text) <= 40:
        return text
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _shown_key(key: str) -> str:
    short = key if len(key) <= 60 else key[:57] + "..."
    return short if short.isprintable() and short else repr(short)


class _BoundedLoader(yaml.SafeLoader):
    """Composes nodes only as deep as a workflow may be, so that no text exhausts the stack."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise Unreadable(f"is nested deeper than {DEPTH_MAX} levels", self.line + 1)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def documents(text: str | bytes) -> list[yaml.Node]:
    """The documents of a text that hold anything; raises `Unreadable` for what is no tree of plain values."""
    decoded = _decoded(text)
    try:
        loader = _BoundedLoader(decoded)
        nodes = list(_nodes(loader))
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        code = f"U+{ord(decoded[error.position]):04X}"
        raise Unreadable(f"holds a character ({code}) that YAML does not allow", line) from None
    except yaml.MarkedYAMLError as error:
        raise _explained(error, decoded) from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("is not YAML: an escape or a directive holds a number out of range") from None
    for node in nodes:
        _Bounds().measure(node)
    return [node for node in nodes if not _is_empty(node)]


def _nodes(loader: _BoundedLoader) -> Iterator[yaml.Node]:
    while loader.check_node():
        node = loader.get_node()
        if node is not None:
            yield node


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _decoded(text: str | bytes) -> str:
    if len(text) > SIZE_MAX:
        raise Unreadable(f"is larger than {SIZE_MAX // 1024} KiB")
    return (text if isinstance(text, str) else _from_utf8(text)).removeprefix("\ufeff")


def _from_utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("is not UTF-8 text", raw.count(b"\n", 0, error.start) + 1) from None


def _explained(error: yaml.MarkedYAMLError, text: str) -> Unreadable:
    problem = " ".join((error.problem or error.context or "unknown").split()).replace("'\\x00'", "the end")
    mark = error.problem_mark or error.context_mark
    if problem in _SEEN_LATE:
        mark = error.context_mark or mark
    line = mark.line + 1 if mark else 1
    if mark and text[mark.index : mark.index + 1] == "\t":
        return Unreadable(f"a tab indents line {line}; YAML takes spaces", line)
    return Unreadable(f"is not YAML: {_PLAIN_SENTENCES.get(problem, problem)}", line)


class _Bounds:
    """Measures a node graph as if every alias were written out."""

    def __init__(self) -> None:
        self.sizes: dict[int, tuple[int, int]] = {}
        self.open: set[int] = set()

    def measure(self, node: yaml.Node) -> tuple[int, int]:
        """Count of values and depth; raises `Unreadable` beyond the bounds."""
        line = node.start_mark.line + 1
        if id(node) in self.open:
            raise Unreadable("an alias refers to a value that holds it", line)
        if id(node) not in self.sizes:
            self.open.add(id(node))
            _check(node, line)
            inner = [self.measure(child) for child in _children(node)]
            self.open.discard(id(node))
            self.sizes[id(node)] = (
                1 + sum(size for size, _ in inner),
                1 + max((depth for _, depth in inner), default=0),
            )
        size, depth = self.sizes[id(node)]
        if size > NODES_MAX or depth > DEPTH_MAX:
            raise Unreadable("its values, with every alias written out, are too many or nested too deep", line)
        return size, depth


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


def _check(node: yaml.Node, line: int) -> None:
    if not node.tag.startswith("tag:yaml.org,2002:") or "python/" in node.tag:
        raise Unreadable(f"a tag ({node.tag[:40]!r}) stands before a value; write the plain value", line)
    if isinstance(node, yaml.ScalarNode):
        bad = next((char for char in node.value if char == "\0" or "\ud800" <= char <= "\udfff"), None)
        if bad is not None:
            raise Unreadable(f"a value holds a character (U+{ord(bad):04X}) that cannot be used", line)
