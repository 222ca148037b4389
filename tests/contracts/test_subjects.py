"""Subjects: patterns cover just their facts, and no two services may publish on the same one."""

from itertools import combinations

import pytest

from libs.contracts.facts import FACTS, Fact, PhaseFact, speaker_of
from libs.contracts.history import matches
from libs.contracts.requests import issue_id, run_id, workflow_id
from libs.contracts.subjects import ladder_filter, pattern, run_filter, slot_filter, spoken_by
from libs.contracts.words import Phase, Service
from tests.contracts.examples import EXAMPLES, ISSUE, RUN, WORKFLOW


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_fact_s_subject_matches_its_own_pattern_and_no_other(example: Fact) -> None:
    matching = {fact for fact in FACTS if matches(pattern(fact), example.subject)}
    assert matching == {type(example)}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_fact_may_be_published_by_its_speaker_alone(example: Fact) -> None:
    allowed = {
        service for service in Service if any(matches(subjects, example.subject) for subjects in spoken_by(service))
    }
    assert allowed == {speaker_of(example)}


def test_no_two_services_share_a_subject() -> None:
    for one, other in combinations(Service, 2):
        assert not set(spoken_by(one)) & set(spoken_by(other))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_filters_hold_all_facts_of_one_aggregate_and_none_of_another(example: Fact) -> None:
    filters = {"run": run_filter(RUN), "workflow": ladder_filter(WORKFLOW)}
    found = {stream for stream, subjects in filters.items() if matches(subjects, example.subject)}
    assert found == ({example.stream} if example.stream in filters else set())
    assert not matches(run_filter("other"), example.subject)


def test_a_slot_holds_the_request_and_every_answer_to_one_attempt() -> None:
    about = [example for example in EXAMPLES if isinstance(example, PhaseFact) and example.type.startswith("phase.")]
    for fact in about:
        assert matches(slot_filter(fact), fact.subject)
        other = fact.model_copy(update={"attempt": fact.attempt + 1})
        assert not matches(slot_filter(fact), other.subject)


def test_a_phase_s_pattern_is_narrower_than_the_type_s() -> None:
    claimed = next(fact for fact in FACTS if fact.type == "phase.claimed")
    assert pattern(claimed, phase=Phase.BUILD) == "run.*.phase.claimed.build.*"
    assert pattern(claimed, aggregate="r") == "run.r.phase.claimed.*.*"


@pytest.mark.parametrize(
    ("wanted", "subject", "is_match"),
    [
        ("run.*.a.b", "run.r.a.b", True),
        ("run.*.a.b", "run.r.a.b.c", False),
        ("run.>", "run.r", True),
        ("run.r.>", "run.r", False),
        (">", "anything.at.all", True),
        ("run.r.>", "run.rr.a", False),
    ],
)
def test_wildcards_mean_what_the_bus_means_by_them(wanted: str, subject: str, is_match: bool) -> None:
    assert matches(wanted, subject) is is_match


def test_derived_names_fit_into_a_subject_and_differ_by_every_part() -> None:
    issues = {issue_id(*parts) for parts in [("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd"), ("a", "bc", "d")]}
    runs = {run_id(ISSUE, revision) for revision in (1, 2, 11)}
    assert (len(issues), len(runs)) == (3, 3)
    assert all(name.replace("-", "").isalnum() for name in {*issues, *runs, workflow_id("/srv/läden")})
