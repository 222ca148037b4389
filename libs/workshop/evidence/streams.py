"""Reads XML and JSON piece by piece, so that a hostile report costs time and memory within bounds.

Theory: what fits into 64 MiB of bytes may take gigabytes as a tree. XML is handed out element by
element and dropped; JSON value by value, decoded from a window that grows only as far as one value
needs. Entities can only be declared before the first element, so the guard against them reads no
further than that. A key that stands twice in an object is refused: two readers could take either.
"""

import codecs
import gc
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from libs.workshop.evidence.text import Unreadable, plain, require_readable_size

XML_DEPTH_MAX = 200
XML_MARKS_MAX = 5_000_000
XML_ATTRIBUTES_MAX = 6_000_000
XML_PIECE_BYTES = 2**20
TAG_ATTRIBUTES_MAX = 100_000
PIECE_TAGS_MIN = 1000
"""A piece with fewer tags, and with more attributes than that, may be all one tag."""
JSON_BRACKETS_MAX = 4_000_000
WINDOW_BYTES = 2**18
MEMBERS_MAX = 100_000
"""Of an object that is entered; one taken whole has no such bound."""


@contextmanager
def without_collection() -> Iterator[None]:
    """Millions of values and not one cycle among them: looking for cycles would take a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _too_many(kind: str, what: str) -> Unreadable:
    return Unreadable(f"{kind}_too_big", f"The {kind} report holds more {what} than are read.")


def xml_events(data: bytes, kind: str) -> Iterator[tuple[str, Element]]:
    """Pairs of `start` or `end` and the element, which is whole at its end except for its children: they are gone.

    Raises: Unreadable for anything broken, too deep, too large, or that declares entities.
    """
    require_readable_size(data, kind)
    if data.count(b"<") > XML_MARKS_MAX or data.count(b"=") > XML_ATTRIBUTES_MAX:
        raise _too_many(kind, "elements")
    whole = data.lstrip()
    try:
        _require_no_entities(whole, kind)
        yield from _without_children(whole, kind)
    except DefusedXmlException as error:
        raise Unreadable(f"{kind}_unsafe", f"The {kind} report defines XML entities, which are refused.") from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise Unreadable(
            f"{kind}_malformed", f"The {kind} report is broken or truncated XML: {plain(str(error), 200)}."
        ) from error
    except MemoryError as error:
        raise _too_many(kind, "elements") from error


class _FirstElementMet(Exception):
    """The prolog is over."""


class _Prolog:
    """A target for the parser that stops it at the first element."""

    def start(self, _tag: str, _attributes: dict[str, str]) -> NoReturn:
        raise _FirstElementMet

    def close(self) -> None:
        """The document holds no element; the real parser says so."""


def _require_no_entities(data: bytes, kind: str) -> None:
    parser = DefusedXMLParser(target=_Prolog(), forbid_entities=True, forbid_external=True)
    try:
        parser.feed(data[:XML_PIECE_BYTES])
        if len(data) > XML_PIECE_BYTES:
            raise _too_many(kind, "attributes or words before its first element")
        parser.close()
    except _FirstElementMet:
        return


def _without_children(data: bytes, kind: str) -> Iterator[tuple[str, Element]]:
    open_elements: list[Element] = []
    for event, element in _events(data, kind):
        if event == "start":
            if len(open_elements) >= XML_DEPTH_MAX:
                raise Unreadable(f"{kind}_too_deep", f"The {kind} report nests more than {XML_DEPTH_MAX} deep.")
            yield event, element
            open_elements.append(element)
            continue
        open_elements.pop()
        yield event, element
        if open_elements:
            open_elements[-1].remove(element)


def _events(data: bytes, kind: str) -> Iterator[tuple[str, Element]]:
    """In large pieces: of a tag that a piece cuts through, the parser looks at the whole once more.

    Parsing one tag takes time by the square of its attributes, so a tag that does not end is not waited for.
    """
    parser: XMLPullParser[Any] = XMLPullParser(("start", "end"))
    attributes_count = 0
    for start in range(0, len(data), XML_PIECE_BYTES):
        piece = data[start : start + XML_PIECE_BYTES]
        attributes_count += piece.count(b"=")
        if attributes_count > TAG_ATTRIBUTES_MAX and piece.count(b"<") < PIECE_TAGS_MIN:
            raise _too_many(kind, "attributes")
        parser.feed(piece)
        for event in parser.read_events():
            attributes_count = 0
            yield cast("tuple[str, Element]", event)
    parser.close()
    yield from (cast("tuple[str, Element]", event) for event in parser.read_events())


def local_name(element: Element) -> str:
    """The tag without its namespace."""
    return str(element.tag).rpartition("}")[2]


def json_tree(data: bytes, kind: str) -> Any:
    """Parse JSON in UTF-8, UTF-16 or UTF-32; anything broken is `Unreadable`."""
    stream = JsonStream(data, kind)
    tree = stream.value()
    stream.end()
    return tree


class JsonStream:
    """A place in a JSON text: objects and lists can be entered, any value can be taken whole.

    Raises: Unreadable, from every method, for anything broken.
    """

    def __init__(self, data: bytes, kind: str) -> None:
        require_readable_size(data, kind)
        if data.count(b"{") + data.count(b"[") > JSON_BRACKETS_MAX:
            raise _too_many(kind, "values")
        self._kind = kind
        self._data = memoryview(data)
        self._read_count = 0
        self._decode = codecs.getincrementaldecoder(_encoding(data))("strict").decode
        self._text, self._at = "", 0
        self._scan = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant).raw_decode

    def peek(self) -> str:
        """The next character that is not space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def value(self) -> Any:
        """The value here, whole."""
        self.peek()
        while True:
            try:
                value, end = self._scan(self._text, self._at)
                if end < len(self._text) or not self._read_on():
                    self._at = end
                    return value
            except ValueError as error:
                if not self._read_on():
                    raise self._malformed(error) from error
            except (RecursionError, MemoryError) as error:
                raise self._malformed(error) from error

    def members(self) -> Iterator[str]:
        """The keys of the object here; after each one, its value has to be taken or entered."""
        met: set[str] = set()
        for _ in self._parts("{", "}"):
            key = self.value() if self.peek() == '"' else None
            if key is None or self.peek() != ":":
                raise self._malformed("a key with its value was expected")
            if key in met:
                raise self._doubled(key)
            if len(met) >= MEMBERS_MAX:
                raise _too_many(self._kind, "members of one object")
            met.add(key)
            self._at += 1
            yield key

    def items(self) -> Iterator[None]:
        """Once for each entry of the list here; each has to be taken or entered."""
        return self._parts("[", "]")

    def end(self) -> None:
        """Nothing may follow."""
        if self.peek():
            raise self._malformed("something follows its end")

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        if self.peek() != opening:
            raise self._malformed(f"{opening} was expected")
        self._at += 1
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            mark = self.peek()
            self._at += 1
            if mark == closing:
                return
            if mark != ",":
                raise self._malformed(f"a comma or {closing} was expected")

    def _read_on(self) -> bool:
        """Widen the window, by at least what is still unread in it, so that a long value is not scanned too often."""
        if self._read_count >= len(self._data):
            return False
        rest = self._text[self._at :]
        until = self._read_count + max(WINDOW_BYTES, 2 * len(rest))
        piece = self._data[self._read_count : until]
        try:
            self._text = rest + self._decode(piece, until >= len(self._data))
        except ValueError as error:
            raise self._malformed(error) from error
        self._at, self._read_count = 0, until
        return True

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            raise self._doubled(next(key for key, count in counts.items() if count > 1))
        return made

    def _constant(self, word: str) -> NoReturn:
        raise self._malformed(f"{word} is no JSON")

    def _doubled(self, key: str) -> Unreadable:
        sentence = f"The {self._kind} report holds the key {plain(key, 60)!r} twice in one object."
        return Unreadable(f"{self._kind}_duplicate_key", sentence)

    def _malformed(self, why: object) -> Unreadable:
        sentence = f"The {self._kind} report is broken or truncated JSON: {plain(str(why), 200) or 'it ends early'}."
        return Unreadable(f"{self._kind}_malformed", sentence)


_SPACE = re.compile(r"[ \t\n\r]*")


def _encoding(data: bytes) -> str:
    """What a JSON text is written in, by its mark or its first zero bytes."""
    found = json.detect_encoding(data[:4])
    return "utf-8-sig" if found == "utf-8" else found
