"""What type checkers say, where they write no SARIF: mypy's JSON, and the lines that all of them print.

Theory: a type checker that printed nothing readable and did not end well was not heard. What it says
of imports that are not installed here speaks of this machine, not of the code.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from libs.contracts.evidence import Finding
from libs.contracts.words import Severity
from libs.workshop.evidence.findings import fingerprint_of, is_type_checker
from libs.workshop.evidence.reading import Unreadable, in_checkout, plain, read_left_behind
from libs.workshop.evidence.sarif import LineText

MYPY: Final = (
    *("python", "-I", "-m", "mypy", "--output", "json", "--no-error-summary"),
    *("--cache-dir", "/dev/null", "--"),
)
NOT_INSTALLED: Final = frozenset({"import", "import-not-found", "import-untyped"})
LINES_MAX: Final = 100_000

_CONFIGURES_MYPY: Final = {
    "mypy.ini": r"",
    ".mypy.ini": r"",
    "pyproject.toml": r"(?m)^\s*\[tool\.mypy\]",
    "setup.cfg": r"(?m)^\s*\[mypy\]",
}
_PRINTED: Final = re.compile(
    r"\s*(?P<file>[^\s:()][^:()\n]{0,500})[:(](?P<line>\d{1,7})(?:[:,]\d{1,7})?\)?\s*[:-]\s*error\b:?\s*(?P<text>.+)"
)
"""`a.py:3: error: …`, `a.py:3:5 - error: …`, `a.ts(3,5): error TS2322: …`."""
_RULE: Final = re.compile(r"\[([\w-]{1,60})\]\s*$|\(([\w-]{1,60})\)\s*$|^(TS\d{1,6}):")


class _Said(NamedTuple):
    """An error as a type checker tells it."""

    file: str
    line: int
    rule: str
    message: str


def configures_mypy(checkout: Path) -> bool:
    """Whether the repository says how mypy is to look at it."""
    return any(_holds(checkout, name, pattern) for name, pattern in _CONFIGURES_MYPY.items())


def _holds(checkout: Path, name: str, pattern: str) -> bool:
    try:
        data = read_left_behind(checkout, name, 2**20)
    except Unreadable:
        return False
    return data is not None and re.search(pattern, data.decode("utf-8", "replace")) is not None


def checker_in(command: str) -> str | None:
    """The type checker that a shell command names as one of its words."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    return next((name for word in words if is_type_checker(name := PurePosixPath(word).name)), None)


def said_by_mypy(output: bytes, line_text: LineText) -> list[Finding] | None:
    """Errors in mypy's JSON, one object a line; `None` if a line is anything else."""
    entries: list[dict[str, Any]] = []
    for line in output.decode("utf-8", "replace").splitlines()[:LINES_MAX]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(entry, dict):
            return None
        entries.append(entry)
    errors = [entry for entry in entries if entry.get("severity") == "error"]
    return [_finding("mypy", _entry(entry), line_text) for entry in errors if entry.get("code") not in NOT_INSTALLED]


def _entry(entry: dict[str, Any]) -> _Said:
    line = entry.get("line")
    place = line if type(line) is int and line > 0 else 0
    return _Said(str(entry.get("file")), place, str(entry.get("code")), str(entry.get("message")))


def printed_by(checker: str, output: bytes, line_text: LineText) -> list[Finding]:
    """Errors in the lines that a type checker prints for people."""
    lines = output.decode("utf-8", "replace").splitlines()[:LINES_MAX]
    return [found for line in lines for found in _printed(checker, plain(line, 2000), line_text)]


def _printed(checker: str, line: str, line_text: LineText) -> Iterator[Finding]:
    if (said := _PRINTED.match(line)) is None:
        return
    rule = _RULE.search(said["text"])
    name = next((group for group in rule.groups() if group), "error") if rule else "error"
    if name not in NOT_INSTALLED:
        yield _finding(checker, _Said(said["file"], int(said["line"]), name, said["text"]), line_text)


def _finding(tool: str, said: _Said, line_text: LineText) -> Finding:
    file, message, rule = in_checkout(plain(said.file, 1000)), plain(said.message, 500), plain(said.rule, 200)
    return Finding(
        tool=tool,
        rule=rule,
        severity=Severity.MAJOR,
        file=file,
        line=said.line,
        message=message,
        fingerprint=fingerprint_of(tool, rule, file, line_text(file, said.line), message),
    )
