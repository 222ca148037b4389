"""What a hostile agent may leave behind: it ends refused, or harmless, and never runs on the trusted side."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.workshop.git import (
    BUNDLE,
    CANDIDATE_REF,
    NOTHING_CHANGED,
    GitError,
    Landed,
    Quarantine,
    Source,
    Squashed,
    inspect,
    leave_argv,
)
from libs.workshop.sandbox import Finished, Mount, Sandbox
from tests.workshop.git_world import Content, commit, git, repository, write


class Workplace:
    """A project, its quarantine, and the clone that an agent works in."""

    def __init__(self, room: Path, source: Source, quarantine: Quarantine) -> None:
        self.source = source
        self.quarantine = quarantine
        self.clone = room / "clone"
        self.out = room / "out"
        self.ran = room / "ran"
        self.script = room / "script"
        self.bundle = self.out / Path(BUNDLE).name

    async def leave(self) -> Finished:
        """What Rung runs in the sandbox once the agent is gone."""
        mounts = [Mount(self.clone, "/work", is_writable=True), Mount(self.out, "/out", is_writable=True)]
        return await Sandbox().run(leave_argv(self.source.tip), mounts=mounts)

    async def taken(self) -> str:
        left = await self.leave()
        assert left.is_ok, left.stderr
        return await self.quarantine.take_bundle(self.bundle)

    async def refused(self) -> tuple[str, ...]:
        return (await self.quarantine.diff(self.source.tip, await self.taken())).refused

    async def used(self, commit_id: str) -> None:
        """All that the trusted side ever does with a candidate."""
        tip = self.source.tip
        await self.quarantine.diff(tip, commit_id)
        await self.quarantine.patch_id(tip, commit_id)
        await self.quarantine.clone(commit_id, self.clone.parent / "look")
        await self.quarantine.read_file(commit_id, "app.py")
        made = await self.quarantine.squash(tip=tip, base=tip, candidate=commit_id, message="x", date=1)
        assert isinstance(made, Squashed)
        assert isinstance(await self.quarantine.land(self.source, made.commit, tip), Landed)


@pytest.fixture
async def place(tmp_path: Path) -> Workplace:
    source = await inspect(repository(tmp_path / "project"))
    quarantine = await Quarantine.open(tmp_path / "quarantine.git")
    await quarantine.fetch(source, source.tip)
    workplace = Workplace(tmp_path, source, quarantine)
    await quarantine.clone(source.tip, workplace.clone, branch="work")
    workplace.out.mkdir()
    workplace.script.write_text(f"#!/bin/sh\ntouch '{workplace.ran}'\ncat\n")
    workplace.script.chmod(0o755)
    return workplace


# What an agent leaves in good faith


async def test_files_that_are_left_become_one_commit_on_the_base(place: Workplace) -> None:
    write(place.clone, {"app.py": "new\n", "sub dir/ü.py": "x\n", "README.md": None, "bin/run": "#!/bin/sh\n"})
    (place.clone / "bin/run").chmod(0o755)
    commit_id = await place.taken()
    assert await place.quarantine.parents(commit_id) == (place.source.tip,)
    assert await place.quarantine.list_files(commit_id) == ("app.py", "bin/run", "sub dir/ü.py")
    assert "100755" in git(place.quarantine.path, "ls-tree", commit_id, "bin/run")


async def test_nothing_left_is_told_apart_from_failure(place: Workplace) -> None:
    left = await place.leave()
    assert left.exit_code == NOTHING_CHANGED
    assert not place.bundle.exists()


async def test_a_change_and_its_undoing_are_nothing(place: Workplace) -> None:
    commit(place.clone, {"app.py": "new\n"})
    git(place.clone, "revert", "--no-edit", "HEAD")
    assert (await place.leave()).exit_code == NOTHING_CHANGED


async def test_own_commits_of_the_agent_are_kept_with_the_leftovers(place: Workplace) -> None:
    first = commit(place.clone, {"app.py": "1\n"})
    git(place.clone, "checkout", "-q", "-b", "another/branch")
    write(place.clone, {"left.py": "x\n"})
    commit_id = await place.taken()
    assert await place.quarantine.parents(commit_id) == (first,)
    assert "left.py" in await place.quarantine.list_files(commit_id)


async def test_ignored_files_and_droppings_of_tools_stay_behind(place: Workplace) -> None:
    droppings: dict[str, Content] = {
        "pkg/__pycache__/a.pyc": b"x",
        ".coverage": b"x",
        ".aider.chat.history.md": "x",
        "build/x": "x",
    }
    write(place.clone, {".gitignore": "build/\n", "pkg/a.py": "x\n", **droppings})
    files = await place.quarantine.list_files(await place.taken())
    assert files == (".gitignore", "README.md", "app.py", "pkg/a.py")


async def test_a_lock_that_was_left_does_not_matter(place: Workplace) -> None:
    write(
        place.clone, {"app.py": "new\n", ".git/index.lock": "", ".git/refs/heads/work.lock": "", ".git/HEAD.lock": ""}
    )
    assert await place.quarantine.read_file(await place.taken(), "app.py") == b"new\n"


async def test_an_index_that_is_broken_is_made_anew(place: Workplace) -> None:
    write(place.clone, {"app.py": "new\n", ".git/index": b"broken"})
    assert await place.quarantine.read_file(await place.taken(), "app.py") == b"new\n"


async def test_an_unreadable_file_is_taken_all_the_same(place: Workplace) -> None:
    write(place.clone, {"locked/new.py": "x\n"})
    (place.clone / "locked/new.py").chmod(0)
    assert await place.quarantine.read_file(await place.taken(), "locked/new.py") == b"x\n"


async def test_a_head_that_left_the_base_is_put_on_it(place: Workplace) -> None:
    git(place.clone, "checkout", "-q", "--orphan", "fresh")
    write(place.clone, {"app.py": "fresh\n"})
    commit_id = await place.taken()
    assert await place.quarantine.parents(commit_id) == (place.source.tip,)
    assert await place.quarantine.read_file(commit_id, "app.py") == b"fresh\n"


async def test_a_conflict_that_was_left_is_taken_as_it_stands(place: Workplace) -> None:
    git(place.clone, "checkout", "-q", "-b", "side")
    commit(place.clone, {"app.py": "side\n"})
    git(place.clone, "checkout", "-q", "work")
    commit(place.clone, {"app.py": "work\n"})
    with pytest.raises(AssertionError, match="CONFLICT"):
        git(place.clone, "merge", "side")
    assert b"<<<<<<<" in (await place.quarantine.read_file(await place.taken(), "app.py") or b"")


async def test_a_repository_that_is_gone_is_told_in_a_sentence(place: Workplace) -> None:
    write(place.clone, {"app.py": "new\n"})
    (place.clone / ".git").rename(place.out / "stolen")
    left = await place.leave()
    assert left.exit_code not in {0, NOTHING_CHANGED}
    assert b"The agent's repository cannot be used" in left.stderr.splitlines()[-1]


async def test_a_repository_whose_objects_are_gone_is_told_in_a_sentence(place: Workplace) -> None:
    write(place.clone, {"app.py": "new\n"})
    for pack in (place.clone / ".git/objects").rglob("*"):
        if pack.is_file():
            pack.unlink()
    left = await place.leave()
    assert left.exit_code not in {0, NOTHING_CHANGED}
    assert b"The agent's repository cannot be used" in left.stderr.splitlines()[-1]


@pytest.mark.parametrize("config", ["[core]\n\tbare = true\n", "broken", ""])
async def test_settings_that_are_spoilt_do_not_matter(place: Workplace, config: str) -> None:
    write(place.clone, {"app.py": "new\n", ".git/config": config})
    assert await place.quarantine.read_file(await place.taken(), "app.py") == b"new\n"


# What it leaves in bad faith


def _hooks(place: Workplace) -> None:
    for name in ("pre-commit", "post-commit", "post-checkout", "reference-transaction", "post-index-change"):
        write(place.clone, {f".git/hooks/{name}": place.script.read_text()})
        (place.clone / ".git/hooks" / name).chmod(0o755)
    git(place.clone, "config", "core.hooksPath", ".git/hooks")


def _monitor(place: Workplace) -> None:
    git(place.clone, "config", "core.fsmonitor", str(place.script))


def _filters(place: Workplace) -> None:
    write(
        place.clone,
        {".gitattributes": "* filter=evil diff=evil merge=evil text eol=crlf working-tree-encoding=UTF-8\n"},
    )
    for key in (
        "filter.evil.clean",
        "filter.evil.smudge",
        "diff.evil.textconv",
        "diff.evil.command",
        "merge.evil.driver",
    ):
        git(place.clone, "config", key, str(place.script))
    git(place.clone, "config", "diff.external", str(place.script))


def _aliases_and_signing(place: Workplace) -> None:
    for key in ("gpg.program", "core.editor", "core.pager", "core.sshCommand", "credential.helper", "core.askPass"):
        git(place.clone, "config", key, str(place.script))
    git(place.clone, "config", "commit.gpgSign", "true")
    git(place.clone, "config", "alias.add", f"!{place.script}")
    git(place.clone, "config", "include.path", str(place.script))


def _hidden_bare_repository(place: Workplace) -> None:
    write(
        place.clone,
        {
            "hidden/HEAD": "ref: refs/heads/main\n",
            "hidden/config": f"[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = {place.script}\n",
            "hidden/objects/x": "",
            "hidden/refs/x": "",
        },
    )


def _replaced_objects(place: Workplace) -> None:
    innocent = git(place.clone, "rev-parse", "HEAD")
    commit(place.clone, {"app.py": "evil\n"})
    git(place.clone, "replace", git(place.clone, "rev-parse", "HEAD"), innocent)


HARMLESS = [_hooks, _monitor, _filters, _aliases_and_signing, _hidden_bare_repository, _replaced_objects]


@pytest.mark.parametrize("attack", HARMLESS)
async def test_nothing_of_the_agents_ever_runs_on_the_trusted_side(
    place: Workplace, attack: Callable[[Workplace], None]
) -> None:
    write(place.clone, {"app.py": "evil\n"})
    attack(place)
    place.ran.unlink(missing_ok=True)
    commit_id = await place.taken()
    await place.used(commit_id)
    assert not place.ran.exists()
    assert await place.quarantine.read_file(commit_id, "app.py") == b"evil\n"
    assert (place.source.path / "app.py").read_bytes().strip() == b"evil"


async def test_a_link_out_of_the_tree_is_refused(place: Workplace) -> None:
    (place.clone / "way").symlink_to("/etc")
    assert await place.refused() == ("way is a symbolic link, which no change may add, alter or remove.",)


async def test_a_repository_in_a_folder_is_refused_as_a_submodule(place: Workplace) -> None:
    repository(place.clone / "vendored")
    assert await place.refused() == ("vendored is a submodule, which no change may add, alter or remove.",)


def _tree_with(place: Workplace, mode: str, name: str) -> None:
    """Commit a tree that git itself would not make."""
    blob = git(place.clone, "hash-object", "-w", "app.py")
    raw = place.clone / "raw"
    raw.write_bytes(f"{mode} {name}\0".encode() + bytes.fromhex(blob))
    tree = git(place.clone, "hash-object", "--literally", "-w", "-t", "tree", "raw")
    raw.unlink()
    made = git(place.clone, "commit-tree", tree, "-p", "HEAD", "-m", "x")
    git(place.clone, "update-ref", CANDIDATE_REF, made)
    git(place.clone, "bundle", "create", "-q", str(place.bundle), f"HEAD..{CANDIDATE_REF}")


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", "..", ".", "a/b", ".git\u200c"])
async def test_trees_that_git_would_not_make_are_refused(place: Workplace, name: str) -> None:
    _tree_with(place, "100644", name)
    with pytest.raises(GitError, match="The bundle is broken"):
        await place.quarantine.take_bundle(place.bundle)
    assert git(place.quarantine.path, "for-each-ref", "refs/rung/taken") == ""


async def test_a_hostile_gitmodules_is_refused(place: Workplace) -> None:
    write(place.clone, {".gitmodules": '[submodule "../../x"]\n\tpath = x\n\turl = -u./evil\n'})
    with pytest.raises(GitError, match="gitmodules"):
        await place.taken()


# Bundles


async def _good_bundle(place: Workplace) -> bytes:
    write(place.clone, {"app.py": "new\n", "big.bin": os.urandom(5000)})
    assert (await place.leave()).is_ok
    return place.bundle.read_bytes()


async def test_a_bundle_is_kept_where_it_is_asked_for(place: Workplace) -> None:
    await _good_bundle(place)
    commit_id = await place.quarantine.take_bundle(place.bundle, "refs/rung/run-1/build-1")
    assert git(place.quarantine.path, "rev-parse", "refs/rung/run-1/build-1") == commit_id
    assert await place.quarantine.take_bundle(place.bundle, "refs/rung/run-1/build-1") == commit_id


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda good: b"", "not a git bundle"),
        (lambda good: b"junk" * 100, "not a git bundle"),
        (lambda good: good[: len(good) // 2], "broken"),
        (lambda good: good[:30], "broken"),
        (lambda good: good[:-20] + bytes(20), "broken"),
        (lambda good: good.replace(b"PACK", b"JUNK"), "broken"),
        (lambda good: good.replace(CANDIDATE_REF.encode(), b"refs/heads/main"), "must hold exactly"),
        (lambda good: good.replace(b"\n\nPACK", b"\n" + b"1" * 40 + b" refs/heads/x\n\nPACK"), "must hold exactly"),
        (lambda good: good.replace(b"\n-", b"\n-" + b"1" * 40 + b" x\n-", 1), "builds on 111111111111"),
        (lambda good: good.replace(b"# v2", b"# v9"), "not a git bundle"),
        (lambda good: good.replace(b"# v2 git bundle\n", b"# v3 git bundle\n@filter=blob:none\n"), "capability"),
        (lambda good: good.replace(b"# v2 git bundle\n", b"# v3 git bundle\n@object-format=sha256\n"), "sha256"),
        (lambda good: b"# v2 git bundle\n" + b"-" + b"x" * 100_000, "broken"),
    ],
)
async def test_a_spoilt_bundle_is_refused_and_leaves_no_trace(
    place: Workplace, spoil: Callable[[bytes], bytes], why: str
) -> None:
    place.bundle.write_bytes(spoil(await _good_bundle(place)))
    with pytest.raises(GitError, match=why):
        await place.quarantine.take_bundle(place.bundle)
    assert git(place.quarantine.path, "for-each-ref", "refs/rung/taken") == ""


async def test_a_bundle_whose_tip_is_not_in_it_is_refused(place: Workplace) -> None:
    good = await _good_bundle(place)
    tip = git(place.clone, "rev-parse", "HEAD")
    place.bundle.write_bytes(good.replace(tip.encode(), b"2" * 40))
    with pytest.raises(GitError, match="names no commit"):
        await place.quarantine.take_bundle(place.bundle)


async def test_a_bundle_for_another_history_is_refused(place: Workplace, tmp_path: Path) -> None:
    await _good_bundle(place)
    other = await Quarantine.open(tmp_path / "other.git")
    with pytest.raises(GitError, match="not known here"):
        await other.take_bundle(place.bundle)


async def test_a_bundle_too_large_packed_or_unpacked_is_refused(place: Workplace) -> None:
    write(place.clone, {"bomb": b"\0" * 2_000_000})
    assert (await place.leave()).is_ok
    with pytest.raises(GitError, match="unpacks to"):
        await place.quarantine.take_bundle(place.bundle, unpacked_max=1_000_000)
    with pytest.raises(GitError, match="larger"):
        await place.quarantine.take_bundle(place.bundle, size_max=100)


async def test_a_link_or_nothing_in_the_place_of_a_bundle_is_refused(place: Workplace) -> None:
    await _good_bundle(place)
    place.bundle.rename(place.out / "real")
    with pytest.raises(GitError, match="no bundle"):
        await place.quarantine.take_bundle(place.bundle)
    place.bundle.symlink_to(place.out / "real")
    with pytest.raises(GitError, match="no bundle"):
        await place.quarantine.take_bundle(place.bundle)


async def test_hidden_replacements_in_the_users_repository_do_not_mislead(place: Workplace) -> None:
    project = place.source.path
    evil = commit(project, {"app.py": "evil\n"})
    good = git(project, "rev-parse", "HEAD~1")
    git(project, "replace", evil, good)
    await place.quarantine.fetch(await inspect(project), evil)
    assert await place.quarantine.read_file(evil, "app.py") == b"evil\n"
