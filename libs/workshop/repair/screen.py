"""A pytest plugin that, once the tests are collected, tries edits in forks of the session instead of running them.

A job names a file, its edited text and tests in three stages: `wanted` (failing ones, quick to run), `more` (the other
failing ones, if one of the wanted passes), and `kept` (passing ones, up to the first that breaks). Jobs come as JSON
lines over an inherited pipe and are answered the same way.
"""

import gc
import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import pytest

from .forks import Answer, Tell, adopt_orphans, in_fork, limit_cpu
from .reach import ROOT, reach_repository
from .swap import CannotSwapError, Loaded

SLACK_S = 1.0
single: tuple[dict[str, Any], Tell] | None = None
"""The only job of this session and where its answer goes; set by the process that starts a session for each job."""


@dataclass(frozen=True)
class Channel:
    """The two ends of the pipes to whoever asks; closed in a fork, so that a candidate cannot speak."""

    reading: TextIO
    writing: TextIO

    @classmethod
    def inherited(cls) -> "Channel":
        reading, writing = (int(number) for number in os.environ.pop("RUNG_REPAIR_CHANNEL").split(","))
        os.set_inheritable(reading, False)  # noqa: FBT003 - the call knows no keyword
        os.set_inheritable(writing, False)  # noqa: FBT003 - as above
        return cls(os.fdopen(reading, encoding="utf-8"), os.fdopen(writing, "w", encoding="utf-8"))

    def jobs(self) -> Iterator[dict[str, Any]]:
        for line in self.reading:
            yield json.loads(line)

    def answer(self, found: Answer) -> None:
        self.writing.write(json.dumps(found) + "\n")
        self.writing.flush()

    def close(self) -> None:
        os.close(self.reading.fileno())
        os.close(self.writing.fileno())


class Outcomes:
    """Which tests passed in this process."""

    def __init__(self) -> None:
        self.bad: set[str] = set()
        self.good: set[str] = set()

    def note(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.bad.add(report.nodeid)
        elif report.passed and report.when == "call":
            self.good.add(report.nodeid)

    def passed(self, nodeid: str) -> bool:
        return nodeid in self.good and nodeid not in self.bad


outcomes = Outcomes()


def run(items: list[pytest.Item], *, until_bad: bool = False) -> None:
    for index, item in enumerate(items):
        following = items[index + 1] if index + 1 < len(items) else None
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if until_bad and not outcomes.passed(item.nodeid):
            return


def try_job(job: dict[str, Any], items: dict[str, pytest.Item]) -> Answer:
    """Run the stages of a job in this process, which ends afterwards."""
    found: Answer = {"trouble": "", "passed": [], "broken": []}

    def stage(name: str, *, until_bad: bool = False) -> list[str]:
        names: list[str] = job[name]
        outcomes.bad.update(nodeid for nodeid in names if nodeid not in items)
        limit_cpu(job["limits"][name])
        run([items[nodeid] for nodeid in names if nodeid in items], until_bad=until_bad)
        return names

    stage("prelude")
    wanted = stage("wanted")
    if job["everything"] or any(outcomes.passed(nodeid) for nodeid in wanted):
        wanted += stage("more")
        found["passed"] = [nodeid for nodeid in wanted if outcomes.passed(nodeid)]
        kept = stage("kept", until_bad=not job["everything"])
        found["broken"] = [nodeid for nodeid in kept if nodeid in outcomes.bad]
    return found


def write(job: dict[str, Any], key: str) -> None:
    if job.get("path"):
        (ROOT / job["path"]).write_bytes(job[key].encode(job["encoding"]))


def patched(job: dict[str, Any], loaded: Loaded, items: dict[str, pytest.Item]) -> Answer:
    """Put the edited code in place of the loaded one and try the job."""
    try:
        if job.get("path"):
            loaded.swap(str(ROOT / job["path"]), job["first_line"], job["old_unit"], job["new_unit"])
    except CannotSwapError:
        return {"trouble": "import anew"}
    except (SyntaxError, ValueError, RecursionError):
        return {"trouble": "no Python"}
    return try_job(job, items)


def total_limit(job: dict[str, Any]) -> float:
    """Wall-clock seconds for all stages, far beyond what CPU time they are given."""
    return float(sum(job["limits"].values())) * 1.5 + SLACK_S


def serve(session: pytest.Session) -> None:
    """Answer jobs until nobody asks any more."""
    items = {item.nodeid: item for item in session.items}
    channel = Channel.inherited()
    adopt_orphans()
    gc.collect()
    loaded = Loaded(str(ROOT))
    gc.freeze()
    channel.answer({"ready": len(items)})
    for job in channel.jobs():

        def work(tell: Tell, job: dict[str, Any] = job) -> None:
            channel.close()
            tell(patched(job, loaded, items))

        write(job, "text")
        channel.answer(in_fork(work, total_limit(job)))
        write(job, "original")


reach_repository()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    warnings.simplefilter("ignore", DeprecationWarning)
    if single is not None:
        job, tell = single
        tell(try_job(job, {item.nodeid: item for item in session.items}))
    else:
        serve(session)
    return True


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
    """The outcome without the text, which costs more than the test."""
    outcome = "passed"
    if call.excinfo is not None:
        outcome = "skipped" if call.excinfo.errisinstance(pytest.skip.Exception) else "failed"
    text = ("", 0, "") if outcome == "skipped" else None
    return pytest.TestReport(item.nodeid, item.location, {}, outcome, text, call.when, duration=call.duration)  # type: ignore[arg-type]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    outcomes.note(report)
