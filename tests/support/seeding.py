"""Seeds the log with many runs that wait at the checkpoint after plan, by the keys of their speakers.

Every fact is one that the deciders owe, behind its own fence and with the store's own time, as if
planner and gatekeeper had done the work: run by run nothing tells the log from theirs. Only the
order between runs differs: all take each step together, so that a thousand take seconds.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.contracts.facts import Fact, IssueOpened, LadderFact, Owed, RunFact, speaker_of
from libs.contracts.history import Fence, History, fence_for
from libs.contracts.ladder import fold as fold_ladder
from libs.contracts.requests import issue_id, run_id, workflow_id
from libs.contracts.subjects import ladder_filter, run_filter
from libs.contracts.wire import Recorded
from libs.contracts.words import Phase, Service
from libs.contracts.workflow import CheckpointPolicy, OnTimeout, Policy
from libs.runtime.log import Log
from libs.runtime.rights import API
from libs.runtime.server import Endpoint
from libs.runtime.telemetry import root_traceparent
from services.gatekeeper.decider import decide
from services.gatekeeper.evolution import fold
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import Stage
from tests.spec.story import POLICY, completed, opened
from tests.support.bus import Bus

AT_ONCE: Final = 64


@dataclass(frozen=True)
class Waiting:
    """A workflow of its own, whose runs wait `timeout_s` at the checkpoint after plan."""

    name: str
    timeout_s: float
    on_timeout: OnTimeout
    count: int

    @property
    def policy(self) -> Policy:
        checkpoint = CheckpointPolicy(timeout_s=self.timeout_s, on_timeout=self.on_timeout)
        return POLICY.model_copy(update={"checkpoints": {Phase.PLAN: checkpoint}})

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(run_id(issue.issue, issue.revision) for issue in self.issues())

    def issues(self) -> tuple[IssueOpened, ...]:
        repository = f"/srv/{self.name}"
        issue = opened(policy=self.policy).model_copy(
            update={"repository": repository, "workflow": workflow_id(repository)}
        )
        keys = (str(number) for number in range(self.count))
        return tuple(issue.model_copy(update={"key": key, "issue": issue_id("cli", repository, key)}) for key in keys)


async def seed(endpoint: Endpoint, groups: Iterable[Waiting]) -> None:
    """Bring all runs of the groups to their checkpoint."""
    issues = [issue for group in groups for issue in group.issues()]
    bus = Bus(endpoint, Path())
    async with bus.client(Service.PLANNER) as planner, bus.client(Service.GATEKEEPER) as gatekeeper:
        speakers = {
            Service.PLANNER: Log(planner, api=API, producer=Service.PLANNER),
            Service.GATEKEEPER: Log(gatekeeper, api=API, producer=Service.GATEKEEPER),
        }
        await Seeding(speakers).bring(issues)


class Seeding:
    """What has been stated so far, by aggregate, as the store has it."""

    def __init__(self, speakers: dict[Service, Log]) -> None:
        self._speakers = speakers
        self._told: dict[str, list[Recorded]] = defaultdict(list)
        self._head = 0
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def bring(self, issues: Iterable[IssueOpened]) -> None:
        """State for all runs what is owed first, and again until nothing is."""
        step = {issue.subject: Owed(issue, issue.request) for issue in issues}
        workflows = {run_id(issue.issue, issue.revision): issue.workflow for issue in issues}
        while step:
            await asyncio.gather(*(self._state(owed) for owed in step.values()))
            await self._read()
            owed = (self._owed(run, workflow) for run, workflow in workflows.items())
            step = {first.fact.subject: first for first in owed if first}

    async def _state(self, owed: Owed) -> None:
        speaker = self._speakers[speaker_of(owed.fact)]
        trace = root_traceparent(_aggregate(owed.fact))
        async with self._turns:
            await speaker.append(owed.fact, cause=owed.cause, fence=self._fence(owed.fact), traceparent=trace)

    def _fence(self, fact: Fact) -> Fence:
        told = History(tuple(self._told[_aggregate(fact)]))
        match fact:
            case RunFact() if speaker_of(fact) is Service.GATEKEEPER:
                return Fence(run_filter(fact.run), told.last_on(run_filter(fact.run)))
            case LadderFact():
                return Fence(ladder_filter(fact.workflow), told.head)
            case _:
                return fence_for(fact, told)

    async def _read(self) -> None:
        """Take in what stands in the log beyond what has been read."""
        history = await self._speakers[Service.GATEKEEPER].read(">", after=self._head)
        self._head = history.head
        for recorded in history.facts:
            self._told[_aggregate(recorded.fact)].append(recorded)

    def _owed(self, run: str, workflow: str) -> Owed | None:
        state = fold(self._told[run])
        if state.stage is Stage.WORKING:
            return Owed(_plan(state), state.cause)
        return next(iter(decide(state, fold_ladder(self._told[workflow]))), None)


def _plan(run: Run) -> Fact:
    """The planner's answer."""
    return completed(Phase.PLAN).model_copy(update={"run": run.run})


def _aggregate(fact: Fact) -> str:
    """Under which name a fact is kept: an issue's fact belongs to the run that it opens."""
    match fact:
        case IssueOpened():
            return run_id(fact.issue, fact.revision)
        case LadderFact():
            return fact.workflow
        case RunFact():
            return fact.run
        case _:
            raise AssertionError(f"no run needs {fact.subject} to wait")
