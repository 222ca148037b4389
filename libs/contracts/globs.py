"""Globs for paths, in two readings: what is protected is read wide, what is allowed is read narrow."""

from fnmatch import fnmatchcase
from pathlib import PurePosixPath


def is_under(path: str, glob: str) -> bool:
    """Whether a path falls under a glob, read wide.

    `dir/**` is everything below, a bare name is that file or directory, `*` crosses folders, and
    `**/name` is also at the top.
    """
    glob = glob.removeprefix("./")
    stem = glob.removesuffix("/**").rstrip("/")
    if fnmatchcase(path, glob) or path == stem or path.startswith(f"{stem}/"):
        return True
    return glob.startswith("**/") and is_under(path, glob.removeprefix("**/"))


def is_match(path: str, glob: str) -> bool:
    """Whether a path is meant by a glob, read narrow: `*` stays within one folder, only `**` crosses them."""
    return _match(PurePosixPath(path).parts, PurePosixPath(glob).parts)


def _match(parts: tuple[str, ...], globs: tuple[str, ...]) -> bool:
    if not globs:
        return not parts
    if globs[0] == "**":
        return any(_match(parts[count:], globs[1:]) for count in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], globs[0]) and _match(parts[1:], globs[1:])
