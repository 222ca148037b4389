"""`rung level`, `rung readiness` and `rung inbox` over runs that went well: what was earned is granted and shown."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from libs.cli.main import main
from libs.cli.options import os_user
from libs.contracts.words import Level
from services.gatekeeper.readiness.scorecard import PASSES_DRAWN, _chance
from tests.spec.story import REPOSITORY
from tests.support.gatekeeping import ended_runs, run_named, running_gatekeeper
from tests.support.system import System

PEOPLE: Final = f"""
separation: relaxed
people:
  ann: {{ role: operator, users: [{os_user()}] }}
"""

Told = tuple[int, Any]
Asked = Callable[..., Told]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_gatekeeper(tmp_path_factory.mktemp("ten") / "data", ended_runs(range(1, 11)), PEOPLE) as system:
        yield system


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("RUNG_PERSON_KEY", raising=False)
    monkeypatch.delenv("RUNG_OPERATOR", raising=False)


@pytest.fixture
def asked(system: System, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Exit code and the JSON answer of a command."""
    return _asking(system, capsys)


def _asking(system: System, capsys: pytest.CaptureFixture[str]) -> Asked:
    def ask(*words: str) -> Told:
        code = main([*words, "--data", str(system.data), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return ask


def _until_earned(asked: Asked, level: str, where: tuple[str, str] = ("--repo", REPOSITORY)) -> dict[str, Any]:
    end = time.monotonic() + 20
    while (found := asked("level", *where)[1])["earned"] != level:
        assert time.monotonic() < end, found
    return dict(found)


def test_ten_runs_earn_the_second_rung_which_the_operator_grants_and_nobody_grants_twice(asked: Asked) -> None:
    where = ("--repo", REPOSITORY)
    found = _until_earned(asked, "supervised")
    assert (found["granted"], found["in_force"], found["moved"]) == ("assisted", "assisted", None)
    code, said = asked("level", "grant", "autonomous", *where, "--reason", "skip one")
    assert (code, said["error"]) == (3, "Refused: after assisted comes supervised; no rung is skipped.")
    code, said = asked("level", "grant", "L2", *where, "--reason", "ten went well")
    assert (code, said["level"], said["by"], said["with_proof"]) == (0, "supervised", "ann", False)
    code, said = asked("level", "grant", "supervised", *where, "--reason", "again")
    assert (code, said["error"]) == (3, "Refused: the level granted is supervised already.")
    code, said = asked("level", "grant", "autonomous", *where, "--reason", "at once")
    assert (code, "autonomous is not earned; rung readiness shows which" in said["error"]) == (3, True)


def test_the_table_says_what_is_missing_for_the_next_rung(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["readiness", "--repo", REPOSITORY, "--data", str(system.data)]) == 0
    out = capsys.readouterr().out
    assert "granted" in out.splitlines()[1]
    assert "successful runs  10     10" in out or "To supervised: climbed; successful runs 10 (at least 10)" in out
    assert "To ase, after that: successful runs at least 100, gate accuracy above 98%" in out


def test_checks_by_chance_wait_in_the_inbox_and_a_label_answers_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = next(number for number in range(1, 1000) if _chance(run_named(number), "pass") < PASSES_DRAWN)
    facts = ended_runs([drawn], Level.AUTONOMOUS)
    with running_gatekeeper(tmp_path / "data", facts) as system:
        asked = _asking(system, capsys)
        end = time.monotonic() + 20
        while not (found := asked("inbox")[1]):
            assert time.monotonic() < end
        run = run_named(drawn)
        (entry,) = found
        assert (entry["run"], entry["audit"], entry["checkpoint"]) == (run, "pass", None)
        assert entry["gates"] == ["plan", "build", "test", "review", "document", "deploy"]
        command = entry["commands"]["review wrong"]
        assert command == f"rung label {run[:8]} review wrong --reason TEXT --data {system.data}"
        assert main(["inbox", "--data", str(system.data)]) == 0
        shown = capsys.readouterr().out
        assert f"rung runs show {run[:8]} --diff" in shown
        assert shown.count("rung label") == 12

        code, said = asked(*command.split()[1:-2])
        assert (code, said["source"], said["is_right"]) == (0, "audit", False)
        while asked("inbox")[1]:
            assert time.monotonic() < end
        labels = asked("readiness", "--repo", REPOSITORY)[1]["labels"]
        assert (labels["audited_wrong"], labels["false_pass"]) == (1, 1)


# -- words --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("level", "grant", "supervized", "--reason", "x"), "'supervized' is no level; did you mean supervised?"),
        (("level", "grant", "supervised"), "Missing option '--reason'"),
        (("level", "grant", "supervised", "--reason", " "), "--reason is empty"),
        (("level", "--repo", ""), "--repo names no repository"),
        (("freeze", "set", "--reason", ""), "--reason is empty"),
        (("level", "lower", "assisted", "--reason", "x" * 10_001), "reason: string should have at most 10000"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_asked(
    words: tuple[str, ...], sentence: str, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--data", str(system.data)]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("level",),
        ("level", "show"),
        ("level", "grant", "supervised", "--reason", "x"),
        ("level", "lower", "assisted", "--reason", "x"),
        ("freeze", "set", "--reason", "x"),
        ("freeze", "lift"),
        ("readiness",),
        ("label", "1f2e3d4c", "test", "right", "--reason", "x"),
    ],
)
def test_where_nothing_runs_it_is_said_how_to_start(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--data", str(tmp_path)]) == 4
    assert "start one with: rung up" in capsys.readouterr().err
