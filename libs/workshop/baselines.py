"""What was measured on a base, kept in files so that runs that share a base measure it once.

A file that cannot be read is as good as none. Nothing is kept of a base that could not be measured.
"""

import hashlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from libs.contracts.workflow import Policy
from libs.workshop.evidence.comparison import Outcomes

KEPT_MAX: Final = 64
BYTES_MAX: Final = 32 * 2**20


@dataclass(frozen=True)
class Baselines:
    """A private directory of measurements, the newest `KEPT_MAX` of them."""

    directory: Path

    def find(self, commit: str, policy: Policy) -> Outcomes | None:
        path = self._path(commit, policy)
        try:
            if path.stat().st_size > BYTES_MAX:
                return None
            found = Outcomes.from_document(json.loads(path.read_bytes()))
            os.utime(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return None
        return found

    def keep(self, commit: str, policy: Policy, measured: Outcomes) -> None:
        """Written beside its place and moved there whole."""
        if measured.unmeasured is not None:
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new-", dir=self.directory)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(measured.document()).encode(errors="backslashreplace"))
            Path(name).replace(self._path(commit, policy))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._forget()

    def _path(self, commit: str, policy: Policy) -> Path:
        asked = f"{commit}\n{policy.commands.model_dump_json()}\n{policy.reports.model_dump_json()}\n{_collector()}"
        return self.directory / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"

    def _forget(self) -> None:
        dated = []
        for path in self.directory.glob("*.json"):
            with suppress(OSError):  # somebody else forgets too
                dated.append((path.stat().st_mtime, path))
        for _, path in sorted(dated, reverse=True)[KEPT_MAX:]:
            path.unlink(missing_ok=True)


@cache
def _collector() -> str:
    """What measures: the sources of the evidence package, the interpreter and the tools that it brings."""
    sources = sorted(Path(__file__).parent.glob("evidence/*.py"))
    said = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    return "\n".join([said, sys.version, *map(_version, ("pytest", "coverage"))])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
