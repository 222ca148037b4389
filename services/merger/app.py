"""Wiring of the merger."""

from functools import partial

from libs.contracts.history import fence_for
from libs.contracts.subjects import run_filter
from libs.contracts.words import Phase
from libs.runtime.log import Conflict
from libs.runtime.shell import Delivery, Inlet, Refused, Shell
from libs.runtime.telemetry import span
from libs.runtime.work import answer_phase
from libs.workshop.sandbox import Sandbox
from services.merger.decider import owed_landing
from services.merger.effects import integrate, land


def build(shell: Shell) -> None:
    perform = partial(integrate, shell, Sandbox())

    async def on_fact(delivery: Delivery) -> None:
        match delivery.tokens:
            case ["run", run, "phase", "requested", *_]:
                await answer_phase(shell, run, (Phase.DEPLOY,), perform)
            case ["run", run, "merge", "authorised", *_]:
                await answer_authorisation(shell, run)
            case _:
                raise Refused(f"the merger of this build does not act on {delivery.subject}")

    shell.listen(Inlet("FACTS", "merger", on_fact))


async def answer_authorisation(shell: Shell, run: str) -> None:
    """Land what is authorised, once; a repeat finds the answer in the log, or the branch moved already."""
    history = await shell.log.read(run_filter(run))
    if (owed := owed_landing(history)) is None:
        return
    with span(f"{shell.service} merge", parent=owed.recorded.traceparent, run=run):
        fact = await land(shell, owed.started, owed.authorised, is_held=owed.is_held)
        try:
            await shell.log.append(
                fact, cause=owed.recorded.id, fence=fence_for(fact, history), traceparent=owed.recorded.traceparent
            )
        except Conflict:
            await answer_authorisation(shell, run)
