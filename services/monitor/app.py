"""Wiring of the monitor."""

from libs.contracts.subjects import run_filter
from libs.runtime.settling import settle
from libs.runtime.shell import Delivery, Inlet, Shell
from services.monitor.decider import Watched, decide


def build(shell: Shell) -> None:
    async def on_fact(delivery: Delivery) -> None:
        run = delivery.tokens[1]

        async def read() -> Watched:
            return Watched(await shell.log.read(run_filter(run)))

        await settle(shell.log, read, decide)

    shell.listen(Inlet("FACTS", "monitor", on_fact))
