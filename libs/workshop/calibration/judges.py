"""The gates as a program of their own, asked many questions: one line in, one line out."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final

from libs.contracts.evidence import Evidence
from libs.contracts.verdict import Verdict
from libs.contracts.words import Phase
from libs.contracts.workflow import Policy

JUDGE: Final = "services.gatekeeper.judge"
BOUNDS: Final = "services.gatekeeper.calibrated"
LINE_MAX: Final = 64 * 2**20
COMPLAINT_MAX: Final = 500


class GatesUnavailable(Exception):
    """The gates cannot be asked; the message is one sentence."""


class Judges:
    """One process that judges, one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process, policy: Policy) -> None:
        self._process = process
        self._policy = policy.model_dump(mode="json")
        self._turn = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def judging(cls, policy: Policy) -> AsyncIterator["Judges"]:
        """Judges by the gates of one policy, until the end of the block."""
        process = await _started(JUDGE, "--lines")
        try:
            yield cls(process, policy)
        finally:
            await _ended(process)

    async def verdict(self, phase: Phase, evidence: Evidence) -> Verdict:
        """What the gate after a phase says.

        Raises: GatesUnavailable.
        """
        question = {"policy": self._policy, "phase": phase, "evidence": evidence.model_dump(mode="json")}
        async with self._turn:
            line = await self._answer(json.dumps(question).encode() + b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise GatesUnavailable(f"The gates could not be asked: {answer['error']}")
        return Verdict.model_validate(answer)

    async def _answer(self, question: bytes) -> bytes:
        assert self._process.stdin is not None, "started with pipes"
        assert self._process.stdout is not None, "started with pipes"
        with contextlib.suppress(ConnectionError):  # then there is no answer either
            self._process.stdin.write(question)
            await self._process.stdin.drain()
        if not (line := await self._process.stdout.readline()):
            _, err = await self._process.communicate()
            raise GatesUnavailable(f"The gates could not be asked: {_complaint(err)}")
        return line


async def lower_bounds(shares: Sequence[tuple[int, int]]) -> list[float | None]:
    """One-sided 95% lower bounds of shares, each given as how many of how many; `None` where there are none.

    Raises: GatesUnavailable.
    """
    process = await _started(BOUNDS)
    out, err = await process.communicate(json.dumps({"shares": shares}).encode())
    if process.returncode != 0:
        raise GatesUnavailable(f"The bounds could not be computed: {_complaint(err)}")
    return list(json.loads(out)["lower_bounds"])


async def _started(module: str, *options: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *options),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        limit=LINE_MAX,
        start_new_session=True,
    )


async def _ended(process: asyncio.subprocess.Process) -> None:
    """It ends when nobody asks any more."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


def _complaint(err: bytes) -> str:
    return err.decode(errors="replace").strip()[-COMPLAINT_MAX:] or "the program that judges has ended."
