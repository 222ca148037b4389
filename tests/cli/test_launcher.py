"""The embedded system: it comes up whole, comes back when a part of it dies, and leaves nothing behind."""

import os
import signal
import socket
from pathlib import Path

from libs.cli.connection import connected
from libs.cli.ending import Ended
from libs.cli.launcher import DELAY_MAX_S, Backoff
from libs.contracts.words import Service
from libs.runtime.server import find
from tests.cli.conftest import Rung, Up, running_up
from tests.support.waiting import until


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def _are_gone(pids: list[int]) -> bool:
    return all(map(_is_gone, pids))


async def _is_whole(data: Path) -> bool:
    try:
        async with connected(data) as connection:
            return not await connection.deaf() and bool((await connection.ask("health"))["service"])
    except Ended:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _nursery(up: Up) -> int:
    """The child that forks the services; the bus is the other one."""
    children = _children(up.process.pid)
    return next(pid for pid in children if "libs.cli.nursery" in Path(f"/proc/{pid}/cmdline").read_text())


def _pids(up: Up) -> list[int]:
    server = find(Path(up.data))
    assert server is not None
    assert server.pid is not None
    return [server.pid, _nursery(up), *up.said["services"].values()]


async def test_once_it_says_so_every_service_listens(up: Up) -> None:
    assert set(up.said["services"]) == set(Service)
    assert await _is_whole(Path(up.data))


def test_data_and_logs_are_for_their_owner_alone(up: Up) -> None:
    data = Path(up.data)
    assert data.stat().st_mode & 0o077 == 0
    assert {path.stem for path in (data / "logs").glob("*.log")} >= set(Service)
    assert all((data / "logs" / f"{service}.log").stat().st_mode & 0o077 == 0 for service in Service)


def test_services_bear_their_names_among_processes(up: Up) -> None:
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in up.said["services"].values()}
    assert names == {f"rung-{service}"[:15] for service in Service}


def test_a_second_system_on_the_same_data_is_refused(up: Up, rung: Rung) -> None:
    done = rung("up", "--data", up.data)
    assert done.code == 3
    assert done.err.splitlines()[-1] == f"The data directory {up.data} is in use by process {up.process.pid}."


def test_doctor_finds_the_running_system_well(up: Up, rung: Rung) -> None:
    done = rung("doctor", "--data", up.data, "--json")
    found = {check["name"]: check["state"] for check in done.json["checks"]}
    assert found.items() >= {"python": "ok", "git": "ok", "nats-server": "ok", "data": "ok", "system": "ok"}.items()
    assert found["consumer"] == found["gatekeeper"] == "ok"
    assert done.code == (0 if done.json["ok"] else 1)


async def test_a_service_and_the_bus_that_are_killed_come_back_where_they_were(tmp_path: Path) -> None:
    port = free_port()
    with running_up(tmp_path / "data", "--port", str(port)) as up:
        data, before, builder = Path(up.data), find(Path(up.data)), up.said["services"]["builder"]
        assert before is not None
        assert before.pid is not None
        assert before.url.endswith(f":{port}")
        os.kill(builder, signal.SIGKILL)
        os.kill(before.pid, signal.SIGKILL)

        async def is_back() -> bool:
            now = find(data)
            return now is not None and now.pid != before.pid and _is_gone(builder) and await _is_whole(data)

        assert await until(is_back, within_s=60)
        assert find(data).url == before.url  # type: ignore[union-attr]
        pids = _pids(up)
        up.process.send_signal(signal.SIGTERM)
        said = up.err()
    assert up.process.returncode == 0
    assert all(map(_is_gone, pids))
    assert "The builder ended with status -9" in said
    assert "The NATS server ended with status -9" in said


async def test_what_is_killed_takes_its_children_along_and_the_nursery_comes_back(tmp_path: Path) -> None:
    with running_up(tmp_path / "data") as up:
        data, killed = Path(up.data), _nursery(up)
        os.kill(killed, signal.SIGKILL)

        async def is_back() -> bool:
            return all(map(_is_gone, (killed, *up.said["services"].values()))) and await _is_whole(data)

        assert await until(is_back, within_s=60)
        pids = [*_pids(up), *_children(_nursery(up))]
        assert len(pids) == len(Service) * 2 + 2
        up.process.kill()
        assert await until(lambda: _are_gone(pids))


def test_what_does_not_last_is_started_again_ever_more_slowly_but_always() -> None:
    backoff = Backoff()
    delays = [backoff.delay_s(now=1.0) for _ in range(20)]
    assert delays == sorted(delays)
    assert delays[0] == 0.2
    assert delays[-1] == DELAY_MAX_S


def test_what_ran_for_long_is_started_again_at_once() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay_s(now=1.0)
    backoff.begin(now=2.0)
    assert backoff.delay_s(now=100.0) == 0.2
