"""The ladder: one workflow's policies, levels, labels and freezes, folded from its facts.

A ladder with a fact that this build cannot read stands at the lowest level: what cannot be
understood earns nothing. A level that is lost has to be earned anew; what is earned is never less
than what is granted. A proof of the last rung begins with the first run, and again after a drift
or after gate limits that are not at least as tight as before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from libs.contracts.facts import (
    FreezeLifted,
    FreezeSet,
    GateCalibrated,
    LevelEarned,
    LevelGranted,
    LevelLowered,
    PolicyAdopted,
)
from libs.contracts.wire import Recorded
from libs.contracts.words import Level
from libs.contracts.workflow import Policy
from libs.contracts.workflow.limits import Tightness, compared

GRANTED: Final = "granted"
"""Cause of a move upwards; the others are those of a fall."""


class Move(NamedTuple):
    """The level granted changed; `at` is the store's time, `origin` the level before, `by` who did it."""

    at: float
    sequence: int
    origin: Level
    to: Level
    why: str
    by: str
    cause: str
    run: str | None = None
    automatic: bool = False
    with_proof: bool = False


class Proof(NamedTuple):
    """The `number`th proof of the last rung that this workflow has begun, with runs that began behind `since`."""

    number: int = 1
    since: int = 0


FIRST_PROOF: Final = Proof()


@dataclass(frozen=True)
class Ladder:
    """`sequence` is the last fact folded: what a disposition says it relied on.

    `since` is where each level was last granted or lost; `loosened` the adoption of gate limits that were no longer
    as tight, as long as nothing has followed from it.
    """

    workflow: str = ""
    repository: str = ""
    policy_digest: str | None = None
    policies: Mapping[str, Policy] = field(default_factory=dict)
    earned: Level = Level.ASSISTED
    granted: Level = Level.ASSISTED
    since: Mapping[Level, int] = field(default_factory=dict)
    proof: Proof = FIRST_PROOF
    loosened: PolicyAdopted | None = None
    moves: tuple[Move, ...] = ()
    calibrations: tuple[GateCalibrated, ...] = ()
    freeze: FreezeSet | None = None
    is_unread: bool = False
    sequence: int = 0

    @property
    def policy(self) -> Policy | None:
        """The policy adopted last; `None` before the first run."""
        return self.policies.get(self.policy_digest or "")

    @property
    def is_frozen(self) -> bool:
        return self.freeze is not None

    def has_fallen_for(self, run: str) -> bool:
        """Whether the level was lowered for what this run did."""
        return any(move.run == run for move in self.moves)

    def in_force(self, configured: Level) -> Level:
        """The authority a run has before any cap: the least of what is configured, granted and readable."""
        if self.is_unread:
            return Level.ASSISTED
        return min(configured, self.granted, self.earned, key=lambda level: level.rank)


def evolve(ladder: Ladder, recorded: Recorded) -> Ladder:
    """Fold one fact; one that says nothing about levels only moves the sequence."""
    moved = replace(ladder, sequence=recorded.sequence)
    match recorded.fact:
        case PolicyAdopted() as fact:
            return _adopted(moved, fact, recorded.sequence)
        case LevelEarned() as fact:
            return replace(moved, earned=fact.level)
        case LevelGranted() | LevelLowered() as fact:
            return _moved(moved, fact, recorded)
        case FreezeSet() | FreezeLifted() as fact:
            return replace(moved, freeze=fact if isinstance(fact, FreezeSet) else None)
        case GateCalibrated() as fact:
            return replace(moved, calibrations=(*ladder.calibrations, fact))
        case _:
            return moved


def _adopted(ladder: Ladder, fact: PolicyAdopted, sequence: int) -> Ladder:
    """The policy in force from here on; limits that are not at least as tight begin the proof anew."""
    before = ladder.policy
    policies = {**ladder.policies, fact.policy_digest: fact.policy}
    adopted = replace(
        ladder,
        workflow=fact.workflow,
        repository=fact.repository,
        policy_digest=fact.policy_digest,
        policies=policies,
    )
    if before is None or compared(before, fact.policy) in (Tightness.SAME, Tightness.TIGHTER):
        return adopted
    proof = Proof(ladder.proof.number + 1, sequence)
    return replace(adopted, proof=proof, loosened=fact if ladder.granted is not Level.ASSISTED else None)


def _moved(ladder: Ladder, fact: LevelGranted | LevelLowered, recorded: Recorded) -> Ladder:
    is_grant = isinstance(fact, LevelGranted)
    move = Move(
        at=recorded.time,
        sequence=recorded.sequence,
        origin=ladder.granted,
        to=fact.level,
        why=fact.reason,
        by=fact.by,
        cause=GRANTED if isinstance(fact, LevelGranted) else fact.cause,
        run=None if isinstance(fact, LevelGranted) else fact.run,
        automatic=isinstance(fact, LevelGranted) and fact.automatic,
        with_proof=isinstance(fact, LevelGranted) and fact.with_proof,
    )
    changed = fact.level if is_grant else ladder.granted
    is_proof_lost = isinstance(fact, LevelLowered) and fact.cause == "drift"
    return replace(
        ladder,
        granted=fact.level,
        earned=ladder.earned if is_grant else fact.level,
        since={**ladder.since, changed: recorded.sequence},
        moves=(*ladder.moves, move),
        loosened=ladder.loosened if is_grant else None,
        proof=Proof(ladder.proof.number + 1, recorded.sequence) if is_proof_lost else ladder.proof,
    )


def fold(facts: Iterable[Recorded], *, is_unread: bool = False) -> Ladder:
    ladder = Ladder(is_unread=is_unread)
    for recorded in facts:
        ladder = evolve(ladder, recorded)
    return ladder
