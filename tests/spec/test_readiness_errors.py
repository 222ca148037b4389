"""How often the rules err: the simulation follows the real ones, and in it they keep what they promise.

The long figures are the bench's (`tests/bench/readiness_simulation`); these are short, and drawn alike every time.
"""

from collections import Counter
from fractions import Fraction
from statistics import mean, median

import pytest

from libs.contracts.words import Level
from services.gatekeeper.readiness.falls import drift
from services.gatekeeper.readiness.proof import is_proven
from tests.bench.readiness_simulation import (
    CORRELATIONS,
    VERDICTS,
    delays,
    false_falls,
    first_fall,
    first_proof,
    proofs,
    right_of_run,
    seeded,
)
from tests.spec.readiness_cards import card, ladder

RUNS = 340


def history(seed: int, accuracy: float, correlation: float) -> list[int]:
    rng = seeded(seed)
    return [right_of_run(rng, accuracy, correlation) for _ in range(RUNS)]


@pytest.mark.parametrize(("seed", "accuracy"), [(1, 0.999), (2, 0.996), (3, 0.99), (4, 0.98)])
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_the_simulated_proof_holds_when_the_real_one_does(seed: int, accuracy: float, correlation: float) -> None:
    rights = history(seed, accuracy, correlation)
    scores: Counter[Fraction] = Counter()
    real = None
    for run, right in enumerate(rights, 1):
        scores[Fraction(right, VERDICTS)] += 1
        if is_proven(scores, 1):
            real = run
            break
    assert first_proof(iter(rights), RUNS) == real


@pytest.mark.parametrize(("level", "accuracy"), [(Level.ASE, 0.98), (Level.AUTONOMOUS, 0.9)])
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_the_simulated_drift_is_seen_when_the_real_one_is(level: Level, accuracy: float, correlation: float) -> None:
    rights = history(5, accuracy, correlation)
    cards = [card(n, right=right, wrong=VERDICTS - right) for n, right in enumerate(rights, 1)]
    real = next((run for run in range(1, RUNS + 1) if drift(cards[:run], ladder(level))), None)
    assert first_fall(iter(rights), level, RUNS) == real


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_gates_that_are_no_better_than_the_limit_are_proven_in_at_most_one_history_of_twenty(
    correlation: float,
) -> None:
    assert len(proofs(200, 0.98, correlation, 500)) <= 200 * 0.05


def test_gates_that_are_worse_are_hardly_ever_proven() -> None:
    assert len(proofs(200, 0.97, 1, 500)) <= 200 * 0.01


@pytest.mark.parametrize(("accuracy", "runs"), [(0.995, 350), (0.999, 220)])
def test_good_gates_are_proven_within_a_reasonable_number_of_runs(accuracy: float, runs: int) -> None:
    found = proofs(101, accuracy, 1, 1500)
    never = [1500] * (101 - len(found))
    assert median([*found, *never]) <= runs


def test_gates_that_are_as_good_as_ever_hardly_ever_lose_a_level() -> None:
    assert false_falls(100, Level.ASE, 0.999) <= 0.01
    assert false_falls(100, Level.ASE, 0.995) <= 0.1
    assert false_falls(100, Level.AUTONOMOUS, 0.97) <= 0.01


@pytest.mark.parametrize(
    ("level", "before", "after", "runs"),
    [(Level.ASE, 0.995, 0.95, 100), (Level.ASE, 0.995, 0.9, 50), (Level.AUTONOMOUS, 0.95, 0.8, 80)],
)
def test_gates_that_became_worse_are_noticed_soon(level: Level, before: float, after: float, runs: int) -> None:
    found = delays(200, level, before, after)
    assert len(found) == 200
    assert 10 < mean(found) <= runs
