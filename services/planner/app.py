"""Wiring of the planner."""

from functools import partial

from libs.contracts.words import Phase
from libs.runtime.shell import Delivery, Inlet, Shell
from libs.runtime.work import answer_phase
from libs.workshop.sandbox import Sandbox
from services.planner.intake import take_in
from services.planner.planning import plan

PHASES = (Phase.INTENT, Phase.PLAN)


def build(shell: Shell) -> None:
    perform = partial(plan, shell, Sandbox())

    async def on_request(delivery: Delivery) -> None:
        await answer_phase(shell, delivery.tokens[1], PHASES, perform)

    shell.listen(Inlet("INTAKE", "planner", partial(take_in, shell)))
    shell.listen(Inlet("FACTS", "planner", on_request, parallel=shell.settings.worker_count))
