"""What the agent is given and where it answers: two directories, named by the environment.

Everything read here is data: a file that is missing or broken counts as not given.
"""

import contextlib
import json
import os
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

DEFAULT_BUDGET_S = 120.0
SIZE_MAX = 4 << 20


@dataclass(frozen=True)
class Issue:
    """The issue's words, without control characters."""

    title: str
    body: str


@dataclass(frozen=True)
class Inputs:
    """The repository to work in and the two directories."""

    root: Path
    given: Path
    out: Path
    budget_s: float = DEFAULT_BUDGET_S

    def text(self, name: str) -> str:
        path = self.given / name
        with contextlib.suppress(OSError):
            return path.read_bytes()[:SIZE_MAX].decode("utf-8", errors="replace")
        return ""

    def data(self, name: str) -> Any:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(self.text(name))
        return None

    @cached_property
    def issue(self) -> Issue:
        told = self.data("issue.json")
        if isinstance(told, dict) and told.get("title"):
            return Issue(printable(str(told["title"])), printable(str(told.get("body") or "")))
        first, _, rest = self.text("issue.md").partition("\n")
        return Issue(printable(first.lstrip("# ").strip()), printable(rest))

    @cached_property
    def plan(self) -> dict[str, Any]:
        told = self.data("plan.json")
        return told if isinstance(told, dict) else {}

    @cached_property
    def attempts(self) -> list[dict[str, Any]]:
        told = self.data("attempts.json")
        return [item for item in told if isinstance(item, dict)] if isinstance(told, list) else []

    def write(self, name: str, text: str) -> None:
        (self.out / name).write_text(text, encoding="utf-8", errors="replace")

    def write_data(self, name: str, value: Any) -> None:
        self.write(name, json.dumps(value, indent=2) + "\n")


def from_environment() -> Inputs:
    """The inputs of this process; the root is the working directory.

    Raises: ValueError with one sentence if the environment does not name them.
    """
    given, out = os.environ.get("RUNG_IN"), os.environ.get("RUNG_OUT")
    if not given or not out:
        raise ValueError("RUNG_IN and RUNG_OUT must name the directories for input and output.")
    if not Path(out).is_dir():
        raise ValueError(f"RUNG_OUT must name a directory that exists, not {out}.")
    return Inputs(Path.cwd(), Path(given), Path(out), budget_of(os.environ.get("RUNG_REPAIR_BUDGET_S", "")))


def budget_of(text: str) -> float:
    """Seconds for one phase.

    Raises: ValueError with one sentence if the text is no positive number.
    """
    if not text:
        return DEFAULT_BUDGET_S
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise ValueError(f"RUNG_REPAIR_BUDGET_S must be a positive number of seconds, not {text!r}.")


def printable(text: str) -> str:
    """The text without control and direction-changing characters; line ends and tabs stay."""
    return "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co"}
    )


def one_line(text: str, most: int = 120) -> str:
    """The text on one line, cut at a word if it is too long."""
    flat = " ".join(printable(text).split())
    if len(flat) <= most:
        return flat
    return flat[: most - 1].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…"


def inert(text: str, most: int = 120) -> str:
    """Text from outside as one line that Markdown and HTML show as it is."""
    flat = one_line(text, most).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#|~!])", r"\\\1", flat)


def quoted(text: str, most: int = 4000) -> str:
    """Text from outside as a code block that it cannot end."""
    clean = printable(text)[:most].strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{clean}\n{fence}"
