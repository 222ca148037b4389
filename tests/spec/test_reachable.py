"""Every state that a run can reach in a few acts from near the merge, walked through exhaustively.

Two logs that fold to the same state, as far as the decider looks at it, are walked from only once.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from libs.contracts.facts import DecisionRecorded, FreezeSet, GateJudged, LevelLowered, MergeAuthorised, RunAborted
from libs.contracts.words import DecisionKind, Disposition, Level, Outcome, Phase
from libs.contracts.workflow import LoopName
from services.gatekeeper.transitions import Stage
from tests.spec.decider import Given, given
from tests.spec.story import (
    BAD,
    GOOD,
    POLICY,
    ROUTE,
    SILENT,
    WORKFLOW,
    adopted,
    asks,
    completed,
    errored,
    granted,
    merged,
    refused,
    started,
)

DEPTH: Final = 4
LOOPS: Final = {name: POLICY.loops[name].model_copy(update={"max": 1}) for name in LoopName}
BRIEF: Final = POLICY.model_copy(update={"loops": LOOPS, "routing": {}})
NO_REVIEW: Final = tuple(phase for phase in ROUTE if phase is not Phase.REVIEW)
LADDER: Final = (
    LevelLowered(workflow=WORKFLOW, level=Level.AUTONOMOUS, by="machine", reason="drift"),
    FreezeSet(workflow=WORKFLOW, by="ann", reason="a fair"),
)


class Step(NamedTuple):
    """What one act led to; `stated` of the facts in `after` are the gatekeeper's."""

    before: Given
    after: Given

    @property
    def stated(self) -> tuple[tuple[Given, object], ...]:
        count = len(self.before.facts)
        return tuple((Given(self.after.facts[:n]), self.after.facts[n]) for n in range(count, len(self.after.facts)))


def near_the_merge(level: Level, route: tuple[Phase, ...] = ROUTE) -> Given:
    """A run that works on its deploy, everything before it passed."""
    log = given(adopted(BRIEF), *granted(level), started(level=level, policy=BRIEF, phases=route)).settled()
    while log.run.phase is not Phase.DEPLOY:
        log = log.then(completed(log.run.phase)).settled()
        if log.run.stage is Stage.WAITING:
            log = log.requests(asks(DecisionKind.APPROVE, f"d-{log.run.phase}")).after.settled()
    return log


def acts(log: Given) -> Iterator[Given]:
    """Everything that may happen to the run next, each with what the gatekeeper then states."""
    run = log.run
    if run.stage is Stage.WORKING:
        for evidence in (GOOD[run.phase], BAD[run.phase], SILENT):
            yield log.then(completed(run.phase, run.attempt, evidence)).settled()
        yield log.then(completed(run.phase, run.attempt, declined="no")).settled()
        yield log.then(errored(run.phase, run.attempt)).settled()
    if run.stage is Stage.AUTHORISED:
        yield from (log.then(fact).settled() for fact in (merged(), refused("moved"), refused("dirty")))
    for name in log.timers:
        yield log.timer(name).settled()
    for kind in DecisionKind:
        for automatic in (True, False):
            yield log.requests(asks(kind, f"d{len(log.facts)}", automatic=automatic)).after.settled()
    yield from (log.then(fact) for fact in LADDER)


def state(log: Given) -> tuple[object, ...]:
    """All that the decider looks at."""
    run, ladder = log.run, log.ladder
    judged, decision, integration = run.judged, run.decision, run.evidence.integration
    return (
        *(run.stage, run.phase, run.attempt, run.is_held, run.commit, run.timers_due),
        *(run.attempts_of(phase) for phase in ROUTE),
        *((gate := run.last_judged(phase)) and gate.verdict.outcome for phase in ROUTE),
        judged and (judged.verdict.outcome, judged.disposition),
        decision and (decision.kind, decision.phase, decision.attempt),
        integration and integration.commit,
        (ladder.in_force(run.begun.level), ladder.is_frozen),
    )


@cache
def steps() -> tuple[Step, ...]:
    """Every step from every state that is reached in less than `DEPTH` acts."""
    frontier = [near_the_merge(level) for level in Level] + [near_the_merge(Level.ASE, NO_REVIEW)]
    seen = {state(log) for log in frontier}
    walked = []
    for _ in range(DEPTH):
        found = [Step(log, after) for log in frontier for after in acts(log)]
        walked += found
        fresh = {state(step.after): step.after for step in found}
        frontier = [log for key, log in fresh.items() if key not in seen]
        seen |= set(fresh)
    return tuple(walked)


def test_the_walk_is_wide_enough_to_mean_something() -> None:
    stages = {step.after.run.stage for step in steps()}
    assert stages >= {Stage.AUTHORISED, Stage.MERGED, Stage.WAITING, Stage.PROCEEDING, Stage.ABORTED, Stage.ENDED}
    assert len(steps()) > 1000
