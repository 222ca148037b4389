"""The ladder: what is configured, earned and granted, and that the least of them is in force."""

from itertools import product

import pytest

from libs.contracts.facts import (
    FreezeLifted,
    FreezeSet,
    HistoryImported,
    LabelStated,
    LadderFact,
    LevelEarned,
    LevelGranted,
    LevelLowered,
)
from libs.contracts.ladder import Ladder, evolve, fold
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import policy_digest
from tests.spec.decider import record
from tests.spec.story import POLICY, RUN, WORKFLOW, adopted


def ladder(*facts: LadderFact, is_unread: bool = False) -> Ladder:
    return fold(record(facts), is_unread=is_unread)


def earned(level: Level) -> LevelEarned:
    return LevelEarned(workflow=WORKFLOW, level=level, reason="r")


def granted(level: Level) -> LevelGranted:
    return LevelGranted(workflow=WORKFLOW, level=level, by="ann", reason="r")


def lowered(level: Level) -> LevelLowered:
    return LevelLowered(workflow=WORKFLOW, level=level, by="machine", reason="r")


FROZEN = FreezeSet(workflow=WORKFLOW, by="ann", reason="a fair")
LIFTED = FreezeLifted(workflow=WORKFLOW, by="ann", reason="over")


@pytest.mark.parametrize("configured", Level)
def test_a_ladder_that_has_earned_nothing_stands_at_the_bottom(configured: Level) -> None:
    assert ladder().in_force(configured) is Level.ASSISTED


@pytest.mark.parametrize(("configured", "given", "proven"), [*product(Level, Level, Level)])
def test_in_force_is_the_least_of_configured_granted_and_earned(configured: Level, given: Level, proven: Level) -> None:
    in_force = ladder(earned(proven), granted(given)).in_force(configured)
    assert in_force.rank == min(configured.rank, given.rank, proven.rank)


@pytest.mark.parametrize("configured", Level)
def test_a_grant_alone_raises_nothing(configured: Level) -> None:
    assert ladder(granted(Level.ASE)).in_force(configured) is Level.ASSISTED


def test_the_last_word_on_the_level_counts() -> None:
    facts = (earned(Level.ASE), granted(Level.ASE), lowered(Level.SUPERVISED))
    assert ladder(*facts).in_force(Level.ASE) is Level.SUPERVISED
    again = (earned(Level.AUTONOMOUS), granted(Level.AUTONOMOUS))
    assert ladder(*facts, granted(Level.AUTONOMOUS)).in_force(Level.ASE) is Level.SUPERVISED
    assert ladder(*facts, *again).in_force(Level.ASE) is Level.AUTONOMOUS


def test_a_ladder_with_a_fact_that_cannot_be_read_stands_at_the_bottom() -> None:
    facts = (earned(Level.ASE), granted(Level.ASE))
    assert ladder(*facts, is_unread=True).in_force(Level.ASE) is Level.ASSISTED


def test_a_freeze_holds_until_it_is_lifted() -> None:
    assert ladder(FROZEN).is_frozen
    assert not ladder(FROZEN, LIFTED).is_frozen
    assert ladder(FROZEN, LIFTED, FROZEN).is_frozen


def test_adopted_policies_are_kept_by_digest_and_the_last_is_in_force() -> None:
    other = POLICY.model_copy(update={"autonomy": Level.ASE})
    kept = ladder(adopted(), adopted(other))
    assert kept.policy_digest == policy_digest(other)
    assert kept.policies == {policy_digest(POLICY): POLICY, policy_digest(other): other}


@pytest.mark.parametrize(
    "fact",
    [
        LabelStated(workflow=WORKFLOW, run=RUN, phase=Phase.TEST, is_right=True, source="audit", by="a", reason="r"),
        HistoryImported(workflow=WORKFLOW, source="elsewhere", digest="0" * 64, by="ann"),
    ],
    ids=lambda fact: str(fact.type),
)
def test_labels_and_imported_history_grant_nothing_and_move_only_the_sequence(fact: LadderFact) -> None:
    before = ladder(earned(Level.ASE), granted(Level.SUPERVISED))
    (recorded,) = record([fact])
    after = evolve(before, recorded)
    assert (after.granted, after.earned, after.is_frozen, after.sequence) == (
        Level.SUPERVISED,
        Level.ASE,
        False,
        recorded.sequence,
    )
