"""What the monitor owes a run: a watch once it is merged, and its end once its timer came due."""

import pytest

from libs.contracts.facts import Fact, TimerDue, WatchEnded, WatchStarted
from libs.contracts.history import History, Unread
from libs.contracts.wire import Unreadable
from libs.contracts.workflow import UNWATCHED_S, WATCH_S
from libs.contracts.workflow.reading import read_workflow
from services.monitor.decider import Watched, decide
from tests.spec.decider import T0, record
from tests.spec.story import INTEGRATION, POLICY, RUN, merged, started, watch_ended, watch_started

DUE = TimerDue(run=RUN, timer="watch", at=2_600.0)


def owed(*facts: Fact) -> list[tuple[Fact, str]]:
    return [tuple(one) for one in decide(Watched(History(record(facts))))]  # type: ignore[misc]


def test_nothing_is_owed_before_the_merge() -> None:
    assert owed() == owed(started()) == []


def test_a_merge_opens_a_watch_from_the_stores_time_of_the_merge() -> None:
    begun = WatchStarted(run=RUN, tip=INTEGRATION, started_at=T0 + 2, ends_at=T0 + 2 + UNWATCHED_S)
    assert owed(started(), merged()) == [(begun, "2")]


def test_a_watch_goes_on_until_its_own_timer_came_due() -> None:
    other = TimerDue(run=RUN, timer="deadline-plan-1", at=1.0)
    assert owed(started(), merged(), watch_started(), other) == []


def test_without_metrics_a_watch_ends_with_no_data_and_never_clear() -> None:
    ((fact, cause),) = owed(started(), merged(), watch_started(), DUE)
    assert isinstance(fact, WatchEnded)
    assert (fact.outcome, fact.points_before, fact.points_after, cause) == ("no_data", 0, 0, "4")


def test_an_ended_watch_is_owed_nothing() -> None:
    assert owed(started(), merged(), watch_started(), DUE, watch_ended("no_data")) == []


def test_a_run_that_cannot_be_read_is_left_alone() -> None:
    unread = (Unread("run.r.x", 9, Unreadable("newer")),)
    assert decide(Watched(History(record((started(), merged())), unread))) == []


@pytest.mark.parametrize(
    ("workflow", "duration_s"),
    [
        ("watch: 2s", 2.0),
        ("watch: 1h30m", 5400.0),
        ("metrics: [{name: errors}]", WATCH_S),
        ("autonomy: assisted", UNWATCHED_S),
    ],
)
def test_a_watch_lasts_as_long_as_the_workflow_says(workflow: str, duration_s: float) -> None:
    policy, _ = read_workflow(workflow)
    assert policy.watched_s == duration_s
    assert POLICY.watched_s == UNWATCHED_S
