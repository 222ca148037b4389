"""The proof of accuracy and the bounds of shares: known answers, and what no scores can do to them."""

from collections import Counter
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gatekeeper.readiness.bounds import MILLION, lower_bound, upper_bound
from services.gatekeeper.readiness.proof import ACCURACY, accuracy_bound, is_proven, labelled_to_go, log_k, log_needed

RIGHT, WRONG = Fraction(1), Fraction(0)

scores: st.SearchStrategy[Counter[Fraction]] = st.builds(
    Counter,
    st.dictionaries(
        st.builds(lambda right, wrong: Fraction(right, right + wrong), st.integers(0, 6), st.integers(1, 6))
        | st.just(RIGHT),
        st.integers(1, 400),
        max_size=5,
    ),
)
"""How many runs have which score."""


def runs(right: int, wrong: int) -> Counter[Fraction]:
    return Counter({RIGHT: right, WRONG: wrong})


KNOWN = [(0, 188), (1, 330), (2, 440), (3, 538), (4, 629)]


@pytest.mark.parametrize(("wrong", "labelled"), KNOWN)
def test_the_first_proof_holds_at_the_known_number_of_runs_and_not_one_before(wrong: int, labelled: int) -> None:
    assert is_proven(runs(labelled - wrong, wrong), 1)
    assert not is_proven(runs(labelled - wrong - 1, wrong), 1)
    assert labelled_to_go(runs(0, wrong), 1) == labelled - wrong
    assert labelled_to_go(runs(labelled - wrong, wrong), 1) == 0


@pytest.mark.parametrize(("wrong", "labelled"), KNOWN)
def test_what_is_proven_is_what_the_bound_says(wrong: int, labelled: int) -> None:
    assert accuracy_bound(runs(labelled - wrong, wrong), 1) >= ACCURACY
    assert accuracy_bound(runs(labelled - wrong - 1, wrong), 1) < ACCURACY


def test_every_further_proof_asks_for_more_so_that_all_together_err_in_less_than_one_case_of_twelve() -> None:
    flawless = runs(188, 0)
    assert is_proven(flawless, 1)
    assert not is_proven(flawless, 2)
    assert accuracy_bound(flawless, 2) < accuracy_bound(flawless, 1)
    assert sum(2.718281828459045 ** -log_needed(number) for number in range(1, 10_000)) < 1 / 12


def test_nothing_known_proves_nothing() -> None:
    assert log_k({}) == 0
    assert accuracy_bound({}, 1) == 0
    assert labelled_to_go({}, 1) == 188


def test_runs_that_were_all_wrong_leave_no_bound() -> None:
    assert accuracy_bound(runs(0, 5), 1) == 0
    assert labelled_to_go(runs(0, 1000), 1) > 10_000


@settings(max_examples=60, deadline=None)
@given(scores, st.integers(1, 999), st.integers(1, 999))
def test_wealth_falls_as_the_mean_to_be_exceeded_rises(known: Counter[Fraction], one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert log_k(known, low / 1000) >= log_k(known, high / 1000)


@settings(max_examples=60, deadline=None)
@given(scores, st.integers(1, 4))
def test_the_bound_is_the_last_millionth_that_is_proven(known: Counter[Fraction], number: int) -> None:
    bound = accuracy_bound(known, number)
    assert bound == 0 or log_k(known, bound) >= log_needed(number)
    assert log_k(known, bound + 1 / MILLION) < log_needed(number)
    assert is_proven(known, number) is (bound >= ACCURACY)


@settings(max_examples=60, deadline=None)
@given(scores, st.integers(1, 4), st.integers(1, 50))
def test_a_wrong_run_more_never_helps(known: Counter[Fraction], number: int, wrong: int) -> None:
    worse = known + runs(0, wrong)
    assert log_k(worse) < log_k(known)
    assert accuracy_bound(worse, number) <= accuracy_bound(known, number)
    assert labelled_to_go(worse, number) >= labelled_to_go(known, number)


@settings(max_examples=50, deadline=None)
@given(scores, st.integers(1, 3))
def test_as_many_flawless_runs_as_are_said_to_be_missing_complete_the_proof(
    known: Counter[Fraction], number: int
) -> None:
    missing = labelled_to_go(known, number)
    assert is_proven(known + runs(missing, 0), number)
    assert missing == 0 or not is_proven(known + runs(missing - 1, 0), number)


@settings(max_examples=50, deadline=None)
@given(scores, st.randoms(use_true_random=False))
def test_the_order_in_which_scores_are_counted_changes_no_digit(known: Counter[Fraction], chance: object) -> None:
    keys = sorted(known, key=lambda score: hash((str(score), str(chance))))
    again = {score: known[score] for score in reversed(keys)}
    assert log_k(again) == log_k(known)
    assert accuracy_bound(again, 1) == accuracy_bound(known, 1)


# -- bounds of shares -----------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "trials", "lower", "upper"),
    [
        (0, 0, 0.0, 1.0),
        (0, 20, 0.0, 0.139109),
        (2, 20, 0.018065, 0.282619),
        (10, 20, 0.301953, 0.698047),
        (20, 20, 0.860891, 1.0),
        (49, 50, 0.908601, 0.998975),
        (60, 60, 0.951297, 1.0),
        (95, 100, 0.897746, 0.980095),
    ],
)
def test_bounds_of_shares_have_their_known_values(successes: int, trials: int, lower: float, upper: float) -> None:
    assert lower_bound(successes, trials) == pytest.approx(lower, abs=1.5e-6)
    assert upper_bound(successes, trials) == pytest.approx(upper, abs=1.5e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.data())
def test_at_the_lower_bound_so_many_successes_are_seen_in_one_case_of_twenty_and_hardly_more(
    trials: int, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(1, trials))
    bound = Fraction(str(lower_bound(successes, trials)))
    assert _chance_of_at_least(successes, trials, bound) <= Fraction(1, 20)
    assert _chance_of_at_least(successes, trials, bound + Fraction(2, MILLION)) > Fraction(1, 20)


def _chance_of_at_least(successes: int, trials: int, share: Fraction) -> Fraction:
    """Exactly, from whole numbers."""
    return sum(
        (comb(trials, n) * share**n * (1 - share) ** (trials - n) for n in range(successes, trials + 1)), Fraction()
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_share_lies_between_its_bounds_and_more_successes_never_lower_them(successes: int, failures: int) -> None:
    trials = successes + failures
    lower, upper = lower_bound(successes, trials), upper_bound(successes, trials)
    assert trials == 0 or lower <= successes / trials <= upper
    assert lower_bound(successes + 1, trials + 1) >= lower
    assert lower_bound(successes, trials + 1) <= lower
    assert upper_bound(successes, trials) == pytest.approx(1 - lower_bound(failures, trials), abs=1e-12)
