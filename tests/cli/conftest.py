"""The command as a process, and a system started by it, shared by the tests that only ask it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Rung = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one value on standard output, where nothing else may stand."""
        return json.loads(self.out)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "libs.cli.main", *arguments]


def environment(state: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("RUNG_")}
    return {**own, "XDG_STATE_HOME": str(state), "COLUMNS": "80", **(more or {})}


@pytest.fixture
def rung(tmp_path: Path) -> Rung:
    """Runs a command with a state directory of the test's own, without a terminal."""

    def run(*arguments: str, stdin: bytes = b"", **more: str) -> Done:
        done = subprocess.run(
            command(*arguments),
            input=stdin,
            capture_output=True,
            cwd=ROOT,
            env=environment(tmp_path, more),
            check=False,
            timeout=120,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@dataclass(frozen=True)
class Up:
    """A running `rung up`, and what it said when it was ready."""

    process: subprocess.Popen[bytes]
    said: Mapping[str, Any]

    @property
    def data(self) -> str:
        return str(self.said["data"])

    def err(self) -> str:
        """What it says until its end."""
        return self.process.communicate()[1].decode()


@contextlib.contextmanager
def running_up(data: Path, *arguments: str) -> Iterator[Up]:
    process = subprocess.Popen(
        command("up", "--data", str(data), "--json", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(data),
    )
    try:
        assert process.stdout is not None
        yield Up(process, json.loads(process.stdout.readline()))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("up") / "data") as up:
        yield up
