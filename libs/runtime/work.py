"""Phases as work: find the open request of a run, claim it, do it, answer it once.

The claim and the answer are fenced by the attempt's slot. A worker that lost its claim to another
has its answer refused and throws its work away; one that died leaves a claim that the next
delivery takes over. What the worker needs to know of the run it reads from the run's own facts.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from nats.errors import Error as NatsError

from libs.contracts.evidence import Evidence
from libs.contracts.facts import (
    GateJudged,
    PhaseClaimed,
    PhaseCompleted,
    PhaseErrored,
    PhaseRequested,
    RunAborted,
    RunFinished,
    RunStarted,
)
from libs.contracts.failures import WorkFailed
from libs.contracts.history import Fence, History, fence_for
from libs.contracts.requests import one_line
from libs.contracts.subjects import run_filter, slot_filter
from libs.contracts.wire import Recorded
from libs.contracts.words import Phase
from libs.runtime.log import Conflict, LogUnavailable
from libs.runtime.shell import Shell
from libs.runtime.telemetry import span

SUMMARY_LIMIT: Final = 1000

logger = logging.getLogger("rung")

Answer = PhaseCompleted | PhaseErrored


@dataclass(frozen=True)
class Job:
    """An attempt to be worked on, with all that the run's facts say so far."""

    started: RunStarted
    request: PhaseRequested
    recorded: Recorded
    history: History
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def run(self) -> str:
        return self.request.run


Perform = Callable[[Job], Awaitable[Answer]]


def open_job(history: History, phases: Collection[Phase]) -> Job | None:
    """The run's last request for one of the phases, unless it is answered, judged or moot."""
    started = next((r.fact for r in history.facts if isinstance(r.fact, RunStarted)), None)
    requests = [r for r in history.facts if isinstance(r.fact, PhaseRequested)]
    if started is None or not requests:
        return None
    last = requests[-1]
    request = last.fact
    assert isinstance(request, PhaseRequested)
    if request.phase not in phases or any(_is_closing(r, request) for r in history.facts if r.sequence > last.sequence):
        return None
    return Job(started=started, request=request, recorded=last, history=history)


def _is_closing(recorded: Recorded, request: PhaseRequested) -> bool:
    match recorded.fact:
        case RunAborted() | RunFinished():
            return True
        case PhaseCompleted() | PhaseErrored() | GateJudged() as fact:
            return (fact.phase, fact.attempt) == (request.phase, request.attempt)
        case _:
            return False


async def answer_phase(shell: Shell, run: str, phases: Collection[Phase], perform: Perform) -> None:
    """Work on the run's open request, if there is one, and answer it."""
    history = await shell.log.read(run_filter(run))
    if (job := open_job(history, phases)) is None:
        return
    claim = PhaseClaimed(run=run, phase=job.request.phase, attempt=job.request.attempt, worker=shell.settings.worker)
    try:
        claimed = await shell.log.append(
            claim, cause=job.recorded.id, fence=fence_for(claim, history), traceparent=job.recorded.traceparent
        )
    except Conflict:
        await answer_phase(shell, run, phases, perform)
        return
    await _answer(shell, job, perform, Fence(slot_filter(claim), claimed))


async def _answer(shell: Shell, job: Job, perform: Perform, fence: Fence) -> None:
    place = {"run": job.run, "phase": job.request.phase, "attempt": job.request.attempt}
    logger.info("works on %s", job.request.phase, extra={**place, "fact": job.recorded.id})
    name = f"{shell.service} {job.request.phase}"
    with span(name, parent=job.recorded.traceparent, run=job.run, phase=job.request.phase, attempt=job.request.attempt):
        answer = await _performed(shell, job, perform)
        try:
            await shell.log.append(answer, cause=job.recorded.id, fence=fence, traceparent=job.recorded.traceparent)
            logger.info("answered %s", answer.subject, extra=place)
        except Conflict:
            logger.warning("another worker answered first; this work is thrown away", extra=place)


async def _performed(shell: Shell, job: Job, perform: Perform) -> Answer:
    """The answer to a job: its own, or the reason why there is none."""
    try:
        return await perform(job)
    except WorkFailed as failed:
        return _errored(shell, job, failed)
    except (LogUnavailable, NatsError):
        raise
    except Exception as bug:
        logger.exception("a bug met %s", job.request.subject, extra={"run": job.run})
        return _errored(shell, job, WorkFailed("internal_error", f"{type(bug).__name__}: {bug}"))


def _errored(shell: Shell, job: Job, failed: WorkFailed) -> PhaseErrored:
    return PhaseErrored(
        run=job.run,
        phase=job.request.phase,
        attempt=job.request.attempt,
        worker=shell.settings.worker,
        code=failed.code,
        message=str(failed),
        is_retryable=failed.is_retryable,
        cost_usd=failed.cost_usd,
    )


async def completed(
    shell: Shell,
    job: Job,
    *,
    evidence: Evidence,
    commit: str | None = None,
    files: Mapping[str, bytes] | None = None,
    summary: str = "",
    declined: str | None = None,
    targets: tuple[str, ...] = (),
    cost_usd: float | None = 0.0,
) -> PhaseCompleted:
    """The answer to a job, with its files stored as artifacts; without a commit the candidate is unchanged.

    `cost_usd` is what an agent says that it has cost, `None` when it does not say; work without an agent costs nothing.
    """
    artifacts = {name: await shell.artifacts.put(data) for name, data in (files or {}).items()}
    return PhaseCompleted(
        run=job.run,
        phase=job.request.phase,
        attempt=job.request.attempt,
        worker=shell.settings.worker,
        agent=job.request.agent,
        commit=commit or job.request.commit,
        summary=one_line(summary, SUMMARY_LIMIT),
        declined=one_line(declined, SUMMARY_LIMIT) if declined is not None else None,
        targets=targets,
        evidence=evidence.model_copy(update={"artifacts": artifacts}),
        duration_s=round(time.monotonic() - job.begun_s, 3),
        cost_usd=cost_usd,
    )
