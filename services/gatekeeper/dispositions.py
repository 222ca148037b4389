"""Who decides when a gate has judged: the one table that differs between levels.

The workflow, the gates and the healing stay the same from level to level; only this table says
where a human is asked, where the gate's word ends the run, and where it is only a warning.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from libs.contracts.verdict import Verdict
from libs.contracts.words import Disposition, Level, Outcome, Phase


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

SILENCE: Final = (Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.ERROR)
"""Outcomes that say neither yes nor no."""


class Disposed(NamedTuple):
    """Who decides now, and the reason as one sentence."""

    disposition: Disposition
    reason: str


def dispose(level: Level, phase: Phase, verdict: Verdict, *, can_heal: bool) -> Disposed:
    """What a level does with a verdict.

    `can_heal` says that the builder may be asked again: attempts are left, something new is
    known, and the worker did not say that a retry is pointless.
    """
    rule = _rule(level, phase, verdict.outcome)
    if rule is Rule.HUMAN:
        return Disposed(Disposition.CHECKPOINT, f"at level {level} a human decides after every phase")
    if verdict.outcome is Outcome.FAIL and can_heal:
        return Disposed(Disposition.HEAL, f"the {phase} gate failed and attempts are left")
    return _settled(rule, level, phase, verdict.outcome)


def _rule(level: Level, phase: Phase, outcome: Outcome) -> Rule:
    """Silence at the highest level falls back to the rung below, where a human merges; what only warns still does."""
    own = PROFILES[phase][level]
    is_fallback = level is Level.ASE and outcome in SILENCE and own is not Rule.OPTIONAL
    return PROFILES[phase][Level.AUTONOMOUS] if is_fallback else own


def _settled(rule: Rule, level: Level, phase: Phase, outcome: Outcome) -> Disposed:
    said = f"the {phase} gate says {outcome}"
    match rule:
        case Rule.CHECKPOINT | Rule.HUMAN | Rule.HUMAN_MERGES:
            return Disposed(Disposition.CHECKPOINT, f"{said}; at level {level} a human decides here")
        case Rule.CONTINUE if not outcome.is_passed:
            return Disposed(Disposition.CHECKPOINT, f"{said} and healing is exhausted; a human is called")
        case Rule.PULL_REQUEST if outcome.is_passed:
            return Disposed(Disposition.CHECKPOINT, f"{said}; at level {level} a human merges")
        case Rule.OPTIONAL if not outcome.is_passed:
            return Disposed(Disposition.WARN, f"{said}; at level {level} this phase only warns")
        case Rule.REQUIRED | Rule.PULL_REQUEST | Rule.AUTO_MERGE if not outcome.is_passed:
            return Disposed(Disposition.ABORT, f"{said}; at level {level} this phase must pass")
        case _:
            return Disposed(Disposition.PROCEED, f"{said}; at level {level} the gate decides")
