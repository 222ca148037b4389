"""`rung workflow check` tells every problem of a file where it is."""

import json
from pathlib import Path

import pytest

from libs.cli.main import main
from libs.cli.workflow import checked

GOOD = "gates:\n  test:\n    all_pass: true\nautonomy: assisted\n"
BAD = "gates:\n  test:\n    coverage_min: ninety\nautonomi: assisted\n"
GATE = "gate: test\ncriteria:\n  all_pass: true\n"


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_good_workflow_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _file(tmp_path / "workflow.yaml", GOOD)
    assert main(["workflow", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_every_problem_stands_on_its_line_with_place_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _file(tmp_path / "workflow.yaml", BAD)
    assert main(["workflow", "check", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{file}:3: gates.test.coverage_min: ")
    assert lines[1].startswith(f"{file}:4: autonomi: ")
    assert "autonomy" in lines[1]


def test_programs_get_the_same_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _file(tmp_path / "workflow.yaml", BAD)
    assert main(["workflow", "check", str(file), "--json"]) == 1
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert said.err == ""
    assert answer["ok"] is False
    assert [(problem["line"], problem["is_warning"]) for problem in answer["problems"]] == [(3, False), (4, False)]
    assert answer["problems"][0].keys() == {"file", "line", "field", "message", "is_warning"}


def test_warnings_are_told_and_refuse_nothing(tmp_path: Path) -> None:
    file = _file(tmp_path / "workflow.yaml", f"{GOOD}auto_merge:\n  enabled: true\n")
    is_ok, problems = checked(file)
    assert is_ok
    assert [problem.is_warning for problem in problems] == [True]


def test_gate_files_are_read_from_beside_the_workflow(tmp_path: Path) -> None:
    file = _file(tmp_path / "workflow.yaml", "gates:\n  - gates/test.yaml\n")
    (tmp_path / "gates").mkdir()
    gate = _file(tmp_path / "gates" / "test.yaml", GATE)
    assert checked(file)[0]
    gate.write_text(GATE.replace("all_pass", "all_pas"))
    is_ok, problems = checked(file)
    assert not is_ok
    assert any("did you mean all_pass?" in str(problem) for problem in problems)
    gate.unlink()
    assert not checked(file)[0]


def test_templates_are_read_from_beside_the_workflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _file(tmp_path / "workflow.yaml", "phases:\n  plan: { template: plan.md }\n")
    assert [str(problem) for problem in checked(file)[1]] == [
        f"{file}:2: phases.plan.template: there is no such file; the built-in template is used"
    ]
    template = _file(tmp_path / "plan.md", "Plan this:\n${issue_titel}\n")
    assert main(["workflow", "check", str(file)]) == 1
    assert capsys.readouterr().out == "plan.md:2: there is no variable ${issue_titel}; the nearest is ${issue_title}.\n"
    template.write_text("${issue_title}")
    assert checked(file) == (True, ())


def test_a_prompt_of_a_team_is_checked_as_well(tmp_path: Path) -> None:
    file = _file(tmp_path / "workflow.yaml", "teams:\n  web: { override_dir: teams/web }\n")
    assert "holds neither" in str(checked(file)[1][0])
    (tmp_path / "teams/web/prompts").mkdir(parents=True)
    prompt = _file(tmp_path / "teams/web/prompts/build.md", "${nobody_knows}")
    is_ok, problems = checked(file)
    assert not is_ok
    assert [(problem.file, problem.line) for problem in problems] == [("teams/web/prompts/build.md", 1)]
    prompt.write_text("plain")
    assert checked(file) == (True, ())


def test_a_level_above_the_lowest_is_only_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, data = _file(tmp_path / "workflow.yaml", "autonomy: ase\n"), str(tmp_path / "data")
    assert main(["workflow", "check", str(file), "--data", data]) == 0
    said = capsys.readouterr().err
    assert (
        "autonomy: ase asks for level 4; a run gets no more than its workflow was granted, see rung readiness." in said
    )
    assert "Granted here" not in said
    assert main(["workflow", "check", str(file), "--data", data, "--json"]) == 0
    level = json.loads(capsys.readouterr().out)["level"]
    assert (level["configured"], level["granted"], len(level["says"])) == ("ase", None, 1)


def test_the_lowest_level_is_nothing_to_talk_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflow", "check", str(_file(tmp_path / "workflow.yaml", GOOD))]) == 0
    assert capsys.readouterr().err == "The workflow can be used; 0 warnings.\n"
