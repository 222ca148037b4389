"""Warnings about a policy as a whole: what is allowed, and probably not what its author wants."""

from collections.abc import Callable, Iterator
from typing import Final

from libs.contracts.criteria import canonical_name
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import Policy
from libs.contracts.workflow.nodes import Place, find
from libs.contracts.workflow.parts import AllOf, AnyOf, Criterion, OnRegression, Rule

Advice = tuple[str, str]
"""The dotted path of a key, and a sentence about it."""


def _about_auto_merge(policy: Policy) -> Iterator[Advice]:
    if policy.auto_merge.enabled and policy.autonomy is not Level.ASE:
        yield "auto_merge", f"has no effect at {policy.autonomy}: only ase merges by itself"
    if policy.autonomy is Level.ASE and not policy.auto_merge.enabled:
        yield "autonomy", "ase without auto_merge.enabled: a human merges every change"


def _about_safety(policy: Policy) -> Iterator[Advice]:
    if policy.autonomy is not Level.ASE:
        return
    if not policy.monitor.anomaly_detection:
        yield "autonomy", "ase without monitor.anomaly_detection: nobody would see that a change does harm"
    if not policy.monitor.rollback_on:
        yield "autonomy", "ase without monitor.rollback_on: a change that does harm would stay"
    if policy.on_regression is OnRegression.ALERT:
        yield "on_regression", "alert at ase: a change that does harm stays until a human acts"


def _about_checkpoints(policy: Policy) -> Iterator[Advice]:
    if policy.autonomy is Level.ASE and policy.checkpoints:
        yield "checkpoints", "ase waits for nobody: they count only while a lower level is in force"


def _about_tests(policy: Policy) -> Iterator[Advice]:
    if not any(_asks(rule, "all_pass") for rule in policy.gates[Phase.TEST].criteria):
        yield "gates.test", "asks not that the tests pass; add all_pass: true"


def _asks(rule: Rule, name: str) -> bool:
    match rule:
        case Criterion():
            return canonical_name(rule.name) == name
        case AnyOf():
            return any(_asks(inner, name) for inner in rule.any_of)
        case AllOf():
            return any(_asks(inner, name) for inner in rule.all_of)


def _about_routes(policy: Policy) -> Iterator[Advice]:
    for kind, route in policy.routing.items():
        if policy.autonomy is Level.ASE and Phase.REVIEW not in route.phases:
            yield f"routing.{kind}", "goes without review, and what nobody reviewed never merges by itself"


ADVISERS: Final[tuple[Callable[[Policy], Iterator[Advice]], ...]] = (
    _about_auto_merge,
    _about_safety,
    _about_checkpoints,
    _about_tests,
    _about_routes,
)


def advise(policy: Policy, root: Place) -> None:
    """Note every warning at the place it speaks of, or at the start of the file if that is not written there."""
    for adviser in ADVISERS:
        for path, message in adviser(policy):
            place = find(root, path.split("."))
            root.findings.add(place.line if place else root.line, path, message, is_warning=True)
