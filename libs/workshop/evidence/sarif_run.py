"""One run in a SARIF report: the tool, its rules and their configuration, and what a single result tells."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple
from urllib.parse import unquote, urlsplit

from libs.workshop.evidence.reading import in_checkout, plain
from libs.workshop.evidence.weights import score_of

RULE_LENGTH_MAX = 200
PATH_LENGTH_MAX = 1000
MESSAGE_READ_MAX = 4000
BASES_DEEP_MAX = 8
LEVELS = frozenset({"none", "note", "warning", "error"})

KNOWN_BEFORE = frozenset({"unchanged", "absent"})
"""States against a baseline that say: not new."""


class Told(NamedTuple):
    """What is kept of a result: a report holds hundreds of thousands, with much that nobody asks for."""

    rule_id: str
    rule_index: int | None
    component: Mapping[str, Any]
    level: str
    score: float | None
    graded: tuple[str, str] | None
    tags: tuple[str, ...]
    uri: str
    base: str
    artifact_index: int | None
    line: int
    message: str
    message_id: str
    arguments: tuple[str, ...]
    fingerprints: tuple[str, ...]
    invocation_index: int | None
    is_waived: bool


class Rule(NamedTuple):
    """A rule as its tool describes it; an empty one where it does not."""

    id: str = ""
    guid: str = ""
    level: str = ""
    score: float | None = None
    tags: tuple[str, ...] = ()
    messages: Mapping[str, Any] = MappingProxyType({})


NO_RULE = Rule()
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Component:
    """A tool's driver or one of its extensions, with its rules by place and by id."""

    name: str
    guid: str
    rules: Sequence[Rule]
    by_id: Mapping[str, Rule]

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> "Component":
        rules = [_rule(mapping(rule)) for rule in listed(tree.get("rules"))]
        by_id = {key: rule for rule in reversed(rules) for key in (rule.guid, rule.id) if key}
        return cls(text(tree.get("name"), 60).lower(), text(tree.get("guid"), 60), rules, by_id)

    def rule(self, index: int | None, rule_id: str) -> Rule:
        """By place, else by id; `CA1000/1` is a case of the rule `CA1000`."""
        if index is not None and 0 <= index < len(self.rules):
            return self.rules[index]
        while rule_id and rule_id not in self.by_id:
            rule_id = rule_id.rpartition("/")[0]
        return self.by_id.get(rule_id, NO_RULE)


@dataclass(frozen=True)
class Tool:
    """A tool's driver and its extensions."""

    driver: Component
    extensions: Sequence[Component]

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> "Tool":
        extensions = [Component.of(mapping(one)) for one in listed(tree.get("extensions"))]
        return cls(Component.of(mapping(tree.get("driver"))), extensions)

    def component(self, reference: Mapping[str, Any]) -> Component:
        """By place, else by guid or name; the driver where the reference says nothing."""
        if not reference:
            return self.driver
        index = _index(reference.get("index"))
        if index is not None and index < len(self.extensions):
            return self.extensions[index]
        guid, name = text(reference.get("guid"), 60), text(reference.get("name"), 60).lower()
        wanted = (one for one in self.extensions if (guid and one.guid == guid) or (name and one.name == name))
        return next(wanted, self.driver)

    def overrides(self, invocation: Mapping[str, Any]) -> dict[str, str]:
        """Levels that an invocation sets anew, by the id of the rule."""
        levels: dict[str, str] = {}
        for entry in map(mapping, listed(invocation.get("ruleConfigurationOverrides"))):
            descriptor = mapping(entry.get("descriptor"))
            level = level_of(mapping(entry.get("configuration")).get("level"))
            component = self.component(mapping(descriptor.get("toolComponent")))
            rule = component.rule(_index(descriptor.get("index")), text(descriptor.get("id") or descriptor.get("guid")))
            if rule.id and level:
                levels[rule.id] = level
        return levels


@dataclass(frozen=True)
class Run:
    """One run of a tool: its components, the levels that invocations set anew, and the bases of its URIs."""

    PARTS: ClassVar = frozenset(
        {"tool", "invocations", "originalUriBaseIds", "artifacts", "externalPropertyFileReferences"}
    )

    components: Tool
    overrides: Sequence[Mapping[str, str]]
    has_failed: bool
    bases: Mapping[str, Mapping[str, Any]]
    artifacts: Sequence[Mapping[str, Any]]
    _paths: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> "Run":
        components = Tool.of(mapping(parts.get("tool")))
        invocations = [mapping(one) for one in listed(parts.get("invocations"))]
        return cls(
            components=components,
            overrides=[components.overrides(one) for one in invocations],
            has_failed=any(one.get("executionSuccessful") is False for one in invocations),
            bases={key: mapping(base) for key, base in mapping(parts.get("originalUriBaseIds")).items()},
            artifacts=[mapping(mapping(one).get("location")) for one in listed(parts.get("artifacts"))],
        )

    @property
    def tool(self) -> str:
        """Which tool ran; empty where the report does not say, which the standard forbids."""
        return self.components.driver.name

    def rule(self, told: Told) -> Rule:
        return self.components.component(told.component).rule(told.rule_index, told.rule_id)

    def level(self, told: Told, rule: Rule) -> str:
        """The result's own level, else what its invocation says of the rule, else the rule's own, else `warning`."""
        return told.level or self._override(told, rule) or rule.level or "warning"

    def file(self, told: Told) -> str:
        """The path in the checkout; empty where the result names no file."""
        uri, base = told.uri, told.base
        if not uri and told.artifact_index is not None and 0 <= told.artifact_index < len(self.artifacts):
            artifact = self.artifacts[told.artifact_index]
            uri, base = _uri(artifact), text(artifact.get("uriBaseId"))
        if (uri, base) not in self._paths:
            self._paths[uri, base] = in_checkout(_uri_path(uri), self._directories(base)) if uri else ""
        return self._paths[uri, base]

    def _directories(self, base: str) -> list[str]:
        """Directories that a URI starts from, nearest first: one base may itself start from another."""
        found: list[str] = []
        while base in self.bases and len(found) < BASES_DEEP_MAX:
            found.append(_uri_path(_uri(self.bases[base])))
            base = text(self.bases[base].get("uriBaseId"))
        return [directory for directory in found if directory]

    def _override(self, told: Told, rule: Rule) -> str:
        index = told.invocation_index
        if index is not None and 0 <= index < len(self.overrides):
            return self.overrides[index].get(rule.id, "")
        return next((levels[rule.id] for levels in self.overrides if rule.id in levels), "")


def lean(result: Any) -> Told | None:
    """What is needed of a result; `None` if it is no result at all."""
    if not isinstance(result, dict):
        return None
    reference, properties = mapping(result.get("rule")), mapping(result.get("properties"))
    physical = _first_place(result)
    artifact = mapping(physical.get("artifactLocation"))
    message = mapping(result.get("message"))
    own = mapping(result.get("fingerprints")) or mapping(result.get("partialFingerprints"))
    spoken = text(message.get("text") or message.get("markdown"), MESSAGE_READ_MAX)
    return Told(
        rule_id=intern(text(result.get("ruleId") or reference.get("id"), RULE_LENGTH_MAX)),
        rule_index=_index(result.get("ruleIndex", reference.get("index"))),
        component=mapping(reference.get("toolComponent")) or _NONE,
        level=level_of(result.get("level")),
        score=score_of(properties),
        graded=_graded(properties),
        tags=_tags(properties),
        uri=intern(_uri(artifact)),
        base=text(artifact.get("uriBaseId"), 200),
        artifact_index=_index(artifact.get("index")),
        line=_index(mapping(physical.get("region")).get("startLine")) or 0,
        message=spoken,
        message_id="" if spoken else text(message.get("id"), RULE_LENGTH_MAX),
        arguments=() if spoken else tuple(str(one) for one in listed(message.get("arguments"))),
        fingerprints=tuple(f"{key}={own[key]}" for key in sorted(own)),
        invocation_index=_index(mapping(result.get("provenance")).get("invocationIndex")),
        is_waived=_is_waived(result),
    )


def _is_waived(result: Mapping[str, Any]) -> bool:
    """Suppressed (unless a suppression was rejected or is under review), known before, or no failure at all."""
    if result.get("kind", "fail") != "fail" or result.get("baselineState") in KNOWN_BEFORE:
        return True
    suppressions = [mapping(entry) for entry in listed(result.get("suppressions"))]
    return bool(suppressions) and all(entry.get("status") in ("accepted", None) for entry in suppressions)


def _first_place(result: Mapping[str, Any]) -> Mapping[str, Any]:
    for location in listed(result.get("locations"))[:1]:
        return mapping(mapping(location).get("physicalLocation"))
    return _NONE


def _graded(properties: Mapping[str, Any]) -> tuple[str, str] | None:
    """Bandit's severity and confidence."""
    if "issue_severity" not in properties:
        return None
    return str(properties["issue_severity"]).upper(), str(properties.get("issue_confidence", "")).upper()


def _rule(tree: Mapping[str, Any]) -> Rule:
    properties = mapping(tree.get("properties"))
    return Rule(
        id=text(tree.get("id"), RULE_LENGTH_MAX),
        guid=text(tree.get("guid"), 60),
        level=level_of(mapping(tree.get("defaultConfiguration")).get("level")),
        score=score_of(properties),
        tags=_tags(properties),
        messages=mapping(tree.get("messageStrings")),
    )


def _tags(properties: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(tag for tag in listed(properties.get("tags")) if isinstance(tag, str))


def level_of(value: Any) -> str:
    """A level of the standard, else nothing: what is no level decides nothing."""
    return value if isinstance(value, str) and value in LEVELS else ""


def _index(value: Any) -> int | None:
    """A count or place that is one; places below zero say that there is none."""
    return value if type(value) is int and value >= 0 else None


def _uri(artifact: Mapping[str, Any]) -> str:
    return text(artifact.get("uri"), 4 * PATH_LENGTH_MAX)


def _uri_path(uri: str) -> str:
    """The path of a URI; of `file:///C:/x` it is `C:/x`."""
    try:
        path = unquote(urlsplit(uri).path) if re.match(r"file:", uri, re.IGNORECASE) else unquote(uri)
    except ValueError:
        path = uri
    return plain(re.sub(r"^/(?=[A-Za-z]:/)", "", path), PATH_LENGTH_MAX)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NONE


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def text(value: Any, length_max: int | None = None) -> str:
    return plain(value, length_max) if isinstance(value, str) else ""
