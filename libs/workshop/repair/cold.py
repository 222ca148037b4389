"""Tries edits that need their module imported anew: a whole pytest session per edit, in a fork of a warm interpreter.

It has pytest and the libraries that the tests use loaded already, but nothing of the repository.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import sys
from typing import Any

import pytest

from . import screen
from .forks import Tell, adopt_orphans, in_fork


def preload(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def session(job: dict[str, Any], tell: Tell, arguments: list[str]) -> None:
    """A session that answers and ends the process once it has collected; if it never gets there it tells so."""
    screen.single = (job, tell)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pytest.main(arguments, plugins=[screen])
    tell({"trouble": "no session"})


def main() -> None:
    told = json.loads(os.environ.pop("RUNG_REPAIR_PRELOAD"))
    preload(told)
    channel = screen.Channel.inherited()
    adopt_orphans()
    gc.collect()
    gc.freeze()
    channel.answer({"ready": 0})
    for job in channel.jobs():

        def work(tell: Tell, job: dict[str, Any] = job) -> None:
            channel.close()
            session(job, tell, sys.argv[1:])

        screen.write(job, "text")
        channel.answer(in_fork(work, screen.total_limit(job) + job["start_s"]))
        screen.write(job, "original")


if __name__ == "__main__":
    main()
