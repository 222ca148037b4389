"""Moves the user's branch by compare-and-swap; a checked-out branch moves with its index and files, or not at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from libs.workshop.git.command import run_git, serving
from libs.workshop.git.source import Source, tip_of, worktrees


@dataclass(frozen=True)
class Landed:
    tip: str


@dataclass(frozen=True)
class NotLanded:
    reason: Literal["moved", "dirty", "gone"]
    message: str


async def land(git_dir: Path, target: Source, commit: str, expected_tip: str) -> Landed | NotLanded:
    tip = await tip_of(target.git_dir, target.ref)
    if tip == commit:
        return Landed(commit)
    if tip is None:
        return NotLanded("gone", f"The branch {target.branch} is gone.")
    if tip != expected_tip:
        return NotLanded("moved", f"The branch {target.branch} moved to {tip[:12]}.")
    for worktree in await worktrees(target.git_dir):
        if worktree.ref == target.ref and not worktree.is_bare:
            status = await run_git(["status", "--porcelain", "-z", "--untracked-files=no"], cwd=worktree.path)
            dirty = [line[3:].decode(errors="replace") for line in status.stdout.split(b"\0") if line]
            if dirty:
                return NotLanded("dirty", f"The working copy has uncommitted work in {', '.join(dirty[:3])}.")
    pack = f"--receive-pack={serving('receive-pack', 'receive.denyCurrentBranch=updateInstead')}"
    lease = f"--force-with-lease={target.ref}:{expected_tip}"
    output = await run_git(
        ["push", "--quiet", lease, pack, str(target.git_dir), f"{commit}:{target.ref}"], git_dir=git_dir
    )
    if output.code == 0:
        return Landed(commit)
    now = await tip_of(target.git_dir, target.ref)
    if now != expected_tip:
        return NotLanded("moved", f"The branch {target.branch} moved.")
    return NotLanded("dirty", f"The working copy could not be updated: {output.complaint}.")
