"""What the gatekeeper owes a ladder by itself: a level earned, granted where it may, or lost."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from libs.contracts.facts import (
    ChangeReverted,
    Fact,
    GateCalibrated,
    LadderFact,
    LevelEarned,
    LevelGranted,
    LevelLowered,
    RollbackOrdered,
)
from libs.contracts.ladder import Ladder, evolve, fold
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import Criterion, GatePolicy, Policy
from libs.contracts.workflow.limits import gates_digest
from services.gatekeeper.climbing import Promotion, climb, falls
from services.gatekeeper.readiness.scorecard import Result, Scorecard
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import Stage
from tests.spec.decider import Given, given, record
from tests.spec.readiness_cards import card, failed, ladder, many, wrong
from tests.spec.story import (
    BASE,
    INTEGRATION,
    POLICY,
    RUN,
    WORKFLOW,
    adopted,
    asks,
    completed,
    merged,
    refused,
    started,
    watch_ended,
    watch_started,
)
from tests.spec.story import granted as granted_at

L1, L2, L3, L4 = Level
AUTO: Final[Promotion] = "auto"

TEN: Final = many(10)
FIFTY: Final = many(50, level=L2, decisions=5)
HUNDRED: Final = many(100, level=L3, decisions=5)
FLAWLESS: Final = many(188, level=L3, decisions=5)


def on(*facts: LadderFact) -> Ladder:
    """A ladder with an adopted policy, folded from facts."""
    return fold(record([adopted(), *facts]))


def then(before: Ladder, *facts: LadderFact) -> Ladder:
    for fact in facts:
        (recorded,) = record([fact])
        before = evolve(before, replace(recorded, sequence=before.sequence + 1, time=1_000.0 + before.sequence + 1))
    return before


def earned(level: Level) -> LevelEarned:
    return LevelEarned(workflow=WORKFLOW, level=level, reason="r")


def granted(level: Level, *, automatic: bool = False) -> LevelGranted:
    return LevelGranted(workflow=WORKFLOW, level=level, by="ann", reason="r", automatic=automatic)


def lowered(level: Level, cause: str = "operator") -> LevelLowered:
    fields: dict[str, Any] = {"cause": cause}
    return LevelLowered(workflow=WORKFLOW, level=level, by="ann", reason="r", **fields)


def up_to(level: Level) -> list[LadderFact]:
    return [fact for rung in list(Level)[1 : level.rank] for fact in (earned(rung), granted(rung))]


CALIBRATED: Final = GateCalibrated(
    workflow=WORKFLOW, gates_digest=gates_digest(POLICY), seeded=60, caught=60, commit=BASE, report="0" * 64, by="ann"
)


def climbed(before: Ladder, cards: Sequence[Scorecard], promotion: Promotion = "ask") -> list[LadderFact]:
    """All that is stated until nothing is owed."""
    stated: list[LadderFact] = []
    while owed := climb(before, cards, promotion):
        assert climb(before, cards, promotion) == owed
        assert len(stated) < 10, "the ladder never comes to rest"
        stated.append(owed[0])
        before = then(before, owed[0])
    return stated


def behind(before: Ladder, cards: Sequence[Scorecard]) -> list[Scorecard]:
    """The same runs, begun after all that the ladder knows."""
    return [
        one._replace(started=one.started + before.sequence, ended=one.ended + before.sequence, merged=one.merged + 1)
        for one in cards
    ]


# -- earned ---------------------------------------------------------------------


def test_a_level_is_earned_when_its_criteria_hold_and_said_once() -> None:
    (fact,) = climbed(on(), behind(on(), TEN))
    assert isinstance(fact, LevelEarned)
    assert (fact.level, fact.workflow) == (L2, WORKFLOW)
    assert climbed(on(), behind(on(), TEN[:9])) == []


def test_what_is_earned_is_granted_by_nobody_where_the_operator_is_to_be_asked() -> None:
    cards = behind(on(), TEN)
    assert climbed(on(earned(L2)), cards) == []
    assert on(earned(L2)).in_force(L4) is L1


def test_rungs_are_earned_one_at_a_time_whatever_the_runs_would_be_good_for() -> None:
    everything = behind(on(), [*TEN, *many(200, 11, level=L3, decisions=5)])
    assert [fact.type for fact in climbed(on(), everything)] == ["level.earned"]
    at_l2 = on(*up_to(L2))
    assert climbed(at_l2, everything) == []


@pytest.mark.parametrize("cause", ["drift", "limits"])
def test_what_was_lost_by_drift_or_looser_limits_is_earned_anew_by_runs_that_began_behind_the_fall(cause: str) -> None:
    held = on(*up_to(L2))
    fallen = then(held, lowered(L1, cause))
    old = [one._replace(started=fallen.sequence) for one in TEN]
    assert climbed(fallen, old, AUTO) == []
    assert climbed(fallen, [*old, *behind(fallen, many(9, 20))], AUTO) == []
    assert len(climbed(fallen, [*old, *behind(fallen, many(10, 20))], AUTO)) == 2


@pytest.mark.parametrize("before", [Ladder(), on(), replace(on(), is_unread=True)])
def test_a_ladder_that_nobody_can_read_or_that_has_not_begun_climbs_and_falls_nowhere(before: Ladder) -> None:
    cards = behind(on(), TEN) if before.is_unread or not before.workflow else []
    assert climbed(before, cards, AUTO) == []
    wrong_ones = [wrong(number, level=L4) for number in range(1, 20)]
    assert climb(replace(ladder(L4), is_unread=True), wrong_ones, AUTO) == []


# -- granted by the machine -------------------------------------------------------


def test_the_machine_grants_what_is_earned_where_the_operator_lets_it() -> None:
    said, gave = climbed(on(), behind(on(), TEN), AUTO)
    assert isinstance(said, LevelEarned)
    assert isinstance(gave, LevelGranted)
    assert (gave.level, gave.by, gave.automatic, gave.with_proof) == (L2, "rung", True, False)


def test_the_machine_grants_itself_the_last_rung_only_with_its_proof() -> None:
    before = on(*up_to(L3))
    only_earned = climbed(before, behind(before, HUNDRED), AUTO)
    assert [fact.type for fact in only_earned] == ["level.earned"]
    without_catch_rate = climbed(before, behind(before, FLAWLESS), AUTO)
    assert [fact.type for fact in without_catch_rate] == ["level.earned"]
    proven = then(before, CALIBRATED)
    _, gave = climbed(proven, behind(proven, FLAWLESS), AUTO)
    assert isinstance(gave, LevelGranted)
    assert (gave.level, gave.with_proof, gave.automatic) == (L4, True, True)
    assert [fact.type for fact in climbed(proven, behind(proven, FLAWLESS[:187]), AUTO)] == ["level.earned"]


def test_what_a_person_took_no_machine_gives_back() -> None:
    taken = on(*up_to(L2), lowered(L1))
    assert [fact.type for fact in climbed(taken, behind(taken, TEN), AUTO)] == ["level.earned"]
    given_back = then(taken, earned(L2), granted(L2))
    fallen = then(given_back, lowered(L1, "drift"))
    assert len(climbed(fallen, behind(fallen, TEN), AUTO)) == 2


def test_a_level_that_a_person_took_stays_taken_though_machines_moved_the_level_since() -> None:
    taken = on(*up_to(L3), lowered(L2))
    fallen = then(taken, lowered(L1, "drift"))
    back = then(fallen, earned(L2), granted(L2, automatic=True))
    assert len(climbed(fallen, behind(fallen, TEN), AUTO)) == 2, "the lower level was not taken by anybody"
    assert [fact.type for fact in climbed(back, behind(back, FIFTY), AUTO)] == ["level.earned"]
    assert len(climbed(then(back, earned(L3), granted(L3), lowered(L2, "limits")), [], AUTO)) == 0
    once_given = then(back, earned(L3), granted(L3), lowered(L2, "limits"))
    assert len(climbed(once_given, behind(once_given, FIFTY), AUTO)) == 2


# -- drift ------------------------------------------------------------------------


def drifting(count: int, level: Level) -> list[Scorecard]:
    return [wrong(number, level=level) for number in range(1, count + 1)]


@pytest.mark.parametrize(("level", "count"), [(L4, 4), (L3, 14)])
def test_too_many_wrong_runs_lower_the_level_by_one_rung_once(level: Level, count: int) -> None:
    before = on(*up_to(level))
    assert climbed(before, behind(before, drifting(count - 1, level))) == []
    (fact,) = climbed(before, behind(before, drifting(count, level)))
    assert isinstance(fact, LevelLowered)
    assert (fact.level.rank, fact.cause, fact.by, fact.run) == (level.rank - 1, "drift", "rung", None)
    assert then(before, fact).proof.number == before.proof.number + 1


@pytest.mark.parametrize("level", [L1, L2])
def test_where_a_human_sees_every_step_nothing_drifts(level: Level) -> None:
    before = on(*up_to(level))
    assert not any(isinstance(fact, LevelLowered) for fact in climbed(before, behind(before, drifting(50, level))))


def test_a_drift_comes_before_any_promotion() -> None:
    before = on(*up_to(L3))
    cards = behind(before, [*drifting(14, L3), *many(200, 15, level=L3, decisions=5)])
    assert climb(before, cards, AUTO)[0].type != "level.lowered", "the window has forgotten them"
    recent = behind(before, [*many(200, 1, level=L3, decisions=5), *(wrong(n, level=L3) for n in range(201, 215))])
    assert climb(before, recent, AUTO)[0].type == "level.lowered"


# -- rollbacks --------------------------------------------------------------------


def watched(*, by_machine: bool = True) -> Given:
    """A merged change that is watched; merged by the machine at the highest level, or by a person."""
    level = L4 if by_machine else L3
    log = given(adopted(), *granted_at(level), started(level=level)).settled()
    while log.run.stage is not Stage.AUTHORISED:
        if log.run.stage is Stage.WORKING:
            log = log.then(completed(log.run.phase)).settled()
        elif log.run.stage is Stage.WAITING and log.run.checkpoint is not None:
            log = log.requests(asks(log.run.checkpoint.answers[0], f"d-{log.run.phase}")).after.settled()
        else:
            log = log.timer("merge-1").settled()
    return log.then(merged(), watch_started())


def ordered(why: str = "regression", decision: str | None = None) -> RollbackOrdered:
    fields: dict[str, Any] = {"why": why, "decision": decision}
    return RollbackOrdered(run=RUN, reason="errors rose", by="rung", **fields)


def lost(log: Given) -> list[LevelLowered]:
    return [fact for fact in log.facts if isinstance(fact, LevelLowered)]


def test_a_rollback_of_what_a_machine_merged_lowers_one_rung_at_once_and_once() -> None:
    log = watched().then(watch_ended("regressed")).settled()
    (fact,) = lost(log)
    assert (fact.level, fact.cause, fact.run, fact.by) == (L3, "rollback", RUN, "rung")
    assert "merged without a human" in fact.reason
    assert log.ladder.in_force(L4) is L3
    reverted = ChangeReverted(run=RUN, tip="f" * 40, reverts=INTEGRATION, reason="errors rose")
    assert len(lost(log.then(reverted).settled())) == 1
    assert len(lost(log.then(refused("conflict")).settled())) == 1


def test_a_rollback_that_is_ordered_again_after_a_refusal_lowers_nothing_more() -> None:
    log = watched().then(watch_ended("regressed")).settled().then(refused("conflict"), ordered(decision="d9"))
    assert len(lost(log.settled())) == 1


def test_what_a_person_merged_lowers_nothing_when_it_is_taken_back() -> None:
    assert lost(watched(by_machine=False).then(ordered()).settled()) == []


@pytest.mark.parametrize("why", ["business", "drill"])
def test_a_rollback_for_business_or_as_a_drill_lowers_nothing(why: str) -> None:
    assert lost(watched().then(ordered(why)).settled()) == []


def test_a_rollback_that_a_person_ordered_of_what_a_machine_merged_lowers_as_well() -> None:
    assert [fact.level for fact in lost(watched().then(ordered(decision="d9")).settled())] == [L3]


def harmful(name: str = RUN) -> Run:
    """A run that the machine merged and that is rolled back."""
    return replace(watched().then(ordered()).run, run=name)


def test_two_runs_that_hurt_cost_two_rungs() -> None:
    before = on(*up_to(L4))
    (first,) = falls(harmful("one"), before)
    after = then(before, *(fact for fact in [first] if isinstance(fact, LadderFact)))
    assert falls(harmful("one"), after) == []
    assert [getattr(fact, "level", None) for fact in falls(harmful("two"), after)] == [L2]


def test_at_the_lowest_level_and_on_an_unreadable_ladder_there_is_nothing_to_lose() -> None:
    assert falls(harmful(), on()) == []
    assert falls(harmful(), replace(on(*up_to(L4)), is_unread=True)) == []


def test_harm_that_was_known_when_the_level_was_granted_takes_it_from_nobody_later() -> None:
    fallen = on(*up_to(L2), lowered(L1))
    run = harmful()
    assert falls(run, fallen) == []
    later = replace(then(fallen, earned(L2), granted(L2)), moves=_at(fallen, run.taking_back.since + 60.0))
    assert falls(run, later) == []
    before = replace(later, moves=_at(fallen, run.taking_back.since - 60.0))
    assert len(falls(run, before)) == 1


def _at(fallen: Ladder, time: float) -> tuple[Any, ...]:
    moves = then(fallen, earned(L2), granted(L2)).moves
    return (*moves[:-1], moves[-1]._replace(at=time))


def test_what_a_rollback_took_comes_back_when_the_criteria_hold_and_fifty_runs_held_no_wrong_verdict() -> None:
    fallen = on(*up_to(L2), lowered(L1, "rollback"))
    ten = behind(fallen, many(10, 41))
    assert climbed(fallen, ten, AUTO) == [], "ten runs are enough for the table, not for this"
    fifty = behind(fallen, many(50))
    assert [fact.type for fact in climbed(fallen, fifty, AUTO)] == ["level.earned", "level.granted"]
    with_a_wrong_one = [*fifty[:-1], fifty[-1]._replace(right=4, wrong=1)]
    assert climbed(fallen, with_a_wrong_one, AUTO) == []


# -- limits -----------------------------------------------------------------------


def covered(limit: int | None) -> Policy:
    rules = () if limit is None else (Criterion(name="coverage_min", limit=limit),)
    asked = (Criterion(name="all_pass", limit=True), *rules)
    return POLICY.model_copy(update={"gates": {**POLICY.gates, Phase.TEST: GatePolicy(criteria=asked)}})


def adopts(policy: Policy, level: Level, before: Policy | None = None) -> Ladder:
    """A ladder at a level on which another policy was adopted."""
    return fold(record([adopted(before or covered(80)), *up_to(level), adopted(policy)]))


@pytest.mark.parametrize("policy", [covered(70), covered(None), POLICY])
@pytest.mark.parametrize("level", [L2, L3, L4])
def test_looser_limits_lower_one_rung_and_the_proof_begins_anew(policy: Policy, level: Level) -> None:
    before = adopts(policy, level)
    (fact,) = falls(Run(), before)
    assert isinstance(fact, LevelLowered)
    assert (fact.level.rank, fact.cause, fact.run) == (level.rank - 1, "limits", None)
    after = then(before, fact)
    assert (falls(Run(), after), after.proof.number, after.proof.since) == ([], 2, before.sequence)


def test_incomparable_limits_lower_one_rung_like_looser_ones() -> None:
    other = covered(80)
    rules = (*other.gates[Phase.TEST].criteria[:1], Criterion(name="new_code_coverage_min", limit=80))
    replaced = other.model_copy(update={"gates": {**other.gates, Phase.TEST: GatePolicy(criteria=rules)}})
    assert len(falls(Run(), adopts(replaced, L2))) == 1


@pytest.mark.parametrize("policy", [covered(80), covered(90), covered(80).model_copy(update={"autonomy": L4})])
def test_limits_that_stay_or_become_tighter_lower_nothing_and_the_proof_goes_on(policy: Policy) -> None:
    after = adopts(policy, L4)
    assert (falls(Run(), after), after.proof.number) == ([], 1)


def test_at_the_lowest_level_looser_limits_only_begin_the_proof_anew() -> None:
    after = adopts(covered(70), L1)
    assert (falls(Run(), after), after.proof.number) == ([], 2)
    assert falls(Run(), then(after, earned(L2), granted(L2))) == []


def test_limits_that_were_loosened_twice_before_anything_followed_cost_one_rung() -> None:
    twice = then(adopts(covered(70), L4), adopted(covered(60)))
    (fact,) = falls(Run(), twice)
    assert isinstance(fact, LadderFact)
    assert falls(Run(), then(twice, fact)) == []


def test_limits_that_are_loosened_and_tightened_again_have_been_loosened_all_the_same() -> None:
    again = then(adopts(covered(70), L3), adopted(covered(80)))
    assert len(falls(Run(), again)) == 1


def test_a_workflow_with_looser_limits_costs_the_rung_before_its_first_run_begins() -> None:
    facts: list[Fact] = [adopted(covered(80)), *granted_at(L3), adopted(covered(70))]
    log = given(*facts, started(level=L3, policy=covered(70))).settled()
    (fact,) = lost(log)
    assert (fact.cause, log.ladder.in_force(L4)) == ("limits", L2)
    assert [one.type for one in log.facts[-2:]] == ["level.lowered", "phase.requested"]


def test_runs_that_failed_earn_nothing_however_many_they_are() -> None:
    cards = [*(failed(number) for number in range(1, 60)), *many(9, 60), card(70, counts=False)]
    assert climbed(on(), behind(on(), cards), AUTO) == []


# -- properties ---------------------------------------------------------------------


some_cards = st.lists(
    st.builds(
        lambda number, change: card(number, **change),
        st.integers(1, 400),
        st.sampled_from(
            [
                {"decisions": 5},
                {"level": L2, "decisions": 5},
                {"level": L3, "decisions": 5},
                {"level": L4, "decisions": 5},
                {"level": L4, "right": 0, "wrong": 5},
                {"counts": False},
                {"result": Result.OPEN, "ended": 0},
            ]
        ),
    ),
    max_size=6,
)
some_moves = st.lists(
    st.sampled_from(
        [
            *(earned(level) for level in (L2, L3, L4)),
            *(granted(level, automatic=by_machine) for level in (L2, L3, L4) for by_machine in (True, False)),
            *(lowered(level, cause) for level in (L1, L2, L3) for cause in ("operator", "drift", "limits", "rollback")),
            CALIBRATED,
        ]
    ),
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given_any(some_moves, some_cards, st.integers(1, 120), st.sampled_from(["ask", "auto"]))
def test_whatever_happened_the_machine_climbs_by_one_rung_that_was_earned_and_comes_to_rest(
    moves: list[LadderFact], cards: list[Scorecard], times: int, promotion: Promotion
) -> None:
    before = on(*moves)
    many_cards = [one._replace(run=f"{one.run}-{n}", started=n * 9 + 9) for one in cards for n in range(times)]
    for fact in climbed(before, many_cards, promotion):
        match fact:
            case LevelGranted():
                assert promotion == "auto"
                assert fact.level is before.granted.above
                assert fact.level.rank <= before.earned.rank
                assert fact.with_proof or fact.level is not L4
            case LevelEarned():
                assert fact.level is before.granted.above
            case LevelLowered():
                assert fact.level.above is before.granted
        before = then(before, fact)
    assert before.in_force(L4).rank <= min(before.granted.rank, before.earned.rank)
