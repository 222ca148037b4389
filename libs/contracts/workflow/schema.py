"""The JSON Schema of `workflow.yaml`, by which an editor completes and checks a file while it is written.

It is made from the tables that the reader uses and accepts what the reader accepts. What only the
reader can know (a limit that is looser than Rung's own, a phase out of order, a file that is not
there) is left to `rung workflow check`. A workflow that lists `reported` names has criteria of its
own, so its criteria are open; those of every other workflow are closed.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from libs.contracts.criteria import CRITERIA, CriterionSpec, Unit
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import AGENT_DRIVERS, READINESS
from libs.contracts.workflow.criteria import GATE_KEYS
from libs.contracts.workflow.parts import (
    Better,
    CommandPolicy,
    GateSeverity,
    LoopName,
    LoopTrigger,
    OnExhaust,
    OnFail,
    OnRegression,
    OnTimeout,
    PhaseRule,
    ReadinessLimits,
    ReportPolicy,
    RetryStrategy,
    Tool,
    WaiverPolicy,
)
from libs.contracts.workflow.sections import PHASE_RULES

Schema = dict[str, Any]

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
GATE_FILE: Final = "gate"
"""The definition that a gate in a file of its own follows."""

_OWN: Final = "_own"
"""Ends the names of the definitions for workflows with criteria of their own."""


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _closed(properties: Schema, *, required: Iterable[str] = ()) -> Schema:
    """A map with these keys and no other."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def _any(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _one_or_list(of: Schema) -> Schema:
    return _any(of, _list(of))


def _words(words: Iterable[str]) -> Schema:
    return {"enum": [str(word) for word in words]}


def _each(keys: Iterable[str], schema: Schema) -> Schema:
    return {str(key): schema for key in keys}


def _whole(low: int, high: int | None = None) -> Schema:
    bound = {} if high is None else {"maximum": high}
    return {"type": "integer", "minimum": low, **bound}


def _choice(words: type[StrEnum]) -> Schema:
    return _words(words)


_TRUTH: Final[Schema] = {"type": "boolean"}
_SCALAR: Final[Schema] = {"type": ["boolean", "number", "string"]}
_TEXTS: Final = _one_or_list(_ref("text"))
_PATHS: Final = _one_or_list(_ref("path"))
_SOME_PATHS: Final = _any(_ref("path"), {**_list(_ref("path")), "minItems": 1})

VALUES: Final[dict[str, Schema]] = {
    "text": {"type": ["string", "number"], "pattern": r"\S"},
    "path": {"type": ["string", "number"], "pattern": r"^[^/~\\]", "description": "A path inside the repository."},
    "duration": {
        "description": "Seconds, or parts such as 1h30m.",
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": r"^(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?$"},
        ],
    },
    "percentage": {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": 100},
            {"type": "string", "pattern": r"^\d{1,3}(\.\d+)? ?%?$"},
        ]
    },
    "share": {
        "description": "A ratio from 0 to 1, or a percentage such as 95%.",
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": 1},
            {"type": "string", "pattern": r"^\d{1,3}(\.\d+)? ?%?$"},
        ],
    },
    "money": {
        "description": "An amount in USD.",
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": r"^\$? ?\d+(\.\d+)?( ?(USD|usd|\$))?$"},
        ],
    },
    "agent": {
        "type": "string",
        "pattern": rf"^(repair(:.*)?|({'|'.join(name for name in AGENT_DRIVERS if name != 'repair')}):.*\S.*)$",
        "description": "Who works: repair, or exec:COMMAND.",
    },
    "date": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
}

_LIMITS: Final[dict[Unit, Schema]] = {
    Unit.TRUTH: _TRUTH,
    Unit.PERCENT: _any(_ref("percentage"), {"type": "string", "pattern": r"^base(\s*[+-]\s*\d+(\.\d+)?\s*%?)?$"}),
    Unit.COUNT: _whole(0),
    Unit.MILLISECONDS: _any(_whole(0), VALUES["duration"]["anyOf"][1]),
}


def workflow_schema() -> Schema:
    """The schema of a workflow; `definitions/gate` is that of a gate file."""
    own = {"properties": {"phases": _ref(f"phases{_OWN}"), "gates": _ref(f"gates{_OWN}")}}
    usual = {"properties": {"phases": _ref("phases"), "gates": _ref("gates")}}
    return {
        "$schema": DIALECT,
        "title": "workflow.yaml of Rung",
        **_closed(_described(_top())),
        "if": {"required": ["reported"]},
        "then": own,
        "else": usual,
        "definitions": {**VALUES, **_shared(), **_gates(""), **_gates(_OWN)},
    }


def _top() -> dict[str, Schema]:
    """The keys of a workflow; what stands under phases and gates depends on `reported`."""
    return {
        "autonomy": _choice(Level),
        "agent": _ref("agent"),
        "phases": {},
        "gates": {},
        "reported": _list({"type": "string", "pattern": r"^[^\W\d]\w*$", "not": _words(CRITERIA)}),
        "loops": _ref("loops"),
        "escalation": _closed({"target": _ref("text"), **_each(("notify", "include"), _TEXTS)}),
        "checkpoints": _any(
            _words(["none"]), _closed(_each((f"after_{phase}" for phase in Phase), _ref("checkpoint")))
        ),
        "auto_merge": _ref("auto_merge"),
        "monitor": _closed({"anomaly_detection": _TRUTH, "rollback_on": _TEXTS, "auto_create_issue": _TRUTH}),
        "routing": {"type": "object", "additionalProperties": _route()},
        "teams": {"type": "object", "additionalProperties": _team()},
        "commands": _closed(_each(CommandPolicy.model_fields, _TEXTS)),
        "reports": _closed(_each(ReportPolicy.model_fields, _PATHS)),
        "protected": _PATHS,
        "caps": _list(_cap()),
        "readiness": _closed({**_each(READINESS, _ref("limits")), "considered_after": _ref("duration")}),
        "budget": _closed(
            {"wall": _ref("duration"), "attempts": _whole(1), "cost": _ref("money"), "attempt_cost": _ref("money")}
        ),
        "quorum": _list(_closed({"paths": _SOME_PATHS, "people": _whole(2, 20)}, required=["paths", "people"])),
        "on_regression": _choice(OnRegression),
        "watch": _watch(),
        "metrics": _metrics(),
        "waivers": _list(_waiver()),
        "deploy": _closed({"auto_merge": _ref("auto_merge")}),
    }


_MEANINGS: Final = {
    "autonomy": "The configured level; the level in force is never above what is earned.",
    "agent": "Who works on every phase that names nobody else.",
    "phases": "Prompt, tools, agent and gates of each phase.",
    "gates": "The criteria after each phase, or files that hold them.",
    "reported": "Names of criteria of the repository's own.",
    "loops": "How often the builder is asked again.",
    "escalation": "Whom to call when healing is exhausted.",
    "checkpoints": "How long a run waits for a human after a phase.",
    "auto_merge": "Whether, and after how long, a change merges by itself at ase.",
    "monitor": "What is watched after a merge.",
    "routing": "The phases and loops of each type of issue.",
    "commands": "Shell commands that are run in the sandbox.",
    "reports": "Globs of the reports that the commands write.",
    "protected": "Globs of paths that no agent may change.",
    "caps": "Lower the level for some changes.",
    "readiness": "Limits that earn a level; they may only be made harder to meet.",
    "budget": "Bounds of one run.",
    "quorum": "How many persons must agree before a change to some paths merges.",
    "teams": "What a team says otherwise, in files below a directory of its own.",
    "on_regression": "What answers a change that does harm.",
    "watch": "How long a merge is watched.",
    "metrics": "By what a merge is watched: CSV files with the columns timestamp and value.",
    "waivers": "Let one finding pass until the end of a day.",
}


def _described(properties: dict[str, Schema]) -> Schema:
    return {
        key: {"description": _MEANINGS[key], **_beside(schema)} if key in _MEANINGS else schema
        for key, schema in properties.items()
    }


def _beside(schema: Schema) -> Schema:
    """A schema that may have neighbours, which a reference in this dialect may not."""
    return {"allOf": [schema]} if "$ref" in schema else schema


def _checkpoint() -> Schema:
    return _closed(
        {
            "require": _words(["human_approval"]),
            "timeout": _ref("duration"),
            "on_timeout": _choice(OnTimeout),
        }
    )


def _route() -> Schema:
    return _closed({"phases": _any(_choice(Phase), {**_list(_choice(Phase)), "minItems": 1}), "loops": _ref("loops")})


def _team() -> Schema:
    strategies = _closed(_each(("prompts", "gates"), _words(("replace", "additive"))))
    return _closed({"override_dir": _ref("path"), "merge_strategy": strategies})


def _cap() -> Schema:
    conditions = {"paths": _PATHS, "labels": _TEXTS, "class": _TEXTS}
    return {**_closed({**conditions, "max": _choice(Level)}, required=["max"]), "minProperties": 2}


def _readiness() -> dict[str, Schema]:
    known = {"successful_runs_min": _whole(0), "average_retries_max": {"type": "number", "minimum": 0}}
    return {name: known.get(name, _ref("share")) for name in ReadinessLimits.model_fields}


def _watch() -> Schema:
    whole = _closed({"duration": _ref("duration"), "min_points": _whole(1)}, required=["duration"])
    return _any(_ref("duration"), whole)


def _metrics() -> Schema:
    """A map or a list; only a metric that names a file can be measured, and has no other keys then."""
    fields = {"file": _ref("text"), "better": _choice(Better)}
    other: Schema = {"not": {"type": "object", "required": ["file"]}}
    listed = _closed({"name": _ref("text"), **fields}, required=["name", "file"])
    return _any(
        {"type": "object", "additionalProperties": _any(_closed(fields, required=["file"]), other)},
        _list(_any(listed, other)),
    )


def _waiver() -> Schema:
    fields = {name: _ref("text") for name in WaiverPolicy.model_fields}
    return _closed({**fields, "expires": _ref("date")}, required=fields)


def _shared() -> dict[str, Schema]:
    """Definitions that several places use."""
    escalation = {"target": _ref("text"), "after_retries_exhausted": _ref("text"), "message": _ref("text")}
    loop = {
        "max": _whole(0, 10),
        "trigger": _choice(LoopTrigger),
        "ignore": _TEXTS,
        "on_exhaust": _choice(OnExhaust),
        "cost_ceiling": _ref("money"),
    }
    return {
        **{f"limit_{unit}": _with_traits(limit) for unit, limit in _LIMITS.items()},
        "limit_own": _with_traits(_SCALAR),
        "loop": _closed(loop),
        "checkpoint": _checkpoint(),
        "limits": _closed(_readiness()),
        "loops": _closed(_each(LoopName, _ref("loop"))),
        "auto_merge": _any(_TRUTH, _closed({"enabled": _TRUTH, "delay": _ref("duration")})),
        "gate_escalation": _any(_ref("text"), _closed({**escalation, "context": _TEXTS})),
        "tools": _any(_closed(_each(Tool, _TRUTH)), _one_or_list(_choice(Tool))),
    }


def _gates(kind: str) -> dict[str, Schema]:
    """Definitions of gates, the names of all ending alike."""
    gate_list = _list(_any(_ref("gate_path"), _ref(f"gate{kind}")))
    settings = _gate_settings(kind)
    flat = {**settings, "auto_merge": _ref("auto_merge"), **_criteria(kind)}
    return {
        "gate_path": {"type": "string", "pattern": r"^[^/~\\].*\.ya?ml$"},
        f"criteria{kind}": {**_closed(_criteria(kind)), **_openness(kind), "minProperties": 1},
        f"gate{kind}": _closed(settings, required=["criteria"]),
        f"phase_gate{kind}": {**_closed(flat), **_openness(kind)},
        f"gates_under{kind}": _any(_ref("gate_path"), gate_list, _ref(f"phase_gate{kind}")),
        f"gates{kind}": _any(_ref("gate_path"), gate_list, _closed(_each(Phase, _ref(f"gates_under{kind}")))),
        f"phases{kind}": _closed({phase: _ref(_phase_name(phase, kind)) for phase in Phase}),
        **{_phase_name(phase, kind): _closed(_phase(phase, kind)) for phase in Phase},
    }


def _phase_name(phase: Phase, kind: str) -> str:
    """The definition of a phase; phases of which everything may be said share one."""
    return f"phase_{phase}{kind}" if phase in PHASE_RULES else f"phase{kind}"


def _phase(phase: Phase, kind: str) -> dict[str, Schema]:
    return {
        "template": _ref("path"),
        "tools": _ref("tools"),
        "execute_allowlist": _TEXTS,
        "deny_reasons": _closed(_each(Tool, _ref("text"))),
        "agent": _ref("agent"),
        "disposition": _words(PHASE_RULES.get(phase, tuple(PhaseRule))),
        "gates": _ref(f"gates_under{kind}"),
    }


def _gate_settings(kind: str) -> dict[str, Schema]:
    known: dict[str, Schema] = {
        "gate": _ref("text"),
        "trigger": _words(f"after-{phase}" for phase in Phase),
        "criteria": _ref(f"criteria{kind}"),
        "version": _whole(0),
        "severity": _choice(GateSeverity),
        "on_fail": _choice(OnFail),
        "max_retries": _whole(0, 10),
        "retry_strategy": _choice(RetryStrategy),
        "escalation": _ref("gate_escalation"),
        "flaky": _TEXTS,
    }
    return {key: known.get(key, _TRUTH) for key in GATE_KEYS}


def _openness(kind: str) -> Schema:
    """A name that begins with `has_` is the repository's own; others are where the workflow lists them."""
    own = _ref("limit_own")
    return {"patternProperties": {r"^has_\w+$": own}, "additionalProperties": own if kind == _OWN else False}


def _criteria(kind: str) -> dict[str, Schema]:
    group = {**_list(_ref(f"criteria{kind}")), "minItems": 1}
    return {**{name: _criterion(spec) for name, spec in CRITERIA.items()}, **_each(("any_of", "all_of"), group)}


def _criterion(spec: CriterionSpec) -> Schema:
    return {"description": spec.meaning, "allOf": [_ref(f"limit_{spec.unit}")]}


def _with_traits(limit: Schema) -> Schema:
    """A limit alone, or a map of the limit with what goes with it."""
    traits = {
        "limit": limit,
        "warn": limit,
        "min_sample": _whole(1),
        "dry_run": _TRUTH,
        "severity": _choice(GateSeverity),
    }
    return _any(limit, _closed(traits, required=["limit"]))
