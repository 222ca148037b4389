"""Facts as CDEvents: every event has the shape that the vocabulary asks for, and says what the fact says."""

import json
from collections import Counter

import pytest
from pydantic import ValidationError

from libs.cli.cdevents import VERSIONS, Translator
from libs.contracts import facts as f
from libs.contracts.facts import Fact, speaker_of
from libs.contracts.wire import Recorded
from libs.contracts.words import Outcome, Phase, RunOutcome
from tests.cli.cdevents_shapes import SHAPES, CDEvent, valid
from tests.contracts.examples import EXAMPLES
from tests.spec import story
from tests.support.sound_log import healed_and_merged


def recorded(fact: Fact) -> Recorded:
    return Recorded(fact=fact, id="i-1", cause="c-1", producer=speaker_of(fact), sequence=7, time=1_795_533_968.25)


def told(*facts: Fact) -> list[CDEvent]:
    """The events of some facts, as another tool reads them."""
    translator = Translator()
    events = [translator.translate(recorded(fact)) for fact in facts]
    return [valid(json.loads(json.dumps(event))) for event in events if event is not None]


def test_every_kind_that_is_spoken_has_a_shape_to_be_held_against() -> None:
    assert {f"dev.cdevents.{kind}.{version}" for kind, version in VERSIONS.items()} == set(SHAPES)


@pytest.mark.parametrize("fact", EXAMPLES, ids=lambda fact: f"{fact.stream}.{fact.type}")
def test_every_fact_becomes_a_valid_event_or_none(fact: Fact) -> None:
    translator = Translator()
    event = translator.translate(recorded(fact))
    if event is None:
        assert translator.left_out == 1
    else:
        whole = valid(event)
        assert whole.context.id == "i-1"
        assert whole.context.timestamp.timestamp() == 1_795_533_968.25
        assert whole.customData is not None
        assert (whole.customData["sequence"], whole.customData["cause"]) == (7, "c-1")


def test_a_whole_run_is_told_in_the_order_of_its_facts() -> None:
    translator = Translator()
    events = [translator.translate(one) for one in healed_and_merged().recorded]
    kinds = Counter(valid(event).context.type.split(".", 2)[2].rsplit(".", 3)[0] for event in events if event)
    assert kinds == {
        "ticket.created": 1,
        "pipelinerun.started": 1,
        "taskrun.started": 8,
        "taskrun.finished": 8,
        "testsuiterun.finished": 2,
        "change.reviewed": 1,
        "change.merged": 1,
        "pipelinerun.finished": 1,
    }
    assert {valid(event).context.chainId for event in events if event} == {story.RUN}
    assert translator.left_out == len(events) - sum(kinds.values())


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (RunOutcome.MERGED, "success"),
        (RunOutcome.DECLINED, "failure"),
        (RunOutcome.ABORTED, "failure"),
        (RunOutcome.CANCELLED, "cancel"),
    ],
)
def test_how_a_run_ended_is_said_in_the_vocabulary_s_words(outcome: RunOutcome, said: str) -> None:
    _, event = told(story.started(), f.RunFinished(run=story.RUN, outcome=outcome, reason="because"))
    assert event.subject.content["outcome"] == said
    assert event.subject.content["pipelineName"] == story.REPOSITORY
    assert event.subject.content.get("errors") == (None if said == "success" else "because")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.PASS, "success"),
        (Outcome.WARN, "success"),
        (Outcome.FAIL, "failure"),
        (Outcome.INCONCLUSIVE, "error"),
        (Outcome.NO_DATA, "error"),
        (Outcome.ERROR, "error"),
    ],
)
def test_a_test_gate_s_verdict_is_the_end_of_a_suite(outcome: Outcome, said: str) -> None:
    judged = story.judged(Phase.TEST)
    verdict = judged.verdict.model_copy(update={"outcome": outcome})
    (event,) = told(judged.model_copy(update={"verdict": verdict}))
    assert event.subject.content["outcome"] == said


def test_a_change_is_created_once_and_updated_after_that() -> None:
    proposed = next(fact for fact in EXAMPLES if isinstance(fact, f.ChangeProposed))
    first, second = told(proposed, proposed)
    assert ".change.created." in first.context.type
    assert ".change.updated." in second.context.type
    assert "description" not in second.subject.content


def test_a_revert_is_the_merge_of_a_change_of_its_own() -> None:
    merged, reverted = told(
        story.merged(), f.ChangeReverted(run=story.RUN, tip="9" * 40, reverts=story.INTEGRATION, reason="it hurt")
    )
    assert merged.context.type == reverted.context.type
    assert merged.subject.id != reverted.subject.id


def test_an_attempt_that_was_declined_or_errored_says_why() -> None:
    declined, errored = told(story.completed(Phase.BUILD, declined="no need"), story.errored(Phase.BUILD))
    assert (declined.subject.content["outcome"], declined.subject.content["errors"]) == ("failure", "no need")
    assert errored.subject.content["outcome"] == "error"
    assert errored.subject.content["pipelineRun"] == {"id": story.RUN}


def test_names_that_are_empty_are_said_to_be_missing() -> None:
    begun = story.started().model_copy(update={"repository": ""})
    example = next(fact for fact in EXAMPLES if isinstance(fact, f.ChangeProposed))
    proposed = example.model_copy(update={"run": begun.run, "title": "", "branch": ""})
    _, event = told(begun, proposed)
    assert event.subject.content == {"description": "unnamed", "repository": {"id": "unknown"}}


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("context", "chainId", None),
        ("context", "timestamp", 1_795_533_968),
        ("context", "timestamp", "2026-11-24T15:06:08"),
        ("context", "specversion", ""),
        ("context", "source", "/rung/a builder"),
        ("subject", "type", "pipelineRun"),
    ],
)
def test_the_shapes_refuse_what_the_schemas_refuse(part: str, field: str, value: object) -> None:
    event = Translator().translate(recorded(story.started()))
    assert event is not None
    valid(event)
    event[part][field] = value
    with pytest.raises(ValidationError):
        valid(event)
