"""Reads unified diffs as git and `diff -u` write them: which files change, and which lines are added where.

Theory: counts in a hunk's header say how many lines belong to it, so a line of code that looks like
a header is none, and a diff that was cut off shows. Anything that cannot be placed is refused: a
file that is left out would be a change that nobody measured.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from libs.contracts.evidence import ChangedFile, DiffEvidence
from libs.workshop.evidence.text import Unreadable, plain, require_readable_size

KIND: Final = "diff"
FILES_MAX: Final = 20_000
LINE_MAX: Final = 10**8

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_COMBINED = re.compile(r"diff --(?:cc|combined) |@@@+ ")
_OCTAL = re.compile(rb"\\([0-7]{3}|[abtnvfr\"\\])")
_ESCAPED: Final = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
_NOWHERE: Final = "/dev/null"
_LINKS: Final = {"120000": "symbolic link", "160000": "submodule"}


@dataclass(frozen=True)
class UnifiedDiff:
    """`added` holds the numbers of added lines by path, as they are after the change."""

    evidence: DiffEvidence
    added: Mapping[str, frozenset[int]]


def read_diff(data: bytes) -> UnifiedDiff:
    """What a diff changes; a renamed file is one deleted and one added, as `DiffEvidence` wants it.

    Raises: Unreadable for anything broken, cut off, not a diff, or a combined diff of a merge.
    """
    require_readable_size(data, KIND)
    reading = _Reading(_lines(data))
    reading.read()
    return reading.result()


def _lines(data: bytes) -> list[str]:
    try:
        lines = data.decode("utf-8-sig", "surrogateescape").split("\n")
    except ValueError as error:
        raise _malformed("it is no text") from error
    if "\x00" in lines[0]:
        raise _malformed("it is no text")
    return lines[:-1] if lines[-1] == "" else lines


@dataclass
class _File:
    """A file as its headers name it, and what its hunks do."""

    old: str
    new: str
    is_binary: bool = False
    status: str = "M"
    has_body: bool = False
    removed_count: int = 0
    added: set[int] = field(default_factory=set)
    refused: str = ""

    @property
    def is_rename(self) -> bool:
        return self.status == "R"


class _Reading:
    """Goes over the lines once."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        self._files: list[_File] = []
        self._is_git = False

    def read(self) -> None:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if _COMBINED.match(line):
                raise Unreadable(
                    "diff_combined", "The diff is the combined diff of a merge, which tells no one change."
                )
            if line.startswith("diff --git "):
                self._open(_git_paths(line.rstrip("\r")))
                self._is_git = True
            elif line.startswith("--- ") and self._next().startswith("+++ "):
                self._name_by_marks(line)
            elif line.startswith("@@ "):
                self._hunk(line)
            elif self._files and self._is_git:
                self._extended_header(line.rstrip("\r"))

    def result(self) -> UnifiedDiff:
        if not self._files:
            raise Unreadable("diff_wrong_root", "The diff names no changed file, so it is no unified diff.")
        changed = [one for file in self._files for one in _changed(file)]
        paths = [one.path for one in changed]
        if len(set(paths)) < len(paths):
            raise _malformed("it names a file twice")
        evidence = DiffEvidence(
            files=tuple(sorted(changed, key=lambda one: one.path)),
            refused=tuple(file.refused for file in self._files if file.refused),
        )
        return UnifiedDiff(evidence, {file.new: frozenset(file.added) for file in self._files if file.status != "D"})

    def _next(self) -> str:
        return self._lines[self._at] if self._at < len(self._lines) else ""

    def _open(self, paths: tuple[str, str]) -> None:
        if len(self._files) >= FILES_MAX:
            raise Unreadable("diff_too_big", f"The diff changes more than {FILES_MAX} files.")
        self._files.append(_File(*paths))

    def _name_by_marks(self, line: str) -> None:
        """`---` and `+++` name the file where no `diff --git` did; after one they say if it is new or gone."""
        old, new = _marked_path(line), _marked_path(self._next())
        self._at += 1
        if not (self._is_git and self._files and not self._files[-1].has_body):
            self._is_git = False
            self._open(_without_prefixes(old, new))
            if _NOWHERE == old == new:
                raise _malformed("it names no file")
        file = self._files[-1]
        if self._is_git and not file.is_rename:
            file.old, file.new = _without_prefixes(old, new)
        file.has_body = True
        if _NOWHERE in (old, new):
            file.status = "A" if old == _NOWHERE else "D"

    def _extended_header(self, line: str) -> None:
        """Lines of git between `diff --git` and the first hunk."""
        file = self._files[-1]
        word, _, rest = line.partition(" ")
        if line.startswith(("new file mode ", "deleted file mode ")):
            file.status = "A" if word == "new" else "D"
        elif line.startswith(("rename from ", "copy from ")):
            file.old = _unquoted(rest.partition(" ")[2])
            file.status = "R" if word == "rename" else "A"
        elif line.startswith(("rename to ", "copy to ")):
            file.new = _unquoted(rest.partition(" ")[2])
        elif line.startswith("Binary files ") or line == "GIT binary patch":
            file.is_binary = file.has_body = True
        link = _LINKS.get(line[-6:]) if "mode " in line or line.startswith("index ") else None
        if link:
            file.refused = f"{plain(file.new, 200)} is a {link}."

    def _hunk(self, header: str) -> None:
        match = _HUNK.match(header)
        if match is None or not self._files or not self._files[-1].has_body:
            raise _malformed(f"the hunk {plain(header, 60)!r} belongs to no file")
        file = self._files[-1]
        old_left, at, new_left = _number(match[2] or "1"), _number(match[3]), _number(match[4] or "1")
        while old_left or new_left:
            if self._at >= len(self._lines):
                raise _malformed("it ends inside a hunk")
            mark = self._lines[self._at][:1]
            self._at += 1
            if mark == "\\":
                continue
            if mark not in ("", " ", "+", "-", "\r"):
                raise _malformed(f"a line of {plain(file.new, 200)} is neither kept, added nor removed")
            if mark == "+":
                file.added.add(at)
            file.removed_count += mark == "-"
            old_left -= mark != "+"
            new_left -= mark != "-"
            at += mark != "-"
            if old_left < 0 or new_left < 0:
                raise _malformed(f"a hunk of {plain(file.new, 200)} holds more lines than it declares")


def _changed(file: _File) -> list[ChangedFile]:
    old, new = _fit(file.old), _fit(file.new)
    if file.status == "R":
        return [ChangedFile(path=old, status="D"), _one(file, new, "A")]
    return [_one(file, old if file.status == "D" else new, file.status)]


def _one(file: _File, path: str, status: str) -> ChangedFile:
    if file.is_binary:
        return ChangedFile(path=path, status=status)
    return ChangedFile(path=path, status=status, lines_added=len(file.added), lines_removed=file.removed_count)


def _fit(path: str) -> str:
    """A path below the root of the repository; no other is a file of the change."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or plain(path) != path:
        raise _malformed(f"{plain(path, 200)!r} is no path in a repository")
    return path


def _without_prefixes(old: str, new: str) -> tuple[str, str]:
    """Without git's `a/` and `b/` where both have them; the one that is nowhere takes the other's name."""
    has_prefixes = old.startswith(("a/", "i/", "c/", _NOWHERE)) and new.startswith(("b/", "w/", "i/", _NOWHERE))
    bare_old, bare_new = (_cut(path) if has_prefixes and path != _NOWHERE else path for path in (old, new))
    if old == _NOWHERE:
        return bare_new, bare_new
    return bare_old, bare_old if new == _NOWHERE else bare_new


def _cut(path: str) -> str:
    return path.partition("/")[2]


def _marked_path(line: str) -> str:
    """The path of a `---` or `+++` line; `diff -u` puts a time after a tab."""
    text = line[4:].rstrip("\r")
    return _unquoted(text) if text.startswith('"') else text.partition("\t")[0].rstrip()


def _git_paths(line: str) -> tuple[str, str]:
    """Both paths of `diff --git a/x b/x`; unquoted ones with spaces are told apart by being the same."""
    rest = line.removeprefix("diff --git ")
    if rest.startswith('"'):
        end = re.match(r'"(?:[^"\\]|\\.)*"', rest)
        old, new = (end[0], rest[end.end() + 1 :]) if end else (rest, "")
    elif rest.endswith('"'):
        old, _, new = rest.partition(' "')
        new = f'"{new}'
    else:
        half = len(rest) // 2
        is_same = rest[half : half + 1] == " " and _cut(rest[:half]) == _cut(rest[half + 1 :])
        old, new = (rest[:half], rest[half + 1 :]) if is_same else _split(rest)
    return _without_prefixes(_unquoted(old), _unquoted(new))


def _split(rest: str) -> tuple[str, str]:
    """Of a renamed file; its `rename` lines say the paths once more."""
    old, _, new = rest.partition(" b/")
    return old, f"b/{new}" if new else rest


def _unquoted(path: str) -> str:
    """Git quotes paths with special characters as C does, byte by byte."""
    if not (path.startswith('"') and path.endswith('"') and len(path) > 1):
        return path
    raw = path[1:-1].encode("utf-8", "surrogateescape")
    return _OCTAL.sub(_byte, raw).decode("utf-8", "surrogateescape")


def _byte(match: re.Match[bytes]) -> bytes:
    code = match[1].decode("ascii")
    return bytes([_ESCAPED[code] if code in _ESCAPED else int(code, 8) % 256])


def _number(digits: str) -> int:
    if len(digits) > 9 or int(digits) >= LINE_MAX:
        raise _malformed("a hunk counts more lines than any file has")
    return int(digits)


def _malformed(why: str) -> Unreadable:
    return Unreadable("diff_malformed", f"The diff is broken or cut off: {why}.")
