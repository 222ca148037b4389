"""Whether a signal got worse after a moment, with few false alarms: a false alarm takes good code back.

Theory: the points of the watch are compared with those of the time before the merge, twice as long. A signal
regressed only if all of this holds:

- *it is no chance*: a one-sided Mann-Whitney test gives p < 0.001. The normal approximation with the tie
  correction is used, and where the two sides do not overlap the exact `1 / C(n + m, m)`, so that few points
  can tell as well. The test asks for no distribution, so outliers count no more than their rank.
- *it is large*: the medians differ by more than `SPREADS` times the robust spread of before (the median
  absolute deviation, 1.4826 times as large to be comparable with a standard deviation), and by more than
  `RELATIVE_MIN` of what was usual before.
- *it is unusual*: points of production are not independent, and load moves all day. So the same comparison is
  made inside the time before, one watch's length after the other, as far back as the record goes
  (`ORDINARY_MAX` of them). The shift must exceed all but the largest `ORDINARY_TAIL` of these, times
  `ORDINARY_RATIO`. With a short record this asks for little, with a day or more it knows the daily ramps.

Only the end of a watch is judged, so a watch is one test and not many. What this does not see: a rise in how
often a signal that is mostly zero is not zero, as long as its median stays; and a change that acts after
the watch.
"""

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, NamedTuple

P_MAX: Final = 0.001
SPREADS: Final = 4.0
RELATIVE_MIN: Final = 0.10
ORDINARY_RATIO: Final = 1.25
ORDINARY_TAIL: Final = 0.02
ORDINARY_MAX: Final = 400
BEFORE_RATIO: Final = 2.0
"""How much longer than the watch the time before the merge is that it is compared with."""
AS_NORMAL: Final = 1.4826
"""Median absolute deviations of a normal distribution in its standard deviation."""
POINTS_MIN: Final = 5
"""Points that both sides need where the workflow does not say."""


class Point(NamedTuple):
    """One measurement; `at` is in seconds since 1970-01-01 UTC."""

    at: float
    value: float


@dataclass(frozen=True)
class Comparison:
    """What a watch saw of one signal; `no_data` where a side has too few points."""

    outcome: Literal["clear", "regressed", "no_data"]
    before_count: int
    after_count: int
    message: str


def compare(
    points: Sequence[Point], start: float, end: float, *, points_min: int = POINTS_MIN, is_lower_better: bool = True
) -> Comparison:
    """Compare the points of the watch from `start` to `end` with those before; `points` are in the order of time."""
    signed = points if is_lower_better else [Point(at, -value) for at, value in points]
    series = _Series(signed)
    length = end - start
    before, after = series.between(start - BEFORE_RATIO * length, start), series.between(start, end, closes=True)
    if min(len(before), len(after)) < points_min:
        few = f"{len(before)} points before and {len(after)} after the merge, {points_min} of each are needed"
        return Comparison("no_data", len(before), len(after), few)
    return _compared(before, after, list(series.ordinary(start, length)), is_lower_better=is_lower_better)


def cut(points: Sequence[Point], start: float, end: float) -> list[Point]:
    """The points as if the time from `start` to `end` had not been: what came after it follows at once."""
    return [
        Point(point.at if point.at < start else point.at - (end - start), point.value)
        for point in points
        if not start <= point.at < end
    ]


def _compared(
    before: Sequence[float], after: Sequence[float], ordinary: Sequence[float], *, is_lower_better: bool
) -> Comparison:
    usual, now = median(before), median(after)
    shift = now - usual
    floor = max(
        SPREADS * AS_NORMAL * _deviation(before, usual), RELATIVE_MIN * abs(usual), ORDINARY_RATIO * _rare(ordinary)
    )
    is_worse = shift > 0 and shift > floor and p_value(before, after) < P_MAX
    sign = 1 if is_lower_better else -1
    message = f"the median went from {sign * usual:g} to {sign * now:g}"
    if is_worse:
        return Comparison("regressed", len(before), len(after), f"{message}, worse than what is usual here")
    return Comparison("clear", len(before), len(after), f"{message}, which is usual here")


class _Series:
    def __init__(self, points: Sequence[Point]) -> None:
        self._times = [point.at for point in points]
        self._values = [point.value for point in points]

    def between(self, start: float, end: float, *, closes: bool = False) -> list[float]:
        """Values from `start` up to `end`, which belongs to it if it `closes`."""
        find = bisect.bisect_right if closes else bisect.bisect_left
        return self._values[bisect.bisect_left(self._times, start) : find(self._times, end)]

    def ordinary(self, start: float, length: float) -> Iterator[float]:
        """Shifts for the worse inside the time before `start`, each between a watch's length and the two before it."""
        if not self._times:
            return
        for index in range(1, ORDINARY_MAX + 1):
            end = start - (index - 1) * length
            begin = end - length
            earliest = begin - BEFORE_RATIO * length
            if earliest < self._times[0]:
                return
            earlier, later = self.between(earliest, begin), self.between(begin, end)
            if earlier and later:
                yield max(median(later) - median(earlier), 0.0)


def _deviation(values: Sequence[float], center: float) -> float:
    return median(abs(value - center) for value in values)


def _rare(shifts: Sequence[float]) -> float:
    """The largest shift that is not among the rarest; 0 where none is known."""
    if not shifts:
        return 0.0
    return sorted(shifts)[math.ceil(len(shifts) * (1 - ORDINARY_TAIL)) - 1]


def p_value(before: Sequence[float], after: Sequence[float]) -> float:
    """How likely chance alone lets `after` rank so high above `before`.

    Unit:    probability, 0 to 1.
    Source:  Mann and Whitney 1947; normal approximation with continuity and tie corrections.
    """
    n, m = len(before), len(after)
    if min(after) > max(before):
        return 1 / math.comb(n + m, m)
    ranks, ties = _ranks([*before, *after])
    u = sum(ranks[n:]) - m * (m + 1) / 2
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    return math.erfc((u - n * m / 2 - 0.5) / math.sqrt(2 * variance)) / 2


def _ranks(values: Sequence[float]) -> tuple[list[float], int]:
    """The rank of each value, equal ones sharing theirs, and the correction for ties."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, ties, first = [0.0] * len(values), 0, 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for index in order[first : last + 1]:
            ranks[index] = (first + last) / 2 + 1
        size = last - first + 1
        ties += size**3 - size
        first = last + 1
    return ranks, ties
