"""Makes the one commit that would land, or the one that takes it back, without any worktree.

Theory: a squash of base..candidate onto a tip is the three-way merge of the trees tip and candidate
over base; a revert is the same with base and candidate exchanged. Histories play no part, so the
trees are merged through three parentless stand-in commits. Equal inputs give the equal commit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.workshop.git.command import GitError, ask_git, run_git

EPOCH: Final = 0
PERSON: Final = ("Rung", "rung@localhost")


@dataclass(frozen=True)
class Squashed:
    """The commit that would land, and its tree."""

    commit: str
    tree: str


@dataclass(frozen=True)
class Conflict:
    """The change does not apply to the tip; these paths say why."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class Authorship:
    """Who wrote a commit, what it says, and when (seconds since the epoch)."""

    message: str
    name: str
    email: str
    date: int

    @property
    def environment(self) -> dict[str, str]:
        when = f"{self.date} +0000"
        return {
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_AUTHOR_DATE": f"@{when}",
            "GIT_COMMITTER_DATE": f"@{when}",
        }


STAND_IN: Final = Authorship("stand-in", *PERSON, EPOCH)


async def apply(git_dir: Path, *, tip: str, before: str, after: str, said: Authorship) -> Squashed | Conflict:
    """One commit on `tip` that does to it what leads from `before` to `after`."""
    merged = await _merged_tree(git_dir, tip, before, after)
    if isinstance(merged, Conflict):
        return merged
    return Squashed(await _commit(git_dir, merged, said, parent=tip), merged)


async def tree_of(git_dir: Path, commit: str) -> str:
    output = await run_git(["rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}"], git_dir=git_dir)
    if output.code != 0:
        raise GitError(f"There is no commit {commit[:12]} in the quarantine repository.")
    return output.text


async def _merged_tree(git_dir: Path, tip: str, before: str, after: str) -> str | Conflict:
    ours, base, theirs = [await tree_of(git_dir, commit) for commit in (tip, before, after)]
    if ours == base:
        return theirs
    stand_in = await _commit(git_dir, base, STAND_IN)
    sides = [await _commit(git_dir, tree, STAND_IN, parent=stand_in) for tree in (ours, theirs)]
    settings = ["-c", "merge.directoryRenames=false"]
    options = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages"]
    output = await run_git([*settings, *options, *sides], git_dir=git_dir)
    if output.code not in {0, 1}:
        raise GitError(f"The change cannot be put on {tip[:12]}: {output.complaint}.")
    tree, *paths = output.stdout.rstrip(b"\0").split(b"\0")
    if output.code == 1:
        return Conflict(tuple(_distinct(paths)))
    return tree.decode()


def _distinct(paths: list[bytes]) -> Iterator[str]:
    return iter(dict.fromkeys(path.decode(errors="backslashreplace") for path in paths if path))


async def _commit(git_dir: Path, tree: str, said: Authorship, parent: str | None = None) -> str:
    message = said.message.replace("\0", "").rstrip("\n") + "\n"
    parents = ["-p", parent] if parent is not None else []
    output = await run_git(
        ["commit-tree", tree, *parents],
        git_dir=git_dir,
        stdin=message.encode(errors="backslashreplace"),
        env=said.environment,
    )
    if output.code != 0:
        raise GitError(f"The commit cannot be made: {output.complaint}.")
    return output.text


async def message_of(git_dir: Path, commit: str) -> str:
    output = await ask_git(["log", "-1", "--no-walk", "--no-show-signature", "--format=%B", commit], git_dir=git_dir)
    return output.stdout.decode(errors="replace").rstrip("\n")
