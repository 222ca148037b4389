"""A pytest plugin that says on a socket what it sees, as it happens; it is copied into the sandbox and stands alone.

Theory: pytest writes its report at the end, from the process that runs the tested code, so that
code can write another one. What goes over a socket is out of its reach at once. The exception that
a test raised is looked at before any other plugin turns it into an outcome. Two tests of its own,
of which one must fail, show whether outcomes are rewritten further down; their results go nowhere
else, so no count and no report knows of them.
"""

import json
import os
import random
import socket
import sys
import unittest
from collections.abc import Generator
from typing import Any

import pytest

PLACE = "RUNG_WITNESS"
"""The environment variable with the socket's path."""
BUSY = "RUNG_WITNESS_BUSY"
"""Set while a session speaks, so that sessions inside of it, which are tests of plugins, stay silent."""
HYPOTHESIS = "hypothesispytest"
IDS_AT_ONCE = 100
ID_LENGTH_MAX = 2000
WORDS = ("returns", "handles", "keeps", "empty", "first", "simple", "value", "items", "order", "default", "accepts")

_dumps, _pid = json.dumps, os.getpid
_skips = (pytest.skip.Exception, unittest.SkipTest, pytest.xfail.Exception)


class Voice:
    """The connection of this process; a forked child makes its own. Where nobody listens it is silent."""

    def __init__(self, place: str, session: str) -> None:
        self._place, self._session = place, session
        self._owner = 0
        self._number = 0
        self._socket: socket.socket | None = None

    def say(self, what: str, /, **more: object) -> None:
        if self._owner != _pid():
            self._connect()
        if self._socket is None:
            return
        said = {"n": self._number, "session": self._session, "say": what, **more}
        self._number += 1
        try:
            self._socket.sendall(_dumps(said).encode() + b"\n")
        except OSError:
            self._socket = None

    def _connect(self) -> None:
        self._owner, self._number, self._socket = _pid(), 0, None
        mine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            mine.connect(self._place)
        except OSError:
            return
        self._socket = mine


class Witness:
    """Says what is collected, how each part of each test ends, and that the session came to its end."""

    def __init__(self, config: pytest.Config, place: str) -> None:
        self._is_worker = hasattr(config, "workerinput")
        self._voice = Voice(place, os.urandom(8).hex())
        self._random = random.Random(place)  # noqa: S311 - workers of one run have to choose alike
        self._canaries: dict[int, str] = {}
        self._ids: dict[int, str] = {}
        prefix = str(config.getoption("junitprefix", None) or "")
        self._voice.say("hello", is_worker=self._is_worker, prefix=prefix)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """After everybody else has chosen what runs."""
        yield
        ids = [_short(item.nodeid) for item in items]
        self._ids.update(zip(map(id, items), ids, strict=True))
        for start in range(0, len(ids), IDS_AT_ONCE):
            self._voice.say("collected", ids=ids[start : start + IDS_AT_ONCE])
        places = [place for place in range(len(items)) if _is_between(items, place)]
        if places:
            self._add_canaries(items, places)

    def _add_canaries(self, items: list[pytest.Item], places: list[int]) -> None:
        """Each stands beside a test of its own module, so that no fixture of the others ends early."""
        chosen = sorted((self._random.choice(places), kind) for kind in ("failing", "passing"))
        for place, kind in reversed(chosen):
            canary = _canary(items[place], self._random, kind)
            self._canaries[id(canary)] = kind
            items.insert(place, canary)
        self._voice.say("canaries", kinds=[kind for _, kind in chosen])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a canary as every test is run, but tell only the socket."""
        from _pytest.runner import runtestprotocol  # noqa: PLC0415 - whatever stands there by then

        kind = self._canaries.get(id(item))
        if kind is None:
            return None
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        called = {str(report.outcome) for report in reports if report.when == "call"}
        self._voice.say("canary", kind=kind, outcome=_worst(called) if called else "skipped")
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        before = _outcome(call)
        report = yield
        if id(item) not in self._canaries:
            raised = {before, _outcome(call)}
            self._voice.say(
                "heard",
                id=self._ids.get(id(item), _short(item.nodeid)),
                reported=_short(report.nodeid),
                when=call.when,
                raised=_worst(raised),
                outcome=str(report.outcome),
            )
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._voice.say("broken", id=_short(report.nodeid))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        is_stopped = bool(session.shouldstop or session.shouldfail)
        self._voice.say("end", status=int(exitstatus), is_stopped=is_stopped)


def pytest_configure(config: pytest.Config) -> None:
    place = os.environ.get(PLACE)
    is_worker = hasattr(config, "workerinput")
    if place and (is_worker or BUSY not in os.environ):
        os.environ[BUSY] = "1"
        config.pluginmanager.register(Witness(config, place), f"witness-{os.urandom(4).hex()}")
        if not is_worker:
            config.add_cleanup(_rest)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hypothesis would be loaded whole for a summary of nothing where no test has used it; that takes a second."""
    plugins = session.config.pluginmanager
    if "hypothesis" not in sys.modules and plugins.hasplugin(HYPOTHESIS):
        plugins.unregister(name=HYPOTHESIS)


def _rest() -> None:
    os.environ.pop(BUSY, None)


def _outcome(call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return "passed"
    return "skipped" if isinstance(call.excinfo.value, _skips) else "failed"


def _worst(outcomes: set[str]) -> str:
    return next((outcome for outcome in ("failed", "skipped") if outcome in outcomes), "passed")


def _short(nodeid: str) -> str:
    return nodeid[:ID_LENGTH_MAX]


def _is_between(items: list[pytest.Item], place: int) -> bool:
    """Whether a test may stand before this one without breaking up a class or a module."""
    here = items[place].parent
    is_first = place == 0 or items[place - 1].parent is not here
    return isinstance(here, pytest.Module) or (is_first and items[place].getparent(pytest.Module) is not None)


def _canary(neighbour: pytest.Item, chance: random.Random, kind: str) -> pytest.Function:
    from _pytest.fixtures import FuncFixtureInfo  # noqa: PLC0415 - without it fixtures for all would run for this too

    module = neighbour.getparent(pytest.Module)
    name = f"test_{'_'.join(chance.sample(WORDS, 3))}"
    number = chance.randrange(2, 1000)
    space: dict[str, Any] = {}
    expected = number if kind == "passing" else number + chance.randrange(1, 9)
    source = f"def {name}():\n    value = {number}\n    assert value == {expected}\n"
    exec(compile(source, "<string>", "exec"), space)  # noqa: S102 - a test as any other, of our own words
    nothing = FuncFixtureInfo(argnames=(), initialnames=(), names_closure=[], name2fixturedefs={})
    made = pytest.Function.from_parent(module, name=name, callobj=space[name], fixtureinfo=nothing)
    assert isinstance(made, pytest.Function)
    return made
