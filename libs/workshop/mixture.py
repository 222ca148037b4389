"""Commits that are half one and half another, to run one side's tests or runner settings on the other side's code.

They are made in the quarantine's object store and checked out as any commit is, so that no file of a
change is ever written through on the way; nothing refers to them.
"""

import json
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from libs.workshop.git import GitError, Quarantine
from libs.workshop.git.command import ask_git, run_git

CONFTEST: Final = "conftest.py"
RUNNER_NAMES: Final = frozenset(
    {
        *(CONFTEST, "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "setup.cfg", ".coveragerc"),
        *("sitecustomize.py", "usercustomize.py", ".mocharc", ".nycrc", "workflow.yaml"),
    }
)
RUNNER_STARTS: Final = ("jest.config.", "vitest.config.", "vitest.workspace.", "karma.conf.", ".mocharc.", ".nycrc.")
LOCKS: Final = frozenset(
    {
        *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock"),
        *("Pipfile.lock", "pdm.lock", "Cargo.lock", "go.sum", "Gemfile.lock", "composer.lock", "requirements.lock"),
    }
)
"""Put back where the base has them; new ones stay, since a package may need them."""
PARTLY: Final = frozenset({"pyproject.toml", "package.json"})
"""Files of which only some tables say how tests run."""
SCRIPT_TABLES: Final = ("scripts", "jest", "mocha", "vitest", "ava", "nyc", "c8")
DATE: Final = "1700000000 +0000"

Entries = dict[str, str]
"""Mode and object id by path, as `git ls-tree` and `git update-index` spell them."""


def is_runner_file(path: str) -> bool:
    """Whether a file as a whole says how tests are found, run and counted."""
    name = PurePosixPath(path).name
    is_gate = path.startswith("gates/")
    return is_gate or name in RUNNER_NAMES or name.startswith(RUNNER_STARTS) or name.endswith(".pth")


@dataclass(frozen=True)
class Mixer:
    """Mixes commits of one quarantine."""

    quarantine: Quarantine

    async def with_runner_of(self, base: str, commit: str) -> str:
        """The commit under the runner settings of its base; itself if they are the same."""
        ours, theirs = await self._entries(commit), await self._entries(base)
        changed = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
        wanted = {path for path in changed if is_runner_file(path)}
        wanted |= {path for path in changed if PurePosixPath(path).name in LOCKS and path in theirs}
        for path in changed:
            if PurePosixPath(path).name in PARTLY and await self._says_otherwise(base, commit, path):
                wanted.add(path)
        return await self._replaced(commit, {path: theirs.get(path) for path in wanted})

    async def with_files_of(self, source: str, onto: str, is_wanted: Callable[[str], bool], *, drops: bool) -> str:
        """`onto` with the wanted files as they are in `source`; with `drops`, without those that only it has."""
        ours, theirs = await self._entries(onto), await self._entries(source)
        paths = ours.keys() | theirs.keys() if drops else theirs.keys()
        differing = [path for path in paths if ours.get(path) != theirs.get(path) and is_wanted(path)]
        return await self._replaced(onto, {path: theirs.get(path) for path in differing})

    async def changed_files(self, base: str, commit: str) -> list[str]:
        """Paths that differ, in order."""
        ours, theirs = await self._entries(commit), await self._entries(base)
        return sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))

    async def has_file(self, commit: str, path: str) -> bool:
        return path in await self._entries(commit)

    async def _entries(self, commit: str) -> Entries:
        output = await ask_git(["ls-tree", "-r", "-z", "--full-tree", commit], git_dir=self.quarantine.path)
        found: Entries = {}
        for line in output.stdout.split(b"\0"):
            head, tab, path = line.partition(b"\t")
            if tab:
                mode, _, oid = head.decode().split()
                found[path.decode(errors="surrogateescape")] = f"{mode} {oid}"
        return found

    async def _says_otherwise(self, base: str, commit: str, path: str) -> bool:
        """Whether what a file says of the running of tests differs; what cannot be read does."""
        try:
            ours, theirs = [_runner_tables(path, await self.quarantine.read_file(one, path)) for one in (commit, base)]
        except (ValueError, RecursionError):
            return True
        return bool(ours != theirs)

    async def _replaced(self, commit: str, entries: Mapping[str, str | None]) -> str:
        if not entries:
            return commit
        git_dir = self.quarantine.path
        gone = f"0 {'0' * len(commit)}"
        removals = [f"{gone}\t{path}\0" for path, entry in entries.items() if entry is None]
        additions = [f"{entry}\t{path}\0" for path, entry in entries.items() if entry is not None]
        lines = "".join([*removals, *additions]).encode(errors="surrogateescape")
        with tempfile.TemporaryDirectory(prefix="rung-mixture-") as scratch:
            env = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
            await _git(["read-tree", commit], git_dir, env)
            await _git(["update-index", "-z", "--replace", "--index-info"], git_dir, env, lines)
            tree = await _git(["write-tree"], git_dir, env)
        dates = {"GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE}
        return await _git(["commit-tree", tree, "-p", commit], git_dir, dates, b"A mixture for a run of tests\n")


async def _git(arguments: list[str], git_dir: Path, env: Mapping[str, str], stdin: bytes = b"") -> str:
    output = await run_git(arguments, git_dir=git_dir, env=env, stdin=stdin)
    if output.code != 0:
        raise GitError(f"git {arguments[0]} failed: {output.complaint}.")
    return output.text


def _runner_tables(path: str, content: bytes | None) -> Any:
    """Of a file, what says how tests run.

    Raises: ValueError for a file that cannot be read.
    """
    if content is None:
        return {}
    if path.endswith(".json"):
        tree = json.loads(content)
        tables = tree if isinstance(tree, dict) else {}
        return {name: tables[name] for name in SCRIPT_TABLES if name in tables}
    tools = tomllib.loads(content.decode()).get("tool", {})
    return {name: table for name, table in tools.items() if name.startswith(("pytest", "coverage"))}
