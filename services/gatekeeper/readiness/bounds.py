"""Exact one-sided 95% bounds of a share (Clopper and Pearson), to six decimals.

Theory: the lower bound is the share at which `successes` or more out of `trials` would be seen in one case of twenty.
The chance rises with the share, so that it is found by bisection over millionths. A bound is rounded away from what
it bounds: a lower one down, an upper one up, so that no rounding ever clears a limit.
"""

import math
from bisect import bisect_left
from typing import Final

MILLION: Final = 1_000_000
"""Bounds are millionths: the same on every machine, whatever the last digit of its logarithms."""

RISK: Final = 0.05
_NEGLIGIBLE: Final = 1e-18


def lower_bound(successes: int, trials: int) -> float:
    """The share that is at least there.

    Unit:    ratio, 0 to 1; 0 where nothing was tried.
    """
    return _lower(successes, trials) / MILLION


def upper_bound(successes: int, trials: int) -> float:
    """The share that is at most there.

    Unit:    ratio, 0 to 1; 1 where nothing was tried.
    """
    return (MILLION - _lower(trials - successes, trials)) / MILLION


def _lower(successes: int, trials: int) -> int:
    """In millionths, rounded down; where nothing succeeded nothing is known."""
    if successes <= 0:
        return 0
    return bisect_left(range(1, MILLION), x=True, key=lambda m: _is_likely(successes, trials, m / MILLION))


def _is_likely(successes: int, trials: int, share: float) -> bool:
    """Whether `successes` or more are seen in more than one case of twenty; about every second time from the mean on.

    The terms fall from `successes` on, which lies above the mean, until they are negligible.
    """
    if successes <= trials * share:
        return True
    term = math.exp(_log_chance(successes, trials, share))
    total = 0.0
    for seen in range(successes, trials + 1):
        total += term
        if total > RISK or term < _NEGLIGIBLE:
            break
        term *= (trials - seen) / (seen + 1) * share / (1 - share)
    return total > RISK


def _log_chance(successes: int, trials: int, share: float) -> float:
    """Logarithm of the chance of just so many."""
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    return ways + successes * math.log(share) + (trials - successes) * math.log1p(-share)
