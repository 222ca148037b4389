"""Two policies beside each other: what one asks that the other did not measure, and what it measures otherwise."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from libs.contracts.criteria import CRITERIA, canonical_name
from libs.contracts.evidence import Evidence
from libs.contracts.words import Phase
from libs.contracts.workflow import AllOf, AnyOf, Criterion, Policy, Rule
from services.gatekeeper.gates import ask

NOT_MEASURED: Final = "not_measured"
"""The criterion that stands for one whose answer nobody knows."""
WORKFLOW_FILES: Final = ("workflow.yaml", "workflow.yml")
"""Files that are protected in every run, whatever its workflow says."""
REPORTED: Final = ("reported",)
TESTED: Final = frozenset({"tests", "coverage", "mutation", *REPORTED})
REVIEWED: Final = frozenset({"review"})


@dataclass
class Pair:
    """`recorded` is the policy that a run had, `other` the one that it is judged by; both are a team's where one is."""

    recorded: Policy
    other: Policy
    _added: dict[Phase, tuple[Criterion, ...]] = field(default_factory=dict)
    _assuming: dict[tuple[Phase, tuple[Criterion, ...]], Policy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.has_other_caps = self.recorded.caps != self.other.caps
        guarded = (name for name in WORKFLOW_FILES if name in self.recorded.protected)
        self.protected = tuple(dict.fromkeys((*self.other.protected, *guarded)))
        self.has_other_protection = {*self.recorded.protected} != {*self.protected}
        self.doubted = frozenset(_measured_otherwise(self.recorded, self.other))
        self.warnings = tuple(_warnings(self.recorded, self.other))

    def unmeasured(self, phase: Phase, evidence: Evidence) -> tuple[Criterion, ...]:
        """What the other gate asks of an attempt, and nobody has tried to measure."""
        if phase not in self._added:
            self._added[phase] = tuple(self._not_asked(phase))
        if not self._added[phase]:
            return ()
        tried = self.recorded.reads(phase)
        return tuple(one for one in self._added[phase] if _lacks(evidence, one) and not _in_vain(evidence, one, tried))

    def measured_otherwise(self, phase: Phase) -> tuple[Criterion, ...]:
        """What the other gate asks, and other commands, reports or waivers would have answered."""
        return tuple(one for one in _leaves(self.other.criteria_of(phase)) if self.doubted & {*_parts(one)})

    def assuming(self, phase: Phase, unknown: tuple[Criterion, ...]) -> Policy:
        """The other policy with these criteria answered by the value reported as `NOT_MEASURED`."""
        key = (phase, unknown)
        if key not in self._assuming:
            gate = self.other.gates[phase]
            criteria = tuple(_replaced(rule, unknown) for rule in gate.criteria)
            gates = {**self.other.gates, phase: gate.model_copy(update={"criteria": criteria})}
            self._assuming[key] = self.other.model_copy(update={"gates": gates})
        return self._assuming[key]

    def _not_asked(self, phase: Phase) -> Iterator[Criterion]:
        asked = {_name(one) for one in _leaves(self.recorded.criteria_of(phase))}
        for one in _leaves(self.other.criteria_of(phase)):
            if _name(one) not in asked and _parts(one):
                yield one


def _measured_otherwise(recorded: Policy, other: Policy) -> Iterator[str]:
    """The parts of evidence that other commands, reports or waivers would have made."""
    commands, reports = (recorded.commands, other.commands), (recorded.reports, other.reports)
    if any(before.build != after.build for before, after in [commands]):
        yield from TESTED | REVIEWED
    if any(getattr(reports[0], name) != getattr(reports[1], name) for name in ("junit", "coverage", "values")):
        yield from TESTED
    if commands[0].test != commands[1].test:
        yield from TESTED
    if commands[0].lint != commands[1].lint or reports[0].sarif != reports[1].sarif:
        yield from REVIEWED
    if recorded.waivers != other.waivers:
        yield from REVIEWED


def _warnings(recorded: Policy, other: Policy) -> Iterator[str]:
    if recorded.commands != other.commands or recorded.reports != other.reports:
        yield (
            "the policies measure with other commands or reports: what tests and analysers found is taken as it stands"
            " in the log, and a difference that rests on it cannot be told"
        )
    if recorded.waivers != other.waivers:
        yield "the policies waive other findings: a difference that rests on findings cannot be told"
    has_other_prompts = bool(other.prompts) and recorded.prompts != other.prompts
    if has_other_prompts or _work(recorded) != _work(other):
        yield "the policies let other agents or prompts do the work, or with other tools; the recorded work is judged"


def _work(policy: Policy) -> object:
    """All that says how agents work, but for what their prompts hold: only a run has read these files."""
    return policy.agent, [phase.model_dump(exclude={"disposition"}) for phase in policy.phases.values()]


def _leaves(rules: Iterable[Rule]) -> Iterator[Criterion]:
    """The criteria of rules, also within groups; one that is switched off asks nothing."""
    for rule in rules:
        match rule:
            case Criterion():
                if not (rule.limit is False and rule.name in CRITERIA):
                    yield rule
            case AnyOf():
                yield from _leaves(rule.any_of)
            case AllOf():
                yield from _leaves(rule.all_of)


def _name(criterion: Criterion) -> tuple[str, bool]:
    """What has to be measured for a criterion; one by the base needs the base besides."""
    return canonical_name(criterion.name), criterion.from_base is not None


def _parts(criterion: Criterion) -> tuple[str, ...]:
    """The parts of evidence that answer a criterion; none where nothing ever does."""
    return CRITERIA[criterion.name].evidence if criterion.name in CRITERIA else REPORTED


def _lacks(evidence: Evidence, criterion: Criterion) -> bool:
    if criterion.name not in CRITERIA:
        return criterion.name not in evidence.reported
    return ask(evidence, criterion).code in ("no_data", "no_baseline")


def _in_vain(evidence: Evidence, criterion: Criterion, tried: frozenset[str]) -> bool:
    """Whether what answers it was looked for and not found, which it would have been again."""
    return any(part in tried and getattr(evidence, part) is None for part in _parts(criterion))


def _replaced(rule: Rule, unknown: tuple[Criterion, ...]) -> Rule:
    match rule:
        case Criterion():
            stands = {"name": NOT_MEASURED, "limit": True, "warn_at": None, "from_base": None}
            return rule.model_copy(update=stands) if rule in unknown else rule
        case AnyOf():
            return rule.model_copy(update={"any_of": tuple(_replaced(one, unknown) for one in rule.any_of)})
        case AllOf():
            return rule.model_copy(update={"all_of": tuple(_replaced(one, unknown) for one in rule.all_of)})
