"""Tries from inside the sandbox to do what nobody in there may do, and tells which layers hold.

Each check is an attempt, not a look at settings: to reach the network, to see what the host
holds, to write outside, to become more. A layer whose check could not run counts as missing.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from libs.contracts.words import Frozen
from libs.workshop.sandbox.confinement import Limits
from libs.workshop.sandbox.stay import Finished, SandboxUnavailable

if TYPE_CHECKING:
    from libs.workshop.sandbox import Sandbox

NAMESPACES: Final = {"user": "user", "pid": "pid", "net": "net", "mnt": "mount", "ipc": "ipc", "uts": "uts"}

LAYERS: Final = {
    "user": "an own user namespace",
    "pid": "own process ids",
    "net": "an own network without a way out",
    "mount": "an own file system view",
    "ipc": "own shared memory",
    "uts": "an own host name",
    "network": "no way into any network",
    "sockets": "no sockets past the network, such as to the hypervisor",
    "secrets": "no sight of the home directory and of other files of the host",
    "processes": "no sight of the host's processes",
    "writes": "no writing outside its mounts",
    "kernel": "no writing of kernel settings",
    "capabilities": "no capabilities and no way to gain any",
    "nesting": "no further namespaces",
    "limits": "limits on memory, files and processes",
}
"""What the sandbox promises, by layer."""

ATTEMPTS: Final = r"""
import ctypes, json, os, resource, socket, sys
told = json.load(sys.stdin)

def is_refused(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False

def reach():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))

def unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")

def is_unseen(path):
    return not os.path.exists(path)

def writes(path):
    return lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))

def rewrites(path):
    return lambda: os.close(os.open(path, os.O_WRONLY))

def opens(family):
    return lambda: socket.socket(family, socket.SOCK_SEQPACKET).close()

status = dict(line.split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
spaces = {space: os.readlink("/proc/self/ns/" + space) for space in told["names"]}
holds = {name: spaces[space] != told["namespaces"][space] for space, name in told["names"].items()}
holds["network"] = is_refused(reach) and {name for _, name in socket.if_nameindex()} <= {"lo"}
families = (40, 17, 38, 31)  # vsock, packet, crypto, bluetooth
holds["sockets"] = status["Seccomp"].strip() == "2" and all(is_refused(opens(family)) for family in families)
holds["secrets"] = is_unseen(told["canary"]) and all(map(is_unseen, told["unseen"]))
holds["processes"] = len([name for name in os.listdir("/proc") if name.isdecimal()]) < 10
places = ("", "/usr", "/etc", "/dev", told["toolchain"])
holds["writes"] = all(is_refused(writes(place + "/rung-probe")) for place in places)
settings = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger")
holds["kernel"] = all(is_refused(rewrites(setting)) for setting in settings)
capabilities = [int(status[key], 16) for key in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")]
holds["capabilities"] = not any(capabilities) and status["NoNewPrivs"].strip() == "1"
holds["nesting"] = is_refused(unshare)
kinds = (resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC)
holds["limits"] = all(resource.getrlimit(kind)[1] != resource.RLIM_INFINITY for kind in kinds)
print(json.dumps(holds))
"""


class Probe(Frozen):
    """What holds here and what does not; `is_full` if nothing is missing."""

    is_full: bool
    layers: tuple[str, ...]
    missing: tuple[str, ...]
    message: str


async def examine(sandbox: "Sandbox") -> Probe:
    with tempfile.NamedTemporaryFile(prefix="rung-canary-") as canary:
        told = json.dumps(_told(Path(canary.name), sandbox.toolchain)).encode()
        try:
            finished = await sandbox.run(
                ["python3", "-c", ATTEMPTS], mounts=(), cwd="/", stdin=told, limits=Limits(wall_s=30, memory_mib=512)
            )
        except SandboxUnavailable as error:
            return _without_any(str(error))
    return _judged(finished)


def _told(canary: Path, toolchain: Sequence[Path]) -> dict[str, object]:
    return {
        "names": NAMESPACES,
        "namespaces": {name: str(Path("/proc/self/ns", name).readlink()) for name in NAMESPACES},
        "canary": str(canary),
        "unseen": [str(path) for path in _of_home(toolchain)],
        "toolchain": str(toolchain[0]) if toolchain else "/usr",
    }


def _of_home(toolchain: Sequence[Path]) -> list[Path]:
    """What lies directly in the home directory, except the way to a toolchain."""
    home = Path.home()
    return [entry for entry in home.iterdir() if not any(path.is_relative_to(entry) for path in toolchain)]


def _without_any(message: str) -> Probe:
    return Probe(is_full=False, layers=(), missing=tuple(LAYERS), message=message)


def _judged(finished: Finished) -> Probe:
    if not finished.is_ok:
        said = finished.stderr.decode(errors="replace").strip().splitlines() or [f"it ended by {finished.ended}"]
        return _without_any(f"The sandbox could not be tried: {said[-1]}.")
    holds = json.loads(finished.stdout)
    layers = tuple(layer for layer in LAYERS if holds.get(layer) is True)
    missing = tuple(layer for layer in LAYERS if layer not in layers)
    if not missing:
        return Probe(is_full=True, layers=layers, missing=(), message="The sandbox holds in every layer.")
    lacks = ", ".join(LAYERS[layer] for layer in missing)
    return Probe(
        is_full=False, layers=layers, missing=missing, message=f"The sandbox is weaker here; missing: {lacks}."
    )
