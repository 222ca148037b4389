"""`rung backtest` as a command: on an export and on a running system, for people and for programs."""

import json
from pathlib import Path
from typing import Any

import pytest

from libs.cli.backtest import parse_time
from libs.cli.main import main
from tests.bench.backtest import BEFORE, export
from tests.cli.conftest import Rung, Up

RUNS = 12
TIGHTER = "auto_merge: {enabled: true}\ngates: {test: {all_pass: true, coverage_min: 85}}\n"
KEYS = {
    *("policies", "level", "since", "repositories", "runs", "same", "different", "cannot_tell", "warnings", "summary"),
    *("seconds", "indexed_s"),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("log") / "log.jsonl"
    with file.open("wb") as out:
        export(out, RUNS)
    return file


@pytest.fixture
def tighter(tmp_path: Path) -> str:
    file = tmp_path / "tighter.yaml"
    file.write_text(TIGHTER)
    return str(file)


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    code = main(["backtest", "--json", *words])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def test_an_export_is_judged_without_any_system(log: Path, tighter: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told, _ = asked(capsys, "--policy", tighter, "--from", str(log))
    assert code == 0
    assert told.keys() == KEYS
    assert [one["file"] for one in told["policies"]] == [tighter]
    assert told["runs"] == RUNS == told["same"] + len(told["different"]) + len(told["cannot_tell"])
    assert {one["would"]["why"][0]["criterion"] for one in told["different"]} == {"coverage_min"}


def test_two_policies_and_a_level_are_taken(
    log: Path, tighter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "before.yaml").write_text(BEFORE)
    words = ("--policy", tighter, "--policy", str(tmp_path / "before.yaml"), "--level", "L3", "--from", str(log))
    code, told, _ = asked(capsys, *words)
    assert (code, told["level"], len(told["policies"])) == (0, "autonomous", 2)
    assert all(one["other"]["level"] == one["would"]["level"] == "autonomous" for one in told["different"])
    assert told["different"]


def test_runs_are_chosen_by_time_and_repository(log: Path, tighter: str, capsys: pytest.CaptureFixture[str]) -> None:
    base = ("--policy", tighter, "--from", str(log))
    for words, runs in ((("--since", "2023-11-14", "--repo", "/srv/shop"), RUNS), (("--since", "2023-11-15"), 0)):
        code, told, _ = asked(capsys, *base, *words)
        assert (code, told["runs"]) == (0, runs)


@pytest.mark.parametrize(
    "text", ["2023-11-14T22:13:20", "2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "1700000000", "1700000000.0"]
)
def test_a_moment_may_be_said_in_several_ways(text: str) -> None:
    assert parse_time(text) == 1_700_000_000


def test_a_person_reads_the_counts_first_and_then_the_runs(
    log: Path, tighter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtest", "--policy", tighter, "--from", str(log)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{RUNS} runs seen: ")
    assert any("coverage_min: coverage is " in line for line in lines)
    assert main(["backtest", "--policy", tighter, "--from", str(log), "--repo", "/srv/other"]) == 0
    assert capsys.readouterr().out == "There is no run of /srv/other to judge again.\n"


def test_the_log_of_a_running_system_is_judged(up: Up, rung: Rung, tighter: str) -> None:
    done = rung("backtest", "--json", "--policy", tighter, "--data", up.data)
    assert done.code == 0, done.err
    assert done.json.keys() == KEYS
    assert done.json["runs"] == done.json["same"] + len(done.json["different"]) + len(done.json["cannot_tell"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "Missing option"),
        (["--policy", "{gone}"], 2, "cannot be read"),
        (["--policy", "{refused}"], 2, "The workflow is refused: "),
        (["--policy", "{refused}"], 2, "did you mean all_pass"),
        (["--policy", "{good}", "--policy", "{good}", "--policy", "{good}"], 2, "twice at most"),
        (["--policy", "{good}", "--level", "high"], 2, "'high' is no level"),
        (["--policy", "{good}", "--since", "yesterday"], 2, "yesterday is no time"),
        (["--policy", "{good}", "--repo", ""], 2, "--repo names no repository"),
        (["--policy", "{good}", "--from", "{gone}"], 2, "cannot be read"),
        (["--policy", "{good}", "--from", "{good}"], 2, "line 1 of the export is not JSON"),
        (["--policy", "{good}", "--data", "{gone}"], 4, "No system runs"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(
    words: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.yaml").write_text(TIGHTER)
    (tmp_path / "refused.yaml").write_text("gates: {test: {all_passs: true}}\n")
    places = {name: str(tmp_path / f"{name}.yaml") for name in ("good", "refused", "gone")}
    ended, told, err = asked(capsys, *(word.format(**places) for word in words))
    assert (ended, told["exit_code"]) == (code, code)
    assert said in told["error"]
    assert "Traceback" not in err
