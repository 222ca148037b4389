"""The ladder: what the gatekeeper states about one workflow."""

from typing import Literal

from libs.contracts.evidence import Count
from libs.contracts.facts.base import LadderFact
from libs.contracts.words import Digest, Level, ObjectId, Phase, Token
from libs.contracts.workflow import Policy


class PolicyAdopted(LadderFact):
    """The workflow's policy in force from here on, whole, so that a log explains itself."""

    type = "policy.adopted"
    version = 2
    repository: str
    commit: ObjectId | None
    policy: Policy
    policy_digest: Digest


class LevelEarned(LadderFact):
    type = "level.earned"
    level: Level
    reason: str


class LevelGranted(LadderFact):
    """An operator, or the machine where the operator's file lets it (`automatic`), gave a level that was earned."""

    type = "level.granted"
    level: Level
    by: str
    reason: str
    with_proof: bool = False
    automatic: bool = False


class LevelLowered(LadderFact):
    """A level was lost: taken by an operator, or by what `run` or the log as a whole has shown."""

    type = "level.lowered"
    level: Level
    by: str
    reason: str
    cause: Literal["operator", "rollback", "drift", "limits"] = "operator"
    run: Token | None = None


class LabelStated(LadderFact):
    """The truth about a verdict, learnt later."""

    type = "label.stated"
    run: Token
    phase: Phase
    is_right: bool
    source: Literal["reverted", "audit", "survived", "human"]
    by: str
    reason: str


class GateCalibrated(LadderFact):
    """How the gates of `gates_digest` judged candidates that are known to be bad (`seeded`) and good, made on purpose.

    They count for the catch rate of just these gates, apart from what runs have shown, and for nothing else.
    """

    type = "gate.calibrated"
    gates_digest: Digest
    seeded: Count
    caught: Count
    good: Count = 0
    passed: Count = 0
    commit: ObjectId
    report: Digest
    by: str


class FreezeSet(LadderFact):
    type = "freeze.set"
    by: str
    reason: str


class FreezeLifted(LadderFact):
    type = "freeze.lifted"
    by: str
    reason: str


class HistoryImported(LadderFact):
    """Runs that were not made here: named, signed by who vouches for them, and never counted as proof."""

    type = "history.imported"
    source: str
    digest: Digest
    by: str
    is_signed: bool = False
