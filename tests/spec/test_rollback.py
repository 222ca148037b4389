"""A merged change that is taken back: by the machine what it merged, by a person at any time; and who is called."""

from collections.abc import Callable
from typing import Final, TypeVar

import pytest

from libs.contracts.facts import (
    AnomalyDetected,
    ChangeReverted,
    DecisionRecorded,
    DecisionRefused,
    Fact,
    MergeAuthorised,
    RollbackOrdered,
    RunEscalated,
    RunFinished,
)
from libs.contracts.people import People, Person, Role
from libs.contracts.requests import DecisionRequest
from libs.contracts.words import DecisionKind, Level, Phase, RunOutcome
from libs.contracts.workflow import OnRegression, Policy
from services.gatekeeper.decisions import consider
from services.gatekeeper.transitions import Stage
from services.gatekeeper.views import view
from tests.spec.decider import Given, given
from tests.spec.story import (
    INTEGRATION,
    POLICY,
    RUN,
    adopted,
    asks,
    completed,
    granted,
    merged,
    refused,
    started,
    watch_ended,
    watch_started,
)

F = TypeVar("F", bound=Fact)

REVERT: Final = "f" * 40
REVERTED: Final = ChangeReverted(run=RUN, tip=REVERT, reverts=INTEGRATION, reason="seen", why="business")
WORSE: Final = watch_ended("regressed")


def watched_merge(level: Level, policy: Policy = POLICY) -> Given:
    """A run whose change is merged and watched: by the machine at the highest level, else by a person."""
    log = given(adopted(policy), *granted(level), started(level=level, policy=policy)).settled()
    while log.run.stage is not Stage.AUTHORISED:
        if log.run.stage is Stage.WORKING:
            log = log.then(completed(log.run.phase)).settled()
        elif log.run.stage is Stage.WAITING:
            log = log.requests(asks(DecisionKind.APPROVE, f"d-{log.run.phase}")).after.settled()
        else:
            log = log.timer("merge-1").settled()
    return log.then(merged(), watch_started())


def by_machine(on_regression: OnRegression = OnRegression.REVERT) -> Given:
    return watched_merge(Level.ASE, POLICY.model_copy(update={"on_regression": on_regression}))


def by_person() -> Given:
    return watched_merge(Level.ASSISTED)


def taken_back(decision: str = "r1", **more: object) -> DecisionRequest:
    fields = {"reason": "nobody wants it", "revert_for": "business", **more}
    return asks(DecisionKind.REVOKE, decision, **fields)


def stated(before: Given, after: Given, kind: type[F]) -> list[F]:
    """The facts of a kind that were stated since."""
    return [fact for fact in after.facts[len(before.facts) :] if isinstance(fact, kind)]


# -- the machine ---------------------------------------------------------------


def test_what_the_machine_merged_it_takes_back_when_production_got_worse_and_the_run_ends_after_that() -> None:
    log = by_machine().then(WORSE)
    ordered = log.settled()
    (order,) = stated(log, ordered, RollbackOrdered)
    assert (order.why, order.by, order.decision) == ("regression", "rung", None)
    assert WORSE.reason in order.reason
    assert (ordered.run.stage, ordered.run.is_settled, stated(log, ordered, RunFinished)) == (Stage.WATCHED, False, [])
    ended = ordered.then(REVERTED).settled()
    (finished,) = stated(ordered, ended, RunFinished)
    assert finished.outcome is RunOutcome.MERGED
    assert "taken back" in finished.reason
    assert ended.run.is_settled
    assert len(stated(log, ended, RollbackOrdered)) == 1


@pytest.mark.parametrize("outcome", ["clear", "no_data"])
def test_a_watch_without_a_regression_takes_nothing_back(outcome: str) -> None:
    log = by_machine().then(watch_ended(outcome))
    assert not stated(log, log.settled(), RollbackOrdered)
    assert log.settled().run.stage is Stage.ENDED


@pytest.mark.parametrize("merge", [by_person, lambda: by_machine(OnRegression.ALERT)])
def test_what_is_not_the_machine_s_to_take_back_calls_a_human_once_and_says_how(merge: Callable[[], Given]) -> None:
    log = merge().then(WORSE)
    after = log.settled()
    (call,) = stated(log, after, RunEscalated)
    assert f"rung rollback {RUN[:8]}" in call.reason
    assert (call.target, after.run.stage, after.run.is_settled) == ("human", Stage.ENDED, True)
    assert not stated(log, after, RollbackOrdered)
    assert f"What takes the change back: rung rollback {RUN[:8]} --why regression" in told(after)


def test_the_machine_tries_once_and_then_calls_a_human() -> None:
    ordered = by_machine().then(WORSE).settled()
    after = ordered.then(refused("conflict")).settled()
    (call,) = stated(ordered, after, RunEscalated)
    assert "nothing moved: conflict" in call.reason
    assert not stated(ordered, after, RollbackOrdered)
    assert (after.run.stage, after.run.is_settled) == (Stage.ENDED, True)
    after.owes_nothing()


def test_an_order_that_nobody_answers_calls_a_human_and_stays_open() -> None:
    ordered = by_machine().then(WORSE).settled()
    assert ordered.timers == ["rollback-1"]
    late = ordered.timer("rollback-1").settled()
    assert len(stated(ordered, late, RunEscalated)) == 1
    assert (late.timers, late.run.is_settled) == ([], False)
    assert late.then(REVERTED).settled().run.stage is Stage.ENDED


REGRESSION_REVERTED: Final = REVERTED.model_copy(update={"why": "regression"})
UNRECOVERED: Final = AnomalyDetected(run=RUN, anomaly="a2", signal="latency", message="latency: as bad as before")


def test_after_a_regression_was_taken_back_a_timer_asks_whether_production_recovers() -> None:
    done = by_machine().then(WORSE).settled().then(REGRESSION_REVERTED).settled()
    assert (done.timers, done.run.is_settled) == (["recovery"], False)
    after = done.timer("recovery").settled()
    assert (after.timers, after.run.is_settled) == ([], True)
    assert not stated(done, after, RunEscalated)


def test_a_production_that_does_not_recover_calls_a_human_once() -> None:
    done = by_machine().then(WORSE).settled().then(REGRESSION_REVERTED).settled().timer("recovery").settled()
    other = UNRECOVERED.model_copy(update={"anomaly": "a3", "signal": "load"})
    after = done.then(UNRECOVERED).settled().then(other).settled()
    (call,) = stated(done, after, RunEscalated)
    assert "did not recover" in call.reason
    assert "not to blame" in told(after)


def test_what_was_taken_back_for_another_reason_is_not_looked_at_again() -> None:
    assert _ended().requests(taken_back()).after.settled().then(REVERTED).settled().timers == []


# -- a person ------------------------------------------------------------------


def _watching() -> Given:
    return by_person()


def _ended() -> Given:
    return by_person().then(watch_ended("clear")).settled()


@pytest.mark.parametrize("merge", [_watching, _ended])
def test_a_person_takes_it_back_while_it_is_watched_and_after_the_end(merge: Callable[[], Given]) -> None:
    log = merge()
    answer = log.requests(taken_back())
    assert isinstance(answer.fact, DecisionRecorded)
    assert (answer.fact.commit, answer.fact.revert_for, answer.fact.is_override) == (INTEGRATION, "business", False)
    after = answer.after.settled()
    (order,) = stated(log, after, RollbackOrdered)
    assert (order.why, order.by, order.decision, order.reason) == ("business", "ann", "r1", "nobody wants it")
    assert not after.run.is_settled
    assert after.run.stage is log.run.stage
    done = after.then(REVERTED).settled()
    assert done.run.reverted == REVERTED
    assert not stated(after, done, RollbackOrdered)


def test_the_decision_to_merge_stays_the_run_s_decision() -> None:
    log = by_person()
    after = log.requests(taken_back()).after.settled()
    assert after.run.decision == log.run.decision
    assert after.run.decisions["r1"] is not None


def test_a_watch_that_ends_while_the_change_is_taken_back_ends_the_run_after_that() -> None:
    ordered = by_person().requests(taken_back()).after.settled()
    waits = ordered.then(WORSE).settled()
    assert (waits.run.stage, stated(ordered, waits, RunEscalated)) == (Stage.WATCHED, [])
    assert waits.then(REVERTED).settled().run.stage is Stage.ENDED


def test_after_a_refusal_a_human_is_called_once_and_may_order_it_again() -> None:
    ordered = _ended().requests(taken_back()).after.settled()
    called = ordered.then(refused("dirty")).settled()
    assert len(stated(ordered, called, RunEscalated)) == 1
    assert called.run.is_settled
    again = called.requests(taken_back("r2")).after.settled()
    (order,) = stated(called, again, RollbackOrdered)
    assert (order.decision, again.timers) == ("r2", ["rollback-2"])
    assert again.then(REVERTED).settled().run.is_settled


def test_a_late_answer_of_the_merger_about_nothing_does_not_fit() -> None:
    log = _ended()
    assert len(log.then(refused("dirty")).run.misfits) == 1


def refusal(log: Given, request: DecisionRequest) -> str:
    answer = log.requests(request)
    assert isinstance(answer.fact, DecisionRefused), answer.fact
    return answer.fact.code


def test_what_cannot_be_taken_back_is_refused_with_a_sentence() -> None:
    running = given(started()).settled()
    assert refusal(running, taken_back()) == "not_merged"
    ordered = _ended().requests(taken_back()).after.settled()
    assert refusal(ordered, taken_back("r2")) == "rolling_back"
    assert refusal(ordered.then(REVERTED).settled(), taken_back("r2")) == "reverted_already"
    assert refusal(_ended(), taken_back(automatic=True)) == "automatic_rollback"
    assert refusal(_ended(), taken_back(reason=" ")) == "no_reason"
    assert refusal(_ended(), taken_back(revert_for=None)) == "no_reason"
    assert refusal(_ended(), taken_back(commit="1" * 40)) == "stale"


def test_whoever_opened_the_issue_may_take_it_back_and_who_only_looks_may_not() -> None:
    people = People(people={"ann": Person(role=Role.APPROVER), "eve": Person(role=Role.VIEWER)}, separation="strict")
    log = watched_merge(Level.ASSISTED)
    own = log.run.begun.model_copy(update={"opened_by": "ann"})
    run = given(*(own if fact is log.run.begun else fact for fact in log.facts)).run
    ((fact, _),) = consider(run, taken_back(), people)
    assert isinstance(fact, DecisionRecorded)
    ((fact, _),) = consider(run, taken_back(os_user="eve", by="eve"), people)
    assert isinstance(fact, DecisionRefused)
    assert fact.code == "only_looks"


# -- what people are told ------------------------------------------------------


def told(log: Given) -> str:
    return " ".join(view(log.run).sentences)


def test_the_story_says_who_took_it_back_and_why() -> None:
    ordered = _ended().requests(taken_back()).after.settled()
    assert "is being taken back by ann (business: nobody wants it)" in told(ordered)
    failed = told(ordered.then(refused("dirty")).settled())
    assert "could not be: nothing moved: dirty" in failed
    assert f"rung rollback {RUN[:8]}" in failed
    done = ordered.then(REVERTED).settled()
    assert f"was taken back by ann (business: nobody wants it); {REVERT[:12]}" in told(done)
    assert (view(done.run).outcome, view(done.run).stage) == ("merged", "ended")


def test_only_the_machine_s_own_merges_carry_no_decision() -> None:
    assert [fact.decision for fact in by_machine().facts if isinstance(fact, MergeAuthorised)] == [None]
    assert [fact.decision for fact in by_person().facts if isinstance(fact, MergeAuthorised)] == [f"d-{Phase.DEPLOY}"]
