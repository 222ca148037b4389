"""Good commits broken on purpose: which lines, how, and always the same for the same seed."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from libs.workshop.calibration.candidates import Candidate, Kind
from libs.workshop.calibration.seeding import seeded
from libs.workshop.calibration.text_mutations import flips, is_code, left_out
from libs.workshop.git import Quarantine, inspect
from tests.workshop.git_world import Content, commit, git, repository

GO = """\
package shop

func Price(count int) int {
\tif count >= 10 && !closed {
\t\treturn count * 9 // cheaper: 10 == ten
\t}
\treturn count * 10
}
"""
ALL = frozenset(range(1, 100))


Broken = tuple[Quarantine, Candidate, list[Candidate | None]]


async def broken(
    tmp_path: Path, files: Mapping[str, Content], *seeds: int, before: Mapping[str, Content] | None = None
) -> Broken:
    """The quarantine, the good candidate, and what each seed makes of it."""
    place = repository(tmp_path / "repository", before or {"README.md": "# shop\n"})
    base = git(place, "rev-parse", "HEAD")
    good = commit(place, files, "feat: prices")
    quarantine = await Quarantine.open(tmp_path / "quarantine")
    await quarantine.fetch(await inspect(place), good)
    candidate = Candidate(Kind.MERGED, good, base, good, "feat: prices")
    diff = await quarantine.diff(base, good)
    made = [await seeded(quarantine, tmp_path / "scratch", candidate, diff, seed) for seed in seeds or (0,)]
    return quarantine, candidate, made


def added(quarantine: Quarantine, good: str, bad: str) -> list[str]:
    """Lines that only the bad commit has."""
    text = git(quarantine.path, "diff", "--unified=0", good, bad)
    return [line[1:] for line in text.splitlines() if line.startswith("+") and not line.startswith("+++")]


async def test_one_changed_line_of_python_is_changed_on_the_same_base(tmp_path: Path) -> None:
    code = "def price(count):\n    return count * 9\n"
    test = "from shop import price\nassert price(1) == 9\n"
    files = {"shop.py": code, "test_shop.py": test, "conftest.py": "X = 1\n"}
    quarantine, good, made = await broken(tmp_path, files, *range(6))
    for bad in made:
        assert bad is not None
        assert (bad.kind, bad.base, bad.origin, bad.is_bad) == (Kind.SEEDED, good.base, good.commit, True)
        assert await quarantine.parents(bad.commit) == (good.base,)
        assert [file.path for file in (await quarantine.diff(good.commit, bad.commit)).files] == ["shop.py"]
        assert len(added(quarantine, good.commit, bad.commit)) == 1
        assert bad.what.startswith("shop.py:2: ")


async def test_texts_are_left_alone_where_anything_else_can_be_changed(tmp_path: Path) -> None:
    code = "NAMES = {'a': 'one', 'b': 'two', 'c': 'three'}\nLEAST = 3\n"
    _, _, made = await broken(tmp_path / "both", {"shop.py": code}, *range(6))
    assert {bad.what for bad in made if bad is not None} == {"shop.py:2: `3` became `4`"}
    _, _, made = await broken(tmp_path / "texts", {"shop.py": "print_at = ['left']\n"})
    assert made[0] is not None


async def test_the_same_seed_breaks_alike_and_another_otherwise(tmp_path: Path) -> None:
    _, _, made = await broken(tmp_path, {"shop.go": GO}, 1, 1, *range(2, 12))
    commits = [bad.commit for bad in made if bad is not None]
    assert commits[0] == commits[1]
    assert len(set(commits)) > 3


async def test_a_line_that_the_commit_did_not_change_stays(tmp_path: Path) -> None:
    before = {"shop.go": GO}
    after = GO.replace("count * 10", "count * 11")
    quarantine, good, made = await broken(tmp_path, {"shop.go": after}, *range(8), before=before)
    told = {added(quarantine, good.commit, bad.commit)[0].strip() for bad in made if bad is not None}
    assert told == {"return count * 12", "return count / 11"}


async def test_a_part_of_a_change_may_be_left_out_but_never_the_whole(tmp_path: Path) -> None:
    before = {"shop.rb": "def price\n  ten\nend\n\n\n\ndef tax\n  none\nend\n"}
    after = "def price\n  nine\nend\n\n\n\ndef tax\n  some\nend\n"
    quarantine, good, made = await broken(tmp_path, {"shop.rb": after}, *range(8), before=before)
    told = {(added(quarantine, good.commit, bad.commit)[0].strip(), bad.what) for bad in made if bad is not None}
    assert told == {
        ("ten", "shop.rb:2: the change of line 2 was left out"),
        ("none", "shop.rb:8: the change of line 8 was left out"),
    }


@pytest.mark.parametrize(
    "files",
    [
        {"NOTES.md": "1 == 1\n"},
        {"tests/price_test.go": GO},
        {"data.json": '{"a": 1}\n'},
        {"shop.go": "package shop\n// count == 10\n"},
        {"shop.go": b"\x00\x01 == \xff"},
        {"shop.py": "def broken(:\n"},
        {"shop.py": '"""Only about 10 == ten."""\n'},
    ],
)
async def test_where_nothing_can_be_broken_there_is_no_candidate(tmp_path: Path, files: Mapping[str, Content]) -> None:
    _, _, made = await broken(tmp_path, files)
    assert made == [None]


async def test_a_file_stays_executable(tmp_path: Path) -> None:
    place = repository(tmp_path / "repository", {"README.md": "# shop\n"})
    base = git(place, "rev-parse", "HEAD")
    (place / "area").write_text("#!/bin/sh\necho $(($1 * $2))\n")
    (place / "area").chmod(0o755)
    good = commit(place, {}, "feat: area")
    quarantine = await Quarantine.open(tmp_path / "quarantine")
    await quarantine.fetch(await inspect(place), good)
    candidate = Candidate(Kind.MERGED, good, base, good, "feat: area")
    diff = await quarantine.diff(base, good)
    bad = await seeded(quarantine, tmp_path / "scratch", candidate, diff, 0)
    assert bad is not None
    assert git(quarantine.path, "ls-tree", bad.commit, "area").startswith("100755")
    assert added(quarantine, good, bad.commit) == ["echo $(($1 / $2))"]


# -- by the text alone --------------------------------------------------------


def changed(path: str, row: str) -> set[str]:
    return {one.text for one in flips(path, row, ALL)}


@pytest.mark.parametrize(
    ("path", "row", "others"),
    [
        ("a.js", "if (a === b) {", {"if (a !== b) {"}),
        ("a.js", "if (a != b) {", {"if (a == b) {"}),
        ("a.ts", "const f = (a) => a && b;", {"const f = (a) => a || b;"}),
        ("a.go", "if a <= b {", {"if a < b {"}),
        ("a.rs", "let v: Vec<u8> = x;", set()),
        ("a.java", "boolean open = true;", {"boolean open = false;"}),
        ("a.c", "x = y + 7;", {"x = y - 7;", "x = y + 8;"}),
        ("a.c", 'puts("1 == 2 && true"); // 3 + 4', set()),
        ("a.c", "  /* 3 + 4 */", set()),
        ("a.sh", "[ $a -lt $b ] || exit", {"[ $a -le $b ] || exit", "[ $a -lt $b ] && exit"}),
        ("a.sh", "run > log 2>&1", set()),
        ("a.sh", "echo $1", set()),
        ("a.rb", "total = 0 # 1 == 1", {"total = 1 # 1 == 1"}),
    ],
)
def test_operators_truths_and_numbers_are_changed_and_nothing_else(path: str, row: str, others: set[str]) -> None:
    assert changed(path, row) == others


def test_parts_that_only_lay_out_or_comment_are_not_left_out() -> None:
    before = "a\n\nb\n// some\nc\n"
    assert [one.text for one in left_out(before, "a\n\n\nb\n// more\nc\n")] == []
    assert [(one.text, one.line) for one in left_out("a\nb\nc\n", "a\nB\nc\nd\n")] == [
        ("a\nb\nc\nd\n", 2),
        ("a\nB\nc\n", 4),
    ]


@pytest.mark.parametrize(
    ("path", "text", "is_so"),
    [
        ("a.go", "", True),
        ("run", "#!/bin/sh\n", True),
        ("run", "#!/usr/bin/env python3\n", False),
        ("a.json", "{}", False),
        ("Makefile", "all:\n", False),
    ],
)
def test_what_is_code_is_told_by_its_name_or_its_first_line(path: str, text: str, is_so: bool) -> None:
    assert is_code(path, text) is is_so
