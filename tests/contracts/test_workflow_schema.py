"""The schema for editors says what the reader says: the same keys, the same words, at every level."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from libs.contracts.criteria import CRITERIA
from libs.contracts.workflow.parts import WorkflowRefused
from libs.contracts.workflow.reading import KEYS, read_workflow
from libs.contracts.workflow.schema import GATE_FILE, workflow_schema

SCHEMA: Final = workflow_schema()
PUBLISHED: Final = Path(__file__).parents[1] / "data" / "workflows"
WORKFLOWS: Final = sorted(path.name for path in PUBLISHED.glob("*.yaml"))
GATES: Final = sorted(path.name for path in (PUBLISHED / "gates").glob("*.yaml"))
NOBODY: Final = "zzqqx"
TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
}


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is as the schema says, for the keywords that the schema uses."""
    if "$ref" in schema:
        return fits(value, SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]])
    branches = [schema["then" if fits(value, schema["if"]) else "else"]] if "if" in schema else []
    return (
        ("type" not in schema or _is_of(value, schema["type"]))
        and ("enum" not in schema or value in schema["enum"])
        and ("anyOf" not in schema or any(fits(value, option) for option in schema["anyOf"]))
        and all(fits(value, part) for part in (*schema.get("allOf", ()), *branches))
        and ("not" not in schema or not fits(value, schema["not"]))
        and (not isinstance(value, str) or re.search(schema.get("pattern", ""), value) is not None)
        and (not isinstance(value, int | float) or _is_within(value, schema))
        and (not isinstance(value, list) or _is_list(value, schema))
        and (not isinstance(value, dict) or _is_map(value, schema))
    )


def _is_of(value: Any, types: str | list[str]) -> bool:
    named = [types] if isinstance(types, str) else types
    if isinstance(value, bool):
        return "boolean" in named
    return any(isinstance(value, TYPES[name]) for name in named)


def _is_within(value: float, schema: dict[str, Any]) -> bool:
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


def _is_list(value: list[Any], schema: dict[str, Any]) -> bool:
    return len(value) >= schema.get("minItems", 0) and all(fits(item, schema.get("items", {})) for item in value)


def _is_map(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    has_all = set(schema.get("required", ())) <= set(value) and len(value) >= schema.get("minProperties", 0)
    return has_all and all(_fits_as(key, inner, schema) for key, inner in value.items())


def _fits_as(key: str, value: Any, schema: dict[str, Any]) -> bool:
    patterns = [inner for pattern, inner in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
    named = [schema["properties"][key]] if key in schema.get("properties", {}) else []
    rest = schema.get("additionalProperties", True)
    if not (named or patterns) and isinstance(rest, bool):
        return rest
    return all(fits(value, inner) for inner in (*named, *patterns) or (rest,))


def text_fits(text: str) -> bool:
    return fits(yaml.safe_load(text), SCHEMA)


def read_problems(text: str) -> list[str]:
    try:
        read_workflow(text)
    except WorkflowRefused as refused:
        return [problem.message for problem in refused.problems if not problem.is_warning]
    return []


# -- what is accepted ---------------------------------------------------------


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_published_workflow_fits(name: str) -> None:
    assert text_fits((PUBLISHED / name).read_text())


@pytest.mark.parametrize("name", GATES)
def test_every_published_gate_file_fits_the_definition_of_a_gate(name: str) -> None:
    gates = list(yaml.safe_load_all((PUBLISHED / "gates" / name).read_text()))
    assert gates
    assert all(fits(gate, SCHEMA["definitions"][GATE_FILE]) for gate in gates)


ACCEPTED: Final = (
    "gates: {test: {criteria: {coverage_min: {limit: 80, warn: 90, severity: warning}, all_pass: true}}}",
    "gates:\n  test:\n    - {criteria: {any_of: [{coverage_min: 80%}, {no_skipped_tests: true}]}}\n",
    "gates: {test: {has_own_proof: true, max_test_duration_ms: 5m}, deploy: {auto_merge: true}}",
    "reported: [mutants_max]\ngates: {test: {all_pass: true, mutants_max: 3}}",
    "watch: 2s\nprotected: [a/**]\ncommands: {test: [a, b], lint: c}",
    "watch: {duration: 1h30m, min_points: 20}\nmetrics: [errors]\nagent: 'exec:python3 tools/agent.py {phase}'",
    "metrics: {e: {file: e.csv, better: higher}, q: {query: sum}, n: 5}",
    "metrics: [{name: e, file: /var/e.csv}, {name: q}, q]",
    "caps: [{paths: 'payments/**', max: supervised}]\nreadiness: {ase: {gate_accuracy_min: 99%}}\nbudget: {cost: $5}",
    "routing: {docs: {phases: [plan, build, deploy], loops: {test_retry: {max: 1}}}}\ncheckpoints: none",
    "phases: {intent: {tools: read}, plan: {gates: {answers_issue: true}}}\nauto_merge: true\nautonomy: ase",
    "waivers: [{fingerprint: f, reason: r, author: a, expires: '2030-12-31'}]\non_regression: hotfix",
    "phases: {test: {disposition: required}, deploy: {disposition: human}, monitor: {tools: read}}",
    "quorum: [{paths: [a/**], people: 2}, {paths: b, people: 20}]\nbudget: {cost: 5, attempt_cost: $1.50}",
    "teams: {web: {override_dir: teams/web, merge_strategy: {gates: replace}}}\nescalation: {notify: mail}",
)


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_the_reader_accepts_fits(text: str) -> None:
    assert read_problems(text) == []
    assert text_fits(text)


REFUSED: Final = (
    "autonomi: ase",
    "metrics: {e: {file: e.csv, unit: ms}}",
    "metrics: [{name: e, file: e.csv, better: up}]",
    "metrics: [{file: e.csv}]",
    "autonomy: full",
    "agent: robot",
    "agent: 'exec:'",
    "gates: {test: {all_pas: true}}",
    "gates: {test: {all_pass: 1}}",
    "gates: {test: {coverage_min: 101}}",
    "gates: {test: {coverage_min: {warn: 90}}}",
    "gates: {tests: {all_pass: true}}",
    "gates: {test: {any_of: []}}",
    "gates: [{gate: x}]",
    "gates: /etc/gate.yaml",
    "phases: {plan: {tool: [read]}}",
    "phases: {plan: {tools: [reed]}}",
    "loops: {test_retry: {max: 11}}",
    "checkpoints: {after_plan: {on_timeout: approve}}",
    "checkpoints: all",
    "watch: {min_points: 3}",
    "watch: soon",
    "caps: [{max: ase}]",
    "routing: {bug: {phases: []}}",
    "reported: [all_pass]",
    "protected: [/etc]",
    "deploy: {automerge: true}",
    "waivers: [{fingerprint: f}]",
    "phases: {plan: {disposition: always}}",
    "phases: {deploy: {disposition: optional}}",
    "phases: {monitor: {disposition: human}}",
    "quorum: [{paths: [], people: 2}]",
    "quorum: [{paths: a, people: 1}]",
    "quorum: [{people: 2}]",
    "budget: {attempt_cost: much}",
    "teams: {web: {prompts: {plan: x.md}}}",
)


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_reader_refuses_by_its_form_does_not_fit(text: str) -> None:
    assert read_problems(text)
    assert not text_fits(text)


# -- the same keys and words as the reader's ----------------------------------


def test_the_keys_at_the_top_are_those_of_the_reader() -> None:
    assert set(SCHEMA["properties"]) == set(KEYS)


@pytest.mark.parametrize("kind", ["criteria", "criteria_own", "phase_gate", "phase_gate_own"])
def test_every_criterion_can_be_asked_for_and_says_what_it_means(kind: str) -> None:
    properties = SCHEMA["definitions"][kind]["properties"]
    assert {name: properties[name]["description"] for name in CRITERIA} == {
        name: spec.meaning for name, spec in CRITERIA.items()
    }


CLOSED: Final = (
    "phases",
    "phases.plan",
    "phases.plan.tools",
    "phases.plan.deny_reasons",
    "phases.deploy",
    "phases.monitor",
    "gates",
    "loops",
    "loops.test_retry",
    "escalation",
    "checkpoints",
    "checkpoints.after_plan",
    "auto_merge",
    "deploy",
    "monitor",
    "routing.bug",
    "routing.bug.loops",
    "teams.web",
    "teams.web",
    "teams.web.merge_strategy",
    "commands",
    "reports",
    "readiness",
    "readiness.ase",
    "budget",
    "watch",
    "gates.test.escalation",
    "gates.test.all_pass",
)


def schemas_at(path: list[str], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every schema that speaks of the value at a path."""
    if "$ref" in schema:
        yield from schemas_at(path, SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]])
        return
    if not path:
        yield schema
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *([schema["else"]] if "else" in schema else ())):
        yield from schemas_at(path, part)
    rest = schema.get("additionalProperties")
    inner = schema.get("properties", {}).get(path[0], rest) if path else None
    if isinstance(inner, dict):
        yield from schemas_at(path[1:], inner)


def probe(path: str, value: Any) -> str:
    for key in reversed(path.split(".")):
        value = {key: value}
    return yaml.safe_dump(value)


def known_here(path: str) -> set[str]:
    """The keys that the reader names when it refuses one that nobody knows."""
    [message] = [said for said in read_problems(probe(path, {NOBODY: 1})) if said.startswith("unknown key; known here")]
    return set(message.partition("known here: ")[2].split(", "))


@pytest.mark.parametrize("path", CLOSED)
def test_a_closed_level_has_the_keys_that_the_reader_knows_there(path: str) -> None:
    closed = [schema for schema in schemas_at(path.split("."), SCHEMA) if "properties" in schema]
    assert [schema["additionalProperties"] for schema in closed] == [False]
    assert set(closed[0]["properties"]) == known_here(path)


WORDS: Final = (
    "autonomy",
    "on_regression",
    "loops.test_retry.trigger",
    "loops.test_retry.on_exhaust",
    "checkpoints.after_plan.on_timeout",
    "checkpoints.after_plan.require",
    "gates.test.severity",
    "gates.test.on_fail",
    "gates.test.retry_strategy",
    "teams.web.merge_strategy.gates",
    "phases.plan.tools",
    "phases.plan.disposition",
    "phases.deploy.disposition",
    "routing.bug.phases",
)


@pytest.mark.parametrize("path", WORDS)
def test_the_words_of_an_enumeration_are_those_of_the_reader(path: str) -> None:
    [schema] = [schema for schema in schemas_at(path.split("."), SCHEMA) if "enum" in schema]
    said = next(said for said in read_problems(probe(path, NOBODY)) if said.startswith("must be "))
    words = said.removeprefix("must be ").partition(", not ")[0].replace(" or ", ", ").split(", ")
    assert schema["enum"] == words


def every(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            yield from every(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from every(inner)


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    named = {schema["$ref"] for schema in every(SCHEMA) if isinstance(schema.get("$ref"), str)}
    assert named == {f"#/definitions/{name}" for name in SCHEMA["definitions"]}


def test_the_schema_survives_json() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
