"""How a command ends: the exit codes that programs rely on, and the one sentence a person reads."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    WAITING = 3
    """Refused by policy, or waiting for a human."""
    UNREACHABLE = 4
    INTERRUPTED = 130
    TERMINATED = 143


class Ended(Exception):
    """A command ends before its aim; `details` go beside the sentence into the JSON answer."""

    def __init__(
        self, sentence: str, code: ExitCode = ExitCode.FAILED, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.details = dict(details or {})


class Misused(Ended):
    """What was asked makes no sense; the sentence says what would."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, ExitCode.USAGE)


class Unreachable(Ended):
    """No system answers."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, ExitCode.UNREACHABLE)
