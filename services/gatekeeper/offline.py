"""`python -m services.gatekeeper.offline COMMAND [NAME=VALUE]...` answers from an exported log, without any service.

The export comes on stdin, one JSON value goes out on stdout. Where the export or the question is no good, that is
`{"error": sentence}` and exit code 2.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic import ValidationError

from libs.contracts.export import BrokenLine, Entry, history_of, read_lines
from libs.contracts.hashtree import Checkpoint
from services.gatekeeper.audit import audit
from services.gatekeeper.backtest.over_log import backtest
from services.gatekeeper.exported import NoSuchWorkflow, readiness_of
from services.gatekeeper.projection import dump
from services.gatekeeper.replay import rows_of

Options = Mapping[str, str]
Answer = Callable[[Iterable[Entry], Options], Any]
Reading = Callable[[BinaryIO, Options], Any]

USAGE: Final = 2


class Unanswerable(ValueError):
    """The question cannot be answered; the message is one sentence."""


def replay(entries: Iterable[Entry], _: Options) -> Any:
    """The projection made from the export; `digest` is equal exactly when the rows are."""
    begun = time.monotonic()
    history = history_of(entries)
    rows = rows_of(history)
    return {
        "facts": len(history.facts),
        "runs": len(rows),
        "unread": len(history.unread),
        "seconds": round(time.monotonic() - begun, 3),
        "digest": hashlib.sha256(dump(rows)).hexdigest(),
    }


def verify(entries: Iterable[Entry], options: Options) -> Any:
    """The audit. `head` is the last sequence that the log claims to have, `checkpoint` the file of an earlier one."""
    head = options.get("head")
    file = options.get("checkpoint")
    before = _checkpoint(Path(file)) if file else None
    return audit(entries, head=int(head) if head else None, before=before).as_json()


def readiness(entries: Iterable[Entry], options: Options) -> Any:
    """The readiness of one workflow: of `workflow`, of a `repository`, or of the only one there is."""
    try:
        found = readiness_of(
            history_of(entries),
            workflow=options.get("workflow"),
            repository=options.get("repository"),
            named=options.get("named"),
        )
    except NoSuchWorkflow as reason:
        raise Unanswerable(str(reason)) from reason
    return found.model_dump(mode="json")


COMMANDS: Final[Mapping[str, Answer]] = {"replay": replay, "verify": verify, "readiness": readiness}

READING: Final[Mapping[str, Reading]] = {"backtest": backtest}
"""Commands that read the export themselves, since they need little of it."""


def answer(arguments: list[str], source: BinaryIO) -> Any:
    """Raises:  Unanswerable, BrokenLine with a sentence."""
    name, *words = arguments or [""]
    options = dict(word.split("=", 1) for word in words)
    if (reading := READING.get(name)) is not None:
        return reading(source, options)
    if (command := COMMANDS.get(name)) is None:
        raise Unanswerable(f"{name!r} is no command; known are {', '.join((*COMMANDS, *READING))}")
    return command(read_lines(source), options)


def _checkpoint(file: Path) -> Checkpoint:
    try:
        return Checkpoint.model_validate_json(file.read_bytes())
    except OSError as error:
        raise Unanswerable(f"the checkpoint {file} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise Unanswerable(f"{file} is no checkpoint of a log") from error


def main(arguments: list[str], source: BinaryIO) -> int:
    try:
        said, code = answer(arguments, source), 0
    except (Unanswerable, BrokenLine) as error:
        said, code = {"error": str(error)}, USAGE
    sys.stdout.write(json.dumps(said))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer))
