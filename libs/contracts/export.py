"""An exported log: one stored message a line, as canonical JSON, and back to what the log itself would give.

A message that is a CloudEvent of the log stands in the JSON format of CloudEvents, with `sequence` and `time`
(the store's, in seconds since 1970-01-01 UTC) beside its attributes. Any other is kept as it came: `subject`,
`headers` and `data_base64`. The server's own headers are left out; they say how a message was read or fenced.
A line is canonical: its own keys sorted, those of the data in their order, no white space, ASCII. Its bytes are what
`hashtree.py` hashes, and since every reader makes them anew from the JSON value, white space that came into a file on
its way does not matter.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from libs.contracts.history import History, Unread
from libs.contracts.wire import (
    CONTENT_TYPE,
    Envelope,
    Headers,
    Recorded,
    Unreadable,
    decode_fact,
    encode_value,
    read_envelope,
)

Line = dict[str, Any]

ATTRIBUTES: Final = ("specversion", "id", "type", "source", "subject", "dataschema", "cause", "traceparent")
_ALLOWED: Final = frozenset(ATTRIBUTES)
_SERVER: Final = "nats-"


class BrokenLine(ValueError):
    """A line that is none of an export; one sentence says which, and why."""


@dataclass(frozen=True)
class Entry:
    """One message of the log as its export has it."""

    sequence: int
    time: float
    subject: str
    line: Line

    @cached_property
    def read(self) -> Recorded | Unread:
        """The message as the log itself would give it."""
        return decode_export(self.line)

    @cached_property
    def envelope(self) -> Envelope | None:
        """The CloudEvents attributes; `None` where the message is no CloudEvent."""
        if "headers" not in self.line and all(self.line.get(name) for name in ATTRIBUTES[:4]):
            known: dict[str, Any] = {name: self.line.get(name) for name in ATTRIBUTES[1:]}
            return Envelope(**known)
        try:
            return read_envelope(_headers(self.line))
        except Unreadable:
            return None

    @property
    def aggregate(self) -> str:
        """What the message is about: `run.<id>`, `workflow.<id>`, `issue.<id>` or `service.<name>`."""
        return ".".join(self.subject.split(".")[:2])

    @property
    def canonical(self) -> bytes:
        return canonical(self.line)


# -- out ----------------------------------------------------------------------


def encode_stored(subject: str, headers: Mapping[str, str], data: bytes, *, sequence: int, time: float) -> Line:
    """A stored message as the JSON value of its line."""
    place = {"sequence": sequence, "time": time, "subject": subject}
    own = {name: str(value) for name, value in headers.items() if not name.lower().startswith(_SERVER)}
    attributes = _attributes(subject, own)
    body = _plain_object(data) if attributes is not None else None
    if attributes is None or body is None:
        return {**place, "headers": own, "data_base64": base64.b64encode(data).decode()}
    return {**attributes, **place, "data": body}


def canonical(line: Line) -> bytes:
    """The bytes of a line, without its end."""
    return json.dumps({name: line[name] for name in sorted(line)}, separators=(",", ":")).encode()


def _attributes(subject: str, headers: Mapping[str, str]) -> dict[str, str] | None:
    """The CloudEvents attributes, if the headers say these and nothing more."""
    names = {name.lower(): name for name in headers}
    attributes = {name.removeprefix("ce-") for name in names if name.startswith("ce-")}
    is_plain = len(names) == len(headers) and names.keys() - {f"ce-{name}" for name in attributes} <= {"content-type"}
    if not is_plain or not attributes <= _ALLOWED or headers.get(names.get("content-type", "")) != CONTENT_TYPE:
        return None
    try:
        envelope = read_envelope(headers)
    except Unreadable:
        return None
    known = {name: headers[names[f"ce-{name}"]] for name in attributes}
    found = {"specversion": known["specversion"], **{name: getattr(envelope, name) for name in ATTRIBUTES[1:]}}
    told = {name: value for name, value in found.items() if value is not None}
    is_same = {name: encode_value(value) for name, value in told.items()} == known
    return told if is_same and envelope.subject == subject else None


def _plain_object(data: bytes) -> dict[str, Any] | None:
    """The data as a JSON object; `None` for anything that would not come back as it was."""
    try:
        value = json.loads(data, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice")
    return made


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is too large")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


# -- in -----------------------------------------------------------------------


def read_lines(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The messages of an export, in the order of the file; empty lines are passed over.

    Raises:  BrokenLine with the number of the line.
    """
    for number, text in enumerate(lines, start=1):
        if text.strip():
            yield read_line(text, number)


def read_line(text: bytes, number: int) -> Entry:
    """Raises:  BrokenLine."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        how = "is not JSON" if text.endswith(b"\n") else "is cut short"
        raise BrokenLine(f"line {number} of the export {how}") from None
    if (reason := _wrong(line)) is not None:
        raise BrokenLine(f"line {number} is none of an exported log: {reason}")
    return Entry(line["sequence"], line["time"], line["subject"], line)


def decode_export(line: Line) -> Recorded | Unread:
    """The message of a line, just as `libs.runtime.log.decode_stored` gives it from the log."""
    subject, sequence = line["subject"], line["sequence"]
    data = base64.b64decode(line["data_base64"]) if "headers" in line else json.dumps(line["data"]).encode()
    try:
        return decode_fact(subject, _headers(line), data, sequence=sequence, time=line["time"])
    except Unreadable as reason:
        return Unread(subject, sequence, reason)


def history_of(entries: Iterable[Entry]) -> History:
    """All of an export as one history, in the order of the log."""
    read = sorted((entry.read for entry in entries), key=lambda one: one.sequence)
    facts = tuple(one for one in read if isinstance(one, Recorded))
    return History(facts, tuple(one for one in read if isinstance(one, Unread)))


def _headers(line: Line) -> Headers:
    if "headers" in line:
        return dict(line["headers"])
    return {f"ce-{name}": encode_value(line[name]) for name in ATTRIBUTES if name in line}


def _wrong(line: Any) -> str | None:
    """What keeps a JSON value from being a line of an export."""
    if not isinstance(line, dict):
        return "it is no JSON object"
    if not _is_count(line.get("sequence")) or not _is_time(line.get("time")) or not _is_text(line.get("subject")):
        return "it needs sequence, time and subject"
    if "headers" in line:
        return _wrong_raw(line)
    if not all(_is_text(line[name]) for name in ATTRIBUTES if name in line):
        return "an attribute is no text"
    return None if isinstance(line.get("data"), dict) else "it has no data"


def _wrong_raw(line: Line) -> str | None:
    headers = line["headers"]
    if not isinstance(headers, dict) or not all(_is_text(value) for value in headers.values()):
        return "its headers are no texts"
    try:
        base64.b64decode(line["data_base64"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return "its data_base64 cannot be decoded"
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
