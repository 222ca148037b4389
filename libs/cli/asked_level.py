"""The level that a workflow asks for, beside the one that was granted where a running system knows its repository."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from libs.cli.connection import connected
from libs.cli.ending import Ended
from libs.cli.laddering import repository_around
from libs.cli.system import complete
from libs.contracts.readiness import Readiness
from libs.contracts.words import Level
from libs.contracts.workflow import Policy
from libs.runtime.keys import KeyFileError

ANSWER_S: Final = 3.0
"""As long as a check of a file waits for what is beside the point."""


@dataclass(frozen=True)
class AskedLevel:
    """`granted` is `None` where no system runs, or none that knows the repository."""

    configured: Level
    granted: Level | None = None

    @property
    def sentences(self) -> Iterator[str]:
        """What a configured level is worth; nothing where none above the lowest is asked for."""
        asked = self.configured
        if asked is Level.ASSISTED:
            return
        yield (
            f"autonomy: {asked} asks for level {asked.rank}; a run gets no more than its workflow was granted, "
            "see rung readiness."
        )
        if self.granted is not None and self.granted.rank < asked.rank:
            yield f"Granted here is {self.granted}, so runs are {self.granted} at most, whatever the file says."

    def as_json(self) -> dict[str, Any]:
        return {"configured": self.configured, "granted": self.granted, "says": list(self.sentences)}


def asked_level(policy: Policy, file: Path, data: Path | None) -> AskedLevel:
    """What the workflow asks for, and what was granted to the repository around its file, if anybody can tell."""
    if policy.autonomy is Level.ASSISTED:
        return AskedLevel(policy.autonomy)
    try:
        granted = complete(_granted(repository_around(Path(os.path.realpath(file)).parent), data))
    except (Ended, KeyFileError):  # no system lets us in, and the file can be checked without one
        granted = None
    return AskedLevel(policy.autonomy, granted)


async def _granted(repository: str, data: Path | None) -> Level | None:
    async with connected(data) as connection:
        said = await connection.ask("readiness", timeout_s=ANSWER_S, repository=repository)
    found = Readiness.model_validate(said)
    return found.level.granted if found.as_of else None
