"""`rung calibrate`: how good the gates of a repository are, tried on what landed there, without any agent or system."""

import asyncio
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.calibration_record import recorded
from libs.cli.connection import connected, default_data
from libs.cli.ending import Ended, Misused
from libs.cli.screen import Screen, cell, duration, table
from libs.cli.system import complete
from libs.cli.workflow import read
from libs.contracts.failures import WorkFailed
from libs.contracts.workflow import Policy, WorkflowRefused, policy_digest
from libs.contracts.workflow.limits import gates_digest
from libs.workshop.calibration.calibrator import Calibrator
from libs.workshop.calibration.candidates import Skipped
from libs.workshop.calibration.collecting import asked
from libs.workshop.calibration.history import landed
from libs.workshop.calibration.judges import GatesUnavailable, Judges, lower_bounds
from libs.workshop.calibration.policies import policy_of
from libs.workshop.calibration.results import Kept, Result, Tally, report, shares
from libs.workshop.compared import BASELINES
from libs.workshop.git import GitError, Quarantine, Source, inspect
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial

EXAMPLE: Final = "Example: rung calibrate --repo ~/shop --last 60"
DIRECTORY: Final = "calibration"
WORK_S: Final = 1620.0
"""As long as one attempt at a phase may take where the workflow does not say."""
LAST_MAX: Final = 5000
SHOWN: Final = 12

Repo = Annotated[str, typer.Option("--repo", metavar="PATH", help="The git repository whose past is judged.")]
WorkflowFile = Annotated[
    Path | None,
    typer.Option("--workflow", metavar="FILE", help="Whose gates; by default those of the newest commit."),
]
Last = Annotated[
    int, typer.Option("--last", metavar="N", min=1, max=LAST_MAX, help="How many of the newest commits of the branch.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Draws how good commits are broken on purpose.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, max=64, help="Candidates at once; by default as many as processors."),
]
Fresh = Annotated[
    bool, typer.Option("--fresh/--resume", help="Judge all anew; by default work that was broken off goes on.")
]
Record = Annotated[
    bool, typer.Option("--record", help="Have the running system write the result into its log, for the catch rate.")
]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who asks to record; by default the system's user.")
]


@dataclass(frozen=True)
class Asked:
    """What is to be tried, as the command line says it."""

    repo: str
    workflow: Path | None
    last: int
    seed: int
    jobs: int
    is_fresh: bool
    state: Path


@dataclass(frozen=True)
class Subject:
    """The repository and the gates that are tried on it; `left` names criteria that nothing can answer."""

    source: Source
    quarantine: Quarantine
    policy: Policy
    left: tuple[str, ...]

    def key(self, seed: int) -> str:
        """Name of the results that are kept of this: other gates, another commit or another build judge anew."""
        said = (str(self.source.path), policy_digest(self.policy), self.source.tip, str(seed), _build())
        return hashlib.sha256("\0".join(said).encode(errors="surrogateescape")).hexdigest()[:32]


def calibrate(
    *,
    repo: Repo,
    workflow: WorkflowFile = None,
    last: Last = 20,
    seed: Seed = 0,
    jobs: Jobs = None,
    fresh: Fresh = False,
    record: Record = False,
    by: By = None,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Try the gates on the newest commits of the branch that is checked out, and say how often they are right.

    Each commit is judged as a change of its own: good, unless a later one took it back. Good commits that pass are
    judged again with one small fault put in. Results are kept as they come; the same command goes on after Ctrl-C.

    Exit code: 0 measured, 1 nothing could be judged, 2 wrong usage or a refused workflow, 3 the record was refused,
    4 no system runs that could record.
    """
    if not repo.strip():
        raise Misused("--repo names no repository.")
    path = os.path.realpath(Path(repo).expanduser())
    state = (data or default_data()).absolute() / DIRECTORY
    wanted = Asked(path, workflow, last, seed, jobs or _processors(), fresh, state)
    complete(_calibrate(wanted, Screen(is_json=as_json), data, by or o.os_user() if record else None))


def _processors() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def _calibrate(wanted: Asked, screen: Screen, data: Path | None, by: str | None) -> None:
    if by is not None:
        async with connected(data):  # rather now than after all the work
            pass
    begun = time.monotonic()
    subject = await _subject(wanted)
    try:
        tally = await _judged(wanted, subject, screen)
        bounds = await lower_bounds(shares(tally))
    except (WorkFailed, GatesUnavailable, GitError) as failed:
        raise Ended(str(failed)) from failed
    about = {
        "repository": str(subject.source.path),
        "commit": subject.source.tip,
        "gates_digest": gates_digest(subject.policy),
        "seed": wanted.seed,
        "not_asked": list(subject.left),
    }
    told = report(tally, bounds, about) | {"duration_s": round(time.monotonic() - begun, 3)}
    if not tally.results:
        raise Ended(_nothing(tally.skipped), details=told)
    if by is not None:
        async with connected(data) as connection:
            told["recorded"] = await recorded(connection, told, by)
    if screen.is_json:
        return screen.answer(told)
    return _tell(screen, told, tally)


def _nothing(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return "There is no commit to judge."
    return f"None of {_count(len(skipped), 'commit')} could be judged: {skipped[0].commit[:SHOWN]}: {skipped[0].why}."


# -- what is tried ------------------------------------------------------------


async def _subject(wanted: Asked) -> Subject:
    """Raises:  Misused for what is no repository, or a workflow that is refused."""
    try:
        _make_private(wanted.state)
        source = await inspect(wanted.repo)
        name = hashlib.sha256(os.fsencode(source.path)).hexdigest()[:32]
        quarantine = await Quarantine.open(wanted.state / f"{name}.git", object_format=source.object_format)
        await quarantine.fetch(source, source.tip)
        policy = await _policy(wanted.workflow, quarantine, source.tip)
    except GitError as error:
        raise Misused(str(error)) from error
    except OSError as error:
        raise Ended(f"{wanted.state} cannot be used: {error.strerror or error}.") from error
    return Subject(source, quarantine, policy, asked(policy)[1])


def _make_private(state: Path) -> None:
    for directory in (state.parent, state):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)


async def _policy(file: Path | None, quarantine: Quarantine, tip: str) -> Policy:
    try:
        policy, problems = await asyncio.to_thread(read, file) if file else (await policy_of(quarantine, tip), ())
    except WorkflowRefused as refused:
        policy, problems = None, refused.problems
    if policy is None:
        said = "; ".join(str(problem) for problem in problems if not problem.is_warning)
        raise Misused(f"The workflow is refused: {said}.")
    return policy


def _build() -> str:
    """What judges; a build without a name is always the same."""
    try:
        return version("rung")
    except PackageNotFoundError:
        return ""


# -- judging ------------------------------------------------------------------


async def _judged(wanted: Asked, subject: Subject, screen: Screen) -> Tally:
    kept = Kept(wanted.state / f"{subject.key(wanted.seed)}.jsonl", is_fresh=wanted.is_fresh)
    if len(kept):
        screen.progress(f"Judged before: {_count(len(kept), 'candidate')}; --fresh judges all anew.")
    policy, _ = asked(subject.policy)
    wall_s = policy.budget.wall_s
    limits = Limits(wall_s=WORK_S if wall_s is None else min(WORK_S, wall_s * 0.9))
    trial = Trial(Sandbox(), subject.quarantine, wanted.state / "work", policy, limits)
    commits = await landed(subject.quarantine, subject.source.tip, wanted.last)
    async with Judges.judging(policy) as judges:
        progress = _Progress(screen)
        baselines = wanted.state / BASELINES
        calibrator = Calibrator(trial, judges, kept, baselines, wanted.seed, wanted.jobs, progress.tell)
        try:
            return await calibrator.over(commits)
        except asyncio.CancelledError:
            screen.progress(f"Stopped. Kept: {_count(len(kept), 'candidate')}; the same command goes on.")
            raise


@dataclass
class _Progress:
    """Says on standard error how far it is, and about how long it will take by what was judged in this command."""

    screen: Screen
    begun: float = field(default_factory=time.monotonic)
    judged: int = 0

    def tell(self, ended: int, whole: int, one: Result | Skipped, is_new: bool) -> None:  # noqa: FBT001 - a callback
        if isinstance(one, Skipped):
            return self.screen.progress(f"{one.commit[:SHOWN]} left out: {cell(one.why, 200)}")
        self.judged += is_new
        if not is_new:
            return None
        each_s = (time.monotonic() - self.begun) / self.judged
        rest = whole - ended
        left = f", about {duration(each_s * rest)} left" if rest > 0 else ""
        said = "stopped" if one.is_stopped else "passed" if one.is_passed else "not stopped, not every gate could tell"
        place = f"{ended} of {max(ended, whole)}{left}"
        return self.screen.progress(f"{place}: {one.origin[:SHOWN]} {one.kind} {said}: {cell(one.what)}")


# -- for people ---------------------------------------------------------------


def _tell(screen: Screen, told: dict[str, Any], tally: Tally) -> None:
    made = table("gate", "accuracy", "at least", "right", "wrong", "false pass", "false fail", "no answer", "caught")
    for gate in told["gates"]:
        numbers = ("right", "wrong", "false_pass", "false_fail", "could_not_tell")
        caught = f"{gate['caught']} of {gate['bad']}"
        made.add_row(
            gate["gate"], percent(gate["accuracy"]), percent(gate["bound"]), *(str(gate[n]) for n in numbers), caught
        )
    screen.out.print(made)
    counts, rate = told["candidates"], told["catch_rate"]
    screen.line(
        f"{counts['merged']} good commits, {counts['reverted']} taken back later, "
        f"{counts['seeded']} broken on purpose; {counts['skipped']} left out."
    )
    screen.line(
        f"Catch rate: {rate['caught']} of {rate['bad']} bad ones stopped by some gate, {percent(rate['rate'])}, "
        f"at least {percent(rate['bound'])} (95%); "
        f"of those broken on purpose {rate['seeded_caught']} of {rate['seeded_bad']}."
    )
    screen.line(f"Of {counts['merged']} good ones {len(tally.stopped_wrongly)} were stopped.")
    for title, listed in (("Missed", told["missed"]), ("Stopped though good", told["stopped_wrongly"])):
        for one in listed:
            screen.line(f"{title}: {one['commit'][:SHOWN]} {one['kind']}: {cell(one['what'], 100)}")
            screen.progress(f"  {cell(one['why'] or 'every gate passed it', 300)}")
    if told["not_asked"]:
        screen.progress(f"Not asked, since no commit of the past can answer: {', '.join(told['not_asked'])}.")
    screen.progress("The gates of plan and document are not tried: what they judge is made by an agent.")
    if "recorded" in told:
        screen.line(f"Recorded in the log at {told['recorded']['sequence']}.", "green")


def percent(share: float | None) -> str:
    """A share for people; a dash where nothing was counted."""
    return "-" if share is None else f"{share:.1%}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
