"""`rung workflow show` tells what is in force for a type of issue once everything is taken in."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from libs.cli.main import main
from libs.cli.workflow import BY_LEVEL
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import CheckpointPolicy, LoopName, Policy, WatchPolicy, default_policy, policy_digest
from libs.contracts.workflow.in_force import in_force, spelt
from libs.contracts.workflow.reading import read_workflow

PUBLISHED = Path(__file__).parents[1] / "data" / "workflows"
FULL = """\
autonomy: supervised
agent: exec:python3 tools/agent.py
phases:
  build: { agent: repair, tools: [write, read], template: prompts/build.md }
gates:
  test: gates/test.yaml
loops:
  test_retry: { max: 2, cost_ceiling: $1.50 }
checkpoints:
  after_test: { timeout: 90m, on_timeout: abort }
routing:
  docs: { phases: [plan, build, deploy], loops: { test_retry: { max: 5 } } }
protected: ["migrations/**"]
auto_merge: { enabled: true, delay: 10m }
watch: { duration: 30m, min_points: 20 }
"""
GATE = """\
criteria:
  coverage_min: { limit: 80, warn: 90, severity: warning }
  any_of:
    - no_skipped_tests: true
    - all_pass: true
      max_test_duration_ms: 1m
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "test.yaml").write_text(GATE)
    made = tmp_path / "workflow.yaml"
    made.write_text(FULL)
    return made


def shown(file: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["workflow", "show", str(file), "--json", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


def of_phase(shown: dict[str, Any], name: Phase) -> dict[str, Any]:
    return dict(next(phase for phase in shown["phases"] if phase["phase"] == name))


def rule(**said: Any) -> dict[str, Any]:
    return {**said, "severity": "blocker", "dry_run": False}


# -- routing ------------------------------------------------------------------


def test_phases_and_loops_are_those_of_the_type(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs, bug = shown(file, capsys, "--type", "docs"), shown(file, capsys)
    assert [phase["phase"] for phase in docs["phases"]] == ["plan", "build", "deploy"]
    assert [phase["phase"] for phase in bug["phases"]] == ["plan", "build", "test", "review", "document", "deploy"]
    assert (docs["type"], bug["type"]) == ("docs", "bug")
    assert (docs["loops"]["test_retry"]["max"], bug["loops"]["test_retry"]["max"]) == (5, 2)
    assert bug["loops"]["test_retry"]["cost_ceiling"] == 1.5


def test_a_type_without_a_route_goes_through_every_phase_and_that_is_said(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["workflow", "show", str(file), "--type", "chore", "--json"]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["is_routed"] is False
    assert answer["phases"][-1]["phase"] == "monitor"
    assert "No route is for chore" in said.err
    assert "docs" in said.err


# -- what each phase is given -------------------------------------------------


def test_a_phase_has_its_own_agent_tools_and_prompt_or_the_workflow_s(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = shown(file, capsys)
    build, plan = of_phase(answer, Phase.BUILD), of_phase(answer, Phase.PLAN)
    assert (build["agent"], build["tools"], build["template"]) == ("repair", ["read", "write"], "prompts/build.md")
    assert (plan["agent"], plan["tools"]) == ("exec:python3 tools/agent.py", ["read", "search"])
    assert plan["template"] is None


def test_gates_hold_the_floor_the_defaults_and_what_stands_in_gate_files(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = shown(file, capsys)
    assert of_phase(answer, Phase.BUILD)["gate"] == [
        rule(criterion="has_change", limit=True, warn=None),
        rule(criterion="nothing_protected_touched", limit=True, warn=None),
    ]
    assert {one["criterion"]: one["limit"] for one in of_phase(answer, Phase.DEPLOY)["gate"]} == {
        "no_merge_conflicts": True,
        "all_pass": True,
        "max_files_changed": 50,
    }
    coverage, group = of_phase(answer, Phase.TEST)["gate"]
    assert coverage == {**rule(criterion="coverage_min", limit=80, warn=90), "severity": "warning"}
    both = [
        rule(criterion="all_pass", limit=True, warn=None),
        rule(criterion="max_test_duration_ms", limit=60_000, warn=None),
    ]
    assert group == rule(
        any_of=[rule(criterion="no_skipped_tests", limit=True, warn=None), rule(all_of=both)],
    )


def test_a_checkpoint_has_the_stated_time_else_the_level_s(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = shown(file, capsys)
    assert of_phase(answer, Phase.TEST)["checkpoint"] == {"timeout": "1h30m", "on_timeout": "abort"}
    assert of_phase(answer, Phase.PLAN)["checkpoint"] == {"timeout": "24h", "on_timeout": "escalate"}
    assisted = in_force(Policy(checkpoints={Phase.TEST: CheckpointPolicy(timeout_s=60)}), "bug")
    assert of_phase(assisted, Phase.TEST)["checkpoint"]["timeout"] == "1m"
    assert of_phase(assisted, Phase.PLAN)["checkpoint"]["timeout"] is None


def test_merging_protection_and_watch_are_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = shown(file, capsys)
    assert answer["autonomy"] == "supervised"
    assert answer["auto_merge"] == {"enabled": True, "delay": "10m"}
    assert answer["protected"][0] == "workflow.yaml"
    assert answer["protected"][-1] == "migrations/**"
    assert answer["watch"] == {"duration": "30m", "min_points": 20}


# -- what is said agrees with what is done ------------------------------------


def test_a_watch_is_shown_as_it_is_held() -> None:
    for policy in (Policy(), Policy(metrics=["errors"]), Policy(watch=WatchPolicy(duration_s=90))):
        assert in_force(policy, "bug")["watch"]["duration"] == spelt(policy.watched_s)


@pytest.mark.parametrize("seconds", [0.0, 0.25, 1.0, 59.5, 60.0, 3599.0, 5400.0, 86_400.0, 90_061.5])
def test_a_duration_is_spelt_as_a_workflow_may_spell_it(seconds: float) -> None:
    policy, _ = read_workflow(f"auto_merge: {{enabled: true, delay: {spelt(seconds)}}}")
    assert policy.auto_merge.delay_s == seconds


@pytest.mark.parametrize("kind", ["feature", "bug", "patch", "hotfix", "anything"])
def test_what_is_shown_is_what_the_policy_answers(kind: str) -> None:
    policy, _ = read_workflow((PUBLISHED / "canonical.yaml").read_bytes())
    answer = in_force(policy, kind)
    assert [phase["phase"] for phase in answer["phases"]] == list(policy.route(kind))
    assert {name: loop["max"] for name, loop in answer["loops"].items()} == {
        name: policy.loop(name, kind).max for name in LoopName
    }
    assert answer["digest"] == policy_digest(policy)


# -- the form -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["canonical.yaml", "level-4.yaml", "minimal.yaml", "gates/any-of.yaml"])
def test_people_get_as_yaml_what_programs_get_as_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflow", "show", str(PUBLISHED / name)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("type: bug\n")
    answer = shown(PUBLISHED / name, capsys)
    for part in answer["phases"]:
        part["disposition"] = part["disposition"] or BY_LEVEL
    for loop in answer["loops"].values():
        loop["on_exhaust"] = loop["on_exhaust"] or BY_LEVEL
    assert yaml.safe_load(text) == answer


def test_an_empty_file_shows_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "workflow.yaml"
    empty.write_text("")
    answer = shown(empty, capsys)
    assert answer["autonomy"] == Level.ASSISTED
    assert answer["digest"] == policy_digest(default_policy())


def test_warnings_stand_beside_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "workflow.yaml"
    made.write_text("auto_merge: true\n")
    assert main(["workflow", "show", str(made), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["auto_merge"]["enabled"] is True
    assert "workflow.yaml:1: auto_merge: has no effect at assisted" in said.err


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_refused_file_is_told_as_check_tells_it(
    words: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file.parent / "gates" / "test.yaml").unlink()
    ends = []
    for command in ("check", "show"):
        code = main(["workflow", command, str(file), *words])
        ends.append((code, *capsys.readouterr()))
    assert ends[0] == ends[1]
    assert ends[0][0] == 1
    assert "there is no such file" in ends[0][1]


# -- teams --------------------------------------------------------------------

TEAM = """\
gates: { test: { all_pass: true, coverage_min: 70 } }
teams:
  web: { override_dir: teams/web, merge_strategy: { prompts: replace } }
  ops: { override_dir: teams/ops }
phases: { deploy: { disposition: human } }
budget: { wall: 1h, attempts: 3, cost: 4, attempt_cost: 2 }
quorum: [{ paths: ["keys/**"], people: 2 }]
"""


@pytest.fixture
def of_teams(tmp_path: Path) -> Path:
    for kind in ("prompts", "gates"):
        (tmp_path / "teams" / "web" / kind).mkdir(parents=True)
    (tmp_path / "teams/web/prompts/build.md").write_text("Build ${plan_artifact}.")
    (tmp_path / "teams/web/gates/test.yml").write_text("trigger: after-test\ncriteria: {coverage_min: 90}\n")
    made = tmp_path / "workflow.yaml"
    made.write_text(TEAM)
    return made


def test_a_team_is_shown_with_its_prompts_and_gates(of_teams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everybody, web = shown(of_teams, capsys), shown(of_teams, capsys, "--team", "web")
    assert (everybody["team"], web["team"]) == (None, "web")
    assert of_phase(everybody, Phase.BUILD)["template"] is None
    assert of_phase(web, Phase.BUILD)["template"] == "teams/web/prompts/build.md"
    assert [one["limit"] for one in of_phase(web, Phase.TEST)["gate"]] == [True, 70, 90]
    assert everybody["digest"] != web["digest"]


def test_a_team_that_is_not_named_or_has_no_files_is_wrong_usage(
    of_teams: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["workflow", "show", str(of_teams), "--team", "wbe"]) == 2
    assert "names no team wbe; known are web, ops" in capsys.readouterr().err
    assert main(["workflow", "show", str(of_teams), "--team", "ops"]) == 2
    assert "teams/ops holds neither" in capsys.readouterr().err


def test_dispositions_budget_and_quorum_are_told(of_teams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = shown(of_teams, capsys)
    assert of_phase(answer, Phase.DEPLOY)["disposition"] == "human"
    assert of_phase(answer, Phase.TEST)["disposition"] is None
    assert answer["budget"] == {"wall": "1h", "attempts": 3, "cost": 4.0, "attempt_cost": 2.0}
    assert answer["quorum"] == [{"paths": ["keys/**"], "people": 2}]
    assert main(["workflow", "show", str(of_teams)]) == 0
    assert "on_exhaust: as the level says" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflow", "show", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err
