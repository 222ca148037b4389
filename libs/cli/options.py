"""The options that several commands share, each said once, and what their words mean."""

import os
import shlex
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final

import typer

from libs.cli.ending import Misused
from libs.contracts.words import Level

try:
    import pwd
except ImportError:  # no such thing outside Unix
    pwd = None  # type: ignore[assignment]

LEVELS: Final = {level.value: level for level in Level} | {f"l{level.rank}": level for level in Level}


def parse_level(word: str) -> Level:
    """A level by name or number: L1 is assisted, L4 is ase."""
    return LEVELS[parse_word(word, LEVELS, "level")]


def parse_word(word: str, words: Iterable[str], kind: str) -> str:
    """One of some words, in whatever case."""
    known, said = list(words), word.strip().lower()
    if said in known:
        return said
    near = get_close_matches(said, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
    raise typer.BadParameter(f"{word!r} is no {kind}{meant}")


def read_body(file: str | None) -> str:
    """The text of an issue from a file, or from standard input for `-`."""
    if file is None:
        return ""
    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode()
    except UnicodeDecodeError:
        raise Misused(f"The body file {file} is not UTF-8 text.") from None
    except OSError as error:
        raise Misused(f"The body file {file} cannot be read: {error.strerror or error}.") from error


def os_user() -> str:
    """The operating system's user, whatever the environment says."""
    uid = os.getuid() if hasattr(os, "getuid") else None
    if pwd is None or uid is None:
        return os.environ.get("USERNAME", "unknown")
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


def run_command(command: str, data: Path | None) -> str:
    """A command of ours as a person would type it for this data directory."""
    return f"rung {command}" + (f" --data {shlex.quote(str(data))}" if data is not None else "")


AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on standard output, progress on standard error.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data directory of the system; by default $XDG_STATE_HOME/rung or ~/.local/state/rung.",
    ),
]
Repo = Annotated[str, typer.Option("--repo", metavar="PATH", help="The git repository that the issue is about.")]
Title = Annotated[str, typer.Option("--title", metavar="TEXT", help="What is wrong or wanted, in one line.")]
BodyFile = Annotated[
    str | None, typer.Option("--body-file", metavar="FILE", help="The issue's text, UTF-8; - for standard input.")
]
IssueType = Annotated[
    str, typer.Option("--type", metavar="TYPE", help="Kind of issue, which chooses the route: bug, feature, docs, …")
]
LevelOption = Annotated[
    Level | None,
    typer.Option(
        "--level",
        metavar="LEVEL",
        parser=parse_level,
        help="Level asked for: assisted, supervised, autonomous, ase, or L1 to L4; never more than was earned.",
    ),
]
Agent = Annotated[
    str | None,
    typer.Option("--agent", metavar="AGENT", help="Who works: repair, or exec:<command>; by default the workflow's."),
]
Branch = Annotated[
    str | None, typer.Option("--branch", metavar="NAME", help="Target branch; by default the one that is checked out.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="KEY", help="The issue's name in its tracker; the same key is the same issue. By default new."
    ),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", min=0.0, help="Stop following after so long.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")]
