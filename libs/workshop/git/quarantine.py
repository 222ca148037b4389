"""The quarantine: one bare repository that Rung owns for each repository it works on."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.workshop.git.bundle import read_head
from libs.workshop.git.command import GitError, NotARepository, ask_git, run_git, serving
from libs.workshop.git.diff import Diff, read_diff, read_patch_id
from libs.workshop.git.integration import PERSON, Authorship, Conflict, Squashed, apply, message_of, tree_of
from libs.workshop.git.landing import Landed, NotLanded, land
from libs.workshop.git.source import Source

CANDIDATE: Final = "refs/heads/rung/candidate"
BUNDLE_MAX: Final = 512 * 2**20
OWN: Final = "rung/"


@dataclass(frozen=True)
class Quarantine:
    git_dir: Path

    @classmethod
    async def open(cls, path: Path) -> "Quarantine":
        if not (path / "HEAD").exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = await run_git(["init", "--quiet", "--bare", "--template=", path], cwd=path.parent)
            if made.code != 0:
                raise GitError(f"The quarantine repository cannot be made: {made.complaint}.")
        return cls(path)

    async def fetch(self, source: Source, commit: str) -> None:
        options = ["-c", "transfer.fsckObjects=false", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]
        pack = f"--upload-pack={serving('upload-pack', 'uploadpack.allowAnySHA1InWant=true')}"
        refspec = f"+{commit}:refs/rung/base/{commit}"
        await ask_git([*options, pack, str(source.git_dir), refspec], git_dir=self.git_dir)

    async def take_bundle(self, bundle: Path, ref: str) -> str:
        head = read_head(bundle, BUNDLE_MAX)
        commit = head.only_tip(CANDIDATE)
        options = ["-c", "transfer.fsckObjects=true", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]
        await ask_git([*options, str(bundle), f"+{CANDIDATE}:{ref}"], git_dir=self.git_dir)
        return commit

    async def clone(self, commit: str, dest: Path, *, branch: str | None) -> None:
        made = await run_git(["init", "--quiet", "--template=", dest], cwd=dest.parent)
        if made.code != 0:
            raise GitError(f"A clone cannot be made: {made.complaint}.")
        pack = f"--upload-pack={serving('upload-pack', 'uploadpack.allowAnySHA1InWant=true')}"
        git_dir = dest / ".git"
        await ask_git(["fetch", "--quiet", "--no-tags", pack, str(self.git_dir), commit], git_dir=git_dir)
        tree = [f"--work-tree={dest}", "checkout", "--quiet", "--force"]
        how = ["-B", branch, commit] if branch else ["--detach", commit]
        await ask_git([*tree, *how], git_dir=git_dir)

    async def read_file(self, commit: str, path: str) -> bytes | None:
        output = await run_git(["cat-file", "blob", f"{commit}:{path}"], git_dir=self.git_dir)
        return output.stdout if output.code == 0 else None

    async def list_files(self, commit: str) -> tuple[str, ...]:
        output = await ask_git(["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit], git_dir=self.git_dir)
        return tuple(os.fsdecode(path) for path in output.stdout.split(b"\0") if path)

    async def tree_of(self, commit: str) -> str:
        return await tree_of(self.git_dir, commit)

    async def parents(self, commit: str) -> tuple[str, ...]:
        output = await ask_git(["rev-list", "--parents", "-n", "1", commit], git_dir=self.git_dir)
        return tuple(output.text.split()[1:])

    async def message(self, commit: str) -> str:
        return await message_of(self.git_dir, commit)

    async def diff(self, base: str, commit: str) -> Diff:
        return await read_diff(self.git_dir, base, commit)

    async def patch_id(self, base: str, commit: str) -> str:
        return await read_patch_id(self.git_dir, base, commit)

    async def squash(
        self, *, tip: str, base: str, candidate: str, message: str, date: int
    ) -> Squashed | Conflict:
        said = Authorship(message, *PERSON, date)
        return await apply(self.git_dir, tip=tip, before=base, after=candidate, said=said)

    async def keep(self, ref: str, commit: str) -> None:
        await ask_git(["update-ref", ref, commit], git_dir=self.git_dir)

    async def publish_branch(self, target: Source, branch: str, commit: str) -> None:
        if not branch.startswith(OWN):
            raise GitError(f"Only branches under {OWN} are Rung's own, not {branch}.")
        pack = f"--receive-pack={serving('receive-pack')}"
        refspec = f"+{commit}:refs/heads/{branch}"
        await ask_git(["push", "--quiet", "--force", pack, str(target.git_dir), refspec], git_dir=self.git_dir)

    async def land(self, target: Source, commit: str, expected_tip: str) -> Landed | NotLanded:
        return await land(self.git_dir, target, commit, expected_tip)


__all__ = ["NotARepository", "Quarantine"]
