"""What a person or a program sees: results on standard output, progress on standard error.

Everything that is shown may hold text of strangers, so no markup is ever read from it and its
control characters are removed.
"""

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from libs.contracts.requests import one_line, plain

PLAIN_WIDTH: Final = 200
"""Columns of tables that no terminal limits."""
TEXT_LIMIT: Final = 20_000
STYLES: Final = {
    "pass": "green",
    "merged": "green",
    "clear": "green",
    "warn": "yellow",
    "waiting": "yellow",
    "working": "cyan",
    "inconclusive": "yellow",
    "no_data": "yellow",
    "error": "red",
    "fail": "red",
    "declined": "red",
    "aborted": "red",
    "cancelled": "red",
    "regressed": "red",
}
DIFF_STYLES: Final = (("+++", "bold"), ("---", "bold"), ("@@", "cyan"), ("diff ", "bold"), ("+", "green"), ("-", "red"))
_ASCII: Final = str.maketrans({"✓": "+", "✗": "x", "→": ">", "…": "~", "·": "-", "“": '"', "”": '"'})


def _console(*, is_error: bool) -> Console:
    console = Console(stderr=is_error, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(stderr=is_error, markup=False, emoji=False, highlight=False, width=PLAIN_WIDTH)
    return console


@dataclass(frozen=True)
class Screen:
    """`out` carries the answer, `err` the progress; with `is_json` the answer is one JSON value."""

    is_json: bool = False
    out: Console = field(default_factory=lambda: _console(is_error=False))
    err: Console = field(default_factory=lambda: _console(is_error=True))

    def answer(self, value: Any) -> None:
        """The one JSON value of a command, on one line, in ASCII."""
        self.out.file.write(json.dumps(value) + "\n")
        self.out.file.flush()

    def line(self, text: str | Text = "", style: str = "") -> None:
        show(self.out, text, style)

    def progress(self, text: str | Text, style: str = "") -> None:
        show(self.err, text, style)


def show(console: Console, text: str | Text, style: str = "") -> None:
    """One line as it is, whatever its length."""
    shown = text if isinstance(text, Text) else Text(plain(text), style)
    if not console.encoding.lower().startswith("utf"):
        shown.plain = shown.plain.translate(_ASCII)
    console.print(shown, soft_wrap=True)


def styled(word: str | None) -> Text:
    """An outcome in its colour."""
    return Text(word or "-", STYLES.get(word or "", ""))


def table(*columns: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def diff(console: Console, patch: bytes, line_limit: int | None = None) -> None:
    """A patch in colours; what is over the limit is only counted."""
    lines = plain(patch.decode(errors="replace")).splitlines()
    for text in lines[:line_limit]:
        show(console, Text(text, next((style for start, style in DIFF_STYLES if text.startswith(start)), "")))
    if line_limit is not None and len(lines) > line_limit:
        show(console, f"… {len(lines) - line_limit} more lines")


def moment(seconds: float) -> str:
    """A time of the store for people, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """A span of time, as short as it can be said."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def cell(text: str | None, limit: int = 80) -> str:
    return one_line(text or "", limit)


def speak_safely() -> None:
    """Let no character that the terminal's encoding lacks stop a command."""
    for stream in (sys.stdout, sys.stderr):
        if callable(reconfigure := getattr(stream, "reconfigure", None)):
            reconfigure(errors="backslashreplace")
