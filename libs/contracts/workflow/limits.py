"""Whether the gates of one policy are at least as tight as those of another, and the name of a set of gates.

What proved a level was the gates as they stood. Gates that ask for more let nothing through that was stopped before;
any other change may, so that it counts as looser: a rule that is gone, a limit that is easier to meet, a rule that
only warns, a test more that is known to be flaky. Rules in groups are compared whole.
"""

import hashlib
import json
from enum import StrEnum

from libs.contracts.criteria import Form, canonical_name, form_of
from libs.contracts.words import Digest, Phase
from libs.contracts.workflow import Criterion, GateSeverity, Policy, Rule


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
    """How the gates of `after` stand to those of `before`, over all phases."""
    found = frozenset[Tightness]().union(*(_phase(before, after, phase) for phase in Phase))
    if not found:
        return Tightness.SAME
    return next(iter(found)) if len(found) == 1 else Tightness.INCOMPARABLE


def _phase(before: Policy, after: Policy, phase: Phase) -> frozenset[Tightness]:
    asked, asks = _blocking(before, phase), _blocking(after, phase)
    kept = (_rule(asked[key], asks[key]) for key in asked.keys() & asks.keys())
    changes = {
        Tightness.LOOSER if asked.keys() - asks.keys() else Tightness.SAME,
        Tightness.TIGHTER if asks.keys() - asked.keys() else Tightness.SAME,
        *_flaky(before, after, phase),
        *kept,
    }
    return frozenset(changes - {Tightness.SAME})


def _flaky(before: Policy, after: Policy, phase: Phase) -> frozenset[Tightness]:
    was, now = (set(policy.gates[phase].flaky) if phase in policy.gates else set() for policy in (before, after))
    return frozenset({Tightness.LOOSER} if now - was else ()) | frozenset({Tightness.TIGHTER} if was - now else ())


def _blocking(policy: Policy, phase: Phase) -> dict[str, Rule]:
    """Rules that stop a change, by the criterion they ask; a group by all that it says."""
    rules = (rule for rule in policy.criteria_of(phase) if _is_blocking(rule))
    return {canonical_name(rule.name) if isinstance(rule, Criterion) else _canonical(rule): rule for rule in rules}


def _is_blocking(rule: Rule) -> bool:
    return rule.severity is GateSeverity.BLOCKER and not rule.is_dry_run


def _rule(before: Rule, after: Rule) -> Tightness:
    if before == after or not (isinstance(before, Criterion) and isinstance(after, Criterion)):
        return Tightness.SAME
    if before.from_base != after.from_base or before.min_sample != after.min_sample:
        return Tightness.INCOMPARABLE
    if before.limit == after.limit:
        return Tightness.SAME
    return _limit(before, after)


def _limit(before: Criterion, after: Criterion) -> Tightness:
    form = form_of(canonical_name(before.name), before.limit)
    was, now = before.limit, after.limit
    if form not in (Form.MIN, Form.MAX) or isinstance(was, str | bool) or isinstance(now, str | bool):
        return Tightness.INCOMPARABLE
    is_tighter = now > was if form is Form.MIN else now < was
    return Tightness.TIGHTER if is_tighter else Tightness.LOOSER


def _canonical(rule: Rule) -> str:
    return json.dumps(rule.model_dump(mode="json"), sort_keys=True)
