"""How ready a workflow is for the next rung: the answer that people and programs get, made from the log alone.

Shares are ratios, 0 to 1, to six decimals; `None` is what nobody knows yet. A count of verdicts counts one verdict of
each gate a run, a count of runs counts a run once. The same log gives the same answer, byte for byte.
"""

from typing import Literal

from pydantic import ConfigDict, Field

from libs.contracts.words import DecisionKind, Disposition, Frozen, Level, Phase


class Step(Frozen):
    """What leads from one level to another; in JSON the two are called `from` and `to`."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)
    origin: Level = Field(alias="from")
    to: Level


class Levels(Frozen):
    """What the workflow asks for, what was earned, what was granted, and the least of them, which is in force."""

    configured: Level
    earned: Level
    granted: Level
    in_force: Level


class Criterion(Frozen):
    """One line of the table: what was counted over `n` runs (decisions, for overrides) against its limit.

    `bound` is how bad the value may really be, with 95% confidence. `runs_to_go` is about how many more runs it
    takes, `None` where the criterion is met or where nobody can say.
    """

    name: str
    value: int | float | None
    n: int
    bound: float | None = None
    limit: int | float
    met: bool
    runs_to_go: int | None = None


class AccuracyProof(Frozen):
    """The proof that accuracy exceeds the limit: `value` is the accuracy that is proven to be exceeded so far.

    `labelled` counts the runs in it, `runs_to_go` the flawless labelled runs that it still takes.
    """

    number: int
    labelled: int
    value: float
    limit: float
    met: bool
    runs_to_go: int | None = None


class CatchRate(Frozen):
    """Candidates known to be bad, and those of them that a gate stopped; the seeded ones were made for the purpose."""

    caught: int
    bad: int
    seeded_caught: int
    seeded_bad: int
    bound: float
    limit: float
    at_least: int
    met: bool


class Rung(Step):
    """One step up: `met` says that the table holds; beside the last one stand the proof and the catch rate."""

    met: bool
    criteria: tuple[Criterion, ...]
    proof: AccuracyProof | None = None
    catch_rate: CatchRate | None = None

    @property
    def is_proven(self) -> bool:
        """Whether more than luck speaks for it."""
        return self.proof is not None and self.catch_rate is not None and self.proof.met and self.catch_rate.met


class Labels(Frozen):
    """What was learnt about verdicts, and from what; `hasty` counts decisions too fast to say anything."""

    right: int
    wrong: int
    unlabelled: int
    false_pass: int
    false_fail: int
    survived_only: int
    audited_right: int
    audited_wrong: int
    reverted: int
    hasty: int


class Movement(Step):
    """The level granted changed; `at` is the store's time in seconds since 1970."""

    at: float
    why: str
    by: str
    cause: str
    run: str | None = None
    with_proof: bool = False


class Verdicts(Frozen):
    """The verdicts of one kind of one gate, by what was learnt later."""

    right: int = 0
    wrong: int = 0
    unlabelled: int = 0


class GateStanding(Frozen):
    """One gate over all runs; a pass that was wrong is a false pass, a fail that was wrong a false fail."""

    phase: Phase
    passes: Verdicts
    fails: Verdicts
    false_pass: int
    false_fail: int
    accuracy: float | None
    bound: float


class ClassStanding(Frozen):
    issue_type: str
    runs: int
    labelled: int
    accuracy: float | None


class AgentStanding(Frozen):
    agent: str
    runs: int
    labelled: int
    accuracy: float | None


class Unlabelled(Frozen):
    """A run that ended, and its gates of which nobody learnt whether they were right."""

    run: str
    gates: tuple[Phase, ...]


class AuditAsked(Frozen):
    run: str
    kind: Literal["pass", "fail"]


class AuditStanding(Frozen):
    """What random checks say of `n` runs of which `drawn` were drawn and `right` and `wrong` were found.

    `bound` rests on the checks and on drawn runs that were reverted, on nothing else. `estimate` is the share that
    was right of all `n`, with what checks found beyond what was `reverted` scaled up to those that nobody checked.
    """

    n: int
    drawn: int
    right: int
    wrong: int
    reverted: int
    bound: float
    estimate: float | None


class Audited(Frozen):
    """Passes and fails are drawn at different rates and never mixed."""

    passes: AuditStanding
    fails: AuditStanding


class Difference(Frozen):
    """A human decided otherwise than the next level would have."""

    run: str
    phase: Phase
    attempt: int
    shadow: Disposition
    decision: DecisionKind


class ShadowStanding(Frozen):
    """Human decisions against what the next level would have done; `asked` is where it would have asked too."""

    next: Level | None
    agreed: int
    differed: int
    asked: int
    differences: tuple[Difference, ...]


class Readiness(Frozen):
    """All of it as of one place in the log; lists of runs begin with the newest, `trend` with the oldest."""

    workflow: str
    repository: str
    as_of: int
    level: Levels
    rungs: tuple[Rung, ...]
    labels: Labels
    moves: tuple[Movement, ...]
    gates: tuple[GateStanding, ...]
    classes: tuple[ClassStanding, ...]
    agents: tuple[AgentStanding, ...]
    unlabelled: tuple[Unlabelled, ...]
    audits: tuple[AuditAsked, ...]
    audit_only: Audited
    shadow: ShadowStanding
    trend: tuple[float, ...]
