"""What an attempt is given to read: artifacts by file name, and what the run's facts say so far.

Theory: each phase's report is the next one's input. The exact failures and every earlier attempt are
told from the facts, so they are there whoever worked before, and whatever became of the artifacts.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

from libs.contracts.evidence import Evidence, Problem
from libs.contracts.facts import GateJudged, PhaseCompleted, PhaseErrored
from libs.contracts.failures import WorkFailed
from libs.contracts.words import Phase
from libs.contracts.workflow import LoopName
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing
from libs.runtime.attempts import Tried, attempts_so_far, prose, with_patches
from libs.runtime.reports import report_of_failure, report_of_review, report_of_tests
from libs.runtime.shell import Shell
from libs.runtime.work import Job

FAILURES_BYTES_MAX: Final = 48 * 2**10
"""As much of the failures as is told; the newest come first."""

REBUILT: Final = (
    "This is a full rebuild: the change so far was thrown away, and the working tree is the base again. "
    "What was found in it follows; take another approach."
)


async def read_inputs(shell: Shell, job: Job) -> dict[str, bytes]:
    """The files of an attempt: its artifacts, and issue, evidence, failures, attempts and guidance from the facts."""
    files = {name: await _artifact(shell, name, digest) for name, digest in sorted(job.request.inputs.items())}
    if job.request.commit == job.request.base:
        files.pop("diff.patch", None)  # it is the patch of a change that was thrown away
    started = job.started
    body = files.get("issue.md", b"").decode("utf-8", "replace")
    issue = {"title": started.title, "body": body, "type": started.issue_type, "labels": list(started.labels)}
    tried = await _tried(shell, job)
    return files | {
        "issue.md": f"# {started.title}\n\n{body}\n".encode(),
        "issue.json": _json(issue),
        "evidence.json": _json(evidence_so_far(job)),
        "attempts.json": _json([*(one.as_json() for one in tried), *await _refuted(shell, job)]),
        **{name: text.encode() for name, text in _reports(job, tried).items() if text},
    }


def _reports(job: Job, tried: tuple[Tried, ...]) -> dict[str, str]:
    """What the facts say, as files to read; an empty one is not written."""
    return {
        "test.md": _test(job),
        "review.md": _review(job),
        "failures.md": failures_so_far(job),
        "attempts.md": prose(tried),
        "guidance.md": job.request.guidance or "",
    }


async def _artifact(shell: Shell, name: str, digest: str) -> bytes:
    try:
        return await shell.artifacts.get(digest)
    except (ArtifactMissing, ArtifactDamaged) as gone:
        raise WorkFailed("input_gone", f"{name} cannot be given to the agent: {gone}") from gone


async def _tried(shell: Shell, job: Job) -> tuple[Tried, ...]:
    """Every earlier attempt; a patch that was erased is left out."""
    told = attempts_so_far(job.history)
    patches: dict[str, bytes] = {}
    for digest in {one.patch_digest for one in told if one.patch_digest}:
        with contextlib.suppress(ArtifactMissing, ArtifactDamaged):
            patches[digest] = await shell.artifacts.get(digest)
    return with_patches(told, patches)


async def _refuted(shell: Shell, job: Job) -> list[dict[str, Any]]:
    """What the agent itself noted of its earlier attempts (`attempt.json`), so that it tries something else."""
    notes: list[dict[str, Any]] = []
    for fact in _answers(job):
        if digest := fact.evidence.artifacts.get("attempt.json"):
            with contextlib.suppress(ValueError, TypeError, RecursionError, ArtifactMissing, ArtifactDamaged):
                noted = json.loads(await shell.artifacts.get(digest))
                own = noted if isinstance(noted, dict) else {}
                notes.append({**own, "phase": fact.phase, "attempt": fact.attempt})
    return notes


def variables(job: Job, files: Mapping[str, bytes]) -> dict[str, str]:
    """The files as the template variables of the framework."""

    def text(name: str) -> str:
        return files.get(name, b"").decode("utf-8", "replace")

    title = job.started.title
    issue = text("issue.md").removeprefix(f"# {title}\n").strip() or title
    return {
        "issue_title": title,
        "raw_request": issue,
        "issue_description": issue,
        "intent_artifact": text("intent.md"),
        "plan_artifact": text("plan.md"),
        "build_artifact": text("build.md"),
        "build_report": text("build.md"),
        "test_results": text("test.md"),
        "test_report": text("test.md"),
        "review_results": text("review.md"),
        "review_verdict": text("review.md"),
        "doc_artifact": text("document.md"),
        "deploy_report": text("deploy.md"),
        "previous_patches": text("attempts.md"),
        "failures": text("failures.md"),
        "guidance": text("guidance.md"),
        "attempt": str(job.request.attempt),
        "branch_name": f"rung/{job.run}",
        "target_branch": job.started.branch,
        "workflow_id": job.started.workflow,
        "project_name": project_name(job.started.repository),
    }


def project_name(repository: str) -> str:
    """What people call a repository: the last part of its path."""
    return PurePath(repository).name.removesuffix(".git") or repository


def evidence_so_far(job: Job) -> dict[str, Any]:
    """The latest evidence of each kind that was collected in this run."""
    merged: dict[str, Any] = {}
    for fact in _answers(job):
        found = fact.evidence.model_dump(mode="json", exclude_none=True)
        merged |= {key: value for key, value in found.items() if key not in ("artifacts", "problems") and value}
    return merged


def failures_so_far(job: Job) -> str:
    """What the gates named that failed and have not passed since, the newest first; empty where there is nothing."""
    parts = [report_of_failure(judged, _evidence_of(job, judged)) for judged in _open_failures(job)]
    if job.request.loop is LoopName.FULL_REBUILD:
        parts.insert(0, REBUILT)
    whole = "\n\n".join(parts).encode()
    cut = whole[:FAILURES_BYTES_MAX].decode("utf-8", "ignore")
    return cut if len(whole) <= FAILURES_BYTES_MAX else f"{cut}\n\n(more was found than is told here)"


def _open_failures(job: Job) -> Iterator[GateJudged]:
    seen: set[Phase] = set()
    for recorded in reversed(job.history.facts):
        if isinstance(fact := recorded.fact, GateJudged) and fact.phase not in seen:
            seen.add(fact.phase)
            if not fact.verdict.outcome.is_passed:
                yield fact


def _evidence_of(job: Job, judged: GateJudged) -> Evidence:
    """What the verdict was about; an attempt without an answer has its error for evidence."""
    place = (judged.phase, judged.attempt)
    for recorded in reversed(job.history.facts):
        match recorded.fact:
            case PhaseCompleted() as fact if (fact.phase, fact.attempt) == place:
                return fact.evidence
            case PhaseErrored() as fact if (fact.phase, fact.attempt) == place:
                return Evidence(problems=(Problem(code=fact.code, message=fact.message),))
            case _:
                continue
    return Evidence()


def _test(job: Job) -> str:
    last = _last(job, Phase.TEST)
    return report_of_tests(last.evidence) if last else ""


def _review(job: Job) -> str:
    if (last := _last(job, Phase.REVIEW)) is None:
        return ""
    facts = [recorded.fact for recorded in job.history.facts]
    judged = [f for f in facts if isinstance(f, GateJudged) and (f.phase, f.attempt) == (last.phase, last.attempt)]
    return report_of_review(last.evidence, judged[-1] if judged else None)


def _last(job: Job, phase: Phase) -> PhaseCompleted | None:
    return next((fact for fact in reversed(list(_answers(job))) if fact.phase is phase), None)


def _answers(job: Job) -> Iterator[PhaseCompleted]:
    return (recorded.fact for recorded in job.history.facts if isinstance(recorded.fact, PhaseCompleted))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
