"""What the gatekeeper owes a ladder by itself: levels that were earned, granted where it may, or lost.

Theory: a level is earned when the criteria hold over what the log says of the runs so far, and granted by an operator,
or by the machine where the operator's file says `promotion: auto`; the last rung then only with its proof. What was
taken by a person no machine gives back. Falls ask nobody.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from libs.contracts.facts import LadderFact, LevelEarned, LevelGranted, LevelLowered
from libs.contracts.ladder import GRANTED, Ladder
from libs.contracts.words import Level
from services.gatekeeper.readiness.falls import drift
from services.gatekeeper.readiness.rungs import earned, rungs
from services.gatekeeper.readiness.scorecard import Scorecard
from services.gatekeeper.run import Run

MACHINE: Final = "rung"
"""Who states what nobody asked for."""

Promotion = Literal["ask", "auto"]


def climb(ladder: Ladder, cards: Sequence[Scorecard], promotion: Promotion) -> list[LadderFact]:
    """The fact that follows now from all runs of a workflow; none while the ladder cannot be read."""
    if ladder.is_unread or not ladder.workflow:
        return []
    if (why := drift(cards, ladder)) is not None:
        return [_lowered(ladder, "drift", why)]
    level = earned(cards, ladder)
    if level is not None and ladder.earned.rank < level.rank:
        return [LevelEarned(workflow=ladder.workflow, level=level, reason="the criteria hold; see rung readiness")]
    return _promoted(ladder, cards, level) if promotion == "auto" else []


def is_proven(cards: Iterable[Scorecard], ladder: Ladder) -> bool:
    """Whether more than luck speaks for the last rung."""
    return rungs(cards, ladder)[-1].is_proven


def _promoted(ladder: Ladder, cards: Sequence[Scorecard], level: Level | None) -> list[LadderFact]:
    """The level that the machine grants itself: what is earned now, and proven where it is the last."""
    if level is None or _was_taken(ladder, level):
        return []
    with_proof = level is Level.ASE and is_proven(cards, ladder)
    if level is Level.ASE and not with_proof:
        return []
    reason = "earned and proven" if with_proof else "earned"
    return [
        LevelGranted(
            workflow=ladder.workflow, level=level, by=MACHINE, reason=reason, with_proof=with_proof, automatic=True
        )
    ]


def _was_taken(ladder: Ladder, level: Level) -> bool:
    """A person took this level, and none has given it since; what machines did meanwhile does not matter."""
    for move in reversed(ladder.moves):
        if move.cause == "operator" and move.to.rank < level.rank <= move.origin.rank:
            return True
        if move.cause == GRANTED and not move.automatic and move.to.rank >= level.rank:
            return False
    return False


def falls(run: Run, ladder: Ladder) -> list[LadderFact]:
    """The level that is lost at once: by gate limits that are looser, and by harm that a machine's merge has done."""
    if ladder.granted is Level.ASSISTED or ladder.is_unread:
        return []
    if ladder.loosened is not None:
        why = f"the limits of the gates are not at least as tight as before (policy {ladder.policy_digest or '':.12})"
        return [_lowered(ladder, "limits", why)]
    if (rollback := run.rollback) is None or rollback.why != "regression" or _is_answered(run, ladder):
        return []
    if run.authorised is None or run.authorised.decision is not None:
        return []
    why = f"run {run.run[:8]} merged without a human and is rolled back: {rollback.reason}"
    return [_lowered(ladder, "rollback", why, run.run)]


def _is_answered(run: Run, ladder: Ladder) -> bool:
    """The harm has cost a level already, or was known before the level of today was granted."""
    last = ladder.moves[-1] if ladder.moves else None
    is_known = last is not None and last.cause == GRANTED and last.at > run.taking_back.since
    return is_known or ladder.has_fallen_for(run.run)


def _lowered(
    ladder: Ladder, cause: Literal["rollback", "drift", "limits"], why: str, run: str | None = None
) -> LevelLowered:
    below = next(level for level in Level if level.rank == ladder.granted.rank - 1)
    return LevelLowered(workflow=ladder.workflow, level=below, by=MACHINE, reason=why, cause=cause, run=run)
