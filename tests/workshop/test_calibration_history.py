"""What landed on a branch and what of it was taken back, read from real repositories."""

from pathlib import Path

import pytest

from libs.workshop.calibration.candidates import Candidate, Kind, Skipped, is_prose, of_history
from libs.workshop.calibration.history import Landed, landed
from libs.workshop.git import Quarantine, inspect
from tests.workshop.git_world import commit, git, repository

LINES = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return repository(tmp_path / "repository")


async def history(place: Path, last: int = 50) -> list[Landed]:
    source = await inspect(place)
    quarantine = await Quarantine.open(place.parent / "quarantine")
    await quarantine.fetch(source, source.tip)
    return await landed(quarantine, source.tip, last)


async def taken_back(place: Path, last: int = 50) -> dict[str, str]:
    """Subjects of what was taken back, with the subject of what did so."""
    found = await history(place, last)
    subjects = {one.commit: one.subject for one in found}
    return {one.subject: subjects[one.reverted_by] for one in found if one.reverted_by is not None}


def change(place: Path, message: str, before: str, after: str) -> str:
    text = (place / "app.py").read_text()
    assert before in text
    return commit(place, {"app.py": text.replace(before, after)}, message)


def revert(place: Path, revision: str, *options: str) -> str:
    git(place, "revert", "--no-edit", *options, revision)
    return git(place, "rev-parse", "HEAD")


async def test_commits_come_newest_first_and_no_more_than_asked_for(place: Path) -> None:
    change(place, "second\n\nwith a body", "two", "2")
    change(place, "third", "three", "3")
    assert [one.subject for one in await history(place)] == ["third", "second", "first"]
    newest, *_ = found = await history(place, 2)
    assert [one.subject for one in found] == ["third", "second"]
    assert newest.base == found[1].commit


async def test_a_revert_of_git_takes_back_what_it_names(place: Path) -> None:
    bad = change(place, "bad", "two", "2")
    change(place, "good", "six", "6")
    revert(place, bad)
    assert await taken_back(place) == {"bad": 'Revert "bad"'}


async def test_a_name_may_be_short_and_what_it_did_may_be_mended_on_the_way(place: Path) -> None:
    bad = change(place, "bad", "two", "2")
    change(place, "mostly back", "2", "two!")
    git(place, "commit", "-q", "--amend", "-m", f"mostly back\n\nThis reverts commit {bad[:9]}, and more.")
    assert await taken_back(place) == {"bad": "mostly back"}


@pytest.mark.parametrize("said", ["0123456789abcdef0123456789abcdef01234567", "fffffff", "HEAD"])
async def test_a_name_that_nothing_has_takes_nothing_back(place: Path, said: str) -> None:
    change(place, "good", "two", "2")
    change(place, f"odd\n\nThis reverts commit {said}.", "six", "6")
    assert await taken_back(place) == {}


async def test_what_does_just_the_inverse_is_a_revert_whatever_it_says(place: Path) -> None:
    change(place, "bad", "two", "2")
    change(place, "good", "seven", "7")
    change(place, "back to words", "2", "two")
    assert await taken_back(place) == {"bad": "back to words"}


async def test_a_forge_names_the_pull_request_that_it_takes_back(place: Path) -> None:
    change(place, "bad (#12)", "two", "2")
    change(place, "good (#1)", "seven", "7")
    change(place, "Undo bad (#13)\n\nReverts ada/app#12", "2", "zwei")
    assert await taken_back(place) == {"bad (#12)": "Undo bad (#13)"}


async def test_a_reverted_revert_makes_the_commit_good_again_and_the_revert_bad(place: Path) -> None:
    first = revert(place, change(place, "good", "two", "2"))
    assert await taken_back(place) == {"good": 'Revert "good"'}
    second = revert(place, first)
    (_, said), *more = (await taken_back(place)).items()
    assert more == []
    assert said.startswith(("Reapply", 'Revert "Revert'))
    revert(place, second)
    assert "good" in await taken_back(place)


async def test_commits_that_change_nothing_are_nobodys_inverse(place: Path) -> None:
    commit(place, {}, "nothing")
    commit(place, {}, "nothing again")
    assert await taken_back(place) == {}


def branch_of_two(place: Path) -> tuple[str, str]:
    git(place, "switch", "-q", "-c", "topic")
    inner = change(place, "inner", "two", "2")
    change(place, "inner too", "seven", "7")
    git(place, "switch", "-q", "main")
    commit(place, {"other.py": "x = 1\n"}, "meanwhile")
    git(place, "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    return inner, git(place, "rev-parse", "HEAD")


async def test_a_merge_is_one_change_against_its_first_parent(place: Path) -> None:
    _, merge = branch_of_two(place)
    newest, *others = await history(place)
    assert (newest.commit, [one.subject for one in others]) == (merge, ["meanwhile", "first"])
    assert newest.base == others[0].commit
    revert(place, merge, "-m", "1")
    assert await taken_back(place) == {"Merge topic": 'Revert "Merge topic"'}


async def test_a_merge_of_which_a_part_is_taken_back_was_bad(place: Path) -> None:
    inner, _ = branch_of_two(place)
    revert(place, inner)
    assert await taken_back(place) == {"Merge topic": 'Revert "inner"'}


async def test_what_is_taken_back_inside_one_merge_never_landed(place: Path) -> None:
    git(place, "switch", "-q", "-c", "topic")
    revert(place, change(place, "tried", "two", "2"))
    change(place, "done", "three", "3")
    git(place, "switch", "-q", "main")
    git(place, "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    assert await taken_back(place) == {}


async def test_a_reverted_merge_that_held_a_revert_takes_nothing_back_any_more(place: Path) -> None:
    good = change(place, "good", "two", "2")
    git(place, "switch", "-q", "-c", "topic")
    revert(place, good)
    change(place, "more", "six", "6")
    git(place, "switch", "-q", "main")
    git(place, "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    assert await taken_back(place) == {"good": "Merge topic"}
    revert(place, git(place, "rev-parse", "HEAD"), "-m", "1")
    assert await taken_back(place) == {"Merge topic": 'Revert "Merge topic"'}


async def test_what_landed_is_a_candidate_unless_nothing_came_before_it(place: Path) -> None:
    revert(place, change(place, "fix(app): bad", "two", "2"))
    newest, bad, first = map(of_history, await history(place))
    assert isinstance(newest, Candidate)
    assert (newest.kind, newest.is_bad, newest.issue_type) == (Kind.MERGED, False, "")
    assert isinstance(bad, Candidate)
    assert (bad.kind, bad.is_bad, bad.issue_type) == (Kind.REVERTED, True, "bug")
    assert bad.what == f"fix(app): bad, taken back by {newest.commit[:12]}"
    assert isinstance(first, Skipped)
    assert "first commit" in first.why


@pytest.mark.parametrize(
    ("path", "is_read_only"),
    [
        ("README.md", True),
        ("LICENSE", True),
        ("CHANGELOG.txt", True),
        ("docs/index.txt", True),
        ("docs/conf.py", False),
        ("requirements.txt", False),
        ("CMakeLists.txt", False),
        ("app.py", False),
        ("Makefile", False),
    ],
)
def test_documents_are_told_from_what_programs_read(path: str, is_read_only: bool) -> None:
    assert is_prose(path) is is_read_only
