"""The main job on real services: an issue goes in, a tested and merged change comes out, or a reason why not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.contracts.facts import ChangeMerged, Fact, IssueOpened, PhaseCompleted, RunStarted, speaker_of
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind, Phase, Service
from libs.runtime.log import Log
from libs.runtime.rights import API
from tests.support.quick import RIGHT, quick_agent, quick_repository
from tests.support.repositories import DECLINED, MERGED, Build, flat_layout, git, src_layout, unittest_style
from tests.support.system import System, running_system
from tests.support.waiting import until

LEFT_TO_DO = ["plan", "build", "test", "review", "document", "deploy", "monitor"]


def _status(path: Path) -> str:
    return git(path, "status", "--porcelain")


ELSEWHERE = (flat_layout, src_layout, unittest_style)
"""Cases that other tests here and those of the command line take to a merge."""


@pytest.mark.parametrize("build", [b for b in MERGED if b not in ELSEWHERE], ids=lambda build: build.__name__)
async def test_a_real_defect_becomes_one_merged_commit(system: System, tmp_path: Path, build: Build) -> None:
    case = build(tmp_path)
    before = git(case.path, "rev-parse", "main")
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body)
        view = await operator.approve_until_end(run)
    assert view.outcome == "merged", view.sentences
    assert [phase.phase for phase in view.phases] == LEFT_TO_DO
    assert view.phases[-1].outcome == "no_data"
    assert git(case.path, "rev-parse", "main") == view.commit
    assert git(case.path, "log", "--format=%P", "-1", "main") == before
    message = git(case.path, "log", "--format=%B", "-1", "main")
    assert message.startswith("fix: ")
    assert run in message
    assert case.changed_file in git(case.path, "diff", "--name-only", before, "main").splitlines()
    if git(case.path, "rev-parse", "--is-bare-repository") == "false":
        assert _status(case.path) == ""


@pytest.mark.parametrize("build", DECLINED, ids=lambda build: build.__name__)
async def test_what_cannot_be_repaired_is_declined_with_a_reason_and_nothing_moves(
    system: System, tmp_path: Path, build: Build
) -> None:
    case = build(tmp_path)
    refs = git(case.path, "for-each-ref") if (case.path / ".git").exists() else ""
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body)
        view = await operator.approve_until_end(run)
    assert view.outcome == "declined", view.sentences
    assert len(view.reason) > 10
    assert "Traceback" not in view.reason
    assert not refs or git(case.path, "for-each-ref") == refs


async def test_facts_carry_their_causes_from_the_merge_back_to_the_issue(system: System, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository")
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT))
        await operator.approve_until_end(run)
        history = await operator.history(run)
    by_id = {recorded.id: recorded for recorded in history.facts}
    merged = next(recorded for recorded in history.facts if isinstance(recorded.fact, ChangeMerged))
    chain = list(_chain(merged, by_id))
    assert chain[-1].fact.type == "run.started"
    assert {"merge.authorised", "decision.recorded", "gate.judged", "phase.completed"} <= {r.fact.type for r in chain}
    assert all(recorded.cause in by_id for recorded in history.facts if recorded.fact.type != "run.started")
    assert all(recorded.producer == speaker_of(recorded.fact) for recorded in history.facts)
    assert history.unread == ()
    started = chain[-1]
    assert isinstance(started.fact, RunStarted)
    async with system.operator() as operator:
        subject = f"issue.{started.fact.issue}.opened.{started.fact.revision}"
        (opened,) = (await Log(operator.client, api=API).read(subject)).facts
    assert isinstance(opened.fact, IssueOpened)
    assert (started.cause, opened.cause) == (opened.id, opened.fact.request)


def _chain(recorded: Recorded, by_id: dict[str, Recorded]) -> Iterator[Recorded]:
    """The fact, what caused it, what caused that, as far as the run's own facts go."""
    while recorded is not None:
        yield recorded
        recorded = by_id.get(recorded.cause)  # type: ignore[assignment]


async def test_a_dirty_working_copy_keeps_everything_where_it_is_until_it_is_clean(
    system: System, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    before = git(case.path, "rev-parse", "main")
    assert case.changed_file is not None
    (case.path / case.changed_file).write_text("# work in progress\n")
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT))
        view = await operator.approve_until_end(run)
        assert view.outcome == "waiting"
        assert view.checkpoint is not None
        assert view.checkpoint.name == "merge"
        assert case.changed_file in view.checkpoint.reason
        assert git(case.path, "rev-parse", "main") == before
        assert (case.path / case.changed_file).read_text() == "# work in progress\n"
        assert git(case.path, "rev-parse", f"rung/{run}") == view.commit
        git(case.path, "checkout", "--quiet", case.changed_file)
        await operator.decide(run, DecisionKind.APPROVE)
        assert (await operator.until_stage(run, "ended")).outcome == "merged"
    assert git(case.path, "rev-parse", "main") == view.commit
    assert _status(case.path) == ""


async def test_replay_rebuilds_exactly_the_live_state(system: System, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository")
    async with system.operator() as operator:
        await operator.ask("replay")  # other tests have put records of agents beside what the log says
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT))
        await operator.approve_until_end(run)
        before = await operator.view(run)

        async def is_caught_up() -> bool:
            health = (await operator.ask("health"))["ok"]
            return bool(health["position"] == health["head"])

        assert await until(is_caught_up)
        answer = (await operator.ask("replay"))["ok"]
        assert answer["was_same"] is True
        assert answer["facts"] > 20
        assert await operator.view(run) == before


KILLED_AFTER = {
    Phase.PLAN: (Service.BUILDER,),
    Phase.BUILD: (Service.GATEKEEPER,),
    Phase.TEST: (),
    Phase.REVIEW: (Service.GATEKEEPER,),
    Phase.DOCUMENT: (Service.MERGER,),
    Phase.DEPLOY: (Service.MERGER, Service.GATEKEEPER, Service.MONITOR),
}
"""Who is killed right after a human approved a phase; the planner is killed while it plans."""


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[System]:
    with running_system(tmp_path / "system") as system:
        yield system


async def test_services_killed_in_the_middle_of_their_work_change_nothing_in_the_end(
    fragile: System, tmp_path: Path
) -> None:
    case = flat_layout(tmp_path / "repository")
    async with fragile.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body)
        await operator.until_stage(run, "working", phase=Phase.PLAN)
        fragile.kill_service(Service.PLANNER)
        fragile.start_service(Service.PLANNER)
        for phase, services in KILLED_AFTER.items():
            await operator.until_stage(run, "waiting", phase=phase)
            await operator.decide(run, DecisionKind.APPROVE, phase=phase)
            for service in services:
                fragile.kill_service(service)
                fragile.start_service(service)
            for service in services:
                await fragile.healthy(service)
        view = await operator.until_stage(run, "ended")
        history = await operator.history(run)
    assert view.outcome == "merged"
    _assert_nothing_doubled([recorded.fact for recorded in history.facts])
    assert git(case.path, "log", "--format=%s", "main").count("fix: ") == 1


def _assert_nothing_doubled(facts: list[Fact]) -> None:
    answers = [(fact.phase, fact.attempt) for fact in facts if isinstance(fact, PhaseCompleted)]
    assert len(answers) == len(set(answers)) >= len(Phase) - 2
    once = [fact.subject for fact in facts if fact.type not in ("phase.claimed", "change.proposed", "change.refused")]
    assert len(once) == len(set(once))
