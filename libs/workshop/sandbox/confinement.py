"""What a command in the sandbox may see and use, spelt out as arguments of bubblewrap.

Theory: everything is unshared and then little is bound back, by name: a read-only system
(`/usr` and the links into it), the toolchain at its own path, and the mounts asked for. The
root, `/etc` and `/dev` are rebuilt from nothing, so no secret of the host can be read by
being overlooked. Limits that bind a process (data segment, files, processes) are set by a
shell inside the new user namespace, because a process limit set outside would count
everything else that its owner runs.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
ETC: Final = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
WRITTEN: Final = {
    "/etc/passwd": b"rung:x:1000:1000:Rung:/tmp/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "/etc/group": b"rung:x:1000:\nnogroup:x:65534:\n",
    "/etc/hosts": b"127.0.0.1 localhost rung\n::1 localhost rung\n",
    "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
}
"""Files of the sandbox's own `/etc`."""

KERNEL: Final = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "mtrr", "pressure", "driver", "scsi")
"""Parts of /proc that set the kernel: root may write them from any user namespace, so they are read-only."""

RESERVED: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/dev", "/sys")

PRELUDE: Final = """
ulimit -c 0; ulimit -d "$1"; ulimit -f "$2"
ulimit -u "$3" 2>/dev/null || ulimit -p "$3"
cd -- "$4" || exit 126
shift 4
exec "$@"
"""
"""Sets what only a process inside can set, then becomes the command; 127 if there is none of that name."""

HARDENING: Final = (
    *("--unshare-user", "--unshare-all", "--disable-userns", "--uid", "1000", "--gid", "1000"),
    *("--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", "--hostname", "rung"),
)


@dataclass(frozen=True)
class Mount:
    """A file or directory of the host, shown at `target` inside; read-only unless said otherwise."""

    source: Path
    target: str
    is_writable: bool = False


@dataclass(frozen=True)
class Limits:
    """What one command may use.

    `memory_mib` bounds the data of each process and what all of them hold together; `process_count`
    bounds processes and threads; `file_mib` one file, and each of the temporary file systems;
    `output_bytes` what is kept of each output stream (its head and its tail).
    """

    wall_s: float = 600.0
    idle_s: float | None = None
    memory_mib: int = 4096
    process_count: int = 512
    file_mib: int = 1024
    output_bytes: int = 4 * 2**20


def default_toolchain() -> tuple[Path, ...]:
    """The prefixes that this Python needs: its environment, its base, and what its interpreter links through."""
    found = [Path(sys.prefix), Path(sys.base_prefix), *_linked_prefixes(Path(sys.prefix, "bin", "python3"))]
    return tuple(dict.fromkeys(path for path in found if not _is_system(path)))


def _linked_prefixes(interpreter: Path) -> Iterable[Path]:
    while interpreter.is_symlink():
        interpreter = interpreter.parent / interpreter.readlink()
        prefix = Path(os.path.normpath(interpreter.parent.parent))
        if any(prefix.glob("lib/python3*/os.py")):
            yield prefix


def _is_system(path: Path) -> bool:
    return any(path.is_relative_to(place) for place in SYSTEM)


def refuse_unfit_mounts(mounts: Sequence[Mount]) -> None:
    """Raise a `ValueError` of one sentence for a mount that cannot be made."""
    for mount in mounts:
        target = PurePosixPath(mount.target)
        if not target.is_absolute() or ".." in target.parts or target == PurePosixPath("/"):
            raise ValueError(f"A mount needs an absolute place inside the sandbox, not {mount.target!r}.")
        if any(target.is_relative_to(place) for place in RESERVED):
            raise ValueError(f"{mount.target} belongs to the sandbox itself, so nothing can be mounted there.")
        if not mount.source.exists():
            raise ValueError(f"{mount.source} does not exist, so it cannot be shown in the sandbox.")


def refuse_unfit_toolchain(toolchain: Sequence[Path]) -> None:
    """Raise a `ValueError` of one sentence for a toolchain that would show the user's home."""
    for path in toolchain:
        if Path.home().is_relative_to(path):
            raise ValueError(f"The toolchain {path} holds the home directory, so it cannot be shown in the sandbox.")


def place_of(prefix: Path, mounts: Sequence[Mount]) -> str:
    """Where a toolchain appears inside: at its own path, unless a mount would cover it."""
    is_covered = any(prefix.is_relative_to(mount.target) for mount in mounts)
    return f"/toolchain{prefix}" if is_covered else str(prefix)


def environment(toolchain: Sequence[Path], mounts: Sequence[Mount], extra: Mapping[str, str]) -> dict[str, str]:
    places = [f"{place_of(prefix, mounts)}/bin" for prefix in toolchain]
    return {
        "PATH": ":".join([*places, "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": "/tmp/home",  # noqa: S108 - the sandbox's own temporary file system
        "TMPDIR": "/tmp",  # noqa: S108 - as above
        "LANG": "C.UTF-8",
        "USER": "rung",
        "LOGNAME": "rung",
        "SHELL": "/bin/sh",
        "TERM": "dumb",
        "GIT_TERMINAL_PROMPT": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        **extra,
    }


def arguments(
    *,
    toolchain: Sequence[Path],
    mounts: Sequence[Mount],
    env: Mapping[str, str],
    cwd: str,
    limits: Limits,
    etc_fds: Mapping[str, int],
) -> list[str]:
    """Options of bubblewrap, later ones over earlier ones; the root is made read-only last."""
    size = str(limits.file_mib * 2**20)
    options = [*HARDENING, "--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm"]  # noqa: S108 - own
    options += ["--remount-ro", "/dev", "--perms", "1777", "--size", size, "--tmpfs", "/tmp", "--dir", "/tmp/home"]  # noqa: S108 - own
    options += [option for place in SYSTEM for option in _as_on_host(place)]
    options += [option for place in ETC for option in ("--ro-bind-try", place, place)]
    options += [option for place, fd in etc_fds.items() for option in ("--ro-bind-data", str(fd), place)]
    options += [option for name in KERNEL for option in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")]
    options += ["--dir", cwd]
    for prefix in toolchain:
        options += ["--ro-bind", str(prefix), place_of(prefix, mounts)]
    for mount in mounts:
        options += ["--bind" if mount.is_writable else "--ro-bind", str(mount.source), mount.target]
    for name, value in environment(toolchain, mounts, env).items():
        options += ["--setenv", name, value]
    return [*options, "--remount-ro", "/"]


def _as_on_host(place: str) -> list[str]:
    path = Path(place)
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), place]
    return ["--ro-bind", place, place] if path.is_dir() else []


def command(argv: Sequence[str], cwd: str, limits: Limits) -> list[str]:
    """The command behind its prelude; `ulimit` counts data in KiB and files in blocks of 512 bytes."""
    kept = (limits.memory_mib * 2**10, limits.file_mib * 2**11, limits.process_count)
    return ["/bin/sh", "-c", PRELUDE, "sh", *(str(number) for number in kept), cwd, *argv]
