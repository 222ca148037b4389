"""What the builder looks up around a review: what the plan named, and what a change did to the documents."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from libs.contracts.evidence import DocumentEvidence, ReviewEvidence
from libs.contracts.facts import PhaseCompleted
from libs.contracts.words import Phase
from libs.contracts.workflow import CommandPolicy
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing
from libs.runtime.shell import Shell
from libs.runtime.work import Job
from libs.workshop.attempt import workspace
from libs.workshop.evidence.adherence import strayed
from libs.workshop.evidence.documents import document_evidence, needed_before
from libs.workshop.evidence.review import Review, new_since
from libs.workshop.git import Diff, GitError, Quarantine
from libs.workshop.trial import Trial

PLAN: Final = "plan.md"
BEFORE_MAX: Final = 200
BEFORE_BYTES_MAX: Final = 2 * 2**20


async def strayed_from_plan(shell: Shell, job: Job, diff: Diff) -> tuple[str, ...] | None:
    """Changed files that the run's plan does not name; `None` where the run has no plan, or none that can be read."""
    answers = [recorded.fact for recorded in job.history.facts if isinstance(recorded.fact, PhaseCompleted)]
    plans = [answer.evidence for answer in answers if answer.phase is Phase.PLAN]
    if not plans or (digest := plans[-1].artifacts.get(PLAN)) is None:
        return None
    try:
        text = (await shell.artifacts.get(digest)).decode("utf-8", "replace")
    except (ArtifactMissing, ArtifactDamaged):
        return None
    named = plans[-1].plan.files_named if plans[-1].plan else ()
    return strayed(diff.files, plan=text, named=named)


async def look_at_change(trial: Trial, base: str, commit: str, diff: Diff) -> Review:
    """What the analysers say of a commit; where they find anything, Rung's own are asked about its base too.

    The repository's own linters run once: what only they say counts wherever it lies on changed lines.
    """
    changed = all_changed(diff)
    found = await trial.review(commit, changed)
    if not found.findings:
        return found
    own = replace(trial, policy=trial.policy.model_copy(update={"commands": CommandPolicy()}))
    return new_since(await own.review(base, dict.fromkeys(changed, frozenset())), found)


def all_changed(diff: Diff) -> Mapping[str, frozenset[int]]:
    """The added lines by path, of every file that the change leaves there."""
    return {file.path: frozenset() for file in diff.files if file.status != "D"} | dict(diff.changed_lines)


def removed(diff: Diff) -> tuple[str, ...]:
    """The files that are gone, in which nothing can be found any more."""
    return tuple(file.path for file in diff.files if file.status == "D")


def by_hand(review: ReviewEvidence | None, commit: str) -> ReviewEvidence | None:
    """The evidence with a command that begins at the commit that was looked at."""
    if review is None or not review.command:
        return review
    return review.model_copy(update={"command": f"git checkout {commit[:12]}; {review.command}"})


async def look_at_documents(
    quarantine: Quarantine, scratch: Path, base: str, commit: str, diff: Diff
) -> DocumentEvidence:
    """The documents of a commit, in a clean checkout of it."""
    before: dict[str, bytes] = {}
    for path in needed_before(diff.files)[:BEFORE_MAX]:
        if (data := await _text_before(quarantine, base, path)) is not None:
            before[path] = data
    with workspace(scratch) as room:
        checkout = room / "checkout"
        await quarantine.clone(commit, checkout, branch=None)
        return await asyncio.to_thread(document_evidence, checkout, diff.files, before)


async def _text_before(quarantine: Quarantine, base: str, path: str) -> bytes | None:
    """A file of the base; `None` for one too large to be read, which is no text that people write."""
    try:
        return await quarantine.read_file(base, path, size_max=BEFORE_BYTES_MAX)
    except GitError:
        return None
