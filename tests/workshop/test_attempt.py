"""One attempt with a real clone and a real sandbox: what the workflow's tools and templates come to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from libs.contracts.facts import PhaseRequested, RunStarted
from libs.contracts.failures import WorkFailed
from libs.contracts.words import Phase
from libs.contracts.workflow import TOOLS, PhasePolicy, Policy, Tool, default_phases
from libs.workshop.attempt import Attempted, attempt
from libs.workshop.faults import told_as_failures
from libs.workshop.git import GitError, Quarantine, inspect
from libs.workshop.sandbox import Sandbox
from tests.spec.story import started as any_start
from tests.workshop.git_world import repository

TRIES = "exec:/bin/sh -c 'echo x > new.txt && echo wrote || echo kept out; cat' {phase}"
AGENT_PHASES = (Phase.INTENT, Phase.PLAN, Phase.BUILD, Phase.DOCUMENT)


class World(NamedTuple):
    """A repository taken in, and where to work."""

    quarantine: Quarantine
    commit: str
    scratch: Path

    async def work(self, phase: Phase, agent: str = TRIES, own: PhasePolicy | None = None, **more: Any) -> Attempted:
        phases = {**default_phases(), phase: own or PhasePolicy(tools=TOOLS[phase])}
        start = any_start(policy=Policy(phases=phases)).model_copy(update={"agent_by": "operator"})
        return await self.perform(start, phase, agent, **more)

    async def perform(
        self, start: RunStarted, phase: Phase, agent: str, variables: Mapping[str, str] | None = None, **more: Any
    ) -> Attempted:
        fields: dict[str, Any] = {"base": self.commit, "commit": self.commit, "deadline_s": 60, **more}
        request = PhaseRequested(run=start.run, phase=phase, attempt=1, agent=agent, **fields)
        return await attempt(
            start,
            request,
            files={},
            variables=variables or {},
            sandbox=Sandbox(),
            quarantine=self.quarantine,
            scratch=self.scratch,
        )


@pytest.fixture
async def world(tmp_path: Path) -> World:
    files = {
        "app.py": "pass\n",
        "prompts/own.md": "Own: ${issue_title}\n",
        "team/more.md": "More: ${issue_title}\n",
        "team/wrong.md": "${isue}\n",
    }
    source = await inspect(repository(tmp_path / "user", files))
    quarantine = await Quarantine.open(tmp_path / "quarantine")
    await quarantine.fetch(source, source.tip)
    return World(quarantine, source.tip, tmp_path / "scratch")


@pytest.mark.parametrize("phase", AGENT_PHASES)
async def test_without_the_tool_to_write_no_phase_can_write(world: World, phase: Phase) -> None:
    own = PhasePolicy(tools=frozenset(Tool) - {Tool.WRITE}, deny_reasons={Tool.WRITE: "look, do not touch"})
    done = await world.work(phase, own=own)
    assert done.report.text.startswith("kept out")
    assert "- write files of the working directory: look, do not touch" in done.report.text
    assert done.commit == world.commit


@pytest.mark.parametrize("phase", AGENT_PHASES)
async def test_only_build_and_document_write_whatever_tools_a_workflow_gives(world: World, phase: Phase) -> None:
    done = await world.work(phase, own=PhasePolicy(tools=frozenset(Tool)))
    is_writer = phase in (Phase.BUILD, Phase.DOCUMENT)
    assert done.report.text.startswith("wrote" if is_writer else "kept out")
    assert ("You may not:" in done.report.text) is not is_writer
    assert (done.commit != world.commit) is is_writer


async def test_the_limit_of_the_request_reaches_the_agent(world: World) -> None:
    done = await world.work(Phase.PLAN, "exec:/bin/sh -c 'echo $RUNG_COST_LIMIT_USD; cat'", cost_limit_usd=1.25)
    assert done.report.text.startswith("1.25\n")
    assert "at most 1.25 US dollars" in done.report.text


async def test_own_template_and_addition_are_read_from_the_base(world: World) -> None:
    own = PhasePolicy(tools=TOOLS[Phase.PLAN], template="prompts/own.md", addition="team/more.md")
    done = await world.work(Phase.PLAN, "exec:cat", own, variables={"issue_title": "the title"})
    assert done.report.text.startswith("Own: the title\n\nMore: the title\n\n# What you may do")


async def test_a_template_that_is_not_there_leaves_the_built_in_one(world: World) -> None:
    own = PhasePolicy(tools=TOOLS[Phase.PLAN], template="prompts/gone.md", addition="team/gone.md")
    assert (await world.work(Phase.PLAN, "exec:cat", own)).report.text.startswith("# Plan")


@pytest.mark.parametrize(
    ("agent", "code", "is_retryable"),
    [
        ("exec:/bin/sh -c 'exit 1'", "agent_failed", True),
        ("exec:no-such-agent", "agent_failed", False),
        ("acp:opencode", "agent_refused", False),
        ("exec:/bin/sh -c 'echo [] > $RUNG_OUT/plan.json'", "agent_output_malformed", False),
        ("exec:/bin/sh -c 'rm -rf .git'", "takeover_failed", False),
    ],
)
async def test_what_kind_of_failure_it_was_is_told(world: World, agent: str, code: str, is_retryable: bool) -> None:
    with pytest.raises(WorkFailed) as failed:
        await world.work(Phase.BUILD, agent)
    assert (failed.value.code, failed.value.is_retryable) == (code, is_retryable)


async def test_a_template_with_an_unknown_variable_is_refused_for_good(world: World) -> None:
    own = PhasePolicy(tools=TOOLS[Phase.PLAN], addition="team/wrong.md")
    with pytest.raises(WorkFailed, match=r"^team/wrong\.md:1: there is no variable \$\{isue\}") as failed:
        await world.work(Phase.PLAN, own=own)
    assert (failed.value.code, failed.value.is_retryable) == ("template_refused", False)


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [
        (GitError("git index-pack failed: write error: No space left on device."), True),
        (GitError("The bundle is broken: object fsck failed."), False),
    ],
)
def test_a_full_disk_may_pass_and_a_refused_change_does_not(error: GitError, is_retryable: bool) -> None:
    with pytest.raises(WorkFailed) as failed, told_as_failures("change_not_taken"):
        raise error
    assert (failed.value.code, failed.value.is_retryable) == ("change_not_taken", is_retryable)


def test_an_error_of_the_system_that_is_a_bug_stays_one() -> None:
    with pytest.raises(FileNotFoundError), told_as_failures("x"):
        raise FileNotFoundError(2, "No such file")
