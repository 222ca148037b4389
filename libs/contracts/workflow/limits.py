"""Whether the gates of one policy are at least as tight as those of another, and the name of a set of gates.

What proved a level was the gates as they stood. Gates that ask for more let nothing through that was stopped before;
any other change may, so that it counts as looser: a rule that is gone, a limit that is easier to meet, a rule that
only warns, a test more that is known to be flaky, a gate that changes of one type or of one team no longer come to.
Rules in groups are compared whole.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

from libs.contracts.criteria import Form, canonical_name, form_of
from libs.contracts.words import Digest, Phase
from libs.contracts.workflow import Criterion, GateSeverity, Policy, Rule

UNROUTED: Final = ""
"""A type of issue for which no workflow has a route."""


class Tightness(StrEnum):
    SAME = "same"
    TIGHTER = "tighter"
    LOOSER = "looser"
    INCOMPARABLE = "incomparable"


def gates_digest(policy: Policy) -> Digest:
    """Name of the gates of a policy: the same for the same rules, commands and reports."""
    said = policy.model_dump(mode="json", include={"commands", "reports", "waivers"})
    rules = {phase: [*map(_canonical, policy.criteria_of(phase)), *policy.gates[phase].flaky] for phase in policy.gates}
    text = json.dumps({**said, "gates": rules}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def compared(before: Policy, after: Policy) -> Tightness:
    """How the gates of `after` stand to those of `before`, over all phases, teams and types of issue."""
    found = {*_routes(before, after)}
    for team in (None, *dict.fromkeys((*before.teams, *after.teams))):
        was, now = before.for_team(team), after.for_team(team)
        found.update(change for phase in Phase for change in _phase(was, now, phase))
    if not found:
        return Tightness.SAME
    return next(iter(found)) if len(found) == 1 else Tightness.INCOMPARABLE


def _phase(before: Policy, after: Policy, phase: Phase) -> Iterator[Tightness]:
    """How the gate of one phase has changed: what was asked and is no longer, and what is asked and was not."""
    asked, asks = _blocking(before, phase), _blocking(after, phase)
    was, now = _flaky(before, phase), _flaky(after, phase)
    if now - was or not all(_is_asked(rule, asks) for rule in asked):
        yield Tightness.LOOSER
    if was - now or not all(_is_asked(rule, asked) for rule in asks):
        yield Tightness.TIGHTER


def _routes(before: Policy, after: Policy) -> Iterator[Tightness]:
    """Gates that changes of some type came to and no longer do, and the other way round."""
    for issue_type in (UNROUTED, *dict.fromkeys((*before.routing, *after.routing))):
        was, now = {*before.route(issue_type)}, {*after.route(issue_type)}
        if any(_blocking(before, phase) for phase in was - now):
            yield Tightness.LOOSER
        if any(_blocking(after, phase) for phase in now - was):
            yield Tightness.TIGHTER


def _flaky(policy: Policy, phase: Phase) -> frozenset[str]:
    return frozenset(policy.gates[phase].flaky if phase in policy.gates else ())


def _blocking(policy: Policy, phase: Phase) -> list[Rule]:
    """Rules that stop a change."""
    return [rule for rule in policy.criteria_of(phase) if rule.severity is GateSeverity.BLOCKER and not rule.is_dry_run]


def _is_asked(rule: Rule, among: Iterable[Rule]) -> bool:
    """Whether one of these rules asks for at least as much."""
    return any(_is_as_tight(other, rule) for other in among)


def _is_as_tight(rule: Rule, as_this: Rule) -> bool:
    if rule == as_this:
        return True
    if not (isinstance(rule, Criterion) and isinstance(as_this, Criterion)):
        return False
    return _measured(rule) == _measured(as_this) and _is_limit_as_tight(rule, as_this)


def _measured(rule: Criterion) -> tuple[str, float | None, int | None]:
    """What a criterion holds its limit against; limits of two that differ in it say nothing about each other."""
    return canonical_name(rule.name), rule.from_base, rule.min_sample


def _is_limit_as_tight(rule: Criterion, as_this: Criterion) -> bool:
    limit, other = rule.limit, as_this.limit
    form = form_of(canonical_name(rule.name), limit)
    if limit == other or isinstance(limit, str | bool) or isinstance(other, str | bool):
        return limit == other
    return (form is Form.MIN and limit >= other) or (form is Form.MAX and limit <= other)


def _canonical(rule: Rule) -> str:
    return json.dumps(rule.model_dump(mode="json"), sort_keys=True)
