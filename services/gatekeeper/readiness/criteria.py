"""The table that a rung is earned by: one function per line, each from runs to value, limit and whether it holds.

Everything is compared as exact fractions, and a line that nothing was counted for does not hold. A limit that is not
set asks for nothing and makes no line.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final, NamedTuple, Self

from libs.contracts.readiness import Criterion
from libs.contracts.workflow import ReadinessLimits
from services.gatekeeper.readiness.bounds import lower_bound, upper_bound
from services.gatekeeper.readiness.proof import accuracy_bound
from services.gatekeeper.readiness.scorecard import Scorecard
from services.gatekeeper.readiness.scores import decimals, mean, scores_of

ACCURACY_WINDOW: Final = 200
"""Labelled runs that gate accuracy is the mean of: all of them would take too long to forget an early weakness."""

SUCCESS_WINDOW: Final = 50
"""Runs that the success rate is the share of; with fewer there is none."""


class Accuracy(NamedTuple):
    """The scores of the last labelled runs, in their order, and the mean that they show to be exceeded."""

    scores: Sequence[Fraction]
    bound: float

    @classmethod
    def of(cls, labelled: Sequence[Scorecard]) -> Self:
        scores = scores_of(labelled[-ACCURACY_WINDOW:])
        return cls(scores, accuracy_bound(Counter(scores), 1))


class Record(NamedTuple):
    """What a rung is earned with: the runs that count for it, which of them succeeded, and all that were labelled."""

    runs: Sequence[Scorecard]
    successes: Sequence[bool]
    accuracy: Accuracy


def successful_runs(record: Record, limits: ReadinessLimits) -> Criterion:
    """Runs that merged and whose watch brought nothing against them; to go at the share that succeeded so far."""
    successes, limit = sum(record.successes), limits.successful_runs_min
    missing = max(0, limit - successes)
    to_go = math.ceil(Fraction(missing * len(record.runs), successes)) if successes else missing
    return _line("successful_runs", successes, len(record.runs), limit=limit, met=not missing, to_go=to_go)


def gate_accuracy(record: Record, limits: ReadinessLimits) -> Criterion | None:
    """Mean score of the last labelled runs of the workflow, at whatever level; to go if all that follow are right."""
    if limits.gate_accuracy_min is None:
        return None
    scores, limit = record.accuracy.scores, _exact(limits.gate_accuracy_min)
    value = mean(Counter(scores))
    return _line(
        "gate_accuracy",
        value,
        len(scores),
        limit=limits.gate_accuracy_min,
        met=value is not None and value > limit,
        to_go=_flawless_to_go(scores, limit),
        bound=record.accuracy.bound,
    )


def override_rate(record: Record, limits: ReadinessLimits) -> Criterion | None:
    """Share of human decisions that contradicted a gate; to go without one more, at as many decisions a run as now."""
    if limits.override_rate_max is None:
        return None
    decisions, overrides = sum(card.decisions for card in record.runs), sum(card.overrides for card in record.runs)
    limit = _exact(limits.override_rate_max)
    a_run = Fraction(decisions, len(record.runs)) if decisions else Fraction(1)
    return _line(
        "override_rate",
        Fraction(overrides, decisions) if decisions else None,
        decisions,
        limit=limits.override_rate_max,
        met=bool(decisions) and overrides < limit * decisions,
        to_go=_more_until_below(overrides, limit, decisions, a_run),
        bound=upper_bound(overrides, decisions),
    )


def average_retries(record: Record, limits: ReadinessLimits) -> Criterion | None:
    """Healing attempts a run; to go without one more."""
    if limits.average_retries_max is None:
        return None
    retries, runs = sum(card.healing_attempts for card in record.runs), len(record.runs)
    limit = _exact(limits.average_retries_max)
    return _line(
        "average_retries",
        Fraction(retries, runs) if runs else None,
        runs,
        limit=limits.average_retries_max,
        met=bool(runs) and retries < limit * runs,
        to_go=_more_until_below(retries, limit, runs, Fraction(1)),
    )


def success_rate(record: Record, limits: ReadinessLimits) -> Criterion | None:
    """Share of the last runs that succeeded; to go if all that follow do."""
    if limits.success_rate_min is None:
        return None
    last, limit = record.successes[-SUCCESS_WINDOW:], _exact(limits.success_rate_min)
    return _line(
        "success_rate",
        Fraction(sum(last), len(last)) if last else None,
        len(last),
        limit=limits.success_rate_min,
        met=_is_often(last, limit),
        to_go=next(more for more in range(SUCCESS_WINDOW + 1) if _is_often([*last, *[True] * more], limit)),
        bound=lower_bound(sum(last), len(last)),
    )


CRITERIA: Final[tuple[Callable[[Record, ReadinessLimits], Criterion | None], ...]] = (
    successful_runs,
    gate_accuracy,
    override_rate,
    average_retries,
    success_rate,
)


def criteria(record: Record, limits: ReadinessLimits) -> tuple[Criterion, ...]:
    """Every line that these limits ask for."""
    lines = (criterion(record, limits) for criterion in CRITERIA)
    return tuple(line for line in lines if line is not None)


def _line(
    name: str,
    value: Fraction | int | None,
    n: int,
    *,
    limit: float,
    met: bool,
    to_go: int | None,
    bound: float | None = None,
) -> Criterion:
    shown = value if isinstance(value, int) else decimals(value)
    return Criterion(name=name, value=shown, n=n, bound=bound, limit=limit, met=met, runs_to_go=None if met else to_go)


def _exact(limit: float) -> Fraction:
    """The limit as somebody wrote it, not the binary number nearest to it."""
    return Fraction(str(limit))


def _is_often(successes: Sequence[bool], limit: Fraction) -> bool:
    last = successes[-SUCCESS_WINDOW:]
    return len(last) == SUCCESS_WINDOW and sum(last) >= limit * len(last)


def _flawless_to_go(scores: Sequence[Fraction], limit: Fraction) -> int | None:
    """Flawless labelled runs until the mean of the last ones is above the limit; `None` if it can never be."""
    total = sum(scores, Fraction())
    for more in range(1, ACCURACY_WINDOW + 1):
        dropped = len(scores) + more - ACCURACY_WINDOW - 1
        total += 1 - (scores[dropped] if dropped >= 0 else 0)
        if total > limit * min(len(scores) + more, ACCURACY_WINDOW):
            return more
    return None


def _more_until_below(seen: int, limit: Fraction, among: int, a_run: Fraction) -> int | None:
    """Runs with nothing more seen until the share falls below the limit; `None` if it can never."""
    return max(1, math.floor((seen / limit - among) / a_run) + 1) if limit else None
