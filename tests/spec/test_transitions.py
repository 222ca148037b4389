"""The table of stages: every event in it exists, every stage is reached, and the rest does not fit."""

from collections.abc import Iterable
from typing import Any

import pytest

from libs.contracts.facts import FACTS, ChangeRefused, DecisionRecorded, Fact, GateJudged, IssueFact, RunFact, TimerDue
from libs.contracts.words import DecisionKind, Disposition
from services.gatekeeper.transitions import SETTLED, SILENT, TRANSITIONS, Stage, diagram, event_of, next_stage
from tests.contracts.examples import EXAMPLES

TIMERS = (
    *("deadline-test-1", "retry-test-1", "reminder-test-1-1", "checkpoint-test-1-1"),
    *("merge-1", "landing-1", "watch", "rollback-1", "recovery"),
)


def variants(fact: Fact) -> Iterable[Fact]:
    """The fact with every value that its event depends on."""

    def each(field: str, values: Iterable[Any]) -> list[Fact]:
        return [fact.model_copy(update={field: value}) for value in values]

    match fact:
        case GateJudged():
            return each("disposition", Disposition)
        case DecisionRecorded():
            return [*each("kind", DecisionKind), fact.model_copy(update={"awaits": 1})]
        case TimerDue():
            return each("timer", TIMERS)
        case ChangeRefused():
            return each("code", ("moved", "dirty", "held"))
        case _:
            return [fact]


EVENTS = {
    event_of(variant)
    for example in EXAMPLES
    if isinstance(example, RunFact | IssueFact)
    for variant in variants(example)
}
MOVING = {event for moves in TRANSITIONS.values() for event in moves}
NEVER = {"issue.closed", "decision.recorded:grant"}
"""Events that neither move a run nor are expected in one."""


def test_every_event_of_a_run_moves_it_somewhere_or_is_silent_or_is_listed_as_neither() -> None:
    assert EVENTS == MOVING | SILENT | NEVER


def test_an_event_that_moves_a_run_is_not_silent() -> None:
    assert not MOVING & SILENT


def test_every_stage_stands_in_the_table_once() -> None:
    assert list(TRANSITIONS) == list(Stage)


def test_every_stage_is_reached_from_the_first() -> None:
    reached, frontier = {Stage.UNKNOWN}, [Stage.UNKNOWN]
    while frontier:
        found = set(TRANSITIONS[frontier.pop()].values()) - reached
        reached |= found
        frontier += sorted(found)
    assert reached == set(Stage)


def test_every_stage_leads_to_an_end() -> None:
    ends = set(SETTLED)
    while more := {stage for stage, moves in TRANSITIONS.items() if set(moves.values()) & ends} - ends:
        ends |= more
    assert ends == set(Stage)


def test_an_ended_run_stays_as_it_is_and_an_aborted_one_moves_only_by_a_human() -> None:
    assert TRANSITIONS[Stage.ENDED] == {}
    assert all(event.startswith("decision.recorded:") for event in TRANSITIONS[Stage.ABORTED])


def test_a_merge_is_authorised_only_after_approval() -> None:
    leads = {stage for stage, moves in TRANSITIONS.items() if "merge.authorised" in moves}
    assert leads == {Stage.APPROVED, Stage.STOPPING}
    approving = {event for moves in TRANSITIONS.values() for event, to in moves.items() if to is Stage.APPROVED}
    assert approving == {"decision.recorded:approve", "decision.recorded:override", "timer.due:merge"}


def test_a_checkpoint_s_timeout_never_approves() -> None:
    assert {moves.get("timer.due:checkpoint") for moves in TRANSITIONS.values()} == {None, Stage.EXPIRED}
    assert set(TRANSITIONS[Stage.EXPIRED].values()) == {Stage.ABORTED, Stage.WAITING}


@pytest.mark.parametrize("stage", Stage)
def test_a_silent_event_moves_nothing_and_an_event_out_of_place_does_not_fit(stage: Stage) -> None:
    assert {next_stage(stage, event) for event in SILENT} == {stage}
    misplaced = EVENTS - SILENT - set(TRANSITIONS[stage])
    assert {next_stage(stage, event) for event in misplaced} <= {None}


def test_the_event_of_each_fact_type_is_its_type_or_begins_with_it() -> None:
    assert all(event.partition(":")[0] in {fact.type for fact in FACTS} for event in EVENTS)


def test_the_diagram_shows_every_move_once() -> None:
    lines = diagram().splitlines()
    shown = {
        (source.strip(), event.replace(" ", ":"), target)
        for line in lines[2:]
        if "[*]" not in line
        for source, _, tail in [line.partition(" --> ")]
        for target, _, events in [tail.partition(": ")]
        for event in events.split(", ")
    }
    assert shown == {(stage, event, to) for stage, moves in TRANSITIONS.items() for event, to in moves.items()}
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> unknown"]
    assert "    ended --> [*]" in lines
