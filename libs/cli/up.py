"""`rung up`: the embedded system in the foreground, until it is told to end."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected_to, default_data
from libs.cli.ending import Unreachable
from libs.cli.launcher import Launcher, launched
from libs.cli.screen import Screen
from libs.contracts.words import Service

EXAMPLE: Final = "Example: rung up --data ~/rung-data --port 4222"
LOOK_S: Final = 0.05
PATIENCE_S: Final = 15.0

Port = Annotated[
    int | None,
    typer.Option("--port", metavar="N", min=1, max=65535, help="Port of the bus; a free one without it."),
]


def up(*, data: o.Data = None, port: Port = None, as_json: o.AsJson = False) -> None:
    """Start the bus and the five services, and keep them running until Ctrl-C or SIGTERM.

    A service that ends is started again. With --json one object is printed once everything listens.

    Exit code: 0 ended as told, 3 the data directory is in use, 1 the bus could not be started.
    """
    asyncio.run(_up((data or default_data()).absolute(), data, port, Screen(is_json=as_json)))


async def _up(place: Path, data: Path | None, port: int | None, screen: Screen) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    screen.progress(f"Starting on {place} …")
    async with launched(place, lambda sentence: screen.progress(sentence, "yellow"), port=port) as launcher:
        _warn_of_others(screen, place)
        if await _is_ready(launcher, stop, screen):
            _present(launcher, data, screen)
            await stop.wait()
        screen.progress("Stopping …")
    screen.progress("Stopped.")


async def _is_ready(launcher: Launcher, stop: asyncio.Event, screen: Screen) -> bool:
    """Wait until every service listens, saying now and then who does not; false when told to end."""
    ready = asyncio.create_task(_ready(launcher, screen))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (ready, stopped):
        task.cancel()
    if ready.done() and not ready.cancelled():
        ready.result()
    return not stop.is_set()


async def _ready(launcher: Launcher, screen: Screen) -> None:
    """Until the gatekeeper answers and somebody waits on every consumer."""
    clock = asyncio.get_running_loop()
    patient_until = clock.time() + PATIENCE_S
    while missing := await _missing(launcher):
        if clock.time() > patient_until:
            screen.progress(f"Not ready yet: {missing} See the logs in {launcher.logs}.", "yellow")
            patient_until = clock.time() + PATIENCE_S
        await asyncio.sleep(LOOK_S)


async def _missing(launcher: Launcher) -> str:
    """Who does not listen yet, in one sentence; empty when all do."""
    try:
        async with connected_to(launcher.endpoint) as connection:
            if deaf := await connection.deaf():
                return f"nobody listens on {', '.join(deaf)}."
            await connection.ask("health", timeout_s=2.0)
    except Unreachable as reason:
        return str(reason)
    return ""


def _present(launcher: Launcher, data: Path | None, screen: Screen) -> None:
    facts = {
        "url": launcher.endpoint.url,
        "data": str(launcher.data),
        "keys": str(launcher.endpoint.keys),
        "logs": str(launcher.logs),
    }
    if screen.is_json:
        pids = {str(service): launcher.pids.get(service) for service in Service}
        return screen.answer({**facts, "pid": os.getpid(), "services": pids})
    screen.line("Rung is up; Ctrl-C ends it.", "bold green")
    for name, value in facts.items():
        screen.line(f"  {name:<5} {value}")
    screen.line("In another terminal:")
    screen.line(f"  {o.run_command('run --repo PATH --title TEXT', data)}")
    screen.line(f"  {o.run_command('runs', data)}")
    return None


def _warn_of_others(screen: Screen, place: Path) -> None:
    if place.stat().st_mode & 0o077:
        screen.progress(f"Others can look into {place}; close it with: chmod 700 {place}", "yellow")
