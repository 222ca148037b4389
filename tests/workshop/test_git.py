"""Inspecting repositories, judging changes in the quarantine, and making integration commits."""

import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypedDict

import pytest

from libs.workshop.git import (
    Conflict,
    EmptyRepository,
    GitError,
    NotARepository,
    Quarantine,
    Squashed,
    TooLarge,
    inspect,
)
from libs.workshop.git import (
    diff as diffs,
)
from tests.workshop.git_world import Content, bare, commit, git, repository


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return repository(tmp_path / "project")


@pytest.fixture
async def quarantine(tmp_path: Path) -> Quarantine:
    return await Quarantine.open(tmp_path / "state" / "quarantine.git")


class Squash(TypedDict):
    message: str
    date: int


SAID = Squash(message="fix: it", date=1_700_000_000)


Change = Callable[[Mapping[str, Content]], Awaitable[tuple[str, str]]]


@pytest.fixture
def change(project: Path, quarantine: Quarantine) -> Change:
    """Commits files in the project and fetches the commit: its base and itself."""

    async def make(files: Mapping[str, Content]) -> tuple[str, str]:
        base = git(project, "rev-parse", "HEAD")
        made = commit(project, files)
        await quarantine.fetch(await inspect(project), made)
        return base, made

    return make


# Inspecting


async def test_a_repository_is_its_branch_and_tip(project: Path) -> None:
    source = await inspect(project)
    assert (source.path, source.worktree, source.git_dir) == (project, project, project / ".git")
    assert (source.branch, source.tip) == ("main", git(project, "rev-parse", "main"))


async def test_a_named_branch_is_taken_instead_of_the_one_checked_out(project: Path) -> None:
    git(project, "branch", "stable")
    assert (await inspect(project, "stable")).branch == "stable"


async def test_a_bare_repository_has_no_worktree(project: Path, tmp_path: Path) -> None:
    source = await inspect(bare(tmp_path / "bare.git", project))
    assert source.worktree is None
    assert source.git_dir == tmp_path / "bare.git"


async def test_a_linked_worktree_has_its_own_branch_and_the_shared_git_directory(project: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    source = await inspect(tmp_path / "linked")
    assert (source.branch, source.worktree) == ("side", tmp_path / "linked")
    assert source.git_dir == project / ".git"


async def test_a_submodule_is_a_repository_too(project: Path, tmp_path: Path) -> None:
    outer = repository(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(project), "inner")
    source = await inspect(outer / "inner")
    assert source.worktree == outer / "inner"
    assert source.git_dir == outer / ".git/modules/inner"


@pytest.mark.parametrize("name", ["with space", "über-größe", "quote'\"", os.fsdecode(b"latin-\xe9")])
async def test_any_name_of_a_directory_will_do(tmp_path: Path, name: str, quarantine: Quarantine) -> None:
    source = await inspect(repository(tmp_path / name))
    await quarantine.fetch(source, source.tip)
    await quarantine.clone(source.tip, tmp_path / "clones" / name)
    assert (tmp_path / "clones" / name / "README.md").read_text() == "# app\n"


async def test_what_is_no_repository_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, why in (
        (tmp_path, "is not a git repo"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "no", "not exist"),
    ):
        with pytest.raises(NotARepository, match=why):
            await inspect(place)


async def test_a_part_of_a_repository_is_refused_and_its_root_named(project: Path) -> None:
    (project / "sub").mkdir()
    with pytest.raises(NotARepository, match=f"part of the git repository {project}"):
        await inspect(project / "sub")
    with pytest.raises(NotARepository, match="inside the git directory"):
        await inspect(project / ".git/refs")


async def test_a_repository_without_commits_is_empty(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(EmptyRepository, match="no commit yet"):
        await inspect(tmp_path)


async def test_a_detached_head_needs_a_branch_to_be_named(project: Path) -> None:
    git(project, "checkout", "-q", "--detach")
    with pytest.raises(GitError, match="not on a branch"):
        await inspect(project)
    assert (await inspect(project, "main")).branch == "main"


async def test_a_branch_that_is_not_there_is_named(project: Path) -> None:
    with pytest.raises(GitError, match="no branch named 'nowhere'"):
        await inspect(project, "nowhere")


# Quarantine


async def test_a_quarantine_opened_twice_is_the_same(quarantine: Quarantine, project: Path) -> None:
    source = await inspect(project)
    await quarantine.fetch(source, source.tip)
    again = await Quarantine.open(quarantine.path)
    assert await again.tree_of(source.tip) == git(project, "rev-parse", "HEAD^{tree}")


async def test_a_quarantine_that_borrows_objects_is_refused(quarantine: Quarantine) -> None:
    (quarantine.path / "objects/info").mkdir(exist_ok=True)
    (quarantine.path / "objects/info/alternates").write_text("/elsewhere\n")
    with pytest.raises(GitError, match="not a quarantine repository"):
        await Quarantine.open(quarantine.path)


async def test_a_commit_that_no_branch_holds_can_be_fetched(project: Path, quarantine: Quarantine) -> None:
    source = await inspect(project)
    lost = commit(project, {"app.py": "lost\n"})
    git(project, "reset", "-q", "--hard", source.tip)
    await quarantine.fetch(source, lost)
    assert await quarantine.parents(lost) == (source.tip,)


async def test_a_commit_that_is_not_there_cannot_be_fetched(project: Path, quarantine: Quarantine) -> None:
    with pytest.raises(GitError, match="cannot be had"):
        await quarantine.fetch(await inspect(project), "1" * 40)


async def test_a_shallow_repository_can_be_fetched_and_cloned(
    project: Path, quarantine: Quarantine, tmp_path: Path
) -> None:
    commit(project, {"b": "b\n"})
    git(tmp_path, "clone", "-q", "--depth=1", project.as_uri(), "shallow")
    source = await inspect(tmp_path / "shallow")
    await quarantine.fetch(source, source.tip)
    await quarantine.clone(source.tip, tmp_path / "clone", branch="work")
    assert (tmp_path / "clone/b").read_text() == "b\n"


async def test_sha256_repositories_have_a_quarantine_of_their_kind(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "--object-format=sha256", "project")
    commit(tmp_path / "project", {"a": "a\n"})
    source = await inspect(tmp_path / "project")
    quarantine = await Quarantine.open(tmp_path / "q", object_format=source.object_format)
    await quarantine.fetch(source, source.tip)
    assert await quarantine.list_files(source.tip) == ("a",)
    other = await Quarantine.open(tmp_path / "other")
    with pytest.raises(GitError, match="names objects by sha256"):
        await other.fetch(source, source.tip)


async def test_a_clone_for_an_agent_shares_nothing_and_knows_no_remote(
    change: Change, quarantine: Quarantine, tmp_path: Path
) -> None:
    base, made = await change({"b": "b\n"})
    clone = tmp_path / "clone"
    await quarantine.clone(made, clone, branch="work")
    assert git(clone, "rev-parse", "--abbrev-ref", "HEAD") == "work"
    assert git(clone, "rev-list", "HEAD").split() == [made, base]
    assert git(clone, "remote") == ""
    assert git(clone, "for-each-ref", "--format=%(refname)") == "refs/heads/work"
    assert git(clone, "status", "--porcelain") == ""
    assert not (clone / ".git/objects/info/alternates").exists()
    assert {path.stat().st_nlink for path in (clone / ".git/objects").rglob("*") if path.is_file()} == {1}
    said = b"".join(path.read_bytes() for path in (clone / ".git").rglob("*") if path.is_file())
    assert str(quarantine.path).encode() not in said


async def test_a_clone_for_a_look_is_detached_at_the_commit(
    change: Change, quarantine: Quarantine, tmp_path: Path
) -> None:
    base, _ = await change({"b": "b\n"})
    await quarantine.clone(base, tmp_path / "clone")
    assert git(tmp_path / "clone", "rev-parse", "HEAD") == base
    assert not (tmp_path / "clone/b").exists()


async def test_a_clone_does_not_go_where_something_is(change: Change, quarantine: Quarantine, tmp_path: Path) -> None:
    _, made = await change({"b": "b\n"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    with pytest.raises(GitError, match="not empty"):
        await quarantine.clone(made, tmp_path / "full")
    with pytest.raises(GitError, match="failed"):
        await quarantine.clone("1" * 40, tmp_path / "new")
    assert (tmp_path / "full/mine").read_text() == "mine"
    assert not (tmp_path / "new").exists()


async def test_files_are_read_from_the_commit_and_only_regular_ones(
    change: Change, quarantine: Quarantine, project: Path
) -> None:
    (project / "link").symlink_to("/etc/passwd")
    _, made = await change({"dir/[a] *.txt": b"\x00x", "big": "x" * 100})
    assert await quarantine.read_file(made, "dir/[a] *.txt") == b"\x00x"
    for path in ("dir", "nothing", "link", "dir/", "../app.py", "/app.py", ":/app.py", "*.py", "", "a\0b"):
        assert await quarantine.read_file(made, path) is None
    assert await quarantine.read_file(made, "./dir/../app.py") == await quarantine.read_file(made, "app.py") is not None
    with pytest.raises(GitError, match="larger"):
        await quarantine.read_file(made, "big", size_max=10)
    assert await quarantine.list_files(made) == ("README.md", "app.py", "big", "dir/[a] *.txt", "link")


async def test_ancestry_parents_and_message_are_told(change: Change, quarantine: Quarantine, project: Path) -> None:
    base, made = await change({"b": "b\n"})
    assert await quarantine.is_ancestor(base, made)
    assert not await quarantine.is_ancestor(made, base)
    assert await quarantine.parents(made) == (base,)
    assert await quarantine.parents(base) == ()
    assert await quarantine.message(made) == "change"
    with pytest.raises(GitError, match="cannot be compared"):
        await quarantine.is_ancestor(base, "1" * 40)


async def test_only_references_of_rung_are_kept(change: Change, quarantine: Quarantine) -> None:
    _, made = await change({"b": "b\n"})
    await quarantine.keep("refs/rung/run/one", made)
    assert git(quarantine.path, "rev-parse", "refs/rung/run/one") == made
    for ref in ("refs/heads/main", "refs/rung/a..b", "HEAD"):
        with pytest.raises(GitError):
            await quarantine.keep(ref, made)


# Diff


async def test_a_diff_tells_files_counts_and_added_lines(change: Change, quarantine: Quarantine) -> None:
    base, made = await change(
        {"app.py": "zero\none\ntwo\nTHREE\nfour\nfive\nsix", "new.py": "a\nb\n", "README.md": None}
    )
    diff = await quarantine.diff(base, made)
    assert [(file.path, file.status, file.lines_added, file.lines_removed) for file in diff.files] == [
        ("README.md", "D", 0, 1),
        ("app.py", "M", 3, 3),
        ("new.py", "A", 2, 0),
    ]
    assert diff.changed_lines == {"app.py": {1, 4, 7}, "new.py": {1, 2}}
    assert b"+THREE" in diff.patch
    assert diff.refused == ()


async def test_no_rename_is_guessed(change: Change, quarantine: Quarantine) -> None:
    base, made = await change({"README.md": None, "docs.md": "# app\n"})
    assert [(file.path, file.status) for file in (await quarantine.diff(base, made)).files] == [
        ("README.md", "D"),
        ("docs.md", "A"),
    ]


async def test_lines_that_look_like_headers_are_lines(change: Change, quarantine: Quarantine) -> None:
    hostile = "diff --git a/x b/x\n@@ -1,9 +1,9 @@\n-- a/README.md\n++ b/README.md\n\\ No newline at end of file\n"
    base, made = await change({"a.txt": hostile, "b.txt": "1\n2", "c.txt": "x\r\ny\r\n"})
    lines = (await quarantine.diff(base, made)).changed_lines
    assert lines == {"a.txt": {1, 2, 3, 4, 5}, "b.txt": {1, 2}, "c.txt": {1, 2}}
    base, made = await change({"a.txt": hostile.replace("9", "8"), "b.txt": "1\n2\n", "c.txt": "x\r\ny\n"})
    lines = (await quarantine.diff(base, made)).changed_lines
    assert lines == {"a.txt": {2}, "b.txt": {2}, "c.txt": {2}}


async def test_binary_files_and_modes_have_no_lines(change: Change, quarantine: Quarantine, project: Path) -> None:
    (project / "app.py").chmod(0o755)
    base, made = await change({"logo.png": b"\x89PNG\x00\x01\n\x02", "z.py": "z\n"})
    diff = await quarantine.diff(base, made)
    assert [(file.path, file.status, file.lines_added) for file in diff.files] == [
        ("app.py", "M", 0),
        ("logo.png", "A", None),
        ("z.py", "A", 1),
    ]
    assert diff.changed_lines == {"z.py": {1}}


async def test_spaces_and_other_letters_in_names_are_kept(change: Change, quarantine: Quarantine) -> None:
    base, made = await change({"a b/ü ñ.py": "x\n", "quo\"te'.py": "x\n", "back\\slash": "x\n"})
    diff = await quarantine.diff(base, made)
    assert {file.path for file in diff.files} == set(diff.changed_lines) == {"a b/ü ñ.py", "quo\"te'.py", "back\\slash"}
    assert diff.refused == ()


@pytest.mark.parametrize("name", ["tab\there", "line\nfeed", "esc\x1b[31m", os.fsdecode(b"\xff.py"), "\u202egnp.exe"])
async def test_names_that_cannot_be_shown_are_refused(change: Change, quarantine: Quarantine, name: str) -> None:
    base, made = await change({name: "x\n"})
    diff = await quarantine.diff(base, made)
    assert len(diff.refused) == 1
    assert diff.refused[0].isprintable()
    assert len(diff.changed_lines) == 1
    diff.files[0].model_dump_json()


async def test_a_symbolic_link_is_refused_however_it_changes(
    change: Change, quarantine: Quarantine, project: Path
) -> None:
    (project / "link").symlink_to("../../etc/passwd")
    base, made = await change({"a.py": "a\n", "z.py": "z\n"})
    diff = await quarantine.diff(base, made)
    assert diff.refused == ("link is a symbolic link, which no change may add, alter or remove.",)
    (project / "link").unlink()
    base, made = await change({"link": "now a file\n", "z.py": "zz\n"})
    diff = await quarantine.diff(base, made)
    assert len(diff.refused) == 1
    assert diff.changed_lines == {"link": {1}, "z.py": {1}}


async def test_a_submodule_is_refused(change: Change, quarantine: Quarantine, project: Path) -> None:
    repository(project / "inner")
    base, made = await change({})
    assert [sentence[:20] for sentence in (await quarantine.diff(base, made)).refused] == ["inner is a submodule"]


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".git ", ".git.", ".g\u200cit", ".git::$INDEX_ALLOCATION"])
def test_names_that_some_file_system_takes_for_git_are_known(name: str) -> None:
    assert diffs.is_git_like(name)


@pytest.mark.parametrize(
    "name", [".gitignore", ".github", "git", ".gitattributes", "digit~1", ".git-blame-ignore-revs"]
)
def test_names_that_only_begin_alike_are_not(name: str) -> None:
    assert not diffs.is_git_like(name)


async def test_a_long_patch_is_shortened_and_a_huge_one_refused(
    change: Change, quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, made = await change({"long.txt": "line\n" * 1000})
    diff = await quarantine.diff(base, made, patch_max=100)
    assert diff.patch.endswith(b"bytes left out]\n")
    assert len(diff.changed_lines["long.txt"]) == 1000
    monkeypatch.setattr(diffs, "DIFF_MAX", 1000)
    with pytest.raises(TooLarge, match="too large to be judged"):
        await quarantine.diff(base, made)


# Integration commits


async def test_a_squash_on_the_base_has_the_candidates_tree(change: Change, quarantine: Quarantine) -> None:
    base, _ = await change({"app.py": "1\n"})
    _, second = await change({"b.py": "2\n"})
    made = await quarantine.squash(tip=base, base=base, candidate=second, **SAID)
    assert isinstance(made, Squashed)
    assert made.tree == await quarantine.tree_of(second)
    assert await quarantine.parents(made.commit) == (base,)
    assert await quarantine.message(made.commit) == "fix: it"


async def test_equal_squashes_are_the_same_commit(change: Change, quarantine: Quarantine) -> None:
    base, candidate = await change({"app.py": "1\n"})
    made = [await quarantine.squash(tip=base, base=base, candidate=candidate, **SAID) for _ in range(2)]
    other = await quarantine.squash(tip=base, base=base, candidate=candidate, message="fix: it", date=1)
    assert made[0] == made[1] != other


async def test_a_squash_carries_its_author(change: Change, quarantine: Quarantine) -> None:
    base, candidate = await change({"app.py": "1\n"})
    made = await quarantine.squash(
        tip=base,
        base=base,
        candidate=candidate,
        **SAID,
        author_name="Zoë",
        author_email="zoe@example.org",
    )
    assert isinstance(made, Squashed)
    shown = git(quarantine.path, "show", "-s", "--format=%an <%ae> %at %cn %ct", made.commit)
    assert shown == "Zoë <zoe@example.org> 1700000000 Rung 1700000000"


async def _moved(project: Path, quarantine: Quarantine, base: str, files: Mapping[str, Content]) -> str:
    git(project, "checkout", "-q", "-B", "main", base)
    tip = commit(project, files, "meanwhile")
    await quarantine.fetch(await inspect(project), tip)
    return tip


async def test_a_squash_on_a_moved_tip_keeps_both_changes_and_its_patch_id(
    change: Change, quarantine: Quarantine, project: Path
) -> None:
    base, candidate = await change({"app.py": "one\ntwo\nthree\nfour\nfive\nsix\nSEVEN\n"})
    tip = await _moved(
        project, quarantine, base, {"app.py": "0\none\ntwo\nthree\nfour\nfive\nsix\nseven\n", "x": "x\n"}
    )
    made = await quarantine.squash(tip=tip, base=base, candidate=candidate, **SAID)
    assert isinstance(made, Squashed)
    assert await quarantine.read_file(made.commit, "app.py") == b"0\none\ntwo\nthree\nfour\nfive\nsix\nSEVEN\n"
    assert await quarantine.read_file(made.commit, "x") == b"x\n"
    assert await quarantine.parents(made.commit) == (tip,)
    assert await quarantine.patch_id(tip, made.commit) == await quarantine.patch_id(base, candidate)


async def test_a_squash_that_does_not_apply_names_the_paths(
    change: Change, quarantine: Quarantine, project: Path
) -> None:
    base, candidate = await change({"app.py": "mine\n", "ü b.md": "mine\n", "ok": "ok\n"})
    tip = await _moved(project, quarantine, base, {"app.py": "theirs\n", "ü b.md": "theirs\n"})
    made = await quarantine.squash(tip=tip, base=base, candidate=candidate, **SAID)
    assert made == Conflict(("app.py", "ü b.md"))


async def test_a_file_changed_here_and_removed_there_is_a_conflict(
    change: Change, quarantine: Quarantine, project: Path
) -> None:
    base, candidate = await change({"app.py": "mine\n"})
    tip = await _moved(project, quarantine, base, {"app.py": None})
    assert await quarantine.squash(tip=tip, base=base, candidate=candidate, **SAID) == Conflict(("app.py",))


async def test_a_revert_takes_back_a_change_and_leaves_later_ones(
    change: Change, quarantine: Quarantine, project: Path
) -> None:
    base, merged = await change({"app.py": "one\n", "new.py": "x\n"})
    _, tip = await change({"later.py": "y\n"})
    made = await quarantine.revert(tip=tip, base=base, merged=merged, **SAID)
    assert isinstance(made, Squashed)
    assert await quarantine.list_files(made.commit) == ("README.md", "app.py", "later.py")
    assert await quarantine.read_file(made.commit, "app.py") == await quarantine.read_file(base, "app.py")


async def test_a_revert_over_a_later_change_of_the_same_lines_is_a_conflict(
    change: Change, quarantine: Quarantine
) -> None:
    base, merged = await change({"app.py": "one\n"})
    _, tip = await change({"app.py": "two\n"})
    assert await quarantine.revert(tip=tip, base=base, merged=merged, **SAID) == Conflict(("app.py",))


async def test_patch_ids_tell_white_space_names_and_binaries_apart(change: Change, quarantine: Quarantine) -> None:
    base, _ = await change({"x": "y\n"})
    ids = set()
    variants: tuple[dict[str, Content], ...] = (
        {"a.py": "if x:\n    y\n"},
        {"a.py": "if x:\ny\n"},
        {"b.py": "if x:\ny\n"},
        {"a.bin": b"\x00\x01"},
        {"a.bin": b"\x00\x02"},
    )
    for files in variants:
        _, made = await change(files)
        ids.add(await quarantine.patch_id(base, made))
        await change(dict.fromkeys(files))
    assert len(ids) == len(variants)
    assert all(len(name) == hashlib.sha1(b"", usedforsecurity=False).digest_size * 2 for name in ids)
