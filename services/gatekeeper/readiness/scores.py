"""Scores of runs: one number a run, since the labels of one run hang together, and runs in the order of the log."""

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from operator import attrgetter

from services.gatekeeper.readiness.scorecard import Scorecard


def in_order(cards: Iterable[Scorecard]) -> list[Scorecard]:
    """Runs that came to rest, by their place in the log, whatever order they come in; open ones say nothing yet."""
    return sorted((card for card in cards if card.ended), key=attrgetter("ended", "run"))


def labelled(ordered: Iterable[Scorecard], since: int = 0) -> list[Scorecard]:
    """Runs of which somebody learnt something, and that began behind `since`."""
    return [card for card in ordered if (card.right or card.wrong) and card.started > since]


@lru_cache(maxsize=4096)
def share(right: int, wrong: int) -> Fraction:
    """The share that was right of what was labelled."""
    return Fraction(right, right + wrong)


def scores_of(cards: Iterable[Scorecard]) -> list[Fraction]:
    """The scores of labelled runs, in their order."""
    return [share(card.right, card.wrong) for card in cards]


def counted(cards: Iterable[Scorecard]) -> Counter[Fraction]:
    """How many labelled runs have which score."""
    scores: Counter[Fraction] = Counter()
    for (right, wrong), count in Counter(map(attrgetter("right", "wrong"), cards)).items():
        scores[share(right, wrong)] += count
    return scores


def mean(scores: Counter[Fraction]) -> Fraction | None:
    """The mean score; `None` where no run is labelled."""
    count = scores.total()
    return sum((score * times for score, times in scores.items()), Fraction()) / count if count else None


def decimals(value: Fraction | None) -> float | None:
    """To six decimals, for people: what is compared is exact."""
    return None if value is None else float(round(value, 6))
