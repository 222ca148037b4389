"""Recorded decisions: bound to what was open at that time, and never such as have to be refused."""

from collections.abc import Iterator

from libs.contracts.facts import DecisionRecorded
from libs.contracts.words import DecisionKind, Outcome
from services.gatekeeper.decisions import JUDGED, is_override
from services.gatekeeper.run import Run


def wrong(run: Run, decision: DecisionRecorded) -> Iterator[tuple[str, str]]:
    """Codes and sentences for what does not hold of a decision on the run as it was."""
    for name, own, open_then in _bound(run, decision):
        if own != open_then:
            said = f"{decision.kind} by {decision.by} is about {name} {_short(own)}; {_short(open_then)} was open"
            yield "decision.unbound", said
    outcome = run.judged.verdict.outcome if run.judged and run.stage in JUDGED else None
    if decision.kind is DecisionKind.APPROVE and outcome is Outcome.FAIL:
        yield "decision.against_verdict", "an approval stands on a fail, which only an override may contradict"
    if decision.kind is DecisionKind.OVERRIDE and outcome is not Outcome.FAIL:
        yield "decision.against_verdict", f"an override stands where the gate said {outcome or 'nothing'}"
    if decision.kind is DecisionKind.OVERRIDE and decision.automatic:
        yield "decision.against_verdict", "a program overrode a gate"
    if decision.is_override != is_override(run, decision.kind):
        how = "is called an override and contradicts no verdict"
        other = "contradicts the verdict and is not called an override"
        yield "decision.override", f"the {decision.kind} {how if decision.is_override else other}"


def _bound(run: Run, decision: DecisionRecorded) -> Iterator[tuple[str, object, object]]:
    yield "phase", decision.phase, run.phase
    yield "attempt", decision.attempt, max(run.attempt, 1)
    yield "policy", decision.policy_digest, run.begun.policy_digest
    if decision.kind is not DecisionKind.REVOKE:
        yield "commit", decision.commit, run.checkpoint.commit if run.checkpoint else run.commit
    elif run.merged is not None:
        yield "commit", decision.commit, run.merged.tip


def _short(value: object) -> str:
    return str(value)[:12] if value else "none"
