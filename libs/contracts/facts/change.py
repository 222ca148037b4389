"""Changes: what the merger states."""

from typing import Literal

from libs.contracts.evidence import Count
from libs.contracts.facts.base import Attempt, RunFact
from libs.contracts.words import Digest, ObjectId, RevertCause


class ChangeProposed(RunFact):
    """The change stands on its branch with a description, for people to read."""

    type = "change.proposed"
    attempt: Attempt
    branch: str
    target: str
    base: ObjectId
    commit: ObjectId
    title: str
    description: Digest


class ChangeQueued(RunFact):
    type = "change.queued"
    commit: ObjectId
    position: Count


class ChangeMerged(RunFact):
    """The authorised tree is the target's tip; a revert is the inverse of `base..tip`."""

    type = "change.merged"
    base: ObjectId
    tip: ObjectId
    tree: ObjectId
    target: str
    method: Literal["squash", "merge", "rebase", "foreign"]


class ChangeRefused(RunFact):
    """Nothing moved, and why: the base moved, the working copy is dirty, the run is held."""

    type = "change.refused"
    attempt: Attempt
    commit: ObjectId
    base: ObjectId
    code: Literal["moved", "dirty", "gone", "refused", "held", "frozen", "lowered", "mismatch", "conflict"]
    message: str


class ChangeClosed(RunFact):
    type = "change.closed"
    reason: Literal["wrong", "obsolete", "duplicate", "wontfix"]
    by: str


class ChangeReverted(RunFact):
    type = "change.reverted"
    tip: ObjectId
    reverts: ObjectId
    reason: str
    why: RevertCause = "regression"
