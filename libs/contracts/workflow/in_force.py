"""What a policy asks of one type of issue, as plain values: every default filled in, every route taken."""

from typing import Any, Final

from libs.contracts.words import Level, Phase
from libs.contracts.workflow import DEFAULT_AGENT, Policy, policy_digest
from libs.contracts.workflow.parts import AllOf, AnyOf, BudgetPolicy, Criterion, LoopName, Rule, Tool

_UNITS: Final = (("h", 3_600), ("m", 60))


def in_force(stated: Policy, issue_type: str, team: str | None = None) -> dict[str, Any]:
    """The policy as it holds for a type of issue, and a team, at the configured level, in the order of its phases.

    `disposition` of a phase and `on_exhaust` of a loop are `None` where the level says.
    """
    policy = stated.for_team(team)
    return {
        "type": issue_type,
        "team": team,
        "is_routed": issue_type in policy.routing,
        "autonomy": policy.autonomy.value,
        "phases": [_phase(policy, phase) for phase in policy.route(issue_type)],
        "loops": {name.value: _loop(policy, name, issue_type) for name in LoopName},
        "auto_merge": {"enabled": policy.auto_merge.enabled, "delay": spelt(policy.auto_merge.delay_s)},
        "budget": _budget(policy.budget),
        "quorum": [{"paths": list(quorum.paths), "people": quorum.people} for quorum in policy.quorum],
        "protected": list(policy.protected),
        "watch": _watch(policy),
        "digest": policy_digest(policy),
    }


def _phase(policy: Policy, phase: Phase) -> dict[str, Any]:
    stated = policy.phases.get(phase)
    return {
        "phase": phase.value,
        "agent": policy.agent_for(phase) or DEFAULT_AGENT,
        "tools": [tool.value for tool in Tool if stated and tool in stated.tools],
        "template": stated.template if stated else None,
        "addition": stated.addition if stated else None,
        "disposition": stated.disposition.value if stated and stated.disposition else None,
        "gate": [_rule(rule) for rule in policy.criteria_of(phase)],
        "checkpoint": _checkpoint(policy, phase),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    traits = {"severity": rule.severity.value, "dry_run": rule.is_dry_run}
    match rule:
        case Criterion():
            return {"criterion": rule.name, "limit": rule.limit, "warn": rule.warn_at, **traits}
        case AnyOf():
            return {"any_of": [_rule(inner) for inner in rule.any_of], **traits}
        case AllOf():
            return {"all_of": [_rule(inner) for inner in rule.all_of], **traits}


def _checkpoint(policy: Policy, phase: Phase) -> dict[str, Any]:
    """How long a run would wait there; at the lowest level for ever, unless the workflow says otherwise."""
    waits = policy.checkpoint_after(phase)
    is_endless = policy.autonomy is Level.ASSISTED and phase not in policy.checkpoints
    return {"timeout": None if is_endless else spelt(waits.timeout_s), "on_timeout": waits.on_timeout.value}


def _loop(policy: Policy, name: LoopName, issue_type: str) -> dict[str, Any]:
    loop = policy.loop(name, issue_type)
    return {
        "max": loop.max,
        "trigger": loop.trigger.value,
        "ignore": list(loop.ignore),
        "on_exhaust": loop.on_exhaust.value if loop.on_exhaust else None,
        "cost_ceiling": loop.cost_ceiling_usd,
    }


def _budget(budget: BudgetPolicy) -> dict[str, Any]:
    return {
        "wall": None if budget.wall_s is None else spelt(budget.wall_s),
        "attempts": budget.attempts,
        "cost": budget.cost_usd,
        "attempt_cost": budget.attempt_cost_usd,
    }


def _watch(policy: Policy) -> dict[str, Any]:
    return {"duration": spelt(policy.watched_s), "min_points": policy.watch.min_points if policy.watch else None}


def spelt(seconds: float) -> str:
    """A duration as a workflow writes it, such as `1h30m`; reading it gives the same seconds."""
    said, rest = "", seconds
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        said += f"{count:.0f}{unit}" if count else ""
    return said + f"{round(rest, 6):g}s" if rest or not said else said
