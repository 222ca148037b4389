"""Criteria as a workflow writes them: a name with a limit, alone or in groups of which any or all must hold."""

import re
from difflib import get_close_matches
from functools import partial
from typing import Any, Final, NamedTuple

import yaml

from libs.contracts.criteria import (
    CRITERIA,
    CriterionSpec,
    Form,
    Limit,
    Unit,
    canonical_name,
    form_of,
    nearest_criterion,
)
from libs.contracts.words import Phase
from libs.contracts.workflow import FLOOR, is_as_strict
from libs.contracts.workflow.nodes import Misfit, Place, Table, shown
from libs.contracts.workflow.parts import AllOf, AnyOf, Criterion, GateSeverity, Rule
from libs.contracts.workflow.values import choice, duration, flag, misfit, number, percent, scalar, whole

GATE_KEYS: Final = (
    "gate",
    "trigger",
    "criteria",
    "version",
    "severity",
    "on_fail",
    "max_retries",
    "retry_strategy",
    "stop_on_no_progress",
    "escalation",
    "notify",
    "dry_run",
    "flaky",
)
_UNANSWERED: Final = "nothing that is collected answers it, so it finds no data and a human has to look"
_GROUPS: Final = ("any_of", "all_of")
_LIMIT_KEYS: Final = ("limit", "warn", "min_sample", "dry_run", "severity")
MEASURED_ON_BASE: Final = ("coverage_min",)
"""Criteria whose limit may go by the base, by their one name."""
SAMPLED: Final = ("new_code_coverage_min",)
"""Criteria that are a share of lines which may be too few to say anything."""
_FROM_BASE: Final = re.compile(r"base(?:\s*([+-])\s*(\d+(?:\.\d+)?)\s*%?)?")


class Scope(NamedTuple):
    """What the criteria inside a gate inherit from it."""

    phase: Phase | None
    reported: tuple[str, ...]
    severity: GateSeverity = GateSeverity.BLOCKER
    is_dry_run: bool = False
    is_nested: bool = False


def rules(entries: dict[str, Place], scope: Scope, place: Place) -> tuple[Rule, ...]:
    """Every criterion and group; a part that asks for nothing is refused, for it would judge nothing."""
    errors_before = len(place.findings.found)
    read = [entry.read(partial(_rule, key, scope), None) for key, entry in entries.items()]
    found = tuple(rule for rule in read if rule is not None)
    has_new_errors = any(not problem.is_warning for problem in list(place.findings.found)[errors_before:])
    if not found and not has_new_errors:
        place.refuse("asks for nothing, so it would judge nothing; name a criterion")
    return found


def _rule(key: str, scope: Scope, place: Place) -> Rule | None:
    if key in _GROUPS:
        return _group(key, place, scope)
    spec = CRITERIA.get(key)
    if spec is None and not is_reported(key, scope.reported):
        raise Misfit(_unknown_criterion(key))
    return _criterion(key, spec, place, scope)


def is_reported(name: str, reported: tuple[str, ...]) -> bool:
    """Whether a name that is not in the table is a criterion of the repository's own, not a misspelt one."""
    return name in reported or (name.startswith("has_") and name.isidentifier() and nearest_criterion(name) is None)


def _unknown_criterion(name: str) -> str:
    if name in GATE_KEYS:
        return "belongs beside criteria, not into it"
    near = nearest_criterion(name.lower()) or next(iter(get_close_matches(name.lower(), GATE_KEYS, 1, 0.75)), None)
    if near is not None:
        return f"unknown criterion; did you mean {near}?"
    return "unknown criterion; list it under reported if it is one of your own"


def _group(key: str, place: Place, scope: Scope) -> Rule | None:
    inner = scope._replace(is_nested=True)
    options = [option for item in place.items() if (option := item.read(partial(_option, inner), None))]
    if not place.items():
        raise Misfit("is an empty list, so it would judge nothing; name a criterion")
    if not options:
        return None
    traits: dict[str, Any] = {"is_dry_run": scope.is_dry_run, "severity": scope.severity}
    return AnyOf(any_of=tuple(options), **traits) if key == "any_of" else AllOf(all_of=tuple(options), **traits)


def _option(scope: Scope, place: Place) -> Rule | None:
    found = rules(place.entries(), scope, place)
    if len(found) > 1:
        return AllOf(all_of=found, is_dry_run=scope.is_dry_run, severity=scope.severity)
    return found[0] if found else None


def _criterion(name: str, spec: CriterionSpec | None, place: Place, scope: Scope) -> Criterion | None:
    scope, parts = _limit_parts(place, scope)
    from_base = _from_base(parts["limit"], spec)
    limit = str(parts["limit"].node.value) if from_base is not None else _limit(parts["limit"], spec)
    warn, sample = parts.get("warn"), parts.get("min_sample")
    criterion = Criterion(
        name=name,
        limit=limit,
        warn_at=None if warn is None else warn.read(partial(_warn_at, name, spec, limit), None),
        from_base=from_base,
        min_sample=None if sample is None else sample.read(partial(_min_sample, name), None),
        is_dry_run=scope.is_dry_run,
        severity=scope.severity,
    )
    _check_floor(criterion, place, scope)
    if spec is None:
        place.warn(_UNANSWERED)
        return criterion
    if limit is False:
        place.warn("false switches this criterion off; remove the line to say the same")
        return None
    _advise(criterion, spec, place, scope)
    return criterion


def _limit_parts(place: Place, scope: Scope) -> tuple[Scope, dict[str, Place]]:
    """A limit alone, or a map of the limit with what goes with it."""
    if not isinstance(place.node, yaml.MappingNode):
        return scope, {"limit": place}
    table = Table(place, _LIMIT_KEYS)
    if "limit" not in table.entries:
        raise Misfit("is a map without a limit")
    scope = scope._replace(
        severity=table.read("severity", choice(GateSeverity), scope.severity),
        is_dry_run=table.read("dry_run", flag, scope.is_dry_run),
    )
    return scope, table.entries


def _from_base(place: Place, spec: CriterionSpec | None) -> float | None:
    """How far the limit is from what the base has; `None` for a limit that is a value of its own."""
    said = _FROM_BASE.fullmatch(str(place.node.value).strip()) if isinstance(place.node, yaml.ScalarNode) else None
    if said is None or spec is None:
        return None
    if canonical_name(spec.name) not in MEASURED_ON_BASE:
        raise Misfit(f"cannot go by the base, where it is not measured; {', '.join(MEASURED_ON_BASE)} can")
    distance = float(said[2] or 0)
    return -distance if said[1] == "-" else distance


def _min_sample(name: str, place: Place) -> int:
    if name not in SAMPLED:
        raise Misfit(f"is for {', '.join(SAMPLED)} alone")
    return whole(1)(place)


def _limit(place: Place, spec: CriterionSpec | None) -> Limit:
    if spec is None:
        value = None if isinstance(place.node, yaml.CollectionNode) else scalar(place)
        if value is None:
            raise misfit(place, "true, false, a number or a text")
        return value
    match spec.unit:
        case Unit.TRUTH:
            return flag(place)
        case Unit.PERCENT:
            return percent(place)
        case Unit.MILLISECONDS if place.node.tag.endswith(":str"):
            return round(duration(place) * 1000)
        case _:
            return whole(0)(place)


def _warn_at(name: str, spec: CriterionSpec | None, limit: Limit, place: Place) -> int | float | None:
    """The limit of the warn band: on the stricter side of the limit proper."""
    form = form_of(name, limit)
    if form not in {Form.MIN, Form.MAX}:
        raise Misfit("needs a criterion with a lowest or a highest limit")
    value = number(place) if spec is None else _limit(place, spec)
    if isinstance(limit, str):
        raise Misfit("cannot be held against a limit that goes by the base")
    if isinstance(value, bool | str) or value is None or isinstance(limit, bool):
        raise misfit(place, "a number")
    if (form is Form.MIN and value < limit) or (form is Form.MAX and value > limit):
        raise Misfit(f"must be stricter than the limit {limit}, not {shown(place.node)}")
    return value


def _check_floor(criterion: Criterion, place: Place, scope: Scope) -> None:
    """What is always in force cannot be switched off, and says so when it is only softened."""
    if scope.phase is None or scope.is_nested:
        return
    for floor in FLOOR.get(scope.phase, ()):
        if canonical_name(criterion.name) != floor.name or is_as_strict(criterion, floor):
            continue
        if criterion.limit is False:
            raise Misfit(f"cannot be switched off: {floor.name} is always asked for after {scope.phase}")
        place.warn(f"is always in force as a blocker after {scope.phase}, whatever its severity here")


def _advise(criterion: Criterion, spec: CriterionSpec, place: Place, scope: Scope) -> None:
    """Warnings about a criterion that never says no, always says no, or that nothing can answer."""
    limit = criterion.limit
    is_blocker = scope.severity is GateSeverity.BLOCKER and not scope.is_dry_run
    if spec.form is Form.MIN and limit == 0:
        place.warn("0 is a rubber stamp: it passes whatever was measured")
    elif spec.unit is Unit.PERCENT and isinstance(limit, float) and limit < 1:
        place.warn(f"{limit} means {limit}%; did you mean {limit * 100:g}?")
    if is_blocker and (
        (spec.unit is Unit.PERCENT and limit == 100) or (spec.name == "lint_warnings_max" and not limit)
    ):
        place.warn("asks for perfection as a blocker: every small slip stops the run")
    if scope.phase is not None and scope.phase not in spec.phases:
        place.warn(f"is not measured after {scope.phase}, so it would find no data; it belongs to {spec.phases[0]}")
    if not spec.evidence:
        place.warn(_UNANSWERED)
