"""Who decides when a gate has judged: the one table that differs between levels.

The workflow, the gates and the healing stay the same from level to level; only this table says
where a human is asked, where the gate's word ends the run, and where it is only a warning. A workflow
may say otherwise of a phase, but only what gives the machine no more authority than the table does.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from libs.contracts.verdict import Verdict
from libs.contracts.words import Disposition, Level, Outcome, Phase
from libs.contracts.workflow import OnExhaust, PhaseRule


class Rule(StrEnum):
    """What a level does after a phase."""

    HUMAN = "human"
    CHECKPOINT = "checkpoint"
    CONTINUE = "continue"
    REQUIRED = "required"
    OPTIONAL = "optional"
    HUMAN_MERGES = "human merges"
    PULL_REQUEST = "pull request, human merges"
    AUTO_MERGE = "auto-merge"


_LEVELS: Final = (Level.ASSISTED, Level.SUPERVISED, Level.AUTONOMOUS, Level.ASE)


def _row(*rules: Rule) -> dict[Level, Rule]:
    return dict(zip(_LEVELS, rules, strict=True))


PROFILES: Final[dict[Phase, dict[Level, Rule]]] = {
    Phase.INTENT: _row(Rule.HUMAN, Rule.CHECKPOINT, Rule.REQUIRED, Rule.REQUIRED),
    Phase.PLAN: _row(Rule.HUMAN, Rule.CHECKPOINT, Rule.REQUIRED, Rule.REQUIRED),
    Phase.BUILD: _row(Rule.HUMAN, Rule.CONTINUE, Rule.REQUIRED, Rule.REQUIRED),
    Phase.TEST: _row(Rule.HUMAN, Rule.CHECKPOINT, Rule.OPTIONAL, Rule.REQUIRED),
    Phase.REVIEW: _row(Rule.HUMAN, Rule.CHECKPOINT, Rule.REQUIRED, Rule.REQUIRED),
    Phase.DOCUMENT: _row(Rule.HUMAN, Rule.CONTINUE, Rule.REQUIRED, Rule.OPTIONAL),
    Phase.DEPLOY: _row(Rule.HUMAN, Rule.HUMAN_MERGES, Rule.PULL_REQUEST, Rule.AUTO_MERGE),
}

AUTHORITY: Final[dict[Rule, int]] = {
    Rule.HUMAN: 0,
    Rule.CHECKPOINT: 1,
    Rule.HUMAN_MERGES: 1,
    Rule.PULL_REQUEST: 1,
    Rule.CONTINUE: 2,
    Rule.REQUIRED: 2,
    Rule.AUTO_MERGE: 2,
    Rule.OPTIONAL: 3,
}
"""How much each rule leaves to the machine: to heal, to go on after a pass, to go on after anything."""

SILENCE: Final = (Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.ERROR)
"""Outcomes that say neither yes nor no."""


class Said(NamedTuple):
    """What a workflow says of a phase in place of the level: its rule, and what follows a fail that is not healed."""

    rule: PhaseRule | None = None
    on_exhaust: OnExhaust | None = None


NOTHING_SAID: Final = Said()


class Disposed(NamedTuple):
    """Who decides now, the reason as one sentence, and whether a human is called who did not expect it."""

    disposition: Disposition
    reason: str
    calls_human: bool = False


def dispose(level: Level, phase: Phase, verdict: Verdict, *, can_heal: bool, said: Said = NOTHING_SAID) -> Disposed:
    """What a level does with a verdict.

    `can_heal` says that the builder may be asked again: attempts are left, something new is
    known, and the worker did not say that a retry is pointless.
    """
    outcome = verdict.outcome
    rule = _rule(level, phase, outcome, said)
    by = (
        f"at level {level}"
        if rule in (PROFILES[phase][level], PROFILES[phase][_fallback(level)])
        else "by the workflow"
    )
    if rule is Rule.HUMAN:
        return Disposed(Disposition.CHECKPOINT, f"{by} a human decides after every phase")
    if outcome is Outcome.FAIL and can_heal:
        return Disposed(Disposition.HEAL, f"the {phase} gate failed and attempts are left")
    return _settled(rule, f"the {phase} gate says {outcome}", by, outcome)


def rule_of(level: Level, phase: Phase, said: PhaseRule | None) -> Rule:
    """The rule of a phase: the workflow's, unless the level leaves the machine less than that."""
    own = PROFILES[phase][level]
    if said is None:
        return own
    is_merge = phase is Phase.DEPLOY and said is PhaseRule.CHECKPOINT
    other = Rule.HUMAN_MERGES if is_merge else Rule(said.value)
    return other if AUTHORITY[other] <= AUTHORITY[own] else own


def _fallback(level: Level) -> Level:
    """Silence at the highest level falls back to the rung below, where a human merges."""
    return Level.AUTONOMOUS if level is Level.ASE else level


def _rule(level: Level, phase: Phase, outcome: Outcome, said: Said) -> Rule:
    own = rule_of(level, phase, said.rule)
    if outcome in SILENCE and own is not Rule.OPTIONAL:
        return rule_of(_fallback(level), phase, said.rule)
    if outcome is Outcome.FAIL and own is not Rule.HUMAN and said.on_exhaust is not None:
        return _after_healing(own, said.on_exhaust)
    return own


def _after_healing(own: Rule, on_exhaust: OnExhaust) -> Rule:
    """What a loop says of a fail that stays; a warning only where the phase's own rule is no more than that."""
    match on_exhaust:
        case OnExhaust.ABORT:
            return Rule.REQUIRED
        case OnExhaust.ESCALATE:
            return Rule.CONTINUE
        case OnExhaust.WARN:
            return own


def _settled(rule: Rule, said: str, by: str, outcome: Outcome) -> Disposed:
    match rule:
        case Rule.CHECKPOINT | Rule.HUMAN | Rule.HUMAN_MERGES:
            return Disposed(Disposition.CHECKPOINT, f"{said}; {by} a human decides here")
        case Rule.CONTINUE if not outcome.is_passed:
            return Disposed(
                Disposition.CHECKPOINT, f"{said} and is not healed; {by} a human is called", calls_human=True
            )
        case Rule.PULL_REQUEST if outcome.is_passed:
            return Disposed(Disposition.CHECKPOINT, f"{said}; {by} a human merges")
        case Rule.OPTIONAL if not outcome.is_passed:
            return Disposed(Disposition.WARN, f"{said}; {by} this phase only warns")
        case Rule.REQUIRED | Rule.PULL_REQUEST | Rule.AUTO_MERGE if not outcome.is_passed:
            return Disposed(Disposition.ABORT, f"{said}; {by} this phase must pass")
        case _:
            return Disposed(Disposition.PROCEED, f"{said}; {by} the gate decides")
