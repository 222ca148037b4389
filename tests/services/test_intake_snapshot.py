"""The snapshot of a repository holds what its base commit says, with the files that its workflow names; by real git."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from libs.contracts.facts import Snapshot
from libs.contracts.operator import Operator
from libs.contracts.words import Phase
from libs.workshop.git import Quarantine, inspect
from services.planner.intake import snapshot_of
from tests.support.repositories import commit, git, init

TEAMS = """\
gates: { test: { all_pass: true } }
phases: { plan: { template: prompts/plan.md } }
teams:
  web: { override_dir: teams/web }
  pay: { override_dir: teams/pay }
"""
FILES = {
    "workflow.yaml": TEAMS,
    "prompts/plan.md": "Plan ${issue_title}.",
    "teams/web/prompts/build.md": "Build ${plan_artifact}.",
    "teams/web/gates/cov.yaml": "trigger: after-test\ncriteria: { coverage_min: 90 }\n",
}


async def snapshot(path: Path, files: Mapping[str, str], *labels: str) -> Snapshot:
    """Of a repository that holds these files, for an issue with these labels."""
    init(path / "repository")
    commit(path / "repository", "files", files)
    source = await inspect(path / "repository")
    quarantine = await Quarantine.open(path / "own.git")
    await quarantine.fetch(source, source.tip)
    return await snapshot_of(quarantine, source, Operator(), labels)


async def test_files_of_teams_and_templates_are_read_from_the_base_commit(tmp_path: Path) -> None:
    seen = await snapshot(tmp_path, FILES, "team:web")
    (tmp_path / "repository" / "teams/web/prompts/plan.md").write_text("never committed")
    assert (seen.problem, seen.has_workflow) == (None, True)
    assert seen.policy.teams["web"].prompts == {Phase.BUILD: "teams/web/prompts/build.md"}
    assert len(seen.policy.for_team("web").gates[Phase.TEST].criteria) == 2
    assert len(seen.policy.gates[Phase.TEST].criteria) == 1
    [warning] = seen.warnings
    assert "teams.pay.override_dir: holds neither" in warning


async def test_a_run_of_a_team_without_files_cannot_begin(tmp_path: Path) -> None:
    seen = await snapshot(tmp_path, FILES, "pay")
    assert seen.problem is not None
    assert seen.problem.startswith("workflow.yaml: teams.pay: teams/pay holds neither prompts/<phase>.md nor")


async def test_of_several_teams_the_first_of_the_workflow_is_taken_and_that_is_said(tmp_path: Path) -> None:
    seen = await snapshot(tmp_path, FILES, "pay", "web")
    assert seen.problem is None
    assert seen.warnings[-1] == "The labels name several teams; web is taken, not pay."


async def test_a_template_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    seen = await snapshot(tmp_path, {name: text for name, text in FILES.items() if name != "prompts/plan.md"})
    assert seen.problem is None
    assert seen.warnings[0] == (
        "workflow.yaml:2: phases.plan.template: there is no such file; the built-in template is used"
    )


@pytest.mark.parametrize("path", ["prompts/plan.md", "teams/web/prompts/build.md"])
async def test_a_template_with_a_variable_that_nobody_knows_keeps_a_run_from_beginning(
    tmp_path: Path, path: str
) -> None:
    seen = await snapshot(tmp_path, {**FILES, path: "Line.\n${issue_titel}"})
    assert seen.problem == f"{path}:2: there is no variable ${{issue_titel}}; the nearest is ${{issue_title}}."


async def test_a_gate_file_of_a_team_that_is_wrong_keeps_every_run_from_beginning(tmp_path: Path) -> None:
    seen = await snapshot(tmp_path, {**FILES, "teams/web/gates/cov.yaml": "criteria: { coverage_mim: 90 }\n"})
    assert seen.problem == (
        "teams/web/gates/cov.yaml:1: criteria.coverage_mim: unknown criterion; did you mean coverage_min?"
    )


@pytest.mark.parametrize("name", ["workflow.yml", "README.md"])
async def test_no_agent_may_write_what_the_next_run_would_take_for_the_workflow(tmp_path: Path, name: str) -> None:
    seen = await snapshot(tmp_path, {name: "{}"})
    assert seen.has_workflow == (name == "workflow.yml")
    assert {"workflow.yaml", "workflow.yml"} <= set(seen.policy.protected)


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    init(tmp_path / "repository")
    (tmp_path / "repository" / "prompts").mkdir()
    (tmp_path / "repository" / "prompts" / "plan.md").symlink_to("/etc/hostname")
    git(tmp_path / "repository", "add", "--all")
    seen = await snapshot(tmp_path, {name: text for name, text in FILES.items() if name != "prompts/plan.md"})
    assert "there is no such file" in seen.warnings[0]
