"""Where a run waits: reminders, expiry, agreement of several, and which approvals outlive a new commit."""

from typing import Any, Final

import pytest

from libs.contracts.evidence import Evidence, IntegrationEvidence, TestCase, TestEvidence, TestOutcome
from libs.contracts.facts import CheckpointOpened, CheckpointReminded, MergeAuthorised, PhaseRequested, RunEscalated
from libs.contracts.words import DecisionKind, Level, Phase
from libs.contracts.workflow import CheckpointPolicy, OnTimeout, Policy
from services.gatekeeper.timers import open_timers
from services.gatekeeper.transitions import Stage
from tests.spec.decider import Given, given
from tests.spec.story import (
    BAD,
    BASE,
    CHANGE,
    GOOD,
    POLICY,
    RUN,
    adopted,
    asks,
    completed,
    decided,
    granted,
    merged,
    refused,
    started,
)

DAY_S: Final = 86_400.0
DOCUMENTED: Final = "f" * 40


def waiting(level: Level = Level.SUPERVISED, policy: Policy = POLICY) -> Given:
    """A run that waits after its plan."""
    log = given(adopted(policy), *granted(level), started(level=level, policy=policy)).settled()
    return log.then(completed(Phase.PLAN)).settled()


def at_the_merge() -> Given:
    """A supervised run that waits for its merge, everything before it approved."""
    return _on_to(waiting(), Phase.DEPLOY)


def _on_to(log: Given, phase: Phase) -> Given:
    for number in range(20):
        run = log.run
        if (run.phase, run.stage) == (phase, Stage.WAITING):
            return log
        if run.stage is Stage.WAITING:
            log = log.requests(asks(DecisionKind.APPROVE, f"on-{len(log.facts)}-{number}")).after.settled()
        else:
            commit = DOCUMENTED if run.phase in (Phase.DOCUMENT, Phase.DEPLOY) else CHANGE
            log = log.then(completed(run.phase, run.attempt, commit=commit)).settled()
    raise AssertionError(f"{phase} is not reached")


# -- reminder and expiry ------------------------------------------------------


def test_whoever_should_decide_is_reminded_once_when_three_quarters_of_the_time_are_over() -> None:
    log = waiting()
    reminder, expiry = open_timers(log.run)
    assert reminder.at == pytest.approx(expiry.at - DAY_S / 4, abs=1)
    reminded = log.timer(reminder.name)
    reminded.owes(CheckpointReminded(run=RUN, phase=Phase.PLAN, attempt=1, expires_at=expiry.at))
    after = reminded.settled()
    assert (after.run.stage, after.timers) == (Stage.WAITING, [expiry.name])
    assert after.run.is_reminded


def test_a_checkpoint_without_an_end_needs_no_reminder() -> None:
    assert waiting(Level.ASSISTED).timers == []


def test_a_checkpoint_that_opens_again_is_reminded_of_again() -> None:
    log = waiting()
    log = log.timer(log.timers[0]).settled()
    opened_again = log.timer(log.timers[0]).settled()
    assert (opened_again.run.stage, opened_again.run.is_reminded) == (Stage.WAITING, False)
    assert opened_again.timers == ["reminder-plan-1-2", "checkpoint-plan-1-2"]
    again = opened_again.timer("reminder-plan-1-2").settled()
    assert sum(isinstance(fact, CheckpointReminded) for fact in again.facts) == 2


def test_a_reminder_that_comes_after_the_decision_means_nothing() -> None:
    log = waiting()
    name = log.timers[0]
    approved = log.requests(asks(DecisionKind.APPROVE)).after.settled()
    assert name not in approved.timers
    assert approved.run.stage is Stage.WORKING


@pytest.mark.parametrize("on_timeout", OnTimeout)
def test_no_expiry_approves_and_a_human_is_called_once_where_the_workflow_says_so(on_timeout: OnTimeout) -> None:
    policy = POLICY.model_copy(update={"checkpoints": {Phase.PLAN: CheckpointPolicy(on_timeout=on_timeout)}})
    log = waiting(policy=policy)
    while log.timers:
        log = log.timer(log.timers[-1]).settled()
    assert log.run.stage is Stage.ABORTED
    calls = sum(isinstance(fact, RunEscalated) for fact in log.facts)
    assert calls == (1 if on_timeout is OnTimeout.ESCALATE else 0)
    assert not [f for f in log.facts if isinstance(f, PhaseRequested) and f.phase is not Phase.PLAN]


# -- agreement of several -----------------------------------------------------


def test_an_agreement_that_awaits_others_moves_nothing_and_the_last_one_does() -> None:
    log = at_the_merge()
    one = log.then(decided(DecisionKind.APPROVE, Phase.DEPLOY, decision="one", commit=log.run.commit, awaits=1))
    one.owes_nothing()
    assert (one.run.stage, "one" in one.run.decisions) == (Stage.WAITING, True)
    two = one.then(decided(DecisionKind.APPROVE, Phase.DEPLOY, decision="two", commit=log.run.commit)).settled()
    assert two.run.stage is Stage.AUTHORISED


# -- which approvals outlive a new commit --------------------------------------


def test_a_document_commit_keeps_the_approvals_before_it() -> None:
    log = at_the_merge()
    assert log.run.commit == DOCUMENTED
    asked = [fact.phase for fact in log.facts if isinstance(fact, CheckpointOpened)]
    assert asked == [Phase.PLAN, Phase.TEST, Phase.REVIEW, Phase.DEPLOY]


def test_a_code_commit_voids_the_approvals_before_it() -> None:
    log = at_the_merge()
    log = log.requests(asks(DecisionKind.GUIDE, "g", guidance="rename it")).after.settled()
    asked = []
    while log.run.stage is not Stage.AUTHORISED:
        if log.run.stage is Stage.WAITING:
            asked.append(log.run.phase)
            log = log.requests(asks(DecisionKind.APPROVE, f"again-{log.run.phase}")).after.settled()
        else:
            log = log.then(completed(log.run.phase, log.run.attempt)).settled()
    assert asked == [Phase.TEST, Phase.REVIEW, Phase.DEPLOY]


def test_an_override_holds_for_its_own_commit_alone() -> None:
    log = _on_to(waiting(), Phase.PLAN).requests(asks(DecisionKind.APPROVE)).after.settled()
    log = log.then(completed(Phase.BUILD)).settled()
    for attempt in (1, 2):
        log = log.then(completed(Phase.TEST, attempt, BAD[Phase.TEST])).settled()
        if log.run.stage is Stage.WORKING:
            log = log.then(completed(Phase.BUILD, attempt + 1)).settled()
    overridden = log.requests(asks(DecisionKind.OVERRIDE, "o")).after.settled()
    assert overridden.run.phase is Phase.REVIEW
    healed = overridden.then(completed(Phase.REVIEW, evidence=BAD[Phase.REVIEW])).settled()
    built = healed.then(completed(Phase.BUILD, 3)).settled()
    assert built.run.phase is Phase.TEST
    assert built.then(completed(Phase.TEST, 3, BAD[Phase.TEST])).settled().run.stage is Stage.WAITING


def test_a_decision_on_what_was_seen_before_a_new_commit_is_refused() -> None:
    log = at_the_merge()
    seen = log.run.checkpoint
    assert seen is not None
    again = _on_to(log.requests(asks(DecisionKind.RETRY, "r")).after.settled(), Phase.DEPLOY)
    late = asks(DecisionKind.APPROVE, "late", phase=seen.phase, attempt=seen.attempt, commit=seen.commit)
    answer = again.requests(late)
    assert answer.fact is not None
    assert answer.fact.type == "decision.refused"
    assert answer.after.settled().run.stage is Stage.WAITING


@pytest.mark.parametrize(("patch_id", "stage"), [("p", Stage.AUTHORISED), ("q", Stage.WAITING)])
def test_a_base_that_moved_keeps_the_approval_of_the_same_change_alone(patch_id: str, stage: Stage) -> None:
    log = at_the_merge().requests(asks(DecisionKind.APPROVE, "m")).after.settled()
    log = log.then(refused("moved")).settled()
    integration = IntegrationEvidence(base=BASE, commit="1" * 40, tree="2" * 40, patch_id=patch_id)
    evidence = Evidence.model_validate({**GOOD[Phase.DEPLOY].model_dump(), "integration": integration})
    assert log.then(completed(Phase.DEPLOY, 2, evidence)).settled().run.stage is stage


# -- a merge that takes too long ----------------------------------------------


def test_a_merge_that_takes_too_long_calls_a_human_once_and_may_land_after_all() -> None:
    log = at_the_merge().requests(asks(DecisionKind.APPROVE, "m")).after.settled()
    assert log.timers == ["landing-1"]
    called = log.timer("landing-1").settled()
    assert isinstance(called.facts[-1], RunEscalated)
    assert (called.run.stage, called.timers) == (Stage.AUTHORISED, [])
    assert sum(isinstance(fact, MergeAuthorised) for fact in called.facts) == 1
    assert called.then(merged()).run.stage is Stage.MERGED


# -- failures that blame nobody ------------------------------------------------


@pytest.mark.parametrize(
    "fields", [{"flaky": 1, "flaky_names": ("t",)}, {"preexisting": 1, "preexisting_names": ("t",)}]
)
@pytest.mark.parametrize("level", Level)
def test_a_flaky_failure_and_one_of_the_base_are_not_healed_and_never_merge_by_themselves(
    level: Level, fields: dict[str, Any]
) -> None:
    tests = TestEvidence(passed=3, failed=1, failures=(TestCase(name="t", outcome=TestOutcome.FAILED),), **fields)
    log = given(adopted(), *granted(level), started(level=level)).settled()
    while (log.run.stage, log.run.phase) != (Stage.WORKING, Phase.TEST):
        stopped = log.run.stage is Stage.WAITING
        log = log.requests(asks(DecisionKind.APPROVE, f"d-{log.run.phase}")).after if stopped else log
        log = (log if stopped else log.then(completed(log.run.phase))).settled()
    log = log.then(completed(Phase.TEST, evidence=Evidence(commit=CHANGE, tests=tests))).settled()
    assert log.run.attempts_of(Phase.BUILD) == 1
    while log.run.stage is Stage.WORKING:
        log = log.then(completed(log.run.phase)).settled()
    assert log.run.stage is Stage.WAITING
    assert log.run.phase is (Phase.TEST if level in (Level.ASSISTED, Level.SUPERVISED) else Phase.DEPLOY)
    assert not [fact for fact in log.facts if isinstance(fact, MergeAuthorised)]
