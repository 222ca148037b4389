"""The climb of the examples: prepared patches are what they are taken for, and the person agrees with truth alone."""

from pathlib import Path

import pytest

from examples.ladder.person import answer
from examples.ladder.tasks import BAD, FAMILIES, Kind, task
from examples.ladder.truth import Truth, truth_of
from libs.contracts.views import CheckpointView
from libs.contracts.words import DecisionKind

ALL_GOOD = Truth(behaves=True, is_safe=True, is_whole=True, keeps_rules=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    package = tmp_path / "src" / "huddle"
    (package / "extras").mkdir(parents=True)
    for file in (package / "__init__.py", package / "extras" / "__init__.py"):
        file.write_text('"""A package."""\n')
    (package / "hours.py").write_text("")
    return tmp_path


@pytest.mark.parametrize("number", range(len(FAMILIES)))
def test_the_reference_tells_right_patches_from_wrong_ones(repository: Path, number: int) -> None:
    wanted = task(number)
    assert truth_of(wanted, Kind.GOOD, repository) == ALL_GOOD
    assert truth_of(wanted, Kind.AMENDED, repository, is_sent_back=True) == ALL_GOOD
    for kind in (Kind.WRONG, Kind.SUBTLE, Kind.AMENDED):
        assert not truth_of(wanted, kind, repository).behaves


@pytest.mark.parametrize("kind", BAD)
def test_every_bad_patch_is_bad_for_a_reason_that_some_gate_asks_about(repository: Path, kind: Kind) -> None:
    truth = truth_of(task(3), kind, repository)
    assert not truth.is_good
    assert not all(truth.of_gate(gate) for gate in ("build", "test", "review"))


@pytest.mark.parametrize("number", range(40))
def test_a_subtle_fault_passes_the_tests_of_the_change_and_a_plain_one_does_not(number: int) -> None:
    family = task(number).family
    names = [name.strip() for name in family.arguments.split(",")]

    def values(expression: str) -> list[int]:
        calls = [dict(zip(names, call, strict=True)) for call in family.shown]
        return [int(eval(expression, {}, call)) for call in calls]  # noqa: S307 - our own expressions

    assert values(family.subtle) == values(family.good) != values(family.wrong)


def test_an_issue_is_the_same_each_time_and_no_other() -> None:
    assert task(17) == task(17)
    assert len({task(number).module for number in range(200)}) == 200


CASES = [
    ("pass", ALL_GOOD, Kind.GOOD, DecisionKind.APPROVE),
    ("fail", ALL_GOOD, Kind.GOOD, DecisionKind.OVERRIDE),
    ("no_data", ALL_GOOD, Kind.GOOD, DecisionKind.APPROVE),
    ("pass", ALL_GOOD._replace(behaves=False), Kind.SUBTLE, DecisionKind.REJECT),
    ("fail", ALL_GOOD._replace(behaves=False), Kind.WRONG, DecisionKind.REJECT),
    ("fail", ALL_GOOD._replace(behaves=False), Kind.AMENDED, DecisionKind.GUIDE),
    ("inconclusive", ALL_GOOD._replace(is_whole=False), Kind.WEAKENS, DecisionKind.REJECT),
]


@pytest.mark.parametrize(("outcome", "truth", "kind", "expected"), CASES)
def test_the_person_agrees_with_gates_that_are_right_and_with_no_others(
    outcome: str, truth: Truth, kind: Kind, expected: DecisionKind
) -> None:
    checkpoint = CheckpointView(
        phase="test", name="after test", attempt=1, outcome=outcome, reason="", answers=tuple(DecisionKind)
    )
    assert answer(kind, truth, checkpoint) is expected
