"""Every level on the real services: where a run waits, where the gate's word ends it, and where it merges by itself.

The ladder is seeded; agents are shell scripts, so that a phase takes as long as its evidence.
"""

from pathlib import Path
from typing import Final, NamedTuple

import pytest

from libs.contracts.facts import ChangeMerged, DecisionRecorded, MergeAuthorised
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Level
from tests.support.ladder import freeze, grant, lift_freeze, lower, timer_passed
from tests.support.quick import EVAL, RIGHT, WRONG, quick_agent, quick_repository, where
from tests.support.repositories import Case, commit, git, head
from tests.support.system import Operator, System
from tests.support.waiting import until

LEARNS_AT_ONCE: Final = f"if test -s $RUNG_IN/failures.md; then {RIGHT}; else {WRONG}; fi"
TOUCHES_PROMPTS_UNTIL_GUIDED: Final = f"""\
{RIGHT}
if test -s $RUNG_IN/guidance.md; then rm -r .github; else mkdir .github; echo Agree. > .github/plan.md; fi"""

NO_HEALING: Final = "loops: { test_retry: { max: 0 }, review_patch: { max: 0 } }\n"
AUTO_MERGE: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 1s }\n"
AUTO_MERGE_LATER: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 6s }\n"
PUBLISHED_PATCH_ROUTE: Final = "routing: { patch: { phases: [build, test, deploy] } }\n"

EVERY_CHECKPOINT: Final = ["after plan", "after build", "after test", "after review", "after document", "merge"]


# -- a repository, an agent and the way from stop to stop ----------------------


async def _stops_when_approved(operator: Operator, run: str) -> list[str]:
    """The checkpoints on the way, each approved, and how the run ended."""
    stops: list[str] = []
    view = await operator.until_stopped(run)
    while view.checkpoint is not None:
        stops.append(view.checkpoint.name)
        view = await operator.answer(view, DecisionKind.APPROVE)
    return [*stops, view.outcome]


def _attempts(view: RunView) -> dict[str, int]:
    return {str(phase.phase): phase.attempts for phase in view.phases}


# -- what is configured is not what is granted --------------------------------


@pytest.mark.parametrize(
    ("asked", "workflow"), [(Level.SUPERVISED, ""), (None, AUTO_MERGE)], ids=["by the request", "by the workflow"]
)
async def test_a_level_that_nobody_granted_skips_no_human(
    system: System, tmp_path: Path, asked: Level | None, workflow: str
) -> None:
    case = quick_repository(tmp_path / "repository", workflow)
    async with system.operator() as operator:
        run = await operator.open_issue(
            case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT), level=asked
        )
        stops = await _stops_when_approved(operator, run)
        view = await operator.view(run)
    assert stops == [*EVERY_CHECKPOINT, "merged"]
    assert view is not None
    assert (view.level, view.level_in_force) == (asked or Level.ASE, Level.ASSISTED)


# -- supervised ---------------------------------------------------------------


async def test_supervised_waits_after_plan_test_and_review_and_at_the_merge(system: System, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository")
    await grant(system, case.path, Level.SUPERVISED)
    async with system.operator() as operator:
        run = await operator.open_issue(
            case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT), level=Level.SUPERVISED
        )
        stops = await _stops_when_approved(operator, run)
        view = await operator.view(run)
    assert stops == ["after plan", "after test", "after review", "merge", "merged"]
    assert view is not None
    assert view.level_in_force is Level.SUPERVISED


async def test_supervised_heals_a_failure_that_the_agent_is_told_of_before_a_human_is_asked(
    system: System, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    await grant(system, case.path, Level.SUPERVISED)
    agent = quick_agent(tmp_path, LEARNS_AT_ONCE)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, level=Level.SUPERVISED)
        planned = await operator.until_stopped(run)
        view = await operator.answer(planned, DecisionKind.APPROVE)
        decisions = await operator.facts(run, DecisionRecorded)
    assert view.checkpoint is not None, view.sentences
    assert (view.checkpoint.name, view.checkpoint.outcome) == ("after test", "pass")
    assert _attempts(view) == {"plan": 1, "build": 2, "test": 2}
    assert [decision.phase for decision in decisions] == ["plan"]


# -- autonomous ---------------------------------------------------------------


async def test_autonomous_goes_from_the_issue_to_the_merge_without_a_human_and_there_a_human_merges(
    system: System, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    await grant(system, case.path, Level.AUTONOMOUS)
    before = head(case.path)
    async with system.operator() as operator:
        run = await operator.open_issue(
            case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT), level=Level.AUTONOMOUS
        )
        waiting = await operator.until_stopped(run)
        assert (where(waiting), waiting.level_in_force, waiting.decisions) == ("merge", Level.AUTONOMOUS, ())
        assert head(case.path) == before
        merged = await operator.answer(waiting, DecisionKind.APPROVE)
    assert merged.outcome == "merged", merged.sentences
    assert head(case.path) == merged.merged_tip


class Stopped(NamedTuple):
    """An agent that a required gate stops, what a human says, and the attempts that it took in the end."""

    builds: tuple[str, ...]
    phase: str
    answer: DecisionKind
    attempts: dict[str, int]


STOPPED: Final = (
    Stopped(
        (TOUCHES_PROMPTS_UNTIL_GUIDED,),
        "build",
        DecisionKind.GUIDE,
        {"plan": 1, "build": 2, "test": 1, "review": 1, "document": 1, "deploy": 1},
    ),
    Stopped(
        (EVAL, RIGHT),
        "review",
        DecisionKind.RESUME,
        {"plan": 1, "build": 2, "test": 2, "review": 2, "document": 1, "deploy": 1},
    ),
)


@pytest.mark.parametrize("stopped", STOPPED, ids=lambda stopped: f"{stopped.answer} after {stopped.phase}")
async def test_autonomous_aborts_at_a_required_gate_and_goes_on_from_there_when_a_human_says_so(
    system: System, tmp_path: Path, stopped: Stopped
) -> None:
    case = quick_repository(tmp_path / "repository", NO_HEALING)
    await grant(system, case.path, Level.AUTONOMOUS)
    agent = quick_agent(tmp_path, *stopped.builds)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, level=Level.AUTONOMOUS)
        aborted = await operator.until_stopped(run)
        assert (aborted.outcome, aborted.phases[-1].phase) == ("aborted", stopped.phase), aborted.sentences
        assert f"the {stopped.phase} gate says fail" in aborted.reason
        view = await operator.answer(aborted, stopped.answer, reason="leave the rest alone")
    assert where(view) == "merge", view.sentences
    assert _attempts(view) == stopped.attempts


async def test_autonomous_only_warns_of_red_tests_and_merges_them_on_override_alone(
    system: System, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository", NO_HEALING)
    await grant(system, case.path, Level.AUTONOMOUS)
    agent = quick_agent(tmp_path, WRONG)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, level=Level.AUTONOMOUS)
        waiting = await operator.until_stopped(run)
        tested = next(phase for phase in waiting.phases if phase.phase == "test")
        assert (tested.outcome, tested.disposition) == ("fail", "warn")
        assert waiting.checkpoint is not None, waiting.sentences
        assert (waiting.checkpoint.name, waiting.checkpoint.outcome) == ("merge", "fail")
        refused = await operator.answer(waiting, DecisionKind.APPROVE)
        assert refused.outcome == "waiting"
        merged = await operator.answer(refused, DecisionKind.OVERRIDE, reason="known to be red")
    assert merged.outcome == "merged", merged.sentences


# -- ase ----------------------------------------------------------------------


async def test_ase_merges_by_itself_once_the_delay_is_over(system: System, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository", AUTO_MERGE)
    await grant(system, case.path, Level.ASE)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT))
        view = await operator.until_stopped(run)
        (authorised,) = await operator.facts(run, MergeAuthorised)
    assert (view.outcome, view.level_in_force, view.decisions) == ("merged", Level.ASE, ()), view.sentences
    assert (authorised.by, authorised.decision) == ("level ase", None)
    assert head(case.path) == view.merged_tip == authorised.commit


async def test_ase_without_auto_merge_waits_for_a_human(system: System, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository", AUTO_MERGE.replace("true", "false"))
    await grant(system, case.path, Level.ASE)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT))
        view = await operator.until_stopped(run)
    assert (view.outcome, where(view)) == ("waiting", "merge"), view.sentences


async def test_a_hold_during_the_delay_lands_nothing_and_its_release_lands_the_change_once(
    system: System, tmp_path: Path
) -> None:
    case, run, before = await _in_the_delay(system, tmp_path)
    async with system.operator() as operator:
        await operator.decide(run, DecisionKind.HOLD, reason="let me look first")
        held = await _until_held(operator, run)
        await timer_passed(system, run, "merge-1")
        assert await operator.facts(run, MergeAuthorised) == []
        assert head(case.path) == before
        view = await operator.answer(held, DecisionKind.RELEASE, reason="looks fine")
        assert view.outcome == "merged", view.sentences
        ended = await operator.until_stage(run, "ended")
        assert len(await operator.facts(run, ChangeMerged)) == 1
    assert head(case.path) == ended.merged_tip
    assert git(case.path, "rev-list", "--count", f"{before}..main") == "1"


async def test_a_freeze_during_the_delay_turns_the_merge_into_a_checkpoint_until_it_is_lifted(
    system: System, tmp_path: Path
) -> None:
    case, run, before = await _in_the_delay(system, tmp_path)
    await freeze(system, case.path)
    async with system.operator() as operator:
        waiting = await operator.until_stopped(run)
        assert where(waiting) == "merge", waiting.sentences
        assert await operator.facts(run, MergeAuthorised) == []
        refused = await operator.answer(waiting, DecisionKind.APPROVE)
        assert where(refused) == "merge", refused.sentences
        assert "frozen" in refused.reason
        assert head(case.path) == before
        await lift_freeze(system, case.path)
        merged = await operator.answer(refused, DecisionKind.APPROVE)
    assert merged.outcome == "merged", merged.sentences


async def test_a_level_lowered_during_the_delay_leaves_the_merge_to_a_human(system: System, tmp_path: Path) -> None:
    case, run, before = await _in_the_delay(system, tmp_path)
    await lower(system, case.path, Level.AUTONOMOUS)
    async with system.operator() as operator:
        waiting = await operator.until_stopped(run)
        assert where(waiting) == "merge", waiting.sentences
        assert await operator.facts(run, MergeAuthorised) == []
        assert head(case.path) == before
        merged = await operator.answer(waiting, DecisionKind.APPROVE)
        (authorised,) = await operator.facts(run, MergeAuthorised)
    assert merged.outcome == "merged", merged.sentences
    assert (authorised.by, authorised.level_in_force) == ("tester", Level.AUTONOMOUS)


async def test_a_test_that_fails_on_the_base_too_blames_nobody_and_is_merged_by_a_human_alone(
    system: System, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository", AUTO_MERGE)
    check = (case.path / "check.sh").read_text()
    commit(case.path, "test: a wish", {"check.sh": check.replace('"2 5 10"', '"2 5 10" "1 1 9"')})
    await grant(system, case.path, Level.ASE)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT))
        waiting = await operator.until_stopped(run)
        assert await operator.facts(run, MergeAuthorised) == []
    tested = next(phase for phase in waiting.phases if phase.phase == "test")
    assert (where(waiting), tested.outcome, tested.attempts) == ("merge", "inconclusive", 1), waiting.sentences
    assert tested.reasons == ("1 tests fail on the base too: area::of 1 by 1",)


async def test_what_nobody_reviewed_never_merges_by_itself(system: System, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository", AUTO_MERGE + PUBLISHED_PATCH_ROUTE)
    await grant(system, case.path, Level.ASE)
    agent = quick_agent(tmp_path, RIGHT)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, type="patch")
        waiting = await operator.until_stopped(run)
        assert (where(waiting), waiting.level_in_force) == ("merge", Level.ASE), waiting.sentences
        assert [str(phase.phase) for phase in waiting.phases] == ["build", "test", "deploy"]
        merged = await operator.answer(waiting, DecisionKind.APPROVE)
        (authorised,) = await operator.facts(run, MergeAuthorised)
    assert (merged.outcome, authorised.by) == ("merged", "tester"), merged.sentences


async def _in_the_delay(system: System, directory: Path) -> tuple[Case, str, str]:
    """A run at the highest level that passed its deploy gate and waits for its delay to be over."""
    case = quick_repository(directory / "repository", AUTO_MERGE_LATER)
    await grant(system, case.path, Level.ASE)
    before = head(case.path)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(directory, RIGHT))
        await operator.until_stage(run, "proceeding", phase="deploy")
    return case, run, before


async def _until_held(operator: Operator, run: str) -> RunView:
    async def is_held() -> RunView | None:
        view = await operator.view(run)
        return view if view is not None and view.is_held else None

    view = await until(is_held)
    assert view is not None
    return view
