"""What holds for every history: of any facts in any order, and of any run that people and workers can make."""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.facts import (
    DecisionRecorded,
    Fact,
    FreezeLifted,
    FreezeSet,
    GateJudged,
    LadderFact,
    LevelLowered,
    MergeAuthorised,
    RunFact,
    TimerDue,
)
from libs.contracts.ladder import fold as fold_ladder
from libs.contracts.words import DecisionKind, Disposition, Level, Outcome, Phase
from libs.contracts.workflow import RoutePolicy
from services.gatekeeper.evolution import evolve, fold
from services.gatekeeper.run import Run
from services.gatekeeper.timers import open_timers
from services.gatekeeper.transitions import Stage
from services.gatekeeper.views import view
from tests.contracts.examples import EXAMPLES
from tests.spec.decider import ROUNDS_MAX, Given, record
from tests.spec.decider import given as log_of
from tests.spec.story import (
    BAD,
    GOOD,
    POLICY,
    ROUTE,
    SILENT,
    WORKFLOW,
    adopted,
    asks,
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

MIXED: tuple[Fact, ...] = (
    opened(),
    started(),
    *(completed(phase, attempt) for phase in ROUTE for attempt in (1, 2)),
    *(errored(phase) for phase in ROUTE),
    *(judged(phase, evidence=evidence[phase]) for phase in ROUTE for evidence in (GOOD, BAD)),
    *(judged(Phase.DEPLOY, level=level) for level in Level),
    *(
        decided(kind, phase, decision=f"{kind}-{phase}")
        for kind in DecisionKind
        for phase in (Phase.PLAN, Phase.DEPLOY)
    ),
    *(TimerDue(run=started().run, timer=name, at=1.0) for name in ("deadline-plan-1", "merge-1", "watch", "nonsense")),
    merged(),
    *(refused(code) for code in ("moved", "dirty", "held")),
    watch_started(),
    *(watch_ended(outcome) for outcome in ("clear", "regressed", "no_data")),
    *EXAMPLES,
)

any_facts = st.lists(st.sampled_from(MIXED), max_size=25)
"""Facts in any order, some missing, some twice."""


@settings(max_examples=300, deadline=None)
@given(any_facts)
def test_folding_never_raises_and_takes_in_every_fact_or_counts_it_as_one_that_does_not_fit(facts: list[Fact]) -> None:
    run = fold(record(facts))
    assert run.sequence == len(facts)
    assert set(run.misfits) <= set(range(1, len(facts) + 1))
    open_timers(run)


@settings(max_examples=150, deadline=None)
@given(any_facts)
def test_a_run_that_has_begun_can_be_told_whatever_its_history(facts: list[Fact]) -> None:
    run = fold(record([started(), *facts]))
    assert view(run).sentences
    assert view(run).misfit_count == len(run.misfits)


@settings(max_examples=150, deadline=None)
@given(any_facts, st.integers(0, 25))
def test_folding_in_parts_is_folding_whole(facts: list[Fact], cut: int) -> None:
    recorded = record(facts)
    run = fold(recorded[:cut])
    for one in recorded[cut:]:
        run = evolve(run, one)
    assert run == fold(recorded)


@settings(max_examples=100, deadline=None)
@given(any_facts)
def test_a_fact_that_does_not_fit_changes_nothing_but_its_count(facts: list[Fact]) -> None:
    recorded = record(facts)
    run = fold(recorded)
    without = fold(one for one in recorded if one.sequence not in run.misfits)
    assert _told(run) == _told(without)


def _told(run: Run) -> dict[str, Any]:
    return {name: value for name, value in vars(run).items() if name not in ("misfits", "sequence")}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(EXAMPLES), max_size=12), st.booleans(), st.sampled_from(Level))
def test_no_ladder_puts_more_in_force_than_configured_granted_and_earned(
    facts: list[Fact], is_unread: bool, level: Level
) -> None:
    ladder = fold_ladder(record(facts), is_unread=is_unread)
    in_force = ladder.in_force(level).rank
    assert in_force <= min(level.rank, ladder.granted.rank, ladder.earned.rank)
    assert not is_unread or in_force == Level.ASSISTED.rank


# -- runs that people, workers, timers and operators can make ---------------------

EVIDENCE = (
    lambda phase: GOOD[phase],
    lambda phase: GOOD[phase],
    lambda phase: GOOD[phase],
    lambda phase: BAD[phase],
    lambda _: SILENT,
    lambda _: problem("no_tests"),
    lambda _: problem("report_missing"),
)
ROUTES = (ROUTE, ROUTE, POLICY.route("patch"), POLICY.route("feature"), (Phase.DOCUMENT, Phase.DEPLOY), (Phase.PLAN,))

Act = Callable[[Given], Given]


def _work(evidence_of: Callable[[Phase], Any], declined: str | None) -> Act:
    def act(log: Given) -> Given:
        run = log.run
        if run.stage is not Stage.WORKING or run.phase not in GOOD:
            return log
        return log.then(completed(run.phase, run.attempt, evidence_of(run.phase), declined=declined))

    return act


def _fail(log: Given) -> Given:
    return log.then(errored(log.run.phase, log.run.attempt)) if log.run.stage is Stage.WORKING else log


def _ask(kind: DecisionKind, automatic: bool) -> Act:
    def act(log: Given) -> Given:
        return log.requests(asks(kind, f"d{len(log.facts)}", automatic=automatic)).after

    return act


def _ring(log: Given) -> Given:
    return log.timer(log.timers[0]) if log.timers else log


def _land(fact: Fact) -> Act:
    def act(log: Given) -> Given:
        return log.then(fact) if log.run.stage is Stage.AUTHORISED else log

    return act


def _watch(log: Given) -> Given:
    if log.run.stage is Stage.MERGED:
        return log.then(watch_started())
    return log.then(watch_ended()) if log.run.stage is Stage.WATCHING else log


def _say(fact: Fact) -> Act:
    return lambda log: log.then(fact)


def _go_on(log: Given) -> Given:
    """What most often comes next: good work, a yes, a timer, a landed change, a watch that ends."""
    match log.run.stage:
        case Stage.WORKING:
            return _work(EVIDENCE[0], None)(log)
        case Stage.WAITING if log.run.checkpoint is not None:
            return _ask(log.run.checkpoint.answers[0], automatic=False)(log)
        case Stage.PROCEEDING:
            return _ring(log)
        case Stage.AUTHORISED:
            return log.then(merged())
        case Stage.ABORTED:
            return _ask(DecisionKind.RESUME, automatic=False)(log)
        case _:
            return _watch(log)


disturbances = st.one_of(
    st.builds(_work, st.sampled_from(EVIDENCE), st.none()),
    st.just(_work(EVIDENCE[0], "there is nothing to repair")),
    st.just(_fail),
    st.builds(_ask, st.sampled_from([DecisionKind.APPROVE, DecisionKind.OVERRIDE]), st.booleans()),
    st.builds(_ask, st.sampled_from(DecisionKind), st.booleans()),
    st.just(_ring),
    st.sampled_from([merged(), refused("moved"), refused("dirty")]).map(_land),
    st.just(_watch),
    st.sampled_from(
        [
            *granted(Level.ASE),
            *granted(Level.SUPERVISED),
            LevelLowered(workflow=WORKFLOW, level=Level.AUTONOMOUS, by="machine", reason="drift"),
            FreezeSet(workflow=WORKFLOW, by="ann", reason="a fair"),
            FreezeLifted(workflow=WORKFLOW, by="ann", reason="over"),
        ]
    ).map(_say),
    st.sampled_from(MIXED).filter(lambda fact: fact.type.startswith(("phase.", "watch."))).map(_say),
)


def _begin(level: Level, route: tuple[Phase, ...] = ROUTE) -> Given:
    policy = POLICY.model_copy(update={"routing": {"bug": RoutePolicy(phases=route)}})
    return log_of(adopted(), *granted(level), started(level=level, policy=policy, phases=route)).settled()


def _at_deploy(level: Level, route: tuple[Phase, ...] = ROUTE) -> Given:
    log = _begin(level, route)
    while (log.run.stage, log.run.phase) != (Stage.WORKING, Phase.DEPLOY):
        log = _go_on(log).settled()
    return log


NO_REVIEW: Final = tuple(phase for phase in ROUTE if phase is not Phase.REVIEW)
BEGINNINGS: Final = (
    *(_begin(level) for level in Level),
    *(_begin(Level.SUPERVISED, route) for route in ROUTES),
    *(_at_deploy(level) for level in Level),
    _at_deploy(Level.ASE, NO_REVIEW),
    _go_on(_at_deploy(Level.ASE)).settled(),
)
"""Runs that have just begun, and runs that are near the dangerous end."""


@st.composite
def histories(draw: st.DrawFn) -> Given:
    """A settled log after any acts; the gatekeeper states all that it owes whenever it is woken."""
    log = draw(st.sampled_from(BEGINNINGS))
    for steps, act in draw(st.lists(st.tuples(st.integers(0, 6), disturbances), max_size=5)):
        log = _woken(act(_gone_on(log, steps)))
    return _gone_on(log, draw(st.integers(0, 3))).settled()


def _gone_on(log: Given, steps: int) -> Given:
    for _ in range(steps):
        log = _woken(_go_on(log))
    return log


def _woken(log: Given) -> Given:
    """What is said of the ladder wakes no run; everything else does."""
    return log if isinstance(log.facts[-1], LadderFact) else log.settled()


@settings(max_examples=40, deadline=None)
@given(histories())
def test_a_run_always_comes_to_rest_and_then_ended_or_waits_for_somebody_or_a_timer(log: Given) -> None:
    log.owes_nothing()
    run = log.run
    waits_for_worker = run.stage in (Stage.AUTHORISED, Stage.MERGED, Stage.WATCHING)
    assert run.is_settled or waits_for_worker or run.is_held or log.timers or run.stage is Stage.WAITING
    assert run.checkpoint is None or run.stage is Stage.WAITING


@settings(max_examples=40, deadline=None)
@given(histories())
def test_nothing_merges_unless_a_human_said_so_for_that_change_or_the_highest_level_s_timer_did(log: Given) -> None:
    for count, fact in enumerate(log.facts):
        if isinstance(fact, MergeAuthorised):
            before = Given(log.facts[:count])
            assert _is_approved(before, fact) or _has_earned(before)


def _is_approved(before: Given, authorised: MergeAuthorised) -> bool:
    """A human approved or overrode this attempt, or approved an earlier one whose change was the same."""
    return any(
        isinstance(fact, DecisionRecorded)
        and fact.kind in (DecisionKind.APPROVE, DecisionKind.OVERRIDE)
        and (fact.phase, fact.decision) == (Phase.DEPLOY, authorised.decision)
        and (fact.attempt == authorised.attempt or _is_same_change(before, fact, authorised))
        for fact in before.facts
    )


def _is_same_change(before: Given, decision: DecisionRecorded, authorised: MergeAuthorised) -> bool:
    deploys = (fact for fact in before.facts if isinstance(fact, GateJudged) and fact.phase is Phase.DEPLOY)
    patches = {fact.attempt: fact.patch_id for fact in deploys}
    is_same = patches.get(decision.attempt) == patches.get(authorised.attempt) is not None
    return decision.kind is DecisionKind.APPROVE and is_same


def _has_earned(before: Given) -> bool:
    """The timer came due, the gates passed on what is merged, and the authority is there still."""
    run, ladder = before.run, before.ladder
    gates = [run.last_judged(phase) for phase in (Phase.TEST, Phase.REVIEW, Phase.DEPLOY)]
    is_green = all(gate is not None and gate.verdict.outcome.is_passed for gate in gates)
    has_authority = ladder.in_force(run.begun.level) is Level.ASE and not ladder.is_frozen and not run.is_held
    return f"merge-{run.attempt}" in run.timers_due and is_green and has_authority


@settings(max_examples=40, deadline=None)
@given(histories())
def test_no_verdict_stands_above_what_was_in_force_and_none_goes_on_alone_at_the_lowest_level(log: Given) -> None:
    for count, fact in enumerate(log.facts):
        if isinstance(fact, GateJudged):
            before = Given(log.facts[:count])
            assert fact.level_in_force is before.ladder.in_force(before.run.begun.level)
            is_lowest = fact.level_in_force is Level.ASSISTED
            assert not is_lowest or fact.disposition is Disposition.CHECKPOINT


@settings(max_examples=40, deadline=None)
@given(histories())
def test_no_approval_stands_on_a_failed_verdict_and_no_program_overrides(log: Given) -> None:
    for count, fact in enumerate(log.facts):
        if isinstance(fact, DecisionRecorded) and fact.kind in (DecisionKind.APPROVE, DecisionKind.OVERRIDE):
            verdict = Given(log.facts[:count]).run.judged
            assert verdict is not None
            is_fail = verdict.verdict.outcome is Outcome.FAIL
            assert is_fail is (fact.kind is DecisionKind.OVERRIDE)
            assert not (is_fail and fact.automatic)


@settings(max_examples=40, deadline=None)
@given(histories(), st.data())
def test_after_a_crash_at_any_point_the_same_is_owed(log: Given, data: st.DataObject) -> None:
    cut = data.draw(st.integers(4, len(log.facts)))
    before = Given(log.facts[:cut])
    following = [*before.stated()]
    assert len(following) < ROUNDS_MAX
    rest = [fact for fact in log.facts[cut : cut + len(following)] if isinstance(fact, RunFact)]
    own = [fact for fact in rest if fact in following]
    assert own == following[: len(own)]
