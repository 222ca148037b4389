"""Moves a branch of the user's repository to a judged commit, by compare-and-swap, or moves nothing at all.

Where the branch is checked out (in the main worktree or a linked one) reference, index and files
must move together: moving the reference alone would leave the inverse of the change staged, and the
owner's next commit would undo it. So the commit is pushed with a lease, and the receiving side
updates the checkout first (`receive.denyCurrentBranch=updateInstead`), which git refuses unless it
is clean. Hooks of the user's repository do not run, nor do monitors; filters that its own
configuration names (large files, line ends) do, because the files would be wrong without them.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from libs.workshop.git.command import GitError, Output, ask_git, run_git, serving
from libs.workshop.git.source import HEADS, Source, tip_of, worktrees

OWN: Final = "rung/"
NAMED_MAX: Final = 3

Reason = Literal["moved", "dirty", "gone", "refused"]

UNFINISHED: Final = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
"""What git leaves in a worktree's git directory while something is under way."""


@dataclass(frozen=True)
class Landed:
    """The branch holds the commit; `worktree` is the checkout that moved along, if there was one."""

    commit: str
    worktree: Path | None = None


@dataclass(frozen=True)
class NotLanded:
    """Nothing moved: the branch is elsewhere, its checkout is not clean, it is gone, or git refused."""

    reason: Reason
    message: str


async def land(quarantine: Path, target: Source, commit: str, expected_tip: str) -> Landed | NotLanded:
    """Move the target's branch; a landing that already happened is one that succeeds."""
    settled = await _settled(target, commit, expected_tip)
    if settled is not None:
        return settled
    checkouts = await _checkouts(target)
    for checkout in checkouts:
        if not await _is_plain(checkout):
            why = "a submodule or a checkout apart from its git directory, which git cannot move along"
            return NotLanded("refused", f"{target.branch} is checked out in {why}; nothing was moved.")
        obstacle = await _obstacle(quarantine, checkout, commit, expected_tip)
        if obstacle is not None:
            return NotLanded(
                "dirty", f"{target.branch} is checked out in {checkout} and {obstacle}; nothing was moved."
            )
    if len(checkouts) > 1:
        return NotLanded("dirty", f"{target.branch} is checked out in {len(checkouts)} places; nothing was moved.")
    pushed = await _push(quarantine, target, target.ref, commit, expected_tip, is_checked_out=bool(checkouts))
    if pushed.code == 0:
        return Landed(commit, checkouts[0] if checkouts else None)
    return await _settled(target, commit, expected_tip) or _refused(target, pushed)


async def _settled(target: Source, commit: str, expected_tip: str) -> Landed | NotLanded | None:
    """What the branch's tip alone decides; None if it is where it is expected."""
    tip = await tip_of(target.git_dir, target.ref)
    if tip is None:
        return NotLanded("gone", f"{target.path} has no branch {target.branch} any more.")
    if await has_landed(target, commit):
        return Landed(commit)
    if tip != expected_tip:
        return NotLanded("moved", f"{target.branch} moved from {expected_tip[:12]} to {tip[:12]}.")
    return None


async def has_landed(target: Source, commit: str) -> bool:
    """Whether the branch holds the commit, at its tip or below; the tip is looked up anew."""
    return (await run_git(["merge-base", "--is-ancestor", commit, target.ref], git_dir=target.git_dir)).code == 0


async def _checkouts(target: Source) -> list[Path]:
    """Worktrees whose files belong to the branch, those in the middle of rebasing it included."""
    found = await worktrees(target.git_dir)
    candidates = [tree.path for tree in found if not tree.is_bare and tree.path.is_dir()]
    refs = {tree.path: tree.ref for tree in found}
    return [path for path in candidates if refs[path] == target.ref or await _rebased(path) == target.ref]


async def _is_plain(worktree: Path) -> bool:
    """Whether the files lie where the git directory's own place says; elsewhere git would update the wrong place."""
    output = await run_git(["rev-parse", "--show-toplevel"], cwd=worktree)
    return output.code == 0 and _are_same(Path(output.text), worktree)


def _are_same(one: Path, other: Path) -> bool:
    return one.exists() and one.samefile(other)


async def _rebased(worktree: Path) -> str | None:
    git_dir = await _git_dir_of(worktree)
    for name in ("rebase-merge/head-name", "rebase-apply/head-name"):
        if (git_dir / name).is_file():
            return (git_dir / name).read_text(errors="replace").strip()
    return None


async def _git_dir_of(worktree: Path) -> Path:
    output = await run_git(["rev-parse", "--absolute-git-dir"], cwd=worktree)
    if output.code != 0:
        raise GitError(f"The worktree {worktree} cannot be read: {output.complaint}.")
    return Path(output.text)


async def _obstacle(quarantine: Path, worktree: Path, commit: str, expected_tip: str) -> str | None:
    """Why the files cannot move, as the end of a sentence."""
    git_dir = await _git_dir_of(worktree)
    for name, act in UNFINISHED.items():
        if (git_dir / name).exists():
            return f"a {act} is under way there"
    if changed := await _changed(worktree):
        return f"has changes that are not committed ({_named(changed)})"
    added = await _added(quarantine, expected_tip, commit)
    if taken := [path for path in added if _is_in_the_way(worktree, path)]:
        return f"has files that git does not know where the change adds its own ({_named(taken)})"
    return None


async def _changed(worktree: Path) -> list[str]:
    arguments = ["status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=all"]
    output = await run_git(arguments, cwd=worktree)
    if output.code != 0:
        raise GitError(f"The state of {worktree} cannot be read: {output.complaint}.")
    return [os.fsdecode(record[3:]) for record in output.stdout.split(b"\0") if record]


async def _added(quarantine: Path, base: str, commit: str) -> list[str]:
    arguments = ["diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A", base, commit, "--"]
    output = await ask_git(arguments, git_dir=quarantine)
    return [os.fsdecode(name) for name in output.stdout.split(b"\0") if name]


def _is_in_the_way(worktree: Path, path: str) -> bool:
    """Whether something stands at the place; all tracked files are known to be unchanged, so it is untracked."""
    return os.path.lexists(worktree / path) or any(_is_foreign_file(worktree, part) for part in _folders(path))


def _folders(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _is_foreign_file(worktree: Path, folder: str) -> bool:
    place = worktree / folder
    return os.path.lexists(place) and (place.is_symlink() or not place.is_dir())


def _named(paths: Sequence[str]) -> str:
    shown = [os.fsencode(path).decode(errors="backslashreplace") for path in paths[:NAMED_MAX]]
    rest = len(paths) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


async def _push(
    quarantine: Path, target: Source, ref: str, commit: str, expected: str, *, is_checked_out: bool
) -> Output:
    """Push with a lease on `expected`; an empty one means that the branch must not exist."""
    settings = [
        f"receive.denyCurrentBranch={'updateInstead' if is_checked_out else 'ignore'}",
        "receive.denyNonFastForwards=false",
        "receive.shallowUpdate=true",
    ]
    return await run_git(
        [
            *("push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed", "--recurse-submodules=no"),
            f"--force-with-lease={ref}:{expected}",
            f"--receive-pack={serving('receive-pack', *settings)}",
            target.git_dir,
            f"{commit}:{ref}",
        ],
        git_dir=quarantine,
    )


def _refused(target: Source, pushed: Output) -> NotLanded:
    why = _why(pushed)
    if any(word in why for word in ("orking", "staged", "index.lock")):
        return NotLanded("dirty", f"The checkout of {target.branch} could not move along: {why}; nothing was moved.")
    return NotLanded("refused", f"git refused to move {target.branch}: {why}.")


def _why(pushed: Output) -> str:
    """The reason of the other side, which it gives in brackets; else the first complaint."""
    found = re.search(r"^!\t.*\((.+)\)$", pushed.stdout.decode(errors="replace"), re.MULTILINE)
    return found[1] if found else pushed.complaint


async def publish(quarantine: Path, target: Source, branch: str, commit: str) -> None:
    """Create or move a branch of Rung's own in the user's repository."""
    ref = await _own_ref(branch)
    checkouts = await _checkouts(_with_branch(target, branch))
    tip = await tip_of(target.git_dir, ref)
    if tip == commit:
        return
    pushed = await _push(quarantine, target, ref, commit, tip or "", is_checked_out=bool(checkouts))
    if pushed.code != 0:
        raise GitError(f"The branch {branch} cannot be written to {target.path}: {_why(pushed)}.")


async def delete(target: Source, branch: str, expected: str) -> bool:
    """Remove a branch of Rung's own if it is where it is expected and nobody has it checked out."""
    ref = await _own_ref(branch)
    tip = await tip_of(target.git_dir, ref)
    if tip is None:
        return True
    if tip != expected or await _checkouts(_with_branch(target, branch)):
        return False
    return (await run_git(["update-ref", "--no-deref", "-d", ref, expected], git_dir=target.git_dir)).code == 0


def _with_branch(target: Source, branch: str) -> Source:
    return Source(target.path, target.git_dir, target.worktree, branch, target.tip, target.object_format)


async def _own_ref(branch: str) -> str:
    ref = HEADS + branch
    if not branch.startswith(OWN) or (await run_git(["check-ref-format", ref])).code != 0:
        raise GitError(f"{branch!r} is not a branch name below {OWN}, so it is left alone.")
    return ref
