"""Puts one entry into a project's changelog, in the way that the file already has.

Markdown in the manner of "Keep a Changelog" gets its entry under `## [Unreleased]`, `### Fixed`, which are made where
they are missing. Any other file gets the entry at the top of its first section, in that section's own list style.
"""

import io
import itertools
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

from .source import LINE

NAMES = ("CHANGELOG", "CHANGES", "HISTORY", "NEWS", "CHANGE_LOG", "RELEASES")
SUFFIXES = (".md", ".markdown", ".rst", ".txt", "")
PLACES = ("", "docs", "doc")
OPEN = re.compile(
    r"^#*\s*\[?(next|upcoming|development|main|master|head)\b|\b(unreleased|not (yet )?released|tbd|tba|dev\d*)\b",
    re.IGNORECASE,
)
RST_LINE = re.compile(r"([=\-~^\"'`#*+_:.])\1{2,}\s*$")
NEW = "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- {entry}\n"


@dataclass(frozen=True)
class Text:
    """A file's lines without their ends, and how they end."""

    lines: list[str]
    newline: str

    @classmethod
    def of(cls, text: str) -> "Text":
        lines = LINE.findall(text)
        ends = [re.search(r"[\r\n]+$", line) for line in lines]
        first = next((end.group() for end in ends if end), "\n")
        return cls([line.rstrip("\r\n") for line in lines], first)

    def joined(self) -> str:
        return self.newline.join(self.lines).rstrip("\r\n") + self.newline


def find(root: Path) -> Path | None:
    """The project's changelog: at the top or among its documentation, whatever the case of its name."""
    for place in PLACES:
        directory = root / place
        if not directory.is_dir():
            continue
        present = {
            path.name.upper(): path for path in sorted(directory.iterdir()) if path.is_file() and not path.is_symlink()
        }
        for name in NAMES:
            for suffix in SUFFIXES:
                path = present.get(f"{name}{suffix.upper()}")
                if path is not None:
                    return path
    return None


def add(root: Path, entry: str) -> str:
    """Write the entry; the path of the file, relative to the root."""
    path = find(root)
    if path is None:
        (root / "CHANGELOG.md").write_text(NEW.format(entry=entry), encoding="utf-8")
        return "CHANGELOG.md"
    text, encoding = read(path)
    path.write_bytes(with_entry(text, entry, is_rst=is_rst(path, text)).encode(encoding, errors="replace"))
    return path.relative_to(root).as_posix()


def read(path: Path) -> tuple[str, str]:
    data = path.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding), encoding
    except (SyntaxError, UnicodeDecodeError):
        return data.decode("latin-1"), "latin-1"


def is_rst(path: Path, text: str) -> bool:
    lines = Text.of(text).lines
    underlined = any(RST_LINE.match(below) and above.strip() for above, below in itertools.pairwise(lines))
    return path.suffix.lower() == ".rst" or (path.suffix.lower() in {"", ".txt"} and underlined)


def with_entry(text: str, entry: str, *, is_rst: bool = False) -> str:
    """The changelog's text with the entry; once only, if it already holds it."""
    told = Text.of(text)
    if any(line.strip().lstrip("-*+ ") == entry for line in told.lines):
        return text
    if not any(line.strip() for line in told.lines):
        return Text(NEW.format(entry=entry).rstrip("\n").split("\n"), told.newline).joined()
    lines = in_rst(told.lines, entry) if is_rst else in_markdown(told.lines, entry)
    return Text(lines, told.newline).joined()


def in_markdown(lines: list[str], entry: str) -> list[str]:
    headings = [number for number, line in enumerate(lines) if re.match(r"##\s*[^#\s]", line)]
    open_section = next((number for number in headings if OPEN.search(lines[number])), None)
    if open_section is None:
        if headings and not is_release(lines[headings[0]]):
            return under(lines, headings[0], entry)
        place = headings[0] if headings else after_title(lines)
        section = ["## [Unreleased]", "", "### Fixed", "", f"- {entry}", ""]
        before = lines[:place] if not place or not lines[place - 1].strip() else [*lines[:place], ""]
        return [*before, *section, *lines[place:]]
    end = next((number for number in headings if number > open_section), len(lines))
    return in_section(lines, open_section, end, entry)


def is_release(heading: str) -> bool:
    """Whether a heading names a version or a date, so that its section is closed."""
    return not OPEN.search(heading) and bool(re.search(r"\d+\.\d+|\d{4}-\d\d", heading))


def after_title(lines: list[str]) -> int:
    title = next((number for number, line in enumerate(lines) if line.startswith("# ")), None)
    return 0 if title is None else title + 1


def in_section(lines: list[str], start: int, end: int, entry: str) -> list[str]:
    """The entry under the section's `Fixed`; under a new one if the section has other kinds, or nothing, so far."""
    kinds = [number for number in range(start + 1, end) if lines[number].startswith("### ")]
    fixed = next(
        (n for n in kinds if re.match(r"###\s*(bug ?)?fix", lines[n].replace("🐛", "").strip(), re.IGNORECASE)), None
    )
    if fixed is not None:
        return under(lines, fixed, entry)
    if not kinds and any(re.match(r"\s*[-*+] ", line) for line in lines[start + 1 : end]):
        return under(lines, start, entry)
    last = end
    while last > start + 1 and (not lines[last - 1].strip() or is_link(lines[last - 1])):
        last -= 1
    return [
        *lines[:last],
        "",
        "### Fixed",
        "",
        f"- {entry}",
        *([""] if lines[last : last + 1] != [""] else []),
        *lines[last:],
    ]


def is_link(line: str) -> bool:
    return bool(re.match(r"\[[^\]]+\]:\s", line))


def under(lines: list[str], heading: int, entry: str) -> list[str]:
    """The entry as the last item of the list under a heading, with the list's own mark."""
    end = next((n for n in range(heading + 1, len(lines)) if re.match(r"#{1,6}\s", lines[n])), len(lines))
    return at_end_of_list(lines, heading + 1, end, entry, "-")


def at_end_of_list(lines: list[str], start: int, end: int, entry: str, mark: str) -> list[str]:
    items = [n for n in range(start, end) if re.match(r"\s*[-*+]\s", lines[n])]
    if not items:
        gap = [] if lines[start - 1 : start] == [""] else [""]
        place = start + 1 if start < len(lines) and not lines[start].strip() else start
        gap = [] if place > start else gap
        return [*lines[:place], *gap, f"{mark} {entry}", "", *lines[place:]]
    first = re.match(r"(\s*)([-*+]\s+)", lines[items[0]])
    prefix = first.group() if first else f"{mark} "
    indent = len(first.group(1)) if first else 0
    last = items[-1] + 1
    while last < end and lines[last].strip() and len(lines[last]) - len(lines[last].lstrip()) > indent:
        last += 1
    spaced = len(items) > 1 and not lines[items[1] - 1].strip()
    return [*lines[:last], *([""] if spaced else []), f"{prefix}{entry}", *lines[last:]]


def in_rst(lines: list[str], entry: str) -> list[str]:
    """The entry in the first section below the title; in a new `Unreleased` one if that section is a release."""
    entry = entry.replace("\\`", "`").replace("\\", "")
    titles = [n for n in range(len(lines) - 1) if lines[n].strip() and is_underline(lines, n + 1)]
    if not titles:
        return at_end_of_list(lines, 0, len(lines), entry, "-")
    levels = [lines[n + 1][0] for n in titles]
    first = titles[1] if len(titles) > 1 and levels[1] != levels[0] else titles[0]
    if is_release(lines[first]):
        line = lines[first + 1][0]
        section = ["Unreleased", line * len("Unreleased"), "", f"- {entry}", ""]
        overlined = bool(first) and RST_LINE.match(lines[first - 1]) and not is_underline(lines, first - 1)
        place = first - 1 if overlined else first
        return [*lines[:place], *section, *lines[place:]]
    end = next((n for n in titles if n > first), len(lines))
    return at_end_of_list(lines, first + 2, end, entry, "-")


def is_underline(lines: list[str], number: int) -> bool:
    above = lines[number - 1].strip()
    return (
        bool(RST_LINE.match(lines[number]))
        and bool(above)
        and not RST_LINE.match(lines[number - 1])
        and len(lines[number].strip()) >= len(above)
    )
