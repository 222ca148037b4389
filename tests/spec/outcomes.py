"""Runs as they may go, for specs of what is learnt from them: worked on, decided on, merged, watched, taken back.

Nothing here states a verdict: the decider judges and disposes, as it does in production.
"""

from typing import Any, Final

from libs.contracts.evidence import Evidence
from libs.contracts.facts import ChangeClosed, ChangeReverted, DecisionRecorded, LabelStated, RollbackOrdered
from libs.contracts.words import DecisionKind, Level, Phase
from libs.contracts.workflow import Policy
from services.gatekeeper.transitions import Stage
from tests.spec.decider import Given, given
from tests.spec.story import (
    BAD,
    INTEGRATION,
    POLICY,
    RUN,
    WORKFLOW,
    adopted,
    asks,
    completed,
    errored,
    granted,
    merged,
    started,
    watch_ended,
    watch_started,
)

LOOKED: Final = POLICY.model_copy(update={"considered_after_s": 0.0})
"""A policy under which every decision was considered, however fast it came."""

APPROVE, OVERRIDE, REJECT = DecisionKind.APPROVE, DecisionKind.OVERRIDE, DecisionKind.REJECT
L1, L2, L3, L4 = Level


def begun(level: Level = L1, policy: Policy = LOOKED, **more: Any) -> Given:
    return given(adopted(policy), *granted(level), started(level=level, policy=policy, **more)).settled()


def work(log: Given, evidence: Evidence | None = None, **more: Any) -> Given:
    """The answer to the attempt at hand, and what the gatekeeper makes of it."""
    return log.then(completed(log.run.phase, log.run.attempt, evidence, **more)).settled()


def say(log: Given, kind: DecisionKind, **more: Any) -> Given:
    answered = log.requests(asks(kind, f"d{len(log.facts)}", **more))
    assert isinstance(answered.fact, DecisionRecorded), answered.fact
    return answered.after.settled()


def go_to(log: Given, phase: Phase, **more: Any) -> Given:
    """The attempt at a phase is asked for; until then all work is good and every checkpoint approved."""
    while (log.run.stage, log.run.phase) != (Stage.WORKING, phase):
        log = work(log) if log.run.stage is Stage.WORKING else say(log, APPROVE, **more)
    return log


def at_merge(level: Level = L1, policy: Policy = LOOKED, **more: Any) -> Given:
    return work(go_to(begun(level, policy), Phase.DEPLOY, **more))


def authorised(level: Level = L1, policy: Policy = LOOKED, **more: Any) -> Given:
    log = at_merge(level, policy, **more)
    return log.timer("merge-1").settled() if level is L4 else say(log, APPROVE, **more)


def ended(outcome: str = "clear", level: Level = L1, policy: Policy = LOOKED, **more: Any) -> Given:
    log = authorised(level, policy, **more).then(merged(), watch_started(), watch_ended(outcome))
    return log.settled()


def reverted(why: str = "regression") -> ChangeReverted:
    fields: dict[str, Any] = {"why": why}
    return ChangeReverted(run=RUN, tip="f" * 40, reverts=INTEGRATION, reason="errors rose", **fields)


def ordered(why: str = "regression") -> RollbackOrdered:
    fields: dict[str, Any] = {"why": why}
    return RollbackOrdered(run=RUN, reason="errors rose", by="rung", **fields)


def label(phase: Phase = Phase.TEST, source: str = "audit", *, is_right: bool) -> LabelStated:
    fields: dict[str, Any] = {"source": source}
    return LabelStated(workflow=WORKFLOW, run=RUN, phase=phase, is_right=is_right, by="bob", reason="looked", **fields)


def closed(reason: str) -> ChangeClosed:
    fields: dict[str, Any] = {"reason": reason}
    return ChangeClosed(run=RUN, by="bob", **fields)


def overridden_at(phase: Phase, outcome: str = "no_data") -> Given:
    """A run that people let through though one gate failed."""
    log = say(work(go_to(begun(), phase), BAD[phase]), OVERRIDE)
    log = say(work(go_to(log, Phase.DEPLOY)), APPROVE)
    return log.then(merged(), watch_started(), watch_ended(outcome)).settled()


def lost(log: Given, *, is_silent: bool) -> Given:
    """The attempt at hand and those in its place end by infrastructure: with an error, or with no answer at all."""
    while log.run.stage is Stage.WORKING:
        if is_silent:
            log = log.timer(f"deadline-{log.run.phase}-{log.run.attempt}").settled()
        else:
            log = log.then(errored(log.run.phase, log.run.attempt, is_retryable=True)).settled()
        for name in [name for name in log.timers if name.startswith("retry")]:
            log = log.timer(name).settled()
    return log
