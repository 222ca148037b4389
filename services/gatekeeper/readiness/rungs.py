"""Rungs: which runs count for which, whether its table holds, what stands beside the last one, and what is earned."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from libs.contracts.facts import GateCalibrated
from libs.contracts.ladder import Ladder
from libs.contracts.readiness import AccuracyProof, CatchRate, Criterion, Rung
from libs.contracts.words import Level
from libs.contracts.workflow import READINESS
from libs.contracts.workflow.limits import gates_digest
from services.gatekeeper.readiness.bounds import lower_bound
from services.gatekeeper.readiness.criteria import Accuracy, Record, criteria
from services.gatekeeper.readiness.falls import begun_after, drift, fell_at, has_recovered
from services.gatekeeper.readiness.proof import ACCURACY, accuracy_bound, labelled_to_go
from services.gatekeeper.readiness.scorecard import Result, Scorecard
from services.gatekeeper.readiness.scores import counted, in_order, labelled

__all__ = ["catch_rate_of", "drift", "earned", "is_proven", "proof_of", "rungs", "rungs_of"]

COUNTED: Final = (Result.SUCCESSFUL, Result.FAILED)
"""How a run has to have ended to say anything of its level."""

CATCH_RATE: Final = 0.9
"""What the share of known-bad candidates that were stopped has to be, by its lower bound."""

KNOWN_BAD_MIN: Final = 60


def rungs(cards: Iterable[Scorecard], ladder: Ladder) -> tuple[Rung, ...]:
    """Every rung of the ladder, lowest first, as of these runs."""
    ordered = in_order(cards)
    return rungs_of(ordered, labelled(ordered), ladder)


def rungs_of(ordered: Sequence[Scorecard], known: Sequence[Scorecard], ladder: Ladder) -> tuple[Rung, ...]:
    """As `rungs`, from runs in their order and those of them that are labelled."""
    accuracy = Accuracy.of(known)
    lines = {level: _criteria(ordered, accuracy, ladder, level) for level in Level if level.above}
    if ladder.granted.above and (fell := fell_at(ladder)):
        lines[ladder.granted] = _next(begun_after(fell, ordered), ladder)
    return tuple(
        Rung(
            origin=level,
            to=above,
            met=all(line.met for line in lines[level]),
            criteria=lines[level],
            proof=proof_of(known, ladder) if above is Level.ASE else None,
            catch_rate=catch_rate_of(ordered, ladder) if above is Level.ASE else None,
        )
        for level, above in pairwise(Level)
    )


def earned(cards: Iterable[Scorecard], ladder: Ladder) -> Level | None:
    """The level above the one granted, if its criteria hold and no rollback stands against it; one rung at a time.

    Configuration says nothing here, and neither does a ladder that this build cannot read.
    """
    above = ladder.granted.above
    if above is None or ladder.policy is None or ladder.is_unread:
        return None
    ordered = begun_after(fell_at(ladder), in_order(cards))
    is_met = all(line.met for line in _next(ordered, ladder))
    return above if is_met and has_recovered(labelled(ordered), ladder) else None


def _next(ordered: Sequence[Scorecard], ladder: Ladder) -> tuple[Criterion, ...]:
    """The table that leads up from the level granted, from the runs that may earn it."""
    return _criteria(ordered, Accuracy.of(labelled(ordered)), ladder, ladder.granted)


def is_proven(cards: Iterable[Scorecard], ladder: Ladder) -> bool:
    """Whether accuracy and catch rate are proven for the last rung, whatever the table says."""
    ordered = in_order(cards)
    return proof_of(labelled(ordered), ladder).met and catch_rate_of(ordered, ladder).met


def _criteria(ordered: Sequence[Scorecard], accuracy: Accuracy, ladder: Ladder, level: Level) -> tuple[Criterion, ...]:
    """The table that leads up from a level, as far as it is reached."""
    above = level.above
    assert above is not None
    stated = ladder.policy.readiness if ladder.policy else READINESS
    return criteria(_record(ordered, accuracy, ladder, level), stated.get(above, READINESS[above]))


def _record(ordered: Sequence[Scorecard], accuracy: Accuracy, ladder: Ladder, level: Level) -> Record:
    """Runs in which only people decided, at this level since it was last granted or lost.

    For the last rung a run succeeds only if production was measured and nothing was wrong: silence earns nothing.
    """
    since = ladder.since.get(level, 0)
    runs = [card for card in ordered if card.level == level and card.started > since and card.counts]
    runs = [card for card in runs if card.result in COUNTED]
    needs_signal = level.above is Level.ASE
    successes = [card.result == Result.SUCCESSFUL and (card.is_clear or not needs_signal) for card in runs]
    return Record(runs, successes, accuracy)


def proof_of(known: Sequence[Scorecard], ladder: Ladder) -> AccuracyProof:
    """How far the proof has come, from labelled runs."""
    number = ladder.proof.number
    scores = counted(card for card in known if card.started > ladder.proof.since)
    value = accuracy_bound(scores, number)
    return AccuracyProof(
        number=number,
        labelled=scores.total(),
        value=value,
        limit=ACCURACY,
        met=value >= ACCURACY,
        runs_to_go=None if value >= ACCURACY else labelled_to_go(scores, number),
    )


def catch_rate_of(ordered: Sequence[Scorecard], ladder: Ladder) -> CatchRate:
    """Known-bad candidates since the proof began, and those that were made for the gates in force."""
    known = [card.is_caught for card in ordered if card.is_bad and card.started > ladder.proof.since]
    seeded = _calibrations(ladder)
    caught, bad = sum(known), len(known)
    seeded_caught, seeded_bad = sum(min(one.caught, one.seeded) for one in seeded), sum(one.seeded for one in seeded)
    bound = lower_bound(caught + seeded_caught, bad + seeded_bad)
    return CatchRate(
        caught=caught,
        bad=bad,
        seeded_caught=seeded_caught,
        seeded_bad=seeded_bad,
        bound=bound,
        limit=CATCH_RATE,
        at_least=KNOWN_BAD_MIN,
        met=bound >= CATCH_RATE and bad + seeded_bad >= KNOWN_BAD_MIN,
    )


def _calibrations(ladder: Ladder) -> tuple[GateCalibrated, ...]:
    """Of the gates in force, the last of each commit: the same candidates tried again say nothing new."""
    if not ladder.calibrations or ladder.policy is None:
        return ()
    gates = gates_digest(ladder.policy)
    return tuple({one.commit: one for one in ladder.calibrations if one.gates_digest == gates}.values())
