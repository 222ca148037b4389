"""An export read only as far as a backtest needs it: which lines belong to which run, and their facts.

Theory: what matters is a small part of a log, and most of the time would go into taking apart the rest. A line in its
canonical form ends with the names of its message, so that it is told by its last bytes whether it is looked at; any
other line is read whole, as anywhere. A policy is validated once, by its digest and team: the log repeats it with
every run. What does not validate at once is read again as every reader reads it, which gives the sentence why.
"""

import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from pydantic_core import from_json

from libs.contracts.export import BrokenLine, read_line
from libs.contracts.facts import (
    FACTS,
    ChangeClosed,
    ChangeMerged,
    ChangeRefused,
    ChangeReverted,
    CheckpointOpened,
    DecisionRecorded,
    Fact,
    GateJudged,
    LabelStated,
    LadderFact,
    MergeAuthorised,
    PhaseCompleted,
    PhaseErrored,
    PhaseRequested,
    RollbackOrdered,
    RunAborted,
    RunFact,
    RunFinished,
    RunStarted,
    TimerDue,
    WatchEnded,
    WatchStarted,
)
from libs.contracts.history import Unread
from libs.contracts.wire import Recorded, kind_of
from libs.contracts.workflow import Policy

Data = mmap.mmap | bytes

NEEDED: Final[tuple[type[Fact], ...]] = (
    *(RunStarted, PhaseRequested, PhaseCompleted, PhaseErrored, GateJudged, CheckpointOpened, DecisionRecorded),
    *(TimerDue, MergeAuthorised, ChangeMerged, ChangeRefused, ChangeReverted, ChangeClosed, RollbackOrdered),
    *(WatchStarted, WatchEnded, RunAborted, RunFinished),
)
"""Facts of a run that say where it went and what became of it; the others move nothing of that."""

_READ: Final[tuple[type[Fact], ...]] = (*NEEDED, LabelStated)
_MODELS: Final = {f"urn:rung:{kind_of(fact)}:{fact.version}".encode(): fact for fact in _READ}
_WANTED: Final = frozenset(fact.type for fact in NEEDED)
_PASSED_OVER: Final = frozenset(fact.type for fact in FACTS if issubclass(fact, RunFact)) - _WANTED
_TEXT: Final = rb'[^"\\]*'
_TAIL_PATTERN: Final = (
    rb',"sequence":(?P<sequence>[1-9][0-9]*),"source":"(?:/rung/)?(?P<source>%(text)s)","specversion":"1\.0",'
    rb'"subject":"(?P<subject>(?P<stream>[a-z]+)\.(?P<aggregate>[^".\\]+)\.(?P<name>[^".\\]+\.?[^".\\]*)%(text)s)",'
    rb'"time":(?P<time>[0-9]+(?:\.[0-9]+)?)(?:,"traceparent":"(?P<trace>%(text)s)")?,"type":"%(text)s"\}\r?\n?$'
) % {b"text": _TEXT}
_TAIL: Final = re.compile(_TAIL_PATTERN)
"""How a line in its canonical form ends, from its sequence on."""
_LINE: Final = re.compile(
    rb'\{(?:"cause":"(?P<cause>%(text)s)",)?"data":(?P<data>\{.*\}),"dataschema":"(?P<schema>%(text)s)","id":"(?P<id>%(text)s)"'
    % {b"text": _TEXT}
    + _TAIL_PATTERN
)
"""A whole line in its canonical form: what looks like its end can stand in no text, where quotes are escaped."""
_TAIL_START: Final = b',"sequence":'

Span = tuple[int, int]
"""Where a line begins and where the next one does."""


@dataclass
class Lines:
    """The lines of one run that are looked at, and when it began, in seconds since 1970-01-01 UTC."""

    started: float
    spans: list[Span] = field(default_factory=list)
    has_begun: bool = False


@dataclass
class Index:
    """The lines of every run, in the order in which runs appear, and all labels."""

    runs: dict[str, Lines] = field(default_factory=dict)
    labels: list[Span] = field(default_factory=list)

    def add(self, span: Span, stream: str, aggregate: str, name: str, time: float) -> None:
        """A line by the subject of its message; `name` is the type of the fact."""
        if stream == LadderFact.stream and name == LabelStated.type:
            self.labels.append(span)
        if stream != RunFact.stream:
            return
        if (lines := self.runs.get(aggregate)) is None:
            lines = self.runs[aggregate] = Lines(time)
        if name == RunStarted.type:
            lines.started, lines.has_begun = time, True
        if name not in _PASSED_OVER:
            lines.spans.append(span)

    def take_in(self, later: "Index") -> None:
        """The index of what stands behind."""
        for run, lines in later.runs.items():
            if (own := self.runs.setdefault(run, lines)) is not lines:
                own.spans += lines.spans
                if lines.has_begun:
                    own.started, own.has_begun = lines.started, True
        self.labels += later.labels


def index_of(data: Data, begin: int = 0, until: int | None = None) -> Index:
    """The lines between two places at which lines begin; by default all.

    Raises:  BrokenLine for a line that is none of an export, by its number behind `begin`.
    """
    index = Index()
    for number, (start, end) in enumerate(_spans(data, begin, len(data) if until is None else until), start=1):
        place = data.rfind(_TAIL_START, start, end)
        if place >= 0 and (tail := _TAIL.match(data[place:end])):
            stream, aggregate, name = (tail[part].decode() for part in ("stream", "aggregate", "name"))
            index.add((start, end), stream, aggregate, name, float(tail["time"]))
        elif data[start:end].strip():
            entry = read_line(data[start:end], number)
            stream, aggregate, *names = entry.subject.split(".")
            index.add((start, end), stream, aggregate, ".".join(names[:2]), entry.time)
    return index


def parts_of(data: Data, count: int) -> list[Span]:
    """About even parts of all lines, each beginning with a line."""
    size = len(data)
    cuts = [0, *(data.find(b"\n", size * n // count) + 1 or size for n in range(1, count)), size]
    return list(pairwise(cuts))


def _spans(data: Data, start: int, until: int) -> Iterator[Span]:
    while start < until:
        end = data.find(b"\n", start, until) + 1 or until
        yield start, end
        start = end


@dataclass
class Reader:
    """Reads lines of an export as facts; `policies` are those that were read before."""

    data: Data
    policies: dict[tuple[Any, ...], Policy] = field(default_factory=dict)

    def read(self, spans: Sequence[Span]) -> list[Recorded | Unread]:
        """What stands there, in the order of the log.

        Raises:  BrokenLine.
        """
        return sorted((self._line(span) for span in spans), key=lambda one: one.sequence)

    def _line(self, span: Span) -> Recorded | Unread:
        text = self.data[span[0] : span[1]]
        if (found := _LINE.match(text)) is None:
            return self._as_anywhere(text, span)
        cause, data, schema, identity, sequence, source, subject, *_, time, trace = found.groups(b"")
        try:
            fact = self._fact(_MODELS[schema], data)
        except (KeyError, ValueError):
            return self._as_anywhere(text, span)
        if fact.subject != subject.decode():
            return self._as_anywhere(text, span)
        return Recorded(
            fact,
            id=identity.decode(),
            cause=cause.decode(),
            producer=source.decode(),
            sequence=int(sequence),
            time=float(time),
            traceparent=trace.decode() or None,
        )

    def _fact(self, model: type[Fact], data: bytes) -> Fact:
        """Raises:  ValueError where anything at all is out of the ordinary."""
        if model is not RunStarted:
            return model.model_validate_json(data)
        value = from_json(data)
        key = (value.get("policy_digest"), value.get("team"))
        if (policy := self.policies.get(key)) is not None:
            return model.model_validate({**value, "policy": policy})
        started = RunStarted.model_validate_json(data)
        self.policies[key] = started.policy
        return started

    def _as_anywhere(self, text: bytes, span: Span) -> Recorded | Unread:
        """The line as every reader reads it, which may take it for what it is, or says what is wrong with it."""
        try:
            return read_line(text, 0).read
        except BrokenLine:
            return read_line(text, self._number(span)).read

    def _number(self, span: Span) -> int:
        """The number of a line, counted only where something is to be said of it."""
        return self.data[: span[0]].count(b"\n") + 1
