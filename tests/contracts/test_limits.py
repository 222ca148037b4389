"""Gates of two policies beside each other: which are tighter, and by which name they are known."""

import datetime as dt
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.words import Level, Phase
from libs.contracts.workflow import (
    AllOf,
    AnyOf,
    CommandPolicy,
    Criterion,
    GatePolicy,
    GateSeverity,
    Policy,
    RoutePolicy,
    Rule,
    TeamPolicy,
    WaiverPolicy,
    default_policy,
)
from libs.contracts.workflow.limits import Tightness, compared, gates_digest

SAME, TIGHTER, LOOSER, INCOMPARABLE = Tightness
MIRRORED: Final = {SAME: SAME, TIGHTER: LOOSER, LOOSER: TIGHTER, INCOMPARABLE: INCOMPARABLE}
BASE: Final = default_policy()


def policy(*rules: Rule, phase: Phase = Phase.TEST, **more: Any) -> Policy:
    """The default policy, but for one gate."""
    asked: tuple[Rule, ...] = (Criterion(name="all_pass", limit=True), *rules)
    return BASE.model_copy(update={"gates": {**BASE.gates, phase: GatePolicy(criteria=asked, **more)}})


def at_least(limit: Any, name: str = "coverage_min", **more: Any) -> Criterion:
    return Criterion(name=name, limit=limit, **more)


def at_most(limit: Any, **more: Any) -> Criterion:
    return Criterion(name="max_files_changed", limit=limit, **more)


ASKED: Final = policy(at_least(80), at_most(20))
WARNS: Final = {"severity": GateSeverity.WARNING}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (ASKED, ASKED, SAME),
        (ASKED, policy(at_most(20), at_least(80)), SAME),
        (ASKED, policy(at_least(80, "coverage_minimum"), at_most(20)), SAME),
        (policy(at_least(80)), policy(at_least(80, warn_at=90)), SAME),
        (policy(at_least(80, is_dry_run=True)), policy(at_least(10, is_dry_run=True)), SAME),
        (policy(at_least(80, **WARNS)), policy(), SAME),
        (policy(at_least(80)), policy(at_least(80.0)), SAME),
        (policy(at_least(80)), policy(at_least(81)), TIGHTER),
        (policy(at_most(20)), policy(at_most(19)), TIGHTER),
        (policy(at_most(20)), policy(at_most(21)), LOOSER),
        (policy(), policy(at_least(1)), TIGHTER),
        (policy(at_least(1)), policy(), LOOSER),
        (policy(at_least(80)), policy(at_least(80, **WARNS)), LOOSER),
        (policy(at_least(80)), policy(at_least(80, is_dry_run=True)), LOOSER),
        (policy(at_least(80, is_dry_run=True)), policy(at_least(10)), TIGHTER),
        (ASKED, policy(at_least(90), at_most(30)), INCOMPARABLE),
        (policy(at_least(80)), policy(at_most(20)), INCOMPARABLE),
        (policy(at_least(80)), policy(at_least("base + 2", from_base=2.0)), INCOMPARABLE),
        (policy(at_least(80)), policy(at_least(80, min_sample=10)), INCOMPARABLE),
        (policy(at_least("base", from_base=0.0)), policy(at_least("base", from_base=0.0)), SAME),
        (policy(at_least("blue", "colour")), policy(at_least("green", "colour")), INCOMPARABLE),
        (policy(at_least(3, "colour")), policy(at_least(4, "colour")), INCOMPARABLE),
        (policy(at_least(3, "speed_min")), policy(at_least(4, "speed_min")), TIGHTER),
    ],
)
def test_gates_are_tighter_looser_or_incomparable_by_each_of_their_rules(
    before: Policy, after: Policy, said: Tightness
) -> None:
    assert compared(before, after) is said
    assert compared(after, before) is MIRRORED[said]


def test_of_two_rules_that_ask_the_same_thing_the_stricter_is_what_counts() -> None:
    both = policy(at_least(90), at_least(70))
    assert compared(both, policy(at_least(70))) is LOOSER
    assert compared(both, policy(at_least(70), at_least(90))) is SAME
    assert compared(both, policy(at_least(90))) is SAME
    assert compared(policy(at_least(90)), policy(at_least(90), at_least(95, "coverage_minimum"))) is TIGHTER


def test_rules_in_groups_are_compared_whole() -> None:
    either = AnyOf(any_of=(at_least(80), at_most(20)))
    assert compared(policy(either), policy(either)) is SAME
    assert compared(policy(either), policy()) is LOOSER
    assert compared(policy(), policy(either)) is TIGHTER
    assert compared(policy(either), policy(AnyOf(any_of=(at_least(90), at_most(20))))) is INCOMPARABLE
    assert compared(policy(either), policy(AllOf(all_of=either.any_of))) is INCOMPARABLE
    assert compared(policy(either), policy(AnyOf(any_of=either.any_of, is_dry_run=True))) is LOOSER


def test_a_gate_that_is_gone_is_looser_and_what_is_always_asked_stays() -> None:
    without = BASE.model_copy(update={"gates": {p: g for p, g in BASE.gates.items() if p is not Phase.REVIEW}})
    assert compared(BASE, without) is LOOSER
    assert compared(without, BASE) is TIGHTER
    floor_only = BASE.model_copy(update={"gates": {p: g for p, g in BASE.gates.items() if p is not Phase.PLAN}})
    assert compared(BASE, floor_only) is SAME


def test_one_test_more_that_is_known_to_be_flaky_is_looser() -> None:
    one, two, other = policy(flaky=("a",)), policy(flaky=("a", "b")), policy(flaky=("b",))
    assert compared(one, two) is LOOSER
    assert compared(two, one) is TIGHTER
    assert compared(one, other) is INCOMPARABLE


def test_a_tighter_rule_does_not_make_up_for_a_looser_one_of_another_phase() -> None:
    mixed = policy(at_least(80)).model_copy(
        update={"gates": {**BASE.gates, Phase.TEST: policy(at_least(80)).gates[Phase.TEST]}}
    )
    gates = {p: g for p, g in mixed.gates.items() if p is not Phase.REVIEW}
    assert compared(BASE, mixed.model_copy(update={"gates": gates})) is INCOMPARABLE


def of_team(strategy: str, *rules: Rule, on: Policy = ASKED) -> Policy:
    team = TeamPolicy(
        override_dir="teams/a", merge_strategy={"gates": strategy}, gates={Phase.TEST: GatePolicy(criteria=rules)}
    )
    return on.model_copy(update={"teams": {"a": team}})


def test_a_team_whose_gates_stand_in_place_of_everybody_s_loosens_what_it_no_longer_asks() -> None:
    weak = of_team("replace", at_least(10))
    assert compared(ASKED, weak) is LOOSER
    assert compared(weak, ASKED) is TIGHTER
    assert compared(of_team("replace", at_least(80)), of_team("replace", at_least(70))) is LOOSER


def test_a_team_whose_gates_come_on_top_asks_for_more() -> None:
    assert compared(ASKED, of_team("additive", Criterion(name="no_skipped_tests", limit=True))) is TIGHTER
    assert compared(ASKED, of_team("additive", at_least(10))) is SAME


def test_a_type_of_issue_that_no_longer_comes_to_a_gate_is_looser() -> None:
    def routed(*phases: Phase, issue_type: str = "bug") -> Policy:
        return BASE.model_copy(update={"routing": {**BASE.routing, issue_type: RoutePolicy(phases=phases)}})

    whole = BASE.routing["bug"].phases
    no_review = [phase for phase in whole if phase is not Phase.REVIEW]
    assert compared(routed(*whole), routed(*no_review)) is LOOSER
    assert compared(routed(*no_review), routed(*whole)) is TIGHTER
    assert compared(BASE, routed(*no_review, issue_type="chore")) is LOOSER, "it came to every gate before"
    assert compared(routed(*whole), routed(*whole, Phase.MONITOR)) is SAME, "nothing is asked there"


def test_what_is_no_gate_changes_nothing() -> None:
    update = {"autonomy": Level.ASE, "agent": "acp:other", "commands": CommandPolicy(test=("pytest -q",))}
    assert compared(BASE, BASE.model_copy(update=update)) is SAME


rules = st.lists(
    st.one_of(
        st.builds(at_least, st.integers(1, 3)),
        st.builds(at_least, st.integers(1, 3), name=st.just("coverage_minimum")),
        st.builds(at_most, st.integers(1, 3)),
        st.builds(at_least, st.integers(1, 2), is_dry_run=st.booleans()),
        st.builds(at_least, st.integers(1, 2), severity=st.sampled_from(GateSeverity)),
        st.just(AnyOf(any_of=(at_least(1), at_most(2)))),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(rules, rules)
def test_the_other_way_round_the_answer_is_mirrored(one: list[Rule], other: list[Rule]) -> None:
    before, after = policy(*one), policy(*other)
    assert compared(after, before) is MIRRORED[compared(before, after)]
    assert compared(before, before) is SAME


@settings(max_examples=150, deadline=None)
@given(rules, rules)
def test_one_rule_more_never_loosens(one: list[Rule], more: list[Rule]) -> None:
    assert compared(policy(*one), policy(*one, *more)) in (SAME, TIGHTER)


# -- the name of a set of gates ----------------------------------------------------


def test_the_same_gates_have_the_same_name_whatever_else_a_workflow_says() -> None:
    update = {"autonomy": Level.ASE, "agent": "acp:other", "protected": ("x",)}
    assert gates_digest(BASE) == gates_digest(BASE.model_copy(update=update)) == gates_digest(default_policy())
    assert len(gates_digest(BASE)) == 64


def test_every_change_of_rules_commands_or_exceptions_is_another_name() -> None:
    waiver = WaiverPolicy(fingerprint="f", reason="r", author="ann", expires=dt.date(2027, 1, 1))
    others = [
        BASE,
        policy(at_least(80)),
        policy(at_least(81)),
        policy(at_least(80, warn_at=90)),
        policy(at_least(80, **WARNS)),
        policy(at_least(80, is_dry_run=True)),
        policy(flaky=("a",)),
        BASE.model_copy(update={"commands": CommandPolicy(test=("pytest -q",))}),
        BASE.model_copy(update={"waivers": (waiver,)}),
    ]
    assert len({gates_digest(one) for one in others}) == len(others)
