"""How the gatekeeper bears a thousand runs that wait: `python -m tests.bench.thousand [runs]`.

It prints how long it takes from its start until every timer is scheduled and every wake-up is
acknowledged, and how late timers are stated when they all come due within ten seconds; each with
the CPU seconds of gatekeeper and server. Nothing is asserted: the figures are for people to compare.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Final

from libs.contracts.facts import RunAborted, TimerDue
from libs.contracts.history import History
from libs.contracts.words import Service
from libs.contracts.workflow import OnTimeout
from libs.runtime.provision import wait_and_provision
from libs.runtime.server import start
from tests.support.onlooker import looking_on
from tests.support.seeding import Waiting, seed
from tests.support.system import System

SPREAD_S: Final = 10.0
WORKFLOWS: Final = 20
QUIET_S: Final = 60.0
"""From the seeding to the first moment: long enough to catch up."""
PATIENCE_S: Final = 600.0


class Stopwatch:
    """Wall and CPU seconds of named processes since the last lap."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._begun = self._now()

    def lap(self, what: str) -> None:
        now = self._now()
        spent = ", ".join(f"{name} {now[name] - self._begun[name]:.2f} s" for name in now)
        print(f"{what}: {spent}", flush=True)  # noqa: T201 - a bench prints

    def _now(self) -> dict[str, float]:
        return {"wall": time.monotonic(), **{f"cpu of {name}": _cpu_s(pid) for name, pid in self._pids.items()}}


def _cpu_s(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / 100


async def measure(runs: int) -> None:
    with tempfile.TemporaryDirectory() as data:
        async with await start(Path(data)) as server:
            await wait_and_provision(server.endpoint.url, server.endpoint.keys)
            system = System(server, Path(data))
            try:
                await _measure(system, runs)
            finally:
                system.stop()


async def _measure(system: System, runs: int) -> None:
    await seed(
        system.server.endpoint,
        [
            Waiting(f"shop-{n}", QUIET_S + n * SPREAD_S / WORKFLOWS, OnTimeout.ABORT, runs // WORKFLOWS)
            for n in range(WORKFLOWS)
        ],
    )
    async with (
        system.operator() as operator,
        looking_on(operator.client, "run.*.timer.due.*") as moments,
        looking_on(operator.client, "run.*.run.aborted") as ends,
    ):
        system.start_service(Service.GATEKEEPER)
        pids = {"gatekeeper": system.processes[Service.GATEKEEPER].pid, "server": system.server.process.pid}
        watch = Stopwatch(pids)
        await _reached(moments.timer_count, 2 * runs)
        watch.lap("from start to all timers scheduled")
        await _reached(lambda: moments.is_caught_up(Service.GATEKEEPER), 1)
        watch.lap("from start to all wake-ups acknowledged")
        await moments.until_count(1)
        watch = Stopwatch(pids)
        await ends.until_count(runs)
        watch.lap("from the first reminder to the last abort")
        _tell(await moments.log())


async def _reached(count: Callable[[], Awaitable[int]], wanted: int) -> None:
    """Until there are so many, asked seldom: to count is work for the server that is measured."""
    async with asyncio.timeout(PATIENCE_S):
        while await count() < wanted:  # noqa: ASYNC110 - the bus is asked again; nothing here sets an event
            await asyncio.sleep(0.5)


def _tell(log: History) -> None:
    due = [recorded for recorded in log.facts if isinstance(recorded.fact, TimerDue)]
    for kind in ("reminder", "checkpoint"):
        lags = [r.time - r.fact.at for r in due if isinstance(r.fact, TimerDue) and r.fact.timer.startswith(kind)]
        _print(f"from a {kind}'s moment to its timer.due", lags)
    expiries = {r.fact.run: r.fact.at for r in due if isinstance(r.fact, TimerDue) and "checkpoint" in r.fact.timer}
    aborts = [r.time - expiries[r.fact.run] for r in log.facts if isinstance(r.fact, RunAborted)]
    _print("from a checkpoint's moment to run.aborted", aborts)


def _print(what: str, lags: Sequence[float]) -> None:
    cuts = quantiles(lags, n=100)
    print(f"{what}: {len(lags)}, p50 {cuts[49]:.3f} s, p99 {cuts[98]:.3f} s, max {max(lags):.3f} s", flush=True)  # noqa: T201 - a bench prints


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
