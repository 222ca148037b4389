"""Bad input gets one sentence and an exit code, whatever the command."""

import json
import subprocess
from pathlib import Path

import pytest

from libs.cli.main import main
from tests.cli.conftest import ROOT, Rung, command

COMMANDS = (
    ["up"],
    ["run"],
    ["issue", "open"],
    ["runs"],
    ["runs", "show"],
    ["runs", "watch"],
    ["decide"],
    ["log"],
    ["replay"],
    ["inbox"],
    ["debt"],
    ["gate", "try"],
    ["person", "key"],
    ["workflow", "check"],
    ["workflow", "show"],
    ["doctor"],
)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("RUNG_NATS_URL", raising=False)


def test_an_operator_s_file_that_cannot_be_used_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "operator.yaml"
    file.write_text("peple: {ann: {role: approver}}\n")
    monkeypatch.setenv("RUNG_OPERATOR", str(file))
    assert main(["run", "--repo", ".", "--title", "x", "--data", str(tmp_path / "data")]) == 2
    said = capsys.readouterr().err
    assert "did you mean people?" in said
    assert "started again" not in said


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--help"]) == 0
    assert f"Example: rung {' '.join(words)}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fly"], "No such command 'fly'"),
        (["run", "--repo", "."], "Missing option '--title'"),
        (["run", "--repo", "", "--title", "x"], "--repo names no repository"),
        (["run", "--repo", ".", "--title", "\x1b\x07"], "title: "),
        (["run", "--repo", ".", "--title", "x", "--type", "B U G"], "type: "),
        (["run", "--repo", ".", "--title", "x", "--level", "l5"], "is no level"),
        (["run", "--repo", ".", "--title", "x", "--level", "autonomos"], "did you mean autonomous?"),
        (["run", "--repo", ".", "--title", "x", "--body-file", "/no/such"], "/no/such cannot be read"),
        (["run", "--repo", ".", "--title", "x", "--approve-as", " "], "--approve-as names nobody"),
        (["decide", "r", "aprove"], "did you mean approve?"),
        (["decide", "r", "grant"], "is no decision"),
        (["workflow", "check", "/no/such.yaml"], "/no/such.yaml cannot be read: No such file or directory."),
        (["workflow", "check", "/"], "Is a directory"),
        (["up", "--port", "70000"], "less than or equal to 65535"),
        (["runs", "--limit", "0"], "--limit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["runs", "show", "r"],
        ["runs", "watch", "r"],
        ["log", "r"],
        ["decide", "r", "approve"],
        ["replay"],
        ["issue", "open", "--repo", ".", "--title", "x"],
    ],
    ids=" ".join,
)
def test_without_a_system_the_sentence_names_the_command_that_starts_one(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == 4
    said = capsys.readouterr()
    sentence = f"No system runs on {tmp_path / 'rung'}; start one with: rung up"
    assert said.err == f"{sentence}\n"
    assert json.loads(said.out) == {"error": sentence, "exit_code": 4}


def test_to_a_doctor_a_system_that_does_not_run_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    states = {check["name"]: check["state"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert states["system"] == "note"


def test_a_data_directory_that_others_can_read_is_broken_and_the_doctor_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rung").mkdir(mode=0o755)
    assert main(["doctor", "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["data"]["state"] == "broken"
    assert checks["data"]["todo"] == f"Run: chmod 700 {tmp_path / 'rung'}"


def test_data_inside_the_repository_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--repo", str(tmp_path), "--title", "x", "--data", str(tmp_path / "state")]
    assert main(words) == 2
    assert "lies inside the repository" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_body_that_is_no_text_is_refused(rung: Rung) -> None:
    done = rung("run", "--repo", ".", "--title", "x", "--body-file", "-", stdin=b"\xff\xfe")
    assert (done.code, done.err) == (2, "The body file - is not UTF-8 text.\n")


def test_what_nobody_expected_is_one_sentence_and_a_traceback_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> bool:
        raise RuntimeError("the moon is full")

    monkeypatch.setattr("libs.cli.doctor.agents", fails)
    assert main(["doctor"]) == 1
    said, log = capsys.readouterr().err, tmp_path / "rung" / "logs" / "cli.log"
    assert said.count("\n") == 1
    assert "RuntimeError: the moon is full" in said
    assert str(log) in said
    assert "Traceback" in log.read_text()


def test_debugging_shows_the_traceback(rung: Rung, tmp_path: Path) -> None:
    assert "Traceback" in rung("runs", RUNG_DEBUG="1").err
    assert "Traceback" not in rung("runs").err


def test_text_that_the_terminal_cannot_show_stops_nothing(rung: Rung, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text("autonömie: assisted\n")
    done = rung("workflow", "check", str(file), PYTHONIOENCODING="ascii")
    assert done.code == 1
    assert done.out.startswith(f"{file}:1: auton\\xf6mie: ")


def test_a_reader_that_has_gone_is_no_error(rung: Rung) -> None:
    shell = f"{' '.join(command('doctor', '--help'))} | head -c 0"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, check=False)
    assert done.stderr == b""
