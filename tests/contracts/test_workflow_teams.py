"""Teams say otherwise in files of their own, and what a workflow names is read, told when missing, and protected."""

from typing import Any

import pytest

from libs.contracts.words import Phase
from libs.contracts.workflow import PROTECTED, Criterion, Policy, WorkflowRefused
from libs.contracts.workflow.overrides import NOTHING_THERE, named_files, prompt_files
from libs.contracts.workflow.reading import read_workflow

TEAM_WORKFLOW = """\
phases: {plan: {template: prompts/plan.md}}
gates: {test: {all_pass: true, coverage_min: 70}}
teams:
  web: {override_dir: teams/web/, merge_strategy: {prompts: replace, gates: additive}}
  pay: {override_dir: teams/pay, merge_strategy: {gates: replace}}
"""
TEAM_TEXTS = {
    "prompts/plan.md": "",
    "teams/web/prompts/plan.md": "Plan.",
    "teams/web/gates/cov.yaml": "trigger: after-test\nmax_retries: 2\ncriteria: {coverage_min: 90}\n",
    "teams/web/gates/old/x.yaml": "not: read",
    "teams/pay/prompts/build.md": "Build.",
    "teams/pay/gates/t.yml": "trigger: after-test\ncriteria: {no_skipped_tests: true}\n",
    "teams/pay/gates/b.yml": "trigger: after-build\ncriteria: {max_files_changed: 3}\n",
}


def read(text: str) -> Policy:
    return read_workflow(text)[0]


def warnings(text: str, texts: dict[str, str] | None = None) -> list[str]:
    return [str(problem) for problem in read_workflow(text, texts=texts)[1]]


def refusals(text: str, texts: dict[str, str]) -> list[str]:
    with pytest.raises(WorkflowRefused) as refused:
        read_workflow(text, texts=texts)
    return [str(problem) for problem in refused.value.problems if not problem.is_warning]


def limits(policy: Policy, phase: Phase) -> list[tuple[str, Any]]:
    return [(rule.name, rule.limit) for rule in policy.gates[phase].criteria if isinstance(rule, Criterion)]


def team_policy() -> Policy:
    policy, found = read_workflow(TEAM_WORKFLOW, texts=TEAM_TEXTS)
    assert found == ()
    return Policy.model_validate_json(policy.model_dump_json())


def test_an_additive_gate_of_a_team_must_hold_beside_everybody_s() -> None:
    web = team_policy().for_team("web")
    assert limits(web, Phase.TEST) == [("all_pass", True), ("coverage_min", 70), ("coverage_min", 90)]
    assert web.gates[Phase.TEST].max_retries == 2
    assert web.gates[Phase.REVIEW] == team_policy().gates[Phase.REVIEW]


def test_a_replacing_gate_of_a_team_stands_in_place_of_everybody_s_and_the_floor_stays() -> None:
    pay = team_policy().for_team("pay")
    assert limits(pay, Phase.TEST) == [("no_skipped_tests", True)]
    assert limits(pay, Phase.BUILD) == [
        ("has_change", True),
        ("nothing_protected_touched", True),
        ("max_files_changed", 3),
    ]


def test_a_prompt_of_a_team_replaces_everybody_s_or_follows_it() -> None:
    policy = team_policy()
    web, pay = policy.for_team("web").phases, policy.for_team("pay").phases
    assert (web[Phase.PLAN].template, web[Phase.PLAN].addition) == ("teams/web/prompts/plan.md", None)
    assert (pay[Phase.BUILD].template, pay[Phase.BUILD].addition) == (None, "teams/pay/prompts/build.md")
    assert pay[Phase.PLAN] == policy.phases[Phase.PLAN]


def test_a_policy_for_nobody_is_the_policy_and_one_for_a_team_keeps_the_teams() -> None:
    policy = team_policy()
    assert policy.for_team(None) == policy.for_team("ops") == policy
    assert policy.for_team("web").teams == policy.teams


def test_labels_name_teams_in_the_workflow_s_order() -> None:
    policy = team_policy()
    assert policy.teams_of(["urgent", "Team/Pay", "web"]) == ("web", "pay")
    assert policy.team_of(["team:pay"]) == "pay"
    assert policy.team_of(["website"]) is None


def test_an_intent_prompt_of_a_team_adds_no_phase() -> None:
    text = "teams: {a: {override_dir: t}}"
    policy, found = read_workflow(text, texts={"t/prompts/intent.md": ""})
    assert Phase.INTENT not in policy.for_team("a").phases
    [problem] = found
    assert problem.field == "teams.a.override_dir"
    assert problem.message == "speaks of intent, which comes before plan only where phases.intent is said"


def test_a_directory_without_files_of_the_team_is_told_and_known() -> None:
    policy, found = read_workflow("\nteams: {a: {override_dir: t}}", texts={"t/plan.md": "", "tt/prompts/plan.md": ""})
    assert [str(problem) for problem in found] == [f"workflow.yaml:2: teams.a.override_dir: {NOTHING_THERE}"]
    assert policy.teams["a"].lacks_files


def test_a_problem_in_a_file_of_a_team_names_that_file() -> None:
    text = "teams: {a: {override_dir: .}}"
    assert refusals(text, texts={"gates/x.yaml": "trigger: after-test\ncriteria: {coverage_mim: 3}"}) == [
        "gates/x.yaml:2: criteria.coverage_mim: unknown criterion; did you mean coverage_min?"
    ]
    assert warnings(text, texts={"prompts/biuld.md": "", "prompts/plan.md": ""}) == [
        "workflow.yaml:1: teams.a.override_dir: prompts/biuld.md is never used: unknown phase; did you mean build?"
    ]


def test_the_files_to_read_are_those_that_are_named_and_those_that_teams_keep() -> None:
    policy = read("gates: {test: ./ci/t.yaml}\n" + TEAM_WORKFLOW.replace("gates: {test", "reports: {}\n#"))
    assert named_files(policy, [*TEAM_TEXTS, "teams/web/README.md", "src/gates/x.yaml"]) == (
        "./ci/t.yaml",
        "prompts/plan.md",
        *(name for name in TEAM_TEXTS if name.startswith("teams/") and "old" not in name),
    )
    assert prompt_files(team_policy()) == (
        "prompts/plan.md",
        "teams/web/prompts/plan.md",
        "teams/pay/prompts/build.md",
    )


def test_what_a_workflow_names_is_protected() -> None:
    text = "gates: [gates/a.yaml, ./ci/g.yaml]\nphases: {plan: {template: docs/plan.md}}\nteams: {a: {override_dir: .}}"
    assert read(text).protected == (*PROTECTED, "docs/plan.md", "ci/g.yaml")


def test_a_template_that_is_not_there_is_told_once_files_are_read() -> None:
    text = "phases:\n  plan: {template: prompts/plan.md}"
    assert warnings(text) == []
    assert warnings(text, texts={"prompts/plan.md": ""}) == []
    assert warnings(text, texts={}) == [
        "workflow.yaml:2: phases.plan.template: there is no such file; the built-in template is used"
    ]
