"""Every branch of the levels on the real services, killed and started again where it matters.

Each test is one run on the quick repository. When it is over, `Branch.is_sound` looks at the run's facts and
at the branch of the repository.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from libs.contracts.facts import (
    ChangeMerged,
    ChangeRefused,
    CheckpointClosed,
    CheckpointOpened,
    CheckpointReminded,
    DecisionRecorded,
    DecisionRefused,
    GateJudged,
    MergeAuthorised,
    PhaseClaimed,
    PhaseCompleted,
    PhaseErrored,
    PhaseRequested,
    RunEscalated,
)
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Disposition, Level, Phase, Service
from tests.support.ladder import freeze, grant, lift_freeze, lower, timer_due, timer_set
from tests.support.quick import (
    ALWAYS_12,
    CODE,
    DEFECT,
    EVAL,
    EXITS,
    FILES,
    LEARNS,
    RIGHT,
    WRONG,
    Barrier,
    Branch,
    quick_agent,
    quick_repository,
    where,
)
from tests.support.repositories import content, head
from tests.support.system import System, running_system
from tests.support.waiting import until

GATEKEEPER: Final = Service.GATEKEEPER
MERGER: Final = Service.MERGER

EVERY_CHECKPOINT: Final = ["after plan", "after build", "after test", "after review", "after document", "merge"]

NO_HEALING: Final = "loops: { test_retry: { max: 0 } }\n"
ONE_HEALING: Final = "loops: { test_retry: { max: 1, on_exhaust: escalate } }\n"
CALLING_A_HUMAN: Final = "loops: { test_retry: { max: 0, on_exhaust: escalate } }\n"
EXPIRING: Final = "checkpoints: { after_plan: { timeout: 3s } }\n"
TWO_PEOPLE: Final = f"quorum: [{{ paths: [{CODE}], people: 2 }}]\n"
AUTO_MERGE: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 3s }\n"
AT_ONCE: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 0s }\n"
UNREVIEWED: Final = "routing: { bug: { phases: [plan, build, test, deploy] } }\n"

GUIDANCE: Final = "multiply the sides"
ONLY_GUIDED: Final = f"if told '{GUIDANCE}' guidance.md; then {RIGHT}; else {WRONG}; fi"
SAYS_ITS_COST: Final = 'echo \'{"cost_usd": 0.3}\' > "$RUNG_OUT/usage.json"'

ELSEWHERE: Final = {"NOTES.txt": "Somebody else was here.\n"}
NEAR_THE_CHANGE: Final = {CODE: FILES[CODE].replace("width=$1", "width=$1 # in metres")}
AT_THE_CHANGE: Final = {CODE: FILES[CODE].replace(DEFECT, f"{DEFECT} + 0")}


# -- one system, restarted in place, and one run on it -------------------------


@pytest.fixture(scope="module")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("killable")) as system:
        yield system


@pytest.fixture
async def system_to_kill(killable: System) -> AsyncIterator[System]:
    """The system of this file, with all services back at work for whoever comes next."""
    yield killable
    dead = [service for service, process in killable.processes.items() if process.poll() is not None]
    await killable.start_again(*dead)


@contextlib.asynccontextmanager
async def begun(
    system: System,
    directory: Path,
    *builds: str,
    level: Level = Level.ASSISTED,
    workflow: str = "",
    each: str = "",
    barrier: Barrier | None = None,
) -> AsyncIterator[Branch]:
    """A run that began at a level granted, and that is looked at when the test is done with it."""
    case = quick_repository(directory / "repository", workflow)
    agent = quick_agent(directory, *builds, each=each)
    await grant(system, case.path, level)
    async with system.operator() as operator:
        agent = barrier.shown_to(agent) if barrier else agent
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, level=level)
        branch = Branch(system, operator, case, run, head(case.path))
        yield branch
        await branch.is_sound()


def _attempts(view: RunView, *phases: str) -> dict[str, int]:
    return {str(phase.phase): phase.attempts for phase in view.phases if phase.phase in phases}


async def _opened(branch: Branch) -> list[tuple[str, int]]:
    return [(str(fact.phase), fact.attempt) for fact in await branch.facts(CheckpointOpened)]


async def _refused(branch: Branch) -> list[str]:
    return [fact.code for fact in await branch.facts(DecisionRefused)]


# -- pass, and fail that is healed --------------------------------------------


async def test_a_pass_is_approved_from_stop_to_stop_over_a_restart_of_everything(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT) as branch:
        await branch.approved_up_to("after test")
        await system_to_kill.restart(*Service)
        merged = await branch.answered(await branch.approved_up_to("merge"))
        assert merged.outcome == "merged", merged.sentences
        assert [f"after {phase}" for phase, _ in await _opened(branch)] == [*EVERY_CHECKPOINT[:-1], "after deploy"]
        assert head(branch.case.path) == merged.merged_tip


async def test_supervised_heals_by_itself_what_the_agent_learns_from_its_failures(
    system_to_kill: System, tmp_path: Path
) -> None:
    barrier = Barrier(tmp_path)
    builds = (LEARNS, f"{barrier.wait}; {LEARNS}", LEARNS)
    async with begun(system_to_kill, tmp_path, *builds, level=Level.SUPERVISED, barrier=barrier) as branch:
        planned = await branch.stopped()
        await branch.operator.decide(branch.run, DecisionKind.APPROVE)
        await branch.stated(PhaseClaimed, phase=Phase.BUILD, attempt=2)
        system_to_kill.kill_service(GATEKEEPER)
        barrier.open()
        await branch.stated(PhaseCompleted, phase=Phase.BUILD, attempt=2)
        await system_to_kill.start_again(GATEKEEPER)
        view = await branch.stopped(after=planned)
        assert (where(view), _attempts(view, "build", "test")) == ("after test", {"build": 3, "test": 3})
        assert [decision.phase for decision in await branch.facts(DecisionRecorded)] == [Phase.PLAN]
        merged = await branch.answered(await branch.approved_up_to("merge"))
        assert merged.outcome == "merged", merged.sentences


async def test_assisted_heals_the_same_failures_only_when_a_human_says_so(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, LEARNS) as branch:
        view = await branch.approved_up_to("after test")
        for attempt in (1, 2):
            assert view.checkpoint is not None
            assert (view.checkpoint.outcome, _attempts(view, "build")) == ("fail", {"build": attempt})
            await system_to_kill.restart(GATEKEEPER)
            built = await branch.answered(view, DecisionKind.RETRY)
            view = await branch.answered(built)
        assert view.checkpoint is not None
        assert (where(view), view.checkpoint.outcome) == ("after test", "pass")
        merged = await branch.answered(await branch.approved_up_to("merge"))
        assert merged.outcome == "merged", merged.sentences
        judged = await branch.facts(GateJudged)
        assert {fact.disposition for fact in judged} == {Disposition.CHECKPOINT}


async def test_a_blocker_found_by_the_workflow_s_linter_is_healed_and_tested_again(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, EVAL, RIGHT, level=Level.AUTONOMOUS) as branch:
        view = await branch.stopped()
        assert (where(view), _attempts(view, "build", "test", "review")) == (
            "merge",
            {"build": 2, "test": 2, "review": 2},
        )


async def test_healing_that_is_used_up_calls_a_human_once_however_often_the_gatekeeper_restarts(
    system_to_kill: System, tmp_path: Path
) -> None:
    builds = (WRONG, ALWAYS_12, RIGHT)
    async with begun(system_to_kill, tmp_path, *builds, level=Level.SUPERVISED, workflow=ONE_HEALING) as branch:
        view = await branch.approved_up_to("after test")
        assert "the loop allows 1 healing attempts" in view.reason
        await system_to_kill.restart(GATEKEEPER)
        assert await branch.stopped() == view
        assert [fact.phase for fact in await branch.facts(RunEscalated)] == [Phase.TEST]
        passed = await branch.answered(view, DecisionKind.RETRY)
        assert passed.checkpoint is not None
        assert (passed.checkpoint.outcome, _attempts(passed, "build")) == ("pass", {"build": 3})
        loops = [fact.loop for fact in await branch.facts(PhaseRequested) if fact.phase is Phase.BUILD]
        assert loops == [None, "test_retry", None]


async def test_the_same_failures_again_are_no_news_and_end_the_healing(system_to_kill: System, tmp_path: Path) -> None:
    builds = (WRONG, f"{WRONG}; echo '# tried' >> {CODE}")
    async with begun(system_to_kill, tmp_path, *builds, level=Level.SUPERVISED) as branch:
        view = await branch.approved_up_to("after test")
        assert "nothing new is known" in view.reason
        assert _attempts(view, "build", "test") == {"build": 2, "test": 2}


# -- what a human says --------------------------------------------------------


async def test_a_checkpoint_that_nobody_answers_reminds_calls_and_expires_and_never_approves(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, workflow=EXPIRING) as branch:
        await branch.stated(CheckpointOpened, phase=Phase.PLAN)
        await timer_set(system_to_kill, branch.run, "reminder-plan-1-1")
        system_to_kill.kill_service(GATEKEEPER)
        await timer_due(system_to_kill, branch.run, "reminder-plan-1-1")
        await system_to_kill.start_again(GATEKEEPER)
        view = await branch.operator.until_stage(branch.run, "aborted")
        assert view.reason == "nobody decided before the checkpoint expired"
        calls = (CheckpointOpened, CheckpointReminded, CheckpointClosed, RunEscalated)
        facts = [recorded.fact for recorded in (await branch.operator.history(branch.run)).facts]
        told = [type(fact) for fact in facts if isinstance(fact, calls)]
        called = told.index(RunEscalated)
        reminded, silent = (
            [CheckpointOpened, CheckpointReminded, CheckpointClosed],
            [CheckpointOpened, CheckpointClosed],
        )
        assert told[:called] in (reminded, silent), "a reminder is moot when the gatekeeper is back after the end"
        assert told[called + 1 :] == reminded
        assert {fact.how for fact in await branch.facts(CheckpointClosed)} == {"expired"}
        assert [fact.phase for fact in await branch.facts(PhaseRequested)] == [Phase.PLAN]


async def test_a_fail_goes_on_by_override_alone_and_stays_a_fail(system_to_kill: System, tmp_path: Path) -> None:
    async with begun(system_to_kill, tmp_path, WRONG, level=Level.AUTONOMOUS, workflow=CALLING_A_HUMAN) as branch:
        failed = await branch.stopped()
        assert where(failed) == "after test"
        (called,) = await branch.facts(RunEscalated)
        assert called.phase is Phase.TEST
        await system_to_kill.restart(GATEKEEPER)
        still = await branch.answered(failed)
        still = await branch.answered(still, DecisionKind.OVERRIDE)
        assert await _refused(branch) == ["approve_on_fail", "no_reason"]
        waiting = await branch.answered(still, DecisionKind.OVERRIDE, reason="the check is wrong")
        assert waiting.checkpoint is not None
        assert (where(waiting), waiting.checkpoint.outcome) == ("merge", "fail")
        merged = await branch.answered(waiting, DecisionKind.OVERRIDE, reason="the check is wrong")
        assert merged.outcome == "merged", merged.sentences
        assert [fact.is_override for fact in await branch.facts(DecisionRecorded)] == [True, True]


async def test_guidance_given_while_the_gatekeeper_is_down_reaches_the_agent(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, ONLY_GUIDED) as branch:
        failed = await branch.approved_up_to("after test")
        system_to_kill.kill_service(GATEKEEPER)
        await branch.operator.decide(branch.run, DecisionKind.GUIDE, guidance=GUIDANCE)
        await system_to_kill.start_again(GATEKEEPER)
        passed = await branch.answered(await branch.stopped(after=failed))
        assert passed.checkpoint is not None
        assert (where(passed), passed.checkpoint.outcome) == ("after test", "pass")
        assert _attempts(passed, "build", "test") == {"build": 2, "test": 2}


async def test_a_rejected_run_is_over_for_the_reasons_of_the_gate(system_to_kill: System, tmp_path: Path) -> None:
    async with begun(system_to_kill, tmp_path, WRONG) as branch:
        failed = await branch.approved_up_to("after test")
        await system_to_kill.restart(GATEKEEPER)
        rejected = await branch.answered(failed, DecisionKind.REJECT)
        assert (rejected.stage, rejected.outcome) == ("ended", "declined")
        assert "of 3 by 4" in rejected.reason
        late = await branch.operator.decide(branch.run, DecisionKind.APPROVE)
        assert (await branch.stated(DecisionRefused, decision=late)).code == "run_ended"


async def test_a_run_cancelled_in_the_middle_of_work_asks_for_nothing_more(
    system_to_kill: System, tmp_path: Path
) -> None:
    barrier = Barrier(tmp_path)
    builds = f"{barrier.wait}; {RIGHT}"
    async with begun(system_to_kill, tmp_path, builds, level=Level.AUTONOMOUS, barrier=barrier) as branch:
        await branch.stated(PhaseClaimed, phase=Phase.BUILD)
        system_to_kill.kill_service(GATEKEEPER)
        await branch.operator.decide(branch.run, DecisionKind.CANCEL, reason="not wanted any more")
        await system_to_kill.start_again(GATEKEEPER)
        ended = await branch.operator.until_stage(branch.run, "ended")
        assert (ended.outcome, ended.reason) == ("cancelled", "not wanted any more")
        barrier.open()
        await branch.stated(PhaseCompleted, phase=Phase.BUILD)
        assert [fact.phase for fact in await branch.facts(PhaseRequested)] == [Phase.PLAN, Phase.BUILD]


async def test_a_decision_on_a_commit_that_is_no_longer_at_hand_is_refused_and_the_refusal_recorded(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, WRONG, RIGHT) as branch:
        seen = (await branch.approved_up_to("after test")).checkpoint
        assert seen is not None
        built = await branch.answered(await branch.stopped(), DecisionKind.RETRY)
        view = await branch.answered(built)
        assert view.checkpoint is not None
        assert (where(view), view.checkpoint.commit != seen.commit) == ("after test", True)
        await system_to_kill.restart(GATEKEEPER)
        after = await branch.answered(view, commit=seen.commit)
        assert where(after) == "after test"
        (refused,) = await branch.facts(DecisionRefused)
        assert (refused.code, str(seen.commit)[:12] in refused.message) == ("stale", True)
        assert where(await branch.answered(after, commit=view.checkpoint.commit)) == "after review"


async def test_documents_keep_what_was_approved_and_other_code_is_asked_about_again(
    system_to_kill: System, tmp_path: Path
) -> None:
    builds = (RIGHT, f"{RIGHT}; echo '# as guided' >> {CODE}")
    async with begun(system_to_kill, tmp_path, *builds, level=Level.SUPERVISED) as branch:
        merge = await branch.approved_up_to("merge")
        reviewed, documented = [
            fact.commit for fact in await branch.facts(PhaseCompleted) if fact.phase in (Phase.REVIEW, Phase.DOCUMENT)
        ]
        assert reviewed != documented
        once = [("plan", 1), ("test", 1), ("review", 1), ("deploy", 1)]
        assert await _opened(branch) == once
        await system_to_kill.restart(GATEKEEPER)
        view = await branch.answered(merge, DecisionKind.GUIDE, guidance="say who asked for it")
        while view.checkpoint is not None:
            view = await branch.answered(view)
        assert view.outcome == "merged", view.sentences
        assert await _opened(branch) == [*once, ("test", 2), ("review", 2), ("deploy", 2)]


# -- the budget ---------------------------------------------------------------


async def test_a_budget_of_attempts_ends_the_run_in_the_middle_of_a_heal_before_the_next_call(
    system_to_kill: System, tmp_path: Path
) -> None:
    barrier = Barrier(tmp_path)
    builds = (WRONG, f"{barrier.wait}; {RIGHT}")
    budget = "budget: { attempts: 4 }\n"
    async with begun(
        system_to_kill, tmp_path, *builds, level=Level.AUTONOMOUS, workflow=budget, barrier=barrier
    ) as branch:
        await branch.stated(PhaseClaimed, phase=Phase.BUILD, attempt=2)
        await system_to_kill.restart(GATEKEEPER)
        barrier.open()
        view = await branch.operator.until_stage(branch.run, "aborted")
        assert view.reason == "the run's budget of 4 attempts is spent"
        asked = [(fact.phase, fact.attempt) for fact in await branch.facts(PhaseRequested)]
        assert asked == [(Phase.PLAN, 1), (Phase.BUILD, 1), (Phase.TEST, 1), (Phase.BUILD, 2)]
        await branch.answered(view, DecisionKind.RESUME)
        assert await _refused(branch) == ["budget_spent"]


async def test_money_that_is_spent_ends_the_healing_before_the_next_call(
    system_to_kill: System, tmp_path: Path
) -> None:
    budget = "budget: { cost: 1.0, attempt_cost: 0.3 }\n"
    builds = (WRONG, ALWAYS_12, RIGHT)
    async with begun(
        system_to_kill, tmp_path, *builds, level=Level.SUPERVISED, workflow=budget, each=SAYS_ITS_COST
    ) as branch:
        planned = await branch.stopped()
        await system_to_kill.restart(GATEKEEPER)
        view = await branch.answered(planned)
        assert where(view) == "after test"
        assert "not healed: $0.1 is left of what the run may cost" in view.reason
        built = [fact for fact in await branch.facts(PhaseRequested) if fact.phase is Phase.BUILD]
        assert [fact.cost_limit_usd for fact in built] == [0.3, 0.3]
        assert [fact.cost_usd for fact in await branch.facts(PhaseCompleted)] == [0.3, 0.3, 0.0, 0.3, 0.0]
        await branch.answered(view, DecisionKind.RETRY)
        assert await _refused(branch) == ["budget_spent"]


# -- the base moves between the approval and the landing -----------------------


async def _approved_without_merger(branch: Branch, files: dict[str, str]) -> RunView:
    """The merge is approved while the merger is down, and somebody commits before it is back."""
    merge = await branch.approved_up_to("merge")
    branch.system.kill_service(MERGER)
    await branch.operator.decide(branch.run, DecisionKind.APPROVE)
    await branch.stated(MergeAuthorised)
    branch.somebody_commits(files)
    await branch.system.start_again(MERGER)
    return merge


async def test_the_same_change_on_a_base_that_moved_lands_without_asking_again(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.AUTONOMOUS) as branch:
        merge = await _approved_without_merger(branch, ELSEWHERE)
        merged = await branch.stopped(after=merge)
        assert merged.outcome == "merged", merged.sentences
        assert [fact.code for fact in await branch.facts(ChangeRefused)] == ["moved"]
        assert await _opened(branch) == [("deploy", 1)]
        assert len(await branch.facts(DecisionRecorded)) == 1
        assert content(branch.case.path, "NOTES.txt") == ELSEWHERE["NOTES.txt"].strip()


async def test_another_change_on_a_base_that_moved_is_asked_about_again(system_to_kill: System, tmp_path: Path) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.AUTONOMOUS) as branch:
        merge = await _approved_without_merger(branch, NEAR_THE_CHANGE)
        again = await branch.stopped(after=merge)
        assert (where(again), await _opened(branch)) == ("merge", [("deploy", 1), ("deploy", 2)])
        await system_to_kill.restart(GATEKEEPER)
        merged = await branch.answered(again)
        assert merged.outcome == "merged", merged.sentences
        code = content(branch.case.path, CODE)
        assert ("width * height" in code, "# in metres" in code) == (True, True)


async def test_a_change_that_conflicts_with_the_moved_base_is_healed_in_vain_and_never_lands(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.AUTONOMOUS) as branch:
        merge = await _approved_without_merger(branch, AT_THE_CHANGE)
        stopped = await branch.stopped(after=merge)
        assert (stopped.outcome, _attempts(stopped, "build", "deploy")) == ("aborted", {"build": 2, "deploy": 3})
        assert CODE in stopped.reason
        assert await branch.facts(ChangeMerged) == []
        assert len(await branch.facts(MergeAuthorised)) == 1


# -- who may let what go on ----------------------------------------------------


async def test_what_nobody_reviewed_never_merges_by_itself_even_after_a_restart_of_everything(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.ASE, workflow=AT_ONCE + UNREVIEWED) as branch:
        waiting = await branch.stopped()
        await system_to_kill.restart(*Service)
        assert await branch.stopped() == waiting
        assert where(waiting) == "merge"
        assert "without passed test and review verdicts nothing merges by itself" in waiting.reason
        assert await branch.facts(MergeAuthorised) == []


async def test_a_quorum_merges_when_two_persons_agree_and_not_when_one_does_twice(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.ASE, workflow=AT_ONCE + TWO_PEOPLE) as branch:
        waiting = await branch.stopped()
        assert (where(waiting), "2 people have to agree" in waiting.reason) == ("merge", True)
        one = await branch.answered(waiting, by="ada", os_user="ada")
        assert one.checkpoint is not None
        assert (one.checkpoint.awaits, one.checkpoint.agreed) == (1, ("ada",))
        await system_to_kill.restart(GATEKEEPER)
        twice = await branch.answered(one, by="Ada Example", os_user="ada")
        assert (where(twice), await _refused(branch)) == ("merge", ["agreed_already"])
        merged = await branch.answered(twice, by="ben", os_user="ben")
        assert merged.outcome == "merged", merged.sentences
        assert [fact.awaits for fact in await branch.facts(DecisionRecorded)] == [1, 0]


async def test_a_workflow_may_ask_for_a_human_after_a_phase_where_the_level_does_not(
    system_to_kill: System, tmp_path: Path
) -> None:
    workflow = "phases: { plan: { disposition: checkpoint } }\n"
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.AUTONOMOUS, workflow=workflow) as branch:
        waiting = await branch.stopped()
        assert (where(waiting), waiting.level_in_force) == ("after plan", Level.AUTONOMOUS)
        await system_to_kill.restart(GATEKEEPER)
        assert where(await branch.answered(waiting)) == "merge"


# -- infrastructure -----------------------------------------------------------


async def test_work_that_a_killed_builder_left_is_taken_over_and_done_once(
    system_to_kill: System, tmp_path: Path
) -> None:
    barrier = Barrier(tmp_path)
    builds = f"{barrier.wait}; {RIGHT}"
    async with begun(system_to_kill, tmp_path, builds, level=Level.AUTONOMOUS, barrier=barrier) as branch:
        first = await branch.stated(PhaseClaimed, phase=Phase.BUILD)
        await system_to_kill.restart(Service.BUILDER)
        barrier.open()
        waiting = await branch.stopped()
        assert (where(waiting), _attempts(waiting, "build")) == ("merge", {"build": 1})
        claims = [fact.worker for fact in await branch.facts(PhaseClaimed) if fact.phase is Phase.BUILD]
        (done,) = [fact.worker for fact in await branch.facts(PhaseCompleted) if fact.phase is Phase.BUILD]
        assert (claims, done != first.worker) == ([first.worker, done], True)


async def test_an_agent_that_breaks_down_once_is_tried_again_and_that_is_no_healing(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, EXITS, RIGHT, level=Level.ASE, workflow=NO_HEALING) as branch:
        lost = await branch.stated(PhaseErrored, phase=Phase.BUILD)
        assert lost.is_retryable
        await system_to_kill.restart(GATEKEEPER)
        waiting = await branch.stopped()
        assert (where(waiting), _attempts(waiting, "build", "test")) == ("merge", {"build": 2, "test": 1})
        judged = [fact for fact in await branch.facts(GateJudged) if fact.phase is Phase.BUILD]
        assert [(fact.attempt, fact.disposition) for fact in judged] == [(2, Disposition.PROCEED)]
        asked = [fact.loop for fact in await branch.facts(PhaseRequested) if fact.phase is Phase.BUILD]
        assert asked == [None, None]


# -- ase ----------------------------------------------------------------------


async def test_a_delay_that_ends_while_everything_is_down_merges_once_when_it_is_back(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.ASE, workflow=AUTO_MERGE) as branch:
        await branch.operator.until_stage(branch.run, "proceeding", phase="deploy")
        await timer_set(system_to_kill, branch.run, "merge-1")
        for service in Service:
            system_to_kill.kill_service(service)
        await timer_due(system_to_kill, branch.run, "merge-1")
        assert head(branch.case.path) == branch.base
        await system_to_kill.start_again(*Service)
        ended = await branch.operator.until_stage(branch.run, "ended")
        (authorised,) = await branch.facts(MergeAuthorised)
        assert (ended.outcome, authorised.by, ended.decisions) == ("merged", "level ase", ())


async def test_a_hold_that_comes_with_the_end_of_the_delay_stops_the_merge_or_is_told_that_it_is_late(
    system_to_kill: System, tmp_path: Path
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.ASE, workflow=AUTO_MERGE) as branch:
        await branch.operator.until_stage(branch.run, "proceeding", phase="deploy")
        await timer_set(system_to_kill, branch.run, "merge-1")
        system_to_kill.kill_service(GATEKEEPER)
        hold = await branch.operator.decide(branch.run, DecisionKind.HOLD, reason="let me look first")
        await timer_due(system_to_kill, branch.run, "merge-1")
        await system_to_kill.start_again(GATEKEEPER)
        told = await _told_about(branch, hold)
        if isinstance(told, DecisionRecorded):
            assert (await branch.facts(ChangeMerged), head(branch.case.path)) == ([], branch.base)
            await branch.operator.decide(branch.run, DecisionKind.RELEASE, reason="looks fine")
        else:
            assert told.code == "too_late"
        view = await branch.stopped()
        merged = await branch.answered(view) if view.checkpoint else view
        assert merged.outcome == "merged", merged.sentences


async def _told_about(branch: Branch, decision: str) -> DecisionRecorded | DecisionRefused:
    """What the gatekeeper made of a decision; which of two that come together it takes first is nobody's to say."""

    async def is_told() -> list[DecisionRecorded | DecisionRefused]:
        recorded = [fact for fact in await branch.facts(DecisionRecorded) if fact.decision == decision]
        refused = [fact for fact in await branch.facts(DecisionRefused) if fact.decision == decision]
        return [*recorded, *refused]

    return (await until(is_told))[0]


class Stop(NamedTuple):
    """What takes the authority away while the merger is down, and the code under which it refuses to land."""

    code: str
    level_after: Level


STOPS: Final = (Stop("frozen", Level.ASE), Stop("lowered", Level.AUTONOMOUS))


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.code)
async def test_authority_that_is_taken_away_between_authorisation_and_landing_lands_nothing_until_a_human_approves(
    system_to_kill: System, tmp_path: Path, stop: Stop
) -> None:
    async with begun(system_to_kill, tmp_path, RIGHT, level=Level.ASE, workflow=AUTO_MERGE) as branch:
        await branch.operator.until_stage(branch.run, "proceeding", phase="deploy")
        system_to_kill.kill_service(MERGER)
        await branch.stated(MergeAuthorised)
        if stop.code == "frozen":
            await freeze(system_to_kill, branch.case.path)
        else:
            await lower(system_to_kill, branch.case.path, stop.level_after)
        await system_to_kill.start_again(MERGER)
        waiting = await branch.stopped()
        assert where(waiting) == "merge", waiting.sentences
        assert [fact.code for fact in await branch.facts(ChangeRefused)] == [stop.code]
        assert head(branch.case.path) == branch.base
        if stop.code == "frozen":
            await lift_freeze(system_to_kill, branch.case.path)
        merged = await branch.answered(waiting)
        assert merged.outcome == "merged", merged.sentences
        by = [(fact.by, fact.level_in_force) for fact in await branch.facts(MergeAuthorised)]
        assert by == [("level ase", Level.ASE), ("tester", stop.level_after)]
