"""Mutants of the changed lines on the real sandbox: which the tests notice, and which they do not."""

import ast
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from libs.contracts.evidence import Evidence, TestEvidence
from libs.contracts.words import Phase
from libs.contracts.workflow import AnyOf, Criterion, GatePolicy, Policy
from libs.contracts.workflow.parts import CommandPolicy
from libs.workshop import mutation
from libs.workshop.git import Quarantine, inspect
from libs.workshop.mutation import choose, is_asked, try_mutants, with_mutants
from libs.workshop.mutation_operators import mutations
from libs.workshop.repair.source import Source
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial
from tests.workshop.git_world import Content, repository

CODE = """\
    def price(count):
        if count >= 10:
            return count * 9
        return count * 10
    """
STRONG = "from shop import price\nassert [price(count) for count in (1, 9, 10, 11)] == [10, 90, 90, 99]\n"
WEAK = "from shop import price\nassert price(1) and price(20)\n"
ALL = frozenset(range(1, 100))
GATES = {Phase.TEST: GatePolicy(criteria=(Criterion(name="mutation_score_min", limit=80),))}
QUICK = Policy(gates=GATES, commands=CommandPolicy(test=("true", "python check.py")))
"""The suite is one file of assertions, since starting pytest takes longer than all else here."""


async def _trial(tmp_path: Path, files: Mapping[str, Content], policy: Policy = QUICK) -> tuple[Trial, str]:
    place = repository(tmp_path / "repository", {name: _dedent(content) for name, content in files.items()})
    source = await inspect(place)
    quarantine = await Quarantine.open(tmp_path / "quarantine")
    await quarantine.fetch(source, source.tip)
    return Trial(Sandbox(), quarantine, tmp_path / "scratch", policy, Limits(wall_s=120)), source.tip


def _dedent(content: Content) -> Content:
    return textwrap.dedent(content) if isinstance(content, str) else content


def _changes(text: str, lines: frozenset[int] = ALL) -> list[str]:
    source = Source("a.py", textwrap.dedent(text), "utf-8")
    return [one.change for one in mutations(source, lines) if one.is_other]


# -- what is changed ----------------------------------------------------------


def test_operators_limits_constants_conditions_results_and_statements_are_changed() -> None:
    assert _changes(CODE, frozenset({2})) == [
        "condition `count >= 10` was negated",
        "`>=` became `>`",
        "`10` became `11`",
    ]
    assert _changes(CODE, frozenset({4})) == ["`count * 10` became `None`", "`*` became `/`", "`10` became `11`"]
    assert _changes("total += f(x) and not y\n") == [
        "`+=` became `-=`",
        "`total += f(x) and not y` was left out",
        "`and` became `or`",
        "`not y` became `(y)`",
    ]
    assert "`save(x)` was left out" in _changes("def f(x):\n    save(x)\n")


@pytest.mark.parametrize(
    "text",
    [
        '"""About."""\n',
        "def f(x: int = None) -> int: ...\n",
        "from a import b\n",
        "log.debug('x %s', 1)\n",
        "def f():\n    raise_it = None\n    return None\n",
        "if TYPE_CHECKING:\n    x = 3\n",
        "if __name__ == '__main__':\n    main()\n",
        "__all__ = ['a']\n",
        "x: 'int'\n",
    ],
)
def test_what_has_no_effect_is_not_changed(text: str) -> None:
    assert _changes(text) == []


def test_every_mutant_is_python_that_says_something_else(tmp_path: Path) -> None:
    text = Path(textwrap.__file__).read_text()
    (tmp_path / "wrapping.py").write_text(text)
    found = choose(tmp_path, {"wrapping.py": frozenset(range(200, 300))}, "seed", 40)
    assert len(found) == 40
    said = {ast.dump(ast.parse(one.text)) for one in found}
    assert len(said) == 40
    assert ast.dump(ast.parse(text)) not in said


def test_each_changed_line_of_code_has_its_turn_before_any_has_a_second(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(textwrap.dedent(CODE))
    (tmp_path / "test_shop.py").write_text(textwrap.dedent(STRONG))
    changed = {"shop.py": ALL, "test_shop.py": ALL, "gone.py": ALL, "notes.md": ALL}
    first = choose(tmp_path, changed, "seed", 3)
    assert sorted((one.path, one.line) for one in first) == [("shop.py", 2), ("shop.py", 3), ("shop.py", 4)]
    assert choose(tmp_path, changed, "seed", 3) == first
    assert {tuple(choose(tmp_path, changed, str(seed), 3)) for seed in range(20)} != {tuple(first)}


# -- whether it is noticed ----------------------------------------------------


async def test_tests_that_look_closely_notice_every_mutant(tmp_path: Path) -> None:
    trial, commit = await _trial(tmp_path, {"shop.py": CODE, "check.py": STRONG})
    found, problems = await try_mutants(trial, commit, {"shop.py": frozenset({2, 3})}, tried_max=3)
    assert problems == ()
    assert found is not None
    assert (found.tried, found.killed, found.survivors) == (3, 3, ())


async def test_mutants_that_no_test_notices_are_named(tmp_path: Path) -> None:
    trial, commit = await _trial(tmp_path, {"shop.py": CODE, "check.py": WEAK})
    found, _ = await try_mutants(trial, commit, {"shop.py": frozenset({2})})
    assert found is not None
    assert (found.tried, found.killed) == (3, 0)
    assert {(one.path, one.line, one.change) for one in found.survivors} == {
        ("shop.py", 2, "condition `count >= 10` was negated"),
        ("shop.py", 2, "`>=` became `>`"),
        ("shop.py", 2, "`10` became `11`"),
    }


async def test_a_mutant_that_never_ends_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "ONE_MIN_S", 1.0)
    loop = "def up(n):\n    while n < 3:\n        n = n + 1\n    return n\n"
    files = {"up.py": loop, "check.py": "import up\nassert up.up(0) == 3\n"}
    trial, commit = await _trial(tmp_path, files)
    found, problems = await try_mutants(trial, commit, {"up.py": frozenset({3})}, tried_max=3)
    assert problems == ()
    assert found is not None
    assert (found.tried, found.killed) == (2, 2)


async def test_where_the_policy_names_no_commands_pytest_judges(tmp_path: Path) -> None:
    test = "from shop import price\n\ndef test_price():\n    assert price(3) == 30\n"
    trial, commit = await _trial(tmp_path, {"src/shop.py": CODE, "tests/test_shop.py": test}, Policy(gates=GATES))
    found, problems = await try_mutants(trial, commit, {"src/shop.py": frozenset({4})}, tried_max=1)
    assert problems == ()
    assert found is not None
    assert (found.tried, found.killed) == (1, 1)


async def test_one_run_of_the_suite_cannot_prepare_the_next(tmp_path: Path) -> None:
    """The suite passes whatever the code says, once it has been run where it stands."""
    suite = """\
        import pathlib
        from shop import price

        mark = pathlib.Path("mark")
        seen = mark.exists()
        mark.touch()
        assert seen or price(10) == 90
        """
    trial, commit = await _trial(tmp_path, {"shop.py": CODE, "check.py": suite})
    found, _ = await try_mutants(trial, commit, {"shop.py": frozenset({3})})
    assert found is not None
    assert found.killed == found.tried > 1


async def test_without_a_green_suite_no_mutant_is_judged(tmp_path: Path) -> None:
    trial, commit = await _trial(tmp_path, {"shop.py": CODE, "check.py": "assert False\n"})
    found, (problem,) = await try_mutants(trial, commit, {"shop.py": ALL})
    assert (found, problem.code) == (None, "mutation_unmeasured")


async def test_a_change_without_code_has_no_mutants(tmp_path: Path) -> None:
    trial, commit = await _trial(tmp_path, {"README.md": "# Shop\n", "test_shop.py": WEAK})
    found, problems = await try_mutants(trial, commit, {"README.md": ALL, "test_shop.py": ALL})
    assert found is not None
    assert (found.tried, problems) == (0, ())


# -- whether it is asked for --------------------------------------------------


async def test_mutants_are_made_only_where_the_gate_asks_and_the_tests_passed(tmp_path: Path) -> None:
    trial, commit = await _trial(tmp_path, {"shop.py": CODE, "check.py": WEAK})
    green = Evidence(commit=commit, tests=TestEvidence(passed=1))
    red = green.model_copy(update={"tests": TestEvidence(passed=1, failed=1)})
    changed = {"shop.py": frozenset({4})}
    assert (await with_mutants(trial, red, changed)).mutation is None
    unasked = Trial(trial.sandbox, trial.quarantine, trial.scratch, Policy(), trial.limits)
    assert await with_mutants(unasked, green, changed) == green
    found = (await with_mutants(trial, green, changed)).mutation
    assert found is not None
    assert (found.tried, found.killed) == (3, 1)


def test_a_criterion_inside_others_asks_too() -> None:
    rule = AnyOf(any_of=(Criterion(name="all_pass", limit=True), Criterion(name="no_surviving_mutants", limit=True)))
    assert is_asked(Policy(gates={Phase.TEST: GatePolicy(criteria=(rule,))}))
    assert not is_asked(Policy())
