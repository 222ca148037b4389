"""Every branch of the levels on the real services, killed and started again where it matters.

Each test is one run on the quick repository. When it is over, the run's own facts and the branch of the
repository say that nothing was doubled, nothing happened without a cause, and nothing landed twice.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from libs.contracts.facts import (
    ChangeMerged,
    ChangeRefused,
    CheckpointClosed,
    CheckpointOpened,
    CheckpointReminded,
    DecisionRecorded,
    DecisionRefused,
    Fact,
    GateJudged,
    MergeAuthorised,
    PhaseClaimed,
    PhaseCompleted,
    PhaseErrored,
    PhaseRequested,
    RunAborted,
    RunEscalated,
    RunFinished,
    RunStarted,
)
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Disposition, Level, Phase, Service
from tests.support.ladder import freeze, grant, lift_freeze, lower, timer_due, timer_passed
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
    quick_agent,
    quick_repository,
)
from tests.support.repositories import Case, commit, content, git, head
from tests.support.system import Operator, System, running_system
from tests.support.waiting import until

APPROVE: Final = DecisionKind.APPROVE
GATEKEEPER: Final = Service.GATEKEEPER
MERGER: Final = Service.MERGER

PHASES: Final = ["plan", "build", "test", "review", "document", "deploy"]
NO_HEALING: Final = "loops: { test_retry: { max: 0 } }\n"
ONE_HEALING: Final = "loops: { test_retry: { max: 1 } }\n"
EXPIRING: Final = "checkpoints: { after_plan: { timeout: 2s } }\n"
TWO_PEOPLE: Final = f"quorum: [{{ paths: [{CODE}], people: 2 }}]\n"
AUTO_MERGE: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 2s }\n"
AT_ONCE: Final = "autonomy: ase\nauto_merge: { enabled: true, delay: 0s }\n"
UNREVIEWED: Final = "routing: { bug: { phases: [plan, build, test, deploy] } }\n"

ONLY_GUIDED: Final = f"if told 'multiply the sides' guidance.md; then {RIGHT}; else {WRONG}; fi"
SAYS_ITS_COST: Final = 'echo \'{"cost_usd": 0.3}\' > "$RUNG_OUT/usage.json"'

ELSEWHERE: Final = {"NOTES.txt": "Somebody else was here.\n"}
NEAR_THE_CHANGE: Final = {CODE: FILES[CODE].replace("width=$1", "width=$1 # in metres")}
AT_THE_CHANGE: Final = {CODE: FILES[CODE].replace(DEFECT, "width + height + 0")}


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


@dataclass
class Branch:
    """A run on its way, and what somebody else committed meanwhile."""

    system: System
    operator: Operator
    case: Case
    run: str
    base: str
    foreign_count: int = 0

    async def stopped(self, after: RunView | None = None) -> RunView:
        return await self.operator.until_stopped(self.run, after)

    async def answered(self, view: RunView, kind: DecisionKind = APPROVE, **more: Any) -> RunView:
        return await self.operator.answer(view, kind, **more)

    async def approved_up_to(self, checkpoint: str) -> RunView:
        """Approve what passed, checkpoint after checkpoint, until the run waits at the one that is named."""
        view = await self.stopped()
        while _where(view) != checkpoint:
            assert view.checkpoint is not None, view.sentences
            view = await self.answered(view)
        return view

    async def facts[F: Fact](self, kind: type[F]) -> list[F]:
        return await self.operator.facts(self.run, kind)

    async def stated[F: Fact](self, kind: type[F], **fields: Any) -> F:
        return await self.operator.until_stated(self.run, kind, **fields)

    def somebody_commits(self, files: dict[str, str]) -> str:
        self.foreign_count += 1
        return commit(self.case.path, "chore: of somebody else", files)
