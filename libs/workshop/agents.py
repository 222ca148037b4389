"""Agent drivers: how an agent is named, started in the sandbox, and what is taken from what it left.

Theory: an agent gets the clone at `/work`, its input files read-only at `/in` and an empty,
writable `/out`, and says all it has to say by files there, by what it prints, and by how it
ends. Its words are a report, never evidence. Everything in `/out` is hostile: only regular files of
a bounded size are read, no link is followed, and text for people loses its control characters.
What has to happen with the clone afterwards (committing leftovers, making a bundle) happens inside
the sandbox too, since the trusted side runs nothing in there.
"""

import difflib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from libs.contracts.words import Phase
from libs.contracts.workflow import FREE_AGENTS
from libs.workshop.allowance import EVERYTHING, Allowance
from libs.workshop.costs import cost_in, last_object
from libs.workshop.evidence.endings import last_line
from libs.workshop.evidence.reading import Unreadable, left_behind, plain, read_left_behind
from libs.workshop.faults import is_transient
from libs.workshop.sandbox import Ended, Finished, Limits, Mount, Sandbox
from libs.workshop.sandbox.confinement import RESERVED, SYSTEM

CLONE: Final = "/work"
INPUTS: Final = "/in"
OUTPUTS: Final = "/out"
REPAIR_PLACE: Final = "/opt/rung"
TOOL_PLACE: Final = "/opt/rung/agent"
"""Where a program goes whose own path is taken inside the sandbox."""

TAKEN: Final = tuple(Path(place) for place in (CLONE, INPUTS, OUTPUTS, REPAIR_PLACE, *RESERVED))

KINDS: Final = ("repair", "exec", "acp", "llm")
NOT_IN_THIS_BUILD: Final = {"acp": "the Agent Client Protocol", "llm": "language models as a library"}
PLACEHOLDER: Final = re.compile(r"\{(prompt_file|prompt|phase|attempt|tools|cost_limit)\}")
PROMPT_PLACES: Final = ("{prompt_file}", "{prompt}")

TEXT_BYTES_MAX: Final = 2 * 2**20
JSON_BYTES_MAX: Final = 4 * 2**20
USAGE: Final = "usage.json"
BUNDLE: Final = "candidate.bundle"
BUNDLE_BYTES_MAX: Final = 512 * 2**20
REASON_LENGTH_MAX: Final = 500
ARGUMENT_BYTES_MAX: Final = 120 * 2**10
"""Linux takes no single argument of 128 KiB."""

TARGETS_MAX: Final = 1000
TARGET_LENGTH_MAX: Final = 1000
REPAIR_BUDGET_S_MAX: Final = 120.0
NOT_STARTED: Final = (126, 127)
"""Exit codes that say that there is no such program, or none that can be run: another try would end the same."""
NOTHING_LEFT: Final = 3
"""Exit code by which what runs after an agent says that there was nothing to commit."""

Outcome = Literal["done", "declined", "failed", "timed_out"]


class DriverRefused(ValueError):
    """A driver that cannot be had; the message says what can."""


@dataclass(frozen=True)
class Driver:
    """An agent as it was named; `argv` still holds its placeholders."""

    kind: Literal["repair", "exec"]
    argv: tuple[str, ...]

    @property
    def takes_stdin(self) -> bool:
        """Whether the prompt is given on standard input, as it is to a command that has no place for it."""
        return self.kind == "exec" and not any(place in word for word in self.argv for place in PROMPT_PLACES)

    @property
    def program(self) -> Path | None:
        """The agent's program if it is named by a path of the host."""
        path = Path(self.argv[0])
        return path if path.is_absolute() and path.is_file() else None


@dataclass(frozen=True)
class Job:
    """What an agent is asked to do, and with what; `scratch` is an empty directory of the caller's."""

    phase: Phase
    attempt: int
    clone: Path
    prompt: str
    scratch: Path
    inputs: Mapping[str, bytes]
    can_write: bool
    tools: tuple[Path, ...] = ()
    allowance: Allowance = EVERYTHING

    @property
    def out(self) -> Path:
        return self.scratch / "out"


@dataclass(frozen=True)
class AgentReport:
    """What an agent left; `reason` says why it is not done, `code` the same for programs, `log` is all it printed.

    `bundle` is the file that `after` made, if the agent changed anything. `is_retryable` says of a failure that
    another try may well end otherwise. `cost_usd` is what the agent says that it has cost, in US dollars; `None`
    when it does not say, or not sensibly. Nothing here is evidence.
    """

    outcome: Outcome
    text: str = ""
    code: str | None = None
    reason: str | None = None
    plan: dict[str, Any] | None = None
    pull_request: str | None = None
    attempt: dict[str, Any] | None = None
    log: bytes = b""
    bundle: Path | None = None
    duration_s: float = 0.0
    cost_usd: float | None = None
    is_retryable: bool = False

    @property
    def declined(self) -> str | None:
        """Why the agent declines; `None` when it does not."""
        return (self.reason or "it gave no reason") if self.outcome == "declined" else None


def parse_driver(spec: str) -> Driver:
    """The driver that a specification names: `repair`, or `exec:` and a command line.

    The command line is split as a shell would, but no shell ever runs it.
    Raises: DriverRefused with one sentence.
    """
    kind, _, rest = spec.strip().partition(":")
    if kind == "repair" and not rest:
        return Driver("repair", ("python", "-m", "rung_repair", "{phase}"))
    if kind == "exec":
        return Driver("exec", _split(rest))
    if kind in NOT_IN_THIS_BUILD:
        raise DriverRefused(
            f"This build has no driver {kind!r} ({NOT_IN_THIS_BUILD[kind]}); name the agent's command as exec:COMMAND."
        )
    near = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "known are 'repair' and 'exec:COMMAND'."
    raise DriverRefused(f"There is no agent driver {plain(spec.strip(), 60)!r}; {hint}")


def _split(template: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(template))
    except ValueError as error:
        raise DriverRefused(f"The command of the exec driver is not well quoted: {error}.") from error
    if not words or "\0" in template:
        raise DriverRefused("The exec driver needs a command, as in: exec:my-agent --prompt-file {prompt_file}.")
    return words


def host_files(driver: Driver) -> tuple[Path, ...]:
    """Files of the host that a command line names after its program.

    Showing them to the agent is for the caller to decide, by passing them as `tools`: only a command
    line that comes from the operator may choose what of the host is seen.
    """
    return tuple(path for path in map(Path, driver.argv[1:]) if path.is_absolute() and path.is_file())


async def work(
    driver: Driver,
    sandbox: Sandbox,
    *,
    phase: Phase,
    attempt: int,
    clone: Path,
    inputs: Mapping[str, bytes],
    prompt: str,
    can_write: bool,
    scratch: Path,
    limits: Limits,
    after: Sequence[str] | None = None,
    tools: Sequence[Path] = (),
    allowance: Allowance = EVERYTHING,
    on_output: Callable[[bytes], None] | None = None,
) -> AgentReport:
    """Run an agent for one attempt, then `after` in the same clone if it is done.

    `inputs` become files of `/in`, by plain names. `scratch` is filled and left for the caller to remove:
    the report's bundle lies in it. An agent that fails, declines or runs too long is a report, not an error.
    """
    job = Job(phase, attempt, clone, prompt, scratch, inputs, can_write, tuple(tools), allowance)
    _lay_out(job)
    argv = command(driver, job)
    too_long = next((word for word in argv if len(word.encode("utf-8", "replace")) > ARGUMENT_BYTES_MAX), None)
    if too_long is not None:
        reason = "The prompt is too long for an argument; let the command read {prompt_file} instead of {prompt}."
        return AgentReport("failed", code="prompt_too_long", reason=reason)
    finished = await sandbox.run(
        argv,
        mounts=_mounts(driver, job),
        env=_environment(driver, job, limits),
        stdin=prompt.encode("utf-8", "replace") if driver.takes_stdin else b"",
        limits=limits,
        on_output=on_output,
    )
    report = replace(_report(job, finished), cost_usd=_cost(driver, job, finished))
    if report.outcome != "done" or after is None:
        return report
    return await _finish(report, sandbox, job, after, limits)


def command(driver: Driver, job: Job) -> list[str]:
    """The argument list, placeholders filled in word by word: what is filled in is never split or expanded again."""
    values = {
        "prompt_file": f"{INPUTS}/prompt.md",
        "prompt": job.prompt.replace("\0", ""),
        "phase": job.phase.value,
        "attempt": str(job.attempt),
        "tools": job.allowance.words,
        "cost_limit": job.allowance.cost_limit,
    }
    shown = _shown(driver, job)
    placed = [_place(Path(word)) if _is_below(word, shown) else word for word in driver.argv]
    return [PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in placed]


def _shown(driver: Driver, job: Job) -> list[Path]:
    """What of the host has to be shown to the agent besides the system, which is there anyway."""
    programs = [] if driver.program is None else [driver.program]
    return [tool for tool in dict.fromkeys([*programs, *job.tools]) if not _is_below(str(tool), map(Path, SYSTEM))]


def _is_below(word: str, places: Iterable[Path]) -> bool:
    return word.startswith("/") and any(Path(word).is_relative_to(place) for place in places)


def _place(tool: Path) -> str:
    """Where a file of the host lies inside: at its own path, unless that is taken there."""
    return f"{TOOL_PLACE}{tool}" if _is_below(str(tool), TAKEN) else str(tool)


def _lay_out(job: Job) -> None:
    given = job.scratch / "in"
    given.mkdir(parents=True)
    job.out.mkdir()
    for name, data in {**job.inputs, "prompt.md": job.prompt.encode("utf-8", "replace")}.items():
        if PurePosixPath(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"An input file needs a plain name, not {name!r}.")
        (given / name).write_bytes(data)


def _mounts(driver: Driver, job: Job) -> list[Mount]:
    mounts = [
        Mount(job.clone, CLONE, is_writable=job.can_write),
        Mount(job.scratch / "in", INPUTS),
        Mount(job.out, OUTPUTS, is_writable=True),
    ]
    if driver.kind == "repair":
        mounts.append(Mount(Path(__file__).parent / "repair", f"{REPAIR_PLACE}/rung_repair"))
    return mounts + [Mount(tool, _place(tool)) for tool in _shown(driver, job)]


def _environment(driver: Driver, job: Job, limits: Limits) -> dict[str, str]:
    """What an agent is told; `repair` also how long it may search, so that it declines instead of being cut off."""
    env = {
        "RUNG_PHASE": job.phase.value,
        "RUNG_ATTEMPT": str(job.attempt),
        "RUNG_IN": INPUTS,
        "RUNG_OUT": OUTPUTS,
        "RUNG_TOOLS": job.allowance.words,
    }
    if job.allowance.execute_allowlist:
        env["RUNG_EXECUTE_ALLOWLIST"] = "\n".join(job.allowance.execute_allowlist)
    if job.allowance.cost_limit:
        env["RUNG_COST_LIMIT_USD"] = job.allowance.cost_limit
    if driver.kind == "repair":
        budget_s = min(REPAIR_BUDGET_S_MAX, limits.wall_s / 2)
        env |= {"PYTHONPATH": REPAIR_PLACE, "RUNG_REPAIR_BUDGET_S": f"{budget_s:.0f}"}
    return env


def _report(job: Job, finished: Finished) -> AgentReport:
    """What the agent's end and its files say; a file that cannot be taken makes it a failure, not a guess."""
    log = finished.stdout + finished.stderr
    ended = AgentReport("done", log=log, duration_s=finished.duration_s)
    if finished.ended is not Ended.EXITED:
        return _not_ended(ended, finished.ended)
    try:
        declined = _text(job, "declined.txt")
        if declined is not None:
            return replace(ended, outcome="declined", code="agent_declined", reason=_sentence(declined))
        if finished.exit_code != 0:
            reason = f"The agent ended with exit code {finished.exit_code}: {last_line(finished)}"
            is_retryable = finished.exit_code not in NOT_STARTED
            return replace(ended, outcome="failed", code="agent_failed", reason=reason, is_retryable=is_retryable)
        return _with_files(ended, job, finished)
    except Unreadable as broken:
        return replace(ended, outcome="failed", code=broken.code, reason=broken.message)


def _not_ended(report: AgentReport, ended: Ended) -> AgentReport:
    if ended in (Ended.WALL, Ended.IDLE):
        what = "its time" if ended is Ended.WALL else "the time it may be silent"
        return replace(report, outcome="timed_out", code="agent_timed_out", reason=f"The agent used up {what}.")
    what = "was stopped" if ended is Ended.CANCELLED else "used more memory or processes than it may"
    reason = f"The agent {what}."
    return replace(report, outcome="failed", code=f"agent_{ended.value}", reason=reason, is_retryable=True)


def _with_files(report: AgentReport, job: Job, finished: Finished) -> AgentReport:
    printed = plain(finished.stdout.decode("utf-8", "replace")).strip()
    return replace(
        report,
        text=_text(job, "report.md") or printed,
        plan=_plan(_json(job, "plan.json")),
        pull_request=_text(job, "pull_request.md"),
        attempt=_json(job, "attempt.json"),
    )


async def _finish(report: AgentReport, sandbox: Sandbox, job: Job, after: Sequence[str], limits: Limits) -> AgentReport:
    """Run what makes the bundle; one that the agent left there itself is removed first."""
    left = job.out / BUNDLE
    if left.is_symlink() or left.is_file():
        left.unlink()
    mounts = [Mount(job.clone, CLONE, is_writable=True), Mount(job.out, OUTPUTS, is_writable=True)]
    finished = await sandbox.run(after, mounts=mounts, limits=limits)
    report = replace(report, duration_s=report.duration_s + finished.duration_s)
    if finished.ended is Ended.EXITED and finished.exit_code == NOTHING_LEFT:
        return report
    size = left_behind(job.out, (BUNDLE,)).get(BUNDLE, (0, 0, 0))[2]
    if not finished.is_ok or not 0 < size <= BUNDLE_BYTES_MAX:
        reason = f"What the agent left could not be taken over: {last_line(finished)}"
        is_retryable = finished.ended is not Ended.EXITED or is_transient(finished.stderr.decode("utf-8", "replace"))
        return replace(report, outcome="failed", code="takeover_failed", reason=reason, is_retryable=is_retryable)
    return replace(report, bundle=left)


def _cost(driver: Driver, job: Job, finished: Finished) -> float | None:
    """What the agent says that it has cost: in its file, else at the end of what it printed; never a reason to fail."""
    if driver.kind in FREE_AGENTS:
        return 0.0
    try:
        told = json.loads(read_left_behind(job.out, USAGE, JSON_BYTES_MAX) or b"null")
    except (Unreadable, ValueError, RecursionError):
        told = None
    found = cost_in(told)
    return found if found is not None else cost_in(last_object(finished.stdout.decode("utf-8", "replace")))


def _text(job: Job, name: str) -> str | None:
    data = read_left_behind(job.out, name, TEXT_BYTES_MAX)
    text = plain((data or b"").decode("utf-8", "replace")).strip()
    return text or None


def _sentence(text: str) -> str:
    return plain(" ".join(text.split()), REASON_LENGTH_MAX)


def _json(job: Job, name: str) -> dict[str, Any] | None:
    data = read_left_behind(job.out, name, JSON_BYTES_MAX)
    if data is None:
        return None
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable("agent_output_malformed", f"The agent's {name} is not JSON.") from error
    if not isinstance(tree, dict):
        raise Unreadable("agent_output_malformed", f"The agent's {name} is not a JSON object.")
    return tree


def _plan(tree: dict[str, Any] | None) -> dict[str, Any] | None:
    """A structured plan, if its `targets`, the tests it sets out to repair, are a list of names."""
    if tree is None:
        return None
    targets = tree.get("targets", [])
    is_list = isinstance(targets, list) and len(targets) <= TARGETS_MAX
    if not is_list or not all(isinstance(target, str) and 0 < len(target) <= TARGET_LENGTH_MAX for target in targets):
        raise Unreadable("agent_output_malformed", "The agent's plan.json needs `targets`, a list of test names.")
    return {**tree, "targets": [plain(target) for target in targets]}
