"""Readers of the sections of a workflow, one function each; what a section leaves out has its default."""

import datetime as dt
from functools import partial
from typing import Final, NamedTuple

import yaml
from pydantic import JsonValue

from libs.contracts.words import PHASES, Level, Phase
from libs.contracts.workflow import AGENT_DRIVERS, CONSIDERED_AFTER_S, PROTECTED, READINESS, ROUTING, TOOLS
from libs.contracts.workflow.nodes import Misfit, Place, Table, find, unknown
from libs.contracts.workflow.parts import (
    AutoMergePolicy,
    BudgetPolicy,
    CapPolicy,
    CheckpointPolicy,
    CommandPolicy,
    EscalationPolicy,
    LoopName,
    LoopPolicy,
    LoopTrigger,
    MonitorPolicy,
    OnExhaust,
    OnTimeout,
    PhasePolicy,
    PhaseRule,
    QuorumPolicy,
    ReadinessLimits,
    ReportPolicy,
    RoutePolicy,
    Tool,
    WaiverPolicy,
    WatchPolicy,
)
from libs.contracts.workflow.values import (
    NO_TEXTS,
    agent,
    amount,
    choice,
    date,
    duration,
    each,
    flag,
    misfit,
    money,
    names,
    one_of,
    one_or_each,
    path,
    paths,
    share,
    text,
    whole,
)

SIGNALS: Final = ("error_rate_spike", "latency_increase")
_NO_PATHS: Final[tuple[str, ...]] = ()
_EVERYTHING: Final[tuple[str, ...]] = ("**",)

Loops = dict[LoopName, LoopPolicy]


PHASE_KEYS: Final = ("template", "tools", "execute_allowlist", "deny_reasons", "agent", "disposition", "gates")
PHASE_RULES: Final = {Phase.DEPLOY: (PhaseRule.HUMAN, PhaseRule.CHECKPOINT), Phase.MONITOR: ()}
"""Phases of which a workflow may not say every rule: only a human may come before the merge, monitor never blocks."""


def phase_policy(phase: Phase, place: Place) -> PhasePolicy:
    table = Table(place, PHASE_KEYS)
    tools = table.read("tools", _tools, TOOLS[phase])
    if "execute_allowlist" in table.entries and Tool.EXECUTE not in tools:
        table.entries["execute_allowlist"].warn("has no effect: this phase may not execute")
    return PhasePolicy(
        template=table.optional("template", path),
        tools=tools,
        execute_allowlist=table.read("execute_allowlist", names, NO_TEXTS),
        deny_reasons=table.read("deny_reasons", _deny_reasons, PhasePolicy().deny_reasons),
        agent=table.optional("agent", agent(AGENT_DRIVERS)),
        disposition=table.optional("disposition", partial(_disposition, phase)),
    )


def _disposition(phase: Phase, place: Place) -> PhaseRule:
    rules = PHASE_RULES.get(phase, tuple(PhaseRule))
    if not rules:
        raise Misfit(f"decides nothing: {phase} never blocks a run")
    return PhaseRule(one_of(*rules)(place))


def _tools(place: Place) -> frozenset[Tool]:
    if isinstance(place.node, yaml.MappingNode):
        table = Table(place, tuple(Tool))
        return frozenset(tool for tool in Tool if table.read(tool, flag, default=False))
    return frozenset(one_or_each(choice(Tool))(place))


def _deny_reasons(place: Place) -> dict[Tool, str]:
    table = Table(place, tuple(Tool))
    return {Tool(name): table.read(name, text, "") for name in table.entries}


def loops(base: Loops, place: Place) -> Loops:
    """The loops that the place states, each completed from `base`."""
    table = Table(place, tuple(LoopName))
    return {
        name: table.read(name, partial(_loop, base[name]), base[name]) for name in LoopName if name in table.entries
    }


def _loop(base: LoopPolicy, place: Place) -> LoopPolicy:
    table = Table(place, ("max", "trigger", "ignore", "on_exhaust", "cost_ceiling"))
    return LoopPolicy(
        max=table.read("max", _loop_max, base.max),
        trigger=table.read("trigger", choice(LoopTrigger), base.trigger),
        ignore=table.read("ignore", names, base.ignore),
        on_exhaust=table.read("on_exhaust", choice(OnExhaust), base.on_exhaust),
        cost_ceiling_usd=table.read("cost_ceiling", _maybe_money, base.cost_ceiling_usd),
    )


def _maybe_money(place: Place) -> float | None:
    return money(place)


def _loop_max(place: Place) -> int:
    try:
        count = whole(0, 10)(place)
    except Misfit:
        raise misfit(place, "a whole number from 1 to 10") from None
    if count == 0:
        place.warn("0 heals nothing: the first failure is final")
    return count


def escalation(place: Place) -> EscalationPolicy:
    table = Table(place, tuple(EscalationPolicy.model_fields))
    return EscalationPolicy(
        target=table.read("target", text, "human"),
        notify=table.read("notify", names, NO_TEXTS),
        include=table.read("include", names, NO_TEXTS),
    )


def checkpoints(level: Level, place: Place) -> dict[Phase, CheckpointPolicy]:
    if isinstance(place.node, yaml.ScalarNode) and place.node.value == "none":
        if level is Level.SUPERVISED:
            place.warn("none changes nothing: supervised always waits after plan, test and review")
        return {}
    if isinstance(place.node, yaml.ScalarNode):
        raise misfit(place, "none or a map such as after_plan: { require: human_approval, timeout: 24h }")
    table = Table(place, tuple(f"after_{phase}" for phase in Phase))
    default = CheckpointPolicy()
    return {Phase(key.removeprefix("after_")): table.read(key, _checkpoint, default) for key in table.entries}


def _checkpoint(place: Place) -> CheckpointPolicy:
    table = Table(place, ("require", "timeout", "on_timeout"))
    table.read("require", one_of("human_approval"), "human_approval")
    default = CheckpointPolicy()
    return CheckpointPolicy(
        timeout_s=table.read("timeout", _lasting, default.timeout_s),
        on_timeout=table.read("on_timeout", choice(OnTimeout), default.on_timeout),
    )


def _lasting(place: Place) -> float:
    seconds = duration(place)
    if seconds == 0:
        raise Misfit("must be longer than 0 seconds")
    return seconds


def auto_merge(root: Place) -> AutoMergePolicy:
    """What is said of auto-merge, at the top or under deploy; it may be said once."""
    told = [find(root, (*where, "auto_merge")) for where in ((), ("deploy",), ("gates", "deploy"))]
    places = sorted((place for place in told if place is not None), key=lambda place: place.line)
    for place in places[1:]:
        place.refuse(f"is said twice; the first time on line {places[0].line}")
    return places[0].read(_auto_merge, AutoMergePolicy()) if places else AutoMergePolicy()


def _auto_merge(place: Place) -> AutoMergePolicy:
    if isinstance(place.node, yaml.ScalarNode):
        return AutoMergePolicy(enabled=flag(place))
    table = Table(place, ("enabled", "delay"))
    default = AutoMergePolicy()
    return AutoMergePolicy(
        enabled=table.read("enabled", flag, default.enabled), delay_s=table.read("delay", duration, default.delay_s)
    )


def monitor(metrics: JsonValue, place: Place) -> MonitorPolicy:
    table = Table(place, tuple(MonitorPolicy.model_fields))
    return MonitorPolicy(
        anomaly_detection=table.read("anomaly_detection", flag, default=False),
        rollback_on=table.read("rollback_on", one_or_each(partial(_signal, _metric_names(metrics))), NO_TEXTS),
        auto_create_issue=table.read("auto_create_issue", flag, default=False),
    )


def _metric_names(metrics: JsonValue) -> tuple[str, ...]:
    if isinstance(metrics, dict):
        return tuple(metrics)
    items = metrics if isinstance(metrics, list) else []
    named = [item.get("name") if isinstance(item, dict) else item for item in items]
    return tuple(name for name in named if isinstance(name, str))


def _signal(metrics: tuple[str, ...], place: Place) -> str:
    name = text(place)
    if name not in (*SIGNALS, *metrics):
        sentence = unknown("signal", name, (*SIGNALS, *metrics))
        if "did you mean" in sentence:
            raise Misfit(sentence)
        place.warn("nothing measures this signal, so it rolls nothing back; list it under metrics")
    return name


def default_routing(base: Loops) -> dict[str, RoutePolicy]:
    """The routes of a workflow that states none, on top of its own loops: a hotfix is retried once at most."""
    retry = base[LoopName.TEST_RETRY]
    once = retry.model_copy(update={"max": min(retry.max, 1)})
    hotfix = ROUTING["hotfix"].model_copy(update={"loops": {LoopName.TEST_RETRY: once}})
    return {**ROUTING, "hotfix": hotfix}


def routing(base: Loops, place: Place) -> dict[str, RoutePolicy]:
    default = default_routing(base)
    every_phase = RoutePolicy(phases=PHASES)
    stated = {
        kind: entry.read(partial(_route, base, default.get(kind, every_phase)), every_phase)
        for kind, entry in place.entries().items()
    }
    return {**default, **stated}


def _route(base: Loops, default: RoutePolicy, place: Place) -> RoutePolicy:
    table = Table(place, ("phases", "loops"))
    return RoutePolicy(
        phases=table.read("phases", _phase_list, default.phases),
        loops=table.read("loops", partial(loops, base), default.loops),
    )


def _phase_list(place: Place) -> tuple[Phase, ...]:
    errors_before = len(place.findings.found)
    phases = one_or_each(choice(Phase))(place)
    if len(place.findings.found) > errors_before:
        return PHASES
    if not phases:
        raise Misfit("names no phase; an issue goes through at least one")
    if list(phases) != sorted(set(phases), key=list(Phase).index):
        raise Misfit(f"must name each phase once, in the order {', '.join(Phase)}")
    return phases


def commands(place: Place) -> CommandPolicy:
    table = Table(place, tuple(CommandPolicy.model_fields))
    return CommandPolicy(**{name: table.read(name, names, NO_TEXTS) for name in table.entries})


def reports(place: Place) -> ReportPolicy:
    table = Table(place, tuple(ReportPolicy.model_fields))
    return ReportPolicy(**{name: table.read(name, paths, _NO_PATHS) for name in table.entries})


def protected(place: Place) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*PROTECTED, *paths(place))))


def caps(place: Place) -> tuple[CapPolicy, ...]:
    return each(_cap)(place)


def _cap(place: Place) -> CapPolicy:
    table = Table(place, ("paths", "labels", "class", "max"))
    if "max" not in table.entries:
        raise Misfit("says no max: the highest level for what it caps")
    if set(table.entries) == {"max"}:
        raise Misfit("says not what it caps: name paths, labels or a class")
    return CapPolicy(
        paths=table.read("paths", paths, _NO_PATHS),
        labels=table.read("labels", names, NO_TEXTS),
        classes=table.read("class", names, NO_TEXTS),
        max=table.read("max", choice(Level), Level.ASSISTED),
    )


class Earning(NamedTuple):
    """What earns a level, and how long a person has to look at a checkpoint for a label, in seconds."""

    limits: dict[Level, ReadinessLimits]
    considered_after_s: float


def readiness(place: Place) -> Earning:
    table = Table(place, (*READINESS, "considered_after"))
    limits = {level: table.read(level, partial(_limits, base), base) for level, base in READINESS.items()}
    return Earning(limits, table.read("considered_after", _longer, CONSIDERED_AFTER_S))


def _longer(place: Place) -> float:
    seconds = duration(place)
    if seconds < CONSIDERED_AFTER_S:
        raise Misfit(f"may only be made longer than {CONSIDERED_AFTER_S:g} s, not {seconds:g} s")
    return seconds


def _limits(base: ReadinessLimits, place: Place) -> ReadinessLimits:
    table = Table(place, tuple(ReadinessLimits.model_fields))
    stated = {
        name: table.read(name, partial(_raised_limit, name, getattr(base, name)), getattr(base, name))
        for name in table.entries
    }
    return base.model_copy(update=stated)


def _raised_limit(name: str, least: float | None, place: Place) -> float | None:
    """A limit that is as hard to meet as Rung's own, or harder."""
    value = _limit_value(name, place)
    is_looser = least is not None and (value < least if name.endswith("_min") else value > least)
    if is_looser:
        raise Misfit(f"may only be made harder to meet than {least:g}, not {value:g}")
    return value


def _limit_value(name: str, place: Place) -> float:
    if name == "successful_runs_min":
        return whole(0)(place)
    return amount(place) if name == "average_retries_max" else share(place)


def budget(place: Place) -> BudgetPolicy:
    table = Table(place, ("wall", "attempts", "cost", "attempt_cost"))
    cost, attempt_cost = table.optional("cost", money), table.optional("attempt_cost", money)
    if cost is not None and attempt_cost is not None and attempt_cost > cost:
        table.entries["attempt_cost"].refuse(f"must not exceed cost ({cost:g}), not {attempt_cost:g}")
    return BudgetPolicy(
        wall_s=table.optional("wall", _lasting),
        attempts=table.optional("attempts", whole(1)),
        cost_usd=cost,
        attempt_cost_usd=attempt_cost,
    )


def quorum(place: Place) -> tuple[QuorumPolicy, ...]:
    return each(_quorum)(place)


def _quorum(place: Place) -> QuorumPolicy:
    table = Table(place, tuple(QuorumPolicy.model_fields))
    missing = [name for name in QuorumPolicy.model_fields if name not in table.entries]
    if missing:
        raise Misfit(f"says no {', no '.join(missing)}; such as {{ paths: [payments/**], people: 2 }}")
    people = table.read("people", whole(2, 20), 2)
    named = table.read("paths", paths, _EVERYTHING)
    if not named:
        raise Misfit("names no path, so it would hold for no change")
    return QuorumPolicy(paths=named, people=people)


def watch(place: Place) -> WatchPolicy:
    if isinstance(place.node, yaml.ScalarNode):
        return WatchPolicy(duration_s=_lasting(place))
    table = Table(place, ("duration", "min_points"))
    if "duration" not in table.entries:
        raise Misfit("says no duration, such as duration: 30m")
    return WatchPolicy(
        duration_s=table.read("duration", _lasting, 1.0), min_points=table.optional("min_points", whole(1))
    )


def waivers(place: Place) -> tuple[WaiverPolicy, ...]:
    return each(_waiver)(place)


def _waiver(place: Place) -> WaiverPolicy:
    table = Table(place, tuple(WaiverPolicy.model_fields))
    missing = [name for name in WaiverPolicy.model_fields if name not in table.entries]
    if missing:
        raise Misfit(f"says no {', no '.join(missing)}")
    return WaiverPolicy(
        fingerprint=table.read("fingerprint", text, ""),
        reason=table.read("reason", text, ""),
        author=table.read("author", text, ""),
        expires=table.read("expires", date, dt.date.max),
    )
