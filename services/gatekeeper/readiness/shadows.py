"""Human decisions beside what the next level would have done in their place."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Final, Literal

from libs.contracts.readiness import Difference, ShadowStanding
from libs.contracts.words import DecisionKind, Disposition, Level, Phase
from services.gatekeeper.readiness.scorecard import Scorecard

Agreement = Literal["agreed", "differed", "asked"]

_ONWARD: Final = frozenset({DecisionKind.APPROVE, DecisionKind.OVERRIDE})
_AGAIN: Final = frozenset({DecisionKind.RETRY, DecisionKind.GUIDE})
_OVER: Final = frozenset({DecisionKind.REJECT})
_TELLING: Final = _ONWARD | _AGAIN | _OVER

AGREES: Final[dict[Disposition, frozenset[DecisionKind]]] = {
    Disposition.PROCEED: _ONWARD,
    Disposition.WARN: _ONWARD,
    Disposition.HEAL: _AGAIN,
    Disposition.ABORT: _OVER,
}
"""What a human decides who sees it as the next level does; a checkpoint would have asked the human too."""


def shadow_standing(ordered: Sequence[Scorecard], above: Level | None, shown: int) -> ShadowStanding:
    """All decisions that say something, and the newest `shown` that the next level would have taken otherwise."""
    counts: Counter[Agreement | None] = Counter()
    for words, times in Counter(map(attrgetter("shadows"), ordered)).items():
        for word in words.split():
            counts[_agreement(word)] += times
    return ShadowStanding(
        next=above,
        agreed=counts["agreed"],
        differed=counts["differed"],
        asked=counts["asked"],
        differences=tuple(islice(_differences(reversed(ordered)), shown)),
    )


def _differences(cards: Iterable[Scorecard]) -> Iterator[Difference]:
    told = ((card.run, word) for card in cards if card.shadows for word in card.shadows.split())
    return (_difference(run, word) for run, word in told if _agreement(word) == "differed")


def _difference(run: str, word: str) -> Difference:
    phase, attempt, shadow, decision = word.split(":")
    return Difference(
        run=run, phase=Phase(phase), attempt=int(attempt), shadow=Disposition(shadow), decision=DecisionKind(decision)
    )


@lru_cache(maxsize=4096)
def _agreement(word: str) -> Agreement | None:
    """`None` for a decision that says nothing of gates: to hold, release or cancel a run."""
    shadow, decision = word.split(":")[2:]
    if decision not in _TELLING:
        return None
    if shadow == Disposition.CHECKPOINT:
        return "asked"
    return "agreed" if decision in AGREES[Disposition(shadow)] else "differed"
