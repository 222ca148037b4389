"""The proof that gates are right more often than a limit, which holds at whatever moment one looks.

Theory: 48 gamblers begin with one coin each and stake a fixed part of what they have on every labelled run, at odds
that are fair if the mean score is the limit, and bad if it is lower. Their mean wealth is then worth 20 coins at any
time in at most one history of twenty (Ville), so that 20 coins prove that the mean is above the limit, however often
one has looked. This holds for scores between 0 and 1 and for the average of a mean that varies (betting for bounded
means: Waudby-Smith and Ramdas, 2024). The order of the scores does not matter, so that a late label is harmless. The
k-th proof of a workflow has to reach 20 k^2 coins, so that all its proofs together are wrong in less than one case of
twelve.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final

from services.gatekeeper.readiness.bounds import MILLION, RISK

ACCURACY: Final = 0.98
"""What has to be proven for the last rung."""

BETS: Final = tuple(1 - (1 - (number + 0.5) / 48) ** 2 for number in range(48))
"""Part of what a gambler has that is lost to a wholly wrong run."""

_RUNS_MAX: Final = 2**40

Scores = Mapping[Fraction, int]
"""How many runs have which score: the share of a run's labelled verdicts that were right."""


def log_k(scores: Scores, m: float = ACCURACY) -> float:
    """Logarithm of the gamblers' mean wealth at odds for a mean of `m`, 0 < m <= 1; 0 where nothing is known."""
    return _log_mean_exp(_log_wealth(_points(scores), m))


def log_needed(number: int) -> float:
    """What `log_k` has to reach in a workflow's proof of this number, counted from 1."""
    return math.log(number * number / RISK)


def is_proven(scores: Scores, number: int) -> bool:
    """Whether the mean score is proven to be above 98%."""
    return log_k(scores) >= log_needed(number)


def accuracy_bound(scores: Scores, number: int) -> float:
    """The greatest mean that is proven to be exceeded: `log_k` falls as the mean rises.

    Unit:    ratio, 0 to 1, rounded down to millionths; 0 where nothing is known.
    """
    points, needed = _points(scores), log_needed(number)

    def is_too_high(millionths: int) -> bool:
        return _log_mean_exp(_log_wealth(points, millionths / MILLION)) < needed

    return bisect_left(range(1, MILLION), x=True, key=is_too_high) / MILLION


def labelled_to_go(scores: Scores, number: int) -> int:
    """How many flawless labelled runs would complete the proof; 0 where it holds."""
    wealth, flawless = _log_wealth(_points(scores), ACCURACY), _log_wealth([(1.0, 1)], ACCURACY)
    needed = log_needed(number)

    def is_enough(more: int) -> bool:
        grown = [before + more * gain for before, gain in zip(wealth, flawless, strict=True)]
        return _log_mean_exp(grown) >= needed

    return bisect_left(range(_RUNS_MAX), x=True, key=is_enough)


def _points(scores: Scores) -> list[tuple[float, int]]:
    """The scores in their order: sums of floats depend on it."""
    return sorted((float(score), count) for score, count in scores.items())


def _log_wealth(points: Iterable[tuple[float, int]], m: float) -> Sequence[float]:
    """What each gambler has."""
    wealth = [0.0] * len(BETS)
    for score, count in points:
        gain = score / m - 1
        wealth = [had + count * math.log1p(bet * gain) for had, bet in zip(wealth, BETS, strict=True)]
    return wealth


def _log_mean_exp(logs: Iterable[float]) -> float:
    values = tuple(logs)
    greatest = max(values)
    return greatest + math.log(math.fsum([math.exp(value - greatest) for value in values]) / len(values))
