"""The one bare repository that Rung owns for each repository it works on: what agents made is judged here.

Nothing outside can configure it: no hooks, no alternates, no attributes, no remotes. A commit comes
in from the user's repository by path, or from an agent as a bundle whose objects are all checked
before anything points at them. It leaves as a clone that shares nothing, or by a push to the user's
repository. All that came in stays reachable under `refs/rung/`, so no clean-up can drop it.
"""

import os
import posixpath
import shutil
import tempfile
from pathlib import Path
from typing import Final, Self

from libs.workshop.git import landing
from libs.workshop.git.bundle import Head, read_head
from libs.workshop.git.command import GitError, ask_git, run_git, serving
from libs.workshop.git.diff import PATCH_MAX, Diff, read_diff, read_patch_id
from libs.workshop.git.integration import PERSON, Authorship, Conflict, Squashed, apply, message_of, tree_of
from libs.workshop.git.landing import Landed, NotLanded
from libs.workshop.git.leaving import CANDIDATE_REF
from libs.workshop.git.source import HEADS, Source, tip_of

KEPT: Final = "refs/rung/"
BUNDLE_MAX: Final = 64 * 2**20
UNPACKED_MAX: Final = 512 * 2**20
FILE_MAX: Final = 16 * 2**20

FETCH: Final = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--update-shallow")


class Quarantine:
    def __init__(self, path: Path, object_format: str) -> None:
        self.path = path
        self.object_format = object_format

    @classmethod
    async def open(cls, path: Path, *, object_format: str = "sha1") -> Self:
        """Open the repository at `path`, making it on first use; `object_format` is that of the user's repository."""
        if _is_free(path):
            await _create(path, object_format)
        _refuse_foreign(path)
        output = await ask_git(["rev-parse", "--show-object-format"], git_dir=path)
        if output.text != object_format:
            raise GitError(
                f"{path} holds {output.text} names, not {object_format}; remove it and it will be made anew."
            )
        return cls(path, object_format)

    async def fetch(self, source: Source, commit: str) -> None:
        """Bring in a commit of the user's repository with its history."""
        if source.object_format != self.object_format:
            raise GitError(f"{source.path} names objects by {source.object_format}, not by {self.object_format}.")
        upload = f"--upload-pack={serving('upload-pack')}"
        arguments: list[str | Path] = [*FETCH, upload, source.git_dir, f"+{commit}:{KEPT}source/{commit}"]
        output = await run_git(["-c", "fetch.fsckObjects=false", *arguments], git_dir=self.path)
        if output.code != 0:
            raise GitError(f"The commit {commit[:12]} cannot be had from {source.path}: {output.complaint}.")

    async def take_bundle(
        self,
        bundle: Path,
        ref: str | None = None,
        *,
        size_max: int = BUNDLE_MAX,
        unpacked_max: int = UNPACKED_MAX,
    ) -> str:
        """Take in what an agent left, keep it under `ref` (below `refs/rung/`), and return its commit.

        The bundle must hold exactly one reference, the one that `leave_argv` writes.

        Raises:
            GitError: it is no bundle, broken, too large, holds anything else, or does not fit what is known here.
        """
        head = read_head(bundle, size_max)
        commit = head.only_tip(CANDIDATE_REF)
        if head.object_format != self.object_format:
            raise GitError(f"The bundle names objects by {head.object_format}, not by {self.object_format}.")
        for prerequisite in head.prerequisites:
            if not await self._is_commit(prerequisite):
                raise GitError(f"The bundle builds on {prerequisite[:12]}, which is not known here.")
        await self._unpack(bundle, head, size_max)
        await self._refuse_unfit(commit, unpacked_max)
        await self.keep(ref or f"{KEPT}taken/{commit}", commit)
        return commit

    async def clone(self, commit: str, dest: Path, *, branch: str | None = None) -> None:
        """Make a checked out repository at `dest` that shares nothing and knows no remote.

        With `branch` it has the whole history and is on that branch, for an agent; without, it holds
        the commit alone and its HEAD is detached, for a clean look at it.
        """
        if not _is_free(dest):
            raise GitError(f"{dest} is not empty, so nothing can be cloned there.")
        try:
            await self._fill(commit, dest, branch)
        except BaseException:
            shutil.rmtree(dest, ignore_errors=True)
            raise

    async def read_file(self, commit: str, path: str, *, size_max: int = FILE_MAX) -> bytes | None:
        """Content of a regular file; None if the commit has none at that path."""
        path = posixpath.normpath(path)
        if path.startswith(("/", "..")) or "\0" in path:
            return None
        listing = ["ls-tree", "-z", "--full-tree", "--long", commit, "--", path]
        output = await ask_git(listing, git_dir=self.path)
        fields, _, name = output.stdout.rstrip(b"\0").partition(b"\t")
        if name != os.fsencode(path) or not fields.startswith(b"100"):
            return None
        _, _, oid, size = fields.decode().split()
        if int(size) > size_max:
            raise GitError(f"{path} is larger than {size_max // 2**20} MiB.")
        return (await ask_git(["cat-file", "blob", oid], git_dir=self.path)).stdout

    async def list_files(self, commit: str) -> tuple[str, ...]:
        output = await ask_git(["ls-tree", "-r", "-z", "--full-tree", "--name-only", commit], git_dir=self.path)
        return tuple(name.decode(errors="backslashreplace") for name in output.stdout.split(b"\0") if name)

    async def tree_of(self, commit: str) -> str:
        return await tree_of(self.path, commit)

    async def is_ancestor(self, ancestor: str, commit: str) -> bool:
        output = await run_git(["merge-base", "--is-ancestor", ancestor, commit], git_dir=self.path)
        if output.code not in {0, 1}:
            raise GitError(f"{ancestor[:12]} and {commit[:12]} cannot be compared: {output.complaint}.")
        return output.code == 0

    async def parents(self, commit: str) -> tuple[str, ...]:
        output = await ask_git(["rev-list", "--no-walk", "--parents", commit], git_dir=self.path)
        return tuple(output.text.split()[1:])

    async def message(self, commit: str) -> str:
        return await message_of(self.path, commit)

    async def diff(self, base: str, commit: str, *, patch_max: int = PATCH_MAX) -> Diff:
        return await read_diff(self.path, base, commit, patch_max=patch_max)

    async def patch_id(self, base: str, commit: str) -> str:
        return await read_patch_id(self.path, base, commit)

    async def squash(
        self,
        *,
        tip: str,
        base: str,
        candidate: str,
        message: str,
        date: int,
        author_name: str = PERSON[0],
        author_email: str = PERSON[1],
    ) -> Squashed | Conflict:
        """One commit on `tip` that does what base..candidate does; equal inputs give the equal commit."""
        said = Authorship(message, author_name, author_email, date)
        return await self._kept(await apply(self.path, tip=tip, before=base, after=candidate, said=said))

    async def revert(
        self,
        *,
        tip: str,
        base: str,
        merged: str,
        message: str,
        date: int,
        author_name: str = PERSON[0],
        author_email: str = PERSON[1],
    ) -> Squashed | Conflict:
        """One commit on `tip` that takes back what base..merged did."""
        said = Authorship(message, author_name, author_email, date)
        return await self._kept(await apply(self.path, tip=tip, before=merged, after=base, said=said))

    async def keep(self, ref: str, commit: str) -> None:
        """Point a reference below `refs/rung/` at a commit, so that it stays."""
        if not ref.startswith(KEPT):
            raise GitError(f"{ref!r} does not lie below {KEPT}.")
        await ask_git(["update-ref", "--no-deref", ref, f"{commit}^{{commit}}"], git_dir=self.path)

    async def kept(self, ref: str) -> str | None:
        """The commit that a reference below `refs/rung/` points at; `None` when there is none."""
        return await tip_of(self.path, ref) if ref.startswith(KEPT) else None

    async def has_made(self, commit: str) -> bool:
        """Whether the commit is an integration commit that was made here."""
        return await tip_of(self.path, f"{KEPT}made/{commit}") is not None

    async def is_signed(self, commit: str) -> bool:
        """Whether the commit carries a signature that this machine's keys make good."""
        return (await run_git(["verify-commit", commit], git_dir=self.path)).code == 0

    async def publish_branch(self, target: Source, branch: str, commit: str) -> None:
        """Create or move the branch `branch`, below `rung/`, in the user's repository."""
        await landing.publish(self.path, target, branch, commit)

    async def delete_branch(self, target: Source, branch: str, expected: str) -> bool:
        """Remove the branch if it still is at `expected`; True if it is gone now."""
        return await landing.delete(target, branch, expected)

    async def land(self, target: Source, commit: str, expected_tip: str) -> Landed | NotLanded:
        """Move the target's branch from `expected_tip` to `commit`, and every checkout of it along; see `landing`."""
        if not await self.is_ancestor(expected_tip, commit):
            return NotLanded("refused", f"{commit[:12]} does not build on {expected_tip[:12]}.")
        return await landing.land(self.path, target, commit, expected_tip)

    async def _kept(self, made: Squashed | Conflict) -> Squashed | Conflict:
        if isinstance(made, Squashed):
            await self.keep(f"{KEPT}made/{made.commit}", made.commit)
        return made

    async def _is_commit(self, oid: str) -> bool:
        return (await run_git(["cat-file", "-e", f"{oid}^{{commit}}"], git_dir=self.path)).code == 0

    async def _unpack(self, bundle: Path, head: Head, size_max: int) -> None:
        """Index the pack; `--strict` checks every object in it."""
        arguments = ["index-pack", "--stdin", "--fix-thin", "--strict", f"--max-input-size={size_max}"]
        with bundle.open("rb", buffering=0) as file:
            file.seek(head.pack_offset)
            output = await run_git(arguments, git_dir=self.path, stdin=file.fileno())
        if output.code != 0:
            raise GitError(f"The bundle is broken: {output.complaint}.")

    async def _refuse_unfit(self, commit: str, unpacked_max: int) -> None:
        """Check that the commit is whole, and not much larger than it looked."""
        if not await self._is_commit(commit):
            raise GitError("The bundle is broken: its reference names no commit.")
        arguments = ["rev-list", "--objects", "--no-object-names", commit, "--not", "--glob=refs/rung"]
        listed = await run_git(arguments, git_dir=self.path)
        if listed.code != 0:
            raise GitError(f"The bundle is broken: {listed.complaint}.")
        check = ["cat-file", "--batch-check=%(objectsize)", "--buffer"]
        sizes = await ask_git(check, git_dir=self.path, stdin=listed.stdout)
        total = sum(int(size) for size in sizes.stdout.split())
        if total > unpacked_max:
            raise GitError(
                f"The bundle unpacks to {total // 2**20} MiB, more than the {unpacked_max // 2**20} allowed."
            )

    async def _fill(self, commit: str, dest: Path, branch: str | None) -> None:
        await _init(dest, self.object_format)
        git_dir = dest / ".git"
        depth = [] if branch is not None else ["--depth=1"]
        upload = f"--upload-pack={serving('upload-pack')}"
        fetched = "refs/rung/fetched"
        await ask_git([*FETCH, *depth, upload, self.path, f"+{commit}:{fetched}"], git_dir=git_dir)
        if branch is None:
            await ask_git(["update-ref", "--no-deref", "HEAD", commit], git_dir=git_dir)
        else:
            await ask_git(["update-ref", HEADS + branch, commit], git_dir=git_dir)
            await ask_git(["symbolic-ref", "HEAD", HEADS + branch], git_dir=git_dir)
        await ask_git(["update-ref", "-d", fetched], git_dir=git_dir)
        await ask_git([f"--work-tree={dest}", "reset", "--hard", "--quiet"], git_dir=git_dir)


async def _init(dest: Path, object_format: str, *options: str) -> None:
    arguments = ["init", "--quiet", "--template=", f"--object-format={object_format}", *options, str(dest)]
    output = await run_git(["-c", "init.defaultBranch=main", *arguments], cwd=Path("/"))
    if output.code != 0:
        raise GitError(f"A repository cannot be made at {dest}: {output.complaint}.")


async def _create(path: Path, object_format: str) -> None:
    """Make it beside its place and move it there whole, so that nobody ever sees half of one."""
    made = _room_beside(path)
    try:
        await _init(made, object_format, "--bare")
        _move_whole(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _room_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))


def _move_whole(made: Path, path: Path) -> None:
    try:
        made.rename(path)
    except OSError:
        if not (path / "HEAD").is_file():  # unless somebody else was first
            raise


def _is_free(path: Path) -> bool:
    return not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))


def _refuse_foreign(path: Path) -> None:
    if not (path / "HEAD").is_file() or (path / "objects/info/alternates").exists():
        raise GitError(f"{path} is not a quarantine repository; remove it and it will be made anew.")
