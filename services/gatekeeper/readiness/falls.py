"""What takes a rung away without anybody's doing, and what lets one that was lost come back."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import takewhile
from typing import Final

from libs.contracts.ladder import GRANTED, Ladder, Move
from libs.contracts.words import Level
from services.gatekeeper.readiness.scorecard import Scorecard
from services.gatekeeper.readiness.scores import decimals, in_order, labelled, scores_of

DRIFT_WINDOW: Final = 100
DRIFTS: Final = {Level.AUTONOMOUS: 14, Level.ASE: 4}
"""Wrong runs within the last labelled ones that lower a level; the lower ones have a human at every step."""

RETURN_WINDOW: Final = 50
"""Labelled runs without one wrong verdict that have to follow a rollback."""


def drift(cards: Iterable[Scorecard], ladder: Ladder) -> str | None:
    """Why the level granted is to be lowered by a drift of the gates' accuracy; `None` if it is not."""
    limit = DRIFTS.get(ladder.granted)
    if limit is None:
        return None
    last = labelled(in_order(cards), _last_restart(ladder))[-DRIFT_WINDOW:]
    wrong = wrong_among(scores_of(last))
    if wrong < limit:
        return None
    return f"drift: {decimals(wrong):g} of the last {len(last)} labelled runs were wrong, and {limit} are too many"


def wrong_among(scores: Iterable[Fraction]) -> Fraction:
    """How many wholly wrong runs these scores amount to."""
    return sum((1 - score for score in scores), Fraction())


def may_return(cards: Iterable[Scorecard], ladder: Ladder) -> bool:
    """Whether nothing stands against a level that a rollback took: the last labelled runs hold no wrong one."""
    return has_recovered(labelled(in_order(cards)), ladder)


def has_recovered(last: Sequence[Scorecard], ladder: Ladder) -> bool:
    """As `may_return`, from labelled runs in their order.

    Only runs that came to rest after the rollback was ordered speak for it: the one that did harm is among them, and
    is not known to be wrong before it is taken back.
    """
    rollbacks = [move.sequence for move in _falls(ladder) if move.cause == "rollback"]
    if not rollbacks:
        return True
    since = last[-RETURN_WINDOW:]
    is_new = len(since) == RETURN_WINDOW and since[0].ended > max(rollbacks)
    return is_new and not any(card.wrong for card in since)


def fell_at(ladder: Ladder) -> int:
    """Where the level was lost by drift or by looser limits, 0 where it was not: only later runs may earn it anew."""
    return max((move.sequence for move in _falls(ladder) if move.cause in ("drift", "limits")), default=0)


def begun_after(sequence: int, ordered: Sequence[Scorecard]) -> Sequence[Scorecard]:
    return [card for card in ordered if card.started > sequence] if sequence else ordered


def _falls(ladder: Ladder) -> Iterator[Move]:
    """The falls from which nothing was granted since, the last one first."""
    return takewhile(lambda move: move.cause != GRANTED, reversed(ladder.moves))


def _last_restart(ladder: Ladder) -> int:
    """Runs that began before the proof did, or before the last drift, were answered for already."""
    drifts = (move.sequence for move in ladder.moves if move.cause == "drift")
    return max(ladder.proof.since, *drifts, 0)
