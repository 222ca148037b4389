"""What the monitor owes a run: a watch once it is merged, and its end once its timer came due."""

from typing import Literal

import pytest

from libs.contracts.facts import (
    AnomalyDetected,
    ChangeReverted,
    Fact,
    IncidentOpened,
    IncidentResolved,
    TimerDue,
    WatchEnded,
    WatchStarted,
)
from libs.contracts.history import History, Unread
from libs.contracts.wire import Unreadable
from libs.contracts.workflow import UNWATCHED_S, WATCH_S
from libs.contracts.workflow.reading import read_workflow
from services.monitor.comparison import Comparison
from services.monitor.decider import Reading, Watched, decide, watch_to_judge
from tests.spec.decider import T0, record
from tests.spec.story import INTEGRATION, POLICY, RUN, merged, started, watch_ended, watch_started

REVERTED = ChangeReverted(run=RUN, tip="f" * 40, reverts=INTEGRATION, reason="seen")
RECOVERY_DUE = TimerDue(run=RUN, timer="recovery", at=9_600.0)
DUE = TimerDue(run=RUN, timer="watch", at=2_600.0)


def owed(*facts: Fact, readings: tuple[Reading, ...] | None = ()) -> list[tuple[Fact, str]]:
    """What is owed now; of it nothing is owed again once it stands in the log."""
    asked = decide(Watched(History(record(facts)), readings))
    assert decide(Watched(History(record(facts)), readings)) == asked
    for count in range(1, len(asked) + 1):
        after = decide(Watched(History(record((*facts, *(fact for fact, _ in asked[:count])))), readings))
        assert [fact for fact, _ in after] == [fact for fact, _ in asked[count:]]
    return [tuple(one) for one in asked]  # type: ignore[misc]


def reading(
    signal: str, outcome: Literal["clear", "regressed", "no_data"], before: int = 20, after: int = 10
) -> Reading:
    return Reading(signal, Comparison(outcome, before, after, f"looks {outcome}"))


def ended(*readings: Reading, before: tuple[Fact, ...] = ()) -> tuple[list[Fact], WatchEnded]:
    """What a watch that is over ends with, and the anomalies that come before its end."""
    *anomalies, (end, _) = owed(started(), merged(), watch_started(), DUE, *before, readings=readings)
    assert isinstance(end, WatchEnded)
    return [fact for fact, _ in anomalies], end


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


def test_a_watch_is_judged_only_by_who_has_measured() -> None:
    assert owed(started(), merged(), watch_started(), DUE, readings=None) == []


def test_one_signal_that_was_measured_and_did_not_get_worse_is_enough_for_clear() -> None:
    anomalies, end = ended(reading("latency", "clear"), reading("errors", "no_data", 20, 1))
    assert (anomalies, end.outcome, end.points_before, end.points_after) == ([], "clear", 20, 10)
    assert "latency: looks clear" in end.reason


def test_too_few_points_of_every_signal_are_no_data_and_say_so() -> None:
    anomalies, end = ended(reading("latency", "no_data", 3, 2), reading("errors", "no_data", 0, 0))
    assert (anomalies, end.outcome, end.points_before, end.points_after) == ([], "no_data", 3, 2)
    assert "errors: looks no_data" in end.reason


def test_each_signal_that_got_worse_is_an_anomaly_before_the_watch_ends_regressed() -> None:
    readings = (reading("latency", "regressed"), reading("errors", "clear"), reading("load", "regressed"))
    anomalies, end = ended(*readings)
    assert [fact.signal for fact in anomalies if isinstance(fact, AnomalyDetected)] == ["latency", "load"]
    assert len({fact.subject for fact in anomalies}) == 3
    assert isinstance(anomalies[-1], IncidentOpened)
    assert (end.outcome, end.reason) == ("regressed", "latency: looks regressed; load: looks regressed")


def test_an_anomaly_in_the_log_counts_whatever_a_second_reading_says() -> None:
    (anomaly, incident), _ = ended(reading("latency", "regressed"))
    assert isinstance(incident, IncidentOpened)
    anomalies, end = ended(reading("latency", "clear"), before=(anomaly,))
    assert (anomalies, end.outcome) == ([incident], "regressed")


def test_a_change_that_is_taken_back_is_watched_no_longer() -> None:
    ((fact, cause),) = owed(started(), merged(), watch_started(), REVERTED)
    assert isinstance(fact, WatchEnded)
    assert (fact.outcome, cause) == ("no_data", "4")
    assert owed(started(), merged(), watch_started(), watch_ended("clear"), REVERTED) == []


def after_the_revert(*readings: Reading, why: str = "regression", later: tuple[Fact, ...] = ()) -> list[Fact]:
    """What is owed when production should have recovered: `latency` had got worse, and the change was taken back."""
    stated, end = ended(reading("latency", "regressed"), reading("errors", "clear"))
    reverted = REVERTED.model_copy(update={"why": why})
    facts = (started(), merged(), watch_started(), DUE, *stated, end, reverted, RECOVERY_DUE, *later)
    return [fact for fact, _ in owed(*facts, readings=readings)]


def test_a_signal_that_is_as_before_once_the_change_is_off_resolves_the_incident() -> None:
    (resolved,) = after_the_revert(reading("latency", "clear"), reading("errors", "regressed"))
    (_, opened), _ = ended(reading("latency", "regressed"))
    assert isinstance(resolved, IncidentResolved)
    assert isinstance(opened, IncidentOpened)
    assert resolved.incident == opened.incident


def test_a_signal_that_is_no_better_without_the_change_is_an_anomaly_of_its_own_and_resolves_nothing() -> None:
    (anomaly,) = after_the_revert(reading("latency", "regressed"))
    assert isinstance(anomaly, AnomalyDetected)
    assert "not better without the change" in anomaly.message
    assert after_the_revert(reading("latency", "clear"), later=(anomaly,)) == []


def test_too_few_points_after_the_revert_leave_the_incident_open() -> None:
    assert after_the_revert(reading("latency", "no_data")) == []
    assert after_the_revert() == []


def test_what_was_taken_back_for_another_reason_has_nothing_to_recover_from() -> None:
    assert after_the_revert(reading("latency", "regressed"), why="business") == []


def test_after_a_revert_the_signals_are_read_from_then_on() -> None:
    stated, end = ended(reading("latency", "regressed"))
    facts = (started(), merged(), watch_started(), DUE, *stated, end, REVERTED)
    assert watch_to_judge(History(record(facts))) is None
    over = watch_to_judge(History(record((*facts, RECOVERY_DUE))))
    assert over is not None
    assert (over.merged_at, over.since, over.length_s) == (2_000.0, T0 + len(facts), 600.0)


def test_signals_are_read_only_for_a_watch_that_is_over_and_not_judged() -> None:
    def is_over(*facts: Fact) -> bool:
        return watch_to_judge(History(record(facts))) is not None

    assert is_over(started(), merged(), watch_started(), DUE)
    assert not is_over(started(), merged(), watch_started())
    assert not is_over(started(), merged(), watch_started(), DUE, watch_ended("clear"))
    assert not is_over()


SIGNALS = "metrics: {error_rate: {file: e.csv}, load: {file: l.csv, better: higher}, old: {query: sum}}\n"


@pytest.mark.parametrize(
    ("workflow", "signals"),
    [
        (SIGNALS, ("error_rate", "load")),
        (SIGNALS + "monitor: {rollback_on: [load]}", ("load",)),
        (SIGNALS + "monitor: {rollback_on: [error_rate_spike, old]}", ("error_rate",)),
        (SIGNALS + "monitor: {rollback_on: [latency_increase]}", ()),
        ("metrics: [{name: load, file: /var/l.csv}, errors]", ("load",)),
        ("autonomy: assisted", ()),
    ],
)
def test_a_watch_names_the_signals_that_roll_back_or_all_that_can_be_measured(
    workflow: str, signals: tuple[str, ...]
) -> None:
    policy, _ = read_workflow(workflow)
    ((fact, _),) = owed(started(policy=policy), merged())
    assert isinstance(fact, WatchStarted)
    assert fact.signals == signals


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
