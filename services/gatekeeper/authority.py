"""The level in force for a run: the least of what is configured, granted and allowed by every cap.

Theory: a cap only ever lowers. It is looked at again at every disposition, because a change may touch other paths
than it set out to, and because what is known of the agent, of production and of the workflow's ladder moves while a
run is under way. What nobody knows holds the level down.
"""

from collections.abc import Iterator
from posixpath import normpath
from typing import Final, NamedTuple

from libs.contracts.globs import is_under
from libs.contracts.ladder import Ladder
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import CapPolicy
from libs.contracts.workflow.overrides import KINDS
from services.gatekeeper.readiness.identity import agent_identity
from services.gatekeeper.run import Run

ASE_CLASSES: Final = ("bug", "patch", "docs", "dependency")
"""Types of issue of which changes may merge by themselves."""
LABELLED_MIN: Final = 10
"""Labelled runs that an agent needs in a workflow before it is trusted like the workflow's gates."""
HOTFIX: Final = "hotfix"
RULES: Final = ("workflow.yaml", "workflow.yml", "gates/**", "prompts/**")
"""Where a repository says what is asked of a change; a workflow may name more such files."""


class Experience(NamedTuple):
    """What the log says beside the run and its ladder; by default nothing is known.

    `labelled_runs` are those of the run's agent in its workflow. `has_live_signal`: the last watch had measurements.
    `has_drilled`: a merged change was taken back here once. `is_sandboxed`: the sandbox keeps apart all it should.
    """

    labelled_runs: int = 0
    has_live_signal: bool = False
    has_drilled: bool = False
    is_sandboxed: bool = False


UNKNOWN: Final = Experience()


class Authority(NamedTuple):
    """The level in force, and one sentence for each cap that holds it below what is configured and granted."""

    level: Level
    caps: tuple[str, ...] = ()


NOTHING_ALLOWED: Final = Authority(Level.ASSISTED)


class Cap(NamedTuple):
    max: Level
    reason: str


def authority(run: Run, ladder: Ladder, experience: Experience = UNKNOWN) -> Authority:
    """The level in force for a run as it stands now."""
    allowed = ladder.in_force(run.begun.level)
    caps = [cap for cap in _caps(run, allowed, experience) if cap.max.rank < allowed.rank]
    level = min((cap.max for cap in caps), key=lambda level: level.rank, default=allowed)
    return Authority(level, tuple(f"at most {cap.max}: {cap.reason}" for cap in caps))


def _caps(run: Run, allowed: Level, experience: Experience) -> Iterator[Cap]:
    started = run.begun
    for stated in started.policy.caps:
        if (why := _meets(run, stated)) is not None:
            yield Cap(stated.max, why)
    if touched := _touched(run, _rules_of(run)):
        yield Cap(Level.ASSISTED, f"the change touches {touched}, and a human decides on workflow, gates and prompts")
    if not experience.is_sandboxed:
        yield Cap(Level.ASSISTED, "the sandbox of this machine does not keep apart all that it should; see rung doctor")
    if experience.labelled_runs < LABELLED_MIN:
        known = f"{experience.labelled_runs} of its runs are labelled here, of {LABELLED_MIN} needed"
        yield Cap(_below(allowed), f"the agent {agent_identity(started)} is new: {known}")
    if started.issue_type == HOTFIX:
        yield Cap(Level.AUTONOMOUS, "a hotfix is merged by a human")
    yield from _caps_of_ase(run, experience)


def _caps_of_ase(run: Run, experience: Experience) -> Iterator[Cap]:
    """What the highest level asks for beyond readiness."""
    if run.begun.issue_type not in ASE_CLASSES:
        known = ", ".join(ASE_CLASSES)
        yield Cap(Level.AUTONOMOUS, f"changes of type {run.begun.issue_type} are merged by a human, unlike {known}")
    if not experience.has_live_signal:
        yield Cap(Level.AUTONOMOUS, "no metric was measured in the last watch of this workflow")
    if not experience.has_drilled:
        yield Cap(Level.AUTONOMOUS, "no rollback was ever done here; try one with rung rollback RUN --why drill")


def _below(level: Level) -> Level:
    return max((other for other in Level if other.rank < level.rank), key=lambda one: one.rank, default=level)


def _meets(run: Run, cap: CapPolicy) -> str | None:
    """Why a run meets every condition of a cap; `None` when it does not."""
    told = []
    if cap.paths:
        if not (touched := _touched(run, cap.paths)):
            return None
        told.append(f"the change touches {touched}")
    if cap.labels:
        if not (shared := sorted({*cap.labels} & {*run.begun.labels})):
            return None
        told.append(f"the issue is labelled {shared[0]}")
    if cap.classes:
        if run.begun.issue_type not in cap.classes:
            return None
        told.append(f"the issue is of type {run.begun.issue_type}")
    return " and ".join(told)


def _touched(run: Run, globs: tuple[str, ...]) -> str | None:
    """A path of the change, as it was seen last, under one of the globs; `None` when there is none.

    A change that is about to be merged though nobody knows its files counts as touching every path.
    """
    if run.diff is None:
        return "files that nobody knows" if run.phase is Phase.DEPLOY else None
    return next((file.path for file in run.diff.files if any(is_under(file.path, glob) for glob in globs)), None)


def _rules_of(run: Run) -> tuple[str, ...]:
    """Where the workflow, its gates and its prompts lie, also prompts that it names and that are not there yet."""
    policy = run.begun.policy
    named = (name for phase in policy.phases.values() for name in (phase.template, phase.addition) if name)
    teams = (
        f"{team.override_dir}/{kind}/**"
        for team in policy.teams.values()
        if team.override_dir is not None
        for kind in KINDS
    )
    return (*RULES, *map(normpath, (*(file.path for file in policy.gate_files), *policy.prompts, *named, *teams)))
