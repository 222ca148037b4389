"""The table of who decides is the framework's; nothing but it differs between the levels."""

from itertools import pairwise, product

import pytest

from libs.contracts.verdict import Verdict
from libs.contracts.words import Disposition, Level, Outcome, Phase
from services.gatekeeper.dispositions import PROFILES, Rule, dispose

PUBLISHED = {
    Level.ASSISTED: dict.fromkeys(
        (Phase.PLAN, Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DOCUMENT, Phase.DEPLOY),
        "Human decides after each phase",
    ),
    Level.SUPERVISED: {
        Phase.PLAN: "Checkpoint: human approves",
        Phase.BUILD: "Continue (healing loops run autonomously)",
        Phase.TEST: "Checkpoint: human reviews failures",
        Phase.REVIEW: "Checkpoint: human reviews verdict",
        Phase.DOCUMENT: "Continue",
        Phase.DEPLOY: "Human merges PR",
    },
    Level.AUTONOMOUS: {
        Phase.PLAN: "Required: abort on failure",
        Phase.BUILD: "Required: abort on failure",
        Phase.TEST: "Optional: warn on failure, continue",
        Phase.REVIEW: "Required: abort on failure",
        Phase.DOCUMENT: "Required: abort on failure",
        Phase.DEPLOY: "Creates PR, human merges",
    },
    Level.ASE: {
        Phase.PLAN: "Required: abort on failure",
        Phase.BUILD: "Required: abort on failure",
        Phase.TEST: "Required: abort on failure",
        Phase.REVIEW: "Required: abort on failure",
        Phase.DOCUMENT: "Optional: warn on failure, continue",
        Phase.DEPLOY: "Auto-merge",
    },
}
"""The four disposition profiles of the framework, word for word."""

MEANS = {
    "Human decides": Rule.HUMAN,
    "Checkpoint": Rule.CHECKPOINT,
    "Continue": Rule.CONTINUE,
    "Required": Rule.REQUIRED,
    "Optional": Rule.OPTIONAL,
    "Human merges": Rule.HUMAN_MERGES,
    "Creates PR": Rule.PULL_REQUEST,
    "Auto-merge": Rule.AUTO_MERGE,
}

SILENCE = (Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.ERROR)


def disposed(level: Level, phase: Phase, outcome: Outcome, *, can_heal: bool = False) -> Disposition:
    return dispose(level, phase, Verdict(outcome=outcome), can_heal=can_heal).disposition


@pytest.mark.parametrize("level", Level)
def test_each_level_has_the_profile_that_the_framework_publishes(level: Level) -> None:
    rules = {
        phase: next(rule for start, rule in MEANS.items() if said.startswith(start))
        for phase, said in PUBLISHED[level].items()
    }
    assert {phase: PROFILES[phase][level] for phase in rules} == rules


def test_every_phase_with_a_gate_has_a_rule_for_every_level_and_intent_has_plan_s() -> None:
    assert set(PROFILES) == set(Phase) - {Phase.MONITOR}
    assert all(set(rules) == set(Level) for rules in PROFILES.values())
    assert PROFILES[Phase.INTENT] == PROFILES[Phase.PLAN]


@pytest.mark.parametrize(("phase", "outcome"), [*product(PROFILES, Outcome)])
def test_at_the_lowest_level_a_human_decides_whatever_the_verdict(phase: Phase, outcome: Outcome) -> None:
    for can_heal in (True, False):
        assert disposed(Level.ASSISTED, phase, outcome, can_heal=can_heal) is Disposition.CHECKPOINT


@pytest.mark.parametrize(("level", "phase", "outcome"), [*product(list(Level)[1:], PROFILES, Outcome)])
def test_only_a_fail_is_healed_and_only_while_it_can_be(level: Level, phase: Phase, outcome: Outcome) -> None:
    is_healed = disposed(level, phase, outcome, can_heal=True) is Disposition.HEAL
    assert is_healed is (outcome is Outcome.FAIL)
    assert disposed(level, phase, outcome, can_heal=False) is not Disposition.HEAL


@pytest.mark.parametrize(
    ("phase", "passed", "failed"),
    [
        (Phase.PLAN, Disposition.CHECKPOINT, Disposition.CHECKPOINT),
        (Phase.BUILD, Disposition.PROCEED, Disposition.CHECKPOINT),
        (Phase.TEST, Disposition.CHECKPOINT, Disposition.CHECKPOINT),
        (Phase.REVIEW, Disposition.CHECKPOINT, Disposition.CHECKPOINT),
        (Phase.DOCUMENT, Disposition.PROCEED, Disposition.CHECKPOINT),
        (Phase.DEPLOY, Disposition.CHECKPOINT, Disposition.CHECKPOINT),
    ],
)
def test_supervised_waits_at_checkpoints_and_wherever_healing_is_exhausted(
    phase: Phase, passed: Disposition, failed: Disposition
) -> None:
    assert disposed(Level.SUPERVISED, phase, Outcome.PASS) is passed
    assert {disposed(Level.SUPERVISED, phase, outcome) for outcome in (Outcome.FAIL, *SILENCE)} == {failed}


@pytest.mark.parametrize(
    ("phase", "passed", "failed"),
    [
        (Phase.PLAN, Disposition.PROCEED, Disposition.ABORT),
        (Phase.BUILD, Disposition.PROCEED, Disposition.ABORT),
        (Phase.TEST, Disposition.PROCEED, Disposition.WARN),
        (Phase.REVIEW, Disposition.PROCEED, Disposition.ABORT),
        (Phase.DOCUMENT, Disposition.PROCEED, Disposition.ABORT),
        (Phase.DEPLOY, Disposition.CHECKPOINT, Disposition.ABORT),
    ],
)
def test_autonomous_aborts_where_a_phase_is_required_and_leaves_the_merge_to_a_human(
    phase: Phase, passed: Disposition, failed: Disposition
) -> None:
    assert disposed(Level.AUTONOMOUS, phase, Outcome.PASS) is passed
    assert {disposed(Level.AUTONOMOUS, phase, outcome) for outcome in (Outcome.FAIL, *SILENCE)} == {failed}


@pytest.mark.parametrize("phase", PROFILES)
def test_ase_goes_on_by_the_gate_s_word_alone(phase: Phase) -> None:
    failed = Disposition.WARN if phase is Phase.DOCUMENT else Disposition.ABORT
    assert disposed(Level.ASE, phase, Outcome.PASS) is Disposition.PROCEED
    assert disposed(Level.ASE, phase, Outcome.FAIL) is failed


@pytest.mark.parametrize(("phase", "outcome"), [*product(PROFILES, SILENCE)])
def test_silence_at_the_highest_level_is_treated_as_one_rung_below_unless_the_phase_only_warns(
    phase: Phase, outcome: Outcome
) -> None:
    below = Disposition.WARN if phase is Phase.DOCUMENT else disposed(Level.AUTONOMOUS, phase, outcome)
    assert disposed(Level.ASE, phase, outcome) is below


@pytest.mark.parametrize(("level", "outcome"), [*product(Level, Outcome)])
def test_only_a_passed_gate_at_the_highest_level_merges_without_a_human(level: Level, outcome: Outcome) -> None:
    is_auto = disposed(level, Phase.DEPLOY, outcome) in (Disposition.PROCEED, Disposition.WARN)
    assert is_auto is (level is Level.ASE and outcome.is_passed)


@pytest.mark.parametrize(("phase", "outcome", "can_heal"), [*product(PROFILES, Outcome, (True, False))])
def test_a_lower_level_never_has_more_authority(phase: Phase, outcome: Outcome, can_heal: bool) -> None:
    asks_human = [disposed(level, phase, outcome, can_heal=can_heal) is Disposition.CHECKPOINT for level in Level]
    assert all(lower or not higher for lower, higher in pairwise(asks_human))


@pytest.mark.parametrize(("level", "phase"), [*product(Level, PROFILES)])
def test_a_worse_outcome_never_gets_a_run_further(level: Level, phase: Phase) -> None:
    goes_on = [disposed(level, phase, outcome) is Disposition.PROCEED for outcome in Outcome]
    assert all(better or not worse for better, worse in pairwise(goes_on))


@pytest.mark.parametrize(("level", "phase", "outcome"), [*product(Level, PROFILES, Outcome)])
def test_every_disposition_says_why_in_words(level: Level, phase: Phase, outcome: Outcome) -> None:
    reason = dispose(level, phase, Verdict(outcome=outcome), can_heal=False).reason
    assert str(level) in reason or "a human is called" in reason
