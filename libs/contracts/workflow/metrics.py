"""The metrics of a workflow: which signals of production can be read, and which of them a merge is watched by.

Theory: what a workflow says about metrics is kept as it was written, so that what was adopted long ago can
be read for ever; what of it can be measured is told here. The one source is a file, `file: PATH`; a metric
that names none is kept and measured by nobody.
"""

from collections.abc import Iterator
from typing import Any, Final

import yaml
from pydantic import JsonValue, ValidationError

from libs.contracts.workflow import Policy
from libs.contracts.workflow.nodes import Misfit, Place, Table, shown
from libs.contracts.workflow.parts import Better, MetricPolicy
from libs.contracts.workflow.values import anything, choice, misfit, text

UNMEASURED: Final = "nothing can measure this; say file: PATH, a CSV file with the columns timestamp and value"
MEASURED_BY: Final = {"error_rate_spike": "error_rate", "latency_increase": "latency"}
"""Signals that a metric of another name measures as well."""


def declared(metrics: list[JsonValue] | dict[str, JsonValue]) -> dict[str, MetricPolicy]:
    """The metrics that can be measured, by name; whatever else stands there is passed over."""
    found = (_metric(name, entry) for name, entry in _named(metrics))
    return {metric.name: metric for metric in found if metric is not None}


def watched(policy: Policy) -> tuple[MetricPolicy, ...]:
    """The metrics by which a merge is watched: those that roll back, or all where the workflow names none."""
    known = declared(policy.metrics)
    wanted = policy.monitor.rollback_on
    if not wanted:
        return tuple(known.values())
    names = dict.fromkeys(name for signal in wanted for name in (signal, MEASURED_BY.get(signal, signal)))
    return tuple(known[name] for name in names if name in known)


def _named(metrics: list[JsonValue] | dict[str, JsonValue]) -> Iterator[tuple[Any, dict[str, JsonValue]]]:
    if isinstance(metrics, dict):
        yield from ((name, entry) for name, entry in metrics.items() if isinstance(entry, dict))
    else:
        yield from ((entry.get("name"), entry) for entry in metrics if isinstance(entry, dict))


def _metric(name: object, entry: dict[str, JsonValue]) -> MetricPolicy | None:
    """A metric as it was stored; a name or path of digits alone was stored as a number."""
    said = {"name": name, "file": entry.get("file"), "better": entry.get("better")}
    try:
        return MetricPolicy.model_validate({key: str(value) for key, value in said.items() if value is not None})
    except ValidationError:
        return None


def read_metrics(place: Place) -> list[JsonValue] | dict[str, JsonValue]:
    """What a workflow says about metrics: what names a file is checked, what names none is warned of."""
    value = anything(place)
    if isinstance(value, dict):
        for entry in place.entries().values():
            entry.read(_check, None)
        return value
    if not isinstance(value, list):
        raise misfit(place, "a list or a map")
    lines: dict[str, int] = {}
    for entry in place.items():
        name = entry.read(_check, None)
        if name in lines:
            entry.refuse(f"the metric {name} is said twice; the first time on line {lines[name]}")
        elif name is not None:
            lines[name] = entry.line
    return value


def _check(place: Place) -> str | None:
    """Whether one metric can be measured; returned is the name that it has itself, in a list."""
    if not isinstance(place.node, yaml.MappingNode) or "file" not in place.entries():
        place.warn(UNMEASURED)
        return None
    is_listed = place.path.endswith("]")
    table = Table(place, ("name", "file", "better") if is_listed else ("file", "better"))
    if is_listed and "name" not in table.entries:
        raise Misfit("says no name")
    table.read("file", _file, "")
    table.read("better", choice(Better), Better.LOWER)
    return table.optional("name", text)


def _file(place: Place) -> str:
    value = text(place)
    if value.startswith("~") or ".." in value.replace("\\", "/").split("/") or not value.isprintable():
        raise Misfit(f"must be an absolute path, or one below the repository, not {shown(place.node)}")
    return value
