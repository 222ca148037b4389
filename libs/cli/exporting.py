"""An export on its way out: each message as a line in the format that was asked for, whole or not at all."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TextIO

from libs.cli.cdevents import Translator
from libs.cli.ending import Misused
from libs.contracts.export import Entry
from libs.contracts.history import Unread


class Plain:
    """Every message, complete."""

    unread = left_out = 0

    def line(self, entry: Entry) -> str | None:
        return entry.canonical.decode()


class Translated:
    """The facts that CDEvents has words for; what has none, or cannot be read, is counted."""

    def __init__(self) -> None:
        self._translator = Translator()
        self.unread = 0
        self.left_out = 0

    def line(self, entry: Entry) -> str | None:
        if isinstance(read := entry.read, Unread):
            self.unread += 1
            return None
        if (event := self._translator.translate(read)) is None:
            self.left_out += 1
            return None
        return json.dumps(event)


Writer = Plain | Translated

WRITERS: Final[dict[str, Callable[[], Writer]]] = {"jsonl": Plain, "cdevents": Translated}


@contextlib.contextmanager
def written(output: Path | None) -> Iterator[TextIO]:
    """Where an answer goes: standard output, or a file that is there only once it is whole.

    Raises:  Misused when the file cannot be written.
    """
    if output is None:
        yield sys.stdout
        return
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("w", encoding="ascii", newline="\n") as file:
            yield file
        os.replace(part, output)  # noqa: PTH105 - the same on every system, and says what it does
    except OSError as error:
        raise Misused(f"{output} cannot be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
