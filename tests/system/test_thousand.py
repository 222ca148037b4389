"""Many runs wait at a checkpoint while the gatekeeper is killed and started again: each expires once.

The server decides how late a timer fires and the machine how fast the gatekeeper is; what is asked
here holds however late all of it comes. `RUNG_WAITING_RUNS` says how many runs wait.
"""

import os
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from libs.contracts.facts import RunFact, TimerDue
from libs.contracts.wire import Recorded
from libs.contracts.words import Service
from libs.contracts.workflow import OnTimeout
from libs.runtime.provision import wait_and_provision
from libs.runtime.server import start
from services.gatekeeper.transitions import event_of
from tests.support.onlooker import looking_on
from tests.support.seeding import Waiting, seed
from tests.support.system import System
from tests.support.waiting import until

RUNS: Final = int(os.environ.get("RUNG_WAITING_RUNS", "120"))
WORKFLOWS: Final = 6
FIRST_S: Final = 6 + RUNS / 40
SPREAD_S: Final = RUNS / 40
GROUPS: Final = tuple(
    Waiting(
        name=f"shop-{number}",
        timeout_s=FIRST_S + SPREAD_S * number / WORKFLOWS,
        on_timeout=OnTimeout.ESCALATE if number % 3 == 0 else OnTimeout.ABORT,
        count=RUNS // WORKFLOWS,
    )
    for number in range(WORKFLOWS)
)
ABORTED: Final = {run for group in GROUPS if group.on_timeout is OnTimeout.ABORT for run in group.runs}
ESCALATED: Final = {run for group in GROUPS if group.on_timeout is OnTimeout.ESCALATE for run in group.runs}

SEEDED: Final = ["run.started", "phase.requested", "phase.completed", "gate.judged:checkpoint", "checkpoint.opened"]
REMINDED: Final = ["timer.due:reminder", "checkpoint.reminded"]
EXPIRED: Final = ["timer.due:checkpoint", "checkpoint.closed"]
UNDER_WAY_MAX: Final = 2
"""Reminders that the killed gatekeeper may have been at; they come again only after the checkpoint is closed."""

Told = dict[str, list[Recorded]]


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """A bus; who serves on it is started by the test."""
    async with await start(tmp_path) as server:
        await wait_and_provision(server.endpoint.url, server.endpoint.keys)
        system = System(server, tmp_path)
        yield system
        system.stop()


async def test_each_wait_expires_once_though_the_gatekeeper_is_killed_in_the_midst(system: System) -> None:
    told = await _expire(system)
    assert set(told) == ABORTED | ESCALATED
    _nobody_is_taken_to_have_approved(told)
    _each_run_that_nobody_answers_ends_once(told)
    _a_human_is_called_once_and_may_answer_again(told)
    _no_timer_came_early_or_twice(told)
    _people_were_reminded_once(told)
    await _until_scheduled(system, {(run, "checkpoint-plan-1-2") for run in ESCALATED})


async def _expire(system: System) -> Told:
    """Seed, serve, kill in the midst of the expiries, serve again until all have come; the runs' histories."""
    await seed(system.server.endpoint, GROUPS)
    async with (
        system.operator() as operator,
        looking_on(operator.client, "run.*.timer.due.checkpoint-plan-1-1") as expiries,
        looking_on(operator.client, "run.*.run.aborted") as ends,
        looking_on(operator.client, "run.*.checkpoint.opened.plan.1") as openings,
    ):
        system.start_service(Service.GATEKEEPER)
        await expiries.until_count(RUNS // 3)
        system.kill_service(Service.GATEKEEPER)
        system.start_service(Service.GATEKEEPER)
        await ends.until_all({f"run.{run}.run.aborted" for run in ABORTED})
        await openings.until_all({f"run.{run}.checkpoint.opened.plan.1" for run in ESCALATED})
        told: Told = defaultdict(list)
        for recorded in (await ends.log()).facts:
            if isinstance(recorded.fact, RunFact):
                told[recorded.fact.run].append(recorded)
    return told


async def _until_scheduled(system: System, wanted: set[tuple[str, str]]) -> None:
    """Until these timers were scheduled, whether they have fired or not."""
    async with system.operator() as operator, looking_on(operator.client, ">") as onlooker:

        async def are_scheduled() -> bool:
            return wanted <= await onlooker.timers()

        await until(are_scheduled, within_s=60)


def _events(history: list[Recorded]) -> list[str]:
    return [event_of(recorded.fact) for recorded in history]


def _without_reminder(events: list[str]) -> list[str]:
    """Whoever was not reminded before the end of the wait is not reminded after it."""
    at = len(SEEDED)
    return events[:at] + events[at + len(REMINDED) :] if events[at : at + len(REMINDED)] == REMINDED else events


def _nobody_is_taken_to_have_approved(told: Told) -> None:
    events = {event for history in told.values() for event in _events(history)}
    assert not {event for event in events if event.startswith(("decision", "merge"))}
    assert {_events(history).count("phase.requested") for history in told.values()} == {1}


def _each_run_that_nobody_answers_ends_once(told: Told) -> None:
    expected = [*SEEDED, *EXPIRED, "run.aborted"]
    events = {run: _without_reminder(_events(told[run])) for run in ABORTED}
    assert {run: its for run, its in events.items() if its != expected} == {}


def _a_human_is_called_once_and_may_answer_again(told: Told) -> None:
    expected = [*SEEDED, *EXPIRED, "run.escalated", "checkpoint.opened"]
    events = {run: _without_reminder(_events(told[run])) for run in ESCALATED}
    assert {run: its for run, its in events.items() if its[: len(expected)] != expected} == {}
    assert {its.count("run.escalated") for its in events.values()} == {1}


def _no_timer_came_early_or_twice(told: Told) -> None:
    due = [recorded for history in told.values() for recorded in history if isinstance(recorded.fact, TimerDue)]
    assert [r.fact for r in due if isinstance(r.fact, TimerDue) and r.time < r.fact.at] == []
    subjects = [recorded.fact.subject for recorded in due]
    assert len(subjects) == len(set(subjects))


def _people_were_reminded_once(told: Told) -> None:
    """All but those whose reminder the killed gatekeeper was at; none twice, which the histories have told."""
    reminded = [run for run, history in told.items() if _without_reminder(_events(history)) != _events(history)]
    assert len(reminded) >= len(told) - UNDER_WAY_MAX
