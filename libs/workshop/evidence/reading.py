"""What every reader of a report needs: one refusal, plain text, safe access to what a sandbox left behind.

Theory: a report is written by tools that run next to an agent's code, so its bytes are hostile.
A reader either returns everything that the report says or raises `Unreadable`; half a report
is no evidence. Files left in a directory that the sandbox could write are opened without
following links, and only regular files of a bounded size are read.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from libs.workshop.evidence.text import REPORT_BYTES_MAX, Unreadable, plain, require_readable_size

__all__ = [
    "CHECKOUT",
    "REPORT_BYTES_MAX",
    "Fingerprint",
    "Unreadable",
    "glob_pattern",
    "in_checkout",
    "is_match",
    "left_behind",
    "plain",
    "read_left_behind",
    "require_readable_size",
]

CHECKOUT = "/work"
"""Where the checkout lies inside the sandbox; reports name files below it."""


def in_checkout(path: str, bases: Iterable[str] = ()) -> str:
    """A path as a report names it, relative to the checkout's root with forward slashes.

    `bases` are directories that a relative path starts from, nearest first (Cobertura's sources,
    SARIF's URI bases). A path outside the checkout stays as it is.
    """
    whole = path.replace("\\", "/")
    for base in bases:
        if not whole.startswith("/"):
            whole = f"{base.replace(chr(92), '/').rstrip('/')}/{whole}"
    inside = whole.removeprefix(CHECKOUT + "/") if whole.startswith(CHECKOUT + "/") else whole
    return _without_dots(inside)


def _without_dots(path: str) -> str:
    return os.path.normpath(path) if path else path


def read_left_behind(root: Path, relative: str, size_max: int = REPORT_BYTES_MAX) -> bytes | None:
    """Bytes of a regular file below `root`, or `None`; no link is followed on the way.

    Raises: Unreadable when the file is larger than `size_max`.
    """
    descriptor = _open_without_links(root, Path(relative).parts)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(size_max + 1)
    if len(data) > size_max:
        raise Unreadable("file_too_big", f"{plain(relative, 200)} is larger than {size_max} bytes and is not read.")
    return data


def _open_without_links(root: Path, parts: Sequence[str]) -> int | None:
    """A descriptor of the regular file, opened one directory at a time."""
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in parts[:-1]:
        below = _open_at(here, part, os.O_DIRECTORY)
        os.close(here)
        if below is None:
            return None
        here = below
    found = _open_at(here, parts[-1], os.O_NONBLOCK) if parts else None
    os.close(here)
    if found is not None and not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        return None
    return found


def _open_at(directory: int, name: str, flags: int) -> int | None:
    if name in ("..", ".", "/"):
        return None
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=directory)
    except (OSError, ValueError):
        return None


Fingerprint = tuple[int, int, int]
"""Inode, change time and size: a file written again never keeps all three."""


def left_behind(root: Path, patterns: Sequence[str]) -> dict[str, Fingerprint]:
    """Regular files below `root` that match one of the globs, without entering links or `.git`."""
    return {path: fingerprint for path, fingerprint in _regular_files(root) if is_match(path, patterns)}


def is_match(path: str, patterns: Sequence[str]) -> bool:
    return any(glob_pattern(pattern).fullmatch(path) for pattern in patterns)


def _regular_files(root: Path) -> Iterator[tuple[str, Fingerprint]]:
    for directory, names, files in os.walk(root, followlinks=False):
        names[:] = sorted(name for name in names if name != ".git")
        for name in sorted(files):
            path = Path(directory, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield path.relative_to(root).as_posix(), (status.st_ino, status.st_ctime_ns, status.st_size)


@cache
def glob_pattern(pattern: str) -> re.Pattern[str]:
    """`**/` crosses directories, `*` and `?` stay within one; everything else is taken literally."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./"))
    meaning: Mapping[str, str] = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)
