"""The tests of changes beside those of their base: each way to pass without being right, and an honest twin."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.evidence import TestOutcome
from libs.contracts.workflow import Policy
from libs.contracts.workflow.parts import CommandPolicy, ReportPolicy
from libs.workshop.baselines import KEPT_MAX, Baselines
from libs.workshop.compared import Change, blamed_tests, compared_tests
from libs.workshop.evidence.collect import TestRun
from libs.workshop.evidence.comparison import Outcomes
from libs.workshop.git import Quarantine, inspect
from libs.workshop.mixture import Mixer, is_runner_file
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial
from tests.workshop.git_world import Content, commit, git, repository

CODE = "def double(x):\n    return 2 * x\n\ndef half(x):\n    return x / 3\n"
TESTS = """\
import pytest
from app import double
@pytest.mark.parametrize("x", [1, 2])
def test_double(x): assert double(x) == x + x
def test_skipped(): assert double(1) == 2
def test_expected(): assert double(0) == 0
def test_half(): assert True
"""
WORSE = """\
import pytest
from app import double
@pytest.mark.parametrize("x", [1, 3])
def test_double(x): assert double(x) > 0
@pytest.mark.skip
def test_skipped(): assert double(1) == 2
@pytest.mark.xfail
def test_expected(): assert double(0) == 1
def test_half(): assert True
"""
PYTHON: Mapping[str, Content] = {
    "app.py": CODE,
    "tests/test_app.py": TESTS,
    "tests/test_more.py": "def test_more(): 1\n",
}

RUNNER = """\
for test in tests/*.t; do
  name=$(basename "$test" .t)
  sh "$test"
  case $? in
    0) found= ;;
    77) found="<skipped/>" ;;
    *) found="<failure/>"; status=1 ;;
  esac
  cases="$cases<testcase classname='app' name='$name'>$found</testcase>"
done
echo "<testsuite>$cases</testsuite>" > report.xml
exit ${status:-0}
"""
"""A runner of tests without any startup: each file is one test, which says by its exit code how it went."""
WRONG, RIGHT = "double() { echo $(($1 * 3)); }\n", "double() { echo $(($1 * 2)); }\n"
OF_TWO = '. ./app.sh; [ "$(double 2)" = 4 ]\n'
OF_ZERO = '. ./app.sh; [ "$(double 0)" = 0 ]\n'
SHELL: Mapping[str, Content] = {"run.sh": RUNNER, "app.sh": WRONG, "tests/zero.t": OF_ZERO, "tests/other.t": "exit 0\n"}
POLICY = Policy(commands=CommandPolicy(test=("sh run.sh",)), reports=ReportPolicy(junit=("report.xml",)))


@dataclass
class World:
    """A repository taken in, what its runs said while they went on, and where measurements are kept."""

    path: Path
    quarantine: Quarantine
    base: str
    scratch: Path
    said: list[bytes]
    policy: Policy

    async def change(self, files: Mapping[str, Content]) -> str:
        made = commit(self.path, files)
        await self.quarantine.fetch(await inspect(self.path), made)
        git(self.path, "reset", "-q", "--hard", self.base)
        return made

    @property
    def trial(self) -> Trial:
        limits = Limits(wall_s=120)
        return Trial(Sandbox(), self.quarantine, self.scratch, self.policy, limits, self.said.append)

    async def compare(self, files: Mapping[str, Content], kind: str = "feature", **more: Any) -> TestRun:
        change = Change(self.base, await self.change(files), kind=kind, **more)
        return await compared_tests(self.trial, change, self.scratch / "baselines")

    @property
    def runs_said(self) -> int:
        """Runs that were announced besides the first."""
        return b"".join(self.said).count(b"\n[running")


async def world_of(place: Path, files: Mapping[str, Content], policy: Policy | None = None) -> World:
    source = await inspect(repository(place / "user", files))
    quarantine = await Quarantine.open(place / "quarantine.git")
    await quarantine.fetch(source, source.tip)
    (place / "scratch").mkdir()
    return World(place / "user", quarantine, source.tip, place / "scratch", [], policy or Policy())


def codes(run: TestRun) -> list[str]:
    return [problem.code for problem in run.problems]


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await world_of(tmp_path, SHELL, POLICY)


async def test_pytest_s_tests_that_test_less_are_told_by_name(tmp_path: Path) -> None:
    world = await world_of(tmp_path, PYTHON)
    moved = {"tests/test_more.py": None, "tests/test_moved.py": "def test_more(): 1\n"}
    worse = {"app.py": CODE.replace("2 * x", "3 * x"), "tests/test_app.py": WORSE}
    told = {problem.code: problem.message for problem in (await world.compare({**moved, **worse})).problems}
    assert list(told) == ["test_removed", "test_skipped", "base_test_broken"]
    assert "tests.test_app::test_double[2], tests.test_more::test_more" in told["test_removed"]
    assert "changed parameter" in told["test_removed"]
    assert "test_expected, tests.test_app::test_skipped" in told["test_skipped"]
    assert "tests.test_app::test_double[1]" in told["base_test_broken"]


async def test_a_fix_is_proven_by_a_test_of_what_the_base_has_not_even_got(tmp_path: Path) -> None:
    world = await world_of(tmp_path, PYTHON)
    more = "def third(x):\n    return x / 3\n"
    new = {"app.py": CODE + more, "tests/test_new.py": "from app import third\ndef test_new(): assert third(3) == 1\n"}
    run = await world.compare({**new, "tests/test_app.py": TESTS + "def test_last(): assert double(8)\n"}, kind="bug")
    assert run.problems == ()
    assert run.tests is not None
    assert run.tests.command.startswith("git checkout ")
    assert run.tests.command.endswith(" && python -m pytest")
    assert run.coverage is not None
    assert (run.coverage.base_covered_count, run.coverage.base_lines_count) == (3, 4)


async def test_runner_settings_of_the_change_do_not_hold(tmp_path: Path) -> None:
    world = await world_of(tmp_path, PYTHON)
    files = {
        "conftest.py": "collect_ignore_glob = ['*more*']\n",
        "pytest.ini": "[pytest]\naddopts = -k none\n",
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--deselect tests/test_more.py'\n",
        "tests/test_more.py": None,
    }
    made = await world.change(files)
    run = await blamed_tests(world.trial, Change(world.base, made), world.scratch / "baselines")
    assert run.problems == ()
    assert run.tests is not None
    assert run.tests.passed == 5
    assert world.runs_said == 0


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tests/other.t": None}, ["test_removed"]),
        ({"tests/other.t": None, "tests/moved.t": "exit 0\n"}, ["test_removed"]),
        ({"tests/other.t": "exit 77\n"}, ["test_skipped"]),
        ({"app.sh": WRONG.replace("$1 *", "4 +"), "tests/zero.t": "exit 0\n"}, ["base_test_broken"]),
        ({"app.sh": RIGHT, "tests/zero.t": OF_ZERO + "exit $?\n", "tests/more.t": "exit 0\n"}, []),
        ({"app.sh": RIGHT}, []),
    ],
)
async def test_the_tests_of_any_runner_are_compared_one_by_one(
    world: World, files: Mapping[str, Content], expected: list[str]
) -> None:
    assert codes(await world.compare(files)) == expected


@pytest.mark.parametrize(
    ("files", "kind", "expected"),
    [
        ({"app.sh": RIGHT, "tests/two.t": OF_TWO}, "bug", []),
        ({"app.sh": RIGHT, "tests/zero.t": OF_TWO}, "bug", []),
        ({"app.sh": RIGHT, "tests/two.t": OF_ZERO}, "hotfix", ["fix_unproven"]),
        ({"app.sh": RIGHT}, "bug", ["fix_unproven"]),
        ({"app.sh": RIGHT}, "feature", []),
    ],
)
async def test_a_fix_needs_a_test_that_fails_without_it(
    world: World, files: Mapping[str, Content], kind: str, expected: list[str]
) -> None:
    assert codes(await world.compare(files, kind=kind)) == expected


async def test_the_base_is_measured_once_for_all_changes_and_anew_where_its_file_is_broken(world: World) -> None:
    await world.compare({"app.sh": RIGHT})
    assert world.runs_said == 1
    await world.compare({"app.sh": RIGHT + "\n"})
    assert world.runs_said == 1
    (kept,) = (world.scratch / "baselines").iterdir()
    kept.write_text('{"by_name": 3}')
    await world.compare({"app.sh": RIGHT})
    assert world.runs_said == 2


async def test_a_failure_of_the_base_is_not_the_change_s_unless_it_was_the_target(tmp_path: Path) -> None:
    world = await world_of(tmp_path, {**SHELL, "tests/two.t": OF_TWO}, POLICY)
    run = await world.compare({"app.sh": WRONG.replace("* 3", "+ 5")})
    assert run.tests is not None
    assert run.tests.preexisting_names == ("app::two",)
    assert (run.tests.failed, run.tests.flaky) == (2, 0)
    again = await world.compare({"app.sh": WRONG + "\n"}, kind="bug", targets=("app::two",))
    assert again.tests is not None
    assert again.tests.preexisting == 0
    assert codes(again) == ["fix_unproven"]


async def test_a_module_that_the_base_cannot_collect_either_is_not_the_change_s(tmp_path: Path) -> None:
    missing = {"tests/test_missing.py": "import no_such_library\n\ndef test_it(): pass\n"}
    world = await world_of(tmp_path, {**PYTHON, **missing})
    run = await world.compare({"app.py": CODE + "\n# said\n"})
    assert run.tests is not None
    assert (run.tests.passed, run.tests.errors, run.tests.preexisting) == (6, 1, 1)
    assert codes(run) == []
    worse = await world.compare({"tests/test_more.py": "import no_other_library\n\ndef test_more(): 1\n"})
    assert codes(worse) == ["collection_failed"]
    assert "test_more" in worse.problems[0].message


async def test_a_failure_that_passes_when_run_again_is_flaky_and_one_that_never_does_is_not(world: World) -> None:
    """Each fails by the toss of a coin; that of 40 all fall alike twice is not to be expected."""
    coin = "exit $(($(od -An -N1 -tu1 /dev/urandom) % 2))\n"
    run = await world.compare({**{f"tests/coin{n}.t": coin for n in range(40)}, "tests/broken.t": "exit 1\n"})
    assert run.tests is not None
    assert 0 < run.tests.flaky < run.tests.failed
    assert all("coin" in name for name in run.tests.flaky_names)
    assert run.tests.preexisting == 0


async def test_a_base_without_tests_is_nothing_to_compare_with(tmp_path: Path) -> None:
    empty = "echo '<testsuite/>' > report.xml\n"
    world = await world_of(tmp_path, {**SHELL, "run.sh": empty}, POLICY)
    assert codes(await world.compare({"run.sh": RUNNER, "tests/more.t": "exit 0\n"})) == []


async def test_a_change_that_silences_what_told_of_the_base_s_tests_is_found(tmp_path: Path) -> None:
    policy = Policy(commands=CommandPolicy(test=("sh run.sh",)))
    world = await world_of(tmp_path, {**PYTHON, "run.sh": "python -m pytest\n"}, policy)
    forged = "printf '<testsuite><testcase name=\"a\"/></testsuite>' > junit.xml\n"
    assert codes(await world.compare({"run.sh": forged}))[0] == "report_contradicted"


async def test_a_base_that_cannot_be_run_matters_only_where_something_is_to_be_compared(tmp_path: Path) -> None:
    world = await world_of(tmp_path, {**SHELL, "run.sh": "exit 3\n"}, POLICY)
    assert codes(await world.compare({"run.sh": RUNNER})) == []
    assert codes(await world.compare({"run.sh": RUNNER, "tests/a.t": "exit 0\n"})) == ["base_unmeasured"]
    assert codes(await world.compare({"run.sh": RUNNER}, kind="bug")) == ["base_unmeasured"]


async def test_a_mixture_replaces_and_drops_whole_files_only(world: World) -> None:
    mixer = Mixer(world.quarantine)
    locks = {"uv.lock": "1", "package.json": '{"name": "a"}', "pyproject.toml": "[project]\nname = 'a'\n"}
    made = await world.change({**locks, "sub/conftest.py": "1", "app.sh": RIGHT})
    mixed = await mixer.with_runner_of(world.base, made)
    assert await mixer.changed_files(made, mixed) == ["sub/conftest.py"]
    assert await mixer.with_runner_of(world.base, await world.change({"app.sh": RIGHT})) != mixed


async def test_a_mixture_goes_through_no_link_of_the_change(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    git(world.path, "rm", "-rq", "tests")
    (world.path / "tests").symlink_to(outside)
    made = await world.change({})
    mixed = await Mixer(world.quarantine).with_files_of(
        world.base, made, lambda path: path.startswith("tests"), drops=True
    )
    await world.quarantine.clone(mixed, tmp_path / "clone")
    assert not (tmp_path / "clone" / "tests").is_symlink()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "is_runner"),
    [
        ("a/b/conftest.py", True),
        ("pytest.ini", True),
        ("jest.config.mjs", True),
        ("x.pth", True),
        ("gates/test.yaml", True),
        ("tests/test_a.py", False),
        ("setup.py", False),
    ],
)
def test_a_file_of_the_runner_is_known_by_its_name(path: str, is_runner: bool) -> None:
    assert is_runner_file(path) is is_runner


def test_only_the_newest_measurements_are_kept(tmp_path: Path) -> None:
    kept = Baselines(tmp_path / "baselines")
    measured = Outcomes({"a": TestOutcome.PASSED}, frozenset("a"), coverage=(1, 2))
    for number in range(KEPT_MAX + 3):
        kept.keep(f"{number:040x}", Policy(), measured)
    assert len(list(kept.directory.iterdir())) == KEPT_MAX
    assert kept.find(f"{KEPT_MAX + 2:040x}", Policy()) == measured
    assert kept.find(f"{0:040x}", Policy(commands=CommandPolicy(test=("true",)))) is None


def test_nothing_is_kept_of_a_base_that_could_not_be_measured(tmp_path: Path) -> None:
    kept = Baselines(tmp_path / "baselines")
    kept.keep("0" * 40, Policy(), Outcomes(unmeasured="It did not end."))
    assert kept.find("0" * 40, Policy()) is None
