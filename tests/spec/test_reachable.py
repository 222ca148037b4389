"""Every state that a run can reach in a few acts from near the merge, walked through exhaustively.

Two logs that fold to the same state, as far as the decider looks at it, are walked from only once.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple, TypeVar

from libs.contracts.facts import DecisionRecorded, Fact, FreezeSet, GateJudged, LevelLowered, MergeAuthorised
from libs.contracts.words import DecisionKind, Disposition, Level, Outcome, Phase
from libs.contracts.workflow import LoopName
from services.gatekeeper.decisions import consider
from services.gatekeeper.transitions import Stage
from tests.spec.decider import Given, given
from tests.spec.story import (
    BAD,
    GOOD,
    POLICY,
    ROUTE,
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

F = TypeVar("F", bound=Fact)

DEPTH: Final = 4
ASKED: Final = (
    (DecisionKind.APPROVE, False),
    (DecisionKind.APPROVE, True),
    (DecisionKind.OVERRIDE, False),
    (DecisionKind.OVERRIDE, True),
    (DecisionKind.RETRY, False),
    (DecisionKind.HOLD, False),
    (DecisionKind.RELEASE, False),
)
"""What people and programs ask for; a refusal moves nothing and is not walked on from."""

LOOPS: Final = {name: POLICY.loops[name].model_copy(update={"max": 1}) for name in LoopName}
BRIEF: Final = POLICY.model_copy(update={"loops": LOOPS, "routing": {}})
NO_REVIEW: Final = tuple(phase for phase in ROUTE if phase is not Phase.REVIEW)
LADDER: Final = (
    LevelLowered(workflow=WORKFLOW, level=Level.AUTONOMOUS, by="machine", reason="drift"),
    FreezeSet(workflow=WORKFLOW, by="ann", reason="a fair"),
)


class Step(NamedTuple):
    """What one act led to."""

    before: Given
    after: Given


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
        for evidence in (GOOD[run.phase], BAD[run.phase]):
            yield log.then(completed(run.phase, run.attempt, evidence)).settled()
        yield log.then(errored(run.phase, run.attempt)).settled()
    if run.stage is Stage.AUTHORISED:
        yield from (log.then(fact).settled() for fact in (merged(), refused("moved"), refused("dirty")))
    for name in log.timers:
        yield log.timer(name).settled()
    for owed in (consider(run, asks(kind, f"d{len(log.facts)}", automatic=by_program)) for kind, by_program in ASKED):
        if isinstance(owed[0].fact, DecisionRecorded):
            yield log.then(owed[0].fact).settled()
    yield from (log.then(fact) for fact in LADDER)


def state(log: Given) -> tuple[object, ...]:
    """All that the decider looks at."""
    run, ladder = log.run, log.ladder
    judged, decision, integration = run.judged, run.decision, run.evidence.integration
    return (
        *(run.stage, run.phase, run.attempt, run.is_held, run.commit, run.timers_due),
        *(run.attempts_of(phase) for phase in ROUTE),
        judged and (judged.verdict.outcome, judged.disposition),
        decision and (decision.kind, decision.phase, decision.attempt),
        integration and integration.commit,
        (ladder.in_force(run.begun.level), ladder.is_frozen),
    )


@cache
def steps() -> tuple[Step, ...]:
    """Every step from every state that is reached in less than `DEPTH` acts."""
    frontier = [near_the_merge(Level.ASSISTED), near_the_merge(Level.ASE), near_the_merge(Level.ASE, NO_REVIEW)]
    seen = {state(log) for log in frontier}
    walked = []
    for _ in range(DEPTH):
        found = [Step(log, after) for log in frontier for after in acts(log)]
        walked += found
        fresh = {state(step.after): step.after for step in found}
        frontier = [log for key, log in fresh.items() if key not in seen]
        seen |= set(fresh)
    return tuple(walked)


def new_facts(kind: type[F]) -> Iterator[tuple[Given, F]]:
    """Each fact of a kind that a step brought, and the log before it."""
    for before, after in steps():
        for count in range(len(before.facts), len(after.facts)):
            if isinstance(fact := after.facts[count], kind):
                yield Given(after.facts[:count]), fact


def test_the_walk_is_wide_enough_to_mean_something() -> None:
    stages = {step.after.run.stage for step in steps()}
    assert stages >= {Stage.AUTHORISED, Stage.MERGED, Stage.WAITING, Stage.PROCEEDING, Stage.ABORTED, Stage.WORKING}
    assert len({fact.by for _, fact in new_facts(MergeAuthorised)}) == 2


def test_every_merge_is_a_human_s_word_on_that_attempt_or_the_highest_level_s_timer() -> None:
    for before, fact in new_facts(MergeAuthorised):
        decided = before.run.decision
        is_human = decided is not None and fact.decision == decided.decision and is_yes(decided)
        assert (is_human and decided_here(before)) or is_earned(before)


def is_yes(decision: DecisionRecorded) -> bool:
    return decision.kind in (DecisionKind.APPROVE, DecisionKind.OVERRIDE) and decision.phase is Phase.DEPLOY


def decided_here(log: Given) -> bool:
    """About this attempt, or about one whose change was the same by its patch-id."""
    run = log.run
    if run.decision is None or run.judged is None:
        return False
    deploys = [r for r in run.attempts if r.phase is Phase.DEPLOY and r.attempt == run.decision.attempt]
    earlier = deploys[0].judged
    return run.decision.attempt == run.attempt or (earlier is not None and earlier.patch_id == run.judged.patch_id)


def is_earned(log: Given) -> bool:
    """The timer came due, the gates passed on what is merged, and the authority is there still."""
    run, ladder = log.run, log.ladder
    gates = [run.last_judged(phase) for phase in (Phase.TEST, Phase.REVIEW, Phase.DEPLOY)]
    is_green = all(gate is not None and gate.verdict.outcome.is_passed for gate in gates)
    has_authority = ladder.in_force(run.begun.level) is Level.ASE and not ladder.is_frozen and not run.is_held
    return f"merge-{run.attempt}" in run.timers_due and is_green and has_authority


def test_what_is_merged_is_the_commit_that_was_judged_and_decided_on() -> None:
    for before, fact in new_facts(MergeAuthorised):
        judged = before.run.judged
        assert judged is not None
        assert (fact.commit, fact.tree, fact.attempt) == (judged.commit, judged.tree, judged.attempt)


def test_nobody_approves_a_fail_and_no_program_overrides_one() -> None:
    for before, fact in new_facts(DecisionRecorded):
        is_fail = before.run.judged is not None and before.run.judged.verdict.outcome is Outcome.FAIL
        assert not (is_fail and fact.kind is DecisionKind.APPROVE)
        assert not (fact.automatic and fact.kind is DecisionKind.OVERRIDE)


def test_a_machine_heals_no_more_often_than_its_loop_allows() -> None:
    for before, fact in new_facts(GateJudged):
        if fact.disposition is not Disposition.HEAL:
            continue
        told = [one for one in before.facts if isinstance(one, GateJudged) and one.phase is fact.phase]
        assert fact.loop is not None
        healed = sum(one.loop is fact.loop for one in told)
        assert healed < before.run.begun.policy.loop(fact.loop, before.run.begun.issue_type).max


def test_a_run_at_rest_ended_or_waits_for_a_human_a_timer_or_a_worker() -> None:
    for _, after in steps():
        run = after.settled().run
        is_watched = run.stage is Stage.MERGED
        is_called = run.stage is Stage.AUTHORISED and run.is_called
        is_waiting = run.stage is Stage.WAITING or run.is_held or bool(after.settled().timers)
        assert run.is_settled or is_watched or is_called or is_waiting


def test_a_checkpoint_is_open_just_while_the_run_waits() -> None:
    for _, after in steps():
        run = after.settled().run
        assert (run.checkpoint is not None) is (run.stage is Stage.WAITING)
