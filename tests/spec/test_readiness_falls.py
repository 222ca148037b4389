"""Falls: how many wrong runs are too many, from when on they count, and what lets a lost rung come back."""

import pytest

from libs.contracts.ladder import GRANTED
from libs.contracts.words import Level
from services.gatekeeper.readiness.falls import drift, may_return
from services.gatekeeper.readiness.rungs import earned
from services.gatekeeper.readiness.scorecard import Scorecard
from tests.spec.readiness_cards import card, fell, ladder, many, record, restarted, unlabelled, wrong

L1, L2, L3, L4 = Level
ROLLED_BACK = fell(L4, L3, "rollback")


@pytest.mark.parametrize(("level", "limit"), [(L3, 14), (L4, 4)])
def test_so_many_wrong_runs_lower_a_level_and_one_less_does_not(level: Level, limit: int) -> None:
    assert drift(record(50, limit), ladder(level)) is not None
    assert drift(record(50, limit - 1), ladder(level)) is None


def test_parts_of_runs_add_up() -> None:
    partly = many(20, right=4, wrong=1)
    assert drift(partly[:19], ladder(L4)) is None
    why = drift(partly, ladder(L4))
    assert why == "drift: 4 of the last 20 labelled runs were wrong, and 4 are too many"


def test_only_the_last_hundred_labelled_runs_can_drift() -> None:
    assert drift(record(96, 4), ladder(L4)) is not None
    assert drift(record(97, 4), ladder(L4)) is None
    silent = [unlabelled(n) for n in range(200, 400)]
    assert drift([*record(96, 4), *silent], ladder(L4)) is not None


@pytest.mark.parametrize("level", [L1, L2])
def test_where_people_decide_at_every_step_nothing_drifts(level: Level) -> None:
    assert drift(record(0, 100), ladder(level)) is None


def test_runs_before_the_proof_or_the_last_drift_were_answered_for() -> None:
    cards = record(10, 4)
    first = cards[0].started
    assert drift(cards, ladder(L4, proof=restarted(2, first - 1))) is not None
    assert drift(cards, ladder(L4, proof=restarted(2, first))) is None
    assert drift(cards, ladder(L4, moves=(fell(L4, L3, "drift", first),))) is None
    assert drift(cards, ladder(L4, moves=(fell(L4, L3, "rollback", first),))) is not None


def test_the_order_in_which_runs_are_found_moves_no_window() -> None:
    cards = record(97, 4)
    assert drift(cards[::-1], ladder(L4)) is None
    assert drift(record(96, 4)[::-1], ladder(L4)) is not None


# -- coming back --------------------------------------------------------------------


def behind_a_wrong_one(right: int) -> list[Scorecard]:
    """Long flawless, then one wrong run, then so many right ones."""
    return [*many(300, level=L3), wrong(301, level=L3), *many(right, 302, level=L3)]


def test_a_rung_lost_by_a_rollback_comes_back_behind_fifty_runs_without_a_wrong_verdict() -> None:
    on = ladder(L3, moves=(ROLLED_BACK,))
    assert not may_return(behind_a_wrong_one(49), on)
    assert earned(behind_a_wrong_one(49), on) is None
    assert may_return(behind_a_wrong_one(50), on)
    assert earned(behind_a_wrong_one(50), on) is L4


def test_one_wrong_verdict_of_many_is_a_wrong_one() -> None:
    cards = [*behind_a_wrong_one(50), card(400, level=L3, right=4, wrong=1)]
    assert not may_return(cards, ladder(L3, moves=(ROLLED_BACK,)))


def test_runs_of_which_nobody_learnt_anything_bring_no_rung_back() -> None:
    cards = [*many(49), *(unlabelled(n) for n in range(100, 200))]
    assert not may_return(cards, ladder(L3, moves=(ROLLED_BACK,)))


def test_without_a_rollback_nothing_stands_against_a_rung() -> None:
    cards = behind_a_wrong_one(3)
    assert may_return(cards, ladder(L3))
    assert may_return(cards, ladder(L3, moves=(fell(L4, L3, "drift"),)))
    again = fell(L3, L4, GRANTED, 9)
    assert may_return(cards, ladder(L4, moves=(ROLLED_BACK, again)))


def test_another_fall_behind_a_rollback_does_not_make_it_forgotten() -> None:
    moves = (ROLLED_BACK, fell(L3, L2, "limits", 2))
    assert not may_return(behind_a_wrong_one(3), ladder(L2, moves=moves))


def test_runs_from_before_a_rollback_bring_nothing_back_though_none_is_known_to_be_wrong_yet() -> None:
    before = many(300, level=L3)
    on = ladder(L3, moves=(fell(L4, L3, "rollback", before[-1].ended),))
    assert not may_return(before, on)
    assert earned(before, on) is None
    assert not may_return([*before, *many(49, 301, level=L3)], on)
    assert may_return([*before, *many(50, 301, level=L3)], on)
