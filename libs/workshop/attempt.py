"""One attempt of an agent: its own clone, the sandbox, and the commit that came out of it.

The trusted side only makes the clone and takes the bundle; whatever runs in the clone, runs in the
sandbox. Everything is thrown away afterwards but the commit, which lies in the quarantine repository.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from libs.contracts.facts import PhaseRequested, RunStarted
from libs.contracts.failures import WorkFailed
from libs.contracts.words import Phase
from libs.contracts.workflow import Policy, Tool
from libs.workshop.agents import AgentReport, DriverRefused, host_files, parse_driver, work
from libs.workshop.git import GitError, Quarantine, leave_argv
from libs.workshop.prompts import TemplateRefused, render
from libs.workshop.sandbox import Limits, Sandbox, SandboxUnavailable

BRANCH = "rung/work"
WRITERS = (Phase.BUILD, Phase.DOCUMENT)
"""Phases whose changes become the candidate, as far as the workflow's tools let them write."""


@dataclass(frozen=True)
class Attempted:
    """What the agent said, the candidate after it (the same when nothing was changed), and its files."""

    report: AgentReport
    commit: str
    files: dict[str, bytes]


async def attempt(
    started: RunStarted,
    request: PhaseRequested,
    *,
    files: Mapping[str, bytes],
    variables: Mapping[str, str],
    sandbox: Sandbox,
    quarantine: Quarantine,
    scratch: Path,
    on_output: Callable[[bytes], None] | None = None,
) -> Attempted:
    """Let the agent work once, and take what it leaves into the quarantine.

    Raises:  WorkFailed when the agent could not be run to its end or what it left cannot be taken.
    """
    try:
        driver = parse_driver(request.agent)
        is_operators = started.agent_by == "operator"
        if driver.program is not None and not is_operators:
            raise WorkFailed("agent_refused", "only the operator may name a program of this machine as the agent")
        prompt = render(request.phase, variables, await _template(quarantine, started, request))
        with workspace(scratch) as room:
            clone = room / "clone"
            await quarantine.clone(request.commit, clone, branch=BRANCH)
            can_write = may_write(started.policy, request.phase)
            report = await work(
                driver,
                sandbox,
                phase=request.phase,
                attempt=request.attempt,
                clone=clone,
                inputs=files,
                prompt=prompt,
                can_write=can_write,
                scratch=room / "agent",
                limits=Limits(wall_s=request.work_s),
                after=leave_argv(request.commit) if can_write else None,
                tools=host_files(driver) if is_operators else (),
                on_output=on_output,
            )
            return await _taken(request, report, quarantine, room)
    except DriverRefused as refused:
        raise WorkFailed("agent_refused", str(refused)) from refused
    except TemplateRefused as refused:
        raise WorkFailed("template_refused", str(refused)) from refused
    except SandboxUnavailable as missing:
        raise WorkFailed("sandbox_unavailable", str(missing)) from missing
    except GitError as error:
        raise WorkFailed("change_not_taken", str(error)) from error


def may_write(policy: Policy, phase: Phase) -> bool:
    """Whether the phase's clone can be written: only where its work is a change and its tools hold `write`."""
    return phase in WRITERS and phase in policy.phases and Tool.WRITE in policy.phases[phase].tools


async def _template(quarantine: Quarantine, started: RunStarted, request: PhaseRequested) -> str | None:
    """The repository's own template for the phase, as it is on the base commit."""
    phase = started.policy.phases.get(request.phase)
    if phase is None or phase.template is None:
        return None
    text = await quarantine.read_file(request.base, phase.template)
    return None if text is None else text.decode("utf-8", "replace")


async def _taken(request: PhaseRequested, report: AgentReport, quarantine: Quarantine, room: Path) -> Attempted:
    if report.outcome in ("failed", "timed_out"):
        raise WorkFailed(report.code or f"agent_{report.outcome}", report.reason or "the agent gave no reason")
    commit = request.commit
    if report.bundle is not None:
        commit = await quarantine.take_bundle(report.bundle, f"refs/rung/{request.run}/{request.phase}-{room.name}")
    return Attempted(report=report, commit=commit, files=_files(request.phase, report))


def _files(phase: Phase, report: AgentReport) -> dict[str, bytes]:
    """What the agent left for people and for later phases, under names that tell the phase."""
    left = {
        f"{phase}.md": report.text.encode(),
        f"{phase}.log": report.log,
        "plan.json": json.dumps(report.plan).encode() if report.plan is not None else b"",
        "attempt.json": json.dumps(report.attempt).encode() if report.attempt is not None else b"",
        "pull_request.md": (report.pull_request or "").encode(),
    }
    return {name: data for name, data in left.items() if data}


@contextlib.contextmanager
def workspace(scratch: Path) -> Iterator[Path]:
    """An empty private directory that is gone afterwards."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix="attempt-", dir=scratch))
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)
