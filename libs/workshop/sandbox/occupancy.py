"""How many processes a sandbox holds and how much memory, counted from outside through /proc.

Process limits do not bind root, and no limit of one process bounds the sum over many; so the
members of the sandbox's pid namespace are counted while it runs. A cheap sum comes first: only
when it is over the limit is shared memory divided among those who share it.
"""

from collections.abc import Iterator
from contextlib import suppress
from os import sysconf
from pathlib import Path

PROC = Path("/proc")
PAGE = sysconf("SC_PAGE_SIZE")


def members(pid_namespace: int) -> list[int]:
    """Process ids, as the host numbers them, of all that live in the namespace."""
    return [pid for pid in _pids() if _namespace(pid) == f"pid:[{pid_namespace}]"]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def _namespace(pid: int) -> str:
    try:
        return str((PROC / str(pid) / "ns" / "pid").readlink())
    except OSError:  # it ended meanwhile, or is not ours to look at
        return ""


def excess(pid_namespace: int, *, memory_mib: int, process_count: int) -> str | None:
    """One sentence about the limit that the namespace exceeds; None while it keeps within."""
    pids = members(pid_namespace)
    if len(pids) > process_count:
        return f"The command ran more than {process_count} processes at once and was stopped."
    bound = memory_mib * 2**20
    if sum(map(_resident, pids)) > bound and sum(map(_proportional, pids)) > bound:
        return f"The command held more than {memory_mib} MiB of memory and was stopped."
    return None


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
    return 0


def _proportional(pid: int) -> int:
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 2**10
    return 0
