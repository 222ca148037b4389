"""Git repositories for system tests: small Python projects with one defect, and ones that no run can change.

Each function fills an empty directory and returns the `Case`: what to ask for, how the run has to end
and, where it ends merged, the one source file that the merged commit has to change.
"""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Final

from libs.contracts.words import RunOutcome

BRANCH: Final = "main"
AUTHOR: Final = ("Ada Example", "ada@example.org")
WORKFLOW: Final = """\
gates:
  test:
    all_pass: true
    coverage_min: 80
  review:
    max_blockers: 0
    max_critical: 0
autonomy: assisted
"""


@dataclass(frozen=True)
class Case:
    """A repository (or what is taken for one), an issue for it, and how its run has to end."""

    name: str
    path: Path
    title: str
    body: str
    outcome: RunOutcome = RunOutcome.MERGED
    changed_file: str | None = None


Build = Callable[[Path], Case]


# -- git ----------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The environment without the settings of whoever runs the tests, and with an author."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    name, mail = AUTHOR
    return {
        **own,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": mail,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": mail,
    }


def git(path: Path, *arguments: str) -> str:
    """What a git command in this directory prints; a command that fails fails the test, with what it said."""
    done = subprocess.run(["git", *arguments], cwd=path, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


def init(path: Path, branch: str = BRANCH) -> None:
    path.mkdir(parents=True, exist_ok=True)
    git(path, "init", "--quiet", f"--initial-branch={branch}")


def write(path: Path, files: Mapping[str, str]) -> None:
    """Files by their path below a directory, as indented text."""
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(dedent(text), encoding="utf-8")


def commit(path: Path, message: str, files: Mapping[str, str] | None = None) -> str:
    """Commit all there is, with these files written first, and return the commit."""
    write(path, files or {})
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return head(path)


def head(path: Path, revision: str = "HEAD") -> str:
    return git(path, "rev-parse", "--verify", f"{revision}^{{commit}}")


def log(path: Path, revision: str = "HEAD") -> list[str]:
    """Subjects of the commits, newest first."""
    return git(path, "log", "--format=%s", revision).splitlines()


def branches(path: Path) -> list[str]:
    return git(path, "for-each-ref", "--format=%(refname:short)", "refs/heads/").splitlines()


def changed_files(path: Path, revision: str = "HEAD") -> list[str]:
    """Paths that a commit changed against its parent."""
    names = git(path, "diff-tree", "--no-commit-id", "--name-only", "--no-renames", "-r", "-z", revision)
    return [name for name in names.split("\0") if name]


def content(path: Path, file: str, revision: str = "HEAD") -> str:
    """A file as a commit holds it."""
    return git(path, "show", f"{revision}:{file}")


def is_clean(path: Path) -> bool:
    return not git(path, "status", "--porcelain")


def clone(path: Path, target: Path, *, bare: bool = False) -> Path:
    git(path, "clone", "--quiet", *(["--bare"] if bare else []), str(path), str(target))
    return target


def repository(path: Path, files: Mapping[str, str]) -> Path:
    """A repository with these files in its first commit."""
    init(path)
    commit(path, "feat: first version", files)
    return path


# -- one defect that one edit repairs -----------------------------------------


def src_layout(directory: Path) -> Case:
    files = {
        "src/invoice/__init__.py": "",
        "src/invoice/discount.py": """\
            TIERS = ((100, 15), (50, 10), (10, 5))


            def percent(quantity):
                \"""Discount in percent; the more pieces, the more.\"""
                for least, discount in TIERS:
                    if quantity > least:
                        return discount
                return 0
            """,
        "tests/test_discount.py": """\
            import pytest

            from invoice.discount import percent


            @pytest.mark.parametrize(("quantity", "expected"), [(1, 0), (9, 0), (11, 5), (49, 5), (51, 10), (1000, 15)])
            def test_the_discount_grows_with_the_quantity(quantity, expected):
                assert percent(quantity) == expected


            def test_ten_pieces_are_enough_for_the_first_discount():
                assert percent(10) == 5
            """,
    }
    return Case(
        "src layout",
        repository(directory, files),
        "Ten pieces get no discount",
        "Our price list promises 5 % from ten pieces on, but an order of exactly ten pays the full price.",
        changed_file="src/invoice/discount.py",
    )


def flat_layout(directory: Path) -> Case:
    files = {
        "throttle/__init__.py": "from throttle.window import Window\n",
        "throttle/window.py": """\
            class Window:
                \"""Lets through at most `limit` calls in any `seconds`.\"""

                def __init__(self, limit, seconds):
                    self.limit = limit
                    self.seconds = seconds
                    self.calls = []

                def allows(self, now):
                    self.calls = [call for call in self.calls if now - call < self.seconds]
                    if len(self.calls) <= self.limit:
                        self.calls.append(now)
                        return True
                    return False
            """,
        "tests/test_window.py": """\
            from throttle import Window


            def test_the_first_call_is_let_through():
                assert Window(1, 10).allows(0)


            def test_calls_are_let_through_again_once_the_time_is_over():
                window = Window(1, 10)
                window.allows(0)
                assert window.allows(10)


            def test_no_more_calls_than_the_limit_are_let_through():
                window = Window(2, 10)
                assert [window.allows(now) for now in (0, 1, 2, 3)] == [True, True, False, False]
            """,
    }
    return Case(
        "flat layout",
        repository(directory, files),
        "Throttle lets one call too many through",
        "With a limit of 2 calls in 10 seconds the window lets 3 calls through.",
        changed_file="throttle/window.py",
    )


def tests_beside_code(directory: Path) -> Case:
    files = {
        "parcel/__init__.py": "",
        "parcel/weight.py": """\
            CM3_PER_KG = 5000


            def billed(kilograms, length, width, height):
                \"""Carriers bill the real weight or the room a parcel takes, whichever is more.\"""
                volume = length * width * height / CM3_PER_KG
                return min(kilograms, volume)
            """,
        "parcel/test_weight.py": """\
            from parcel.weight import billed


            def test_a_parcel_as_heavy_as_it_is_large_is_billed_by_weight():
                assert billed(2, 10, 10, 100) == 2


            def test_a_large_light_parcel_is_billed_by_volume():
                assert billed(1, 50, 40, 30) == 12
            """,
    }
    return Case(
        "tests beside code",
        repository(directory, files),
        "Large light parcels are billed too little",
        "A parcel of 1 kg and 50 x 40 x 30 cm should be billed as 12 kg, but is billed as 1 kg.",
        changed_file="parcel/weight.py",
    )


def unittest_style(directory: Path) -> Case:
    files = {
        "stock.py": """\
            class Shelf:
                def __init__(self, on_hand):
                    self.on_hand = on_hand
                    self.reserved = 0

                def reserve(self, count):
                    if count > self.available():
                        raise ValueError("not enough on the shelf")
                    self.reserved += count

                def available(self):
                    return self.on_hand + self.reserved
            """,
        "test_stock.py": """\
            import unittest

            from stock import Shelf


            class ShelfTest(unittest.TestCase):
                def setUp(self):
                    self.shelf = Shelf(5)

                def test_a_full_shelf_has_all_available(self):
                    self.assertEqual(self.shelf.available(), 5)

                def test_more_than_there_is_cannot_be_reserved(self):
                    with self.assertRaises(ValueError):
                        self.shelf.reserve(6)

                def test_what_is_reserved_is_not_available(self):
                    self.shelf.reserve(2)
                    self.assertEqual(self.shelf.available(), 3)


            if __name__ == "__main__":
                unittest.main()
            """,
    }
    return Case(
        "unittest style",
        repository(directory, files),
        "Reserved pieces still count as available",
        "After two of five pieces are reserved, the shelf says that seven are available.",
        changed_file="stock.py",
    )


def nested_module(directory: Path) -> Case:
    files = {
        "library/__init__.py": "",
        "library/web/__init__.py": "",
        "library/web/lists/__init__.py": "",
        "library/web/lists/pages.py": """\
            def page_count(total, size):
                return max(1, -(-total // size))


            def page_numbers(total, size):
                \"""Numbers to show below a list, the first page being 1.\"""
                return list(range(1, page_count(total, size)))
            """,
        "library/web/lists/links.py": """\
            from library.web.lists.pages import page_numbers


            def links(total, size):
                return [f"?page={number}" for number in page_numbers(total, size)]
            """,
        "tests/web/test_links.py": """\
            from library.web.lists.links import links
            from library.web.lists.pages import page_count


            def test_a_list_has_at_least_one_page():
                assert page_count(0, 10) == 1
                assert page_count(21, 10) == 3


            def test_every_page_has_a_link():
                assert links(21, 10) == ["?page=1", "?page=2", "?page=3"]
            """,
    }
    return Case(
        "nested module",
        repository(directory, files),
        "The last page has no link",
        "A list of 21 books at 10 a page shows links to pages 1 and 2, and none to page 3.",
        changed_file="library/web/lists/pages.py",
    )


def without_workflow(directory: Path) -> Case:
    """Neither workflow nor changelog: all of it has to be detected or made."""
    files = {
        "spans/__init__.py": "",
        "spans/merge.py": """\
            def merge(spans):
                \"""The same numbers in as few spans as possible; spans that touch are one.\"""
                merged = []
                for start, end in sorted(spans):
                    if merged and start < merged[-1][1]:
                        merged[-1] = (merged[-1][0], max(merged[-1][1], end))
                    else:
                        merged.append((start, end))
                return merged
            """,
        "tests/test_merge.py": """\
            from spans.merge import merge


            def test_overlapping_spans_are_merged():
                assert merge([(5, 8), (1, 6)]) == [(1, 8)]


            def test_a_span_inside_another_is_swallowed():
                assert merge([(1, 9), (2, 3)]) == [(1, 9)]


            def test_distant_spans_stay_apart():
                assert merge([(1, 2), (4, 5)]) == [(1, 2), (4, 5)]


            def test_spans_that_touch_are_merged():
                assert merge([(1, 3), (3, 5)]) == [(1, 5)]
            """,
    }
    return Case(
        "no workflow.yaml",
        repository(directory, files),
        "Spans that touch are not merged",
        "Merging 1 to 3 with 3 to 5 gives two spans; it should give 1 to 5.",
        changed_file="spans/merge.py",
    )


def with_workflow(directory: Path) -> Case:
    """A workflow with gates of its own, and a changelog to write into."""
    case = without_workflow(directory)
    changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2026-01-05\n\n### Added\n\n- Spans can be merged.\n"
    commit(case.path, "docs: workflow and changelog", {"workflow.yaml": WORKFLOW, "CHANGELOG.md": changelog})
    return replace(case, name="with workflow.yaml")


def bare(directory: Path) -> Case:
    """A bare repository, as on a server; `clone` makes a working copy of it."""
    case = flat_layout(directory / "origin")
    return replace(case, name="bare", path=clone(case.path, directory / "throttle.git", bare=True))


def odd_path(directory: Path) -> Case:
    """A path with spaces, quotes and letters outside ASCII."""
    case = tests_beside_code(directory / "Entwürfe & Ideen" / "it's 小包 (copy)")
    return replace(case, name="odd path")


# -- nothing that a run can change --------------------------------------------


def all_tests_pass(directory: Path) -> Case:
    files = {
        "greeting.py": 'def greet(name):\n    return f"Hello {name}"\n',
        "test_greeting.py": """\
            from greeting import greet


            def test_greet():
                assert greet("Ada") == "Hello Ada"
            """,
    }
    return Case(
        "all tests pass",
        repository(directory, files),
        "Greet in French",
        "It would be nice to be greeted with Bonjour.",
        RunOutcome.DECLINED,
    )


def missing_module(directory: Path) -> Case:
    """The package needs a module that is installed nowhere."""
    files = {
        "report/__init__.py": "from no_such_chart_library import plot\n\n\nchart = plot\n",
        "tests/test_report.py": """\
            from report import chart


            def test_a_chart_of_nothing_is_empty():
                assert chart([]) == ""
            """,
    }
    return Case(
        "package does not import",
        repository(directory, files),
        "The chart of nothing is not empty",
        "An empty chart should be an empty text.",
        RunOutcome.DECLINED,
    )


def no_tests(directory: Path) -> Case:
    files = {"mean.py": "def mean(values):\n    return sum(values) / (len(values) - 1)\n"}
    return Case(
        "no tests",
        repository(directory, files),
        "The mean is too high",
        "The mean of 2 and 4 should be 3, but is 6.",
        RunOutcome.DECLINED,
    )


def contradiction(directory: Path) -> Case:
    """A test that no code can satisfy."""
    files = {
        "double.py": "def double(number):\n    return number + number\n",
        "test_double.py": """\
            from double import double


            def test_two_contradictory_wishes():
                result = double(2)
                assert isinstance(result, int)
                assert result == 4
                assert result != 4
            """,
    }
    return Case(
        "contradictory test",
        repository(directory, files),
        "Doubling two is wrong",
        "Doubling 2 should give 4, and it should not.",
        RunOutcome.DECLINED,
    )


def empty_repository(directory: Path) -> Case:
    """A repository without a commit: HEAD names a branch that does not exist yet."""
    init(directory)
    return Case("empty repository", directory, "Write a parser", "There is nothing yet.", RunOutcome.DECLINED)


def plain_directory(directory: Path) -> Case:
    """Files, but no repository."""
    write(directory, {"mean.py": "def mean(values):\n    return sum(values) / len(values)\n"})
    return Case("plain directory", directory, "The mean fails", "The mean of nothing fails.", RunOutcome.DECLINED)


MERGED: Final[tuple[Build, ...]] = (
    src_layout,
    flat_layout,
    tests_beside_code,
    unittest_style,
    nested_module,
    without_workflow,
    with_workflow,
    bare,
    odd_path,
)
"""Cases whose run ends merged."""

DECLINED: Final[tuple[Build, ...]] = (
    all_tests_pass,
    missing_module,
    no_tests,
    contradiction,
    empty_repository,
    plain_directory,
)
"""Cases whose run ends declined, with a reason."""
