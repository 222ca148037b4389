"""The system calls that no command in the sandbox may make, as a seccomp program.

Theory: namespaces do not reach everything. Sockets to the hypervisor (vsock) and to devices know no
network namespace, a session's keys pass from parent to child, and io_uring opens sockets behind a
filter's back. So only the usual socket families are let through, and what the rest would need is refused.
"""

import errno
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LOAD: Final = 0x20
JUMP_IF_EQUAL: Final = 0x15
JUMP_IF_AT_LEAST: Final = 0x35
RETURN: Final = 0x06

ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000

NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
FOREIGN_NUMBERS: Final = 0x40000000
"""From here on x86 numbers its calls a second time."""

FAMILIES: Final = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink."""


@dataclass(frozen=True)
class Machine:
    """How a machine numbers itself and its calls; `refused` are those for keys, bpf, perf, userfaultfd."""

    architecture: int
    socket: int
    refused: tuple[int, ...]
    io_uring_setup: int = 425


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 41, (248, 249, 250, 321, 298, 323)),
    "aarch64": Machine(0xC00000B7, 198, (217, 218, 219, 280, 241, 282)),
}


def program(machine: str = platform.machine()) -> bytes | None:
    """The filter for a machine, as the kernel takes it; None for a machine whose numbers are not known here."""
    known = MACHINES.get(machine)
    return None if known is None else b"".join(_instructions(known))


def _instructions(machine: Machine) -> Iterator[bytes]:
    yield _step(LOAD, ARCHITECTURE_AT)
    yield _step(JUMP_IF_EQUAL, machine.architecture, if_true=1)
    yield _refusal(errno.ENOSYS)
    yield _step(LOAD, NUMBER_AT)
    yield _step(JUMP_IF_AT_LEAST, FOREIGN_NUMBERS, if_false=1)
    yield _refusal(errno.ENOSYS)
    yield _step(JUMP_IF_EQUAL, machine.io_uring_setup, if_false=1)
    yield _refusal(errno.ENOSYS)
    for number in machine.refused:
        yield _step(JUMP_IF_EQUAL, number, if_false=1)
        yield _refusal(errno.EPERM)
    yield _step(JUMP_IF_EQUAL, machine.socket, if_true=1)
    yield _step(RETURN, ALLOW)
    yield _step(LOAD, FIRST_ARGUMENT_AT)
    for family in FAMILIES:
        yield _step(JUMP_IF_EQUAL, family, if_false=1)
        yield _step(RETURN, ALLOW)
    yield _refusal(errno.EAFNOSUPPORT)


def _step(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refusal(error: int) -> bytes:
    return _step(RETURN, REFUSE | error)
