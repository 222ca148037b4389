"""Wiring of the merger."""

from functools import partial

from libs.contracts.words import Phase
from libs.runtime.shell import Delivery, Inlet, Refused, Shell
from libs.runtime.work import answer_phase
from libs.workshop.sandbox import Sandbox
from services.merger.effects import integrate
from services.merger.landing import answer_authorisation


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
