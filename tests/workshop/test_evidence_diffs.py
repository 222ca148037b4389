"""Unified diffs as git and `diff -u` write them, whole and broken."""

import subprocess
from pathlib import Path

import pytest

from libs.workshop.evidence.diffs import UnifiedDiff, read_diff
from libs.workshop.evidence.reading import Unreadable

PLAIN = b"""--- src/a.py\t2026-01-01 00:00:00.000000000 +0000
+++ src/a.py\t2026-01-02 00:00:00.000000000 +0000
@@ -1,3 +1,4 @@
 one
-two
+2
+--- a/not-a-header
 three
@@ -10 +11 @@
-ten
+10
\\ No newline at end of file
"""


def told(diff: UnifiedDiff) -> dict[str, tuple[str, int | None, int | None]]:
    return {file.path: (file.status, file.lines_added, file.lines_removed) for file in diff.evidence.files}


def code_of(data: bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        read_diff(data)
    assert refused.value.message.endswith(".")
    return refused.value.code


def git(root: Path, *words: str) -> bytes:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(("git", *identity, *words), cwd=root, check=True, capture_output=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "a b.py").write_text("".join(f"line {number}\n" for number in range(1, 21)))
    (tmp_path / "gone.py").write_text("x\ny\n")
    (tmp_path / "old.py").write_text("".join(f"{number}\n" for number in range(30)))
    (tmp_path / "dos.txt").write_bytes(b"a\r\nb\r\n")
    (tmp_path / "data.bin").write_bytes(b"\x00\x01")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "base")
    (tmp_path / "a b.py").write_text("".join(f"line {number}\n" for number in range(1, 20)) + "new\nline 20")
    (tmp_path / "gone.py").unlink()
    (tmp_path / "old.py").rename(tmp_path / "new name.py")
    (tmp_path / "dos.txt").write_bytes(b"a\r\nc\r\n")
    (tmp_path / "data.bin").write_bytes(b"\x00\x02")
    (tmp_path / "gr\u00f6\u00dfe\t.py").write_text("1\n")
    (tmp_path / "empty.py").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    git(tmp_path, "add", "-A")
    return tmp_path


RENAMED = {"new name.py": ("A", 0, 0), "old.py": ("D", None, None)}
REPLACED = {"new name.py": ("A", 30, 0), "old.py": ("D", 0, 30)}


@pytest.mark.parametrize(
    ("options", "moved"),
    [
        ((), RENAMED),
        (("--no-prefix",), RENAMED),
        (("--binary", "-U0"), RENAMED),
        (("--no-renames",), REPLACED),
        (("--full-index", "--no-renames", "--no-prefix"), REPLACED),
    ],
)
def test_every_file_of_a_git_diff_is_told_with_its_added_lines(
    repository: Path, options: tuple[str, ...], moved: dict[str, tuple[str, int | None, int | None]]
) -> None:
    diff = read_diff(git(repository, "diff", "--cached", *options))
    assert told(diff) == {
        "a b.py": ("M", 2, 1),
        "data.bin": ("M", None, None),
        "dos.txt": ("M", 1, 1),
        "empty.py": ("A", 0, 0),
        "gone.py": ("D", 0, 2),
        "gr\u00f6\u00dfe\t.py": ("A", 1, 0),
        "link": ("A", 1, 0),
        **moved,
    }
    assert diff.added["a b.py"] == {20, 21}
    assert diff.added["gr\u00f6\u00dfe\t.py"] == {1}
    assert "gone.py" not in diff.added
    assert diff.evidence.refused == ("link is a symbolic link.",)


def test_a_plain_diff_is_read_by_the_counts_of_its_hunks() -> None:
    diff = read_diff(PLAIN)
    assert told(diff) == {"src/a.py": ("M", 3, 2)}
    assert diff.added == {"src/a.py": {2, 3, 11}}


def test_a_diff_of_two_trees_loses_its_prefixes() -> None:
    data = b"--- a/x.py\n+++ b/x.py\n@@ -0,0 +1 @@\n+1\n--- /dev/null\n+++ b/y.py\n@@ -0,0 +1 @@\n+1\n"
    assert told(read_diff(data)) == {"x.py": ("M", 1, 0), "y.py": ("A", 1, 0)}


def test_lines_end_as_they_do_on_other_systems() -> None:
    assert read_diff(PLAIN.replace(b"\n", b"\r\n")).added == {"src/a.py": {2, 3, 11}}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "diff_empty"),
        (b"no diff at all\n", "diff_wrong_root"),
        (PLAIN[: PLAIN.index(b" three")], "diff_malformed"),
        (PLAIN.replace(b" three", b"*three"), "diff_malformed"),
        (PLAIN.replace(b"-1,3 +1,4", b"-1,3 +1,5"), "diff_malformed"),
        (PLAIN.replace(b"+1,4", b"+99999999999,4"), "diff_malformed"),
        (PLAIN.replace(b"src/a.py", b"../a.py"), "diff_malformed"),
        (PLAIN.replace(b"src/a.py", b"/etc/passwd"), "diff_malformed"),
        (PLAIN.replace(b"src/a.py", b"src/\xe2\x80\xae.py"), "diff_malformed"),
        (PLAIN + PLAIN, "diff_malformed"),
        (b"@@ -1 +1 @@\n-a\n+b\n", "diff_malformed"),
        (b"diff --cc a.py\nindex 1,2..3\n--- a/a.py\n+++ b/a.py\n@@@ -1,1 -1,1 +1,2 @@@\n", "diff_combined"),
        (PLAIN.decode().encode("utf-16"), "diff_malformed"),
    ],
)
def test_what_cannot_be_placed_is_refused(data: bytes, code: str) -> None:
    assert code_of(data) == code
