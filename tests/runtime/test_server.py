"""The embedded server against the real program: identity, lock, keys, and what survives a hard end."""

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest
from nats.aio.client import Client

from libs.runtime import keys as key_files
from libs.runtime import provision, rights, server

FOREVER = """
import asyncio, sys
from pathlib import Path
from libs.runtime import server

async def main():
    running = await server.start(Path(sys.argv[1]))
    print(running.endpoint.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "state of Zoë" / "$rung"


@pytest.fixture
async def running(data: Path) -> AsyncIterator[server.EmbeddedServer]:
    async with await server.start(data) as it:
        yield it


async def connect(endpoint: server.Endpoint, role: str) -> Client:
    return await nats.connect(endpoint.url, **server.connect_options(endpoint.keys, role), allow_reconnect=False)


async def state_a_fact(endpoint: server.Endpoint, run: str) -> int:
    provisioner = await connect(endpoint, rights.PROVISIONER)
    await provision.provision(provisioner)
    await provisioner.close()
    gatekeeper = await connect(endpoint, "gatekeeper")
    ack = await gatekeeper.jetstream(prefix=rights.API).publish(f"run.{run}.run.started", b"{}")
    await gatekeeper.close()
    return ack.seq


async def stored_subjects(endpoint: server.Endpoint) -> set[str]:
    provisioner = await connect(endpoint, rights.PROVISIONER)
    info = await provisioner.jetstream().stream_info("FACTS", subjects_filter=">")
    await provisioner.close()
    return set(info.state.subjects or {})


async def test_a_server_carries_its_own_name_on_a_port_of_its_own(tmp_path: Path) -> None:
    async with await server.start(tmp_path / "a") as one, await server.start(tmp_path / "b") as other:
        assert one.endpoint.url != other.endpoint.url
        assert one.endpoint.server_name != other.endpoint.server_name
        assert await server.server_name(one.endpoint.url) == one.endpoint.server_name
        await server.identify(other.endpoint)


async def test_a_stranger_that_took_the_port_is_told_apart(tmp_path: Path) -> None:
    async with await server.start(tmp_path / "mine") as mine:
        address = mine.endpoint
    async with await server.start(tmp_path / "stranger", port=urlsplit(address.url).port) as stranger:
        with pytest.raises(server.StrangerError, match=stranger.endpoint.server_name):
            await server.identify(address)


async def test_what_speaks_another_protocol_is_no_server(tmp_path: Path) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(server.StrangerError, match="no NATS server"):
            await server.server_name(f"nats://127.0.0.1:{port}")


async def test_nobody_at_the_address_is_one_sentence(tmp_path: Path) -> None:
    async with await server.start(tmp_path) as gone:
        pass
    with pytest.raises(server.ServerError, match="No NATS server answers"):
        await server.identify(gone.endpoint)


async def test_a_port_in_use_fails_with_the_server_s_own_words(running: server.EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(server.ServerError, match="address already in use"):
        await server.start(tmp_path / "late", port=urlsplit(running.endpoint.url).port)


async def test_a_failed_start_leaves_the_directory_free(running: server.EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(server.ServerError):
        await server.start(tmp_path / "late", port=urlsplit(running.endpoint.url).port)
    async with await server.start(tmp_path / "late") as second:
        assert second.is_running


async def test_a_second_start_names_the_process_that_holds_the_directory(
    running: server.EmbeddedServer, data: Path
) -> None:
    with pytest.raises(server.DataDirectoryBusy) as refusal:
        await server.start(data)
    assert f"in use by process {os.getpid()}." in str(refusal.value)
    assert running.is_running


async def test_a_file_in_place_of_the_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(server.ServerError, match="cannot be made"):
        await server.start(tmp_path / "data")


async def test_keys_are_private_and_made_once(data: Path) -> None:
    async with await server.start(data) as first:
        keys = first.endpoint.keys
        before = {path.name: path.read_text() for path in keys.iterdir()}
    async with await server.start(data):
        assert {path.name: path.read_text() for path in keys.iterdir()} == before
    assert set(before) == {f"{role}.nk" for role in rights.roles(rights.table(rights.STATES))}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}


async def test_a_damaged_key_is_named(data: Path) -> None:
    key_files.ensure(data / "keys", ["builder"])
    (data / "keys" / "builder.nk").write_text("not a seed")
    with pytest.raises(key_files.KeyFileError, match=r"builder\.nk does not hold an nkey seed"):
        await server.start(data)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(key_files.KeyFileError, match="no key for builder"):
        server.connect_options(tmp_path, "builder")


def test_a_role_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(key_files.KeyFileError, match="no role name"):
        server.connect_options(tmp_path / "keys", "../builder")


async def test_a_running_server_is_found_by_its_directory_until_it_stops(data: Path) -> None:
    async with await server.start(data) as running:
        assert server.find(data) == running.endpoint
    assert server.find(data) is None


async def test_who_has_no_key_is_not_let_in(running: server.EmbeddedServer, tmp_path: Path) -> None:
    key_files.ensure(tmp_path / "own", ["builder"])
    foreign = server.connect_options(tmp_path / "own", "builder")

    async def quiet(_: Exception) -> None: ...

    for options in ({}, foreign):
        client = Client()
        with pytest.raises(nats.errors.Error, match="Authorization Violation"):
            await client.connect(running.endpoint.url, **options, allow_reconnect=False, error_cb=quiet)
        await client.close()


async def test_acknowledged_facts_survive_a_killed_server(data: Path) -> None:
    async with await server.start(data) as first:
        await state_a_fact(first.endpoint, "before")
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert not first.is_running
    async with await server.start(data) as second:
        assert await state_a_fact(second.endpoint, "after") == 2
        assert await stored_subjects(second.endpoint) == {"run.before.run.started", "run.after.run.started"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_the_server_ends_with_a_killed_parent_and_the_next_start_finds_every_fact(data: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FOREVER, str(data), stdout=asyncio.subprocess.PIPE
    )
    orphan = int(await parent.stdout.readline())  # type: ignore[union-attr] # a pipe was asked for
    endpoint = server.find(data)
    assert endpoint is not None
    assert endpoint.pid == orphan
    await state_a_fact(endpoint, "before")
    parent.kill()
    await parent.wait()
    # The lock is shared with the server, so a start that succeeds proves that both are gone.
    async with await server.start(data) as second:
        assert second.endpoint.pid != orphan
        assert await stored_subjects(second.endpoint) == {"run.before.run.started"}
