"""`python -m libs.cli.nursery` forks the services from one process that has imported what they share.

Five processes that each import the same libraries are slow to start; one that imports them once and
forks is not. It has no threads and no event loop, so a fork is safe at any time, also to start a
service again. Orders come as JSON lines on standard input, reports go as JSON lines to standard
output. The end of standard input, which comes with the end of whoever gave the orders, however it
ended, ends the services and then the nursery; should the nursery die first, the kernel ends them.
"""

import contextlib
import ctypes
import gc
import json
import os
import runpy
import select
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import sqlalchemy  # noqa: F401 - imported once for the services

import libs.runtime.inputs
import libs.runtime.work
import libs.workshop.attempt
import libs.workshop.trial  # noqa: F401 - imported once for the services

STOP_S: Final = 5.0
"""How long a service may take to end by itself."""
PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15
BROKEN: Final = 70


@dataclass
class Nursery:
    """The services that run now, by process id."""

    orders: int
    bell: int
    children: dict[int, str] = field(default_factory=dict)
    unread: bytes = b""

    def run(self) -> None:
        is_open = True
        while is_open:
            ready, _, _ = select.select([self.orders, self.bell], [], [])
            if self.bell in ready:
                os.read(self.bell, 1000)
                self.reap()
            if self.orders in ready:
                is_open = self.obey()
        self.stop()

    def obey(self) -> bool:
        """Do what was ordered; false at the end of the orders."""
        if not (read := os.read(self.orders, 65536)):
            return False
        *lines, self.unread = (self.unread + read).split(b"\n")
        for line in lines:
            self.start(json.loads(line))
        return True

    def start(self, order: Mapping[str, Any]) -> None:
        parent = os.getpid()
        if (pid := os.fork()) == 0:
            _become(order, parent)
        self.children[pid] = order["service"]
        _report(began=order["service"], pid=pid)

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if service := self.children.pop(pid, None):
                    _report(ended=service, pid=pid, status=os.waitstatus_to_exitcode(status))

    def stop(self) -> None:
        """End all services, those last that do not listen by force."""
        self._send(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while self.children and (left := deadline - time.monotonic()) > 0:
            select.select([self.bell], [], [], left)
            self.reap()
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _become(order: Mapping[str, Any], parent: int) -> NoReturn:
    """Be the service from here on, in a process that was just forked."""
    status = BROKEN
    try:
        _settle_in(order, parent)
        runpy.run_module(f"services.{order['service']}", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the last frame of this process; whatever it was goes into the log
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _settle_in(order: Mapping[str, Any], parent: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    _tie_to(parent, f"rung-{order['service']}")
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((null, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    os.closerange(3, 64)
    os.environ.update(order["environment"])
    sys.argv = [f"services.{order['service']}"]


def _tie_to(parent: int, name: str) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    libc.prctl(PR_SET_NAME, name.encode())
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def _report(**fields: object) -> None:
    """Nobody may be listening any more; then the end of the orders is about to come."""
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


def main() -> int:
    read, written = os.pipe()
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # only the end of the orders ends it, so that no service is left
    os.chdir(Path(sys.executable).anchor)
    gc.collect()
    gc.freeze()
    Nursery(orders=sys.stdin.fileno(), bell=read).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
