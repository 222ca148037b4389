"""Does a piece of work in a fork with limits of time and memory, and leaves nothing of it alive.

Candidates are code that nobody has read: they may hang, exit, eat memory or start processes. The fork leads its own
process group, orphans come back to this process (it is their subreaper), and both are killed when the work ends.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ADOPT_ORPHANS = 36
MEMORY_MORE = 1536 << 20
FILE_SIZE_MAX = 256 << 20

Answer = dict[str, Any]
Tell = Callable[[Answer], NoReturn]
"""Sends the answer of a fork and ends it."""


def adopt_orphans() -> None:
    """Let processes whose parent died become this process's children (Linux only, elsewhere without effect)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)


def limit_cpu(seconds: float) -> None:
    """End this process after so much more CPU time."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def limit_resources() -> None:
    pages = (
        int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) if Path("/proc/self/statm").exists() else 0
    )
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, FILE_SIZE_MAX)
    if pages:
        lower(resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY_MORE)


def lower(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    wanted = value if most == resource.RLIM_INFINITY else min(value, most)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (wanted, most))


def in_fork(work: Callable[[Tell], object], limit_s: float) -> Answer:
    """The answer that `work` tells, or one with `trouble` saying that it died or did not end in time."""
    known = children()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(work, writing)
    os.close(writing)
    try:
        return _read(reading, limit_s)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        bury(known)


def _be_child(work: Callable[[Tell], object], writing: int) -> NoReturn:
    """Whatever happens, the fork ends here."""

    def tell(answer: Answer) -> NoReturn:
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(writing, data) :]
        os._exit(0)

    try:
        os.setsid()
        limit_resources()
        work(tell)
    finally:
        os._exit(0)


def _read(reading: int, limit_s: float) -> Answer:
    data, deadline = b"", time.monotonic() + limit_s
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return {"trouble": "did not end"}
        piece = os.read(reading, 1 << 16)
        if not piece:
            return {"trouble": "died"}
        data += piece
    answer: Answer = json.loads(data)
    return answer


def children() -> set[int]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    try:
        return {int(pid) for pid in path.read_text(encoding="ascii").split()}
    except OSError:
        return set()


def bury(known: set[int]) -> None:
    """Kill and reap the children that were not there before, and theirs, which then come here."""
    for _ in range(100):
        found = children() - known
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, ChildProcessError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
