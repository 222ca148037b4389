"""Landing on the user's branch: reference, index and files move together, or nothing moves at all."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from libs.workshop.git import GitError, Landed, NotLanded, Quarantine, Source, inspect
from tests.workshop.git_world import bare, commit, git, repository, snapshot, write


@pytest.fixture
async def quarantine(tmp_path: Path) -> Quarantine:
    return await Quarantine.open(tmp_path / "quarantine.git")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return repository(tmp_path / "a project")


async def _change(quarantine: Quarantine, project: Path, tmp_path: Path) -> tuple[Source, str]:
    """A change of the project's main branch that lies in the quarantine only."""
    source = await inspect(project, "main")
    await quarantine.fetch(source, source.tip)
    clone = tmp_path / "worked"
    await quarantine.clone(source.tip, clone, branch="work")
    made = commit(clone, {"app.py": "changed\n", "pkg/new.py": "new\n", "README.md": None})
    await quarantine.fetch(await inspect(clone), made)
    return source, made


async def test_a_bare_repository_moves_its_branch(quarantine: Quarantine, project: Path, tmp_path: Path) -> None:
    target = bare(tmp_path / "bare.git", project)
    source, made = await _change(quarantine, target, tmp_path)
    assert await quarantine.land(source, made, source.tip) == Landed(made)
    assert git(target, "rev-parse", "main") == made


async def test_a_branch_that_nobody_has_checked_out_moves(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    git(project, "checkout", "-q", "-b", "other")
    write(project, {"app.py": "busy on another branch\n"})
    before = snapshot(project)
    source, made = await _change(quarantine, project, tmp_path)
    assert await quarantine.land(source, made, source.tip) == Landed(made)
    assert git(project, "rev-parse", "main") == made
    assert snapshot(project) == before


async def test_a_clean_checkout_moves_along(quarantine: Quarantine, project: Path, tmp_path: Path) -> None:
    write(project, {"notes.txt": "untracked and out of the way\n"})
    source, made = await _change(quarantine, project, tmp_path)
    assert await quarantine.land(source, made, source.tip) == Landed(made, project)
    assert git(project, "rev-parse", "main") == made
    assert git(project, "status", "--porcelain") == "?? notes.txt"
    assert (project / "app.py").read_text() == "changed\n"
    assert (project / "pkg/new.py").read_text() == "new\n"
    assert not (project / "README.md").exists()


async def test_a_checkout_reached_through_a_link_moves_along(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "short").symlink_to(project)
    source, made = await _change(quarantine, tmp_path / "short", tmp_path)
    landed = await quarantine.land(source, made, source.tip)
    assert isinstance(landed, Landed)
    assert git(project, "status", "--porcelain") == ""
    assert (project / "app.py").read_text() == "changed\n"


async def test_a_linked_worktree_moves_along(quarantine: Quarantine, project: Path, tmp_path: Path) -> None:
    git(project, "checkout", "-q", "-b", "other")
    git(project, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    source, made = await _change(quarantine, project, tmp_path)
    assert await quarantine.land(source, made, source.tip) == Landed(made, tmp_path / "linked")
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    assert (tmp_path / "linked/app.py").read_text() == "changed\n"
    assert git(project, "status", "--porcelain") == ""


async def test_a_worktree_of_a_bare_repository_moves_along(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    target = bare(tmp_path / "bare.git", project)
    git(target, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    source, made = await _change(quarantine, target, tmp_path)
    assert await quarantine.land(source, made, source.tip) == Landed(made, tmp_path / "linked")
    assert git(tmp_path / "linked", "status", "--porcelain") == ""


async def test_a_worktree_whose_directory_is_gone_holds_nothing_up(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    git(project, "checkout", "-q", "-b", "other")
    git(project, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    (tmp_path / "linked").rename(tmp_path / "elsewhere")
    source, made = await _change(quarantine, project, tmp_path)
    assert await quarantine.land(source, made, source.tip) == Landed(made)


async def test_a_submodule_is_landed_on_unless_its_files_would_stay_behind(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    outer = repository(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(project), "inner")
    source, made = await _change(quarantine, outer / "inner", tmp_path)
    before = snapshot(outer / "inner")
    landed = await quarantine.land(source, made, source.tip)
    assert isinstance(landed, NotLanded)
    assert landed.reason == "refused"
    assert "submodule" in landed.message
    assert snapshot(outer / "inner") == before
    git(outer / "inner", "checkout", "-q", "--detach")
    assert await quarantine.land(source, made, source.tip) == Landed(made)


def _modify(project: Path) -> str:
    write(project, {"app.py": "mine\n"})
    return "app.py"


def _modify_elsewhere(project: Path) -> str:
    write(project, {"kept.txt": "mine\n"})
    return "kept.txt"


def _stage(project: Path) -> str:
    write(project, {"staged.py": "mine\n"})
    git(project, "add", "staged.py")
    return "staged.py"


def _remove(project: Path) -> str:
    write(project, {"app.py": None})
    return "app.py"


def _be_in_the_way(project: Path) -> str:
    write(project, {"pkg/new.py": "mine\n"})
    return "pkg/new.py"


def _be_in_the_way_though_ignored(project: Path) -> str:
    write(project, {".git/info/exclude": "pkg/\n"})
    return _be_in_the_way(project)


def _be_a_file_where_a_folder_comes(project: Path) -> str:
    write(project, {"pkg": "mine\n"})
    return "pkg/new.py"


def _be_a_link_where_a_folder_comes(project: Path) -> str:
    (project.parent / "outside").mkdir()
    (project / "pkg").symlink_to(project.parent / "outside")
    return "pkg/new.py"


def _merge(project: Path) -> str:
    git(project, "checkout", "-q", "-b", "side")
    commit(project, {"side.py": "x\n"})
    git(project, "checkout", "-q", "main")
    git(project, "merge", "-q", "--no-ff", "--no-commit", "side")
    return "a merge is under way"


def _rebase(project: Path) -> str:
    with suppress(AssertionError):  # it stops on purpose
        git(project, "rebase", "-q", "--exec", "false", "HEAD~1")
    return "a rebase is under way"


Disturb = Callable[[Path], str]


@pytest.mark.parametrize(
    "disturb",
    [
        _modify,
        _modify_elsewhere,
        _stage,
        _remove,
        _be_in_the_way,
        _be_in_the_way_though_ignored,
        _be_a_file_where_a_folder_comes,
        _be_a_link_where_a_folder_comes,
        _merge,
        _rebase,
    ],
)
async def test_nothing_moves_where_work_would_be_lost(
    quarantine: Quarantine, project: Path, tmp_path: Path, disturb: Disturb
) -> None:
    commit(project, {"kept.txt": "kept\n"})
    source, made = await _change(quarantine, project, tmp_path)
    named = disturb(project)
    before = snapshot(project)
    landed = await quarantine.land(source, made, source.tip)
    assert isinstance(landed, NotLanded)
    assert landed.reason == "dirty"
    assert named in landed.message
    assert snapshot(project) == before
    assert git(project, "rev-parse", "main") == source.tip


async def test_only_the_first_files_in_the_way_are_named(quarantine: Quarantine, project: Path, tmp_path: Path) -> None:
    commit(project, {f"{n}.txt": "" for n in range(5)})
    source, made = await _change(quarantine, project, tmp_path)
    write(project, {f"{n}.txt": "mine" for n in range(5)})
    landed = await quarantine.land(source, made, source.tip)
    assert isinstance(landed, NotLanded)
    assert "(0.txt, 1.txt, 2.txt and 2 more)" in landed.message


async def test_a_branch_that_moved_meanwhile_is_left_alone(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    source, made = await _change(quarantine, project, tmp_path)
    commit(project, {"other.py": "theirs\n"})
    before = snapshot(project)
    landed = await quarantine.land(source, made, source.tip)
    assert isinstance(landed, NotLanded)
    assert landed.reason == "moved"
    assert snapshot(project) == before


async def test_the_lease_holds_when_the_branch_moves_at_the_last_moment(
    quarantine: Quarantine, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from libs.workshop.git import landing

    target = bare(tmp_path / "bare.git", project)
    source, made = await _change(quarantine, target, tmp_path)
    theirs = commit(project, {"other.py": "theirs\n"})

    async def move_meanwhile(target: Source) -> list[Path]:
        git(project, "push", "-q", str(target.git_dir), "main")
        return []

    monkeypatch.setattr(landing, "_checkouts", move_meanwhile)
    landed = await quarantine.land(source, made, source.tip)
    assert isinstance(landed, NotLanded)
    assert landed.reason == "moved"
    assert git(target, "rev-parse", "main") == theirs


async def test_landing_again_is_landed_also_when_work_went_on(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    source, made = await _change(quarantine, project, tmp_path)
    await quarantine.land(source, made, source.tip)
    assert await quarantine.land(source, made, source.tip) == Landed(made)
    tip = commit(project, {"more.py": "x\n"})
    write(project, {"app.py": "busy\n"})
    assert await quarantine.land(source, made, source.tip) == Landed(made)
    assert git(project, "rev-parse", "main") == tip


async def test_a_branch_or_a_repository_that_is_gone_is_told(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    source, made = await _change(quarantine, project, tmp_path)
    git(project, "checkout", "-q", "-b", "other")
    git(project, "branch", "-q", "-D", "main")
    for _ in range(2):
        landed = await quarantine.land(source, made, source.tip)
        assert isinstance(landed, NotLanded)
        assert landed.reason == "gone"
        if project.exists():
            project.rename(tmp_path / "moved away")


async def test_a_commit_that_does_not_build_on_the_tip_is_refused(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    source, made = await _change(quarantine, project, tmp_path)
    landed = await quarantine.land(source, source.tip, made)
    assert isinstance(landed, NotLanded)
    assert landed.reason == "refused"


async def test_a_lock_in_the_checkout_moves_nothing(quarantine: Quarantine, project: Path, tmp_path: Path) -> None:
    source, made = await _change(quarantine, project, tmp_path)
    before = snapshot(project)
    (project / ".git/index.lock").touch()
    landed = await quarantine.land(source, made, source.tip)
    assert isinstance(landed, NotLanded)
    assert landed.reason == "dirty"
    assert snapshot(project) == before


async def test_settings_and_hooks_of_the_user_do_not_get_in_the_way(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch '{ran}'\nexit 1\n"
    for name in ("pre-receive", "update", "post-receive", "post-update", "push-to-checkout", "reference-transaction"):
        write(project, {f".git/hooks/{name}": script, f"hooks/{name}": script})
        (project / ".git/hooks" / name).chmod(0o755)
        (project / "hooks" / name).chmod(0o755)
    for key, value in (
        ("core.hooksPath", str(project / "hooks")),
        ("core.fsmonitor", str(project / "hooks/update")),
        ("receive.denyNonFastForwards", "true"),
        ("receive.denyCurrentBranch", "refuse"),
        ("uploadpack.packObjectsHook", str(project / "hooks/update")),
    ):
        git(project, "config", key, value)
    source, made = await _change(quarantine, project, tmp_path)
    assert await quarantine.land(source, made, source.tip) == Landed(made, project)
    await quarantine.publish_branch(source, "rung/one", made)
    assert await quarantine.delete_branch(source, "rung/one", made)
    assert not ran.exists()


# Branches of Rung's own


async def test_a_branch_is_published_moved_and_removed(quarantine: Quarantine, project: Path, tmp_path: Path) -> None:
    source, made = await _change(quarantine, project, tmp_path)
    before = snapshot(project)
    for commit_id in (made, source.tip, made, made):
        await quarantine.publish_branch(source, "rung/one", commit_id)
        assert git(project, "rev-parse", "rung/one") == commit_id
    assert not await quarantine.delete_branch(source, "rung/one", source.tip)
    assert await quarantine.delete_branch(source, "rung/one", made)
    assert await quarantine.delete_branch(source, "rung/one", made)
    assert git(project, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert snapshot(project) == before


async def test_a_published_branch_that_is_checked_out_is_not_removed(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    source, made = await _change(quarantine, project, tmp_path)
    await quarantine.publish_branch(source, "rung/one", source.tip)
    git(project, "checkout", "-q", "rung/one")
    await quarantine.publish_branch(source, "rung/one", made)
    assert git(project, "status", "--porcelain") == ""
    assert not await quarantine.delete_branch(source, "rung/one", made)


@pytest.mark.parametrize(
    "name", ["main", "rung", "rung/", "rung/../main", "rung/a b", "refs/heads/rung/x", "rung/x.lock"]
)
async def test_no_other_name_is_ever_written(quarantine: Quarantine, project: Path, tmp_path: Path, name: str) -> None:
    source, made = await _change(quarantine, project, tmp_path)
    with pytest.raises(GitError, match="left alone"):
        await quarantine.publish_branch(source, name, made)
    with pytest.raises(GitError, match="left alone"):
        await quarantine.delete_branch(source, name, source.tip)
    assert git(project, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


async def test_a_branch_called_rung_is_named_as_the_obstacle(
    quarantine: Quarantine, project: Path, tmp_path: Path
) -> None:
    git(project, "branch", "rung")
    source, made = await _change(quarantine, project, tmp_path)
    with pytest.raises(GitError, match="cannot be written"):
        await quarantine.publish_branch(source, "rung/one", made)
