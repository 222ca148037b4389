"""Hears what a run of pytest says while it goes on, and finds where its report says otherwise.

Theory: the tested code shares a process with the runner and can write the report, end the process or
rewrite outcomes. It cannot take back what went over the socket. So a failure that was heard must
be in the report, what the report shows as passed must have been heard, the session must have come
to its end, and of two tests that Rung adds the failing one must fail.
"""

import asyncio
import json
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from libs.contracts.evidence import Problem, TestCase, TestOutcome
from libs.workshop.evidence import witness_plugin
from libs.workshop.evidence.reading import plain

CONTRADICTED: Final = "report_contradicted"
HEARD_BYTES_MAX: Final = 128 * 2**20
LINE_BYTES_MAX: Final = 4 * 2**20
NAME_LENGTH_MAX: Final = 1000
NAMED: Final = 3
FAILING: Final = (TestOutcome.FAILED, TestOutcome.ERROR)


@dataclass
class Attempt:
    """What was heard of one test since it was last set up."""

    raised: str = "passed"
    outcome: str = "passed"


@dataclass
class Heard:
    """All that was said to one listener; `collected` and `attempts` have pytest's own ids."""

    collected: set[str] = field(default_factory=set)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    reported: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    canaries_due: bool = False
    canaries: dict[str, set[str]] = field(default_factory=dict)
    open_sessions: set[str] = field(default_factory=set)
    is_begun: bool = False
    is_stopped: bool = False
    is_garbled: bool = False
    prefix: str = ""
    bytes_count: int = 0

    @property
    def has_ended(self) -> bool:
        return self.is_begun and not self.open_sessions

    def take(self, said: dict[str, Any]) -> None:
        """Note one message; of what is said twice, the worse counts."""
        match said["say"]:
            case "hello":
                self.is_begun = True
                self.prefix = str(said["prefix"])
                if not said["is_worker"]:
                    self.open_sessions.add(str(said["session"]))
            case "collected":
                self.collected.update(map(str, said["ids"]))
            case "canaries":
                self.canaries_due = True
            case "canary":
                self.canaries.setdefault(str(said["kind"]), set()).add(str(said["outcome"]))
            case "broken":
                self.broken.add(str(said["id"]))
            case "heard":
                self._take_outcome(said)
            case "end":
                self.open_sessions.discard(str(said["session"]))
                self.is_stopped |= bool(said["is_stopped"]) or said["status"] not in (0, 1, 5)

    def _take_outcome(self, said: dict[str, Any]) -> None:
        test = str(said["id"])
        self.reported[test] = str(said["reported"])
        attempt = self.attempts.setdefault(test, Attempt())
        if said["when"] == "setup":
            attempt = self.attempts[test] = Attempt()
        attempt.raised = _worse(attempt.raised, str(said["raised"]))
        attempt.outcome = _worse(attempt.outcome, str(said["outcome"]))

    def name(self, test: str) -> str:
        """The name that the report has for a test, from pytest's id."""
        return report_name(self.reported.get(test, test), self.prefix)

    @property
    def names(self) -> frozenset[str]:
        """What was collected, by the names that reports have."""
        return frozenset(report_name(test, self.prefix) for test in self.collected)


def _worse(one: str, other: str) -> str:
    order = ("failed", "skipped", "passed")
    return min(one, other, key=lambda word: order.index(word) if word in order else 0)


def report_name(nodeid: str, prefix: str = "") -> str:
    """The name in a JUnit report of pytest for one of its ids, as `read_junit` gives it."""
    address, bracket, parameters = nodeid.partition("[")
    path, *rest = address.split("::")
    names = [re.sub(r"\.py$", "", path.replace("/", ".")), *rest]
    names[-1] += bracket + parameters
    classname = ".".join([*([prefix] if prefix else []), *names[:-1]])
    parts = [part.strip() for part in (classname, names[-1]) if part.strip()]
    return plain("::".join(parts), NAME_LENGTH_MAX)


class Listener:
    """A socket in a directory that the sandbox sees read-only, and the plugin that speaks to it."""

    def __init__(self, directory: Path, shown_at: str) -> None:
        self._directory = directory
        mark = os.urandom(6).hex()
        self.plugin = f"checks_{mark}"
        self._socket_name = f"{mark}.socket"
        self.environment = {witness_plugin.PLACE: f"{shown_at}/{self._socket_name}"}
        self.heard = Heard()
        self._talks: set[asyncio.Task[None]] = set()
        self._last = asyncio.Event()
        self._farewell = os.urandom(16).hex().encode()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear everything that is said meanwhile; at the end of the block all of it has been taken."""
        shutil.copyfile(witness_plugin.__file__, self._directory / f"{self.plugin}.py")
        server = await asyncio.start_unix_server(self._hear, sock=self._bound(), limit=LINE_BYTES_MAX)
        try:
            yield
            await self._drain()
        finally:
            server.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
            with suppress(OSError):
                (self._directory / self._socket_name).unlink()

    def _bound(self) -> socket.socket:
        """Bound through a descriptor of the directory, whose own path may be too long for a socket."""
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        place = os.open(self._directory, os.O_PATH | os.O_DIRECTORY)
        try:
            bound.bind(f"/proc/self/fd/{place}/{self._socket_name}")
        finally:
            os.close(place)
        bound.setblocking(False)  # noqa: FBT003 - the only way to say it
        return bound

    async def _drain(self) -> None:
        """Connections come in the order in which they were made: once our own came, all have."""
        place = os.open(self._directory, os.O_PATH | os.O_DIRECTORY)
        try:
            _, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{place}/{self._socket_name}")
        finally:
            os.close(place)
        writer.write(self._farewell + b"\n")
        writer.write_eof()
        await self._last.wait()
        writer.close()
        while others := {talk for talk in self._talks if not talk.done()}:
            await asyncio.wait(others)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        expected = 0
        try:
            while line := await reader.readline():
                if line.strip() == self._farewell:
                    self._last.set()
                    return
                self._take(line, expected)
                expected += 1
        except (ValueError, ConnectionError):
            self.heard.is_garbled = True
        finally:
            writer.close()

    def _take(self, line: bytes, expected: int) -> None:
        heard = self.heard
        heard.bytes_count += len(line)
        if heard.bytes_count > HEARD_BYTES_MAX:
            raise ValueError("more was said than is heard")
        try:
            said = json.loads(line)
            heard.is_garbled |= said["n"] != expected
            heard.take(said)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            heard.is_garbled = True


def contradiction(
    heard: Heard, cases: Sequence[TestCase], own: Sequence[TestCase] | None, *, is_well: bool
) -> Problem | None:
    """Where the report and what was heard do not agree; one sentence for the first disagreement.

    `cases` are all that were reported; `own` those in the report that pytest wrote at Rung's behest, `None`
    if it left none. `is_well` says that the command claims success.
    """
    claims_something = own is not None or (is_well and heard.is_begun)
    for sentence in _disagreements(heard, cases, own) if claims_something else ():
        return Problem(code=CONTRADICTED, message=plain(sentence, 500))
    return None


def _disagreements(heard: Heard, cases: Sequence[TestCase], own: Sequence[TestCase] | None) -> Iterator[str]:
    failing = {case.name for case in cases if case.outcome in FAILING}
    if not heard.is_begun:
        yield "The report shows tests that nobody saw run, so it was not written by the test runner."
    if heard.is_garbled:
        yield "What the test run said while it went on is garbled, so something beside the runner spoke."
    if heard.canaries.get("failing", set()) & {"passed"} or heard.canaries.get("passing", set()) & {"failed"}:
        yield "A test of Rung's own that must fail passed (or the other way round), so outcomes are being rewritten."
    yield from _unsaid(heard, cases, failing)
    if own is not None:
        yield from _unheard(heard, own)
    if not heard.has_ended:
        yield "The test run ended before its end: the process was left while the session still went on."
    elif not heard.is_stopped:
        yield from _left_out(heard, failing)


def _unsaid(heard: Heard, cases: Sequence[TestCase], failing: set[str]) -> Iterator[str]:
    skipped = {case.name for case in cases if case.outcome is TestOutcome.SKIPPED}
    gone = [
        heard.name(test)
        for test, attempt in heard.attempts.items()
        if attempt.raised == "failed" and heard.name(test) not in (skipped if attempt.outcome == "skipped" else failing)
    ]
    gone += [report_name(test, heard.prefix) for test in heard.broken if not _is_broken_in(test, heard, failing)]
    if gone:
        yield f"{_named(gone)} failed while the tests ran, and the report does not say so."


def _is_broken_in(test: str, heard: Heard, failing: set[str]) -> bool:
    """A failed collection is reported under its own name, or, of a package, that of the whole session."""
    return not test or report_name(test, heard.prefix) in failing or bool(failing)


def _unheard(heard: Heard, own: Sequence[TestCase]) -> Iterator[str]:
    known = {heard.name(test) for test in heard.attempts}
    invented = [case.name for case in own if case.outcome is TestOutcome.PASSED and case.name not in known]
    if invented:
        yield f"The report shows {_named(invented)} as passed, which nobody saw run."


def _left_out(heard: Heard, failing: set[str]) -> Iterator[str]:
    never = [name for test in heard.collected - heard.attempts.keys() if (name := heard.name(test)) not in failing]
    if never:
        yield f"{_named(never)} was collected and never run."
    elif heard.canaries_due and len(heard.canaries) < 2 and not failing:
        yield "A test of Rung's own was collected and never run, so somebody chooses what runs."


def _named(names: Sequence[str]) -> str:
    first = sorted(names)[:NAMED]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return ", ".join(first) + more
