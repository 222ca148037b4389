"""The gatekeeper's own answers from a log alone: it is a program of its own, as everywhere, fed line by line."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from libs.cli.ending import Ended, Misused
from libs.contracts.export import Entry

OFFLINE: Final = "services.gatekeeper.offline"
USAGE: Final = 2


def asked_of_file(command: str, file: Path, **options: object) -> Any:
    """What a command answers on an export.

    Raises:  Misused where the export or an option is no good, Ended for anything else.
    """
    try:
        with file.open("rb") as export:
            done = subprocess.run(_words(command, options), stdin=export, capture_output=True, check=False)
    except OSError as error:
        raise Misused(f"The export {file} cannot be read: {error.strerror or error}.") from error
    return _answer(done.returncode, done.stdout, done.stderr, f"{file}: ")


async def asked_of_entries(command: str, entries: AsyncIterator[Entry], **options: object) -> Any:
    """What a command answers on messages as they are read."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*_words(command, options), stdin=pipe, stdout=pipe, stderr=pipe)
    told = asyncio.gather(_all_of(process.stdout), _all_of(process.stderr))
    try:
        await _feed(process, entries)
        out, err = await told
        return _answer(await process.wait(), out, err, "")
    finally:
        told.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _feed(process: asyncio.subprocess.Process, entries: AsyncIterator[Entry]) -> None:
    assert process.stdin is not None, "it was asked for"
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended, and its answer says why
        async for entry in entries:
            process.stdin.write(entry.canonical + b"\n")
            await process.stdin.drain()
    process.stdin.close()


async def _all_of(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None, "it was asked for"
    return await stream.read()


def _words(command: str, options: dict[str, object]) -> list[str]:
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return [sys.executable, "-m", OFFLINE, command, *given]


def _answer(code: int, out: bytes, err: bytes, whose: str) -> Any:
    if code == USAGE and out:
        raise Misused(f"{whose}{json.loads(out)['error']}.")
    if code != 0:
        raise Ended(f"The log could not be worked on: {err.decode(errors='replace').strip()[-500:]}")
    return json.loads(out)
