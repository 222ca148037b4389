"""The standing of a workflow: what is shown of labels, gates, audits and shadows, the same to the byte."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.ladder import GRANTED, Ladder
from libs.contracts.readiness import AuditStanding, Readiness
from libs.contracts.words import Level, Phase
from services.gatekeeper.readiness.scorecard import Result, Scorecard, Shadowed
from services.gatekeeper.readiness.standing import readiness
from tests.spec.decider import given as log_of
from tests.spec.readiness_cards import card, failed, fell, ladder, many, record, said, shuffled, unlabelled, wrong
from tests.spec.story import POLICY, REPOSITORY, WORKFLOW, adopted, granted

L1, L2, L3, L4 = Level


def told(cards: list[Scorecard], on: Ladder | None = None) -> Readiness:
    return readiness(on or ladder(), cards, None)


def words(*tokens: str) -> str:
    return " ".join(tokens)


def test_of_a_workflow_that_nobody_knows_there_is_an_answer_too() -> None:
    found = readiness(Ladder(), [], None)
    assert {found.level.configured, found.level.earned, found.level.granted, found.level.in_force} == {L1}
    assert (found.as_of, found.trend, found.gates, found.moves) == (0, (), (), ())
    assert not any(rung.met for rung in found.rungs)


def test_the_levels_are_those_of_the_ladder_and_the_least_of_them_is_in_force() -> None:
    policy = POLICY.model_copy(update={"autonomy": L3})
    on = ladder(L2, policy)
    assert readiness(on, [], None).level.model_dump() == {
        "configured": L3,
        "earned": L2,
        "granted": L2,
        "in_force": L2,
    }
    assert readiness(on, [], L1).level.in_force is L1


def test_a_ladder_folded_from_facts_is_told_with_its_moves() -> None:
    on = log_of(adopted(), *granted(L2)).ladder
    found = json.loads(readiness(on, many(3), None).model_dump_json())
    assert (found["workflow"], found["repository"], found["as_of"]) == (WORKFLOW, REPOSITORY, 39)
    assert found["moves"] == [
        {
            "from": "assisted",
            "to": "supervised",
            "at": on.moves[0].at,
            "why": "proven",
            "by": "operator",
            "cause": GRANTED,
            "run": None,
            "with_proof": False,
        }
    ]
    assert [(rung["from"], rung["to"]) for rung in found["rungs"]] == [
        ("assisted", "supervised"),
        ("supervised", "autonomous"),
        ("autonomous", "ase"),
    ]


def test_as_of_is_the_last_fact_that_anybody_knows_of() -> None:
    assert told(many(3)).as_of == 39
    assert told(many(3), ladder(sequence=50)).as_of == 50


def test_the_answer_is_read_back_as_it_was_written() -> None:
    on = ladder(L3, moves=(fell(L4, L3, "rollback"),))
    found = told([*record(5, 2), failed(9, drawn="fail", level=L3, verdicts="test:fail::")], on)
    assert Readiness.model_validate_json(found.model_dump_json()) == found


# -- labels, gates, classes, agents ----------------------------------------------


PLAN_OF_A_PERSON = said(Phase.PLAN, True, True, "human")
TEST_SURVIVED = said(Phase.TEST, True, True, "survived")
TEST_REVERTED = said(Phase.TEST, True, False, "reverted")
TEST_STOPPED_WELL = said(Phase.TEST, False, True, "audit")
TEST_STOPPED_BADLY = said(Phase.TEST, False, False, "audit")
REVIEW_UNKNOWN = said(Phase.REVIEW, True)

LABELLED = [
    card(1, right=2, wrong=0, verdicts=words(PLAN_OF_A_PERSON, TEST_SURVIVED, REVIEW_UNKNOWN)),
    card(2, right=1, wrong=1, verdicts=words(PLAN_OF_A_PERSON, TEST_REVERTED), hasty=2, issue_type="docs"),
    failed(3, right=1, verdicts=TEST_STOPPED_WELL, agent="claude"),
    failed(4, wrong=1, verdicts=TEST_STOPPED_BADLY, hasty=1, agent="claude"),
    unlabelled(5, verdicts=words(said(Phase.PLAN, True), said(Phase.TEST, False)), issue_type="docs"),
    unlabelled(6, verdicts=said(Phase.PLAN, True), result=Result.OPEN, ended=0),
]


def test_every_verdict_is_counted_once_under_what_was_learnt_and_from_whom() -> None:
    assert told(LABELLED).labels.model_dump() == {
        "right": 4,
        "wrong": 2,
        "unlabelled": 3,
        "false_pass": 1,
        "false_fail": 1,
        "survived_only": 1,
        "audited_right": 1,
        "audited_wrong": 1,
        "reverted": 1,
        "hasty": 3,
    }


def test_runs_that_say_the_same_are_counted_each() -> None:
    found = told([*many(3, verdicts=words(PLAN_OF_A_PERSON, TEST_SURVIVED)), card(9, verdicts=TEST_SURVIVED)])
    assert (found.labels.right, found.labels.survived_only) == (7, 4)


def test_every_gate_shows_its_passes_and_fails_apart() -> None:
    plan, tests, review = told(LABELLED).gates
    assert (plan.phase, tests.phase, review.phase) == (Phase.PLAN, Phase.TEST, Phase.REVIEW)
    assert tests.passes.model_dump() == {"right": 1, "wrong": 1, "unlabelled": 0}
    assert tests.fails.model_dump() == {"right": 1, "wrong": 1, "unlabelled": 1}
    assert (tests.false_pass, tests.false_fail, tests.accuracy) == (1, 1, 0.5)
    assert 0 < tests.bound < 0.5
    assert (plan.accuracy, review.accuracy, review.bound) == (1.0, None, 0.0)


def test_classes_and_agents_have_the_mean_score_of_their_labelled_runs() -> None:
    found = told(LABELLED)
    assert [(one.issue_type, one.runs, one.labelled, one.accuracy) for one in found.classes] == [
        ("bug", 3, 3, 0.666667),
        ("docs", 2, 1, 0.5),
    ]
    assert [(one.agent, one.runs, one.labelled, one.accuracy) for one in found.agents] == [
        ("claude", 2, 2, 0.5),
        ("repair", 3, 2, 0.75),
    ]


def test_the_newest_ended_runs_of_which_something_is_unknown_are_named_with_their_gates() -> None:
    assert [(one.run, one.gates) for one in told(LABELLED).unlabelled] == [
        ("run-000005", (Phase.PLAN, Phase.TEST)),
        ("run-000001", (Phase.REVIEW,)),
    ]
    crowd = [unlabelled(n, verdicts=said(Phase.PLAN, True)) for n in range(1, 60)]
    assert [one.run for one in told(crowd).unlabelled] == [f"run-{n:06d}" for n in range(59, 39, -1)]


def test_the_trend_has_at_most_forty_values_the_oldest_first() -> None:
    assert told(record(10, 5)).trend == (0.0, 1.0, 1.0)
    assert told([*record(3, 0), unlabelled(9)]).trend == (1.0,)
    long = told(record(997, 3)).trend
    assert len(long) == 40
    assert long[0] == 0.88
    assert set(long[1:]) == {1.0}


# -- audits -----------------------------------------------------------------------


def audited(is_right: bool) -> str:
    return said(Phase.TEST, True, is_right, "audit")


def ase(count: int, first: int, **stated: Any) -> list[Scorecard]:
    return many(count, first, level=L4, **{"verdicts": TEST_SURVIVED, **stated})


def passes(cards: list[Scorecard]) -> AuditStanding:
    return told(cards, ladder(L4)).audit_only.passes


def test_checks_scale_what_they_found_up_to_the_runs_that_nobody_checked() -> None:
    right, bad = ase(9, 1, drawn="pass", verdicts=audited(True)), ase(1, 10, drawn="pass", verdicts=audited(False))
    reverted = ase(2, 11, is_reverted=True, verdicts=TEST_REVERTED)
    found = passes([*right, *bad, *reverted, *ase(88, 13)])
    assert (found.n, found.drawn, found.right, found.wrong, found.reverted) == (100, 10, 9, 1, 2)
    assert found.estimate == pytest.approx(1 - (2 + 1 / 0.1) / 100)
    assert 0 < found.bound < 0.9


def test_checks_that_nobody_answered_make_those_that_were_answered_weigh_more() -> None:
    answered = [*ase(4, 1, drawn="pass", verdicts=audited(True)), *ase(1, 5, drawn="pass", verdicts=audited(False))]
    found = passes([*answered, *ase(5, 6, drawn="pass"), *ase(90, 11)])
    assert found.estimate == pytest.approx(1 - 1 / (0.1 * 5 / 10) / 100)
    assert passes(ase(5, 1, drawn="pass")).estimate is None


def test_a_drawn_run_that_was_reverted_weighs_against_the_bound_without_a_check() -> None:
    right = ase(50, 1, drawn="pass", verdicts=audited(True))
    reverted = ase(2, 60, drawn="pass", is_reverted=True, verdicts=TEST_REVERTED)
    assert passes([*right, *reverted]).bound < passes(right).bound


def test_passes_and_fails_are_never_mixed_and_levels_with_people_are_no_part_of_either() -> None:
    stopped = [failed(n, level=L3, drawn="fail", verdicts=TEST_STOPPED_BADLY) for n in (1, 2)]
    found = told([*stopped, *ase(3, 3), *many(4, 10, verdicts=audited(True))], ladder(L4)).audit_only
    assert (found.fails.n, found.fails.wrong, found.fails.right) == (2, 2, 0)
    assert (found.passes.n, found.passes.drawn) == (3, 0)
    assert found.fails.estimate == 0.0


def test_checks_that_wait_are_named_newest_first_until_they_are_answered_or_needless() -> None:
    cards = [
        *ase(1, 1, drawn="pass"),
        failed(2, level=L3, drawn="fail", verdicts=said(Phase.TEST, False)),
        *ase(1, 3, drawn="pass", verdicts=audited(True)),
        *ase(1, 4, drawn="pass", is_reverted=True),
        *many(1, 5, drawn="pass"),
        *ase(1, 6),
    ]
    assert [(one.run, one.kind) for one in told(cards).audits] == [("run-000002", "fail"), ("run-000001", "pass")]


# -- shadows ----------------------------------------------------------------------


def shadow(would: str, decision: str) -> str:
    return Shadowed(Phase.PLAN, 1, would, decision).token


@pytest.mark.parametrize(
    ("would", "decision", "counted"),
    [
        ("proceed", "approve", "agreed"),
        ("warn", "override", "agreed"),
        ("proceed", "reject", "differed"),
        ("warn", "retry", "differed"),
        ("abort", "reject", "agreed"),
        ("abort", "approve", "differed"),
        ("heal", "retry", "agreed"),
        ("heal", "guide", "agreed"),
        ("heal", "approve", "differed"),
        ("checkpoint", "approve", "asked"),
        ("checkpoint", "reject", "asked"),
        ("proceed", "hold", None),
        ("abort", "cancel", None),
    ],
)
def test_a_decision_agrees_with_the_shadow_or_not_or_says_nothing(
    would: str, decision: str, counted: str | None
) -> None:
    found = told([card(1, shadows=shadow(would, decision))]).shadow
    counts = {"agreed": found.agreed, "differed": found.differed, "asked": found.asked}
    assert {name for name, count in counts.items() if count} == ({counted} if counted else set())
    assert len(found.differences) == found.differed


def test_the_newest_differences_are_named_with_what_the_next_level_would_have_done() -> None:
    cards = [card(n, shadows=words(shadow("proceed", "approve"), shadow("abort", "override"))) for n in range(1, 31)]
    found = told(cards, ladder(L2, POLICY.model_copy(update={"autonomy": L4}))).shadow
    assert (found.next, found.agreed, found.differed, len(found.differences)) == (L3, 30, 30, 20)
    newest = found.differences[0]
    assert (newest.run, newest.phase, newest.attempt) == ("run-000030", Phase.PLAN, 1)
    assert (newest.shadow, newest.decision) == ("abort", "override")


def test_above_the_highest_level_there_is_no_shadow() -> None:
    assert readiness(ladder(L4), [], L4).shadow.next is None


# -- the same to the byte -----------------------------------------------------------


TOKENS = [PLAN_OF_A_PERSON, TEST_SURVIVED, TEST_REVERTED, TEST_STOPPED_WELL, REVIEW_UNKNOWN]
any_cards = st.lists(
    st.builds(
        card,
        st.integers(1, 300),
        right=st.integers(0, 5),
        wrong=st.integers(0, 3),
        ended=st.sampled_from([0, 40, 400, 4000]),
        merged=st.sampled_from([0, 30, 300]),
        level=st.sampled_from([*Level, None]),
        result=st.sampled_from(Result),
        issue_type=st.sampled_from(["bug", "docs"]),
        agent=st.sampled_from(["repair", "claude"]),
        drawn=st.sampled_from(["", "pass", "fail"]),
        is_reverted=st.booleans(),
        is_bad=st.booleans(),
        is_caught=st.booleans(),
        verdicts=st.lists(st.sampled_from(TOKENS), max_size=4).map(" ".join),
        shadows=st.sampled_from(["", shadow("abort", "approve"), shadow("proceed", "approve")]),
    ),
    max_size=30,
    unique_by=lambda one: one.run,
)


@settings(max_examples=40, deadline=None)
@given(any_cards, st.sampled_from(Level), st.randoms(use_true_random=False))
def test_the_same_log_gives_the_same_bytes_in_whatever_order_its_runs_come(
    cards: list[Scorecard], level: Level, chance: Any
) -> None:
    again = shuffled(cards, [chance.random() for _ in cards])
    assert told(again, ladder(level)).model_dump_json() == told(cards, ladder(level)).model_dump_json()


@settings(max_examples=40, deadline=None)
@given(any_cards)
def test_what_is_counted_adds_up(cards: list[Scorecard]) -> None:
    found = told(cards)
    gates = found.gates
    assert found.labels.right == sum(gate.passes.right + gate.fails.right for gate in gates)
    assert found.labels.wrong == sum(gate.false_pass + gate.false_fail for gate in gates)
    assert found.labels.unlabelled == sum(gate.passes.unlabelled + gate.fails.unlabelled for gate in gates)
    assert (
        sum(one.runs for one in found.classes)
        == sum(one.runs for one in found.agents)
        == sum(one.ended > 0 for one in cards)
    )
    assert all(0 <= value <= 1 for value in found.trend)


def test_every_number_can_be_written_down_also_where_every_run_was_wrong() -> None:
    text = told([wrong(n, level=L3) for n in range(1, 1001)], ladder(L4)).model_dump_json()
    assert "NaN" not in text
    assert "Infinity" not in text
