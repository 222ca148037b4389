"""What a change does to the tree, from plumbing alone: every path, no renames guessed, no filters, no drivers.

Nothing in the change can alter how it is shown: attributes come from the quarantine repository,
which has none. Hunks are read by their own line counts, so a line that looks like a header
remains a line.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.contracts.evidence import ChangedFile
from libs.workshop.git.command import GitError, TooLarge, run_git

PATCH_MAX: Final = 4 * 2**20
DIFF_MAX: Final = 64 * 2**20
REFUSED_MODES: Final = {b"120000": "a symbolic link", b"160000": "a submodule"}
HUNK: Final = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
SHORT_GIT: Final = re.compile(r"(\.git|git~\d+)( *\.*)*(:.*)?", re.IGNORECASE)
IGNORABLE: Final = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])
"""Code points that some file systems drop from names, so that `.g<200c>it` would become `.git`."""

DIFF_TREE: Final = ("diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--full-index")


@dataclass(frozen=True)
class Diff:
    """A change: its files, the lines that it adds by their numbers in the new file, and its text.

    `refused` says in sentences what no change may hold. `patch` ends early, with a note, when it is long.
    """

    files: tuple[ChangedFile, ...]
    refused: tuple[str, ...]
    changed_lines: Mapping[str, frozenset[int]]
    patch: bytes


@dataclass(frozen=True)
class Entry:
    """One path of the raw listing; `status` is git's letter."""

    path: bytes
    status: str
    modes: tuple[bytes, bytes]

    @property
    def shown(self) -> str:
        return self.path.decode(errors="backslashreplace")

    @property
    def section_count(self) -> int:
        """A change of type is shown as a removal and an addition."""
        return 2 if self.status == "T" else 1


async def read_diff(git_dir: Path, base: str, commit: str, *, patch_max: int = PATCH_MAX) -> Diff:
    entries = tuple(_entries(await _diff_tree(git_dir, base, commit, "--raw", "-z")))
    counts = dict(_counts(await _diff_tree(git_dir, base, commit, "--numstat", "-z")))
    narrow = await _diff_tree(git_dir, base, commit, "-p", "--unified=0", "--inter-hunk-context=0")
    return Diff(
        files=tuple(_changed_file(entry, counts) for entry in entries),
        refused=tuple(sentence for entry in entries for sentence in _refusals(entry)),
        changed_lines=_added_lines(entries, narrow),
        patch=_shortened(await _diff_tree(git_dir, base, commit, "-p"), patch_max),
    )


async def read_patch_id(git_dir: Path, base: str, commit: str) -> str:
    """Names what a change does, wherever it stands; unlike git's own, it tells changes of white space apart.

    Equal for equal hunks with equal context in equally named files, whatever their line numbers and the
    rest of the files.
    """
    patch = await _diff_tree(git_dir, base, commit, "-p", "--binary")
    digest = hashlib.sha1(usedforsecurity=False)
    for line in _placeless(patch.split(b"\n")):
        digest.update(line + b"\n")
    return digest.hexdigest()


def _placeless(lines: Iterable[bytes]) -> Iterator[bytes]:
    for is_header, line in _told_apart(lines):
        if is_header and line.startswith(b"@@ "):
            yield b"@@"
        elif not (is_header and line.startswith(b"index ")):
            yield line


async def _diff_tree(git_dir: Path, base: str, commit: str, *options: str) -> bytes:
    try:
        output = await run_git([*DIFF_TREE, *options, base, commit, "--"], git_dir=git_dir, output_max=DIFF_MAX)
    except TooLarge as error:
        raise TooLarge(
            f"The change is larger than {DIFF_MAX // 2**20} MiB, which is too large to be judged."
        ) from error
    if output.code != 0:
        raise GitError(f"The change from {base[:12]} to {commit[:12]} cannot be read: {output.complaint}.")
    return output.stdout


def _entries(raw: bytes) -> Iterator[Entry]:
    fields = iter(raw.split(b"\0"))
    for head in fields:
        if head:
            old_mode, new_mode, _, _, status = head.removeprefix(b":").split(b" ")
            yield Entry(next(fields), status[:1].decode(), (old_mode, new_mode))


def _counts(numstat: bytes) -> Iterator[tuple[bytes, tuple[int | None, int | None]]]:
    for record in numstat.split(b"\0"):
        if record:
            added, removed, path = record.split(b"\t", 2)
            yield path, (_count(added), _count(removed))


def _count(field: bytes) -> int | None:
    return None if field == b"-" else int(field)


def _changed_file(entry: Entry, counts: Mapping[bytes, tuple[int | None, int | None]]) -> ChangedFile:
    added, removed = counts.get(entry.path, (None, None))
    return ChangedFile(path=entry.shown, status=entry.status, lines_added=added, lines_removed=removed)


def _refusals(entry: Entry) -> Iterator[str]:
    for mode in sorted({mode for mode in entry.modes if mode in REFUSED_MODES}):
        yield f"{entry.shown} is {REFUSED_MODES[mode]}, which no change may add, alter or remove."
    if any(is_git_like(part) for part in entry.shown.split("/")):
        yield f"{entry.shown} could be taken for a git directory."
    if not entry.shown.isprintable() or entry.shown.encode() != entry.path:
        yield f"{entry.shown!a} is not a printable name in UTF-8."


def is_git_like(part: str) -> bool:
    """Whether some file system would take the name for `.git`."""
    return SHORT_GIT.fullmatch(part.translate(IGNORABLE)) is not None


def _told_apart(lines: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Each line of a patch, and whether it is a header rather than content of a hunk."""
    rest = 0
    for line in lines:
        is_content = rest > 0 or line.startswith(b"\\")
        if not is_content and (hunk := HUNK.match(line)):
            rest = sum(1 if count is None else int(count) for count in (hunk[1], hunk[3]))
        elif is_content and not line.startswith(b"\\"):
            rest -= 2 if line.startswith(b" ") else 1
        yield not is_content, line


def _added_lines(entries: Iterable[Entry], patch: bytes) -> dict[str, frozenset[int]]:
    """Numbers of added lines by path; sections come in the order of the entries."""
    owners = (entry for entry in entries for _ in range(entry.section_count))
    added: defaultdict[str, set[int]] = defaultdict(set)
    path = ""
    for is_header, line in _told_apart(patch.split(b"\n")):
        if is_header and line.startswith(b"diff --git "):
            path = _owner(owners)
        elif is_header and (hunk := HUNK.match(line)):
            start, count = int(hunk[2]), 1 if hunk[3] is None else int(hunk[3])
            added[path].update(range(start, start + count))
    if next(owners, None) is not None:
        raise GitError("The change cannot be read: a file is missing from its patch.")
    return {path: frozenset(lines) for path, lines in added.items() if lines}


def _owner(owners: Iterator[Entry]) -> str:
    owner = next(owners, None)
    if owner is None:
        raise GitError("The change cannot be read: its patch holds more files than its listing.")
    return owner.shown


def _shortened(patch: bytes, patch_max: int) -> bytes:
    if len(patch) <= patch_max:
        return patch
    return patch[:patch_max] + f"\n[{len(patch) - patch_max} bytes left out]\n".encode()
