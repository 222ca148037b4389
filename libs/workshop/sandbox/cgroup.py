"""A bound on processes that holds for root too, where the machine lets us make a control group.

The kernel exempts root from the limit on processes, so a fork bomb would fill the machine before
anybody who counts can stop it. Where no group can be made the count from outside must do.
"""

import atexit
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

MOUNT: Final = Path("/sys/fs/cgroup")
JOIN: Final = 'echo $$ >"$0/cgroup.procs" && exec "$@"'

_numbers = itertools.count()
_left_over: set[Path] = set()


@contextmanager
def bounded(process_count: int) -> Iterator[Path | None]:
    """A new group of at most so many processes, gone with the block; None where it is not needed or not to be had."""
    if os.geteuid() != 0:
        yield None
        return
    _sweep()
    group = _create(process_count)
    try:
        yield group
    finally:
        if group is not None:
            _left_over.add(group)
            _sweep()


def joining(group: Path | None, argv: Sequence[str]) -> list[str]:
    """The command, started inside the group."""
    return list(argv) if group is None else ["/bin/sh", "-c", JOIN, str(group), *argv]


def _create(process_count: int) -> Path | None:
    parent = _own()
    if parent is None:
        return None
    group = parent / f"rung-{os.getpid()}-{next(_numbers)}"
    try:
        group.mkdir()
        (group / "pids.max").write_text(str(process_count))
    except OSError:
        with suppress(OSError):
            group.rmdir()
        return None
    return group


def _own() -> Path | None:
    """Where this process stands in the hierarchy that counts processes."""
    with suppress(OSError):
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        for _, controllers, place in lines:
            if "pids" in controllers.split(","):
                return MOUNT / "pids" / place.lstrip("/")
        for _, controllers, place in lines:
            if not controllers:
                return MOUNT / place.lstrip("/")
    return None


def _sweep() -> None:
    """Remove groups whose last process is gone, also those that another process of ours left when it died."""
    parent = _own()
    abandoned = (group for group in parent.glob("rung-*-*") if _is_abandoned(group)) if parent is not None else ()
    for group in {*_left_over, *abandoned}:
        with suppress(OSError):
            group.rmdir()
            _left_over.discard(group)


def _is_abandoned(group: Path) -> bool:
    owner = group.name.split("-")[1]
    return owner.isdecimal() and not Path("/proc", owner).exists()


atexit.register(_sweep)
