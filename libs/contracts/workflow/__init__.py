"""What a repository's workflow says, complete: a `Policy` has a value for everything and needs no file to be read.

A policy is stored whole in the fact that adopts it, so every part survives JSON unchanged. What a
workflow leaves out has the default written here; what Rung always asks for (`FLOOR`) is added by
`with_floor` whatever a workflow says.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Final

from pydantic import Field, JsonValue

from libs.contracts.criteria import CRITERIA, canonical_name
from libs.contracts.words import PHASES, Digest, Frozen, Level, Phase
from libs.contracts.workflow.parts import (
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
    OnTimeout,
    PhasePolicy,
    PhaseRule,
    QuorumPolicy,
    ReadinessLimits,
    ReportPolicy,
    RetryStrategy,
    RoutePolicy,
    Rule,
    TeamPolicy,
    Tool,
    WaiverPolicy,
    WatchPolicy,
    WorkflowProblem,
    WorkflowRefused,
)

__all__ = [
    "AGENT_DRIVERS",
    "CONSIDERED_AFTER_S",
    "DEFAULT_AGENT",
    "DEFAULT_CRITERIA",
    "FLOOR",
    "FREE_AGENTS",
    "LOOPS",
    "PROTECTED",
    "READINESS",
    "ROUTING",
    "TOOLS",
    "AllOf",
    "AnyOf",
    "AutoMergePolicy",
    "BudgetPolicy",
    "CapPolicy",
    "CheckpointPolicy",
    "CommandPolicy",
    "Criterion",
    "EscalationPolicy",
    "GateEscalation",
    "GatePolicy",
    "GateReference",
    "GateSeverity",
    "LoopName",
    "LoopPolicy",
    "LoopTrigger",
    "MonitorPolicy",
    "OnExhaust",
    "OnFail",
    "OnRegression",
    "OnTimeout",
    "PhasePolicy",
    "PhaseRule",
    "Policy",
    "QuorumPolicy",
    "ReadinessLimits",
    "ReportPolicy",
    "RetryStrategy",
    "RoutePolicy",
    "Rule",
    "TeamPolicy",
    "Tool",
    "WaiverPolicy",
    "WatchPolicy",
    "WorkflowProblem",
    "WorkflowRefused",
    "default_gates",
    "default_phases",
    "default_policy",
    "is_as_strict",
    "policy_digest",
    "with_floor",
]

AGENT_DRIVERS: Final = ("acp", "exec", "llm", "repair")

PROTECTED: Final = ("workflow.yaml", "gates/**", "prompts/**", ".github/**", ".gitlab-ci.yml")
"""Paths no agent may touch; a workflow may only add to them."""

_LOOKS: Final = frozenset({Tool.READ, Tool.SEARCH})
TOOLS: Final[dict[Phase, frozenset[Tool]]] = {
    Phase.INTENT: _LOOKS,
    Phase.PLAN: _LOOKS,
    Phase.BUILD: frozenset(Tool),
    Phase.TEST: frozenset(Tool),
    Phase.REVIEW: _LOOKS,
    Phase.DOCUMENT: _LOOKS | {Tool.WRITE},
    Phase.DEPLOY: _LOOKS | {Tool.EXECUTE},
    Phase.MONITOR: _LOOKS | {Tool.EXECUTE},
}

LOOPS: Final[dict[LoopName, LoopPolicy]] = {
    LoopName.TEST_RETRY: LoopPolicy(max=3, trigger=LoopTrigger.TEST_FAILURE),
    LoopName.REVIEW_PATCH: LoopPolicy(max=3, trigger=LoopTrigger.BLOCKER),
    LoopName.FULL_REBUILD: LoopPolicy(max=1, trigger=LoopTrigger.ARCHITECTURAL_ISSUE),
}

_SHORT: Final = (Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DEPLOY)
ROUTING: Final[dict[str, RoutePolicy]] = {
    "feature": RoutePolicy(phases=PHASES),
    "bug": RoutePolicy(phases=PHASES[:-1]),
    "patch": RoutePolicy(phases=_SHORT),
    "hotfix": RoutePolicy(
        phases=_SHORT,
        loops={LoopName.TEST_RETRY: LOOPS[LoopName.TEST_RETRY].model_copy(update={"max": 1})},
    ),
}
"""Phases by type of issue; review runs for all of them unless a workflow says otherwise."""

READINESS: Final[dict[Level, ReadinessLimits]] = {
    Level.SUPERVISED: ReadinessLimits(successful_runs_min=10),
    Level.AUTONOMOUS: ReadinessLimits(
        successful_runs_min=50, gate_accuracy_min=0.9, override_rate_max=0.2, average_retries_max=2
    ),
    Level.ASE: ReadinessLimits(
        successful_runs_min=100,
        gate_accuracy_min=0.98,
        override_rate_max=0.05,
        average_retries_max=1.5,
        success_rate_min=0.95,
    ),
}
"""Limits by the level they earn; a workflow may only make them harder to meet."""


def _all_true(*names: str) -> tuple[Criterion, ...]:
    return tuple(Criterion(name=name, limit=True) for name in names)


CONSIDERED_AFTER_S: Final = 3.0
"""Seconds that a person takes at least to look at a checkpoint; a faster decision is counted, but labels nothing."""

FLOOR: Final[dict[Phase, tuple[Criterion, ...]]] = {
    Phase.INTENT: _all_true("answers_issue"),
    Phase.PLAN: _all_true("names_existing_files", "answers_issue"),
    Phase.BUILD: _all_true("has_change", "nothing_protected_touched"),
    Phase.DEPLOY: _all_true("no_merge_conflicts", "all_pass"),
}
"""Criteria in force whatever a workflow says."""

DEFAULT_CRITERIA: Final[dict[Phase, tuple[Criterion, ...]]] = {
    Phase.TEST: _all_true("all_pass"),
    Phase.REVIEW: (Criterion(name="max_blockers", limit=0), Criterion(name="max_critical", limit=0)),
    Phase.DOCUMENT: _all_true("has_changelog_entry"),
    Phase.DEPLOY: (Criterion(name="max_files_changed", limit=50),),
}
"""Criteria of a phase for which a workflow says nothing, beside the floor."""


def is_as_strict(rule: Rule, floor: Criterion) -> bool:
    """Whether the rule already asks for all that the floor asks for."""
    if not isinstance(rule, Criterion) or canonical_name(rule.name) != floor.name:
        return False
    return rule.limit is True and not rule.is_dry_run and rule.severity is GateSeverity.BLOCKER


def with_floor(phase: Phase, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules of a phase with what is always in force; a weaker rule of the same name gives way."""
    floor = FLOOR.get(phase, ())
    fixed = {criterion.name for criterion in floor}
    said = tuple(dict.fromkeys(rules))
    kept = tuple(rule for rule in said if not (isinstance(rule, Criterion) and canonical_name(rule.name) in fixed))
    return (*floor, *kept)


def _with_floor(phase: Phase, gate: GatePolicy) -> GatePolicy:
    return gate.model_copy(update={"criteria": with_floor(phase, gate.criteria)})


def default_gates() -> dict[Phase, GatePolicy]:
    phases = (phase for phase in PHASES if phase in FLOOR or phase in DEFAULT_CRITERIA)
    return {phase: GatePolicy(criteria=with_floor(phase, DEFAULT_CRITERIA.get(phase, ()))) for phase in phases}


def default_phases() -> dict[Phase, PhasePolicy]:
    return {phase: PhasePolicy(tools=TOOLS[phase]) for phase in PHASES}


DEFAULT_AGENT: Final = "repair"
FREE_AGENTS: Final = (DEFAULT_AGENT,)
"""Agents that cost nothing, so that no money is reserved for them."""
WATCH_S: Final = 3600.0
UNWATCHED_S: Final = 1.0
"""How long a merge is watched where the workflow does not say: with metrics, and without."""


class Policy(Frozen):
    """A workflow with every default filled in.

    `phases` holds intent only where the workflow asks for it, `gates` no gate for a phase that
    nothing is asked of. `checkpoints` holds what the workflow says, nothing more: where a run
    waits is decided by the level in force, and `checkpoint_after` says for how long. `prompts` holds
    the digest of each file of prompts.
    """

    autonomy: Level = Level.ASSISTED
    agent: str | None = None
    phases: dict[Phase, PhasePolicy] = Field(default_factory=default_phases)
    gates: dict[Phase, GatePolicy] = Field(default_factory=default_gates)
    gate_files: tuple[GateReference, ...] = ()
    reported: tuple[str, ...] = ()
    loops: dict[LoopName, LoopPolicy] = Field(default_factory=lambda: dict(LOOPS))
    escalation: EscalationPolicy = EscalationPolicy()
    checkpoints: dict[Phase, CheckpointPolicy] = Field(default_factory=dict)
    auto_merge: AutoMergePolicy = AutoMergePolicy()
    monitor: MonitorPolicy = MonitorPolicy()
    routing: dict[str, RoutePolicy] = Field(default_factory=lambda: dict(ROUTING))
    teams: dict[str, TeamPolicy] = Field(default_factory=dict)
    commands: CommandPolicy = CommandPolicy()
    reports: ReportPolicy = ReportPolicy()
    protected: tuple[str, ...] = PROTECTED
    caps: tuple[CapPolicy, ...] = ()
    readiness: dict[Level, ReadinessLimits] = Field(default_factory=lambda: dict(READINESS))
    considered_after_s: float = CONSIDERED_AFTER_S
    prompts: dict[str, Digest] = Field(default_factory=dict)
    budget: BudgetPolicy = BudgetPolicy()
    quorum: tuple[QuorumPolicy, ...] = ()
    on_regression: OnRegression = OnRegression.REVERT
    watch: WatchPolicy | None = None
    metrics: list[JsonValue] | dict[str, JsonValue] = Field(default_factory=dict)
    waivers: tuple[WaiverPolicy, ...] = ()

    def route(self, issue_type: str) -> tuple[Phase, ...]:
        """The phases an issue of this type goes through; all of them for a type without a route."""
        route = self.routing.get(issue_type)
        phases = route.phases if route else PHASES
        has_intent = Phase.INTENT in self.phases and Phase.PLAN in phases and Phase.INTENT not in phases
        return (Phase.INTENT, *phases) if has_intent else phases

    def loop(self, name: LoopName, issue_type: str) -> LoopPolicy:
        route = self.routing.get(issue_type)
        return route.loops.get(name, self.loops[name]) if route else self.loops[name]

    def teams_of(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Teams that an issue's labels name, as `team:NAME`, `team/NAME` or `NAME`, in the workflow's order."""
        said = {label.lower() for label in labels}
        forms = ("team:{}", "team/{}", "{}")
        return tuple(team for team in self.teams if said & {form.format(team.lower()) for form in forms})

    def team_of(self, labels: Iterable[str]) -> str | None:
        """The first of the teams that an issue's labels name."""
        return next(iter(self.teams_of(labels)), None)

    def for_team(self, team: str | None) -> "Policy":
        """The policy with what a team says otherwise; what is always asked stays. The same for no such team."""
        stated = self.teams.get(team) if team is not None else None
        if stated is None:
            return self
        gates = {phase: stated.judged(phase, self.gates.get(phase)) for phase in Phase}
        return self.model_copy(
            update={
                "phases": {phase: stated.prompted(phase, common) for phase, common in self.phases.items()},
                "gates": {phase: _with_floor(phase, gate) for phase, gate in gates.items() if gate is not None},
            }
        )

    def criteria_of(self, phase: Phase) -> tuple[Rule, ...]:
        """What the gate after a phase asks; no less than what is always in force."""
        return self.gates[phase].criteria if phase in self.gates else with_floor(phase, ())

    def reads(self, phase: Phase) -> frozenset[str]:
        """The parts of the evidence that the gate after a phase reads."""
        return frozenset(part for name in _names(self.criteria_of(phase)) for part in CRITERIA[name].evidence)

    def checkpoint_after(self, phase: Phase) -> CheckpointPolicy:
        return self.checkpoints.get(phase, CheckpointPolicy())

    @property
    def watched_s(self) -> float:
        """How long a merge is watched, in seconds: as the workflow says; without metrics only a moment."""
        if self.watch is not None:
            return self.watch.duration_s
        return WATCH_S if self.metrics else UNWATCHED_S

    def agent_for(self, phase: Phase) -> str | None:
        """The agent that works on a phase; `None` leaves it to Rung's default."""
        return self.phases[phase].agent or self.agent if phase in self.phases else self.agent


def _names(rules: Iterable[Rule]) -> Iterator[str]:
    """The criteria of the table that rules ask, also within groups."""
    for rule in rules:
        match rule:
            case Criterion():
                yield from (rule.name,) if rule.name in CRITERIA else ()
            case AnyOf():
                yield from _names(rule.any_of)
            case AllOf():
                yield from _names(rule.all_of)


def default_policy() -> Policy:
    """The policy of a repository that says nothing."""
    return Policy()


def policy_digest(policy: Policy) -> Digest:
    """sha256 of the policy's canonical JSON: the same for equal policies, whatever file they came from."""
    tree = policy.model_dump(mode="json")
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
