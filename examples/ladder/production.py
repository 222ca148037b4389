"""Production as far as the ladder needs it: an error rate that is written down, and that a harmful change raises."""

import asyncio
import random
import subprocess
import time
from pathlib import Path
from typing import Final

EVERY_S: Final = 0.2
USUAL: Final = 0.02
HARMED: Final = 0.15
RECORD_S: Final = 600.0
"""How long production has been measured before the first change."""
HARMFUL: Final = "src/huddle/extras/warmup.py"
"""A file on the branch that makes every request fail now and then."""


class Production:
    """Writes the error rate of whatever is on the branch to a file, a point every fifth of a second."""

    def __init__(self, repository: Path, file: Path) -> None:
        self.file = file
        self._repository = repository
        self._noise = random.Random(7)  # noqa: S311 - noise, no secret

    async def run(self) -> None:
        if not self.file.exists():
            self._begin()
        while True:
            is_harmed = await asyncio.to_thread(self._is_harmed)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(self._point(time.time(), HARMED if is_harmed else USUAL))
            await asyncio.sleep(EVERY_S)

    def _begin(self) -> None:
        now = time.time()
        count = int(RECORD_S / EVERY_S)
        points = (self._point(now - (count - number) * EVERY_S, USUAL) for number in range(count))
        self.file.write_text("timestamp,value\n" + "".join(points), encoding="utf-8")

    def _point(self, at: float, usual: float) -> str:
        return f"{at:.3f},{max(self._noise.gauss(usual, usual / 8), 0):.5f}\n"

    def _is_harmed(self) -> bool:
        look = ["git", "-C", str(self._repository), "cat-file", "-e", f"main:{HARMFUL}"]
        return subprocess.run(look, capture_output=True, check=False).returncode == 0
