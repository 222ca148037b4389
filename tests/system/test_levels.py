"""Every level on the real services: where a run waits, where the gate's word ends it, and where it merges by itself.

The ladder is seeded; agents are shell scripts, so that a phase takes as long as its evidence.
"""

from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pytest

from libs.contracts.facts import ChangeMerged, DecisionRecorded, Fact, MergeAuthorised
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Level
from tests.support.ladder import freeze, grant, lift_freeze, lower, timer_passed
from tests.support.repositories import Case, commit, flat_layout, git, head
from tests.support.system import Operator, System
from tests.support.waiting import until

F = TypeVar("F", bound=Fact)

AGENT: Final = """\
#!/bin/sh
fix() { cat > FILE <<'END'
FIXED
END
}
case "$RUNG_PHASE" in
  plan) echo "Change \\`FILE\\`: TITLE" ;;
  build) BUILD ;;
  document) printf '# Changelog\\n\\n- repaired\\n' > CHANGELOG.md ;;
esac
"""

FIXES: Final = "fix"
FIXES_ONCE_TOLD_OF_FAILURES: Final = (
    'if grep -q \'"failures"\' "$RUNG_IN/attempts.json"; then fix; else echo "# tried" >> FILE; fi'
)
NEVER_FIXES: Final = 'echo "# tried" >> FILE'
TOUCHES_PROMPTS_UNTIL_GUIDED: Final = """\
fix
    if test -s "$RUNG_IN/guidance.md"; then rm -r prompts; else mkdir prompts; echo "Agree." > prompts/plan.md; fi"""
LEAVES_A_BLOCKER_AT_FIRST: Final = (
    'fix; test "$RUNG_ATTEMPT" -gt 1 || printf "\\n\\ndef spare():\\n    return nowhere_defined\\n" >> FILE'
)

NO_HEALING: Final = "loops: { test_retry: { max: 0 }, review_patch: { max: 0 } }\n"
AUTO_MERGE: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 1s }\n"
AUTO_MERGE_LATER: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 6s }\n"
PUBLISHED_PATCH_ROUTE: Final = "routing: { patch: { phases: [build, test, deploy] } }\n"

EVERY_CHECKPOINT: Final = ["after plan", "after build", "after test", "after review", "after document", "merge"]


# -- a repository, an agent and the way from stop to stop ----------------------


def _case(directory: Path, workflow: str = "") -> Case:
    case = flat_layout(directory / "repository")
    if workflow:
        commit(case.path, "chore: workflow", {"workflow.yaml": workflow})
    return case


def _agent(directory: Path, case: Case, build: str = FIXES) -> str:
    """A program of the operator's machine with the repair built in; `build` says when it is made."""
    assert case.changed_file is not None
    broken = (case.path / case.changed_file).read_text()
    fixed = broken.replace("self.calls) <= self.limit", "self.calls) < self.limit").rstrip("\n")
    assert fixed != broken.rstrip("\n"), "the defect of this case"
    text = AGENT.replace("BUILD", build).replace("FIXED", fixed)
    program = directory / "agent"
    program.write_text(text.replace("FILE", case.changed_file).replace("TITLE", case.title))
    program.chmod(0o755)
    return f"exec:{program}"


async def _stop(operator: Operator, run: str, after: RunView | None = None) -> RunView:
    """The next place, later than the view `after`, where the run waits for somebody or is through."""

    async def is_there() -> RunView | None:
        view = await operator.view(run)
        if view is None or (after is not None and view.sequence <= after.sequence):
            return None
        return view if view.stage in ("waiting", "aborted", "ended") or view.outcome == "merged" else None

    view = await until(is_there, within_s=60)
    assert view is not None
    return view


async def _answer(operator: Operator, view: RunView, kind: DecisionKind, **more: str) -> RunView:
    await operator.decide(view.run, kind, **more)
    return await _stop(operator, view.run, after=view)


async def _stops_when_approved(operator: Operator, run: str) -> list[str]:
    """The checkpoints on the way, each approved, and how the run ended."""
    stops: list[str] = []
    view = await _stop(operator, run)
    while view.checkpoint is not None:
        stops.append(view.checkpoint.name)
        view = await _answer(operator, view, DecisionKind.APPROVE)
    return [*stops, view.outcome]


async def _facts(operator: Operator, run: str, kind: type[F]) -> list[F]:
    return [recorded.fact for recorded in (await operator.history(run)).facts if isinstance(recorded.fact, kind)]


def _attempts(view: RunView) -> dict[str, int]:
    return {str(phase.phase): phase.attempts for phase in view.phases}


def _where(view: RunView) -> str | None:
    return view.checkpoint.name if view.checkpoint else None


# -- what is configured is not what is granted --------------------------------


@pytest.mark.parametrize(
    ("asked", "workflow"), [(Level.SUPERVISED, ""), (None, AUTO_MERGE)], ids=["by the request", "by the workflow"]
)
async def test_a_level_that_nobody_granted_skips_no_human(
    system: System, tmp_path: Path, asked: Level | None, workflow: str
) -> None:
    case = _case(tmp_path, workflow)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=_agent(tmp_path, case), level=asked)
        stops = await _stops_when_approved(operator, run)
        view = await operator.view(run)
    assert stops == [*EVERY_CHECKPOINT, "merged"]
    assert view is not None
    assert (view.level, view.level_in_force) == (asked or Level.ASE, Level.ASSISTED)


# -- supervised ---------------------------------------------------------------


async def test_supervised_waits_after_plan_test_and_review_and_at_the_merge(system: System, tmp_path: Path) -> None:
    case = _case(tmp_path)
    await grant(system, case.path, Level.SUPERVISED)
    async with system.operator() as operator:
        run = await operator.open_issue(
            case.path, case.title, case.body, agent=_agent(tmp_path, case), level=Level.SUPERVISED
        )
        stops = await _stops_when_approved(operator, run)
        view = await operator.view(run)
    assert stops == ["after plan", "after test", "after review", "merge", "merged"]
    assert view is not None
    assert view.level_in_force is Level.SUPERVISED


async def test_supervised_heals_a_failure_that_the_agent_is_told_of_before_a_human_is_asked(
    system: System, tmp_path: Path
) -> None:
    case = _case(tmp_path)
    await grant(system, case.path, Level.SUPERVISED)
    agent = _agent(tmp_path, case, FIXES_ONCE_TOLD_OF_FAILURES)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, level=Level.SUPERVISED)
        planned = await _stop(operator, run)
        view = await _answer(operator, planned, DecisionKind.APPROVE)
        decisions = await _facts(operator, run, DecisionRecorded)
    assert view.checkpoint is not None, view.sentences
    assert (view.checkpoint.name, view.checkpoint.outcome) == ("after test", "pass")
    assert _attempts(view) == {"plan": 1, "build": 2, "test": 2}
    assert [decision.phase for decision in decisions] == ["plan"]


# -- autonomous ---------------------------------------------------------------


async def test_autonomous_goes_from_the_issue_to_the_merge_without_a_human_and_there_a_human_merges(
    system: System, tmp_path: Path
) -> None:
    case = _case(tmp_path)
    await grant(system, case.path, Level.AUTONOMOUS)
    before = head(case.path)
    async with system.operator() as operator:
        run = await operator.open_issue(
            case.path, case.title, case.body, agent=_agent(tmp_path, case), level=Level.AUTONOMOUS
        )
        waiting = await _stop(operator, run)
        assert (_where(waiting), waiting.level_in_force, waiting.decisions) == ("merge", Level.AUTONOMOUS, ())
        assert head(case.path) == before
        merged = await _answer(operator, waiting, DecisionKind.APPROVE)
    assert merged.outcome == "merged", merged.sentences
    assert head(case.path) == merged.merged_tip


class Stopped(NamedTuple):
    """An agent that a required gate stops, what a human says, and the attempts that it took in the end."""

    build: str
    phase: str
    answer: DecisionKind
    attempts: dict[str, int]


STOPPED: Final = (
    Stopped(
        TOUCHES_PROMPTS_UNTIL_GUIDED,
        "build",
        DecisionKind.GUIDE,
        {"plan": 1, "build": 2, "test": 1, "review": 1, "document": 1, "deploy": 1},
    ),
    Stopped(
        LEAVES_A_BLOCKER_AT_FIRST,
        "review",
        DecisionKind.RESUME,
        {"plan": 1, "build": 2, "test": 2, "review": 2, "document": 1, "deploy": 1},
    ),
)


@pytest.mark.parametrize("stopped", STOPPED, ids=lambda stopped: f"{stopped.answer} after {stopped.phase}")
async def test_autonomous_aborts_at_a_required_gate_and_goes_on_from_there_when_a_human_says_so(
    system: System, tmp_path: Path, stopped: Stopped
) -> None:
    case = _case(tmp_path, NO_HEALING)
    await grant(system, case.path, Level.AUTONOMOUS)
    agent = _agent(tmp_path, case, stopped.build)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, level=Level.AUTONOMOUS)
        aborted = await _stop(operator, run)
        assert (aborted.outcome, aborted.phases[-1].phase) == ("aborted", stopped.phase), aborted.sentences
        assert f"the {stopped.phase} gate says fail" in aborted.reason
        view = await _answer(operator, aborted, stopped.answer, reason="leave the rest alone")
    assert _where(view) == "merge", view.sentences
    assert _attempts(view) == stopped.attempts


async def test_autonomous_only_warns_of_red_tests_and_merges_them_on_override_alone(
    system: System, tmp_path: Path
) -> None:
    case = _case(tmp_path, NO_HEALING)
    await grant(system, case.path, Level.AUTONOMOUS)
    agent = _agent(tmp_path, case, NEVER_FIXES)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, level=Level.AUTONOMOUS)
        waiting = await _stop(operator, run)
        tested = next(phase for phase in waiting.phases if phase.phase == "test")
        assert (tested.outcome, tested.disposition) == ("fail", "warn")
        assert waiting.checkpoint is not None, waiting.sentences
        assert (waiting.checkpoint.name, waiting.checkpoint.outcome) == ("merge", "fail")
        refused = await _answer(operator, waiting, DecisionKind.APPROVE)
        assert refused.outcome == "waiting"
        merged = await _answer(operator, refused, DecisionKind.OVERRIDE, reason="known to be red")
    assert merged.outcome == "merged", merged.sentences


# -- ase ----------------------------------------------------------------------


async def test_ase_merges_by_itself_once_the_delay_is_over(system: System, tmp_path: Path) -> None:
    case = _case(tmp_path, AUTO_MERGE)
    await grant(system, case.path, Level.ASE)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=_agent(tmp_path, case))
        view = await _stop(operator, run)
        (authorised,) = await _facts(operator, run, MergeAuthorised)
    assert (view.outcome, view.level_in_force, view.decisions) == ("merged", Level.ASE, ()), view.sentences
    assert (authorised.by, authorised.decision) == ("level ase", None)
    assert head(case.path) == view.merged_tip == authorised.commit


async def test_ase_without_auto_merge_waits_for_a_human(system: System, tmp_path: Path) -> None:
    case = _case(tmp_path, AUTO_MERGE.replace("true", "false"))
    await grant(system, case.path, Level.ASE)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=_agent(tmp_path, case))
        view = await _stop(operator, run)
    assert (view.outcome, _where(view)) == ("waiting", "merge"), view.sentences


async def test_a_hold_during_the_delay_lands_nothing_and_its_release_lands_the_change_once(
    system: System, tmp_path: Path
) -> None:
    case, run, before = await _in_the_delay(system, tmp_path)
    async with system.operator() as operator:
        await operator.decide(run, DecisionKind.HOLD, reason="let me look first")
        held = await _until_held(operator, run)
        await timer_passed(system, run, "merge-1")
        assert await _facts(operator, run, MergeAuthorised) == []
        assert head(case.path) == before
        view = await _answer(operator, held, DecisionKind.RELEASE, reason="looks fine")
        assert view.outcome == "merged", view.sentences
        ended = await operator.until_stage(run, "ended")
        assert len(await _facts(operator, run, ChangeMerged)) == 1
    assert head(case.path) == ended.merged_tip
    assert git(case.path, "rev-list", "--count", f"{before}..main") == "1"


async def test_a_freeze_during_the_delay_turns_the_merge_into_a_checkpoint_until_it_is_lifted(
    system: System, tmp_path: Path
) -> None:
    case, run, before = await _in_the_delay(system, tmp_path)
    await freeze(system, case.path)
    async with system.operator() as operator:
        waiting = await _stop(operator, run)
        assert _where(waiting) == "merge", waiting.sentences
        assert await _facts(operator, run, MergeAuthorised) == []
        refused = await _answer(operator, waiting, DecisionKind.APPROVE)
        assert _where(refused) == "merge", refused.sentences
        assert "frozen" in refused.reason
        assert head(case.path) == before
        await lift_freeze(system, case.path)
        merged = await _answer(operator, refused, DecisionKind.APPROVE)
    assert merged.outcome == "merged", merged.sentences


async def test_a_level_lowered_during_the_delay_leaves_the_merge_to_a_human(system: System, tmp_path: Path) -> None:
    case, run, before = await _in_the_delay(system, tmp_path)
    await lower(system, case.path, Level.AUTONOMOUS)
    async with system.operator() as operator:
        waiting = await _stop(operator, run)
        assert _where(waiting) == "merge", waiting.sentences
        assert await _facts(operator, run, MergeAuthorised) == []
        assert head(case.path) == before
        merged = await _answer(operator, waiting, DecisionKind.APPROVE)
        (authorised,) = await _facts(operator, run, MergeAuthorised)
    assert merged.outcome == "merged", merged.sentences
    assert (authorised.by, authorised.level_in_force) == ("tester", Level.AUTONOMOUS)


async def test_what_nobody_reviewed_never_merges_by_itself(system: System, tmp_path: Path) -> None:
    case = _case(tmp_path, AUTO_MERGE + PUBLISHED_PATCH_ROUTE)
    await grant(system, case.path, Level.ASE)
    agent = _agent(tmp_path, case)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent, type="patch")
        waiting = await _stop(operator, run)
        assert (_where(waiting), waiting.level_in_force) == ("merge", Level.ASE), waiting.sentences
        assert [str(phase.phase) for phase in waiting.phases] == ["build", "test", "deploy"]
        merged = await _answer(operator, waiting, DecisionKind.APPROVE)
        (authorised,) = await _facts(operator, run, MergeAuthorised)
    assert (merged.outcome, authorised.by) == ("merged", "tester"), merged.sentences


async def _in_the_delay(system: System, directory: Path) -> tuple[Case, str, str]:
    """A run at the highest level that passed its deploy gate and waits for its delay to be over."""
    case = _case(directory, AUTO_MERGE_LATER)
    await grant(system, case.path, Level.ASE)
    before = head(case.path)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=_agent(directory, case))
        await operator.until_stage(run, "proceeding", phase="deploy")
    return case, run, before


async def _until_held(operator: Operator, run: str) -> RunView:
    async def is_held() -> RunView | None:
        view = await operator.view(run)
        return view if view is not None and view.is_held else None

    view = await until(is_held)
    assert view is not None
    return view
