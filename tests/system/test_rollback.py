"""The watch on real metrics and the rollback, on the real services: production follows the branch here.

A task plays production: ten times a second it looks at what the branch holds, and writes how it does to a file.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from libs.contracts.facts import (
    AnomalyDetected,
    ChangeMerged,
    ChangeRefused,
    ChangeReverted,
    DecisionRefused,
    IncidentResolved,
    MergeAuthorised,
    RollbackOrdered,
    RunEscalated,
    RunFinished,
    WatchEnded,
)
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Level, Service
from tests.support.ladder import freeze, grant, lift_freeze
from tests.support.quick import CODE, RIGHT, quick_agent, quick_repository
from tests.support.repositories import Case, commit, content, git, head, log
from tests.support.system import ROOT, Operator, System

WATCHED: Final = "watch: 2s\nmetrics: { latency: { file: METRICS } }\n"
AUTO_MERGE: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 1s }\n"
REASON: Final = "nobody wants it any more"
TICK_S: Final = 0.1


@dataclass
class Production:
    """Where its points are written, and how it does now."""

    file: Path
    value: Callable[[], float]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A minute of the past at once, then a point every tenth of a second."""
        now = time.time()
        past = (f"{now - TICK_S * n:.3f},{10 + n % 3}\n" for n in range(600, 0, -1))
        self.file.write_text("timestamp,value\n" + "".join(past))
        task = asyncio.create_task(self._write())
        try:
            yield
        finally:
            task.cancel()

    async def _write(self) -> None:
        count = 0
        while True:
            count += 1
            with self.file.open("a") as file:
                file.write(f"{time.time():.3f},{self.value() + count % 3}\n")
            await asyncio.sleep(TICK_S)


def _case(directory: Path, workflow: str = "") -> Case:
    metrics = WATCHED.replace("METRICS", str(directory / "latency.csv"))
    return quick_repository(directory / "repository", metrics + workflow)


def _production(directory: Path, case: Case, *, suffers: bool) -> Production:
    """It gets slow as soon as the branch multiplies, where it suffers from that."""

    def value() -> float:
        return 50.0 if suffers and "width * height" in (case.path / CODE).read_text() else 10.0

    return Production(directory / "latency.csv", value)


async def _merged(operator: Operator, case: Case, directory: Path) -> str:
    """A run whose change a person let through."""
    run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(directory, RIGHT))
    view = await operator.until_stopped(run)
    while view.checkpoint is not None:
        view = await operator.answer(view, DecisionKind.APPROVE)
    assert view.outcome == "merged", view.sentences
    return run


async def _take_back(operator: Operator, run: str, why: str = "business") -> str:
    return await operator.decide(run, DecisionKind.REVOKE, reason=REASON, revert_for=why)


async def _ended(operator: Operator, run: str) -> RunView:
    return await operator.until_stage(run, "ended")


# -- the watch -----------------------------------------------------------------


async def test_production_that_does_as_before_ends_the_watch_clear(system: System, tmp_path: Path) -> None:
    case = _case(tmp_path)
    async with system.operator() as operator, _production(tmp_path, case, suffers=False).running():
        run = await _merged(operator, case, tmp_path)
        await _ended(operator, run)
        (watched,) = await operator.facts(run, WatchEnded)
    assert watched.outcome == "clear", watched.reason
    assert min(watched.points_before, watched.points_after) >= 5


async def test_a_watch_without_points_after_the_merge_knows_nothing(system: System, tmp_path: Path) -> None:
    case = _case(tmp_path)
    (tmp_path / "latency.csv").write_text(f"timestamp,value\n{time.time() - 1},3\n")
    async with system.operator() as operator:
        run = await _merged(operator, case, tmp_path)
        await _ended(operator, run)
        (watched,) = await operator.facts(run, WatchEnded)
    assert (watched.outcome, watched.points_after) == ("no_data", 0), watched.reason


async def test_a_regression_after_a_human_s_merge_calls_a_human_who_takes_it_back(
    system: System, tmp_path: Path
) -> None:
    case = _case(tmp_path)
    async with system.operator() as operator, _production(tmp_path, case, suffers=True).running():
        run = await _merged(operator, case, tmp_path)
        await _ended(operator, run)
        (watched,) = await operator.facts(run, WatchEnded)
        (anomaly,) = await operator.facts(run, AnomalyDetected)
        (call,) = await operator.facts(run, RunEscalated)
        assert not await operator.facts(run, RollbackOrdered)
        await _take_back(operator, run, "regression")
        reverted = await operator.until_stated(run, ChangeReverted)
    assert (watched.outcome, anomaly.signal) == ("regressed", "latency"), watched.reason
    assert f"rung rollback {run[:8]}" in call.reason
    assert (reverted.tip, reverted.why) == (head(case.path), "regression")


async def test_what_the_machine_merged_it_takes_back_by_itself_when_production_gets_worse(
    system: System, tmp_path: Path
) -> None:
    case = _case(tmp_path, AUTO_MERGE)
    await grant(system, case.path, Level.ASE)
    before = content(case.path, CODE)
    async with system.operator() as operator, _production(tmp_path, case, suffers=True).running():
        agent = quick_agent(tmp_path, RIGHT)
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent)
        await operator.until_stage(run, "ended")
        (authorised,) = await operator.facts(run, MergeAuthorised)
        (order,) = await operator.facts(run, RollbackOrdered)
        (reverted,) = await operator.facts(run, ChangeReverted)
        (finished,) = await operator.facts(run, RunFinished)
        await operator.until_stated(run, IncidentResolved)
    assert authorised.decision is None
    assert (order.by, order.decision, reverted.why) == ("rung", None, "regression")
    assert "taken back" in finished.reason
    assert (content(case.path, CODE), reverted.tip) == (before, head(case.path))
    assert log(case.path)[0].startswith("revert: fix: ")


# -- a person ------------------------------------------------------------------


async def test_a_person_takes_back_what_ended_long_ago_though_the_workflow_is_frozen_and_it_can_be_once_only(
    system: System, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    async with system.operator() as operator:
        run = await _merged(operator, case, tmp_path)
        await _ended(operator, run)
        later = commit(case.path, "feat: later", {"later.txt": "x\n"})
        await freeze(system, case.path)
        await _take_back(operator, run)
        reverted = await operator.until_stated(run, ChangeReverted)
        await lift_freeze(system, case.path)
        again = await _take_back(operator, run)
        refusal = await operator.until_stated(run, DecisionRefused, decision=again)
        view = await operator.view(run)
        (merged,) = await operator.facts(run, ChangeMerged)
    assert (reverted.tip, reverted.reverts) == (head(case.path), merged.tip)
    assert git(case.path, "rev-parse", "HEAD^") == later
    assert refusal.code == "reverted_already"
    assert view is not None
    assert (view.outcome, view.stage) == ("merged", "ended")
    assert any("taken back by tester (business" in sentence for sentence in view.sentences), view.sentences


async def test_a_conflict_calls_a_human_who_may_order_it_again(system: System, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository")
    async with system.operator() as operator:
        run = await _merged(operator, case, tmp_path)
        await _ended(operator, run)
        text = content(case.path, CODE)
        commit(case.path, "feat: later", {CODE: text.replace("width * height", "width * height * 1") + "\n"})
        await _take_back(operator, run)
        refused = await operator.until_stated(run, ChangeRefused)
        call = await operator.until_stated(run, RunEscalated)
        commit(case.path, "fix: later", {CODE: text + "\n"})
        await _take_back(operator, run)
        reverted = await operator.until_stated(run, ChangeReverted)
        assert len(await operator.facts(run, RunEscalated)) == 1
    assert refused.code == "conflict"
    assert CODE in call.reason
    assert reverted.tip == head(case.path)


async def test_a_merger_that_is_killed_while_it_takes_a_change_back_leaves_one_revert(
    system: System, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    async with system.operator() as operator:
        run = await _merged(operator, case, tmp_path)
        await _ended(operator, run)
        before = head(case.path)
        await _take_back(operator, run)
        await operator.until_stated(run, RollbackOrdered)
        await system.restart(Service.MERGER)
        reverted = await operator.until_stated(run, ChangeReverted)
        assert len(await operator.facts(run, ChangeReverted)) == 1
    assert git(case.path, "rev-list", "--count", f"{before}..main") == "1"
    assert reverted.tip == head(case.path)


# -- the command ---------------------------------------------------------------


def _rollback(system: System, run: str, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the answer of `rung rollback`."""
    command = [sys.executable, "-m", "libs.cli.main", "rollback", run[:8], "--data", str(system.data), "--json", *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


async def test_the_command_waits_until_the_change_is_off_its_branch_and_refuses_a_second_time(
    system: System, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    async with system.operator() as operator:
        run = await _merged(operator, case, tmp_path)
    words = ("--why", "drill", "--reason", "we try it")
    code, told = await asyncio.to_thread(_rollback, system, run, *words)
    assert (code, told["is_reverted"], told["tip"], told["why"]) == (0, True, head(case.path), "drill"), told
    code, told = await asyncio.to_thread(_rollback, system, run, *words)
    assert (code, told["is_recorded"], told["code"]) == (3, False, "reverted_already"), told
    assert "taken back already" in told["error"]
