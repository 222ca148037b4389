"""Runs of pytest that belie their own report, each beside an honest run that looks alike."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from libs.contracts.evidence import TestCase, TestOutcome
from libs.workshop.evidence.collect import TestRun, run_tests
from libs.workshop.evidence.junit import read_junit
from libs.workshop.evidence.witness import Heard, Listener, contradiction, report_name
from libs.workshop.sandbox import Limits, Sandbox
from tests.workshop.git_world import write

FORGED = '<testsuite tests="1"><testcase classname="test_a" name="test_a" file="test_a.py"/></testsuite>'
FAILING = "def test_a(): assert 1 == 2\n"

REWRITING = """\
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
"""
SILENCING = """\
import pytest
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    report.outcome = "passed"
"""
LEFT_OUT = """\
def pytest_runtest_protocol(item, nextitem):
    return True if item.name == "test_a" else None
"""
AT_EXIT = f"""\
import atexit, glob, os
def forge():
    for path in glob.glob("/out/junit*.xml"):
        open(path, "w").write({FORGED!r})
    os._exit(0)
atexit.register(forge)
"""
AT_ONCE = f"""\
import os
open("/out/junit-1.xml", "w").write({FORGED!r})
os._exit(0)
"""
PATCHED_REPORT = """\
import _pytest.reports as r
real = r.TestReport.from_item_and_call.__func__
def fake(cls, item, call):
    report = real(cls, item, call)
    report.outcome = "passed"
    return report
r.TestReport.from_item_and_call = classmethod(fake)
"""
PATCHED_RUN = """\
import _pytest.python as p
p.Function.runtest = lambda self: None
"""
PATCHED_CALL = """\
import _pytest.runner as r
real = r.CallInfo.from_call.__func__
def fake(cls, func, when, reraise=None):
    call = real(cls, func, when, reraise)
    call.excinfo = None
    call._result = None
    return call
r.CallInfo.from_call = classmethod(fake)
"""
FAKE_PYTEST = f"""\
open("/out/junit-1.xml", "w").write({FORGED!r})
"""
SHOUTING = """\
import json, os, socket
mine = socket.socket(socket.AF_UNIX)
mine.connect(os.environ["RUNG_WITNESS"])
mine.sendall(b'{"n": 0, "say": "heard"}\\n')
"""

ATTACKS: dict[str, Mapping[str, str]] = {
    "a conftest that rewrites outcomes": {"conftest.py": REWRITING, "test_a.py": FAILING},
    "a conftest that rewrites what is reported": {"conftest.py": SILENCING, "test_a.py": FAILING},
    "a conftest that leaves a test out": {
        "conftest.py": LEFT_OUT,
        "test_a.py": FAILING,
        "test_b.py": "def test_b(): 1\n",
    },
    "leaving at import": {"test_a.py": "import os\nos._exit(0)\n"},
    "leaving at import with a report": {"test_a.py": AT_ONCE},
    "another report at exit": {"test_a.py": AT_EXIT + FAILING},
    "patched reports": {"test_a.py": PATCHED_REPORT + FAILING},
    "patched tests": {"test_a.py": PATCHED_RUN + FAILING},
    "patched calls": {"test_a.py": PATCHED_CALL + FAILING},
    "another pytest": {"pytest.py": FAKE_PYTEST, "test_a.py": FAILING},
    "a voice of its own": {"test_a.py": SHOUTING + "def test_a(): pass\n"},
}

SUBTESTS = """\
import unittest
class TestAll(unittest.TestCase):
    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertLess(number, 9)
    @unittest.skip("not here")
    def test_skipped(self): raise AssertionError
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @classmethod
    def setUpClass(cls): assert not hasattr(cls, "made"); cls.made = 1
    def test_late(self): raise unittest.SkipTest("later")
"""
MANY = """\
import os, pytest
@pytest.mark.parametrize("word", ["a::b", "x/y.py", "[", "", "\\x1b[0m", "caf\\u00e9", "a-b] c", "\\u202e", "<&>\\"'"])
def test_words(word): pass
@pytest.mark.xfail
def test_xfails(): assert False
@pytest.mark.xfail
def test_xpasses(): pass
def test_skips(): pytest.skip("not now")
def test_forks():
    if not (child := os.fork()): os._exit(3)
    assert os.waitpid(child, 0)[1]
class TestInner:
    class TestMore:
        def test_deep(self): pass
def test_changes_place(tmp_path, monkeypatch): monkeypatch.chdir(tmp_path)
def test_clears(monkeypatch):
    for name in list(os.environ): monkeypatch.delenv(name)
"""
MODULE_FIXTURE = """\
import pytest
made = []
@pytest.fixture(scope="module", autouse=True)
def once():
    made.append(1)
    yield
    assert len(made) == 1
def test_one(): pass
def test_two(): pass
class TestThree:
    seen = 0
    @classmethod
    def setup_class(cls): cls.seen += 1
    def test_a(self): assert TestThree.seen == 1
    def test_b(self): assert TestThree.seen == 1
"""
NESTED = """\
pytest_plugins = "pytester"
def test_inner(pytester):
    pytester.makepyfile("def test_fails(): assert 0")
    pytester.runpytest_inprocess().assert_outcomes(failed=1)
    pytester.runpytest_subprocess().assert_outcomes(failed=1)
"""
RERUN = """\
from _pytest.runner import runtestprotocol
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    if any(report.failed for report in runtestprotocol(item, nextitem=nextitem, log=False)):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in reports: item.ihook.pytest_runtest_logreport(report=report)
    return True
"""
ONCE = "seen = []\ndef test_a():\n    seen.append(1)\n    assert len(seen) == 2\n"
DOCTEST = '"""\n>>> 1 + 1\n2\n"""\ndef double(x):\n    """\n    >>> double(2)\n    5\n    """\n    return 2 * x\n'
RENAMED = """\
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.nodeid += " renamed"
    return report
"""


def ini(options: str) -> str:
    return f"[pytest]\naddopts = {options}\n"


KINDS: Mapping[str, str] = {
    "test_many.py": MANY,
    "test_unittest.py": SUBTESTS,
    "test_module.py": MODULE_FIXTURE,
    "sub/test_submodule.py": MODULE_FIXTURE,
    "test_class.py": "class TestA:\n    def test_a(self): pass\n    def test_b(self): pass\n",
    "test_broken.py": "import pytest\n@pytest.fixture\ndef bad(): raise OSError\ndef test_a(bad): pass\n",
    "doc.py": DOCTEST,
    "doc.rst": ">>> 1\n1\n",
    "test_fails.py": FAILING,
}
DOCTESTS = "--doctest-modules --doctest-glob=*.rst"

HONEST: dict[str, tuple[Mapping[str, str], int, int]] = {
    "tests of many kinds": ({"pytest.ini": ini(DOCTESTS), **KINDS}, 27, 3),
    "several processes": ({"pytest.ini": ini("-n 2"), **KINDS}, 25, 2),
    "stopping at the first failure": (
        {"pytest.ini": ini("-x"), "test_a.py": FAILING, "test_b.py": "def test_b(): 1\n"},
        0,
        1,
    ),
    "a fixture for all that breaks at its end": (
        {
            "conftest.py": "import pytest\n@pytest.fixture(autouse=True)\ndef bad():\n    yield\n    raise OSError\n",
            "test_a.py": "def test_a(): pass\n",
        },
        0,
        1,
    ),
    "tests of a plugin": ({"test_a.py": NESTED}, 1, 0),
    "a conftest that runs failed tests again": ({"conftest.py": RERUN, "test_a.py": ONCE}, 1, 0),
    "a conftest that names tests otherwise": ({"conftest.py": RENAMED, "test_a.py": FAILING}, 0, 1),
    "a choice of tests": ({"pytest.ini": ini("-k one"), "test_a.py": "def test_one(): 1\ndef test_two(): 1\n"}, 1, 0),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    path.mkdir()
    return path


async def run(checkout: Path, files: Mapping[str, str], *commands: str) -> TestRun:
    write(checkout, files)
    return await run_tests(Sandbox(), checkout, commands=commands, limits=Limits(wall_s=60))


@pytest.mark.parametrize("name", ATTACKS)
async def test_what_belies_the_report_is_found(checkout: Path, name: str) -> None:
    result = await run(checkout, ATTACKS[name])
    assert "report_contradicted" in [problem.code for problem in result.problems]


@pytest.mark.parametrize("name", HONEST)
async def test_an_honest_run_is_believed_and_counted_without_rung_s_own_tests(checkout: Path, name: str) -> None:
    files, passed, failing = HONEST[name]
    result = await run(checkout, files)
    assert result.problems == ()
    assert result.tests is not None
    assert (result.tests.passed, result.tests.failed + result.tests.errors) == (passed, failing)
    assert result.collected


async def test_a_module_that_cannot_be_imported_belies_nothing(checkout: Path) -> None:
    files = {"test_a.py": "import nothing_like_it\n", "pkg/__init__.py": "", "pkg/test_b.py": "def test_b(: 1\n"}
    result = await run(checkout, {**files, "test_c.py": "def test_c(): 1\n"})
    assert {problem.code for problem in result.problems} == {"collection_failed"}


async def test_leaving_by_an_exception_at_import_gives_no_evidence(checkout: Path) -> None:
    result = await run(checkout, {"test_a.py": "import sys\nsys.exit(0)\n"})
    assert result.problems


@pytest.mark.parametrize(
    ("command", "is_watched"),
    [
        ("pytest -q", True),
        ("python -m pytest -q && true", True),
        ("PYTHONPATH=. python -m pytest -q", False),
        ("python -c 'import unittest; unittest.main(module=None)' discover", False),
    ],
)
async def test_a_command_of_the_policy_is_watched_where_it_can_be(
    checkout: Path, command: str, is_watched: bool
) -> None:
    result = await run(checkout, {"test_a.py": "def test_a(): assert True\n"}, command)
    assert (result.collected is not None) is is_watched
    assert "report_contradicted" not in [problem.code for problem in result.problems]


async def test_a_command_of_the_policy_that_rewrites_outcomes_is_found(checkout: Path) -> None:
    result = await run(checkout, ATTACKS["a conftest that rewrites outcomes"], "pytest -q")
    assert [problem.code for problem in result.problems] == ["report_contradicted"]


@pytest.mark.parametrize(
    ("nodeid", "classname", "name"),
    [
        ("tests/test_a.py::TestB::test_c[x::y/z.py]", "tests.test_a.TestB", "test_c[x::y/z.py]"),
        ("test_a.py::test_b", "test_a", "test_b"),
        ("docs/a.rst::a.rst", "docs.a.rst", "a.rst"),
        ("test_a.py", "", "test_a"),
    ],
)
def test_an_id_has_the_name_that_the_report_gives_it(nodeid: str, classname: str, name: str) -> None:
    case = f'<testsuite><testcase classname="{classname}" name="{name}"/></testsuite>'
    assert report_name(nodeid) == read_junit(case.encode())[0].name


def test_a_listener_without_a_word_contradicts_a_report_of_pytest_and_no_other() -> None:
    cases = (TestCase(name="a::b", outcome=TestOutcome.PASSED),)
    assert contradiction(Heard(), cases, cases, is_well=True) is not None
    assert contradiction(Heard(), cases, None, is_well=True) is None


async def test_a_listener_works_below_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 40)
    directory.mkdir()
    listener = Listener(directory, "/inside")
    async with listener.listening():
        assert list(directory.glob("*.socket"))
    assert not list(directory.glob("*.socket"))
    assert not listener.heard.is_begun
