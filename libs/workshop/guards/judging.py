"""What a change does to pass rather than to be right: asked of its text alone, nothing is run.

Each guard is honest work somewhere, so each has a code of its own and names its places, and a
person may override what it says. Files are read from git, base and candidate, so nothing that an
agent left beside its commit is believed.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from libs.contracts.evidence import Problem
from libs.workshop.evidence.paths import is_python_file, is_test_file
from libs.workshop.git import Diff, Quarantine
from libs.workshop.git.command import ask_git
from libs.workshop.guards.alteration import Alteration, problem, with_renames
from libs.workshop.guards.dependencies import dependencies_changed
from libs.workshop.guards.faking import faked_equality
from libs.workshop.guards.literals import Suspect, special_cased, suspects, texts_with
from libs.workshop.guards.runner import runner_changed
from libs.workshop.guards.runtime import patched_runtime
from libs.workshop.guards.suppressions import suppressions_added

TEXT_MAX: Final = 2 * 2**20
"""A longer file is no source that people read; a changed one of Python that long is said not to have been read."""
TESTS_MAX: Final = 3000
TEXTS_MAX: Final = 32 * 2**20


@dataclass(frozen=True)
class Tests:
    """Texts of a repository's tests, by path, before a change and after it."""

    __test__ = False

    before: Mapping[str, str]
    after: Mapping[str, str]


NO_TESTS: Final = Tests({}, {})


async def guard(
    quarantine: Quarantine, base: str, commit: str, diff: Diff, commands: Iterable[str]
) -> tuple[Problem, ...]:
    """What the guards say of the change from `base` to `commit`; `commands` run the repository's tests and analysers.

    Raises: GitError.
    """
    paths = [file.path for file in diff.files]
    before, after = await _texts(quarantine, base, paths), await _texts(quarantine, commit, paths)
    alterations = [Alteration(path, before.get(path), after.get(path)) for path in paths]
    asked = await asyncio.to_thread(answered_suspects, alterations)
    tests = await _tests(quarantine, base, commit) if asked else NO_TESTS
    found = await asyncio.to_thread(judge, alterations, tests, commands)
    return (*found, *_unread(alterations, diff))


def judge(changed: Sequence[Alteration], tests: Tests = NO_TESTS, commands: Iterable[str] = ()) -> tuple[Problem, ...]:
    """All guards over both versions of each changed file."""
    alterations = with_renames(changed)
    code = [one for one in alterations if one.after is not None and not is_test_file(one.path)]
    python = [one for one in code if one.is_python]
    return (
        *suppressions_added(alterations),
        *runner_changed(alterations, commands),
        *dependencies_changed(alterations),
        *_special_cases(python, tests),
        *_told("equality_faked", python, faked_equality, "The change makes objects equal to anything"),
        *_told("runtime_patched", code, patched_runtime, "The change alters or watches what runs it"),
    )


def answered_suspects(changed: Sequence[Alteration]) -> list[Suspect]:
    """New comparisons with constants, for which the tests have to be read."""
    python = (one for one in with_renames(changed) if one.after is not None and one.is_python)
    return [suspect for one in python if not is_test_file(one.path) for suspect in suspects(one)]


def _special_cases(python: Iterable[Alteration], tests: Tests) -> Iterator[Problem]:
    found = [suspect for one in python for suspect in suspects(one)]
    if found and (tests.before or tests.after):
        old, new = (texts_with(found, texts).values() for texts in (tests.before, tests.after))
        places = special_cased(found, old, new)
        yield from problem("special_cased", places, "The change compares with what the tests give it")


def _told(
    code: str, alterations: Iterable[Alteration], look: Callable[[Alteration], list[str]], said: str
) -> Iterator[Problem]:
    yield from problem(code, [place for one in alterations for place in look(one)], said)


# -- from git -----------------------------------------------------------------


async def _tests(quarantine: Quarantine, base: str, commit: str) -> Tests:
    """Python tests of both commits; at most so many as a person could still look through."""
    before, after = [await _test_files(quarantine, one) for one in (base, commit)]
    return Tests(await _texts(quarantine, base, before), await _texts(quarantine, commit, after))


async def _test_files(quarantine: Quarantine, commit: str) -> list[str]:
    listed = await quarantine.list_files(commit)
    return [path for path in listed if is_python_file(path) and is_test_file(path)][:TESTS_MAX]


async def _texts(quarantine: Quarantine, commit: str, paths: Iterable[str]) -> dict[str, str]:
    """Files of a commit that are texts of a length that people read."""
    named = [path for path in paths if path.isprintable()]
    sizes = await _asked(quarantine, "--batch-check=%(objecttype) %(objectsize)", commit, named)
    checked = zip(named, sizes.decode(errors="replace").splitlines(), strict=True)
    wanted = list(_readable(checked))
    data = await _asked(quarantine, "--batch", commit, wanted)
    return dict(_contents(wanted, data))


def _readable(checked: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Paths of blobs, up to what may be read in all."""
    total = 0
    for path, said in checked:
        kind, _, size = said.partition(" ")
        if kind == "blob" and int(size) <= TEXT_MAX and total + int(size) <= TEXTS_MAX:
            total += int(size)
            yield path


async def _asked(quarantine: Quarantine, how: str, commit: str, paths: Sequence[str]) -> bytes:
    if not paths:
        return b""
    names = "".join(f"{commit}:{path}\n" for path in paths).encode()
    return (await ask_git(["cat-file", how, "--buffer"], git_dir=quarantine.path, stdin=names)).stdout


def _contents(paths: Iterable[str], data: bytes) -> Iterator[tuple[str, str]]:
    place = 0
    for path in paths:
        head, _, _ = data[place : place + 200].partition(b"\n")
        size = int(head.rpartition(b" ")[2])
        start = place + len(head) + 1
        place = start + size + 1
        content = data[start : start + size]
        if b"\0" not in content:
            yield path, content.decode(errors="replace")


def _unread(alterations: Iterable[Alteration], diff: Diff) -> Iterator[Problem]:
    """Python of the candidate that no guard could read."""
    there = {file.path for file in diff.files if file.status != "D"}
    unread = [one.path for one in alterations if one.path in there and one.is_python and one.after is None]
    yield from problem("guards_unread", unread, "The change holds Python that is too long, or no text, to be read")
