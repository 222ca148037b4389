"""Reads the head of a bundle without git, so that nothing is unpacked before it is known what it claims to be.

Format: a signature line, capabilities (`@name=value`, version 3 only), prerequisites (`-<id> comment`),
references (`<id> <name>`), an empty line, then the pack.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from libs.workshop.git.command import GitError

VERSIONS: Final = {b"# v2 git bundle\n": 2, b"# v3 git bundle\n": 3}
LINES_MAX: Final = 10_000
LINE_MAX: Final = 4096
ID: Final = rb"(?P<id>[0-9a-f]{40}|[0-9a-f]{64})"
PREREQUISITE: Final = re.compile(rb"-" + ID + rb"( .*)?\n", re.DOTALL)
REFERENCE: Final = re.compile(ID + rb" (?P<name>\S+)\n")


@dataclass(frozen=True)
class Head:
    """What a bundle claims; the pack begins at `pack_offset`."""

    prerequisites: tuple[str, ...]
    references: tuple[tuple[str, str], ...]
    object_format: str
    pack_offset: int

    def only_tip(self, ref: str) -> str:
        """The commit of the one reference that there may be."""
        names = [name for name, _ in self.references]
        if names != [ref]:
            raise GitError(f"The bundle must hold exactly {ref}, but it holds {', '.join(names) or 'nothing'}.")
        return self.references[0][1]


def read_head(bundle: Path, size_max: int) -> Head:
    try:
        if bundle.is_symlink() or not bundle.is_file():
            raise GitError("There is no bundle where one should be.")
        if bundle.stat().st_size > size_max:
            raise GitError(f"The bundle is larger than {size_max // 2**20} MiB.")
        with bundle.open("rb") as file:
            return _parsed(file)
    except OSError as error:
        raise GitError(f"The bundle cannot be read ({error.strerror}).") from error


def _parsed(file: BinaryIO) -> Head:
    version = VERSIONS.get(file.readline(LINE_MAX))
    if version is None:
        raise GitError("The file is not a git bundle.")
    prerequisites: list[str] = []
    references: list[tuple[str, str]] = []
    object_format = "sha1"
    for _ in range(LINES_MAX):
        line = file.readline(LINE_MAX)
        if line == b"\n":
            return Head(tuple(prerequisites), tuple(references), object_format, file.tell())
        if version == 3 and line.startswith(b"@"):
            object_format = _object_format(line)
        elif found := PREREQUISITE.fullmatch(line):
            prerequisites.append(found["id"].decode())
        elif found := REFERENCE.fullmatch(line):
            references.append((found["name"].decode(errors="backslashreplace"), found["id"].decode()))
        else:
            break
    raise GitError("The bundle is broken: its head cannot be read.")


def _object_format(capability: bytes) -> str:
    name, _, value = capability[1:].rstrip(b"\n").partition(b"=")
    if name != b"object-format" or value not in {b"sha1", b"sha256"}:
        raise GitError("The bundle asks for a capability that is not supported.")
    return value.decode()
