"""The embedded agent's parts: localisation, text edits, names of tests, hints, forks."""

import ast
import os
import time
from pathlib import Path

import pytest

from libs.workshop.repair import mutations
from libs.workshop.repair.forks import Tell, in_fork, limit_cpu
from libs.workshop.repair.hints import gather
from libs.workshop.repair.localise import Spectrum, is_test
from libs.workshop.repair.site import Hints, Module, sites
from libs.workshop.repair.source import Source, load
from libs.workshop.repair.suite import Result, Test, junit_id

SAMPLES = Path(__file__).parents[2] / "libs" / "workshop" / "repair"


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("tests/test_calc.py::test_add", "tests.test_calc::test_add"),
        ("tests/test_calc.py::TestAdd::test_neg[1]", "tests.test_calc.TestAdd::test_neg[1]"),
        ("test_a.py::test_path[a/b.py::c]", "test_a::test_path[a/b.py::c]"),
    ],
)
def test_a_test_is_named_as_in_a_junit_report(nodeid: str, name: str) -> None:
    assert junit_id(nodeid) == name


def result(outcomes: list[str], lines: dict[int, tuple[int, ...]]) -> Result:
    names = [f"test_m.py::test_{number}" for number in range(len(outcomes))]
    tests = {name: Test(name, outcome, 0.01) for name, outcome in zip(names, outcomes, strict=True)}
    return Result(
        tests, tuple(names), dict.fromkeys(names, "test_m.py"), (), {"m.py": lines, "test_m.py": {1: (0,)}}, ()
    )


def suspects(found: Result) -> list[tuple[int, float]]:
    spectrum = Spectrum(found, frozenset(test.nodeid for test in found.failing))
    return [(item.line, item.score) for item in spectrum.suspects()]


def test_a_line_that_only_failing_tests_run_is_the_most_suspect() -> None:
    found = result(["failed", "passed", "passed", "passed"], {1: (0, 1, 2, 3), 2: (0,), 3: (1, 2), 4: (0, 1), 5: (-1,)})
    assert suspects(found) == [(2, 1.0), (4, 0.7071), (1, 0.5)]


def test_each_of_several_defects_keeps_its_full_suspicion() -> None:
    found = result(["failed", "failed", "passed"], {1: (0,), 2: (1,), 3: (0, 1, 2)})
    assert suspects(found)[:2] == [(1, 1.0), (2, 1.0)]


@pytest.mark.parametrize(
    ("path", "verdict"),
    [("tests/data.py", True), ("pkg/test_a.py", True), ("a_test.py", True), ("conftest.py", True), ("pkg/a.py", False)],
)
def test_tests_are_never_suspects(path: str, verdict: bool) -> None:
    assert is_test(path, ()) is verdict
    assert is_test("odd/name.py", {"odd/name.py"})


def edited(text: str, hints: Hints | None = None) -> set[str]:
    source = Source("m.py", text, "utf-8")
    module = Module(source)
    return {source.edited(edit) for site in sites(module, hints or Hints()) for edit in mutations.edits(site)}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("def f(a, b):\n    return a < b\n", "def f(a, b):\n    return a <= b\n"),
        ("def f(a, b):\n    return a - b\n", "def f(a, b):\n    return b - a\n"),
        ("def f(a, b, c):\n    return a + b * c\n", "def f(a, b, c):\n    return (a + b) * c\n"),
        ("def f(a):\n    return a[1:]\n", "def f(a):\n    return a[:1]\n"),
        ("def f(a):\n    return sum(a) / (len(a) - 1)\n", "def f(a):\n    return sum(a) / len(a)\n"),
        ("def f(é, b):\n    return é and b  # ü\n", "def f(é, b):\n    return é or b  # ü\n"),
        ("def f(a):\n    if not a:\n        return 1\n", "def f(a):\n    if a is None:\n        return 1\n"),
        ("def f(a):\n    return sorted(a)\n", "def f(a):\n    return sorted(a, reverse=True)\n"),
        ("def f(a):\n    a.strip()\n    return a\n", "def f(a):\n    a = a.strip()\n    return a\n"),
        (
            "def f(a):\n\tfor x in a:\n\t\tprint(x)\n\t\treturn a\n",
            "def f(a):\n\tfor x in a:\n\t\tprint(x)\n\treturn a\n",
        ),
        ("def f(a):\n    ValueError(a)\n", "def f(a):\n    raise ValueError(a)\n"),
        ('def f(a):\n    return "{a}!"\n', 'def f(a):\n    return f"{a}!"\n'),
        ("def f(a):\r\n    a()\r\n    return 1\r\n", "def f(a):\r\n    return 1\r\n    a()\r\n"),
        ("class A:\n    def b(self):\n        pass\n", "class A:\n    @property\n    def b(self):\n        pass\n"),
    ],
)
def test_a_usual_slip_has_its_mending_among_the_edits(wrong: str, right: str) -> None:
    assert right in edited(wrong)


def test_guards_take_their_constants_from_the_failing_assertion() -> None:
    hints = gather([], [Test("t", "failed", 0.0, text="E       assert None == 'empty'\n")])
    assert "'empty'" in hints.literals
    assert "def f(a):\n    if not a:\n        return 'empty'\n    return a[0]\n" in edited(
        "def f(a):\n    return a[0]\n", hints
    )


def test_edits_of_real_code_are_almost_always_python_and_never_touch_comments() -> None:
    source = load(SAMPLES, "forks.py")
    assert source is not None
    texts = sorted(edited(source.text))[::40]
    broken = sum(not is_python(text) for text in texts)
    assert len(texts) > 50
    assert broken < len(texts) / 20


def is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def test_a_fork_tells_its_answer_and_dies() -> None:
    def work(tell: Tell) -> None:
        tell({"pid": os.getpid()})

    assert in_fork(work, 20)["pid"] != os.getpid()


def test_a_fork_that_exits_hangs_or_burns_is_told_apart_from_an_answer() -> None:
    def leaves(tell: Tell) -> None:
        os._exit(7)

    def waits(tell: Tell) -> None:
        time.sleep(60)

    def burns(tell: Tell) -> None:
        limit_cpu(0.05)
        while True:
            pass

    assert in_fork(leaves, 20) == {"trouble": "died"}
    assert in_fork(waits, 0.05) == {"trouble": "did not end"}
    assert in_fork(burns, 20) == {"trouble": "died"}
