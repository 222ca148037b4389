"""Finds out what a person means by the path of a repository: its git directory, worktree, branch and tip."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from libs.workshop.git.command import EmptyRepository, GitError, NotARepository, run_git

HEADS = "refs/heads/"


@dataclass(frozen=True)
class Source:
    """A repository of the user's and the branch that work is for.

    `path` is the root as given, made absolute; `git_dir` what all worktrees share; `worktree` is None
    for a bare repository; `tip` the commit of the branch when it was looked at.
    """

    path: Path
    git_dir: Path
    worktree: Path | None
    branch: str
    tip: str
    object_format: str = "sha1"

    @property
    def ref(self) -> str:
        return HEADS + self.branch

    async def tip_of(self, branch: str) -> str | None:
        """The commit of another branch; `None` when there is no such branch."""
        return await tip_of(self.git_dir, HEADS + branch)


@dataclass(frozen=True)
class Worktree:
    """One checkout of a repository; `ref` is None when its HEAD is detached."""

    path: Path
    ref: str | None
    is_bare: bool


async def inspect(path: str | Path, branch: str | None = None) -> Source:
    """Look at the root of a repository, bare or not, linked worktrees included.

    Raises:
        NotARepository: the path is missing, a file, a plain directory, or below the root of a repository.
        EmptyRepository: the repository has no commit yet.
        GitError: HEAD is detached and no branch is given, or there is no such branch.
    """
    root = _root_of(path)
    is_bare, is_inside, object_format = (
        await _said(root, "--is-bare-repository", "--is-inside-work-tree", "--show-object-format")
    ).split("\n")
    git_dir = Path(await _said(root, "--git-common-dir"))
    worktree = await _worktree(root, is_bare=is_bare == "true", is_inside=is_inside == "true")
    chosen = await _branch_of_head(root) if branch is None else branch.removeprefix(HEADS)
    tip = await tip_of(git_dir, HEADS + chosen)
    if tip is None:
        raise await _without_tip(root, git_dir, chosen)
    return Source(root, git_dir, worktree, chosen, tip, object_format)


async def tip_of(git_dir: Path, ref: str) -> str | None:
    """The commit that a reference names; None if there is no such reference, or no such repository any more."""
    try:
        output = await run_git(["rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], git_dir=git_dir)
    except NotARepository:
        return None
    return output.text if output.code == 0 else None


async def worktrees(git_dir: Path) -> tuple[Worktree, ...]:
    output = await run_git(["worktree", "list", "--porcelain", "-z"], git_dir=git_dir)
    if output.code != 0:
        raise GitError(f"The worktrees of {git_dir} cannot be listed: {output.complaint}.")
    return tuple(_worktrees(os.fsdecode(output.stdout)))


def _worktrees(listing: str) -> Iterator[Worktree]:
    for record in listing.split("\0\0"):
        fields = dict(line.partition(" ")[::2] for line in record.split("\0") if line)
        if "worktree" in fields:
            yield Worktree(Path(fields["worktree"]), fields.get("branch"), "bare" in fields)


def _root_of(path: str | Path) -> Path:
    root = Path(path).expanduser().absolute()
    if not root.exists():
        raise NotARepository(f"{_shown(root)} does not exist.")
    if not root.is_dir():
        raise NotARepository(f"{_shown(root)} is a file, not a git repository.")
    return root


async def _said(root: Path, *questions: str) -> str:
    output = await run_git(["rev-parse", "--path-format=absolute", *questions], cwd=root)
    if output.code != 0:
        if b"not a git repository" in output.stderr:
            raise NotARepository(f"{_shown(root)} is not a git repository.")
        raise NotARepository(f"{_shown(root)} cannot be used as a git repository: {output.complaint}.")
    return output.text


async def _worktree(root: Path, *, is_bare: bool, is_inside: bool) -> Path | None:
    """The top of the worktree, which must be the path itself; None if the path is a bare repository."""
    if is_bare:
        return _same_or_refused(root, Path(await _said(root, "--git-dir")), None)
    if not is_inside:
        raise NotARepository(
            f"{_shown(root)} lies inside the git directory of a repository; name the repository's root."
        )
    top = Path(await _said(root, "--show-toplevel"))
    return _same_or_refused(root, top, top)


def _same_or_refused(root: Path, top: Path, worktree: Path | None) -> Path | None:
    if not root.samefile(top):
        raise NotARepository(f"{_shown(root)} is only a part of the git repository {_shown(top)}; name that.")
    return worktree


async def _branch_of_head(root: Path) -> str:
    output = await run_git(["symbolic-ref", "--quiet", "HEAD"], cwd=root)
    if output.code != 0 or not output.text.startswith(HEADS):
        raise GitError(f"HEAD of {_shown(root)} is not on a branch; check one out or say which branch is meant.")
    return output.text.removeprefix(HEADS)


async def _without_tip(root: Path, git_dir: Path, branch: str) -> GitError:
    refs = await run_git(["for-each-ref", "--count=1", HEADS], git_dir=git_dir)
    if not refs.stdout:
        return EmptyRepository(f"{_shown(root)} has no commit yet; make a first one.")
    return GitError(f"{_shown(root)} has no branch named {branch!r}, or none with a commit.")


def _shown(path: Path) -> str:
    """The path for a sentence; bytes that are no text are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")
