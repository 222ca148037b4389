"""The merger's acts: the integration commit with its evidence, and the landing.

Theory: what would land is made first, as one commit on the current tip, and that very commit is
tested and judged. Only what `merge.authorised` names may land: the same commit, on the same base,
with the same tree. The landing is a compare-and-swap of the branch, so it is safe to repeat.
"""

from pathlib import Path
from typing import Final

from libs.contracts.evidence import Evidence, IntegrationEvidence
from libs.contracts.facts import (
    ChangeMerged,
    ChangeProposed,
    ChangeRefused,
    Fact,
    MergeAuthorised,
    PhaseCompleted,
    RunStarted,
)
from libs.contracts.failures import WorkFailed
from libs.contracts.history import fence_for
from libs.contracts.requests import one_line
from libs.contracts.words import Phase
from libs.runtime.log import Conflict
from libs.runtime.reports import report_of_deploy
from libs.runtime.shell import Shell
from libs.runtime.work import Job, completed
from libs.workshop.change import diff_evidence
from libs.workshop.compared import BASELINES, Change, blamed_tests
from libs.workshop.faults import told_as_failures
from libs.workshop.git import Conflict as MergeConflict
from libs.workshop.git import GitError, NotLanded, Quarantine, Source, Squashed, has_landed, inspect
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial, report_files
from services.merger.decider import Stop

TYPES: Final = {"bug": "fix", "hotfix": "fix", "patch": "fix", "feature": "feat", "docs": "docs"}
"""Conventional commit types by issue type; anything else is a chore."""
SUBJECT_LIMIT: Final = 72
REPORT: Final = "deploy.md"


async def integrate(shell: Shell, sandbox: Sandbox, job: Job) -> PhaseCompleted:
    """Make the commit that would land, open the change on its branch, and collect evidence on it."""
    with told_as_failures("not_integrated"):
        quarantine = await Quarantine.open(shell.settings.repository(job.started.workflow))
        source = await _current(quarantine, job)
        made = await _squash(quarantine, job, source)
        if isinstance(made, MergeConflict):
            integration = IntegrationEvidence(base=source.tip, conflicts=made.paths)
            conflicting = Evidence(integration=integration)
            files = {REPORT: report_of_deploy(conflicting).encode()}
            summary = "conflicts with the current tip"
            return await completed(shell, job, evidence=conflicting, files=files, summary=summary)
        await _propose(shell, quarantine, job, source, made)
        limits = Limits(wall_s=job.request.work_s)
        tell = shell.teller(job.run, job.request.phase)
        trial = Trial(sandbox, quarantine, shell.settings.scratch, job.started.policy, limits, tell)
        evidence, files = await _collect(trial, job, made, source.tip, shell.settings.state / BASELINES)
    return await completed(shell, job, evidence=evidence, files=files, summary=f"integration commit {made.commit[:12]}")


async def _current(quarantine: Quarantine, job: Job) -> Source:
    """The user's branch as it is now, its tip brought in; a repository that cannot be read may be readable later."""
    try:
        source = await inspect(job.started.repository, job.started.branch)
        await quarantine.fetch(source, source.tip)
    except GitError as error:
        raise WorkFailed("source_unreadable", str(error), is_retryable=True) from error
    return source


async def _squash(quarantine: Quarantine, job: Job, source: Source) -> Squashed | MergeConflict:
    return await quarantine.squash(
        tip=source.tip,
        base=job.request.base,
        candidate=job.request.commit,
        message=commit_message(job.started),
        date=int(job.recorded.time),
    )


async def _collect(
    trial: Trial, job: Job, made: Squashed, tip: str, baselines: Path
) -> tuple[Evidence, dict[str, bytes]]:
    quarantine = trial.quarantine
    diff = await quarantine.diff(tip, made.commit)
    change = Change(tip, made.commit, diff.changed_lines, job.request.targets, job.started.issue_type)
    is_covered = "coverage" in trial.policy.reads(Phase.DEPLOY)
    found = await blamed_tests(trial, change, baselines, is_covered=is_covered)
    patch_id = await quarantine.patch_id(tip, made.commit)
    evidence = Evidence(
        commit=made.commit,
        tree=made.tree,
        diff=diff_evidence(diff, trial.policy.protected),
        tests=found.tests,
        coverage=found.coverage,
        problems=found.problems,
        reported=found.reported,
        is_proposed=True,
        unsigned_count=0 if await quarantine.is_signed(made.commit) else 1,
        integration=IntegrationEvidence(base=tip, commit=made.commit, tree=made.tree, patch_id=patch_id),
    )
    files = {**report_files("deploy", found.reports), "diff.patch": diff.patch}
    return evidence, {**files, REPORT: report_of_deploy(evidence).encode()}


async def _propose(shell: Shell, quarantine: Quarantine, job: Job, source: Source, made: Squashed) -> None:
    """Open the change: its own branch in the user's repository, and a description for people."""
    branch = branch_of(job.run)
    if (foreign := await _foreign(quarantine, source, branch)) is not None:
        raise WorkFailed("foreign_commit", foreign)
    await quarantine.keep(f"refs/rung/{job.run}/integration-{job.request.attempt}", made.commit)
    await quarantine.publish_branch(source, branch, made.commit)
    described = job.request.inputs.get("pull_request.md") or job.started.body
    fact = ChangeProposed(
        run=job.run,
        attempt=job.request.attempt,
        branch=branch,
        target=source.branch,
        base=source.tip,
        commit=made.commit,
        title=commit_message(job.started).splitlines()[0],
        description=described,
    )
    if any(recorded.fact == fact for recorded in job.history.facts):
        return  # whoever had this attempt before and died has said so
    try:
        await shell.log.append(
            fact, cause=job.recorded.id, fence=fence_for(fact, job.history), traceparent=job.recorded.traceparent
        )
    except Conflict:
        return  # another worker has this attempt; its answer will win


def commit_message(started: RunStarted) -> str:
    """A conventional message with a body that names the run and the issue."""
    kind = TYPES.get(started.issue_type, "chore")
    subject = f"{kind}: {one_line(started.title)}"
    shown = one_line(subject, SUBJECT_LIMIT)
    told = [shown] if shown == subject else [shown, one_line(started.title)]
    trailers = f"Rung-Run: {started.run}\nRung-Issue: {started.issue} revision {started.revision}"
    return "\n\n".join((*told, trailers)) + "\n"


async def land(repository: Path, started: RunStarted, authorised: MergeAuthorised, stopped: Stop | None = None) -> Fact:
    """Move the branch to exactly the authorised commit, or say why nothing moved.

    What has landed already, before this process or another died, is told as landed: a stop that came
    after it (`stopped`) cannot undo it.
    """
    try:
        quarantine = await Quarantine.open(repository)
        if (wrong := await _mismatch(quarantine, authorised)) is not None:
            return refused(authorised, "mismatch", wrong)
        source = await inspect(started.repository, authorised.branch)
        if not await has_landed(source, authorised.commit):
            if stopped is not None:
                return refused(authorised, *stopped)
            if (foreign := await _foreign(quarantine, source, branch_of(authorised.run))) is not None:
                return refused(authorised, "mismatch", foreign)
        landed = await quarantine.land(source, authorised.commit, authorised.base)
    except GitError as error:
        return refused(authorised, "gone", str(error))
    if isinstance(landed, NotLanded):
        return refused(authorised, landed.reason, landed.message)
    return ChangeMerged(
        run=authorised.run,
        base=authorised.base,
        tip=authorised.commit,
        tree=authorised.tree,
        target=authorised.branch,
        method="squash",
    )


def branch_of(run: str) -> str:
    """The branch on which people look at a run's change."""
    return f"rung/{run}"


async def _foreign(quarantine: Quarantine, source: Source, branch: str) -> str | None:
    """Why a change is not the one that was judged: somebody else put a commit on its branch; `None` when nobody did."""
    tip = await source.tip_of(branch)
    if tip is None or await quarantine.has_made(tip):
        return None
    return f"the branch {branch} holds {tip[:12]}, which nobody judged; take it off, or merge it yourself"


async def _mismatch(quarantine: Quarantine, authorised: MergeAuthorised) -> str | None:
    """Why the commit at hand is not what was authorised; `None` when it is."""
    if await quarantine.tree_of(authorised.commit) != authorised.tree:
        return "the integration commit does not have the authorised tree"
    if tuple(await quarantine.parents(authorised.commit)) != (authorised.base,):
        return "the integration commit does not stand on the authorised base alone"
    return None


def refused(authorised: MergeAuthorised, code: str, message: str) -> ChangeRefused:
    return ChangeRefused.model_validate(
        {
            "run": authorised.run,
            "attempt": authorised.attempt,
            "commit": authorised.commit,
            "base": authorised.base,
            "code": code,
            "message": message,
        }
    )
