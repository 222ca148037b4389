"""Rungs: every number of the table at its edge, which runs count, and what can never earn anything."""

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.facts import GateCalibrated
from libs.contracts.ladder import Ladder
from libs.contracts.readiness import CatchRate, Criterion, Rung
from libs.contracts.words import Level
from libs.contracts.workflow import ReadinessLimits
from libs.contracts.workflow.limits import gates_digest
from services.gatekeeper.readiness.rungs import earned, is_proven, rungs
from services.gatekeeper.readiness.scorecard import Result, Scorecard
from services.gatekeeper.readiness.standing import readiness
from tests.spec.readiness_cards import card, failed, ladder, many, record, restarted, shuffled, unlabelled, wrong
from tests.spec.story import BASE, POLICY, WORKFLOW

L1, L2, L3, L4 = Level
FLAWLESS_L2: Final = many(60, level=L2)
FLAWLESS_L3: Final = many(200, level=L3)


def rung(cards: list[Scorecard], level: Level, on: Ladder | None = None) -> Rung:
    return next(one for one in rungs(cards, on or ladder(level)) if one.origin is level)


def line(cards: list[Scorecard], level: Level, name: str) -> Criterion:
    return next(one for one in rung(cards, level).criteria if one.name == name)


# -- the numbers of the table -----------------------------------------------------


@pytest.mark.parametrize(("level", "limit"), [(L1, 10), (L2, 50), (L3, 100)])
def test_one_successful_run_less_than_asked_for_does_not_do(level: Level, limit: int) -> None:
    enough, short = many(limit, level=level), many(limit - 1, level=level)
    assert line(enough, level, "successful_runs").met
    assert earned(enough, ladder(level)) is level.above
    missing = line(short, level, "successful_runs")
    assert (missing.met, missing.value, missing.runs_to_go) == (False, limit - 1, 1)
    assert earned(short, ladder(level)) is None


@pytest.mark.parametrize(
    ("level", "right", "wrongs", "is_met"),
    [(L2, 180, 20, False), (L2, 181, 19, True), (L3, 196, 4, False), (L3, 197, 3, True)],
)
def test_accuracy_has_to_be_above_its_limit(level: Level, right: int, wrongs: int, is_met: bool) -> None:
    accuracy = line(record(right, wrongs, level=level), level, "gate_accuracy")
    assert (accuracy.met, accuracy.n, accuracy.value) == (is_met, 200, right / 200)
    assert accuracy.bound is not None
    assert 0 < accuracy.bound < right / 200


@pytest.mark.parametrize(
    ("level", "overrides", "decisions", "is_met"),
    [(L2, 20, 100, False), (L2, 19, 100, True), (L3, 10, 200, False), (L3, 9, 200, True)],
)
def test_the_override_rate_has_to_be_below_its_limit(
    level: Level, overrides: int, decisions: int, is_met: bool
) -> None:
    cards = [card(n, level=level, overrides=int(n <= overrides)) for n in range(1, decisions + 1)]
    rate = line(cards, level, "override_rate")
    assert (rate.met, rate.n, rate.value) == (is_met, decisions, overrides / decisions)
    assert rate.bound is not None
    assert rate.bound > overrides / decisions


@pytest.mark.parametrize(
    ("level", "retries", "runs", "is_met"),
    [(L2, 120, 60, False), (L2, 119, 60, True), (L3, 150, 100, False), (L3, 149, 100, True)],
)
def test_average_retries_have_to_be_below_their_limit(level: Level, retries: int, runs: int, is_met: bool) -> None:
    cards = [*many(runs - 1, level=level), card(runs, level=level, healing_attempts=retries)]
    average = line(cards, level, "average_retries")
    assert (average.met, average.value) == (is_met, round(retries / runs, 6))
    assert average.runs_to_go == (None if is_met else 1)


@pytest.mark.parametrize(
    ("limit", "failures", "runs", "is_met"),
    [(0.94, 3, 50, True), (0.94, 4, 50, False), (0.94, 2, 49, False), (0.95, 2, 50, True), (0.95, 3, 50, False)],
)
def test_the_success_rate_may_equal_its_limit_and_is_asked_of_fifty_runs(
    limit: float, failures: int, runs: int, is_met: bool
) -> None:
    on = _limited(success_rate_min=limit)
    cards = [*(failed(n, level=L3) for n in range(1, failures + 1)), *many(runs - failures, failures + 1, level=L3)]
    rate = next(one for one in rung(cards, L3, on).criteria if one.name == "success_rate")
    assert (rate.met, rate.n) == (is_met, runs)
    assert rate.value == round((runs - failures) / runs, 6)


def _limited(**limits: Any) -> Ladder:
    stated = ReadinessLimits(successful_runs_min=1, **limits)
    return ladder(L3, POLICY.model_copy(update={"readiness": {L4: stated}}))


def test_the_success_rate_forgets_what_is_fifty_runs_ago() -> None:
    cards = [*(failed(n, level=L3) for n in range(1, 31)), *many(50, 31, level=L3)]
    assert line(cards, L3, "success_rate").value == 1.0


def test_accuracy_forgets_what_is_two_hundred_labelled_runs_ago() -> None:
    cards = [*(wrong(n, level=L1) for n in range(1, 101)), *many(200, 101, level=L2)]
    assert line(cards, L2, "gate_accuracy").value == 1.0


def test_limits_that_are_not_set_make_no_line_and_the_first_rung_asks_for_runs_alone() -> None:
    assert [one.name for one in rung([], L1).criteria] == ["successful_runs"]
    assert [one.name for one in rung([], L2).criteria] == [
        "successful_runs",
        "gate_accuracy",
        "override_rate",
        "average_retries",
    ]


def test_where_nothing_was_counted_no_criterion_holds() -> None:
    lines = rung([], L3).criteria
    assert not any(one.met for one in lines)
    assert [one.value for one in lines] == [0, None, None, None, None]
    assert [one.bound for one in lines] == [None, 0.0, 1.0, None, 0.0]


def test_limits_of_the_workflow_are_asked_for_instead() -> None:
    strict = POLICY.model_copy(update={"readiness": {L2: ReadinessLimits(successful_runs_min=12)}})
    assert earned(many(11), ladder(L1, strict)) is None
    assert earned(many(12), ladder(L1, strict)) is L2


def test_a_limit_is_what_somebody_wrote_and_not_the_binary_number_next_to_it() -> None:
    on = _limited(override_rate_max=0.07)
    cards = [card(n, level=L3, overrides=int(n <= 7)) for n in range(1, 101)]
    assert next(one for one in rung(cards, L3, on).criteria if one.name == "override_rate").met is False


# -- how much is missing ----------------------------------------------------------


def test_runs_to_go_follow_the_share_that_succeeded_so_far() -> None:
    half = [card(n) if n % 2 else failed(n) for n in range(1, 11)]
    assert line(half, L1, "successful_runs").runs_to_go == 10


@pytest.mark.parametrize("wrongs", [1, 5, 30, 150])
def test_so_many_flawless_runs_clear_accuracy_and_not_one_less(wrongs: int) -> None:
    cards = record(40, wrongs, level=L3)
    missing = line(cards, L3, "gate_accuracy").runs_to_go
    assert missing is not None
    after = 41 + wrongs
    assert line([*cards, *many(missing, after, level=L3)], L3, "gate_accuracy").met
    assert not line([*cards, *many(missing - 1, after, level=L3)], L3, "gate_accuracy").met


def test_so_many_runs_without_overrides_retries_or_failures_clear_the_rates() -> None:
    bad: dict[str, Any] = {"overrides": 1, "healing_attempts": 3, "result": Result.FAILED}
    cards = many(12, level=L3, **bad)
    for name in ("override_rate", "average_retries", "success_rate"):
        missing = line(cards, L3, name).runs_to_go
        assert missing is not None
        assert line([*cards, *many(missing, 13, level=L3)], L3, name).met
        assert not line([*cards, *many(missing - 1, 13, level=L3)], L3, name).met


def test_of_a_limit_that_nothing_can_clear_nobody_says_how_much_is_missing() -> None:
    on = _limited(override_rate_max=0.0, average_retries_max=0.0, gate_accuracy_min=1.0)
    assert [(one.met, one.runs_to_go) for one in rung(FLAWLESS_L3, L3, on).criteria[1:]] == [(False, None)] * 3


# -- which runs count -------------------------------------------------------------


@pytest.mark.parametrize(
    "stated",
    [
        {"counts": False},
        {"level": L2},
        {"level": None},
        {"result": Result.UNCOUNTED},
        {"result": Result.OPEN, "ended": 0},
        {"result": Result.FAILED},
    ],
)
def test_runs_with_programs_deciding_of_other_levels_without_a_verdict_or_an_end_earn_nothing(
    stated: dict[str, Any],
) -> None:
    assert earned(many(500, **stated), ladder()) is None


def test_only_runs_that_began_behind_the_last_grant_or_loss_of_the_level_count() -> None:
    cards = many(10)
    assert earned(cards, ladder(since={L1: cards[0].started - 1})) is L2
    assert earned(cards, ladder(since={L1: cards[0].started})) is None
    assert earned(cards, ladder(since={L2: cards[-1].started})) is L2


def test_for_the_last_rung_silence_of_the_watch_earns_nothing() -> None:
    assert earned(FLAWLESS_L3, ladder(L3)) is L4
    assert earned([one._replace(is_clear=False) for one in FLAWLESS_L3], ladder(L3)) is None
    assert earned([one._replace(is_clear=False) for one in FLAWLESS_L2], ladder(L2)) is L3


def test_labels_of_runs_that_do_not_count_are_in_the_accuracy() -> None:
    cards = [*FLAWLESS_L2, *(wrong(n, level=L1, counts=False) for n in range(61, 81))]
    assert line(cards, L2, "gate_accuracy").value == 0.75
    assert earned(cards, ladder(L2)) is None


def test_one_rung_at_a_time() -> None:
    cards = [one for level in (L1, L2, L3) for one in many(200, 1 + 200 * level.rank, level=level)]
    assert [earned(cards, ladder(level)) for level in Level] == [L2, L3, L4, None]


def test_a_ladder_without_a_policy_or_with_a_fact_that_cannot_be_read_earns_nothing() -> None:
    assert earned(many(50), ladder(policy=None)) is None
    assert earned(many(50), replace(ladder(), is_unread=True)) is None


# -- beside the last rung ---------------------------------------------------------


def test_the_table_may_hold_long_before_the_proof_does() -> None:
    last = rung(many(187, level=L3), L3)
    assert last.met
    assert last.proof is not None
    assert (last.proof.met, last.proof.labelled, last.proof.runs_to_go) == (False, 187, 1)
    proven = rung(many(188, level=L3), L3).proof
    assert proven is not None
    assert (proven.met, proven.runs_to_go) == (True, None)


def test_a_proof_begun_anew_asks_for_more_and_for_new_runs() -> None:
    cards = many(300, level=L3)
    again = rung(cards, L3, ladder(L3, proof=restarted(2, cards[99].started))).proof
    assert again is not None
    assert (again.number, again.labelled, again.met) == (2, 200, False)


def catch(cards: list[Scorecard], on: Ladder | None = None) -> CatchRate:
    found = rung(cards, L3, on or ladder(L3)).catch_rate
    assert found is not None
    return found


def known_bad(caught: int, missed: int) -> list[Scorecard]:
    return [failed(n, level=L3, is_bad=True, is_caught=n <= caught) for n in range(1, caught + missed + 1)]


def test_sixty_known_bad_candidates_are_needed_and_hardly_one_may_pass() -> None:
    assert catch(known_bad(60, 0)).met
    assert not catch(known_bad(59, 0)).met
    assert catch(known_bad(59, 1)).bound == pytest.approx(0.92336, abs=2e-6)
    assert not catch(known_bad(57, 3)).met


def test_candidates_caught_before_the_proof_began_are_no_part_of_it() -> None:
    cards = known_bad(70, 0)
    assert catch(cards, ladder(L3, proof=restarted(2, cards[19].started))).bad == 50


def calibrated(seeded: int, caught: int, commit: str = BASE, gates: str | None = None) -> GateCalibrated:
    digest = gates or gates_digest(POLICY)
    said = {"workflow": WORKFLOW, "report": "0" * 64, "by": "ann", "commit": commit}
    return GateCalibrated(gates_digest=digest, seeded=seeded, caught=caught, **said)


def test_seeded_candidates_count_apart_for_the_gates_in_force_and_once_a_commit() -> None:
    stated = (calibrated(20, 5), calibrated(40, 40), calibrated(10, 10, "c" * 40), calibrated(99, 0, gates="0" * 64))
    found = catch(known_bad(12, 0), ladder(L3, calibrations=stated))
    assert (found.caught, found.bad, found.seeded_caught, found.seeded_bad, found.met) == (12, 12, 50, 50, True)


def test_proven_is_what_both_proof_and_catch_rate_prove() -> None:
    flawless, bad = many(188, 100, level=L3), known_bad(60, 0)
    assert is_proven([*flawless, *bad], ladder(L3))
    assert rung([*flawless, *bad], L3).is_proven
    assert not is_proven(flawless, ladder(L3))
    assert not is_proven([*flawless[1:], *bad], ladder(L3))
    assert not rung(many(50), L1).is_proven


# -- what holds for every history -------------------------------------------------

levels = st.sampled_from([L1, L1, L2, L3, None])
drawn_cards = st.builds(
    lambda number, right, wrongs, **more: card(number, right=right, wrong=wrongs, **more),
    st.integers(1, 400),
    st.integers(0, 5),
    st.integers(0, 2),
    level=levels,
    result=st.sampled_from([Result.SUCCESSFUL, Result.SUCCESSFUL, Result.SUCCESSFUL, *Result]),
    counts=st.sampled_from([True, True, True, False]),
    is_clear=st.booleans(),
    overrides=st.integers(0, 1),
    healing_attempts=st.integers(0, 3),
)


@st.composite
def near_the_edge(draw: st.DrawFn) -> tuple[list[Scorecard], Ladder]:
    """A level that is all but earned, with runs of any kind among those that earn it."""
    level = draw(st.sampled_from([L1, L2, L3]))
    flawless = many(draw(st.sampled_from([9, 10, 50, 100, 130])), 401, level=level)
    others = draw(st.lists(drawn_cards, max_size=12, unique_by=lambda one: one.run))
    return [*others, *flawless], ladder(level)


@settings(max_examples=40, deadline=None)
@given(near_the_edge(), st.randoms(use_true_random=False))
def test_the_order_of_the_cards_changes_nothing(history: tuple[list[Scorecard], Ladder], chance: Any) -> None:
    cards, on = history
    again = shuffled(cards, [chance.random() for _ in cards])
    assert rungs(again, on) == rungs(cards, on)
    assert earned(again, on) == earned(cards, on)


@settings(max_examples=50, deadline=None)
@given(near_the_edge(), st.data())
def test_a_verdict_that_turns_out_wrong_never_helps(
    history: tuple[list[Scorecard], Ladder], data: st.DataObject
) -> None:
    cards, on = history
    at = data.draw(st.integers(0, len(cards) - 1))
    was = cards[at]
    right = was.right - 1 if was.right and data.draw(st.booleans()) else was.right
    worse = [*cards[:at], was._replace(right=right, wrong=was.wrong + 1), *cards[at + 1 :]]
    assert earned(worse, on) in (None, earned(cards, on))
    assert _is_no_better(_accuracy(worse, on), _accuracy(cards, on))


def _accuracy(cards: list[Scorecard], on: Ladder) -> list[float]:
    """Accuracy, its bound, and how far the proof has come; an accuracy that nobody knows is the worst."""
    last = rung(cards, L3, on)
    assert last.proof is not None
    accuracy = last.criteria[1]
    return [accuracy.bound or 0.0, last.proof.value, *([accuracy.value] if accuracy.value is not None else [])]


def _is_no_better(after: list[float], before: list[float]) -> bool:
    return all(now <= was for now, was in zip(after, before, strict=False))


@settings(max_examples=40, deadline=None)
@given(near_the_edge(), st.data())
def test_what_only_programs_decided_and_what_does_not_count_earns_nothing_by_itself(
    history: tuple[list[Scorecard], Ladder], data: st.DataObject
) -> None:
    cards, on = history
    kinds: list[dict[str, Any]] = [{"counts": False}, {"result": Result.UNCOUNTED}, {"result": Result.OPEN}]
    more = [
        unlabelled(900 + n, level=on.granted, **data.draw(st.sampled_from(kinds)))
        for n in range(data.draw(st.integers(1, 60)))
    ]
    assert earned([*cards, *more], on) == earned(cards, on)
    assert earned(more, on) is None


@settings(max_examples=20, deadline=None)
@given(near_the_edge())
def test_what_is_configured_changes_nothing_of_what_is_earned(history: tuple[list[Scorecard], Ladder]) -> None:
    cards, on = history
    told = [readiness(on, cards, configured) for configured in (None, *Level)]
    assert len({(one.level.earned, one.level.granted, one.rungs) for one in told}) == 1
    assert {one.level.in_force.rank <= on.earned.rank for one in told} == {True}
