"""What the gatekeeper owes in every stage of a run: it acts, it refuses, it stays quiet."""

from typing import Any, Final

import pytest

from libs.contracts.evidence import Evidence, Finding, TestCase, TestOutcome
from libs.contracts.facts import (
    CheckpointClosed,
    CheckpointOpened,
    Fact,
    FreezeSet,
    GateJudged,
    LadderFact,
    LevelLowered,
    MergeAuthorised,
    PhaseClaimed,
    PhaseRequested,
    RunAborted,
    RunEscalated,
    RunFinished,
)
from libs.contracts.words import DecisionKind, Disposition, Level, Outcome, Phase, RunOutcome, Severity
from libs.contracts.workflow import (
    BudgetPolicy,
    CheckpointPolicy,
    LoopName,
    OnTimeout,
    RoutePolicy,
    default_policy,
    policy_digest,
)
from services.gatekeeper.answers import AT_CHECKPOINT
from services.gatekeeper.budget import DEADLINE_S
from services.gatekeeper.decider import decide
from services.gatekeeper.evolution import fold as fold_run
from services.gatekeeper.retries import PAUSES_S
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import Stage
from tests.spec.decider import T0, Given, given, record
from tests.spec.story import (
    BAD,
    BASE,
    BODY,
    CHANGE,
    GOOD,
    INTEGRATION,
    POLICY,
    ROUTE,
    RUN,
    SILENT,
    TREE,
    WORKFLOW,
    adopted,
    completed,
    decided,
    errored,
    granted,
    judged,
    merged,
    opened,
    problem,
    refused,
    started,
    watch_ended,
    watch_started,
)

DIGEST: Final = policy_digest(POLICY)


def requested(phase: Phase, attempt: int = 1, commit: str = CHANGE, guidance: str | None = None) -> PhaseRequested:
    return PhaseRequested(
        run=RUN,
        phase=phase,
        attempt=attempt,
        base=BASE,
        commit=BASE if phase in (Phase.PLAN, Phase.BUILD) and attempt == 1 else commit,
        agent="repair",
        inputs={"issue.md": BODY},
        guidance=guidance,
        deadline_s=DEADLINE_S,
    )


def stops(phase: Phase, *, can_approve: bool = True, reason: str = "") -> CheckpointOpened:
    commit = {Phase.PLAN: BASE, Phase.DEPLOY: INTEGRATION}.get(phase, CHANGE)
    first = DecisionKind.APPROVE if can_approve else DecisionKind.OVERRIDE
    return CheckpointOpened(
        run=RUN,
        phase=phase,
        attempt=1,
        commit=commit,
        policy_digest=DIGEST,
        reason=reason or "at level assisted a human decides after every phase",
        answers=(first, *AT_CHECKPOINT),
    )


def closes(phase: Phase, decision: str | None, how: str = "decided") -> CheckpointClosed:
    return CheckpointClosed.model_validate({"run": RUN, "phase": phase, "attempt": 1, "how": how, "decision": decision})


def authorises(by: str, level: Level, *, decision: str | None = None, sequence: int = 0) -> MergeAuthorised:
    return MergeAuthorised(
        run=RUN,
        attempt=1,
        base=BASE,
        commit=INTEGRATION,
        tree=TREE,
        branch="main",
        by=by,
        decision=decision,
        level_in_force=level,
        ladder_sequence=sequence,
    )


def finishes(outcome: RunOutcome, reason: str) -> RunFinished:
    return RunFinished(run=RUN, outcome=outcome, reason=reason)


def _phase(phase: Phase) -> list[Fact]:
    """A phase at the lowest level: asked for, done, judged, looked at, approved."""
    return [
        requested(phase),
        PhaseClaimed(run=RUN, phase=phase, attempt=1, worker="host:1"),
        completed(phase),
        judged(phase, ladder_sequence=2),
        stops(phase),
        decided(DecisionKind.APPROVE, phase, decision=f"d-{phase}", commit=stops(phase).commit),
        closes(phase, f"d-{phase}"),
    ]


HAPPY: Final[tuple[Fact, ...]] = (
    opened(),
    adopted(),
    started(),
    *(fact for phase in ROUTE for fact in _phase(phase)),
    authorises("ann", Level.ASSISTED, decision="d-deploy", sequence=2),
    merged(),
    watch_started(),
    watch_ended(),
    finishes(RunOutcome.MERGED, "merged; watch ended clear"),
)
"""A whole run at the lowest level, every fact written down."""

FOREIGN: Final = ("issue.", "phase.claimed", "phase.completed", "decision.", "change.", "watch.")
"""Beginnings of the types that others state, or that a human's request becomes."""


def rest(count: int) -> list[Fact]:
    """What the gatekeeper states of the whole run after its first facts, until somebody else speaks."""
    following = []
    for fact in HAPPY[count:]:
        if fact.type.startswith(FOREIGN):
            break
        following.append(fact)
    return following


def at_level(level: Level, *facts: Fact) -> Given:
    """A run at this level that has begun; the ladder holds three facts."""
    return given(adopted(), *granted(level), started(level=level), *facts)


def walked(level: Level, *evidence: Evidence) -> Given:
    """A run at this level, settled after each phase's evidence in the order of the route."""
    log = at_level(level).settled()
    for phase, collected in zip(ROUTE, evidence, strict=False):
        log = log.then(completed(phase, evidence=collected)).settled()
    return log


def good(*phases: Phase) -> list[Evidence]:
    return [GOOD[phase] for phase in phases]


@pytest.mark.parametrize("count", range(1, len(HAPPY) + 1))
def test_after_every_prefix_of_a_whole_run_just_the_rest_is_owed(count: int) -> None:
    given(*HAPPY[:count]).settles(*rest(count))


def test_every_fact_of_a_whole_run_fits() -> None:
    run = given(*HAPPY).run
    assert (run.stage, run.misfits, run.is_settled) == (Stage.ENDED, (), True)


def test_nothing_is_known_of_a_run_without_facts_and_nothing_is_owed() -> None:
    given().owes_nothing()


def test_an_opened_issue_owes_its_policy_and_its_run() -> None:
    given(opened()).owes(adopted(), started())


def test_a_policy_that_the_ladder_holds_is_not_adopted_again() -> None:
    given(adopted(), opened()).owes(started())


def test_a_policy_that_was_changed_back_is_adopted_again() -> None:
    other = POLICY.model_copy(update={"protected": ("secrets/**",)})
    given(adopted(), adopted(other), opened()).owes(adopted(), started())


def test_the_request_s_level_and_agent_win_over_the_workflow_s() -> None:
    begun = given(opened(level=Level.SUPERVISED, agent="exec:x")).settled().run.begun
    assert (begun.level, begun.agent) == (Level.SUPERVISED, "exec:x")


def test_an_issue_whose_repository_is_in_trouble_is_declined_with_the_sentence_and_its_policy_is_not_adopted() -> None:
    issue = opened()
    snapshot = issue.snapshot.model_copy(update={"base": None, "problem": "there is no commit"})
    log = given(issue.model_copy(update={"snapshot": snapshot})).settled()
    assert log.facts[-1] == finishes(RunOutcome.DECLINED, "there is no commit")
    assert not [fact for fact in log.facts if isinstance(fact, LadderFact)]


def test_a_run_that_works_owes_nothing_and_has_a_deadline() -> None:
    log = at_level(Level.ASSISTED, requested(Phase.PLAN))
    log.owes_nothing()
    assert log.timers == ["deadline-plan-1"]


def test_deadlines_that_pass_again_and_again_are_judged_as_no_data_with_a_sentence() -> None:
    log = at_level(Level.ASSISTED, requested(Phase.PLAN))
    for attempt in range(1, len(PAUSES_S) + 1):
        log = log.timer(f"deadline-plan-{attempt}").settled().timer(f"retry-plan-{attempt}").settled()
    log = log.timer(f"deadline-plan-{len(PAUSES_S) + 1}").settled()
    verdict = log.run.judged
    assert verdict is not None
    assert verdict.verdict.outcome is Outcome.NO_DATA
    assert "no answer came before the deadline of 1800 s" in verdict.verdict.reasons


def test_an_answer_after_the_deadline_does_not_count() -> None:
    log = at_level(Level.ASSISTED, requested(Phase.PLAN)).timer("deadline-plan-1")
    late = log.then(completed(Phase.PLAN))
    assert late.run.misfits == (len(late.facts),)
    assert late.run.answer is None


def test_an_answer_for_another_attempt_does_not_count() -> None:
    log = at_level(Level.ASSISTED, requested(Phase.PLAN), completed(Phase.PLAN, attempt=2))
    log.owes_nothing()
    assert log.run.misfits == (len(log.facts),)


def test_an_attempt_that_could_not_run_never_passes() -> None:
    log = at_level(Level.ASSISTED, requested(Phase.PLAN), errored(Phase.PLAN)).settled()
    assert log.run.judged is not None
    assert log.run.judged.verdict.outcome is Outcome.ERROR


@pytest.mark.parametrize("phase", ROUTE)
def test_at_the_lowest_level_the_run_waits_after_every_phase_whatever_the_verdict(phase: Phase) -> None:
    before = ROUTE[: ROUTE.index(phase)]
    for evidence in (GOOD[phase], BAD[phase], SILENT):
        log = at_level(Level.ASSISTED).settled()
        for earlier in before:
            log = approved(log.then(completed(earlier)).settled(), earlier)
        log = log.then(completed(phase, evidence=evidence)).settled()
        assert (log.run.stage, log.run.phase) == (Stage.WAITING, phase)
        log.owes_nothing()


def approved(log: Given, phase: Phase, kind: DecisionKind = DecisionKind.APPROVE) -> Given:
    attempt = log.run.attempt
    return log.then(decided(kind, phase, attempt, decision=f"d{len(log.facts)}")).settled()


def test_at_the_lowest_level_a_wait_has_no_end_unless_the_workflow_says_so() -> None:
    log = walked(Level.ASSISTED, GOOD[Phase.PLAN])
    assert log.timers == []
    policy = POLICY.model_copy(update={"checkpoints": {Phase.PLAN: CheckpointPolicy(timeout_s=60)}})
    bound = given(adopted(policy), started(policy=policy), requested(Phase.PLAN), completed(Phase.PLAN)).settled()
    assert bound.timers == ["reminder-plan-1-1", "checkpoint-plan-1-1"]
    assert bound.run.checkpoint is not None
    assert bound.run.checkpoint.expires_at == T0 + len(bound.facts) - 1 + 60


def test_a_checkpoint_that_expires_calls_a_human_once_then_aborts_and_never_approves() -> None:
    log = walked(Level.SUPERVISED, GOOD[Phase.PLAN])
    called = log.timer("checkpoint-plan-1-1").settled()
    assert [type(fact) for fact in called.facts[-3:]] == [CheckpointClosed, RunEscalated, CheckpointOpened]
    assert (called.run.stage, called.timers) == (Stage.WAITING, ["reminder-plan-1-2", "checkpoint-plan-1-2"])
    aborted = RunAborted(run=RUN, phase=Phase.PLAN, attempt=1, reason="nobody decided before the checkpoint expired")
    called.timer("checkpoint-plan-1-2").settles(closes(Phase.PLAN, None, "expired"), aborted)


def test_a_checkpoint_whose_workflow_says_so_aborts_when_it_expires() -> None:
    strict = CheckpointPolicy(timeout_s=60, on_timeout=OnTimeout.ABORT)
    policy = POLICY.model_copy(update={"checkpoints": {Phase.PLAN: strict}})
    log = given(adopted(policy), started(policy=policy), requested(Phase.PLAN), completed(Phase.PLAN)).settled()
    aborted = RunAborted(run=RUN, phase=Phase.PLAN, attempt=1, reason="nobody decided before the checkpoint expired")
    log.timer("checkpoint-plan-1-1").settles(closes(Phase.PLAN, None, "expired"), aborted)


def test_a_retry_or_guidance_at_a_checkpoint_does_the_healing_phase_again() -> None:
    log = walked(Level.ASSISTED, *good(Phase.PLAN))
    log = approved(log, Phase.PLAN).then(completed(Phase.BUILD)).settled()
    log = approved(log, Phase.BUILD).then(completed(Phase.TEST, evidence=BAD[Phase.TEST])).settled()
    again = log.then(decided(DecisionKind.GUIDE, Phase.TEST, guidance="look at rounding", decision="g"))
    again.owes(closes(Phase.TEST, "g"), requested(Phase.BUILD, attempt=2, guidance="look at rounding"))


def test_a_rejected_run_ends_with_the_gate_s_reasons_or_the_person_s() -> None:
    passed = walked(Level.ASSISTED, GOOD[Phase.PLAN])
    assert approved(passed, Phase.PLAN, DecisionKind.REJECT).facts[-1] == finishes(RunOutcome.DECLINED, "seen")
    failed = walked(Level.ASSISTED, BAD[Phase.PLAN])
    ended = approved(failed, Phase.PLAN, DecisionKind.REJECT).run.finished
    assert ended is not None
    assert ended.reason == "the plan names files that do not exist: nowhere.py"


@pytest.mark.parametrize(
    "log",
    [
        at_level(Level.ASSISTED, requested(Phase.PLAN)),
        at_level(Level.ASSISTED, requested(Phase.PLAN), completed(Phase.PLAN)),
        walked(Level.ASSISTED, GOOD[Phase.PLAN]),
    ],
    ids=["working", "answered", "waiting"],
)
def test_a_cancelled_run_ends(log: Given) -> None:
    ended = log.then(decided(DecisionKind.CANCEL, Phase.PLAN)).settled()
    assert ended.facts[-1] == finishes(RunOutcome.CANCELLED, "seen")
    assert ended.run.checkpoint is None


def test_an_ended_run_stays_quiet_whatever_comes() -> None:
    log = given(*HAPPY)
    for late in (completed(Phase.DEPLOY), decided(DecisionKind.CANCEL, Phase.DEPLOY), merged(), started()):
        after = log.then(late)
        after.owes_nothing()
        assert after.run.misfits == (len(after.facts),)


@pytest.mark.parametrize("phase", [Phase.PLAN, Phase.TEST, Phase.REVIEW])
def test_supervised_heals_by_itself_and_then_waits_at_its_checkpoints(phase: Phase) -> None:
    log = at_level(Level.SUPERVISED).settled()
    for earlier in ROUTE[: ROUTE.index(phase)]:
        log = log.then(completed(earlier)).settled()
        log = approved(log, earlier) if log.run.stage is Stage.WAITING else log
    log = exhausted(log, phase)
    assert (log.run.stage, log.run.phase) == (Stage.WAITING, phase)
    assert log.run.attempts_of(Phase.PLAN if phase is Phase.PLAN else Phase.BUILD) == 4


def exhausted(log: Given, phase: Phase) -> Given:
    """The run after its worker has failed this gate, each time in another way, until no attempt is left."""
    for number in range(20):
        if (run := log.run).stage is not Stage.WORKING:
            return log
        evidence = other_way(run.phase, number) if run.phase is phase else GOOD[run.phase]
        log = log.then(completed(run.phase, run.attempt, evidence)).settled()
        if log.run.stage is Stage.WAITING and log.run.phase is not phase:
            log = approved(log, log.run.phase)
    raise AssertionError("healing has no end")


def other_way(phase: Phase, number: int) -> Evidence:
    """Evidence that fails its gate by a failure of its own."""
    bad = BAD[phase]
    if bad.tests is not None:
        case = TestCase(name=f"test_{number}", outcome=TestOutcome.FAILED)
        return bad.model_copy(update={"tests": bad.tests.model_copy(update={"failures": (case,)})})
    if bad.review is not None:
        fields: dict[str, Any] = {"tool": "ruff", "rule": "E1", "severity": Severity.BLOCKER, "file": "shop.py"}
        found = Finding(fingerprint=str(number), **fields)
        return bad.model_copy(update={"review": bad.review.model_copy(update={"findings": (found,)})})
    assert bad.plan is not None
    return bad.model_copy(update={"plan": bad.plan.model_copy(update={"files_missing": (f"{number}.py",)})})


@pytest.mark.parametrize("phase", [Phase.PLAN, Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DOCUMENT])
def test_the_same_failures_as_before_are_not_healed_again(phase: Phase) -> None:
    log = at_level(Level.SUPERVISED).settled()
    for _ in range(20):
        if (run := log.run).stage is not Stage.WORKING:
            break
        log = log.then(completed(run.phase, run.attempt, (BAD if run.phase is phase else GOOD)[run.phase])).settled()
        if log.run.stage is Stage.WAITING and log.run.phase is not phase:
            log = approved(log, log.run.phase)
    assert (log.run.stage, log.run.phase, log.run.attempt) == (Stage.WAITING, phase, 2)
    assert log.run.judged is not None
    assert log.run.judged.reason.endswith("not healed: the failures are the same as before, so nothing new is known")


def test_healing_that_is_exhausted_where_the_gate_decides_calls_a_human_first() -> None:
    log = at_level(Level.SUPERVISED).settled().then(completed(Phase.PLAN)).settled()
    log = approved(log, Phase.PLAN)
    for attempt in (1, 2):
        log = log.then(completed(Phase.BUILD, attempt, BAD[Phase.BUILD], commit=BASE)).settled()
    assert log.run.judged is not None
    assert log.run.judged.calls_human
    assert [type(fact) for fact in log.facts[-2:]] == [RunEscalated, CheckpointOpened]
    assert log.timer("checkpoint-build-2-2").settled().run.stage is Stage.ABORTED


@pytest.mark.parametrize(
    ("budget", "attempts"), [(BudgetPolicy(attempts=1), 1), (BudgetPolicy(wall_s=1), 1), (BudgetPolicy(attempts=2), 2)]
)
def test_a_spent_budget_ends_healing(budget: BudgetPolicy, attempts: int) -> None:
    policy = POLICY.model_copy(update={"budget": budget})
    log = given(adopted(policy), *granted(Level.SUPERVISED), started(level=Level.SUPERVISED, policy=policy)).settled()
    for number in range(attempts):
        log = log.then(completed(Phase.PLAN, number + 1, other_way(Phase.PLAN, number))).settled()
    assert (log.run.stage, log.run.attempt) == (Stage.WAITING, attempts)
    assert log.run.judged is not None
    assert "budget" in log.run.judged.reason


def test_without_auto_merge_in_the_workflow_the_highest_level_waits_for_a_human() -> None:
    policy = default_policy()
    log = given(adopted(policy), *granted(Level.ASE), started(level=Level.ASE, policy=policy)).settled()
    for phase in ROUTE:
        log = log.then(completed(phase)).settled()
    assert (log.run.stage, log.run.phase) == (Stage.WAITING, Phase.DEPLOY)


def test_a_change_with_red_tests_is_opened_at_the_third_level_and_merges_only_on_override() -> None:
    red = GOOD[Phase.DEPLOY].model_copy(update={"tests": BAD[Phase.TEST].tests})
    log = at_level(Level.AUTONOMOUS).settled()
    while (run := log.run).stage is Stage.WORKING:
        bad = {Phase.TEST: BAD[Phase.TEST], Phase.DEPLOY: red}
        log = log.then(completed(run.phase, run.attempt, bad.get(run.phase, GOOD[run.phase]))).settled()
    assert (log.run.stage, log.run.phase) == (Stage.WAITING, Phase.DEPLOY)
    assert log.run.checkpoint is not None
    assert DecisionKind.OVERRIDE in log.run.checkpoint.answers
    assert DecisionKind.APPROVE not in log.run.checkpoint.answers
    assert approved(log, Phase.DEPLOY, DecisionKind.OVERRIDE).run.stage is Stage.AUTHORISED


def test_red_tests_that_nobody_warned_of_abort_a_deploy_at_the_third_level() -> None:
    red = GOOD[Phase.DEPLOY].model_copy(update={"tests": BAD[Phase.TEST].tests})
    log = at_level(Level.AUTONOMOUS).settled()
    while (run := log.run).stage is Stage.WORKING:
        evidence = red if run.phase is Phase.DEPLOY else GOOD[run.phase]
        log = log.then(completed(run.phase, run.attempt, evidence)).settled()
    assert (log.run.stage, log.run.phase) == (Stage.ABORTED, Phase.DEPLOY)


def test_a_silent_gate_that_only_warns_keeps_the_highest_level_from_merging_by_itself() -> None:
    log = at_level(Level.ASE).settled()
    while (run := log.run).stage is Stage.WORKING:
        evidence = SILENT if run.phase is Phase.DOCUMENT else GOOD[run.phase]
        log = log.then(completed(run.phase, run.attempt, evidence)).settled()
    assert (log.run.stage, log.run.phase) == (Stage.WAITING, Phase.DEPLOY)
    assert log.run.judged is not None
    assert log.run.judged.reason == "the gates of document could not tell; a human merges"


@pytest.mark.parametrize(("patch_id", "stage"), [("p", Stage.AUTHORISED), ("other", Stage.WAITING)])
def test_a_base_that_moved_asks_a_human_again_only_if_the_change_is_another(patch_id: str, stage: Stage) -> None:
    log = walked(Level.SUPERVISED, GOOD[Phase.PLAN])
    for phase in ROUTE:
        log = log if phase is Phase.PLAN else log.then(completed(phase)).settled()
        log = approved(log, phase) if log.run.stage is Stage.WAITING else log
    moved = log.then(refused("moved")).settled()
    log = moved.then(completed(Phase.DEPLOY, 2, change_of(patch_id))).settled()
    assert (log.run.stage, log.run.attempt) == (stage, 2)


@pytest.mark.parametrize("phase", ROUTE)
@pytest.mark.parametrize("level", Level)
def test_healing_ends_at_every_level_and_for_every_phase(level: Level, phase: Phase) -> None:
    log = at_level(level).settled()
    for _ in range(40):
        if log.run.stage is not Stage.WORKING:
            break
        evidence = BAD[log.run.phase] if log.run.phase is phase else GOOD[log.run.phase]
        log = log.then(completed(log.run.phase, log.run.attempt, evidence)).settled()
        if log.run.stage is Stage.WAITING and log.run.phase is not phase:
            log = approved(log, log.run.phase)
    assert log.run.stage in (Stage.WAITING, Stage.ABORTED, Stage.AUTHORISED, Stage.PROCEEDING)


def test_a_hotfix_heals_once() -> None:
    phases = POLICY.route("hotfix")
    log = given(
        adopted(), *granted(Level.SUPERVISED), started(level=Level.SUPERVISED, issue_type="hotfix", phases=phases)
    )
    log = exhausted(log.settled(), Phase.TEST)
    assert log.run.attempts_of(Phase.BUILD) == 2


def test_a_worker_that_declines_is_not_asked_again() -> None:
    log = at_level(Level.AUTONOMOUS, requested(Phase.PLAN))
    log = log.then(completed(Phase.PLAN, declined="there is no failing test")).settled()
    assert log.facts[-1].type == "run.aborted"
    assert log.run.aborted is not None
    assert "there is no failing test" in log.run.aborted.reason


def test_a_declined_attempt_leaves_the_candidate_as_it_was() -> None:
    log = at_level(Level.ASSISTED, requested(Phase.PLAN), completed(Phase.PLAN, commit=CHANGE, declined="no"))
    assert log.run.commit == BASE


def test_an_aborted_run_resumes_from_the_phase_where_it_stopped() -> None:
    log = walked(Level.AUTONOMOUS, *good(Phase.PLAN, Phase.BUILD, Phase.TEST), problem("no_tests"))
    assert log.run.stage is Stage.ABORTED
    log.owes_nothing()
    resumed = log.then(decided(DecisionKind.RESUME, Phase.REVIEW))
    resumed.owes(requested(Phase.BUILD, attempt=2))


def test_autonomous_warns_after_tests_and_waits_only_for_the_merge() -> None:
    log = walked(Level.AUTONOMOUS, *good(Phase.PLAN, Phase.BUILD), SILENT, *good(*ROUTE[3:]))
    tested = log.run.last_judged(Phase.TEST)
    assert tested is not None
    assert tested.disposition is Disposition.WARN
    assert (log.run.stage, log.run.phase) == (Stage.WAITING, Phase.DEPLOY)


def test_ase_merges_after_the_delay_on_its_own_authority() -> None:
    log = walked(Level.ASE, *good(*ROUTE))
    assert (log.run.stage, log.timers) == (Stage.PROCEEDING, ["merge-1"])
    log.owes_nothing()
    due = log.timer("merge-1")
    due.owes(authorises("level ase", Level.ASE, sequence=3))


def test_a_held_merge_waits_for_its_release() -> None:
    held = walked(Level.ASE, *good(*ROUTE)).then(decided(DecisionKind.HOLD, Phase.DEPLOY, decision="h"))
    held.owes_nothing()
    assert held.timers == []
    released = held.then(decided(DecisionKind.RELEASE, Phase.DEPLOY, decision="r"))
    assert released.timers == ["merge-1"]


def test_a_hold_after_the_timer_and_before_the_authorisation_asks_a_human() -> None:
    due = walked(Level.ASE, *good(*ROUTE)).timer("merge-1")
    held = due.then(decided(DecisionKind.HOLD, Phase.DEPLOY, decision="h")).settled()
    assert (held.run.stage, held.run.phase) == (Stage.WAITING, Phase.DEPLOY)
    assert not [fact for fact in held.facts if isinstance(fact, MergeAuthorised)]


@pytest.mark.parametrize(
    "lost",
    [
        LevelLowered(workflow=WORKFLOW, level=Level.AUTONOMOUS, by="machine", reason="a rollback"),
        FreezeSet(workflow=WORKFLOW, by="ann", reason="a fair"),
    ],
    ids=["lowered", "frozen"],
)
def test_authority_that_is_lost_before_or_after_the_timer_asks_a_human(lost: Fact) -> None:
    log = walked(Level.ASE, *good(*ROUTE))
    before, after = log.then(lost), log.timer("merge-1").then(lost)
    for once in (before, after):
        (stopped,) = once.stated()
        assert isinstance(stopped, CheckpointOpened)
        once.then(stopped).owes_nothing()


def test_a_decision_on_an_earlier_attempt_authorises_no_later_one() -> None:
    log = walked(Level.ASE, *good(*ROUTE)).timer("merge-1").settled()
    log = log.then(refused()).settled()
    log = approved(log, Phase.DEPLOY).then(refused("moved")).settled()
    log = log.then(completed(Phase.DEPLOY, 2, change_of("other"))).settled().timer("merge-2")
    (authorised,) = log.stated()
    assert isinstance(authorised, MergeAuthorised)
    assert (authorised.by, authorised.decision, authorised.attempt) == ("level ase", None, 2)


def change_of(patch_id: str) -> Evidence:
    good = GOOD[Phase.DEPLOY]
    assert good.integration is not None
    return good.model_copy(update={"integration": good.integration.model_copy(update={"patch_id": patch_id})})


@pytest.mark.parametrize("silent", [Phase.TEST, Phase.REVIEW])
def test_a_change_without_a_passed_test_and_review_verdict_never_merges_by_itself(silent: Phase) -> None:
    phases = tuple(phase for phase in ROUTE if phase is not silent)
    log = given(adopted(), *granted(Level.ASE), started(level=Level.ASE, phases=phases)).settled()
    for phase in phases:
        log = log.then(completed(phase)).settled()
    assert (log.run.stage, log.run.phase) == (Stage.WAITING, Phase.DEPLOY)


def test_a_route_that_ends_without_deploy_says_that_nothing_was_merged() -> None:
    phases = (Phase.PLAN, Phase.MONITOR)
    policy = POLICY.model_copy(update={"routing": {"idea": RoutePolicy(phases=phases)}})
    log = given(adopted(), started(policy=policy, phases=phases, issue_type="idea")).settled()
    log = approved(log.then(completed(Phase.PLAN)).settled(), Phase.PLAN)
    assert log.facts[-1] == finishes(
        RunOutcome.DECLINED, "the route of idea issues ends without deploy; nothing was merged"
    )


def test_a_route_without_build_heals_the_phase_that_failed() -> None:
    phases = (Phase.DOCUMENT, Phase.REVIEW, Phase.DEPLOY)
    log = given(adopted(), *granted(Level.SUPERVISED), started(level=Level.SUPERVISED, phases=phases)).settled()
    log = log.then(completed(Phase.DOCUMENT)).settled()
    log = log.then(completed(Phase.REVIEW, evidence=BAD[Phase.REVIEW])).settled()
    assert (log.run.stage, log.run.phase, log.run.attempt) == (Stage.WORKING, Phase.REVIEW, 2)


def test_a_base_that_moved_is_integrated_and_judged_again() -> None:
    log = given(*HAPPY[: HAPPY.index(merged())], refused("moved"))
    log.owes(requested(Phase.DEPLOY, attempt=2))


def test_a_refused_merge_waits_and_says_why() -> None:
    log = given(*HAPPY[: HAPPY.index(merged())], refused("dirty"))
    log.settles(stops(Phase.DEPLOY, reason="nothing moved: dirty"))


@pytest.mark.parametrize(
    ("phase", "agent"), [(Phase.PLAN, "repair"), (Phase.BUILD, "exec:builder")], ids=["default", "own"]
)
def test_a_phase_s_own_agent_is_asked_where_the_workflow_names_one(phase: Phase, agent: str) -> None:
    phases = {**POLICY.phases, Phase.BUILD: POLICY.phases[Phase.BUILD].model_copy(update={"agent": "exec:builder"})}
    policy = POLICY.model_copy(update={"phases": phases})
    log = given(adopted(), started(policy=policy)).settled()
    log = log if phase is Phase.PLAN else approved(log.then(completed(Phase.PLAN)).settled(), Phase.PLAN)
    assert log.run.request is not None
    assert (log.run.request.phase, log.run.request.agent) == (phase, agent)


def test_a_run_with_a_fact_that_cannot_be_read_decides_nothing() -> None:
    facts = record(HAPPY[:3])
    run = fold_run(facts, unread=[9])
    assert decide(run, given(*HAPPY[:3]).ladder) == []
    assert decide(fold_run(facts), given(*HAPPY[:3]).ladder)


def test_level_in_force_is_never_above_what_the_ladder_holds() -> None:
    log = given(adopted(), started(level=Level.ASE), requested(Phase.PLAN), completed(Phase.PLAN)).settled()
    assert log.run.judged is not None
    assert (log.run.judged.level_in_force, log.run.stage) == (Level.ASSISTED, Stage.WAITING)


def test_a_disposition_names_the_ladder_s_sequence_and_the_shadow_of_the_next_level() -> None:
    log = walked(Level.AUTONOMOUS, GOOD[Phase.PLAN])
    (verdict,) = [fact for fact in log.facts if isinstance(fact, GateJudged)]
    assert (verdict.ladder_sequence, verdict.shadow) == (3, Disposition.PROCEED)


def test_loops_bound_the_attempts_by_name() -> None:
    loops = {**POLICY.loops, LoopName.TEST_RETRY: POLICY.loops[LoopName.TEST_RETRY].model_copy(update={"max": 0})}
    policy = POLICY.model_copy(update={"loops": loops, "routing": {}})
    log = given(adopted(), *granted(Level.SUPERVISED), started(policy=policy, level=Level.SUPERVISED)).settled()
    log = log.then(completed(Phase.PLAN, evidence=BAD[Phase.PLAN])).settled()
    assert (log.run.stage, log.run.attempts_of(Phase.PLAN)) == (Stage.WAITING, 1)


def test_a_new_run_is_the_empty_fold() -> None:
    assert fold_run(()) == Run()
