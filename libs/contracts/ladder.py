"""The ladder: one workflow's policies, levels and freezes, folded from its facts.

A ladder with a fact that this build cannot read stands at the lowest level: what cannot be
understood earns nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from libs.contracts.facts import FreezeLifted, FreezeSet, LevelEarned, LevelGranted, LevelLowered, PolicyAdopted
from libs.contracts.wire import Recorded
from libs.contracts.words import Level
from libs.contracts.workflow import Policy


@dataclass(frozen=True)
class Ladder:
    """`sequence` is the last fact folded: what a disposition says it relied on."""

    workflow: str = ""
    policy_digest: str | None = None
    policies: Mapping[str, Policy] = field(default_factory=dict)
    earned: Level = Level.ASSISTED
    granted: Level = Level.ASSISTED
    freeze: FreezeSet | None = None
    is_unread: bool = False
    sequence: int = 0

    @property
    def is_frozen(self) -> bool:
        return self.freeze is not None

    def in_force(self, configured: Level) -> Level:
        """The authority a run has: the least of what is configured, granted and readable."""
        if self.is_unread:
            return Level.ASSISTED
        return min(configured, self.granted, self.earned, key=lambda level: level.rank)


def evolve(ladder: Ladder, recorded: Recorded) -> Ladder:
    """Fold one fact; one that says nothing about levels only moves the sequence."""
    moved = replace(ladder, sequence=recorded.sequence)
    match recorded.fact:
        case PolicyAdopted() as fact:
            policies = {**ladder.policies, fact.policy_digest: fact.policy}
            return replace(moved, workflow=fact.workflow, policy_digest=fact.policy_digest, policies=policies)
        case LevelEarned() as fact:
            return replace(moved, earned=fact.level)
        case LevelGranted() | LevelLowered() as fact:
            return replace(moved, granted=fact.level)
        case FreezeSet() | FreezeLifted() as fact:
            return replace(moved, freeze=fact if isinstance(fact, FreezeSet) else None)
        case _:
            return moved


def fold(facts: Iterable[Recorded], *, is_unread: bool = False) -> Ladder:
    ladder = Ladder(is_unread=is_unread)
    for recorded in facts:
        ladder = evolve(ladder, recorded)
    return ladder
