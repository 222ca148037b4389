"""The level in force for a run: what holds it down, in which words, and that nothing raises it."""

from dataclasses import replace
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from libs.contracts.evidence import ChangedFile, DiffEvidence, Evidence
from libs.contracts.facts import FreezeSet, LabelStated, LadderFact, LevelEarned, LevelGranted, LevelLowered, RunStarted
from libs.contracts.globs import is_under
from libs.contracts.ladder import Ladder
from libs.contracts.ladder import fold as fold_ladder
from libs.contracts.operator import Operator, tighten
from libs.contracts.words import DecisionKind, Disposition, Level, Phase
from libs.contracts.workflow import CapPolicy, GateReference, PhasePolicy, Policy, TeamPolicy
from services.gatekeeper.authority import LABELLED_MIN, UNKNOWN, Authority, Experience, authority
from services.gatekeeper.readiness.identity import agent_identity
from services.gatekeeper.run import Run
from tests.spec.decider import EXPERIENCED, given, record
from tests.spec.readiness_cards import ladder
from tests.spec.story import CHANGE, POLICY, ROUTE, RUN, WORKFLOW, adopted, asks, completed, granted, started

L1, L2, L3, L4 = Level
TOP: Final = ladder(L4)


def diff(*paths: str) -> DiffEvidence:
    return DiffEvidence(files=tuple(ChangedFile(path=path, status="M", lines_added=1) for path in paths))


def touching(*paths: str, policy: Policy = POLICY, **more: Any) -> Run:
    """A run at the highest configured level whose change was built, with a human at every step so far."""
    log = given(adopted(policy), started(level=L4, policy=policy, **more)).settled()
    log = log.then(completed(Phase.PLAN)).settled().requests(asks(DecisionKind.APPROVE)).after.settled()
    return log.then(completed(Phase.BUILD, evidence=Evidence(commit=CHANGE, diff=diff(*paths)))).run


def allowed(run: Run, experience: Experience = EXPERIENCED, on: Ladder = TOP) -> Authority:
    return authority(run, on, experience)


def capped(*caps: CapPolicy) -> Policy:
    return POLICY.model_copy(update={"caps": caps})


# -- caps of the workflow and of the operator ---------------------------------------


def test_a_run_that_nothing_holds_down_has_what_is_configured_granted_and_earned() -> None:
    assert allowed(touching("shop.py")) == Authority(L4)
    assert allowed(touching("shop.py"), on=ladder(L2)) == Authority(L2)


def test_the_stories_here_have_a_change() -> None:
    run = touching("a.py", "b.py")
    assert run.diff is not None
    assert [file.path for file in run.diff.files] == ["a.py", "b.py"]


def test_a_cap_by_path_holds_once_the_change_touches_one_and_says_which() -> None:
    policy = capped(CapPolicy(paths=("payments/**", "auth/**"), max=L3))
    assert allowed(touching("shop.py", policy=policy)) == Authority(L4)
    run = touching("shop.py", "auth/login/token.py", policy=policy)
    assert allowed(run) == Authority(L3, ("at most autonomous: the change touches auth/login/token.py",))


def test_a_cap_by_path_does_not_hold_before_there_is_a_change_and_holds_midway_from_the_build_on() -> None:
    policy = capped(CapPolicy(paths=("shop.py",), max=L1))
    log = given(adopted(policy), *granted(L3), started(level=L3, policy=policy)).settled()
    log = log.then(completed(Phase.PLAN)).settled()
    planned = log.run.last_judged(Phase.PLAN)
    assert planned is not None
    assert (planned.level_in_force, planned.disposition, planned.caps) == (L3, Disposition.PROCEED, ())
    built = log.then(completed(Phase.BUILD)).settled().run.judged
    assert built is not None
    assert (built.level_in_force, built.disposition) == (L1, Disposition.CHECKPOINT)
    assert built.caps == ("at most assisted: the change touches shop.py",)


def test_a_cap_by_label_holds_for_an_issue_with_one_of_them() -> None:
    policy = capped(CapPolicy(labels=("risky", "security"), max=L2))
    assert allowed(touching("shop.py", policy=policy, labels=("small",))).level is L4
    said = allowed(touching("shop.py", policy=policy, labels=("small", "security")))
    assert said == Authority(L2, ("at most supervised: the issue is labelled security",))


def test_a_cap_by_class_holds_for_issues_of_that_type() -> None:
    policy = capped(CapPolicy(classes=("bug",), max=L1))
    assert allowed(touching("shop.py", policy=policy)).caps == ("at most assisted: the issue is of type bug",)
    assert allowed(touching("shop.py", policy=policy, issue_type="docs")).level is L4


@pytest.mark.parametrize(
    ("path", "labels", "issue_type", "holds"),
    [
        ("pay/a.py", ("risky",), "bug", True),
        ("shop.py", ("risky",), "bug", False),
        ("pay/a.py", (), "bug", False),
        ("pay/a.py", ("risky",), "docs", False),
    ],
)
def test_a_cap_with_several_conditions_holds_only_when_all_do(
    path: str, labels: tuple[str, ...], issue_type: str, *, holds: bool
) -> None:
    policy = capped(CapPolicy(paths=("pay/**",), labels=("risky",), classes=("bug",), max=L1))
    said = allowed(touching(path, policy=policy, labels=labels, issue_type=issue_type))
    assert (said.level is L1) is holds
    reason = "the change touches pay/a.py and the issue is labelled risky and the issue is of type bug"
    assert said.caps == ((f"at most assisted: {reason}",) if holds else ())


def test_the_lowest_of_several_caps_is_in_force_and_all_that_hold_are_named() -> None:
    policy = capped(CapPolicy(classes=("bug",), max=L3), CapPolicy(paths=("**",), max=L2))
    said = allowed(touching("shop.py", policy=policy))
    assert (said.level, len(said.caps)) == (L2, 2)


@pytest.mark.parametrize("granted_level", Level)
def test_a_cap_at_or_above_what_is_granted_raises_nothing_and_is_not_named(granted_level: Level) -> None:
    policy = capped(CapPolicy(paths=("**",), max=granted_level), CapPolicy(classes=("bug",), max=L4))
    assert allowed(touching("shop.py", policy=policy), on=ladder(granted_level)) == Authority(granted_level)


def test_the_operator_s_caps_stand_beside_the_workflow_s_own() -> None:
    own = capped(CapPolicy(paths=("shop.py",), max=L3))
    policy = tighten(own, Operator(caps=(CapPolicy(classes=("bug",), max=L2),)))
    said = allowed(touching("shop.py", policy=policy))
    assert said.level is L2
    assert said.caps == (
        "at most autonomous: the change touches shop.py",
        "at most supervised: the issue is of type bug",
    )


# -- caps of the system ----------------------------------------------------------------


@pytest.mark.parametrize(("granted_level", "below"), [(L1, L1), (L2, L1), (L3, L2), (L4, L3)])
def test_an_agent_with_few_labelled_runs_works_one_rung_below(granted_level: Level, below: Level) -> None:
    run = touching("shop.py")
    newcomer = EXPERIENCED._replace(labelled_runs=9)
    said = allowed(run, newcomer, ladder(granted_level))
    assert said.level is below
    name = agent_identity(run.begun)
    sentence = f"at most {below}: the agent {name} is new: 9 of its runs are labelled here, of 10 needed"
    assert said.caps == (() if granted_level is L1 else (sentence,))
    assert allowed(run, newcomer._replace(labelled_runs=10), ladder(granted_level)) == Authority(granted_level)


def test_a_hotfix_is_merged_by_a_human() -> None:
    said = allowed(touching("shop.py", issue_type="hotfix"))
    assert said.level is L3
    assert "at most autonomous: a hotfix is merged by a human" in said.caps
    assert allowed(touching("shop.py", issue_type="hotfix"), on=ladder(L3)) == Authority(L3)


@pytest.mark.parametrize("issue_type", ["bug", "patch", "docs", "dependency"])
def test_changes_of_the_listed_classes_may_merge_by_themselves(issue_type: str) -> None:
    assert allowed(touching("shop.py", issue_type=issue_type)) == Authority(L4)


@pytest.mark.parametrize("issue_type", ["feature", "refactoring"])
def test_changes_of_all_other_classes_are_merged_by_a_human(issue_type: str) -> None:
    said = allowed(touching("shop.py", issue_type=issue_type))
    known = "bug, patch, docs, dependency"
    sentence = f"at most autonomous: changes of type {issue_type} are merged by a human, unlike {known}"
    assert said == Authority(L3, (sentence,))


def test_without_a_live_signal_nothing_merges_by_itself() -> None:
    said = allowed(touching("shop.py"), EXPERIENCED._replace(has_live_signal=False))
    assert said == Authority(L3, ("at most autonomous: no metric was measured in the last watch of this workflow",))


def test_where_no_rollback_was_ever_tried_nothing_merges_by_itself_and_it_is_said_how_to_try_one() -> None:
    said = allowed(touching("shop.py"), EXPERIENCED._replace(has_drilled=False))
    assert said.level is L3
    assert "rung rollback RUN --why drill" in said.caps[0]


@pytest.mark.parametrize("granted_level", [L2, L3, L4])
def test_where_the_sandbox_is_weak_a_human_decides_everywhere(granted_level: Level) -> None:
    weak = EXPERIENCED._replace(is_sandboxed=False)
    said = allowed(touching("shop.py"), weak, ladder(granted_level))
    assert said.level is L1
    assert "see rung doctor" in said.caps[0]


def test_what_nobody_knows_holds_the_level_down() -> None:
    assert allowed(touching("shop.py"), UNKNOWN).level is L1


NAMED: Final = POLICY.model_copy(
    update={
        "gate_files": (GateReference(path="./ci//quality.yaml"),),
        "phases": {**POLICY.phases, Phase.BUILD: PhasePolicy(template="agents/./build.md", addition="agents/more.md")},
        "prompts": {"agents/plan.md": "0" * 64},
        "teams": {"payments": TeamPolicy(override_dir="teams/payments/")},
    }
)


@pytest.mark.parametrize(
    "path",
    [
        "workflow.yaml",
        "workflow.yml",
        "gates/test.yaml",
        "prompts/build.md",
        "ci/quality.yaml",
        "agents/build.md",
        "agents/more.md",
        "agents/plan.md",
        "teams/payments/gates/test.yaml",
        "teams/payments/prompts/plan.md",
    ],
)
def test_a_human_decides_on_a_change_to_workflow_gates_or_prompts_at_every_level(path: str) -> None:
    for granted_level in (L2, L3, L4):
        said = allowed(touching("shop.py", path, policy=NAMED), on=ladder(granted_level))
        assert said.level is L1
        assert said.caps[0].startswith(f"at most assisted: the change touches {path}, and a human decides")


@pytest.mark.parametrize("path", ["teams/payments/README.md", "src/workflow.yaml", "agents/other.md", "docs/gates.md"])
def test_a_file_that_only_looks_like_one_of_the_workflow_s_is_like_any_other(path: str) -> None:
    assert allowed(touching(path, policy=NAMED)).level is L4


def test_a_change_whose_files_nobody_knows_does_not_merge_by_itself() -> None:
    blind = replace(touching("shop.py"), answer=None, attempts=())
    assert allowed(blind) == Authority(L4), "it may still become known"
    said = allowed(replace(blind, phase=Phase.DEPLOY))
    assert said.level is L1
    assert "the change touches files that nobody knows" in said.caps[0]


# -- who the agent is ---------------------------------------------------------------------


def named(agent: str = "exec:coder@1.2.3-large {prompt}", policy: Policy = POLICY, **more: Any) -> str:
    return agent_identity(started(agent=agent, policy=policy, agent_by="operator", **more))


def test_another_patch_version_is_the_same_agent_and_another_model_is_not() -> None:
    assert named("exec:coder@1.2.3-large {prompt}") == named("exec:coder@1.2.9-large {prompt}")
    assert named("acp:coder@1.2.3") == named("acp:coder@1.2.4rc1") == named("acp:coder@1.2.4-beta.2")
    names = ["acp:coder@1.2.3", "acp:coder@1.3.0", "acp:coder@1.2.3-large", "acp:coder@1.2.3-small", "acp:other@1.2.3"]
    assert len({named(name) for name in names}) == len(names)
    assert named("llm:openai:http://10.0.0.1:80/x") != named("llm:openai:http://10.0.0.2:80/x")


def test_another_prompt_is_another_agent() -> None:
    def prompted(**update: Any) -> str:
        return named(policy=POLICY.model_copy(update=update))

    phases = {**POLICY.phases, Phase.BUILD: PhasePolicy(template="prompts/build.md")}
    first = prompted(phases=phases, prompts={"prompts/build.md": "0" * 64})
    assert first != prompted(phases=phases, prompts={"prompts/build.md": "1" * 64})
    assert first != named()
    unused = {"prompts/build.md": "0" * 64, "prompts/other.md": "1" * 64}
    assert first == prompted(phases=phases, prompts=unused)


def test_an_agent_is_the_same_on_a_shorter_route() -> None:
    assert named(phases=ROUTE) == named(phases=(Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DEPLOY))


def test_who_works_on_one_phase_alone_makes_another_agent() -> None:
    phases = {**POLICY.phases, Phase.PLAN: PhasePolicy(agent="acp:planner")}
    policy = POLICY.model_copy(update={"phases": phases})
    assert agent_identity(started(policy=policy)) != agent_identity(started())


def test_a_name_is_short_readable_and_of_plain_characters() -> None:
    name, digest = named("exec:/opt/bin/cöder /srv/tools/run.py --model x {prompt}").rsplit("#", 1)
    assert (name, len(digest)) == ("exec:c_der_run.py", 8)
    assert len(named("exec:" + "x" * 100)) == 40 + 9
    assert named("repair").startswith("repair#")


# -- properties -----------------------------------------------------------------------------

LADDER_FACTS: Final[tuple[LadderFact, ...]] = (
    *(LevelEarned(workflow=WORKFLOW, level=level, reason="r") for level in Level),
    *(LevelGranted(workflow=WORKFLOW, level=level, by="ann", reason="r") for level in Level),
    LevelGranted(workflow=WORKFLOW, level=L4, by="rung", reason="r", automatic=True, with_proof=True),
    *(LevelLowered(workflow=WORKFLOW, level=level, by="rung", reason="r", cause="drift") for level in (L1, L2, L3)),
    adopted(),
    adopted(POLICY.model_copy(update={"autonomy": L4})),
    FreezeSet(workflow=WORKFLOW, by="ann", reason="r"),
    LabelStated(workflow=WORKFLOW, run=RUN, phase=Phase.TEST, is_right=True, source="audit", by="ann", reason="r"),
)
PATHS: Final = ("shop.py", "pay/a.py", "auth/b.py", "workflow.yaml")
caps = st.lists(
    st.builds(
        CapPolicy,
        paths=st.sampled_from([(), ("pay/**",), ("auth/**", "pay/**"), ("**",)]),
        labels=st.sampled_from([(), ("risky",)]),
        classes=st.sampled_from([(), ("bug",), ("docs", "bug")]),
        max=st.sampled_from(Level),
    ),
    max_size=3,
)
experiences = st.builds(Experience, st.integers(0, 12), st.booleans(), st.booleans(), st.booleans())
CHANGED: Final[dict[tuple[str, ...], Run]] = {
    paths: touching(*paths) for paths in (PATHS[:1], PATHS[:2], PATHS[1:3], PATHS)
}


def holds(cap: CapPolicy, begun: RunStarted, paths: tuple[str, ...]) -> bool:
    """The oracle: every condition that is given holds."""
    by_path = not cap.paths or any(is_under(path, glob) for path in paths for glob in cap.paths)
    by_label = not cap.labels or bool({*cap.labels} & {*begun.labels})
    return by_path and by_label and (not cap.classes or begun.issue_type in cap.classes)


class Circumstances(NamedTuple):
    """What a run may be in."""

    configured: Level
    stated: list[CapPolicy]
    experience: Experience
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    issue_type: str


circumstances = st.builds(
    Circumstances,
    st.sampled_from(Level),
    caps,
    experiences,
    st.sampled_from([*CHANGED]),
    st.sampled_from([(), ("risky",), ("small", "risky")]),
    st.sampled_from(["bug", "docs", "hotfix", "feature"]),
)


def bounds(about: Circumstances, begun: RunStarted) -> list[Level]:
    """The oracle: everything that may hold a run down, but for a new agent."""
    seen = about.experience
    return [
        about.configured,
        *(cap.max for cap in about.stated if holds(cap, begun, about.paths)),
        *([L1] if "workflow.yaml" in about.paths or not seen.is_sandboxed else []),
        *([] if seen.has_live_signal and seen.has_drilled and about.issue_type in ("bug", "docs") else [L3]),
    ]


@settings(max_examples=200, deadline=None)
@drawn(st.lists(st.sampled_from(LADDER_FACTS), max_size=12), st.booleans(), circumstances)
def test_nothing_raises_the_level_above_configured_granted_earned_or_any_cap(
    facts: list[LadderFact], is_unread: bool, about: Circumstances
) -> None:
    on = fold_ladder(record(facts), is_unread=is_unread)
    policy = capped(*about.stated)
    begun = started(level=about.configured, policy=policy, labels=about.labels, issue_type=about.issue_type)
    said = authority(replace(CHANGED[about.paths], started=begun), on, about.experience)
    held = [L1] if is_unread else [on.granted, on.earned]
    uncapped = min(level.rank for level in (about.configured, *held))
    new = max(uncapped - 1, 1) if about.experience.labelled_runs < LABELLED_MIN else L4.rank
    assert said.level.rank == min(uncapped, new, *(bound.rank for bound in bounds(about, begun)))
    assert bool(said.caps) is (said.level.rank < uncapped)
