"""The commands against a running system, from an issue that no run can begin on to its replay."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from libs.cli.main import main
from tests.cli.conftest import Rung, Up

Told = tuple[int, Any, str]
Tell = Callable[..., Told]


@pytest.fixture
def tell(up: Up, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Exit code, the one JSON value on standard output, and what was said beside it."""

    def told(*words: str) -> Told:
        code = main([*words, "--data", up.data, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return told


@pytest.fixture
def opened(tell: Tell, tmp_path: Path) -> dict[str, str]:
    """An issue about a repository that does not exist; its run is declined at once."""
    code, names, _ = tell("issue", "open", "--repo", str(tmp_path / "no-such"), "--title", "Fix [red]it[/red]")
    assert code == 0
    assert names["is_taken"] is True
    return dict(names)


def test_an_opened_issue_is_followed_to_its_end(tell: Tell, opened: dict[str, str]) -> None:
    code, answer, _ = tell("runs", "watch", opened["run"])
    assert code == 1
    assert answer["outcome"] == "declined"
    assert "no-such does not exist" in answer["reason"]


def test_a_run_is_listed_and_shown_by_the_beginning_of_its_id(
    tell: Tell, opened: dict[str, str], tmp_path: Path
) -> None:
    tell("runs", "watch", opened["run"])
    _, listed, _ = tell("runs", "--repo", str(tmp_path / "no-such"))
    code, shown, _ = tell("runs", "show", opened["run"][:12], "--plan")
    assert [view["run"] for view in listed] == [opened["run"]]
    assert code == 0
    assert shown["run"] == opened["run"]
    assert shown["title"] == "Fix [red]it[/red]"
    assert shown["sentences"]
    assert shown["plan"] is None


def test_each_fact_of_the_log_names_one_before_it_as_its_cause(tell: Tell, opened: dict[str, str]) -> None:
    tell("runs", "watch", opened["run"])
    _, log, _ = tell("log", opened["run"])
    assert [entry["type"] for entry in log] == ["issue.opened", "run.started", "run.finished"]
    assert [entry["cause"] for entry in log[1:]] == [entry["id"] for entry in log[:-1]]
    assert log[0]["producer"] == "planner"


def test_people_can_read_the_list_the_run_and_the_log(
    tell: Tell, opened: dict[str, str], up: Up, capsys: pytest.CaptureFixture[str]
) -> None:
    tell("runs", "watch", opened["run"])
    for words in (["runs"], ["runs", "show", opened["run"]], ["log", opened["run"]]):
        assert main([*words, "--data", up.data]) == 0
        assert "Fix [red]it[/red]" in capsys.readouterr().out


def test_the_same_key_is_the_same_issue(tell: Tell, tmp_path: Path) -> None:
    words = ("issue", "open", "--repo", str(tmp_path), "--title", "x", "--key", "SHOP-1")
    assert tell(*words)[1] == tell(*words)[1]


def test_without_a_key_two_issues_are_two(tell: Tell, tmp_path: Path) -> None:
    words = ("issue", "open", "--repo", str(tmp_path), "--title", "x")
    assert tell(*words)[1]["run"] != tell(*words)[1]["run"]


def test_a_decision_that_does_not_count_is_refused_with_its_sentence(tell: Tell, opened: dict[str, str]) -> None:
    tell("runs", "watch", opened["run"])
    code, answer, said = tell("decide", opened["run"], "approve", "--reason", "looks good")
    assert code == 3
    assert answer["is_recorded"] is False
    assert answer["error"] == said.strip()
    assert "has ended" in said


def test_a_run_that_is_not_there_is_said_so(tell: Tell) -> None:
    code, answer, said = tell("runs", "show", "nobody")
    assert (code, said) == (2, "There is no run nobody.\n")
    assert answer == {"error": "There is no run nobody.", "exit_code": 2}


def test_a_replay_equals_the_live_projection(tell: Tell, opened: dict[str, str]) -> None:
    tell("runs", "watch", opened["run"])
    code, answer, _ = tell("replay")
    assert code == 0
    assert answer["was_same"] is True
    assert answer["facts"] >= 3
    assert answer["runs"] >= 1


def test_a_run_uses_the_system_that_is_there_and_leaves_it_running(tell: Tell, up: Up, tmp_path: Path) -> None:
    code, answer, said = tell("run", "--repo", str(tmp_path / "no-such"), "--title", "x", "--approve-as", "ada")
    assert (code, answer["outcome"]) == (1, "declined")
    assert f"run {answer['run']}" in said
    assert up.process.poll() is None


def test_a_run_starts_a_system_where_there_is_none_and_stops_it(rung: Rung, tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = rung("run", "--data", str(data), "--repo", str(tmp_path / "no-such"), "--title", "x", "--json")
    assert done.code == 1
    assert done.json["outcome"] == "declined"
    assert not (data / "nats" / "endpoint.json").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((data / "nats" / "lock").read_text().split()[1]), 0)


def test_a_system_named_by_the_environment_is_used(
    up: Up, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNG_NATS_URL", up.said["url"])
    monkeypatch.setenv("RUNG_KEYS", up.said["keys"])
    assert main(["doctor", "--json"]) in (0, 1)
    checks = {check["name"]: check["found"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["system"] == f"runs at {up.said['url']}"
