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
from libs.contracts.workflow import PhasePolicy, Tool
from libs.workshop.agents import AgentReport, Driver, DriverRefused, host_files, parse_driver, work
from libs.workshop.allowance import Allowance, allowance_of
from libs.workshop.faults import told_as_failures
from libs.workshop.git import Quarantine, leave_argv
from libs.workshop.prompts import TemplateRefused, permissions, render
from libs.workshop.sandbox import Limits, Sandbox

BRANCH = "rung/work"


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
    with told_as_failures("change_not_taken"):
        driver = _driver(started, request)
        allowance = allowance_of(started.policy, request)
        prompt = await _prompt(quarantine, started, request, variables, allowance)
        with workspace(scratch) as room:
            clone = room / "clone"
            await quarantine.clone(request.commit, clone, branch=BRANCH)
            can_write = Tool.WRITE in allowance.tools
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
                tools=host_files(driver) if started.agent_by == "operator" else (),
                allowance=allowance,
                on_output=on_output,
            )
            return await _taken(request, report, quarantine, room)


def _driver(started: RunStarted, request: PhaseRequested) -> Driver:
    try:
        driver = parse_driver(request.agent)
    except DriverRefused as refused:
        raise WorkFailed("agent_refused", str(refused)) from refused
    if driver.program is not None and started.agent_by != "operator":
        raise WorkFailed("agent_refused", "only the operator may name a program of this machine as the agent")
    return driver


async def _prompt(
    quarantine: Quarantine,
    started: RunStarted,
    request: PhaseRequested,
    variables: Mapping[str, str],
    allowance: Allowance,
) -> str:
    """The phase's prompt by the templates of the base commit, and what the agent may do."""
    own = started.policy.phases.get(request.phase, PhasePolicy())
    try:
        prompt = render(
            request.phase,
            variables,
            await _template(quarantine, request.base, own.template),
            name=own.template,
            addition=await _template(quarantine, request.base, own.addition),
            addition_name=own.addition,
        )
    except TemplateRefused as refused:
        raise WorkFailed("template_refused", str(refused)) from refused
    said = permissions(
        allowance.tools,
        execute_allowlist=allowance.execute_allowlist,
        deny_reasons=allowance.deny_reasons,
        cost_limit=allowance.cost_limit,
    )
    return f"{prompt.rstrip()}\n\n{said}"


async def _template(quarantine: Quarantine, base: str, path: str | None) -> str | None:
    """A template of the repository's own as it is on the base commit; `None` where there is none."""
    text = await quarantine.read_file(base, path) if path is not None else None
    return None if text is None else text.decode("utf-8", "replace")


async def _taken(request: PhaseRequested, report: AgentReport, quarantine: Quarantine, room: Path) -> Attempted:
    if report.outcome in ("failed", "timed_out"):
        reason = report.reason or "the agent gave no reason"
        code = report.code or f"agent_{report.outcome}"
        raise WorkFailed(code, reason, is_retryable=report.is_retryable, cost_usd=report.cost_usd)
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
