"""What the merger owes on an authorisation or an order to roll back: one answer, and no landing that is stopped."""

import pytest

from libs.contracts.facts import (
    ChangeReverted,
    Fact,
    FreezeLifted,
    FreezeSet,
    LevelLowered,
    MergeAuthorised,
    RollbackOrdered,
    RunFinished,
)
from libs.contracts.history import History, Unread
from libs.contracts.wire import Unreadable
from libs.contracts.words import DecisionKind, Level, Phase, RunOutcome
from services.merger.decider import owed_landing, owed_rollback, stop
from tests.spec.decider import record
from tests.spec.story import BASE, INTEGRATION, RUN, TREE, WORKFLOW, decided, granted, merged, refused, started

AUTHORISED = MergeAuthorised(
    run=RUN,
    attempt=1,
    base=BASE,
    commit=INTEGRATION,
    tree=TREE,
    branch="main",
    by="ann",
    decision="d1",
    level_in_force=Level.ASSISTED,
    ladder_sequence=0,
)
FROZEN = FreezeSet(workflow=WORKFLOW, by="ann", reason="release week")
LIFTED = FreezeLifted(workflow=WORKFLOW, by="ann", reason="released")
HELD = decided(DecisionKind.HOLD, Phase.DEPLOY)
RELEASED = decided(DecisionKind.RELEASE, Phase.DEPLOY, decision="d2")
CANCELLED = RunFinished(run=RUN, outcome=RunOutcome.CANCELLED, reason="enough")


def history(*facts: Fact) -> History:
    return History(record(facts))


def test_an_authorisation_without_an_answer_is_owed_a_landing() -> None:
    owed = owed_landing(history(started(), AUTHORISED))
    assert owed is not None
    assert (owed.authorised, owed.is_held) == (AUTHORISED, False)


@pytest.mark.parametrize("answer", [merged(), refused("dirty"), refused("moved"), CANCELLED])
def test_an_answered_authorisation_is_owed_nothing(answer: Fact) -> None:
    assert owed_landing(history(started(), AUTHORISED, answer)) is None


def test_without_an_authorisation_nothing_lands() -> None:
    assert owed_landing(history()) is None
    assert owed_landing(history(started())) is None


def test_a_new_authorisation_after_a_refusal_is_owed_a_landing_again() -> None:
    assert owed_landing(history(started(), AUTHORISED, refused("dirty"), AUTHORISED)) is not None


BY_LEVEL = AUTHORISED.model_copy(update={"decision": None, "by": "level ase", "level_in_force": Level.ASE})
LOWERED = LevelLowered(workflow=WORKFLOW, level=Level.AUTONOMOUS, by="machine", reason="drift")


@pytest.mark.parametrize(
    ("authorised", "configured", "ladder", "code"),
    [
        (BY_LEVEL, Level.ASE, granted(Level.ASE), None),
        (BY_LEVEL, Level.ASE, (*granted(Level.ASE), LOWERED), "lowered"),
        (BY_LEVEL, Level.ASE, (), "lowered"),
        (BY_LEVEL, Level.AUTONOMOUS, granted(Level.ASE), "lowered"),
        (AUTHORISED, Level.ASE, (*granted(Level.ASE), LOWERED), None),
    ],
)
def test_a_merge_on_the_level_s_authority_stops_when_the_level_is_lost_and_a_human_s_does_not(
    authorised: MergeAuthorised, configured: Level, ladder: tuple[Fact, ...], code: str | None
) -> None:
    owed = owed_landing(history(started(level=configured), authorised))
    assert owed is not None
    stopped = stop(owed, history(*ladder))
    assert (stopped.code if stopped else None) == code


def test_a_run_with_a_fact_that_cannot_be_read_is_not_landed() -> None:
    unread = (Unread(f"run.{RUN}.x", 9, Unreadable("newer")),)
    assert owed_landing(History(record((started(), AUTHORISED)), unread)) is None


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ((AUTHORISED,), None),
        ((AUTHORISED, HELD), "held"),
        ((HELD, AUTHORISED), "held"),
        ((AUTHORISED, HELD, RELEASED), None),
    ],
)
def test_a_hold_stops_the_landing_until_it_is_released(facts: tuple[Fact, ...], code: str | None) -> None:
    owed = owed_landing(history(started(), *facts))
    assert owed is not None
    stopped = stop(owed, History())
    assert (stopped.code if stopped else None) == code


@pytest.mark.parametrize(
    ("facts", "code"), [((FROZEN,), "frozen"), ((FROZEN, LIFTED), None), ((LIFTED, FROZEN), "frozen")]
)
def test_a_freeze_stops_every_landing_until_it_is_lifted(facts: tuple[Fact, ...], code: str | None) -> None:
    owed = owed_landing(history(started(), AUTHORISED))
    assert owed is not None
    stopped = stop(owed, history(*facts))
    assert (stopped.code if stopped else None) == code


def test_a_ladder_that_cannot_be_read_stops_the_landing() -> None:
    owed = owed_landing(history(started(), AUTHORISED))
    assert owed is not None
    stopped = stop(owed, History((), (Unread("workflow.w.x", 3, Unreadable("newer")),)))
    assert stopped is not None
    assert stopped.code == "frozen"


ORDERED = RollbackOrdered(run=RUN, reason="orders fail", by="rung")
AGAIN = ORDERED.model_copy(update={"decision": "r1", "by": "ann", "why": "business"})
REVERTED = ChangeReverted(run=RUN, tip="f" * 40, reverts=INTEGRATION, reason="orders fail")
MERGED = (started(), AUTHORISED, merged())


@pytest.mark.parametrize("later", [(), (HELD,), (CANCELLED,)])
def test_an_order_to_roll_back_is_owed_an_answer_though_the_run_is_held_or_over(later: tuple[Fact, ...]) -> None:
    owed = owed_rollback(history(*MERGED, *later, ORDERED))
    assert owed is not None
    assert (owed.ordered, owed.merged, owed.attempt) == (ORDERED, merged(), 1)
    assert owed_landing(history(*MERGED, *later, ORDERED)) is None


@pytest.mark.parametrize("answer", [REVERTED, refused("conflict")])
def test_an_answered_order_is_owed_nothing(answer: Fact) -> None:
    assert owed_rollback(history(*MERGED, ORDERED, answer)) is None


def test_the_last_order_after_a_refusal_is_answered() -> None:
    owed = owed_rollback(history(*MERGED, ORDERED, refused("dirty"), AGAIN))
    assert owed is not None
    assert owed.ordered == AGAIN


@pytest.mark.parametrize("facts", [(started(), AUTHORISED, ORDERED), (*MERGED, ORDERED, REVERTED, AGAIN), MERGED, ()])
def test_nothing_is_taken_back_that_is_not_merged_or_is_off_already(facts: tuple[Fact, ...]) -> None:
    assert owed_rollback(history(*facts)) is None


def test_a_run_that_cannot_be_read_is_not_rolled_back() -> None:
    unread = (Unread(f"run.{RUN}.x", 9, Unreadable("newer")),)
    assert owed_rollback(History(record((*MERGED, ORDERED)), unread)) is None
