"""A pytest plugin that notes each test's outcome and, if asked, which lines of the repository each test ran.

It is loaded into the repository's own test run with `-p`, told what to do by the environment, and writes one JSON
file when the session ends. A test that does not end is stopped by an alarm and counts as failed.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
import types
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

from .reach import ROOT, reach_repository

OUT = Path(os.environ["RUNG_REPAIR_OUT"])
TEST_LIMIT_S = float(os.environ.get("RUNG_REPAIR_TEST_LIMIT_S", "10"))
NEXT_LIMIT_S = 1.5
TEXT_KEPT = 6000
IMPORTS = "(import)"
PACKAGE = __package__ or ""


class TestDidNotEndError(BaseException):
    """The alarm; not an `Exception`, so that the code under test does not catch it."""

    __test__ = False


def measure() -> coverage.Coverage | None:
    if os.environ.get("RUNG_REPAIR_COVERAGE") != "1":
        return None
    tracer = coverage.Coverage(data_file=None, config_file=False, messages=False, include=[f"{ROOT}/*"])
    warnings = ["no-data-collected", "module-not-measured", "module-not-imported", "already-imported", "no-sysmon"]
    tracer.set_option("run:disable_warnings", warnings)
    tracer.start()
    tracer.switch_context(IMPORTS)
    return tracer


class Notes:
    """What is known of each test while the session runs."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, Any]] = {}
        self.errors: list[dict[str, str]] = []
        self.order: list[str] = []
        self.files: dict[str, str] = {}

    def limit_s(self) -> float:
        """How long a test may run: once one did not end, the next get little more than the slowest that passed."""
        if all(noted.get("error") != TestDidNotEndError.__name__ for noted in self.tests.values()):
            return TEST_LIMIT_S
        slowest = max(
            (noted["duration_s"] for noted in self.tests.values() if noted["outcome"] == "passed"), default=0.0
        )
        return min(TEST_LIMIT_S, max(NEXT_LIMIT_S, 20 * slowest))

    def add(self, report: pytest.TestReport) -> None:
        noted = self.tests.setdefault(
            report.nodeid, {"outcome": "passed", "duration_s": 0.0, "message": "", "text": ""}
        )
        noted["duration_s"] += report.duration
        if report.failed:
            noted["outcome"] = "failed" if report.when == "call" else "error"
            noted["text"] = report.longreprtext[-TEXT_KEPT:]
            noted["message"] = noted["message"] or message_of(report)
        elif report.skipped and noted["outcome"] == "passed":
            noted["outcome"] = "skipped"


def message_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The last word of a failure: the exception's own message where there is one."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    lines = [line for line in report.longreprtext.splitlines() if line.strip()]
    told = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (told or lines or ["no message"])[-1]


def frames_of(error: BaseException) -> list[tuple[str, int]]:
    """Places in the repository that an exception went through, outermost first."""
    found = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        with contextlib.suppress(ValueError):
            found.append((Path(frame.f_code.co_filename).relative_to(ROOT).as_posix(), line))
    return found


def lines_of(tracer: coverage.Coverage, order: list[str]) -> dict[str, dict[str, list[int]]]:
    """By file and line the numbers of the tests that ran the line; -1 stands for the time before the first test."""
    numbers = {nodeid: number for number, nodeid in enumerate(order)}
    data = tracer.get_data()
    found: dict[str, dict[str, list[int]]] = {}
    for name in data.measured_files():
        path = Path(name)
        if path.is_relative_to(ROOT):
            by_line = data.contexts_by_lineno(name)
            found[path.relative_to(ROOT).as_posix()] = {
                str(line): sorted({numbers.get(context, -1) for context in contexts})
                for line, contexts in by_line.items()
            }
    return found


def foreign_modules() -> list[str]:
    """Modules that the tests imported from elsewhere, so that a server can import them once."""
    names = []
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if origin and not Path(origin).is_relative_to(ROOT) and not name.startswith((PACKAGE, "__", "coverage")):
            names.append(name)
    return names


@contextlib.contextmanager
def alarm(limit_s: float) -> Iterator[None]:
    """Stop the test that runs too long; a no-op outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: types.FrameType | None) -> None:
        raise TestDidNotEndError(f"the test did not end within {limit_s:g} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


reach_repository()
tracer = measure()
notes = Notes()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if tracer:
        tracer.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        if tracer:
            tracer.switch_context(IMPORTS)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call() -> Iterator[None]:
    with alarm(notes.limit_s()):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    notes.add(report)
    if call.excinfo and report.failed:
        notes.tests[report.nodeid]["frames"] = frames_of(call.excinfo.value)
        notes.tests[report.nodeid]["error"] = type(call.excinfo.value).__name__
    return report


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        notes.errors.append({"nodeid": report.nodeid, "message": message_of(report)})


def pytest_collection_finish(session: pytest.Session) -> None:
    notes.order = [item.nodeid for item in session.items]
    for item in session.items:
        if type(item).__name__ == "DoctestItem":
            continue  # its file is source, not a test
        with contextlib.suppress(ValueError):
            notes.files[item.nodeid] = item.path.relative_to(ROOT).as_posix()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    found = {}
    if tracer:
        tracer.stop()
        found = lines_of(tracer, notes.order)
    told = {
        "exit": int(exitstatus),
        "tests": notes.tests,
        "order": notes.order,
        "files": notes.files,
        "errors": notes.errors,
        "lines": found,
        "modules": foreign_modules(),
    }
    OUT.write_text(json.dumps(told), encoding="utf-8", errors="replace")
