"""Workflows: every published file has its exact meaning, every bad one its exact sentence."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.criteria import CRITERIA, Form, canonical_name, form_of
from libs.contracts.words import PHASES, Level, Phase
from libs.contracts.workflow import (
    DEFAULT_CRITERIA,
    FLOOR,
    LOOPS,
    PROTECTED,
    READINESS,
    ROUTING,
    TOOLS,
    AllOf,
    AnyOf,
    AutoMergePolicy,
    BudgetPolicy,
    CapPolicy,
    CheckpointPolicy,
    CommandPolicy,
    Criterion,
    EscalationPolicy,
    GateEscalation,
    GatePolicy,
    GateReference,
    GateSeverity,
    LoopName,
    LoopPolicy,
    LoopTrigger,
    MonitorPolicy,
    OnExhaust,
    OnFail,
    OnRegression,
    PhaseRule,
    Policy,
    QuorumPolicy,
    ReportPolicy,
    RetryStrategy,
    RoutePolicy,
    TeamPolicy,
    Tool,
    WaiverPolicy,
    WatchPolicy,
    WorkflowProblem,
    WorkflowRefused,
    default_policy,
    policy_digest,
)
from libs.contracts.workflow.advice import LEVEL_RULES, allows
from libs.contracts.workflow.reading import KEYS, read_workflow
from libs.contracts.workflow.sections import PHASE_RULES
from services.gatekeeper.dispositions import PROFILES, rule_of

PUBLISHED = Path(__file__).parents[1] / "data" / "workflows"
FILES = sorted(path.relative_to(PUBLISHED).as_posix() for path in PUBLISHED.rglob("*.yaml"))


def published(name: str) -> Policy:
    return read_workflow((PUBLISHED / name).read_bytes(), name)[0]


def policy_of(text: str | bytes) -> Policy:
    return read_workflow(text)[0]


def refusals(text: str | bytes, **more: Any) -> list[str]:
    with pytest.raises(WorkflowRefused) as refused:
        read_workflow(text, **more)
    return [str(problem) for problem in refused.value.problems if not problem.is_warning]


def warnings(text: str, **more: Any) -> list[str]:
    return [str(problem) for problem in read_workflow(text, **more)[1]]


def asked(gate: GatePolicy) -> dict[str, Any]:
    return {rule.name: rule.limit for rule in gate.criteria if isinstance(rule, Criterion)}


def true(name: str) -> Criterion:
    return Criterion(name=name, limit=True)


# What a workflow that says nothing means


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\ufeff", "{}", b"", "gates: {}\nphases: {}"])
def test_a_workflow_that_says_nothing_is_the_default(text: str | bytes) -> None:
    assert read_workflow(text) == (default_policy(), ())


def test_the_default_asks_every_phase_for_proof() -> None:
    policy = default_policy()
    assert policy.autonomy is Level.ASSISTED
    assert {phase: asked(gate) for phase, gate in policy.gates.items()} == {
        Phase.PLAN: {"names_existing_files": True, "answers_issue": True},
        Phase.BUILD: {"has_change": True, "nothing_protected_touched": True},
        Phase.TEST: {"all_pass": True},
        Phase.REVIEW: {"max_blockers": 0, "max_critical": 0},
        Phase.DOCUMENT: {"has_changelog_entry": True},
        Phase.DEPLOY: {"no_merge_conflicts": True, "all_pass": True, "max_files_changed": 50},
    }
    assert policy.protected == (
        *("workflow.yaml", "gates/**", "prompts/**"),
        *(".github/**", ".gitlab-ci.yml"),
    )


def test_review_runs_by_default_for_every_type_of_issue_and_a_hotfix_is_retried_once() -> None:
    policy = default_policy()
    assert all(Phase.REVIEW in policy.route(kind) for kind in (*ROUTING, "docs"))
    assert policy.loop(LoopName.TEST_RETRY, "hotfix").max == 1
    assert policy.loop(LoopName.TEST_RETRY, "bug").max == 3


def test_every_criterion_of_floor_and_defaults_is_in_the_table_and_measured_after_its_phase() -> None:
    stated = [(phase, rule) for table in (FLOOR, DEFAULT_CRITERIA) for phase, rules in table.items() for rule in rules]
    assert all(phase in CRITERIA[rule.name].phases for phase, rule in stated)


# The published files


@pytest.mark.parametrize("name", FILES)
def test_a_published_file_loads_and_its_policy_survives_json(name: str) -> None:
    policy = published(name)
    again = Policy.model_validate_json(policy.model_dump_json())
    assert again == policy
    assert policy_digest(again) == policy_digest(policy)


def test_the_canonical_file_says_every_key() -> None:
    expected = default_policy().model_copy(
        update={
            "phases": {
                phase: default_policy().phases[phase].model_copy(update={"template": f"prompts/{phase}.md"})
                for phase in PHASES
            },
            "gates": {
                **default_policy().gates,
                Phase.TEST: GatePolicy(
                    criteria=(true("all_pass"), Criterion(name="coverage_min", limit=80), true("new_code_covered"))
                ),
                Phase.REVIEW: GatePolicy(
                    criteria=(
                        Criterion(name="max_blockers", limit=0),
                        Criterion(name="max_critical", limit=2),
                        true("tech_debt_logged"),
                    )
                ),
            },
            "loops": {
                LoopName.TEST_RETRY: LoopPolicy(
                    max=3, trigger=LoopTrigger.TEST_FAILURE, cost_ceiling_usd=5.0, on_exhaust=OnExhaust.ESCALATE
                ),
                LoopName.REVIEW_PATCH: LoopPolicy(
                    max=3,
                    trigger=LoopTrigger.BLOCKER,
                    ignore=("tech_debt", "skippable"),
                    cost_ceiling_usd=5.0,
                    on_exhaust=OnExhaust.ESCALATE,
                ),
                LoopName.FULL_REBUILD: LoopPolicy(
                    max=1, trigger=LoopTrigger.ARCHITECTURAL_ISSUE, on_exhaust=OnExhaust.ESCALATE
                ),
            },
            "escalation": EscalationPolicy(
                notify=("slack", "email"), include=("plan", "build_report", "test_results", "review_issues")
            ),
            "checkpoints": dict.fromkeys(
                (Phase.PLAN, Phase.TEST, Phase.REVIEW), CheckpointPolicy(timeout_s=24 * 3600.0)
            ),
            "routing": {
                "feature": RoutePolicy(phases=PHASES),
                "bug": RoutePolicy(phases=PHASES[:-1]),
                "patch": RoutePolicy(phases=(Phase.BUILD, Phase.TEST, Phase.DEPLOY)),
                "hotfix": RoutePolicy(
                    phases=(Phase.BUILD, Phase.TEST, Phase.DEPLOY),
                    loops={
                        LoopName.TEST_RETRY: LoopPolicy(
                            max=1, trigger=LoopTrigger.TEST_FAILURE, cost_ceiling_usd=5.0, on_exhaust=OnExhaust.ESCALATE
                        )
                    },
                ),
            },
            "teams": {
                "frontend": TeamPolicy(
                    override_dir="teams/frontend", merge_strategy={"prompts": "replace", "gates": "additive"}
                )
            },
            "protected": (*PROTECTED, "teams/frontend/prompts/**", "teams/frontend/gates/**"),
        }
    )
    policy = published("canonical.yaml")
    assert policy == expected
    assert {phase: policy.phases[phase].tools for phase in PHASES} == {phase: TOOLS[phase] for phase in PHASES}


def test_level_2_waits_a_day_after_three_phases() -> None:
    policy = published("level-2.yaml")
    assert policy.autonomy is Level.SUPERVISED
    assert {phase: point.timeout_s for phase, point in policy.checkpoints.items()} == {
        Phase.PLAN: 86_400,
        Phase.TEST: 86_400,
        Phase.REVIEW: 86_400,
    }


def test_level_4_merges_by_itself_and_keeps_the_floor_of_deploy() -> None:
    policy, found = read_workflow((PUBLISHED / "level-4.yaml").read_text())
    assert found == ()
    assert (policy.autonomy, policy.checkpoints) == (Level.ASE, {})
    assert policy.auto_merge == AutoMergePolicy(enabled=True, delay_s=300.0)
    assert policy.monitor == MonitorPolicy(
        anomaly_detection=True, rollback_on=("error_rate_spike", "latency_increase"), auto_create_issue=True
    )
    assert asked(policy.gates[Phase.TEST]) == {"coverage_min": 90, "all_pass": True}
    assert asked(policy.gates[Phase.REVIEW]) == {"max_blockers": 0, "max_critical": 0, "tech_debt_logged": True}
    assert asked(policy.gates[Phase.DEPLOY]) == {"no_merge_conflicts": True, "all_pass": True, "max_files_changed": 20}


def test_the_minimal_file_has_its_gates_inside_phases() -> None:
    policy = published("minimal.yaml")
    assert asked(policy.gates[Phase.BUILD]) == {"has_change": True, "nothing_protected_touched": True, "all_pass": True}
    assert asked(policy.gates[Phase.REVIEW]) == {"max_blockers": 0}
    assert policy.gates[Phase.TEST] == default_policy().gates[Phase.TEST]
    assert policy.escalation.include == ("plan", "build_report", "test_results", "review_issues")


def test_the_loops_file_keeps_what_a_loop_ignores() -> None:
    loops = published("loops.yaml").loops
    assert {name: loop.max for name, loop in loops.items()} == {name: loop.max for name, loop in LOOPS.items()}
    assert loops[LoopName.REVIEW_PATCH].ignore == ("tech_debt", "skippable")


def test_tool_permissions_are_a_map_with_reasons_and_an_allow_list() -> None:
    phases = published("tool-permissions.yaml").phases
    assert phases[Phase.PLAN].tools == {Tool.READ, Tool.SEARCH}
    assert phases[Phase.PLAN].deny_reasons == {
        Tool.EXECUTE: "Plan phase must not run code",
        Tool.WRITE: "Plan phase must not modify files",
    }
    assert phases[Phase.BUILD].execute_allowlist == ("npm test", "npm run lint", "git diff")


def test_a_gate_file_says_how_it_heals_and_whom_it_asks() -> None:
    assert published("gates/test-coverage.yaml").gates[Phase.TEST] == GatePolicy(
        name="test-coverage",
        version=1,
        criteria=(
            true("all_tests_pass"),
            Criterion(name="coverage_minimum", limit=80),
            true("no_skipped_tests"),
            Criterion(name="max_test_duration_ms", limit=300_000),
            true("no_snapshot_regressions"),
        ),
        on_fail=OnFail.RETRY,
        max_retries=3,
        retry_strategy=RetryStrategy.REBUILD,
        escalation=GateEscalation(
            message="Tests failed after {retries} attempts. Manual review needed.",
            context=("test_results", "build_report", "failure_history"),
        ),
    )


def test_a_gate_that_only_warns_does_not_soften_the_floor() -> None:
    gate = published("gates/build-lint.yaml").gates[Phase.BUILD]
    assert {(rule.name, rule.severity) for rule in gate.criteria if isinstance(rule, Criterion)} == {
        ("has_change", GateSeverity.BLOCKER),
        ("nothing_protected_touched", GateSeverity.BLOCKER),
        ("lint_errors", GateSeverity.WARNING),
        ("lint_warnings_max", GateSeverity.WARNING),
        ("type_check_pass", GateSeverity.WARNING),
    }
    assert (gate.severity, gate.on_fail, gate.notify) == (GateSeverity.BLOCKER, OnFail.LOG, True)


@pytest.mark.parametrize(
    ("name", "phase", "on_fail", "strategy"),
    [
        ("anatomy", Phase.TEST, OnFail.RETRY, RetryStrategy.REBUILD),
        ("review-severity", Phase.REVIEW, OnFail.PATCH, RetryStrategy.REBUILD_AND_RETEST),
        ("doc-completeness", Phase.DOCUMENT, OnFail.RETRY, RetryStrategy.REDOCUMENT),
        ("deploy-readiness", Phase.DEPLOY, OnFail.RETRY, RetryStrategy.RESOLVE_CONFLICTS),
    ],
)
def test_a_gate_file_stands_after_its_trigger(
    name: str, phase: Phase, on_fail: OnFail, strategy: RetryStrategy
) -> None:
    tree = yaml.safe_load((PUBLISHED / f"gates/{name}.yaml").read_text())
    gate = published(f"gates/{name}.yaml").gates[phase]
    assert tree["criteria"].items() <= asked(gate).items()
    assert (gate.on_fail, gate.max_retries, gate.retry_strategy) == (on_fail, tree["max_retries"], strategy)
    assert gate.escalation.context == tuple(tree["escalation"]["context"])


def test_groups_of_criteria_nest() -> None:
    lenient, strict = Criterion(name="coverage_minimum", limit=80), Criterion(name="coverage_minimum", limit=90)
    assert published("gates/any-of.yaml").gates[Phase.TEST].criteria == (
        true("all_tests_pass"),
        lenient,
        AnyOf(
            any_of=(
                lenient,
                AllOf(all_of=(Criterion(name="coverage_minimum", limit=60), true("has_integration_tests"))),
            )
        ),
        AnyOf(any_of=(AllOf(all_of=(lenient, true("no_skipped_tests"))), AllOf(all_of=(strict,)))),
    )


# Rung's own keys

OWN = """
agent: acp:opencode acp
phases:
  intent: {}
  build: { agent: "exec:aider --message {prompt}" }
commands: { build: make, test: [pytest -q, "npm test"], lint: ruff check }
reports: { junit: build/junit.xml, coverage: [coverage.xml], sarif: "build/*.sarif" }
protected: [infra/**, workflow.yaml]
caps:
  - { paths: ["payments/**", "auth/**"], max: autonomous }
  - { labels: risky, class: [feature], max: supervised }
readiness: { ase: { successful_runs_min: 200, gate_accuracy_min: 99%, override_rate_max: 0.01 } }
budget: { wall: 1h30m, attempts: 4, cost: $12.50, attempt_cost: 2 }
quorum:
  - { paths: ["payments/**"], people: 2 }
  - { paths: keys/*, people: 3 }
on_regression: alert
watch: { duration: 30m, min_points: 20 }
metrics: { errors: { query: "sum(errors)", higher_is: worse, window: 60 } }
waivers: [{ fingerprint: ab12, reason: vendored, author: kim, expires: 2030-01-31 }]
reported: [branch_share_min]
gates:
  test: { all_pass: yes, branch_share_min: 60, flaky: [tests/test_net.py::test_slow] }
"""


def test_own_keys_have_their_values() -> None:
    policy = policy_of(OWN)
    assert policy.agent_for(Phase.BUILD) == "exec:aider --message {prompt}"
    assert policy.agent_for(Phase.TEST) == "acp:opencode acp"
    assert policy.commands == CommandPolicy(build=("make",), test=("pytest -q", "npm test"), lint=("ruff check",))
    assert policy.reports == ReportPolicy(
        junit=("build/junit.xml",), coverage=("coverage.xml",), sarif=("build/*.sarif",)
    )
    assert policy.protected == (*PROTECTED, "infra/**")
    assert policy.caps == (
        CapPolicy(paths=("payments/**", "auth/**"), max=Level.AUTONOMOUS),
        CapPolicy(labels=("risky",), classes=("feature",), max=Level.SUPERVISED),
    )
    assert policy.budget == BudgetPolicy(wall_s=5_400.0, attempts=4, cost_usd=12.5, attempt_cost_usd=2.0)
    assert policy.quorum == (
        QuorumPolicy(paths=("payments/**",), people=2),
        QuorumPolicy(paths=("keys/*",), people=3),
    )
    assert policy.on_regression is OnRegression.ALERT
    assert policy.watch == WatchPolicy(duration_s=1_800.0, min_points=20)
    assert policy.metrics == {"errors": {"query": "sum(errors)", "higher_is": "worse", "window": 60}}
    assert policy.waivers == (
        WaiverPolicy(fingerprint="ab12", reason="vendored", author="kim", expires=dt.date(2030, 1, 31)),
    )
    assert asked(policy.gates[Phase.TEST]) == {"all_pass": True, "branch_share_min": 60}
    assert policy.gates[Phase.TEST].flaky == ("tests/test_net.py::test_slow",)


def test_intent_comes_before_plan_only_where_the_workflow_names_it() -> None:
    assert policy_of(OWN).route("bug")[:2] == (Phase.INTENT, Phase.PLAN)
    assert policy_of(OWN).route("patch")[0] is Phase.BUILD
    assert default_policy().route("bug")[0] is Phase.PLAN


def test_readiness_is_raised_where_stated_and_stays_elsewhere() -> None:
    readiness = policy_of(OWN).readiness
    assert readiness[Level.AUTONOMOUS] == READINESS[Level.AUTONOMOUS]
    assert readiness[Level.ASE] == READINESS[Level.ASE].model_copy(
        update={"successful_runs_min": 200, "gate_accuracy_min": 0.99, "override_rate_max": 0.01}
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2), ("90", 90), ("5m", 300), ("24h", 86_400), ("1h30m", 5_400), ("1d", 86_400), ("0.5s", 0.5)],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert policy_of(f"watch: {text}").watch == WatchPolicy(duration_s=seconds)


@pytest.mark.parametrize("text", ["80", "80%", "80 %", "80.0", "'80'"])
def test_a_percentage_has_one_meaning_however_it_is_written(text: str) -> None:
    policy = policy_of(f"gates: {{test: {{all_pass: true, coverage_min: {text}}}}}")
    assert policy_digest(policy) == policy_digest(policy_of("gates: {test: {all_pass: true, coverage_min: 80}}"))


@pytest.mark.parametrize(
    "text",
    [
        "auto_merge: {enabled: true, delay: 1m}",
        "deploy: {auto_merge: {enabled: true, delay: 60}}",
        "gates: {deploy: {auto_merge: {enabled: on, delay: 60s}}}",
    ],
)
def test_auto_merge_may_stand_at_the_top_or_under_deploy(text: str) -> None:
    policy = policy_of(text)
    assert policy.auto_merge == AutoMergePolicy(enabled=True, delay_s=60.0)
    assert policy.gates == default_policy().gates


def test_line_ends_and_byte_order_marks_mean_nothing() -> None:
    text = (PUBLISHED / "canonical.yaml").read_text()
    windows = "\ufeff".encode() + text.replace("\n", "\r\n").encode()
    assert policy_of(windows) == policy_of(text)


def test_a_merge_key_brings_in_what_is_not_said() -> None:
    text = "loops:\n  test_retry: &loop {max: 5, cost_ceiling: 2}\n  review_patch: {<<: *loop, max: 4}\n"
    assert policy_of(text).loops[LoopName.REVIEW_PATCH] == LoopPolicy(
        max=4, trigger=LoopTrigger.BLOCKER, cost_ceiling_usd=2.0
    )


def test_a_criterion_may_have_a_warn_band_and_run_dry() -> None:
    text = "gates: {test: {all_pass: true, coverage_min: {limit: 80, warn: 85, dry_run: true, severity: warning}}}"
    assert policy_of(text).gates[Phase.TEST].criteria[1] == Criterion(
        name="coverage_min", limit=80, warn_at=85, is_dry_run=True, severity=GateSeverity.WARNING
    )


@pytest.mark.parametrize(
    ("text", "from_base"), [("base", 0), ("base - 0.5", -0.5), ("base-0.5%", -0.5), ("base + 1", 1)]
)
def test_a_limit_may_go_by_the_base(text: str, from_base: float) -> None:
    policy = policy_of(f'gates: {{test: {{all_pass: true, coverage_min: "{text}"}}}}')
    assert policy.gates[Phase.TEST].criteria[1] == Criterion(name="coverage_min", limit=text, from_base=from_base)


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ("new_code_coverage_min: base", "cannot go by the base"),
        ("coverage_min: base * 2", "a percentage from 0 to 100"),
        ("coverage_min: {limit: base, warn: 90}", "goes by the base"),
        ("coverage_min: {limit: 80, min_sample: 5}", "is for new_code_coverage_min alone"),
        ("new_code_coverage_min: {limit: 80, min_sample: 0}", "whole number"),
    ],
)
def test_a_limit_that_cannot_be_held_is_refused(criteria: str, said: str) -> None:
    with pytest.raises(WorkflowRefused, match=said):
        policy_of(f"gates: {{test: {{all_pass: true, {criteria}}}}}")


def test_a_policy_knows_which_evidence_a_gate_reads() -> None:
    policy = policy_of("gates: {build: {lint_errors: 0, any_of: [{all_pass: true}, {coverage_min: 80}]}}")
    assert policy.reads(Phase.BUILD) == {"diff", "review", "tests", "coverage"}
    assert default_policy().reads(Phase.TEST) == {"tests"}


def test_a_share_of_changed_lines_may_need_a_sample() -> None:
    policy = policy_of("gates: {test: {all_pass: true, new_code_coverage_min: {limit: 80, min_sample: 20}}}")
    expected = Criterion(name="new_code_coverage_min", limit=80, min_sample=20)
    assert policy.gates[Phase.TEST].criteria[1] == expected


def test_gates_from_phases_and_from_gates_must_all_hold() -> None:
    text = "phases: {test: {gates: {all_pass: true, coverage_min: 90}}}\ngates: {test: {coverage_min: 70}}"
    limits = [rule.limit for rule in policy_of(text).gates[Phase.TEST].criteria if isinstance(rule, Criterion)]
    assert limits == [True, 90, 70]


def test_a_list_holds_gates_and_files_of_gates() -> None:
    text = (
        "gates: [gates/cov.yaml, {gate: pr, trigger: after-deploy, max_retries: 2, criteria: {max_files_changed: 5}}]"
    )
    files = {"gates/cov.yaml": "trigger: after-test\ncriteria: {all_pass: true, coverage_min: 75}\n"}
    policy, found = read_workflow(text, texts=files)
    assert found == ()
    assert policy.gate_files == (GateReference(path="gates/cov.yaml"),)
    assert asked(policy.gates[Phase.TEST]) == {"all_pass": True, "coverage_min": 75}
    assert policy.gates[Phase.DEPLOY].max_retries == 2
    assert asked(policy.gates[Phase.DEPLOY])["max_files_changed"] == 5


def test_a_file_named_under_a_phase_judges_that_phase() -> None:
    policy, found = read_workflow("gates: {test: g.yml}", texts={"g.yml": "criteria: {all_pass: true}"})
    assert (asked(policy.gates[Phase.TEST]), found) == ({"all_pass": True}, ())
    assert refusals("gates: {test: g.yml}", texts={"g.yml": "\ntrigger: after-build\ncriteria: {all_pass: true}"}) == [
        "g.yml:2: trigger: says after-build, but stands under test"
    ]


def test_a_problem_in_a_file_of_gates_names_that_file() -> None:
    files = {"g.yaml": "trigger: after-test\ncriteria:\n  coverage_mim: 3\n"}
    assert refusals("gates: [g.yaml]", texts=files) == [
        "g.yaml:3: criteria.coverage_mim: unknown criterion; did you mean coverage_min?"
    ]
    assert refusals("gates: [g.yaml]", texts={}) == [
        "workflow.yaml:1: gates[0]: there is no such file, so it would judge nothing"
    ]
    assert refusals("gates: [g.yaml]", texts={"g.yaml": ""}) == [
        "g.yaml:1: is empty, so it would judge nothing; write a gate with criteria"
    ]


# Criteria


@pytest.mark.parametrize(
    ("name", "limit", "form"),
    [
        ("has_integration_tests", True, Form.BOOL),
        ("branch_share_min", 60, Form.MIN),
        ("branches_minimum", 60, Form.MIN),
        ("warnings_max", 3, Form.MAX),
        ("max_warnings", 3, Form.MAX),
        ("todo_count", 0, Form.EXACT),
        ("verdict", "approved", Form.EXACT),
        ("coverage_min", 80, Form.MIN),
        ("max_blockers", 0, Form.MAX),
        ("security_issues", 0, Form.MAX),
    ],
)
def test_the_form_of_a_criterion_follows_from_the_table_or_from_its_name(name: str, limit: Any, form: Form) -> None:
    assert form_of(name, limit) is form


def test_another_spelling_is_the_same_criterion() -> None:
    assert canonical_name("all_tests_pass") == "all_pass"
    assert all(CRITERIA[spec.same_as].form is spec.form for spec in CRITERIA.values() if spec.same_as)
    policy = policy_of("gates: {deploy: {all_tests_pass: true}}")
    assert asked(policy.gates[Phase.DEPLOY]) == {"no_merge_conflicts": True, "all_pass": True}


# What is refused, in whose words

RULES = "human, checkpoint, continue, required or optional"
REFUSED = [
    ("autonomie: ase", ":1: autonomie: unknown key; did you mean autonomy?"),
    (
        "autonomy: autonomos",
        ":1: autonomy: must be assisted, supervised, autonomous or ase, not 'autonomos'; did you mean autonomous?",
    ),
    ("\nautonomy:", ":2: autonomy: has no value; it must be assisted, supervised, autonomous or ase"),
    ("autonomy: yes", ":1: autonomy: must be assisted, supervised, autonomous or ase, not yes"),
    (
        "loops:\n  test_retry:\n    max: three",
        ":3: loops.test_retry.max: must be a whole number from 1 to 10, not 'three'",
    ),
    (
        'loops: {test_retry: {max: "3"}}',
        ":1: loops.test_retry.max: must be a whole number from 1 to 10, not '3'; remove the quotes",
    ),
    ("loops: {test_retry: {max: 11}}", ":1: loops.test_retry.max: must be a whole number from 1 to 10, not 11"),
    ("loops: {test_retry: {max: 2.5}}", ":1: loops.test_retry.max: must be a whole number from 1 to 10, not 2.5"),
    ("loops: {test_retry: {max: 010}}", ":1: loops.test_retry.max: must be a whole number from 1 to 10, not 010"),
    ("loops: {test_retry: 3}", ":1: loops.test_retry: must be a map of keys and values, not 3"),
    ("loops: {test_retri: {}}", ":1: loops.test_retri: unknown key; did you mean test_retry?"),
    (
        "loops: {test_retry: {cost_ceiling: much}}",
        ":1: loops.test_retry.cost_ceiling: must be an amount in USD such as 5.00, not 'much'",
    ),
    (
        "gates:\n  test:\n    coverage_mim: 80",
        ":3: gates.test.coverage_mim: unknown criterion; did you mean coverage_min?",
    ),
    (
        "gates: {document: {has_changelog_entri: true}}",
        ":1: gates.document.has_changelog_entri: unknown criterion; did you mean has_changelog_entry?",
    ),
    (
        "gates: {test: {quux: 3}}",
        ":1: gates.test.quux: unknown criterion; list it under reported if it is one of your own",
    ),
    ("gates: {tests: {all_pass: true}}", ":1: gates.tests: unknown key; did you mean test?"),
    ("gates:\n  test: {}", ":2: gates.test: asks for nothing, so it would judge nothing; name a criterion"),
    (
        "gates: {test: {criteria: {}}}",
        ":1: gates.test.criteria: asks for nothing, so it would judge nothing; name a criterion",
    ),
    (
        "gates: {test: {all_pass: false}}",
        ":1: gates.test: asks for nothing, so it would judge nothing; name a criterion",
    ),
    ("gates: {test: }", ":1: gates.test: has no value; name criteria"),
    ("gates: {test: 3}", ":1: gates.test: must be criteria or a file that ends in .yaml, not 3"),
    (
        "gates: {test: {any_of: []}}",
        ":1: gates.test.any_of: is an empty list, so it would judge nothing; name a criterion",
    ),
    (
        "gates: {test: {any_of: [{}]}}",
        ":1: gates.test.any_of[0]: asks for nothing, so it would judge nothing; name a criterion",
    ),
    ("gates: {test: {any_of: {all_pass: true}}}", ":1: gates.test.any_of: must be a list, not a map"),
    ("gates: {test: {coverage_min: 180}}", ":1: gates.test.coverage_min: must be a percentage from 0 to 100, not 180"),
    ("gates: {test: {coverage_min: -1}}", ":1: gates.test.coverage_min: must be a percentage from 0 to 100, not -1"),
    (
        "gates: {test: {coverage_min: .nan}}",
        ":1: gates.test.coverage_min: must be a percentage from 0 to 100, not .nan",
    ),
    (
        'gates: {test: {all_pass: "true"}}',
        ":1: gates.test.all_pass: must be true or false, not 'true'; remove the quotes",
    ),
    (
        "gates: {review: {max_blockers: none}}",
        ":1: gates.review.max_blockers: must be a whole number, 0 or more, not 'none'",
    ),
    (
        "gates: {deploy: {all_pass: false}}",
        ":1: gates.deploy.all_pass: cannot be switched off: all_pass is always asked for after deploy",
    ),
    (
        "gates: {test: {all_pass: true, max_retry: 3}}",
        ":1: gates.test.max_retry: unknown criterion; did you mean max_retries?",
    ),
    (
        "gates: {test: {coverage_min: {limit: 80, warn: 75}}}",
        ":1: gates.test.coverage_min.warn: must be stricter than the limit 80, not 75",
    ),
    (
        "gates: [{trigger: after-tset, criteria: {all_pass: true}}]",
        ":1: gates[0].trigger: unknown trigger; did you mean after-test?",
    ),
    ("gates: [{trigger: after-test}]", ":1: gates[0]: has no criteria, so it would judge nothing"),
    ("gates: [{all_pass: true, criteria: {coverage_min: 1}}]", ":1: gates[0].all_pass: belongs under criteria"),
    (
        "gates: [{criteria: {all_pass: true, on_fail: log}}]",
        ":1: gates[0].criteria.on_fail: belongs beside criteria, not into it",
    ),
    ("gates: [../../gate.yaml]", ":1: gates[0]: must be a path inside the repository, not '../../gate.yaml'"),
    ("checkpoints: {after_plann: {}}", ":1: checkpoints.after_plann: unknown key; did you mean after_plan?"),
    (
        "checkpoints: {after_plan: {timeout: soon}}",
        ":1: checkpoints.after_plan.timeout: must be a duration such as 30s, 5m or 24h, not 'soon'",
    ),
    (
        "checkpoints: {after_plan: {on_timeout: approve}}",
        ":1: checkpoints.after_plan.on_timeout: must be escalate or abort, not 'approve'",
    ),
    ("budget: {wall: 1:30}", ":1: budget.wall: must be a duration such as 30s, 5m or 24h, not 1:30"),
    ("budget: {cost: 2, attempt_cost: 3}", ":1: budget.attempt_cost: must not exceed cost (2), not 3"),
    ("quorum: [{paths: a}]", ":1: quorum[0]: says no people; such as { paths: [payments/**], people: 2 }"),
    ("quorum: [{paths: [], people: 2}]", ":1: quorum[0]: names no path, so it would hold for no change"),
    (
        "quorum: [{paths: [a], people: 1}]",
        ":1: quorum[0].people: must be a whole number from 2 to 20, not 1",
    ),
    ("quorum: [{paths: [a], poeple: 2, people: 2}]", ":1: quorum[0].poeple: unknown key; did you mean people?"),
    ("quorum: {paths: [a], people: 2}", ":1: quorum: must be a list, not a map"),
    (
        "phases: {test: {disposition: humam}}",
        ":1: phases.test.disposition: " + f"must be {RULES}, not 'humam'; did you mean human?",
    ),
    (
        "phases: {deploy: {disposition: required}}",
        ":1: phases.deploy.disposition: must be human or checkpoint, not 'required'",
    ),
    (
        "phases: {monitor: {disposition: human}}",
        ":1: phases.monitor.disposition: decides nothing: monitor never blocks a run",
    ),
    ("teams: {web: {prompts: {}}}", ":1: teams.web.prompts: unknown key; known here: override_dir, merge_strategy"),
    (
        "teams: {web: {override_dir: ../web}}",
        ":1: teams.web.override_dir: must be a path inside the repository, not '../web'",
    ),
    ("budget: {attempts: 0}", ":1: budget.attempts: must be a whole number, 1 or more, not 0"),
    (
        "auto_merge: {enabled: true}\ndeploy: {auto_merge: false}",
        ":2: deploy.auto_merge: is said twice; the first time on line 1",
    ),
    (
        "monitor: {rollback_on: [error_rate_spikes]}",
        ":1: monitor.rollback_on[0]: unknown signal; did you mean error_rate_spike?",
    ),
    (
        "routing: {bug: {phases: [test, build]}}",
        f":1: routing.bug.phases: must name each phase once, in the order {', '.join(Phase)}",
    ),
    ("routing: {bug: {phases: []}}", ":1: routing.bug.phases: names no phase; an issue goes through at least one"),
    ("protected:\n  - src/\n  - /etc", ":3: protected[1]: must be a path inside the repository, not '/etc'"),
    (
        "phases: {plan: {template: C:/x.md}}",
        ":1: phases.plan.template: must be a path inside the repository, not 'C:/x.md'",
    ),
    ("phases: {plan: {tools: {raed: true}}}", ":1: phases.plan.tools.raed: unknown key; did you mean read?"),
    ("agent: reapir", ":1: agent: unknown agent driver; did you mean repair?"),
    ("agent: 'acp:'", ":1: agent: must say what to run after acp:, such as acp:name"),
    ("caps: [{paths: a}]", ":1: caps[0]: says no max: the highest level for what it caps"),
    ("caps: [{max: ase}]", ":1: caps[0]: says not what it caps: name paths, labels or a class"),
    (
        "readiness: {ase: {successful_runs_min: 10}}",
        ":1: readiness.ase.successful_runs_min: may only be made harder to meet than 100, not 10",
    ),
    (
        "readiness: {autonomous: {override_rate_max: 50%}}",
        ":1: readiness.autonomous.override_rate_max: may only be made harder to meet than 0.2, not 0.5",
    ),
    ("waivers: [{fingerprint: a, reason: b, expires: 2030-01-01}]", ":1: waivers[0]: says no author"),
    (
        "waivers: [{fingerprint: a, reason: b, author: c, expires: 2030-13-01}]",
        ":1: waivers[0].expires: must be a date such as 2030-12-31, not '2030-13-01'",
    ),
    ("reported: [all_pass]", ":1: reported[0]: is a criterion already; a report of your own needs a name of its own"),
    ("watch: {min_points: 3}", ":1: watch: says no duration, such as duration: 30m"),
    ("metrics: errors", ":1: metrics: must be a list or a map, not 'errors'"),
    ("metrics: {e: {file: e.csv, unit: ms}}", ":1: metrics.e.unit: unknown key; known here: file, better"),
    (
        "metrics: {e: {file: e.csv, better: higer}}",
        ":1: metrics.e.better: must be lower or higher, not 'higer'; did you mean higher?",
    ),
    (
        "metrics: {e: {file: ../e.csv}}",
        ":1: metrics.e.file: must be an absolute path, or one below the repository, not '../e.csv'",
    ),
    ("metrics: [{file: e.csv}]", ":1: metrics[0]: says no name"),
    (
        "metrics:\n  - {name: e, file: e.csv}\n  - {name: e, file: f.csv}",
        ":3: metrics[1]: the metric e is said twice; the first time on line 2",
    ),
    ("on_regression: off", ":1: on_regression: must be revert, hotfix or alert, not off"),
    ("agent: repair\nagent: repair", ":2: agent: is said twice; the first time on line 1"),
    ("gates:\n  test: {all_pass: true}\n  test: {}", ":3: gates.test: is said twice; the first time on line 2"),
    ("- a", ":1: must be a map of keys and values, not a list"),
    ("just text", ":1: must be a map of keys and values, not 'just text'"),
    ("autonomy: ase\n---\nautonomy: ase", ":3: a second document begins here; a workflow is one document"),
    ("gates:\n\ttest: {}", ":2: a tab indents line 2; YAML takes spaces"),
    ("a: b: c", ":1: is not YAML: a colon or an indentation is out of place here"),
    ("autonomy: ase\nagent\nwatch: 2s", ":2: is not YAML: a key without a colon, or a line that is indented wrongly"),
    ("agent: 'x", ":1: is not YAML: a quote or bracket is never closed"),
    (
        "agent: !!python/name:os.system x",
        ":1: a tag ('tag:yaml.org,2002:python/name:os.system') stands before a value; write the plain value",
    ),
    ("? [a, b]\n: 1", ":1: a key must be one word, not a list or a map"),
    ("metrics: &a [*a]", ":1: an alias refers to a value that holds it"),
    ("metrics: " + "[" * 500, ":1: is nested deeper than 32 levels"),
    ("# " + "x" * 300_000, ":1: is larger than 256 KiB"),
    (b"autonomy: ase\n# \xff\xfe", ":2: is not UTF-8 text"),
    ("autonomy: ase\n\x07", ":2: holds a character (U+0007) that YAML does not allow"),
    ('agent: "exec:\\0"', ":1: a value holds a character (U+0000) that cannot be used"),
    ('agent: "\\Uffffffff"', ":1: is not YAML: an escape or a directive holds a number out of range"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_a_bad_workflow_gets_one_sentence_with_its_line(text: str | bytes, sentence: str) -> None:
    assert refusals(text) == [f"workflow.yaml{sentence}"]


def test_aliases_cannot_make_a_small_file_large() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert refusals("\n".join(rows)) == [
        "workflow.yaml:5: its values, with every alias written out, are too many or nested too deep"
    ]


def test_every_error_of_a_file_is_found_in_one_reading() -> None:
    text = "autonomie: ase\nloops:\n  test_retry: {max: x}\ngates:\n  test: {coverage_min: 0, covrage_min: 1}\n"
    with pytest.raises(WorkflowRefused) as refused:
        read_workflow(text, "flow.yaml")
    assert [(problem.line, problem.field, problem.is_warning) for problem in refused.value.problems] == [
        (1, "autonomie", False),
        (3, "loops.test_retry.max", False),
        (5, "gates.test.coverage_min", True),
        (5, "gates.test.covrage_min", False),
    ]
    assert str(refused.value).splitlines()[0] == "flow.yaml:1: autonomie: unknown key; did you mean autonomy?"


# What is allowed, with a warning

SAFE_ASE = (
    "autonomy: ase\nauto_merge: {enabled: true}\nmonitor: {anomaly_detection: true, rollback_on: [latency_increase]}\n"
)
LESS = " leaves the machine less"
KINDS = ("feature", "bug", "patch", "hotfix")
NO_DOCUMENT = f"routing: {{{', '.join(f'{kind}: {{phases: [build, test, review, deploy]}}' for kind in KINDS)}}}\n"
NO_REVIEW = NO_DOCUMENT.replace(" review,", "")
UNANSWERED = "nothing that is collected answers it, so it finds no data and a human has to look"
WARNED = [
    (
        "gates: {test: {all_pass: true, has_integration_tests: true}}",
        ":1: gates.test.has_integration_tests: " + UNANSWERED,
    ),
    (
        "gates: {test: {all_pass: true, coverage_min: 0}}",
        ":1: gates.test.coverage_min: 0 is a rubber stamp: it passes whatever was measured",
    ),
    (
        "gates: {test: {all_pass: true, coverage_min: 100}}",
        ":1: gates.test.coverage_min: asks for perfection as a blocker: every small slip stops the run",
    ),
    (
        "gates: {test: {all_pass: true, coverage_min: 0.8}}",
        ":1: gates.test.coverage_min: 0.8 means 0.8%; did you mean 80?",
    ),
    (
        "gates: {test: {all_pass: true, max_retries: 0}}",
        ":1: gates.test.max_retries: 0 heals nothing: the first failure of this gate is final",
    ),
    ("loops: {test_retry: {max: 0}}", ":1: loops.test_retry.max: 0 heals nothing: the first failure is final"),
    ("gates: {test: {coverage_min: 80}}", ":1: gates.test: asks not that the tests pass; add all_pass: true"),
    (
        "gates: {review: {max_blockers: 0, no_blockers: false}}",
        ":1: gates.review.no_blockers: false switches this criterion off; remove the line to say the same",
    ),
    (
        "gates: {plan: {coverage_min: 80}}",
        ":1: gates.plan.coverage_min: is not measured after plan, so it would find no data; it belongs to test",
    ),
    (
        "gates: {deploy: {ci_pipeline_pass: true}}",
        ":1: gates.deploy.ci_pipeline_pass: " + UNANSWERED,
    ),
    (
        "gates: {deploy: {severity: warning, all_pass: true}}",
        ":1: gates.deploy.all_pass: is always in force as a blocker after deploy, whatever its severity here",
    ),
    ("gates: [g.yaml]", ":1: gates[0]: this file was not read, so it asks for nothing"),
    ("\nauto_merge: {enabled: true}", ":2: auto_merge: has no effect at assisted: only ase merges by itself"),
    (
        SAFE_ASE + "checkpoints: {after_plan: {}}",
        ":4: checkpoints: ase waits for nobody: they count only while a lower level is in force",
    ),
    (
        "autonomy: autonomous\ncheckpoints: {after_plan: {}}",
        ":2: checkpoints: autonomous waits only before the merge: they count only while supervised is in force",
    ),
    (
        SAFE_ASE + "phases: {deploy: {disposition: checkpoint}}",
        ":2: auto_merge: has no effect: phases.deploy.disposition is checkpoint, so a human merges",
    ),
    (
        "checkpoints: {after_monitor: {timeout: 1h}}",
        ":1: checkpoints.after_monitor: has no effect: monitor begins after the merge and never blocks a run",
    ),
    (
        "gates: {review: {severity: warning, max_blockers: 0}}",
        ":1: gates.review: only warns or runs dry, so it stops nothing",
    ),
    (
        "gates: {review: {max_blockers: {limit: 0, dry_run: true}}}",
        ":1: gates.review: only warns or runs dry, so it stops nothing",
    ),
    (
        "routing: {docs: {phases: [plan, document, deploy]}}",
        ":1: routing.docs: goes without build, so there is no change for document to judge",
    ),
    ("routing: {look: {phases: [plan]}}", ":1: routing.look: goes without deploy, so nothing is merged"),
    (
        "checkpoints: {after_intent: {timeout: 1h}}",
        ":1: checkpoints.after_intent: is never reached: intent comes before plan only where phases.intent is said",
    ),
    (
        NO_DOCUMENT + "gates: {document: {has_changelog_entry: true}}",
        ":2: gates.document: no route goes through document; only an issue of a type without a route does",
    ),
    (
        "routing: {docs: {phases: [build, deploy], loops: {review_patch: {max: 2}}}}",
        ":1: routing.docs.loops.review_patch: is never entered: this route goes without review",
    ),
    (
        "loops: {review_patch: {trigger: test_failure}}",
        ":1: loops.review_patch: is never entered: test_retry has the same trigger, test_failure",
    ),
    (
        NO_REVIEW + "loops: {full_rebuild: {max: 2}}",
        ":2: loops.full_rebuild: is never entered: no route goes through review",
    ),
    (
        "autonomy: supervised\nphases: {test: {disposition: optional}}",
        ":2: phases.test.disposition: has no effect at supervised: the level's own rule, checkpoint," + LESS,
    ),
    (
        "phases: {deploy: {disposition: checkpoint}}",
        ":1: phases.deploy.disposition: has no effect at assisted: the level's own rule, human," + LESS,
    ),
    (
        "autonomy: ase\nloops: {test_retry: {on_exhaust: warn}}\n" + SAFE_ASE.partition("\n")[2],
        ":2: loops.test_retry.on_exhaust: warn changes nothing at ase, which does not go on after a failed test",
    ),
    (
        "phases: {build: {tools: [read, execute]}}",
        ":1: phases.build.tools: without write the agent can change nothing, so no build ever passes",
    ),
    (
        "budget: {cost: 5}",
        ":1: budget.cost: without attempt_cost, an agent that reports no cost is taken to have spent all that was left",
    ),
    ("teams: {web: {}}", ":1: teams.web: names no override_dir, so it says nothing otherwise"),
    (
        "teams: {web: {override_dir: teams/web}}",
        ":1: teams.web.override_dir: its files were not read, so they say nothing",
    ),
    (
        SAFE_ASE + "on_regression: alert",
        ":4: on_regression: alert at ase: a change that does harm stays until a human acts",
    ),
    (
        SAFE_ASE + "routing: {patch: {phases: [build, test, deploy]}}",
        ":4: routing.patch: goes without review, and what nobody reviewed never merges by itself",
    ),
    (
        "autonomy: supervised\ncheckpoints: none",
        ":2: checkpoints: none changes nothing: supervised always waits after plan, test and review",
    ),
    (
        "phases: {plan: {execute_allowlist: [ls]}}",
        ":1: phases.plan.execute_allowlist: has no effect: this phase may not execute",
    ),
    (
        "metrics: [{name: queue_depth}]",
        ":1: metrics[0]: nothing can measure this; say file: PATH, a CSV file with the columns timestamp and value",
    ),
    (
        "monitor: {rollback_on: [queue_depth]}",
        ":1: monitor.rollback_on[0]: nothing measures this signal, so it rolls nothing back; list it under metrics",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), WARNED)
def test_a_doubtful_workflow_loads_with_one_warning(text: str, sentence: str) -> None:
    assert warnings(text) == [f"workflow.yaml{sentence}"]


def test_ase_without_a_net_is_told_what_is_missing() -> None:
    assert warnings("autonomy: ase") == [
        "workflow.yaml:1: autonomy: ase without auto_merge.enabled: a human merges every change",
        "workflow.yaml:1: autonomy: ase without monitor.anomaly_detection: nobody would see that a change does harm",
        "workflow.yaml:1: autonomy: ase without monitor.rollback_on: a change that does harm would stay",
    ]
    assert warnings(SAFE_ASE) == []
    watched = "autonomy: ase\nauto_merge: {enabled: true}\nmetrics: {errors: {file: e.csv}}"
    assert warnings(watched) == []


def test_a_signal_declared_under_metrics_may_roll_back() -> None:
    assert warnings("metrics: [{name: queue_depth, file: q.csv}]\nmonitor: {rollback_on: [queue_depth]}") == []


SILENT = (
    "autonomy: autonomous\ncheckpoints: {after_deploy: {timeout: 1h}}",
    "autonomy: supervised\ncheckpoints: {after_build: {timeout: 1h}}",
    "autonomy: supervised\nphases: {build: {disposition: checkpoint}, test: {disposition: checkpoint}}",
    "autonomy: autonomous\nphases: {test: {disposition: required}, deploy: {disposition: human}}",
    "autonomy: autonomous\nphases: {build: {disposition: continue}, deploy: {disposition: checkpoint}}",
    "autonomy: autonomous\nloops: {test_retry: {on_exhaust: warn}}",
    "phases: {intent: {}}\ncheckpoints: {after_intent: {timeout: 1h}}",
    "budget: {cost: 5, attempt_cost: 5}",
)


@pytest.mark.parametrize("text", SILENT)
def test_what_takes_effect_gets_no_warning(text: str) -> None:
    assert warnings(text) == []


@pytest.mark.parametrize("text", ["gates: {monitor: {all_pass: true}}", "phases: {monitor: {gates: {all_pass: true}}}"])
def test_a_gate_after_monitor_is_told_to_judge_nothing(text: str) -> None:
    assert any("monitor begins after the merge and never blocks a run" in said for said in warnings(text))


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("phase", list(LEVEL_RULES))
def test_a_disposition_is_taken_to_act_exactly_where_the_gatekeeper_lets_it_act(level: Level, phase: Phase) -> None:
    own = PROFILES[phase][level]
    for rule in PHASE_RULES.get(phase, tuple(PhaseRule)):
        is_own = rule is LEVEL_RULES[phase][level]
        assert allows(level, phase, rule) == (is_own or rule_of(level, phase, rule) != own)


def test_a_loop_that_says_nothing_of_its_end_leaves_it_to_the_level() -> None:
    loops = policy_of("loops: {test_retry: {max: 2}, review_patch: {on_exhaust: abort}}").loops
    assert [loops[name].on_exhaust for name in LoopName] == [None, OnExhaust.ABORT, None]


# Whatever is written

GATE_WORDS = (
    "criteria",
    "any_of",
    "all_of",
    "trigger",
    "after-test",
    "severity",
    "warning",
    "dry_run",
    "limit",
    "warn",
)
OTHER_WORDS = ("after_plan", "max", "enabled", "delay", "gate", "a.yaml", "none")
WORDS = st.sampled_from([*KEYS, *CRITERIA, *Phase, *Level, *LoopName, *GATE_WORDS, *OTHER_WORDS])
SCALARS = WORDS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6), max_leaves=30
)
CRITERIA_MAPS = st.lists(st.sampled_from(list(CRITERIA)), min_size=1, max_size=5).map(
    lambda names: {name: True if CRITERIA[name].form is Form.BOOL else 1 for name in names}
)
GATES = st.builds(
    lambda criteria, severity, is_dry: criteria | {"severity": severity, "dry_run": is_dry},
    CRITERIA_MAPS,
    st.sampled_from(list(map(str, GateSeverity))),
    st.booleans(),
)


def plain(tree: Any) -> Any:
    """The tree with words as plain text, as YAML writes it."""
    match tree:
        case dict():
            return {str(key): plain(value) for key, value in tree.items()}
        case list():
            return [plain(item) for item in tree]
        case str():
            return str(tree)
        case _:
            return tree


def read_or_refused(text: str | bytes) -> Policy | None:
    problems: tuple[WorkflowProblem, ...] = ()
    policy = None
    try:
        policy, found = read_workflow(text)
    except WorkflowRefused as refused:
        problems = refused.problems
    else:
        assert all(problem.is_warning for problem in found)
    assert (policy is None) == any(not problem.is_warning for problem in problems)
    assert all(str(problem).isprintable() for problem in problems)
    return policy


@settings(deadline=None)
@given(st.text() | st.binary())
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    policy = read_or_refused(text)
    assert policy is None or policy == default_policy()


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(KEYS)), TREES, max_size=5))
def test_any_tree_is_read_or_refused_and_what_is_read_survives_json(tree: dict[str, Any]) -> None:
    policy = read_or_refused(yaml.safe_dump(plain(tree), allow_unicode=True))
    if policy is not None:
        again = Policy.model_validate_json(policy.model_dump_json())
        assert policy_digest(again) == policy_digest(policy)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(FLOOR)), GATES))
def test_no_workflow_drops_or_softens_the_floor(gates: dict[Phase, Any]) -> None:
    policy = read_or_refused(yaml.safe_dump(plain({"gates": gates}))) or default_policy()
    for phase, floor in FLOOR.items():
        assert policy.criteria_of(phase)[: len(floor)] == floor


@settings(deadline=None)
@given(st.permutations(list(KEYS)))
def test_the_digest_does_not_know_the_order_of_keys(order: list[str]) -> None:
    tree = yaml.safe_load(OWN)
    shuffled = {key: tree[key] for key in order if key in tree}
    assert policy_digest(policy_of(yaml.safe_dump(shuffled, sort_keys=False))) == policy_digest(policy_of(OWN))


def test_the_digest_tells_limits_apart() -> None:
    digests = {policy_digest(policy_of(f"gates: {{test: {{coverage_min: {limit}}}}}")) for limit in (80, 80.5, 81)}
    assert len(digests) == 3
