"""The ladder: what the gatekeeper states about one workflow."""

from typing import Literal

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
    type = "level.granted"
    level: Level
    by: str
    reason: str
    with_proof: bool = False


class LevelLowered(LadderFact):
    type = "level.lowered"
    level: Level
    by: str
    reason: str


class LabelStated(LadderFact):
    """The truth about a verdict, learnt later."""

    type = "label.stated"
    run: Token
    phase: Phase
    is_right: bool
    source: Literal["reverted", "audit", "survived", "human"]
    by: str
    reason: str


class FreezeSet(LadderFact):
    type = "freeze.set"
    by: str
    reason: str


class FreezeLifted(LadderFact):
    type = "freeze.lifted"
    by: str
    reason: str


class HistoryImported(LadderFact):
    """Runs that were not made here; named, and never counted as proof."""

    type = "history.imported"
    source: str
    digest: Digest
    by: str
