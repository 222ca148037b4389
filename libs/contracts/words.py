"""The words of the system, each with one meaning; every other module speaks them.

Theory: an issue becomes a run; a run goes through phases; after each phase a gate
classifies the evidence (outcome), may heal, and disposes (who decides now) by the
level in force. What moves from level to level is only the disposition.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""sha256 of an artifact's or a policy's bytes, lower-case hexadecimal."""

ObjectId = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
"""Name of a git object: a commit, tree or blob."""

Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""One element of a subject: a run, workflow, issue, service or source name."""


class Frozen(BaseModel):
    """A value that never changes; unknown fields are refused, so that a misspelt one is not lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Service(StrEnum):
    PLANNER = "planner"
    BUILDER = "builder"
    GATEKEEPER = "gatekeeper"
    MERGER = "merger"
    MONITOR = "monitor"


class Phase(StrEnum):
    INTENT = "intent"
    PLAN = "plan"
    BUILD = "build"
    TEST = "test"
    REVIEW = "review"
    DOCUMENT = "document"
    DEPLOY = "deploy"
    MONITOR = "monitor"


PHASES: Final = (Phase.PLAN, Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DOCUMENT, Phase.DEPLOY, Phase.MONITOR)
"""The one workflow; intent is optional and comes before plan."""


AGENTS_WORK: Final = (Phase.INTENT, Phase.PLAN, Phase.BUILD, Phase.DOCUMENT)
"""Phases that an agent works on; the others are Rung's own work and cost nothing."""


class Level(StrEnum):
    """Autonomy, lowest first; `rank` orders them."""

    ASSISTED = "assisted"
    SUPERVISED = "supervised"
    AUTONOMOUS = "autonomous"
    ASE = "ase"

    @property
    def rank(self) -> int:
        return tuple(Level).index(self) + 1

    @property
    def above(self) -> "Level | None":
        return next((level for level in Level if level.rank == self.rank + 1), None)


class Outcome(StrEnum):
    """What a gate found, best first; `rank` orders them and the worst of several wins."""

    PASS = "pass"
    WARN = "warn"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"
    FAIL = "fail"

    @property
    def rank(self) -> int:
        return tuple(Outcome).index(self)

    @property
    def is_passed(self) -> bool:
        return self in (Outcome.PASS, Outcome.WARN)


class Disposition(StrEnum):
    """Who decides now: nobody (go on), the builder again, a human, or the run is over."""

    PROCEED = "proceed"
    WARN = "warn"
    HEAL = "heal"
    CHECKPOINT = "checkpoint"
    ABORT = "abort"


class DecisionKind(StrEnum):
    """A human's act."""

    APPROVE = "approve"
    REJECT = "reject"
    OVERRIDE = "override"
    GUIDE = "guide"
    RETRY = "retry"
    RESUME = "resume"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"
    GRANT = "grant"
    REVOKE = "revoke"


RevertCause = Literal["regression", "business", "drill"]
"""Why a merged change is taken back: it hurt, nobody wants it any more, or the rollback itself is tried."""


class Severity(StrEnum):
    """Weight of a review finding, heaviest first."""

    BLOCKER = "blocker"
    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    INFO = "info"


class RunOutcome(StrEnum):
    """How a run ended; one that has not ended is `waiting` for a human or still working."""

    MERGED = "merged"
    DECLINED = "declined"
    ABORTED = "aborted"
    CANCELLED = "cancelled"
