"""What landed on a branch, and what of it was taken back later.

Theory: a commit was taken back when a later one says so ("This reverts commit ..."), or does exactly
the inverse. What a taken back revert took back stands again, so the question is asked of the revert
first, which is newer, and so on. Of a merge, what any of its own commits did counts as the merge's;
what was taken back inside one merge never landed alone, and says nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from libs.workshop.git import GitError, Quarantine
from libs.workshop.git.command import ask_git

REVERTS: Final = re.compile(r"\bThis reverts commit ([0-9a-f]{7,64})\b")
REVERTS_REQUEST: Final = re.compile(r"^Reverts (?:[\w.-]+/[\w.-]+)?#(\d+)\b", re.MULTILINE)
"""As forges say it of a whole pull request, whose number its commit has in its subject."""
FORMAT: Final = "--format=%H%n%P%n%B"
FIX: Final = re.compile(r"(hotfix|bugfix|fix|bug)(\([^)]*\))?!?:", re.IGNORECASE)

Reverters = Mapping[str, set[str]]
"""Commits by the one that each of them takes back."""


@dataclass(frozen=True)
class Landed:
    """One commit of the branch, as it came there; `reverted_by` is the later one that took it back."""

    commit: str
    parents: tuple[str, ...]
    message: str
    reverted_by: str | None = None

    @property
    def base(self) -> str | None:
        """What it landed on; `None` for the first commit."""
        return self.parents[0] if self.parents else None

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]

    @property
    def issue_type(self) -> str:
        """Of what type its issue was, as far as the message says so in the usual way; "" where it does not."""
        return "bug" if FIX.match(self.subject) else ""


async def landed(quarantine: Quarantine, tip: str, last: int) -> list[Landed]:
    """The newest commits of a branch by its first parents, newest first, and which of them were taken back.

    Raises: GitError.
    """
    found = await _read(quarantine, f"--max-count={last}", "--first-parent", tip)
    owners = await _owners(quarantine, found)
    reverters = _merged(await _by_message(quarantine, found, owners), await _by_patch(quarantine, found))
    return list(_with_reverts(found, owners, reverters))


async def _read(quarantine: Quarantine, *options: str) -> list[Landed]:
    arguments = ["log", "-z", "--no-show-signature", FORMAT, *options, "--"]
    output = await ask_git(arguments, git_dir=quarantine.path)
    records = (record for record in output.stdout.decode(errors="replace").split("\0") if record)
    split = (record.split("\n", 2) for record in records)
    return [Landed(commit, tuple(parents.split()), message) for commit, parents, message in split]


async def _owners(quarantine: Quarantine, found: Sequence[Landed]) -> dict[str, str]:
    """Of every commit in the range, the one by which it came to the branch; itself for most."""
    owners = {one.commit: one.commit for one in found}
    for one in found:
        if len(one.parents) > 1:
            brought = await _read(quarantine, one.commit, f"^{one.parents[0]}")
            owners |= {inner.commit: one.commit for inner in brought}
    return owners


async def _by_message(quarantine: Quarantine, found: Sequence[Landed], owners: Mapping[str, str]) -> Reverters:
    """Reverts that name what they take back, of commits that landed before them."""
    if not found:
        return {}
    places = {one.commit: place for place, one in enumerate(found)}
    oldest = [f"^{parent}" for parent in found[-1].parents]
    reverters: defaultdict[str, set[str]] = defaultdict(set)
    for later in await _read(quarantine, found[0].commit, *oldest):
        for meant in _named(later.message, found, owners):
            if later.commit in owners and places[owners[later.commit]] < places[owners[meant]]:
                reverters[meant].add(later.commit)
    return reverters


def _named(message: str, found: Sequence[Landed], owners: Mapping[str, str]) -> Iterator[str]:
    """The commits that a message says it takes back; none for a name that fits several."""
    for name in REVERTS.findall(message):
        fits = [commit for commit in owners if commit.startswith(name)]
        yield from fits if len(fits) == 1 else ()
    for number in REVERTS_REQUEST.findall(message):
        as_merge, as_squash = f"Merge pull request #{number} ", f"(#{number})"
        fits = [one.commit for one in found if one.subject.startswith(as_merge) or one.subject.endswith(as_squash)]
        yield from fits if len(fits) == 1 else ()


async def _by_patch(quarantine: Quarantine, found: Sequence[Landed]) -> Reverters:
    """Commits whose inverse landed later, whatever they say."""
    reverters: defaultdict[str, set[str]] = defaultdict(set)
    later: dict[str, str] = {}
    for one in found:
        if one.base is None:
            continue
        done, inverse = await _patch(quarantine, one.base, one.commit), await _patch(quarantine, one.commit, one.base)
        if inverse in later:
            reverters[one.commit].add(later[inverse])
        if done is not None:
            later[done] = one.commit
    return reverters


async def _patch(quarantine: Quarantine, base: str, commit: str) -> str | None:
    """The name of a change; `None` for one that changes nothing, or is too large to be named."""
    try:
        if await quarantine.tree_of(base) == await quarantine.tree_of(commit):
            return None
        return await quarantine.patch_id(base, commit)
    except GitError:
        return None


def _merged(*all_of: Reverters) -> Reverters:
    merged: defaultdict[str, set[str]] = defaultdict(set)
    for reverters in all_of:
        for commit, others in reverters.items():
            merged[commit] |= others
    return merged


def _with_reverts(found: Sequence[Landed], owners: Mapping[str, str], reverters: Reverters) -> Iterator[Landed]:
    """Newest first, so that it is known of every revert whether it stands."""
    inner: defaultdict[str, list[str]] = defaultdict(list)
    for commit, owner in owners.items():
        inner[owner].append(commit)
    gone: set[str] = set()
    for one in found:
        by = None
        for commit in (one.commit, *inner[one.commit]):
            standing = [other for other in reverters.get(commit, ()) if not {other, owners[other]} & gone]
            if standing:
                gone.add(commit)
                by = by or owners[min(standing)]
        yield replace(one, reverted_by=by)
