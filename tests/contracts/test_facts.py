"""Facts: each has one speaker, one subject and one shape."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from libs.contracts.facts import (
    FACTS,
    PHASE_ANSWERS,
    PHASE_WORKERS,
    SPEAKERS,
    Fact,
    IssueFact,
    PhaseClaimed,
    PhaseFact,
    RunFact,
    RunFinished,
    speaker_of,
)
from libs.contracts.words import Phase, RunOutcome, Service
from tests.contracts.examples import EXAMPLES, RUN


def subclasses(fact: type[Fact]) -> Iterator[type[Fact]]:
    for child in fact.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_fact_class_is_listed_once_and_every_one_has_an_example() -> None:
    named = {fact for fact in subclasses(Fact) if "type" in vars(fact)}
    assert Counter(FACTS) == Counter(named)
    assert {type(example) for example in EXAMPLES} == named


def test_every_fact_class_has_just_one_speaker() -> None:
    spoken = Counter(fact for facts in SPEAKERS.values() for fact in facts)
    assert set(spoken.values()) == {1}
    assert not set(spoken) & set(PHASE_ANSWERS)
    assert set(spoken) | set(PHASE_ANSWERS) == set(FACTS)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.MONITOR])
def test_who_works_a_phase_answers_for_it(phase: Phase) -> None:
    claimed = PhaseClaimed(run=RUN, phase=phase, attempt=1, worker="w")
    assert speaker_of(claimed) is PHASE_WORKERS[phase]


def test_only_the_gatekeeper_decides() -> None:
    decisive = re.compile(
        r"gate\.|decision\.|checkpoint\.|merge\.|rollback\.|level\.|policy\.|run\.|timer\.|freeze\.|label\.|history\."
    )
    speakers = {speaker_of(example) for example in EXAMPLES if decisive.match(example.type)}
    assert speakers == {Service.GATEKEEPER}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_subject_names_aggregate_type_and_place_in_plain_tokens(example: Fact) -> None:
    tokens = example.subject.split(".")
    assert tokens[0] == example.stream
    assert tokens[1] == getattr(example, example.aggregate)
    assert ".".join(tokens).count(example.type.removeprefix("issue.")) == 1
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", token) for token in tokens)


def test_a_fact_about_an_attempt_stands_in_the_attempt_s_place() -> None:
    (claimed,) = [example for example in EXAMPLES if isinstance(example, PhaseClaimed)]
    assert claimed.subject == f"run.{RUN}.phase.claimed.build.1"


def test_types_are_noun_and_participle_and_unique_within_a_stream() -> None:
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+", fact.type) for fact in FACTS)
    assert set(Counter((fact.stream, fact.type) for fact in FACTS).values()) == {1}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_an_unknown_field_is_refused(example: Fact) -> None:
    with pytest.raises(ValidationError):
        type(example).model_validate({**example.model_dump(), "surprise": 1})


@pytest.mark.parametrize("name", ["", "a.b", "a*", ">", "a b", "ä", "x" * 65, "a\nb"])
def test_what_would_break_a_subject_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError):
        RunFinished(run=name, outcome=RunOutcome.MERGED, reason="r")


def test_a_fact_never_changes() -> None:
    with pytest.raises(ValidationError):
        EXAMPLES[0].issue = "other"  # type: ignore[attr-defined]


def test_every_phase_fact_is_a_run_s_and_attempts_count_from_one() -> None:
    assert all(issubclass(fact, RunFact) for fact in FACTS if issubclass(fact, PhaseFact))
    with pytest.raises(ValidationError):
        PhaseClaimed(run=RUN, phase=Phase.BUILD, attempt=0, worker="w")


def test_an_issue_s_fact_ends_with_its_revision() -> None:
    issues = [example for example in EXAMPLES if isinstance(example, IssueFact)]
    assert [issue.subject for issue in issues] == [
        f"issue.{'1' * 32}.{verb}.2" for verb in ("opened", "edited", "closed")
    ]
