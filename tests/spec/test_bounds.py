"""What no order of facts, no duplicate and no restart can do: spend more than its bounds, or merge by silence."""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.facts import GateJudged, MergeAuthorised, PhaseRequested, TimerDue
from libs.contracts.verdict import CriterionVerdict, Verdict
from libs.contracts.words import DecisionKind, Disposition, Level, Outcome, Phase
from libs.contracts.workflow import BudgetPolicy, LoopName, OnExhaust, PhaseRule, Policy
from services.gatekeeper.budget import cost_usd, worked_s
from services.gatekeeper.dispositions import PROFILES, Said, dispose
from services.gatekeeper.retries import PAUSES_S
from services.gatekeeper.transitions import Stage
from tests.spec.decider import Given
from tests.spec.decider import given as log_of
from tests.spec.story import BAD, GOOD, POLICY, SILENT, adopted, asks, completed, errored, granted, merged, started

EPSILON: Final = 1e-9
ACTS_MAX: Final = 25

Act = Callable[[Given], Given]


# -- attempts, money and time -------------------------------------------------


def _work(is_good: bool, cost: float | None) -> Act:
    def act(log: Given) -> Given:
        run = log.run
        if run.stage is not Stage.WORKING:
            return log
        limit = run.request.cost_limit_usd if run.request else None
        spent = None if cost is None else round(cost * (limit or 0.0), 6)
        evidence = (GOOD if is_good else BAD)[run.phase]
        return log.then(completed(run.phase, run.attempt, evidence, cost_usd=spent)).settled()

    return act


def _lose(log: Given) -> Given:
    run = log.run
    is_working = run.stage is Stage.WORKING
    return log.then(errored(run.phase, run.attempt, is_retryable=True)).settled() if is_working else log


def _ring(which: int) -> Act:
    return lambda log: log.timer(log.timers[which % len(log.timers)]).settled() if log.timers else log


def _decide(kind: DecisionKind) -> Act:
    return lambda log: log.requests(asks(kind, f"d{len(log.facts)}", guidance="go on")).after.settled()


def _again(which: int) -> Act:
    """A fact that is delivered, or stated, a second time."""
    return lambda log: log.then(log.facts[which % len(log.facts)]).settled()


ACTS: Final = st.one_of(
    st.builds(_work, st.booleans(), st.one_of(st.none(), st.floats(0, 1))),
    st.just(_lose),
    st.builds(_ring, st.integers(0, 3)),
    st.sampled_from([DecisionKind.APPROVE, DecisionKind.OVERRIDE, *(DecisionKind.RETRY, DecisionKind.GUIDE)]).map(
        _decide
    ),
    st.sampled_from([DecisionKind.RESUME, DecisionKind.HOLD, DecisionKind.RELEASE]).map(_decide),
    st.builds(_again, st.integers(0, 200)),
)
BUDGETS: Final = st.builds(
    BudgetPolicy,
    attempts=st.one_of(st.none(), st.integers(1, 9)),
    wall_s=st.one_of(st.none(), st.floats(1, 60)),
    cost_usd=st.one_of(st.none(), st.floats(0, 5)),
    attempt_cost_usd=st.one_of(st.none(), st.floats(0.01, 2)),
)


@st.composite
def spendings(draw: st.DrawFn) -> Given:
    """A run of a paid agent under any budget, after any acts."""
    ceiling = draw(st.one_of(st.none(), st.floats(0, 2)))
    retry = POLICY.loops[LoopName.TEST_RETRY].model_copy(update={"cost_ceiling_usd": ceiling})
    changed = {"budget": draw(BUDGETS), "loops": {**POLICY.loops, LoopName.TEST_RETRY: retry}}
    policy = POLICY.model_copy(update=changed)
    level = draw(st.sampled_from(Level))
    begun = started(level=level, policy=policy, agent="exec:claude -p", agent_by="operator")
    log = log_of(adopted(policy), *granted(level), begun).settled()
    for act in draw(st.lists(ACTS, max_size=ACTS_MAX)):
        log = act(log)
    return log


@settings(max_examples=60, deadline=None)
@given(spendings())
def test_attempts_money_and_time_stay_within_their_bounds(log: Given) -> None:
    for count, fact in enumerate(log.facts, start=1):
        if isinstance(fact, PhaseRequested):
            run = Given(log.facts[:count]).run
            policy = run.begun.policy
            budget, ceiling = policy.budget, policy.loops[LoopName.TEST_RETRY].cost_ceiling_usd
            healed = [record for record in run.attempts if record.loop is LoopName.TEST_RETRY]
            assert budget.attempts is None or sum(not r.is_lost for r in run.attempts) <= budget.attempts
            assert budget.cost_usd is None or cost_usd(run.attempts) <= budget.cost_usd + EPSILON * len(run.attempts)
            assert ceiling is None or cost_usd(healed) <= ceiling + EPSILON * len(healed)
            assert budget.wall_s is None or worked_s(run.attempts) <= budget.wall_s + EPSILON


@settings(max_examples=60, deadline=None)
@given(spendings())
def test_machines_heal_and_try_again_only_so_often(log: Given) -> None:
    run = log.run
    for phase in Phase:
        for name in LoopName:
            healed = [
                record
                for record in run.attempts
                if record.phase is phase and record.judged is not None and record.judged.loop is name
            ]
            assert len(healed) <= run.begun.policy.loops[name].max
        row = longest = 0
        for record in (record for record in run.attempts if record.phase is phase):
            row = row + 1 if record.is_lost else 0
            longest = max(longest, row)
        human = sum(one.kind is not DecisionKind.HOLD for one in run.decisions.values())
        assert longest <= (len(PAUSES_S) + 1) * (human + 1)


# -- silence never merges -----------------------------------------------------


SILENT_ACTS: Final = st.one_of(
    st.builds(_ring, st.integers(0, 3)),
    st.just(_lose),
    st.builds(_again, st.integers(0, 200)),
    st.just(lambda log: _work(True, 0.0)(log) if log.run.phase is not Phase.TEST else log),
    st.just(
        lambda log: (
            log.then(completed(log.run.phase, log.run.attempt, SILENT)).settled()
            if log.run.stage is Stage.WORKING
            else log
        )
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(Level), st.lists(SILENT_ACTS, max_size=40))
def test_without_a_human_and_a_passed_test_no_timer_crash_or_missing_fact_leads_to_a_merge(
    level: Level, acts: list[Act]
) -> None:
    log = log_of(adopted(), *granted(level), started(level=level)).settled()
    for act in acts:
        log = act(log)
    assert not [fact for fact in log.facts if isinstance(fact, MergeAuthorised)]
    is_stopped = log.then(merged()).run.merged is None
    assert is_stopped or log.run.stage is Stage.AUTHORISED


# -- less authority never does more -------------------------------------------


def _verdict(outcome: Outcome) -> Verdict:
    return Verdict(outcome=outcome, criteria=(CriterionVerdict(name="x", outcome=outcome, code="x", message="x"),))


GOES_ON: Final = (Disposition.PROCEED, Disposition.WARN)
SAID: Final = st.builds(
    Said,
    st.one_of(st.none(), st.sampled_from(PhaseRule)),
    st.one_of(st.none(), st.sampled_from(OnExhaust)),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(PROFILES)), st.sampled_from(Outcome), st.sampled_from(Level), st.booleans(), SAID)
def test_what_a_workflow_says_never_lets_the_machine_go_on_where_its_level_does_not(
    phase: Phase, outcome: Outcome, level: Level, can_heal: bool, said: Said
) -> None:
    if phase is Phase.DEPLOY and said.rule not in (None, PhaseRule.HUMAN, PhaseRule.CHECKPOINT):
        said = Said(None, said.on_exhaust)
    plain = dispose(level, phase, _verdict(outcome), can_heal=can_heal).disposition
    with_said = dispose(level, phase, _verdict(outcome), can_heal=can_heal, said=said).disposition
    assert plain in GOES_ON or with_said not in GOES_ON
    assert plain is Disposition.HEAL or with_said is not Disposition.HEAL


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(Level), st.sampled_from(Level), st.sampled_from(list(PROFILES)))
def test_a_pass_goes_on_by_itself_at_a_lower_level_only_where_it_does_at_a_higher_one(
    one: Level, other: Level, phase: Phase
) -> None:
    low, high = sorted((one, other), key=lambda level: level.rank)
    at_low = dispose(low, phase, _verdict(Outcome.PASS), can_heal=True).disposition
    at_high = dispose(high, phase, _verdict(Outcome.PASS), can_heal=True).disposition
    assert at_low not in GOES_ON or at_high in GOES_ON


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(Level), st.sampled_from(Level), st.data())
def test_a_lower_level_in_force_merges_nothing_that_a_higher_one_does_not(one: Level, other: Level, data: Any) -> None:
    low, high = sorted((one, other), key=lambda level: level.rank)
    evidence = [data.draw(st.sampled_from((GOOD[phase], BAD[phase], SILENT))) for phase in GOOD]
    assert _merges(low, evidence) <= _merges(high, evidence)


def _merges(level: Level, evidence: list[Any]) -> bool:
    """Whether a run with this evidence merges without any human."""
    log = log_of(adopted(), *granted(level), started(level=level)).settled()
    for phase, found in zip(GOOD, evidence, strict=True):
        if (log.run.stage, log.run.phase) != (Stage.WORKING, phase):
            return False
        log = log.then(completed(phase, log.run.attempt, found)).settled()
    log = log.timer("merge-1").settled() if "merge-1" in log.timers else log
    return any(isinstance(fact, MergeAuthorised) for fact in log.facts)


def test_a_timer_is_no_verdict() -> None:
    for level in Level:
        log = log_of(adopted(), *granted(level), started(level=level)).settled()
        while log.timers:
            log = log.timer(log.timers[0]).settled()
        assert log.run.stage in (Stage.WAITING, Stage.ABORTED)
        assert any(isinstance(fact, TimerDue) for fact in log.facts)
        outcomes = {fact.verdict.outcome for fact in log.facts if isinstance(fact, GateJudged)}
        assert outcomes == {Outcome.NO_DATA}


def test_the_policy_of_these_stories_could_merge_by_itself() -> None:
    policy: Policy = POLICY
    assert policy.auto_merge.enabled
    assert _merges(Level.ASE, list(GOOD.values()))
