"""The parts a policy is made of: gates, loops, checkpoints, caps, and what else a workflow can say."""

import datetime as dt
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, field_serializer

from libs.contracts.words import Frozen, Level, Phase

DAY_S: Final = 86_400.0
Whole = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Tool(StrEnum):
    READ = "read"
    SEARCH = "search"
    EXECUTE = "execute"
    WRITE = "write"


class GateSeverity(StrEnum):
    """What a failed rule means: it blocks, or it is written down and the run goes on."""

    BLOCKER = "blocker"
    WARNING = "warning"


class OnFail(StrEnum):
    RETRY = "retry"
    PATCH = "patch"
    ESCALATE = "escalate"
    LOG = "log"


class RetryStrategy(StrEnum):
    REBUILD = "rebuild"
    REBUILD_AND_RETEST = "rebuild_and_retest"
    REDOCUMENT = "redocument"
    RESOLVE_CONFLICTS = "resolve_conflicts"


class LoopName(StrEnum):
    TEST_RETRY = "test_retry"
    REVIEW_PATCH = "review_patch"
    FULL_REBUILD = "full_rebuild"


class LoopTrigger(StrEnum):
    TEST_FAILURE = "test_failure"
    BLOCKER = "blocker"
    ARCHITECTURAL_ISSUE = "architectural_issue"


class OnExhaust(StrEnum):
    ESCALATE = "escalate"
    ABORT = "abort"
    WARN = "warn"


class OnTimeout(StrEnum):
    """A checkpoint that nobody answers; there is no word for approving on purpose."""

    ESCALATE = "escalate"
    ABORT = "abort"


class OnRegression(StrEnum):
    REVERT = "revert"
    HOTFIX = "hotfix"
    ALERT = "alert"


class Better(StrEnum):
    """On which side the good values of a metric lie."""

    LOWER = "lower"
    HIGHER = "higher"


class PhaseRule(StrEnum):
    """What a workflow may say of a phase in place of the level's own rule, least authority of the machine first."""

    HUMAN = "human"
    CHECKPOINT = "checkpoint"
    CONTINUE = "continue"
    REQUIRED = "required"
    OPTIONAL = "optional"


class PhasePolicy(Frozen):
    """How a phase is worked on; `agent` is `None` where the workflow's own agent works.

    `addition` is a second template that follows the first. `disposition` is `None` where the level
    alone says who decides; it never gives more authority than the level does.
    """

    template: str | None = None
    addition: str | None = None
    tools: frozenset[Tool] = frozenset()
    execute_allowlist: tuple[str, ...] = ()
    deny_reasons: dict[Tool, str] = Field(default_factory=dict)
    agent: str | None = None
    disposition: PhaseRule | None = None

    @field_serializer("tools")
    def _in_order(self, tools: frozenset[Tool]) -> list[Tool]:
        return sorted(tools)


class Criterion(Frozen):
    """One question to the evidence. Percentages are 0 to 100, durations milliseconds.

    `warn_at` is a second limit, stricter than the first: a value between the two passes with a warning.
    With `from_base` the limit is that much above (or below) what the base has, and `limit` the same in words.
    A share of fewer than `min_sample` lines is not judged, only warned of.
    """

    name: str
    limit: StrictBool | StrictInt | StrictFloat | StrictStr
    warn_at: StrictInt | StrictFloat | None = None
    from_base: float | None = None
    min_sample: Annotated[int, Field(ge=1)] | None = None
    is_dry_run: bool = False
    severity: GateSeverity = GateSeverity.BLOCKER


class AnyOf(Frozen):
    """Holds if one of its rules holds."""

    any_of: tuple["Rule", ...] = Field(min_length=1)
    is_dry_run: bool = False
    severity: GateSeverity = GateSeverity.BLOCKER


class AllOf(Frozen):
    """Holds if all of its rules hold."""

    all_of: tuple["Rule", ...] = Field(min_length=1)
    is_dry_run: bool = False
    severity: GateSeverity = GateSeverity.BLOCKER


Rule = Criterion | AnyOf | AllOf


class GateEscalation(Frozen):
    """Whom to ask when healing is exhausted; `message` may hold fields such as `{retries}`."""

    target: str = "human"
    message: str = ""
    context: tuple[str, ...] = ()


class GatePolicy(Frozen):
    """The one gate after a phase: all rules must hold, each with its own severity and dry run.

    `max_retries` is `None` where the loop of the phase says how often.
    """

    criteria: tuple[Rule, ...] = Field(min_length=1)
    on_fail: OnFail = OnFail.RETRY
    max_retries: Annotated[int, Field(ge=0, le=10)] | None = None
    retry_strategy: RetryStrategy | None = None
    stop_on_no_progress: bool = True
    escalation: GateEscalation = GateEscalation()
    name: str = ""
    version: int | None = None
    notify: bool = False
    flaky: tuple[str, ...] = ()

    @property
    def severity(self) -> GateSeverity:
        is_blocking = any(rule.severity is GateSeverity.BLOCKER for rule in self.criteria)
        return GateSeverity.BLOCKER if is_blocking else GateSeverity.WARNING

    @property
    def is_dry_run(self) -> bool:
        return all(rule.is_dry_run for rule in self.criteria)

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the defaults, beside the criteria."""
        fields = {name: field.default for name, field in type(self).model_fields.items() if name != "criteria"}
        return {name: getattr(self, name) for name, default in fields.items() if getattr(self, name) != default}


class GateReference(Frozen):
    """A gate kept in a file of its own, relative to the workflow; `phase` if the workflow says which."""

    path: str
    phase: Phase | None = None


class LoopPolicy(Frozen):
    """How often healing is tried; `on_exhaust` is `None` where the level says what happens then."""

    max: Annotated[int, Field(ge=0, le=10)]
    trigger: LoopTrigger
    ignore: tuple[str, ...] = ()
    on_exhaust: OnExhaust | None = None
    cost_ceiling_usd: Amount | None = None


class EscalationPolicy(Frozen):
    target: str = "human"
    notify: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


class CheckpointPolicy(Frozen):
    require: Literal["human_approval"] = "human_approval"
    timeout_s: Amount = DAY_S
    on_timeout: OnTimeout = OnTimeout.ESCALATE


class AutoMergePolicy(Frozen):
    enabled: bool = False
    delay_s: Amount = 300.0


class MonitorPolicy(Frozen):
    anomaly_detection: bool = False
    rollback_on: tuple[str, ...] = ()
    auto_create_issue: bool = False


class RoutePolicy(Frozen):
    """The phases of one type of issue, in order, and the loops that differ from the workflow's."""

    phases: tuple[Phase, ...] = Field(min_length=1)
    loops: dict[LoopName, LoopPolicy] = Field(default_factory=dict)


class TeamPolicy(Frozen):
    """What a team says otherwise: `prompts` and `gates` are what was found under `override_dir`.

    `merge_strategy` says for each of the two whether it stands in place of everybody's (`replace`) or
    comes on top of it (`additive`, also where it says nothing).
    """

    override_dir: str | None = None
    merge_strategy: dict[str, str] = Field(default_factory=dict)
    prompts: dict[Phase, str] = Field(default_factory=dict)
    gates: dict[Phase, GatePolicy] = Field(default_factory=dict)

    @property
    def lacks_files(self) -> bool:
        """Whether a directory is named under which nothing of the team was found."""
        return self.override_dir is not None and not (self.prompts or self.gates)

    def prompted(self, phase: Phase, common: PhasePolicy) -> PhasePolicy:
        """How the team works on a phase: with a prompt in place of everybody's, or with one that follows it."""
        if phase not in self.prompts:
            return common
        field = "template" if self._replaces("prompts") else "addition"
        return common.model_copy(update={field: self.prompts[phase]})

    def judged(self, phase: Phase, common: GatePolicy | None) -> GatePolicy | None:
        """The gate of the team's changes: the team's in place of everybody's, or both of which must hold."""
        own = self.gates.get(phase)
        if own is None or common is None or self._replaces("gates"):
            return own or common
        return common.model_copy(update={**own.settings, "criteria": (*common.criteria, *own.criteria)})

    def _replaces(self, part: str) -> bool:
        return self.merge_strategy.get(part) == "replace"


class CommandPolicy(Frozen):
    """Shell commands in order; an empty tuple leaves it to what is detected."""

    build: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    lint: tuple[str, ...] = ()


class ReportPolicy(Frozen):
    """Globs relative to the repository; an empty tuple leaves it to what is detected.

    `values` are JSON files with the repository's own measurements, one object of names and values each.
    """

    junit: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()
    sarif: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


class CapPolicy(Frozen):
    """Holds the level down to `max` for a change that meets every condition given here."""

    paths: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    max: Level


class ReadinessLimits(Frozen):
    """What earns a level; `None` asks for nothing. Shares are ratios, 0 to 1."""

    successful_runs_min: Whole
    gate_accuracy_min: Share | None = None
    override_rate_max: Share | None = None
    average_retries_max: Amount | None = None
    success_rate_min: Share | None = None


class QuorumPolicy(Frozen):
    """A change that touches one of `paths` merges only when `people` different persons agree."""

    paths: tuple[str, ...] = Field(min_length=1)
    people: Annotated[int, Field(ge=2, le=20)]


class BudgetPolicy(Frozen):
    """Bounds of one run; `None` is no bound of the workflow's own.

    `attempt_cost_usd` is what one attempt of an agent may cost at most, and is reserved before it begins.
    """

    wall_s: Amount | None = None
    attempts: Annotated[int, Field(ge=1)] | None = None
    cost_usd: Amount | None = None
    attempt_cost_usd: Amount | None = None


class WatchPolicy(Frozen):
    duration_s: Amount
    min_points: Annotated[int, Field(ge=1)] | None = None


class MetricPolicy(Frozen):
    """A signal of production: a CSV file with the columns timestamp and value, absolute or below the repository."""

    name: Annotated[str, Field(min_length=1)]
    file: Annotated[str, Field(min_length=1)]
    better: Better = Better.LOWER


class WaiverPolicy(Frozen):
    """Lets one finding pass until the end of a day."""

    fingerprint: str
    reason: str
    author: str
    expires: dt.date


class WorkflowProblem(Frozen):
    """One thing wrong in a workflow file: `line` counts from 1, `field` is the dotted path of the key."""

    file: str
    line: int
    field: str
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        return f"{place}{self.field}: {self.message}" if self.field else f"{place}{self.message}"


class WorkflowRefused(ValueError):
    """The file holds errors; all that were found are named, warnings too."""

    def __init__(self, problems: Iterable[WorkflowProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
