"""A log that remembers what it read tells the same as the log, and asks only for what is new."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.contracts.facts import RunAborted, TimerDue
from libs.contracts.history import Fence
from libs.contracts.subjects import run_filter
from libs.contracts.words import Phase, Service
from libs.runtime.log import Conflict, Log
from libs.runtime.remembering import KEPT_MAX, RememberingLog
from tests.support.bus import running_bus

RUN = "r1"


def due(number: int, run: str = RUN) -> TimerDue:
    return TimerDue(run=run, timer=f"t-{number}", at=1.0)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    async with running_bus(tmp_path) as bus, bus.log(Service.GATEKEEPER) as log:
        yield log


async def state(log: Log | RememberingLog, *numbers: int, run: str = RUN, head: int = 0) -> int:
    for number in numbers:
        head = await log.append(due(number, run), cause="test", fence=Fence(run_filter(run), head))
    return head


async def test_a_history_is_brought_to_its_head_whoever_added_to_it(log: Log) -> None:
    remembering = RememberingLog(log)
    assert (await remembering.read(run_filter(RUN))).head == 0
    head = await state(log, 1, 2, 3)
    assert await remembering.read(run_filter(RUN)) == await log.read(run_filter(RUN))
    await state(log, 9, run="another")
    await state(log, 4, 5, head=head)
    history = await remembering.read(run_filter(RUN))
    assert history == await log.read(run_filter(RUN))
    assert [recorded.fact for recorded in history.facts] == [due(number) for number in range(1, 6)]


async def test_what_cannot_be_read_is_remembered_as_well(log: Log) -> None:
    remembering = RememberingLog(log)
    await state(log, 1)
    await remembering.read(run_filter(RUN))
    await log._client.request(f"run.{RUN}.run.aborted", b"no fact", timeout=5)
    for _ in range(2):
        history = await remembering.read(run_filter(RUN))
        assert (len(history.facts), len(history.unread)) == (1, 1)


async def test_a_refused_append_forgets_what_it_relied_on(log: Log) -> None:
    remembering = RememberingLog(log)
    head = await state(log, 1)
    await remembering.read(run_filter(RUN))
    await state(log, 2, head=head)
    aborted = RunAborted(run=RUN, phase=Phase.PLAN, attempt=1, reason="said a test")
    with pytest.raises(Conflict):
        await remembering.append(aborted, cause="test", fence=Fence(run_filter(RUN), head))
    assert run_filter(RUN) not in remembering._kept
    assert await remembering.read(run_filter(RUN)) == await log.read(run_filter(RUN))


async def test_the_history_asked_for_longest_ago_gives_way(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.runtime.remembering.KEPT_MAX", 2)
    assert KEPT_MAX > 2
    remembering = RememberingLog(log)
    for run in ("a", "b", "c"):
        await state(log, 1, run=run)
        await remembering.read(run_filter(run))
        await remembering.read(run_filter("a"))
    assert list(remembering._kept) == [run_filter("c"), run_filter("a")]
