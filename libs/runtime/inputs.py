"""What an attempt is given to read: artifacts by file name, and what the run's facts say so far."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from libs.contracts.facts import GateJudged, PhaseCompleted, PhaseErrored
from libs.contracts.wire import Recorded
from libs.contracts.words import Phase
from libs.runtime.shell import Shell
from libs.runtime.work import Job


async def read_inputs(shell: Shell, job: Job) -> dict[str, bytes]:
    """The files of an attempt: its artifacts, `issue.json`, `evidence.json`, `attempts.json`, `guidance.md`."""
    files = {name: await shell.artifacts.get(digest) for name, digest in sorted(job.request.inputs.items())}
    started = job.started
    body = files.get("issue.md", b"").decode("utf-8", "replace")
    issue = {"title": started.title, "body": body, "type": started.issue_type, "labels": list(started.labels)}
    files["issue.md"] = f"# {started.title}\n\n{body}\n".encode()
    files["issue.json"] = _json(issue)
    files["evidence.json"] = _json(evidence_so_far(job))
    files["attempts.json"] = _json([*attempts_so_far(job), *await _refuted(shell, job)])
    if job.request.guidance:
        files["guidance.md"] = job.request.guidance.encode()
    return files


async def _refuted(shell: Shell, job: Job) -> list[dict[str, Any]]:
    """What the agent itself noted of its earlier attempts (`attempt.json`), so that it tries something else."""
    notes: list[dict[str, Any]] = []
    for recorded in job.history.facts:
        fact = recorded.fact
        if isinstance(fact, PhaseCompleted) and (digest := fact.evidence.artifacts.get("attempt.json")):
            with contextlib.suppress(ValueError, TypeError):
                noted = json.loads(await shell.artifacts.get(digest))
                notes.append(
                    {"phase": fact.phase, "attempt": fact.attempt, **(noted if isinstance(noted, dict) else {})}
                )
    return notes


def variables(job: Job, files: Mapping[str, bytes]) -> dict[str, str]:
    """The files as the template variables of the framework."""

    def text(name: str) -> str:
        return files.get(name, b"").decode("utf-8", "replace")

    issue = text("issue.md")
    return {
        "raw_request": issue,
        "issue_description": issue,
        "intent_artifact": text("intent.md"),
        "plan_artifact": text("plan.md"),
        "build_artifact": text("build.md"),
        "build_report": text("build.md"),
        "test_results": text("evidence.json"),
        "test_report": text("evidence.json"),
        "review_results": text("evidence.json"),
        "review_verdict": text("evidence.json"),
        "doc_artifact": text("document.md"),
        "deploy_report": text("deploy.md"),
        "previous_patches": text("attempts.json"),
        "guidance": text("guidance.md"),
        "branch_name": f"rung/{job.run}",
        "target_branch": job.started.branch,
        "workflow_id": job.started.workflow,
    }


def evidence_so_far(job: Job) -> dict[str, Any]:
    """The latest evidence of each kind that was collected in this run."""
    merged: dict[str, Any] = {}
    for recorded in job.history.facts:
        if isinstance(recorded.fact, PhaseCompleted):
            found = recorded.fact.evidence.model_dump(mode="json", exclude_none=True)
            merged |= {key: value for key, value in found.items() if key not in ("artifacts", "problems") and value}
    return merged


def attempts_so_far(job: Job) -> list[dict[str, Any]]:
    """Every earlier answer and verdict of the phases that this one heals, oldest first."""
    return [told for recorded in job.history.facts if (told := _attempt(recorded)) is not None]


def _attempt(recorded: Recorded) -> dict[str, Any] | None:
    match recorded.fact:
        case PhaseCompleted(phase=Phase.BUILD) as fact:
            return {"phase": fact.phase, "attempt": fact.attempt, "summary": fact.summary, "commit": fact.commit}
        case PhaseErrored() as fact:
            return {"phase": fact.phase, "attempt": fact.attempt, "error": fact.message}
        case GateJudged(phase=Phase.BUILD | Phase.TEST | Phase.REVIEW) as fact if not fact.verdict.outcome.is_passed:
            failures = list(fact.verdict.reasons)
            return {"phase": fact.phase, "attempt": fact.attempt, "outcome": fact.verdict.outcome, "failures": failures}
        case _:
            return None


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
