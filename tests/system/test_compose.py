"""docker-compose.yml without Docker: its very commands and environments as processes, up to a merge.

Paths and host names that only containers have are translated; a service sees the secrets that the
file gives it and no others.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import pytest
import yaml

from libs.runtime.server import Endpoint, connect_options
from tests.support.repositories import flat_layout
from tests.support.system import ROOT, Operator
from tests.support.waiting import until

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FIVE = ("planner", "builder", "gatekeeper", "merger", "monitor")


@dataclass
class Host:
    """This machine in the place of containers: where their paths and the bus really are."""

    root: Path
    port: int
    monitor_port: int
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def translated(self, text: str, name: str) -> str:
        places = {
            "/run/secrets": str(self.root / "secrets-of" / name),
            "/state": str(self.root / "state"),
            "nats://nats:4222": f"nats://127.0.0.1:{self.port}",
            "127.0.0.1:8222": f"127.0.0.1:{self.monitor_port}",
        }
        for inside, outside in places.items():
            text = text.replace(inside, outside)
        return text

    def give_secrets(self, name: str) -> None:
        target = self.root / "secrets-of" / name
        target.mkdir(parents=True, mode=0o700)
        for secret in SERVICES[name].get("secrets", []):
            source = Path(COMPOSE["secrets"][secret]["file"])
            assert source.parent == Path("deploy/secrets")
            shutil.copy(self.root / "secrets" / source.name, target / secret)

    def command(self, words: list[str], name: str) -> list[str]:
        programs = {"python": sys.executable, "nats-server": str(Path(sys.executable).parent / "nats-server")}
        return [programs.get(words[0], words[0]), *(self.translated(word, name) for word in words[1:])]

    def environment(self, name: str) -> dict[str, str]:
        stated = SERVICES[name].get("environment", {})
        own = {key: value for key, value in os.environ.items() if not key.startswith(("RUNG_", "OTEL_"))}
        return own | {key: self.translated(_interpolated(value), name) for key, value in stated.items()}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        self.give_secrets(name)
        with (self.root / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(SERVICES[name]["command"], name), cwd=ROOT, env=self.environment(name), stderr=log
            )
        self.running.append(process)
        return process

    async def healthy(self, name: str) -> None:
        words = self.command(SERVICES[name]["healthcheck"]["test"][1:], name)

        async def is_healthy() -> bool:
            done = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=self.environment(name), stderr=DEVNULL)
            return await done.wait() == 0

        await until(is_healthy, within_s=60)


def _interpolated(value: str) -> str:
    """`${NAME:-default}` as compose fills it in where NAME is not set."""
    if value.startswith("${"):
        return value[2:-1].partition(":-")[2]
    return value


@pytest.fixture
def host(tmp_path: Path, unused_tcp_port_factory: Any) -> Iterator[Host]:
    port, monitor_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    host = Host(tmp_path, port, monitor_port)
    arguments = ["--keys", str(tmp_path / "secrets"), "--store", str(tmp_path / "facts"), "--host", "127.0.0.1"]
    ports = ["--port", str(port), "--monitor-port", str(monitor_port)]
    output = ["--output", str(tmp_path / "secrets" / "nats.conf")]
    subprocess.run([sys.executable, "-m", "libs.runtime.rights", *arguments, *ports, *output], cwd=ROOT, check=True)
    try:
        yield host
    finally:
        for process in reversed(host.running):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


async def test_the_compose_file_takes_an_issue_to_a_merge(host: Host, tmp_path: Path) -> None:
    host.start("nats")
    await host.healthy("nats")
    assert host.start("provision").wait(60) == 0
    for name in FIVE:
        host.start(name)
    for name in FIVE:
        await host.healthy(name)
    case = flat_layout(tmp_path / "repositories" / "one")
    endpoint = Endpoint(f"nats://127.0.0.1:{host.port}", "rung", None, tmp_path / "secrets")
    async with await nats.connect(endpoint.url, **connect_options(endpoint.keys, "operator")) as client:
        operator = Operator(client)
        view = await operator.approve_until_end(await operator.open_issue(case.path, case.title, case.body))
    assert view.outcome == "merged", view.sentences


def test_every_container_runs_as_nobody_special_and_sees_its_own_key_only() -> None:
    image = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "\nUSER rung\n" in image
    assert {name: SERVICES[name]["secrets"] for name in FIVE} == {name: [f"{name}.nk"] for name in FIVE}
    assert all(service["image"] == "rung" for service in SERVICES.values())
    assert all("healthcheck" in SERVICES[name] for name in (*FIVE, "nats"))


def test_everything_a_service_depends_on_is_there() -> None:
    wanted: set[str] = {name for service in SERVICES.values() for name in _needs(service)}
    assert wanted <= set(SERVICES)
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == set(COMPOSE["secrets"])


def _needs(service: Mapping[str, Any]) -> list[str]:
    return list(service.get("depends_on", {}))
