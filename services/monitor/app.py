"""Wiring of the monitor."""

from libs.contracts.subjects import run_filter
from libs.runtime.settling import settle
from libs.runtime.shell import Delivery, Inlet, Shell
from services.monitor.decider import Watched, decide, watch_to_judge
from services.monitor.measuring import measure


def build(shell: Shell) -> None:
    async def on_fact(delivery: Delivery) -> None:
        subjects = run_filter(delivery.tokens[1])
        over = watch_to_judge(await shell.log.read(subjects))
        readings = await measure(over) if over else None

        async def read() -> Watched:
            return Watched(await shell.log.read(subjects), readings)

        await settle(shell.log, read, decide)

    shell.listen(Inlet("FACTS", "monitor", on_fact))
