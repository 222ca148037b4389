"""Gates as a workflow writes them: flat under a phase, as a list of gates, or in files of their own.

Every way of writing leads to `GatePart`s; the parts for one phase become its one gate, whose rules
must all hold. Severity and dry run go with each rule, so that a part that only warns cannot soften
another one that blocks.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml

from libs.contracts.criteria import CRITERIA
from libs.contracts.words import Phase
from libs.contracts.workflow import default_gates, with_floor
from libs.contracts.workflow.criteria import GATE_KEYS, Scope, rules
from libs.contracts.workflow.nodes import Misfit, Place, Table, unknown
from libs.contracts.workflow.parts import (
    GateEscalation,
    GatePolicy,
    GateSeverity,
    OnFail,
    RetryStrategy,
    Rule,
)
from libs.contracts.workflow.values import NO_TEXTS, choice, flag, names, text, whole


class GatePart(NamedTuple):
    """What one place of a file asks of one phase; `settings` are fields of the gate that it states."""

    phase: Phase
    rules: tuple[Rule, ...]
    settings: dict[str, Any]


def is_gate(place: Place) -> bool:
    """Whether a document is a gate file rather than a workflow."""
    if not isinstance(place.node, yaml.MappingNode):
        return False
    keys = {key.value for key, _ in place.node.value if isinstance(key, yaml.ScalarNode)}
    return bool(keys & {"gate", "criteria"})


def phase_of(place: Place) -> Phase:
    """The phase of `after-test`."""
    value = text(place)
    known = tuple(f"after-{phase}" for phase in Phase)
    if value not in known:
        raise Misfit(unknown("trigger", value, known))
    return Phase(value.removeprefix("after-"))


def gate_document(reported: tuple[str, ...], under: Phase | None, place: Place) -> tuple[GatePart, ...]:
    """A gate file, or one item of a list: it says itself after which phase it judges, or stands under that phase."""
    table = Table(place, (*GATE_KEYS, *CRITERIA))
    for name in [name for name in table.entries if name not in GATE_KEYS]:
        table.entries[name].refuse("belongs under criteria")
    if "criteria" not in table.entries:
        raise Misfit("has no criteria, so it would judge nothing")
    phase = _stated_phase(table, under)
    return _part(table, Scope(phase, reported))


def _stated_phase(table: Table, under: Phase | None) -> Phase:
    trigger = table.entries.get("trigger")
    if trigger is None and under is None:
        phase = _inferred_phase(table.entries["criteria"])
        table.place.warn(f"says no trigger; taken as after-{phase}")
        return phase
    stated = None if trigger is None else table.optional("trigger", phase_of)
    if trigger is not None and under is not None and stated not in {None, under}:
        trigger.refuse(f"says after-{stated}, but stands under {under}")
    return stated or under or Phase.TEST


def _inferred_phase(criteria: Place) -> Phase:
    """The first phase of the first known criterion; the phase test if there is none."""
    return next((CRITERIA[word].phases[0] for word in _keys(criteria.node) if word in CRITERIA), Phase.TEST)


def _keys(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _keys(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value)
            yield from _keys(value)


def phase_gate(reported: tuple[str, ...], phase: Phase, place: Place) -> tuple[GatePart, ...]:
    """A gate under its phase: criteria and settings side by side, or criteria in a map of their own."""
    criteria = {key: entry for key, entry in place.entries().items() if key not in (*GATE_KEYS, "auto_merge")}
    known = (*GATE_KEYS, "auto_merge", *criteria)
    table = Table(place, known)
    if set(table.entries) == {"auto_merge"}:
        return ()
    return _part(table, Scope(_stated_phase(table, phase), reported), criteria)


def _part(table: Table, scope: Scope, flat: dict[str, Place] | None = None) -> tuple[GatePart, ...]:
    scope = scope._replace(
        severity=table.read("severity", choice(GateSeverity), GateSeverity.BLOCKER),
        is_dry_run=table.read("dry_run", flag, default=False),
    )
    criteria = table.entries.get("criteria")
    entries = dict(flat or {})
    if criteria is not None:
        entries |= criteria.read(Place.entries, entries)
    found = rules(entries, scope, criteria or table.place)
    settings = _settings(table)
    return (GatePart(scope.phase or Phase.TEST, found, settings),) if found else ()


def _settings(table: Table) -> dict[str, Any]:
    """The gate's own fields that the table states; severity and dry run have gone to the rules."""
    values = {
        "name": table.optional("gate", text),
        "version": table.optional("version", whole(0)),
        "on_fail": table.optional("on_fail", choice(OnFail)),
        "max_retries": table.optional("max_retries", _retries),
        "retry_strategy": table.optional("retry_strategy", choice(RetryStrategy)),
        "stop_on_no_progress": table.optional("stop_on_no_progress", flag),
        "escalation": table.optional("escalation", _escalation),
        "notify": table.optional("notify", flag),
        "flaky": table.optional("flaky", names),
    }
    return {key: value for key, value in values.items() if value is not None}


def _retries(place: Place) -> int:
    count = whole(0, 10)(place)
    if count == 0:
        place.warn("0 heals nothing: the first failure of this gate is final")
    return count


def _escalation(place: Place) -> GateEscalation:
    if isinstance(place.node, yaml.ScalarNode):
        return GateEscalation(target=text(place))
    table = Table(place, ("target", "after_retries_exhausted", "message", "context"))
    if {"target", "after_retries_exhausted"} <= set(table.entries):
        table.entries["after_retries_exhausted"].refuse("says the same as target; write one of the two")
    target = table.optional("target", text) or table.optional("after_retries_exhausted", text)
    return GateEscalation(
        target=target or "human",
        message=table.read("message", text, ""),
        context=table.read("context", names, NO_TEXTS),
    )


def merged(phase: Phase, parts: Iterable[GatePart]) -> GatePolicy:
    """The one gate of a phase: the rules of all parts and what is always in force; later settings win."""
    settings: dict[str, Any] = {}
    asked: list[Rule] = []
    for part in parts:
        asked.extend(part.rules)
        settings |= part.settings
    return GatePolicy(criteria=with_floor(phase, asked), **settings)


def stated_gates(parts: Iterable[GatePart]) -> dict[Phase, GatePolicy]:
    """The gates of the phases that the parts speak of, in order."""
    by_phase: dict[Phase, list[GatePart]] = {}
    for part in parts:
        by_phase.setdefault(part.phase, []).append(part)
    return {phase: merged(phase, by_phase[phase]) for phase in Phase if phase in by_phase}


def gates_of(parts: Iterable[GatePart]) -> dict[Phase, GatePolicy]:
    """The gates of all phases in order; a phase that no part speaks of has its default gate."""
    gates = {**default_gates(), **stated_gates(parts)}
    return {phase: gates[phase] for phase in Phase if phase in gates}
