"""A good commit broken again on purpose: one small change of a line that it changed.

Which change is drawn by the seed and the commit's own name, so that the same seed gives the same candidates.
Neither lines that tests run nor changes that they notice easily are preferred: what would raise the share
of the caught so would make it worth less. Only texts are left alone where anything else can be changed, since
most texts are for people and no fault. Some seeded changes make no difference at all all the same, and
the share of those that are caught is a low estimate.
"""

import asyncio
import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.workshop.attempt import workspace
from libs.workshop.calibration.candidates import Candidate, Kind
from libs.workshop.calibration.text_mutations import TEXT_MAX, TextMutation, flips, is_code, left_out
from libs.workshop.evidence.paths import is_python_file, is_test_file
from libs.workshop.git import Diff, GitError, Quarantine
from libs.workshop.git.command import ask_git, run_git
from libs.workshop.mixture import is_runner_file
from libs.workshop.mutation import choose
from libs.workshop.mutation_operators import Mutation

DATES: Final = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
"""Equal seeds give equal commits."""
DRAWN_MAX: Final = 40
TEXT: Final = re.compile(r"[bBrRuU]{0,2}[\"']")


@dataclass(frozen=True)
class _Draft:
    """One file of a candidate, changed."""

    path: str
    content: bytes
    line: int
    change: str


async def seeded(quarantine: Quarantine, scratch: Path, good: Candidate, diff: Diff, seed: int) -> Candidate | None:
    """The commit broken again; `None` where none of its changed lines can be changed.

    Raises: GitError.
    """
    lot = f"{seed}:{good.commit}"
    texts = await _texts(quarantine, good, diff)
    python = {path: lines for path, lines in diff.changed_lines.items() if _is_python(path)}
    drafts = [
        draft
        for draft in (await _of_python(quarantine, scratch, good, python, lot), _of_text(texts, diff, lot))
        if draft is not None
    ]
    if not drafts:
        return None
    draft = _weighed(drafts, python, diff, lot)
    commit = await _committed(quarantine, good, draft)
    what = f"{draft.path}:{draft.line}: {draft.change}"
    return Candidate(Kind.SEEDED, commit, good.base, good.origin, what, good.issue_type)


def _is_python(path: str) -> bool:
    return is_python_file(path) and not is_test_file(path) and not is_runner_file(path)


def _share(lot: str) -> float:
    """A number from 0 to 1 that follows from the lot alone."""
    return int.from_bytes(hashlib.sha256(lot.encode(errors="surrogatepass")).digest()[:8], "big") / 2**64


def _weighed(drafts: list[_Draft], python: Mapping[str, frozenset[int]], diff: Diff, lot: str) -> _Draft:
    """Of a draft in Python and one in another language, by how many lines of each were changed."""
    if len(drafts) == 1:
        return drafts[0]
    ours = sum(map(len, python.values()))
    others = len(diff.changed_lines.get(drafts[1].path, ())) or 1
    return drafts[0] if _share(f"{lot}:language") * (ours + others) < ours else drafts[1]


async def _of_python(
    quarantine: Quarantine, scratch: Path, good: Candidate, changed: Mapping[str, frozenset[int]], lot: str
) -> _Draft | None:
    if not changed:
        return None
    with workspace(scratch) as room:
        checkout = room / "checkout"
        await quarantine.clone(good.commit, checkout, branch=None)
        drawn = await asyncio.to_thread(choose, checkout, changed, lot, DRAWN_MAX)
        one = next((mutation for mutation in drawn if not _is_of_text(mutation)), drawn[0] if drawn else None)
        return None if one is None else _Draft(one.path, one.text.encode(one.source.encoding), one.line, one.change)


def _is_of_text(mutation: Mutation) -> bool:
    """Whether only a constant text is changed."""
    said = mutation.source.text[mutation.edit.start : mutation.edit.end]
    return TEXT.match(said) is not None


# -- other languages ----------------------------------------------------------


@dataclass(frozen=True)
class _Text:
    """A changed file of code as it was and as it is; `before` is `None` for a new one."""

    before: str | None
    after: str


async def _texts(quarantine: Quarantine, good: Candidate, diff: Diff) -> dict[str, _Text]:
    found = {}
    for file in diff.files:
        if file.status == "D" or is_python_file(file.path) or is_test_file(file.path) or is_runner_file(file.path):
            continue
        after = await _text(quarantine, good.commit, file.path)
        if after is not None and is_code(file.path, after):
            found[file.path] = _Text(await _text(quarantine, good.base, file.path), after)
    return found


async def _text(quarantine: Quarantine, commit: str, path: str) -> str | None:
    """The text of a file; `None` for one that is none, is too large, or is not there."""
    try:
        content = await quarantine.read_file(commit, path, size_max=TEXT_MAX)
        return content.decode() if content is not None and b"\0" not in content else None
    except (GitError, UnicodeDecodeError):
        return None


def _of_text(texts: Mapping[str, _Text], diff: Diff, lot: str) -> _Draft | None:
    """Where the change has only one part, that is not left out: what is left would be no change."""
    offered = [
        (path, one)
        for path, text in sorted(texts.items())
        for one in _offered(path, text, diff.changed_lines.get(path, frozenset()))
    ]
    is_in_parts = sum(one.is_hunk for _, one in offered) > 1
    fit = [(path, one) for path, one in offered if is_in_parts or not one.is_hunk]
    if not fit:
        return None
    path, chosen = min(fit, key=lambda one: _share(f"{lot}\0{one[0]}\0{one[1].line}\0{one[1].change}"))
    return _Draft(path, chosen.text.encode(), chosen.line, chosen.change)


def _offered(path: str, text: _Text, lines: frozenset[int]) -> Iterator[TextMutation]:
    yield from flips(path, text.after, lines)
    if text.before is not None:
        yield from left_out(text.before, text.after)


# -- the commit ---------------------------------------------------------------


async def _committed(quarantine: Quarantine, good: Candidate, draft: _Draft) -> str:
    """The good commit with one file changed, on the same base; nothing refers to it."""
    git_dir = quarantine.path
    listing = await ask_git(["ls-tree", "-z", "--full-tree", good.commit, "--", draft.path], git_dir=git_dir)
    mode = listing.stdout.split(b" ", 1)[0].decode()
    blob = (await ask_git(["hash-object", "-w", "--stdin"], git_dir=git_dir, stdin=draft.content)).text
    entry = f"{mode} {blob}\t{draft.path}\0".encode(errors="surrogateescape")
    with tempfile.TemporaryDirectory(prefix="rung-seed-") as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        await _git(["read-tree", good.commit], git_dir, index)
        await _git(["update-index", "-z", "--index-info"], git_dir, index, entry)
        tree = await _git(["write-tree"], git_dir, index)
    return await _git(["commit-tree", tree, "-p", good.base], git_dir, DATES, b"A change made to be caught\n")


async def _git(arguments: list[str], git_dir: Path, env: Mapping[str, str], stdin: bytes = b"") -> str:
    output = await run_git(arguments, git_dir=git_dir, env=env, stdin=stdin)
    if output.code != 0:
        raise GitError(f"git {arguments[0]} failed: {output.complaint}.")
    return output.text
