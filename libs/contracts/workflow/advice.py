"""Warnings about a policy as a whole: what is allowed, and probably not what its author wants.

Each adviser asks one question of a workflow and answers with the path of a key and a sentence about it.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from libs.contracts.criteria import canonical_name
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import Policy
from libs.contracts.workflow.metrics import watched
from libs.contracts.workflow.nodes import Place, find
from libs.contracts.workflow.parts import (
    AllOf,
    AnyOf,
    Criterion,
    GateSeverity,
    LoopName,
    LoopTrigger,
    OnExhaust,
    OnRegression,
    PhaseRule,
    Rule,
    Tool,
)

Advice = tuple[str, str]
"""The dotted path of a key, and a sentence about it."""


class Written(NamedTuple):
    """A policy, and the file that it was read from."""

    policy: Policy
    root: Place

    def says(self, path: str) -> bool:
        return find(self.root, path.split(".")) is not None


_LEVELS: Final = (Level.ASSISTED, Level.SUPERVISED, Level.AUTONOMOUS, Level.ASE)


def _row(*rules: PhaseRule) -> dict[Level, PhaseRule]:
    return dict(zip(_LEVELS, rules, strict=True))


_GUARDED: Final = _row(PhaseRule.HUMAN, PhaseRule.CHECKPOINT, PhaseRule.REQUIRED, PhaseRule.REQUIRED)
LEVEL_RULES: Final[dict[Phase, dict[Level, PhaseRule]]] = {
    Phase.INTENT: _GUARDED,
    Phase.PLAN: _GUARDED,
    Phase.BUILD: _row(PhaseRule.HUMAN, PhaseRule.CONTINUE, PhaseRule.REQUIRED, PhaseRule.REQUIRED),
    Phase.TEST: _row(PhaseRule.HUMAN, PhaseRule.CHECKPOINT, PhaseRule.OPTIONAL, PhaseRule.REQUIRED),
    Phase.REVIEW: _GUARDED,
    Phase.DOCUMENT: _row(PhaseRule.HUMAN, PhaseRule.CONTINUE, PhaseRule.REQUIRED, PhaseRule.OPTIONAL),
    Phase.DEPLOY: _row(PhaseRule.HUMAN, PhaseRule.CHECKPOINT, PhaseRule.CHECKPOINT, PhaseRule.REQUIRED),
}
"""What each level says of a phase, in a workflow's words; after deploy a checkpoint is where a human merges."""

AUTHORITY: Final[dict[PhaseRule, int]] = {
    PhaseRule.HUMAN: 0,
    PhaseRule.CHECKPOINT: 1,
    PhaseRule.CONTINUE: 2,
    PhaseRule.REQUIRED: 2,
    PhaseRule.OPTIONAL: 3,
}
"""How much a rule leaves to the machine; a workflow may say no rule that leaves it more than the level's does."""

BY_REVIEW: Final = (LoopTrigger.BLOCKER, LoopTrigger.ARCHITECTURAL_ISSUE)
"""Triggers that only the review pulls; whatever else fails is a `test_failure`."""


def _about_auto_merge(written: Written) -> Iterator[Advice]:
    policy = written.policy
    deploy = policy.phases[Phase.DEPLOY].disposition
    if policy.auto_merge.enabled and policy.autonomy is not Level.ASE:
        yield "auto_merge", f"has no effect at {policy.autonomy}: only ase merges by itself"
    elif policy.auto_merge.enabled and deploy is not None:
        yield "auto_merge", f"has no effect: phases.deploy.disposition is {deploy}, so a human merges"
    if policy.autonomy is Level.ASE and not policy.auto_merge.enabled:
        yield "autonomy", "ase without auto_merge.enabled: a human merges every change"


def _about_safety(written: Written) -> Iterator[Advice]:
    policy = written.policy
    if policy.autonomy is not Level.ASE:
        return
    is_watched = bool(watched(policy))
    if not is_watched and not policy.monitor.anomaly_detection:
        yield "autonomy", "ase without monitor.anomaly_detection: nobody would see that a change does harm"
    if not is_watched and not policy.monitor.rollback_on:
        yield "autonomy", "ase without monitor.rollback_on: a change that does harm would stay"
    if policy.on_regression is OnRegression.ALERT:
        yield "on_regression", "alert at ase: a change that does harm stays until a human acts"


def _about_checkpoints(written: Written) -> Iterator[Advice]:
    """After deploy a human may be waited for at every level, so what is said of it always counts."""
    policy = written.policy
    if policy.autonomy.rank < Level.AUTONOMOUS.rank or not set(policy.checkpoints) - {Phase.DEPLOY, Phase.MONITOR}:
        return
    if policy.autonomy is Level.ASE:
        yield "checkpoints", "ase waits for nobody: they count only while a lower level is in force"
    else:
        yield "checkpoints", "autonomous waits only before the merge: they count only while supervised is in force"


def _about_monitor(written: Written) -> Iterator[Advice]:
    for path in ("gates.monitor", "phases.monitor.gates", "checkpoints.after_monitor"):
        if written.says(path):
            yield path, "has no effect: monitor begins after the merge and never blocks a run"


def _about_tests(written: Written) -> Iterator[Advice]:
    if not any(_asks(rule, "all_pass") for rule in written.policy.gates[Phase.TEST].criteria):
        yield "gates.test", "asks not that the tests pass; add all_pass: true"


def _asks(rule: Rule, name: str) -> bool:
    match rule:
        case Criterion():
            return canonical_name(rule.name) == name
        case AnyOf():
            return any(_asks(inner, name) for inner in rule.any_of)
        case AllOf():
            return any(_asks(inner, name) for inner in rule.all_of)


def _about_toothless_gates(written: Written) -> Iterator[Advice]:
    for phase, gate in written.policy.gates.items():
        if gate.severity is GateSeverity.WARNING or gate.is_dry_run:
            yield f"gates.{phase}", "only warns or runs dry, so it stops nothing"


def _about_reviewless_routes(written: Written) -> Iterator[Advice]:
    for kind, route in written.policy.routing.items():
        if written.policy.autonomy is Level.ASE and Phase.REVIEW not in route.phases:
            yield f"routing.{kind}", "goes without review, and what nobody reviewed never merges by itself"


def _about_short_routes(written: Written) -> Iterator[Advice]:
    for kind, route in written.policy.routing.items():
        after = [phase for phase in route.phases if phase in (Phase.TEST, Phase.REVIEW, Phase.DOCUMENT, Phase.DEPLOY)]
        if Phase.BUILD not in route.phases and after:
            yield f"routing.{kind}", f"goes without build, so there is no change for {after[0]} to judge"
        if Phase.DEPLOY not in route.phases:
            yield f"routing.{kind}", "goes without deploy, so nothing is merged"


def _about_unreached_phases(written: Written) -> Iterator[Advice]:
    """Phases that the file speaks of and that no type of issue with a route goes through."""
    policy = written.policy
    reached = {phase for kind in policy.routing for phase in policy.route(kind)}
    for phase in Phase:
        paths = (f"phases.{phase}", f"gates.{phase}", f"checkpoints.after_{phase}")
        for path in paths if phase not in reached else ():
            if written.says(path):
                yield path, _unreached(phase, policy)


def _unreached(phase: Phase, policy: Policy) -> str:
    if phase is Phase.INTENT and phase not in policy.phases:
        return "is never reached: intent comes before plan only where phases.intent is said"
    return f"no route goes through {phase}; only an issue of a type without a route does"


def _about_unreached_loops(written: Written) -> Iterator[Advice]:
    policy = written.policy
    reviewed = {kind for kind, route in policy.routing.items() if Phase.REVIEW in route.phases}
    for name, loop in policy.loops.items():
        if loop.trigger in BY_REVIEW and not reviewed and written.says(f"loops.{name}"):
            yield f"loops.{name}", "is never entered: no route goes through review"
        for kind in policy.routing.keys() - reviewed:
            path = f"routing.{kind}.loops.{name}"
            if policy.loop(name, kind).trigger in BY_REVIEW and written.says(path):
                yield path, "is never entered: this route goes without review"


def _about_triggers(written: Written) -> Iterator[Advice]:
    """A fail enters the first loop that it triggers, in the order of `LoopName`."""
    first: dict[LoopTrigger, LoopName] = {}
    for name in LoopName:
        trigger = written.policy.loops[name].trigger
        if first.setdefault(trigger, name) is not name:
            yield f"loops.{name}", f"is never entered: {first[trigger]} has the same trigger, {trigger}"


def _about_dispositions(written: Written) -> Iterator[Advice]:
    level = written.policy.autonomy
    for phase, rules in LEVEL_RULES.items():
        said = written.policy.phases[phase].disposition if phase in written.policy.phases else None
        if said is not None and not allows(level, phase, said):
            sentence = f"has no effect at {level}: the level's own rule, {rules[level]}, leaves the machine less"
            yield f"phases.{phase}.disposition", sentence


def allows(level: Level, phase: Phase, rule: PhaseRule) -> bool:
    """Whether a rule leaves the machine no more than the level's own does, and so may stand in its place."""
    return AUTHORITY[rule] <= AUTHORITY[LEVEL_RULES[phase][level]]


def _about_loop_ends(written: Written) -> Iterator[Advice]:
    policy = written.policy
    for name, phase in ((LoopName.TEST_RETRY, Phase.TEST), (LoopName.REVIEW_PATCH, Phase.REVIEW)):
        is_warning = policy.loops[name].on_exhaust is OnExhaust.WARN
        if is_warning and LEVEL_RULES[phase][policy.autonomy] is not PhaseRule.OPTIONAL:
            sentence = f"warn changes nothing at {policy.autonomy}, which does not go on after a failed {phase}"
            yield f"loops.{name}.on_exhaust", sentence


def _about_tools(written: Written) -> Iterator[Advice]:
    if Tool.WRITE not in written.policy.phases[Phase.BUILD].tools:
        yield "phases.build.tools", "without write the agent can change nothing, so no build ever passes"


def _about_cost(written: Written) -> Iterator[Advice]:
    budget = written.policy.budget
    if budget.cost_usd is not None and budget.attempt_cost_usd is None:
        sentence = "without attempt_cost, an agent that reports no cost is taken to have spent all that was left"
        yield "budget.cost", sentence


def _about_teams(written: Written) -> Iterator[Advice]:
    for name, team in written.policy.teams.items():
        if Phase.INTENT not in written.policy.phases and {*team.prompts, *team.gates} & {Phase.INTENT}:
            sentence = "speaks of intent, which comes before plan only where phases.intent is said"
            yield f"teams.{name}.override_dir", sentence


ADVISERS: Final[tuple[Callable[[Written], Iterator[Advice]], ...]] = (
    _about_auto_merge,
    _about_safety,
    _about_checkpoints,
    _about_monitor,
    _about_tests,
    _about_toothless_gates,
    _about_reviewless_routes,
    _about_short_routes,
    _about_unreached_phases,
    _about_unreached_loops,
    _about_triggers,
    _about_dispositions,
    _about_loop_ends,
    _about_tools,
    _about_cost,
    _about_teams,
)


def advise(policy: Policy, root: Place) -> None:
    """Note every warning at the place it speaks of, or at the start of the file if that is not written there."""
    for adviser in ADVISERS:
        for path, message in adviser(Written(policy, root)):
            place = find(root, path.split("."))
            root.findings.add(place.line if place else root.line, path, message, is_warning=True)
