"""Healing: which loop a fail triggers, what bounds it, and what the workflow says of a fail that stays."""

from typing import Any, Final

import pytest

from libs.contracts.evidence import Evidence, Finding, ReviewEvidence, TestCase, TestEvidence, TestOutcome
from libs.contracts.facts import PhaseRequested, RunAborted, RunEscalated
from libs.contracts.words import DecisionKind, Disposition, Level, Outcome, Phase, Severity
from libs.contracts.workflow import (
    BudgetPolicy,
    CheckpointPolicy,
    Criterion,
    EscalationPolicy,
    GateEscalation,
    GatePolicy,
    LoopName,
    LoopPolicy,
    LoopTrigger,
    OnExhaust,
    OnFail,
    PhasePolicy,
    PhaseRule,
    Policy,
    RetryStrategy,
    Tool,
)
from services.gatekeeper.budget import cost_usd, worked_s
from services.gatekeeper.healing import healer
from services.gatekeeper.retries import PAUSES_S
from services.gatekeeper.transitions import Stage
from tests.spec.decider import Given, given
from tests.spec.story import (
    BAD,
    BASE,
    CHANGE,
    GOOD,
    POLICY,
    adopted,
    asks,
    completed,
    errored,
    granted,
    problem,
    refused,
    started,
)

EXEC: Final = "exec:claude -p"


def begun(level: Level = Level.SUPERVISED, policy: Policy = POLICY, **more: Any) -> Given:
    return given(adopted(policy), *granted(level), started(level=level, policy=policy, **more)).settled()


def at(phase: Phase, log: Given) -> Given:
    """The run at work on a phase, everything before it passed and approved."""
    for number in range(20):
        run = log.run
        if run.stage is Stage.WORKING and run.phase is phase:
            return log
        if run.stage is Stage.WAITING:
            log = log.requests(asks(DecisionKind.APPROVE, f"to-{phase}-{number}")).after.settled()
        else:
            log = log.then(completed(run.phase, run.attempt)).settled()
    raise AssertionError(f"{phase} is not reached")


def failing(log: Given, number: int = 0) -> Given:
    """The run after its test failed, in a way of its own."""
    case = TestCase(name=f"test_{number}", outcome=TestOutcome.FAILED)
    bad = Evidence(commit=CHANGE, tests=TestEvidence(passed=2, failed=1, failures=(case,)))
    return log.then(completed(Phase.TEST, log.run.attempt, bad)).settled()


def reviewed(log: Given, *findings: Finding) -> Given:
    counts = {str(level): sum(f.severity is level for f in findings) for level in Severity}
    review = ReviewEvidence(tools=("ruff",), findings=findings, **counts)
    return log.then(completed(Phase.REVIEW, log.run.attempt, Evidence(commit=CHANGE, review=review))).settled()


def finding(severity: Severity, rule: str = "F821") -> Finding:
    return Finding(tool="ruff", rule=rule, severity=severity, file="shop.py", fingerprint=f"{rule}-{severity}")


def loops(name: LoopName, **said: Any) -> Policy:
    changed = POLICY.loops[name].model_copy(update=said)
    return POLICY.model_copy(update={"loops": {**POLICY.loops, name: changed}})


def gate(phase: Phase, **said: Any) -> Policy:
    return POLICY.model_copy(update={"gates": {**POLICY.gates, phase: POLICY.gates[phase].model_copy(update=said)}})


def request_of(log: Given) -> PhaseRequested:
    fact = log.facts[-1]
    assert isinstance(fact, PhaseRequested)
    return fact


def reason(log: Given) -> str:
    assert log.run.judged is not None
    return log.run.judged.reason


# -- which loop ---------------------------------------------------------------


def test_a_failed_test_triggers_the_retry_loop_and_the_build_is_done_again_on_the_change() -> None:
    asked = request_of(failing(at(Phase.TEST, begun())))
    assert (asked.phase, asked.attempt, asked.loop, asked.commit) == (Phase.BUILD, 2, LoopName.TEST_RETRY, CHANGE)


def test_a_blocker_triggers_the_patch_loop_and_the_tests_run_again_before_the_review() -> None:
    log = reviewed(at(Phase.REVIEW, begun()), finding(Severity.BLOCKER))
    assert (request_of(log).phase, request_of(log).loop) == (Phase.BUILD, LoopName.REVIEW_PATCH)
    tested = log.then(completed(Phase.BUILD, 2)).settled()
    assert (tested.run.phase, tested.run.attempt, request_of(tested).loop) == (Phase.TEST, 2, None)


def test_a_wrong_approach_is_built_again_from_the_base() -> None:
    log = reviewed(at(Phase.REVIEW, begun()), finding(Severity.BLOCKER, "architectural-issue"))
    assert (request_of(log).loop, request_of(log).commit) == (LoopName.FULL_REBUILD, BASE)
    lost = log.then(errored(Phase.BUILD, 2, is_retryable=True)).timer("retry-build-2").settled()
    assert (request_of(lost).attempt, request_of(lost).loop, request_of(lost).commit) == (
        3,
        LoopName.FULL_REBUILD,
        BASE,
    )


def test_a_fail_that_triggers_no_loop_is_not_healed() -> None:
    policy = loops(LoopName.TEST_RETRY, trigger=LoopTrigger.BLOCKER)
    log = failing(at(Phase.TEST, begun(policy=policy)))
    assert log.run.stage is Stage.WAITING
    assert reason(log).endswith("not healed: no loop of the workflow is triggered by test_failure")


@pytest.mark.parametrize("ignored", ["tech_debt", "tech_debt_max"])
def test_a_loop_leaves_alone_what_it_ignores(ignored: str) -> None:
    policy = loops(LoopName.REVIEW_PATCH, ignore=(ignored,))
    strict = GatePolicy(criteria=(Criterion(name="max_blockers", limit=0), Criterion(name="tech_debt_max", limit=0)))
    policy = policy.model_copy(update={"gates": {**policy.gates, Phase.REVIEW: strict}})
    log = reviewed(at(Phase.REVIEW, begun(policy=policy)), finding(Severity.MINOR))
    assert reason(log).endswith("not healed: the loop ignores tech_debt_max")
    both = reviewed(at(Phase.REVIEW, begun(policy=policy)), finding(Severity.MINOR), finding(Severity.BLOCKER))
    assert both.run.stage is Stage.WORKING


@pytest.mark.parametrize(
    ("strategy", "phase"),
    [
        (None, Phase.DOCUMENT),
        (RetryStrategy.REDOCUMENT, Phase.DOCUMENT),
        (RetryStrategy.REBUILD, Phase.BUILD),
        (RetryStrategy.REBUILD_AND_RETEST, Phase.BUILD),
        (RetryStrategy.RESOLVE_CONFLICTS, Phase.BUILD),
    ],
)
def test_a_gate_may_say_which_phase_is_done_again(strategy: RetryStrategy | None, phase: Phase) -> None:
    log = at(Phase.DOCUMENT, begun(policy=gate(Phase.DOCUMENT, retry_strategy=strategy)))
    healed = log.then(completed(Phase.DOCUMENT, evidence=BAD[Phase.DOCUMENT])).settled()
    assert request_of(healed).phase is phase
    assert healer(log.run) is phase


# -- how often ----------------------------------------------------------------


@pytest.mark.parametrize(("policy", "attempts"), [(loops(LoopName.TEST_RETRY, max=1), 2), (POLICY, 4)])
def test_a_loop_allows_so_many_attempts_however_many_a_human_adds(policy: Policy, attempts: int) -> None:
    log = begun(policy=policy)
    for number in range(attempts):
        log = failing(at(Phase.TEST, log), number)
    assert (log.run.stage, log.run.attempts_of(Phase.BUILD)) == (Stage.WAITING, attempts)
    again = log.requests(asks(DecisionKind.RETRY)).after.settled()
    assert request_of(again).loop is None
    assert failing(at(Phase.TEST, again), 9).run.stage is Stage.WAITING


def test_a_gate_s_own_number_of_retries_stands_before_the_loop_s() -> None:
    log = failing(at(Phase.TEST, begun(policy=gate(Phase.TEST, max_retries=0))))
    assert reason(log).endswith("not healed: the loop allows 0 healing attempts")


def test_each_gate_has_its_own_count() -> None:
    policy = loops(LoopName.TEST_RETRY, max=1)
    log = at(Phase.BUILD, begun(policy=policy)).then(completed(Phase.BUILD, evidence=BAD[Phase.BUILD])).settled()
    assert request_of(log).loop is LoopName.TEST_RETRY
    assert request_of(failing(at(Phase.TEST, log))).loop is LoopName.TEST_RETRY


# -- what the workflow says of a fail that stays -------------------------------


@pytest.mark.parametrize(
    ("level", "said", "stage"),
    [
        (Level.ASSISTED, OnExhaust.ABORT, Stage.WAITING),
        (Level.SUPERVISED, None, Stage.WAITING),
        (Level.SUPERVISED, OnExhaust.ESCALATE, Stage.WAITING),
        (Level.SUPERVISED, OnExhaust.ABORT, Stage.ABORTED),
        (Level.SUPERVISED, OnExhaust.WARN, Stage.WAITING),
        (Level.AUTONOMOUS, None, Stage.WORKING),
        (Level.AUTONOMOUS, OnExhaust.ESCALATE, Stage.WAITING),
        (Level.AUTONOMOUS, OnExhaust.ABORT, Stage.ABORTED),
        (Level.AUTONOMOUS, OnExhaust.WARN, Stage.WORKING),
        (Level.ASE, None, Stage.ABORTED),
        (Level.ASE, OnExhaust.ESCALATE, Stage.WAITING),
        (Level.ASE, OnExhaust.WARN, Stage.ABORTED),
    ],
)
def test_an_exhausted_loop_ends_as_it_says_with_no_more_authority_than_the_level(
    level: Level, said: OnExhaust | None, stage: Stage
) -> None:
    log = failing(at(Phase.TEST, begun(level, loops(LoopName.TEST_RETRY, max=0, on_exhaust=said))))
    assert log.run.stage is stage
    is_called = any(isinstance(fact, RunEscalated) for fact in log.facts)
    assert is_called is (said is OnExhaust.ESCALATE)


@pytest.mark.parametrize(
    ("on_fail", "level", "stage"),
    [
        (OnFail.RETRY, Level.AUTONOMOUS, Stage.WORKING),
        (OnFail.ESCALATE, Level.AUTONOMOUS, Stage.WAITING),
        (OnFail.LOG, Level.AUTONOMOUS, Stage.WORKING),
        (OnFail.LOG, Level.ASE, Stage.ABORTED),
    ],
)
def test_a_gate_that_escalates_or_logs_is_not_healed(on_fail: OnFail, level: Level, stage: Stage) -> None:
    log = failing(at(Phase.TEST, begun(level, gate(Phase.TEST, on_fail=on_fail))))
    assert log.run.stage is stage
    assert (log.run.phase is Phase.BUILD) is (on_fail is OnFail.RETRY)


def test_who_is_called_is_told_in_the_words_of_the_gate_and_the_workflow() -> None:
    said = GateEscalation(target="on-call", message="gave up after {retries} retries")
    policy = gate(Phase.TEST, on_fail=OnFail.ESCALATE, escalation=said)
    policy = policy.model_copy(update={"escalation": EscalationPolicy(notify=("slack",))})
    log = failing(at(Phase.TEST, begun(policy=policy)))
    (called,) = [fact for fact in log.facts if isinstance(fact, RunEscalated)]
    assert (called.target, called.notify) == ("on-call", ("slack",))
    assert called.reason.startswith("gave up after 0 retries: the test gate says fail")


def ruled(phase: Phase, rule: PhaseRule) -> Policy:
    phases = {**POLICY.phases, phase: PhasePolicy(tools=frozenset(Tool), disposition=rule)}
    return POLICY.model_copy(update={"phases": phases})


@pytest.mark.parametrize(
    ("level", "phase", "rule", "stage"),
    [
        (Level.SUPERVISED, Phase.BUILD, PhaseRule.CHECKPOINT, Stage.WAITING),
        (Level.SUPERVISED, Phase.TEST, PhaseRule.OPTIONAL, Stage.WAITING),
        (Level.AUTONOMOUS, Phase.PLAN, PhaseRule.CHECKPOINT, Stage.WAITING),
        (Level.AUTONOMOUS, Phase.PLAN, PhaseRule.OPTIONAL, Stage.WORKING),
        (Level.ASE, Phase.DEPLOY, PhaseRule.CHECKPOINT, Stage.WAITING),
        (Level.ASE, Phase.DEPLOY, PhaseRule.HUMAN, Stage.WAITING),
        (Level.ASE, Phase.DEPLOY, PhaseRule.OPTIONAL, Stage.PROCEEDING),
    ],
)
def test_a_workflow_may_ask_for_a_human_where_the_level_does_not_but_never_the_reverse(
    level: Level, phase: Phase, rule: PhaseRule, stage: Stage
) -> None:
    log = at(phase, begun(level, ruled(phase, rule)))
    assert log.then(completed(phase)).settled().run.stage is stage


def test_a_phase_that_must_pass_ends_the_run_where_the_level_only_warns() -> None:
    policy = ruled(Phase.TEST, PhaseRule.REQUIRED)
    policy = policy.model_copy(update={"loops": loops(LoopName.TEST_RETRY, max=0).loops})
    log = failing(at(Phase.TEST, begun(Level.AUTONOMOUS, policy)))
    assert log.run.stage is Stage.ABORTED
    assert "by the workflow this phase must pass" in reason(log)


def test_a_checkpoint_that_the_workflow_names_counts_while_supervised_is_in_force() -> None:
    policy = POLICY.model_copy(update={"checkpoints": {Phase.BUILD: CheckpointPolicy()}})
    for level, stage in ((Level.SUPERVISED, Stage.WAITING), (Level.AUTONOMOUS, Stage.WORKING)):
        assert at(Phase.BUILD, begun(level, policy)).then(completed(Phase.BUILD)).settled().run.stage is stage


# -- infrastructure -----------------------------------------------------------


@pytest.mark.parametrize("level", Level)
def test_a_failure_that_may_pass_is_tried_again_after_growing_pauses_and_then_is_no_data(level: Level) -> None:
    log = at(Phase.BUILD, begun(level))
    for attempt in range(1, len(PAUSES_S) + 1):
        log = log.then(errored(Phase.BUILD, attempt, is_retryable=True))
        log.owes_nothing()
        assert log.timers == [f"retry-build-{attempt}"]
        log = log.timer(f"retry-build-{attempt}").settled()
        assert (log.run.stage, log.run.attempt) == (Stage.WORKING, attempt + 1)
    log = log.then(errored(Phase.BUILD, len(PAUSES_S) + 1, is_retryable=True)).settled()
    assert log.run.judged is not None
    assert log.run.judged.verdict.outcome is Outcome.NO_DATA
    assert log.run.judged.verdict.reasons[0] == "sandbox: the sandbox did not start"


def test_a_lost_attempt_counts_in_no_loop_and_an_answer_ends_the_row() -> None:
    log = at(Phase.BUILD, begun())
    log = log.then(errored(Phase.BUILD, 1, is_retryable=True)).timer("retry-build-1").settled()
    log = failing(at(Phase.TEST, log))
    assert log.run.attempts_of(Phase.BUILD) == 3
    healed = log.then(errored(Phase.BUILD, 3, is_retryable=True))
    assert healed.timers == ["retry-build-3"]
    assert healed.timer("retry-build-3").settled().timers == ["deadline-build-4"]


def test_a_run_is_cancelled_while_it_waits_for_another_try() -> None:
    log = at(Phase.BUILD, begun()).then(errored(Phase.BUILD, 1, is_retryable=True))
    assert log.requests(asks(DecisionKind.CANCEL)).after.settled().run.stage is Stage.ENDED


def test_a_failure_that_will_not_pass_is_judged_at_once() -> None:
    log = at(Phase.BUILD, begun()).then(errored(Phase.BUILD)).settled()
    assert log.run.judged is not None
    assert log.run.judged.verdict.outcome is Outcome.ERROR


# -- the budget ---------------------------------------------------------------


def costing(log: Given, cost_usd: float | None, phase: Phase | None = None) -> Given:
    run = log.run
    assert run.stage is Stage.WORKING
    evidence = GOOD[run.phase] if phase is None else BAD[phase]
    return log.then(completed(run.phase, run.attempt, evidence, cost_usd=cost_usd)).settled()


def with_budget(level: Level = Level.AUTONOMOUS, **said: Any) -> Given:
    policy = POLICY.model_copy(update={"budget": BudgetPolicy(**said)})
    return begun(level, policy, agent=EXEC, agent_by="operator")


def test_money_is_set_aside_before_an_attempt_and_what_it_cost_is_committed_after() -> None:
    log = with_budget(cost_usd=5, attempt_cost_usd=2)
    assert request_of(log).cost_limit_usd == 2
    assert cost_usd(log.run.attempts) == 2
    log = costing(log, 0.5)
    assert cost_usd(log.run.attempts[:-1]) == 0.5
    assert request_of(log).cost_limit_usd == 2
    log = costing(log, 2)
    assert (log.run.phase, request_of(log).cost_limit_usd) == (Phase.TEST, None)
    at_the_documents = at(Phase.DOCUMENT, log)
    assert request_of(at_the_documents).cost_limit_usd == 2


def test_without_a_bound_of_its_own_an_attempt_may_cost_all_that_is_left() -> None:
    log = costing(with_budget(cost_usd=5), 1.25)
    assert request_of(log).cost_limit_usd == 3.75


def test_an_agent_that_does_not_say_what_it_cost_has_spent_what_was_set_aside() -> None:
    log = costing(with_budget(cost_usd=3, attempt_cost_usd=2), None)
    aborted = log.run.aborted
    assert (log.run.stage, log.run.phase) == (Stage.ABORTED, Phase.PLAN)
    assert aborted is not None
    assert aborted.reason.startswith("$1 is left of what the run may cost, too little for another attempt")
    assert "does not say what it costs" in aborted.reason


def test_a_lost_attempt_is_paid_for() -> None:
    log = with_budget(cost_usd=3, attempt_cost_usd=2).then(errored(Phase.PLAN, is_retryable=True)).settled()
    assert log.run.judged is not None
    assert log.run.stage is Stage.ABORTED
    assert log.timers == []


def test_the_embedded_agent_costs_nothing() -> None:
    policy = POLICY.model_copy(update={"budget": BudgetPolicy(cost_usd=0.01)})
    assert request_of(begun(policy=policy)).cost_limit_usd is None


def test_a_loop_may_cost_no_more_than_its_ceiling() -> None:
    policy = loops(LoopName.TEST_RETRY, max=9, cost_ceiling_usd=1.0)
    log = failing(at(Phase.TEST, begun(Level.SUPERVISED, policy, agent=EXEC, agent_by="operator")))
    assert request_of(log).cost_limit_usd == 1
    log = failing(costing(log, 0.75), 1)
    assert request_of(log).cost_limit_usd == 0.25
    log = failing(costing(log, 0.25), 2)
    assert log.run.stage is Stage.WAITING
    assert "not healed: $0 is left of what the run may cost" in reason(log)


@pytest.mark.parametrize("level", [Level.ASSISTED, Level.SUPERVISED, Level.AUTONOMOUS, Level.ASE])
def test_a_budget_that_is_spent_in_the_middle_of_a_heal_stops_before_the_next_call(level: Level) -> None:
    policy = POLICY.model_copy(update={"budget": BudgetPolicy(attempts=4)})
    log = failing(at(Phase.TEST, begun(level, policy)))
    if log.run.stage is Stage.WAITING:
        log = log.requests(asks(DecisionKind.RETRY)).after.settled()
    assert (log.run.phase, log.run.attempt) == (Phase.BUILD, 2)
    log = log.then(completed(Phase.BUILD, 2)).settled()
    assert len(log.run.attempts) == 4
    assert log.run.stage is (Stage.WAITING if level is Level.ASSISTED else Stage.ABORTED)
    for kind in (DecisionKind.APPROVE, DecisionKind.RETRY, DecisionKind.RESUME, DecisionKind.GUIDE):
        assert log.requests(asks(kind, f"late-{kind}", guidance="go")).after.settled().run.stage is log.run.stage


def test_a_checkpoint_offers_nothing_that_the_budget_does_not_allow() -> None:
    policy = POLICY.model_copy(update={"budget": BudgetPolicy(attempts=1)})
    log = begun(Level.ASSISTED, policy).then(completed(Phase.PLAN)).settled()
    assert log.run.checkpoint is not None
    assert log.run.checkpoint.answers == (DecisionKind.REJECT, DecisionKind.CANCEL)


def test_the_time_for_an_attempt_is_no_more_than_what_is_left_and_waiting_for_people_is_not_work() -> None:
    log = with_budget(Level.ASSISTED, wall_s=10)
    assert request_of(log).deadline_s == 10
    log = log.then(completed(Phase.PLAN)).settled()
    assert worked_s(log.run.attempts) == 1
    log = log.requests(asks(DecisionKind.APPROVE)).after.settled()
    assert request_of(log).deadline_s == 9
    lost = log.timer("deadline-build-1").settled()
    assert worked_s(lost.run.attempts) <= 10


def test_a_base_that_moves_when_the_budget_is_spent_ends_the_run() -> None:
    policy = POLICY.model_copy(update={"budget": BudgetPolicy(attempts=6)})
    log = at(Phase.DEPLOY, begun(Level.ASSISTED, policy)).then(completed(Phase.DEPLOY)).settled()
    log = log.requests(asks(DecisionKind.APPROVE)).after.settled()
    assert log.run.stage is Stage.AUTHORISED
    moved = log.then(refused("moved")).settled()
    assert isinstance(moved.facts[-1], RunAborted)


def test_a_silent_gate_is_not_healed() -> None:
    log = at(Phase.TEST, begun()).then(completed(Phase.TEST, evidence=problem("no_tests"))).settled()
    assert log.run.judged is not None
    assert log.run.judged.disposition is Disposition.CHECKPOINT


def test_a_loop_of_an_issue_type_stands_before_the_workflow_s() -> None:
    once = LoopPolicy(max=1, trigger=LoopTrigger.TEST_FAILURE)
    route = POLICY.routing["bug"].model_copy(update={"loops": {LoopName.TEST_RETRY: once}})
    policy = POLICY.model_copy(update={"routing": {**POLICY.routing, "bug": route}})
    log = failing(at(Phase.TEST, failing(at(Phase.TEST, begun(policy=policy)))), 1)
    assert reason(log).endswith("not healed: the loop allows 1 healing attempts")
