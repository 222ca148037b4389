"""Suites and analysers run for real, in the sandbox, on checkouts whole and hostile."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from libs.contracts.evidence import Problem
from libs.contracts.words import Severity
from libs.workshop.evidence.collect import NO_REPORTS, Reports, TestRun, report_id, run_tests
from libs.workshop.evidence.reading import Unreadable, glob_pattern, left_behind, read_left_behind
from libs.workshop.evidence.review import NOTHING_TO_ANALYSE, run_review
from libs.workshop.sandbox import Limits, Sandbox

JUNIT = '<testsuite tests="1"><testcase classname="a" name="b"/></testsuite>'
WRITE = "printf '%s' '" + JUNIT + "' > reports/unit.xml"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "check out"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox()


def fill(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def codes(problems: Sequence[Problem]) -> list[str]:
    return [problem.code for problem in problems]


async def run(
    sandbox: Sandbox, checkout: Path, *commands: str, reports: Reports = NO_REPORTS, limits: Limits | None = None
) -> TestRun:
    return await run_tests(sandbox, checkout, commands=commands, reports=reports, limits=limits or Limits(wall_s=60))


@pytest.mark.parametrize("command", ["", "python -m pytest -q"])
async def test_a_suite_that_takes_warnings_for_errors_hears_none_of_rung_s_own_plugins(
    sandbox: Sandbox, checkout: Path, command: str
) -> None:
    strict = "[pytest]\nfilterwarnings = error\n"
    fill(checkout, {"pytest.ini": strict, "test_one.py": "def test_one(): pass\n"})
    run = await run_tests(sandbox, checkout, commands=(command,) if command else (), limits=Limits(wall_s=60))
    assert run.problems == ()
    assert run.tests is not None
    assert run.tests.passed == 1


async def test_a_python_repository_gives_tests_coverage_and_targets_by_default(
    sandbox: Sandbox, checkout: Path
) -> None:
    files = {
        "src/click/__init__.py": "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a + b\n",
        "src/click/unseen.py": "x = 1\n",
        "tests/test_add.py": "import click\nclass TestAdd:\n    def test_add(self): assert click.add(1, 2) == 3\n",
        "tests/test_sub.py": "import click\ndef test_sub(): assert click.sub(1, 2) == -1\n",
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--cov=a -n 4'\n[tool.coverage.run]\nomit = ['*']\n",
    }
    targets = ("tests/test_add.py::TestAdd::test_add", "tests.test_sub::test_sub", "tests.test_sub::test_gone")
    changed = {"src/click/__init__.py": frozenset({5, 6}), "tests/test_sub.py": frozenset({1})}
    result = await run_tests(sandbox, fill(checkout, files), changed=changed, targets=targets)
    assert result.problems == ()
    assert result.tests is not None
    assert (result.tests.passed, result.tests.failed, result.tests.exit_code) == (1, 1, 1)
    assert [case.name for case in result.tests.failures] == ["tests.test_sub::test_sub"]
    assert result.tests.targets_passed == 1
    assert result.coverage is not None
    assert (result.coverage.covered_count, result.coverage.lines_count) == (4, 5)
    assert (result.coverage.changed_covered_count, result.coverage.changed_lines_count) == (1, 1)
    assert set(result.reports) == {"junit-1.xml", "coverage.json", "test.log"}


async def test_a_module_that_cannot_be_imported_is_named_with_its_cause(sandbox: Sandbox, checkout: Path) -> None:
    files = {"test_ok.py": "def test_ok(): pass\n", "test_bad.py": "import no_such_thing\n"}
    result = await run(sandbox, fill(checkout, files))
    assert [problem.message for problem in result.problems] == [
        "test_bad cannot be imported: ModuleNotFoundError: No module named 'no_such_thing'"
    ]
    assert codes(result.problems) == ["collection_failed"]


async def test_a_broken_conftest_is_named_with_its_cause(sandbox: Sandbox, checkout: Path) -> None:
    result = await run(sandbox, fill(checkout, {"conftest.py": "import no_such_thing\n", "test_a.py": ""}))
    assert codes(result.problems) == ["collection_failed"]
    assert "conftest.py" in result.problems[0].message
    assert "no_such_thing" in result.problems[0].message
    assert result.tests is None


async def test_a_repository_without_tests_says_so(sandbox: Sandbox, checkout: Path) -> None:
    assert codes((await run(sandbox, checkout)).problems) == ["no_tests"]


async def test_a_test_that_leaves_the_process_gives_no_evidence(sandbox: Sandbox, checkout: Path) -> None:
    result = await run(sandbox, fill(checkout, {"test_a.py": "import os\ndef test_a(): os._exit(0)\n"}))
    assert codes(result.problems) == ["report_missing", "report_contradicted"]
    assert result.tests is None


async def test_a_suite_that_never_ends_is_stopped(sandbox: Sandbox, checkout: Path) -> None:
    assert codes((await run(sandbox, checkout, "sleep 60", limits=Limits(wall_s=0.3))).problems) == ["timed_out"]


async def test_the_policy_s_own_pytest_is_reported_and_measured(sandbox: Sandbox, checkout: Path) -> None:
    files = {"a.py": "def one():\n    return 1\n", "tests/test_a.py": "import a\ndef test_a(): assert a.one() == 1\n"}
    result = await run(sandbox, fill(checkout, files), "cd tests && pytest -q")
    assert result.problems == ()
    assert result.tests is not None
    assert result.tests.passed == 1
    assert result.coverage is not None
    assert result.coverage.lines_ratio == 1.0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("no-such-runner --all", "command_not_found"),
        ("true", "report_missing"),
        ("echo broken build >&2; exit 2", "tool_crashed"),
        (f"{WRITE}; exit 1", "exit_code_contradicts"),
        ("echo '<testsuite/>' > reports/unit.xml", "no_tests"),
        ("printf '<testsuite' > reports/unit.xml", "junit_malformed"),
        ("ln -sf /etc/passwd reports/unit.xml", "report_missing"),
        ("mkdir reports/unit.xml", "report_missing"),
        ("kill -9 $$", "tool_crashed"),
    ],
)
async def test_what_a_command_leaves_unsaid_is_a_problem(
    sandbox: Sandbox, checkout: Path, command: str, code: str
) -> None:
    (checkout / "reports").mkdir()
    result = await run(sandbox, checkout, command, reports=Reports(junit=("reports/*.xml",)))
    assert codes(result.problems) == [code]
    assert result.problems[0].message.count("\n") == 0


async def test_a_report_that_lay_there_before_is_not_taken_for_new(sandbox: Sandbox, checkout: Path) -> None:
    fill(checkout, {"reports/old.xml": JUNIT})
    reports = Reports(junit=("reports/*.xml",))
    assert codes((await run(sandbox, checkout, "true", reports=reports)).problems) == ["report_missing"]
    again = await run(sandbox, checkout, WRITE.replace("unit", "old"), reports=reports)
    assert again.problems == ()
    assert list(again.reports) == ["reports/old.xml", "test.log"]


async def test_reports_of_several_commands_are_added_up(sandbox: Sandbox, checkout: Path) -> None:
    (checkout / "reports").mkdir()
    commands = (WRITE, WRITE.replace("unit", "more"))
    result = await run(sandbox, checkout, *commands, reports=Reports(junit=("reports/**/*.xml",)))
    assert result.tests is not None
    assert result.tests.passed == 2


async def test_a_coverage_report_that_was_promised_and_not_written_is_a_problem(
    sandbox: Sandbox, checkout: Path
) -> None:
    (checkout / "reports").mkdir()
    reports = Reports(junit=("reports/*.xml",), coverage=("coverage.xml",))
    assert codes((await run(sandbox, checkout, WRITE, reports=reports)).problems) == ["coverage_missing"]


async def test_a_review_weighs_each_fault_on_changed_lines_once(sandbox: Sandbox, checkout: Path) -> None:
    files = {
        "-a b.py": "import os\nos.system(input())\nos.system(input())\nassert os\n",
        "tests/test_a.py": "def test_a():\n    assert eval('1')\n    return undefined\n",
        "broken.py": "def f(:\n",
    }
    changed = {name: frozenset({2, 3}) for name in [*files, "gone.py", "README.md"]}
    review = await run_review(sandbox, fill(checkout, files), changed)
    assert review.problems == ()
    assert review.evidence is not None
    assert review.evidence.tools == ("ruff", "bandit")
    kept = {(finding.tool, finding.rule, finding.file, finding.line) for finding in review.evidence.findings}
    assert ("bandit", "B605", "-a b.py", 2) in kept
    assert ("ruff", "S605", "-a b.py", 2) not in kept
    assert ("ruff", "F821", "tests/test_a.py", 3) in kept
    assert not any(rule.startswith(("S", "B1")) for _, rule, _, _ in kept)
    assert any(file == "broken.py" and rule == "invalid-syntax" for _, rule, file, _ in kept)
    heavy = [finding for finding in review.evidence.findings if finding.severity is Severity.CRITICAL]
    assert review.evidence.critical == len(heavy)


async def test_a_change_without_python_says_that_nothing_was_analysed(sandbox: Sandbox, checkout: Path) -> None:
    review = await run_review(sandbox, checkout, {"README.md": frozenset({1})})
    assert review.evidence is not None
    assert review.evidence.tools == (NOTHING_TO_ANALYSE,)


async def test_a_linter_of_the_policy_that_cannot_run_is_a_problem(sandbox: Sandbox, checkout: Path) -> None:
    review = await run_review(sandbox, checkout, {}, commands=("no-such-linter",))
    assert codes(review.problems) == ["command_not_found"]
    assert review.evidence is None


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("tests/test_a.py::TestB::test_c[x::y/z.py]", "tests.test_a.TestB::test_c[x::y/z.py]"),
        ("test_a.py::test_b", "test_a::test_b"),
        ("tests.test_a::test_b", "tests.test_a::test_b"),
        ("some words", "some words"),
    ],
)
def test_a_test_is_the_same_by_pytest_s_name_and_by_the_report_s(test: str, expected: str) -> None:
    assert report_id(test) == expected


def test_nothing_is_read_through_links_or_from_what_is_no_file(tmp_path: Path) -> None:
    fill(tmp_path, {"secret/key": "s", "out/real/a.txt": "a"})
    out = tmp_path / "out"
    (out / "link").symlink_to(tmp_path / "secret" / "key")
    (out / "folder").symlink_to(tmp_path / "secret")
    os.mkfifo(out / "pipe")
    assert read_left_behind(out, "real/a.txt") == b"a"
    for name in ("link", "folder/key", "pipe", "real", "../secret/key", "gone", "real/a.txt/b", "", "/etc/passwd"):
        assert read_left_behind(out, name) is None
    assert list(left_behind(out, ("**",))) == ["real/a.txt"]


def test_a_file_over_its_limit_is_refused_and_not_cut(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "12345"})
    assert read_left_behind(tmp_path, "a", 5) == b"12345"
    with pytest.raises(Unreadable):
        read_left_behind(tmp_path, "a", 4)


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        ("**/TEST-*.xml", "a/b/TEST-x.xml", True),
        ("**/TEST-*.xml", "TEST-x.xml", True),
        ("*.xml", "a/b.xml", False),
        ("a?.xml", "ab.xml", True),
        ("a.xml", "abxml", False),
        ("./reports/**", "reports/a/b", True),
    ],
)
def test_globs_cross_directories_only_by_two_stars(pattern: str, path: str, is_match: bool) -> None:
    assert (glob_pattern(pattern).fullmatch(path) is not None) is is_match
