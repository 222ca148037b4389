"""A run as a story: all that concerns it, in order, in words that a stranger understands."""

import pytest

from libs.cli.chronicle import WORDS, sentence, story, who
from libs.contracts import facts as f
from libs.contracts.facts import FACTS, Fact, speaker_of
from libs.contracts.history import Unread
from libs.contracts.wire import Recorded, Unreadable
from libs.contracts.words import DecisionKind, Level, Phase
from tests.contracts.examples import EXAMPLES
from tests.spec import story as told
from tests.support.sound_log import Ledger, healed_and_merged


def recorded(fact: Fact) -> Recorded:
    return Recorded(fact=fact, id="i", cause="c", producer=speaker_of(fact), sequence=7, time=1.0)


def types(ledger: Ledger) -> list[str]:
    return [one.fact.type for one in story(ledger.recorded, told.RUN) if isinstance(one, Recorded)]


def test_a_whole_run_is_told_with_its_issue_and_policy() -> None:
    ledger = healed_and_merged()
    assert story(ledger.recorded, told.RUN) == ledger.recorded


def test_labels_and_what_the_run_cost_the_level_are_told_however_late() -> None:
    ledger = healed_and_merged()
    ledger.add(f.FreezeSet(workflow=told.WORKFLOW, by="ann", reason="holidays"), "r-1")
    ledger.add(
        f.LabelStated(
            workflow=told.WORKFLOW,
            run=told.RUN,
            phase=Phase.TEST,
            is_right=False,
            source="human",
            by="ann",
            reason="it hurt",
        ),
        "r-2",
    )
    lowered = f.LevelLowered(workflow=told.WORKFLOW, level=Level.ASSISTED, by="rung", reason="x", cause="rollback")
    ledger.add(lowered.model_copy(update={"run": told.RUN}), "r-3")
    assert types(ledger)[-2:] == ["label.stated", "level.lowered"]
    label = next(one for one in ledger.recorded if isinstance(one.fact, f.LabelStated))
    assert sentence(label) == "The test verdict was labelled: wrong, says human: it hurt."
    assert who(label) == "ann"


def test_moves_of_its_own_workflow_s_level_while_it_ran_are_told_and_no_other_s() -> None:
    ledger = Ledger()
    ledger.add(f.LevelEarned(workflow=told.WORKFLOW, level=Level.SUPERVISED, reason="before"), "r-0")
    ledger.opens()
    for workflow in (told.WORKFLOW, "other"):
        ledger.add(f.FreezeSet(workflow=workflow, by="ann", reason=workflow), f"r-{workflow}")
    ledger.works()
    facts = [one.fact for one in story(ledger.recorded, told.RUN) if isinstance(one, Recorded)]
    assert [fact.workflow for fact in facts if isinstance(fact, f.FreezeSet)] == [told.WORKFLOW]
    assert not any(isinstance(fact, f.LevelEarned) for fact in facts)


def test_what_cannot_be_read_is_not_passed_over() -> None:
    ledger = Ledger()
    ledger.opens()
    unread = Unread(f"run.{told.RUN}.sun.rose", 99, Unreadable("no fact"))
    other = Unread("run.other.sun.rose", 98, Unreadable("no fact"))
    assert story([*ledger.recorded, unread, other], told.RUN)[-1] is unread


@pytest.mark.parametrize("fact", EXAMPLES, ids=lambda fact: f"{fact.stream}.{fact.type}")
def test_every_fact_is_told_in_one_sentence(fact: Fact) -> None:
    said = sentence(recorded(fact))
    assert said.endswith(".")
    assert "\n" not in said
    assert "{" not in said.partition(":")[0]


def test_every_fact_about_a_run_has_words_of_its_own() -> None:
    spoken = {fact for fact in FACTS if not issubclass(fact, f.ServiceFact)}
    assert spoken - set(WORDS) <= {f.GateCalibrated, f.HistoryImported}


def test_who_decided_is_the_person_and_who_worked_the_service() -> None:
    assert who(recorded(told.decided(DecisionKind.APPROVE, Phase.PLAN))) == "ann"
    assert who(recorded(told.completed(Phase.BUILD))) == "builder"
