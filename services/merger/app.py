"""Wiring of the merger."""

from functools import partial

from libs.contracts.words import Phase
from libs.runtime.shell import Delivery, Inlet, Refused, Shell
from libs.runtime.work import answer_phase
from libs.workshop.sandbox import Sandbox
from services.merger.effects import integrate
from services.merger.landing import answer_authorisation
from services.merger.reverting import answer_rollback


def build(shell: Shell) -> None:
    sandbox = Sandbox()
    perform = partial(integrate, shell, sandbox)

    async def on_fact(delivery: Delivery) -> None:
        match delivery.tokens:
            case ["run", run, "phase", "requested", *_]:
                await answer_phase(shell, run, (Phase.DEPLOY,), perform)
            case ["run", run, "merge", "authorised", *_]:
                await answer_authorisation(shell, run)
            case ["run", run, "rollback", "ordered", *_]:
                await answer_rollback(shell, sandbox, run)
            case _:
                raise Refused(f"the merger of this build does not act on {delivery.subject}")

    shell.listen(Inlet("FACTS", "merger", on_fact))
