"""Wiring of the builder."""

from collections.abc import Awaitable, Callable

from libs.contracts.facts import PhaseCompleted, SandboxProbed
from libs.contracts.history import Fence
from libs.contracts.words import Service
from libs.runtime.shell import Delivery, Inlet, Shell
from libs.runtime.work import Job, answer_phase
from libs.workshop.sandbox import Sandbox
from services.builder.phases import PERFORM, Bench


def build(shell: Shell) -> Callable[[], Awaitable[None]]:
    bench = Bench(shell, Sandbox())

    async def perform(job: Job) -> PhaseCompleted:
        return await PERFORM[job.request.phase](bench, job)

    async def on_request(delivery: Delivery) -> None:
        await answer_phase(shell, delivery.tokens[1], PERFORM, perform)

    async def probe() -> None:
        await state_probe(bench)

    shell.listen(Inlet("FACTS", "builder", on_request, parallel=shell.settings.worker_count))
    return probe


async def state_probe(bench: Bench) -> None:
    """State at start what the sandbox really keeps apart on this machine."""
    probe = await bench.sandbox.probe()
    fact = SandboxProbed(
        service=Service.BUILDER,
        is_full=probe.is_full,
        layers=probe.layers,
        missing=probe.missing,
        message=probe.message,
    )
    log = bench.shell.log
    await log.append(fact, cause=bench.shell.settings.worker, fence=Fence(fact.subject, await log.head(fact.subject)))
