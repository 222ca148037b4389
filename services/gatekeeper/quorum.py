"""Quorum: a change of some paths merges only when several persons agree on exactly the same commit."""

from typing import NamedTuple

from libs.contracts.facts import DecisionRecorded
from libs.contracts.globs import is_under
from libs.contracts.words import Phase
from services.gatekeeper.answers import GOING_ON
from services.gatekeeper.run import Run


class Quorum(NamedTuple):
    """How many persons have to agree on the attempt at hand, and what was agreed so far, oldest first."""

    people: int
    agreements: tuple[DecisionRecorded, ...]

    @property
    def awaits(self) -> int:
        """How many more persons have to agree; 0 when enough have."""
        return self.agreements[-1].awaits if self.agreements else self.people

    @property
    def agreed(self) -> tuple[str, ...]:
        """Who has agreed, by name."""
        return tuple(dict.fromkeys(agreement.by for agreement in self.agreements))


def quorum(run: Run) -> Quorum | None:
    """The quorum before the merge that is at hand; `None` where one person is enough, or it is no merge.

    A change whose files nobody knows counts as touching every path.
    """
    if run.started is None or run.phase is not Phase.DEPLOY:
        return None
    diff = run.diff
    touched = [
        rule.people
        for rule in run.begun.policy.quorum
        if diff is None or any(is_under(file.path, glob) for file in diff.files for glob in rule.paths)
    ]
    return Quorum(max(touched), _agreements(run)) if touched else None


def _agreements(run: Run) -> tuple[DecisionRecorded, ...]:
    return tuple(
        decision
        for decision in run.decisions.values()
        if isinstance(decision, DecisionRecorded) and _agrees(run, decision)
    )


def _agrees(run: Run, decision: DecisionRecorded) -> bool:
    """Whether a decision was a person's and about just this attempt, commit and policy."""
    commit = run.checkpoint.commit if run.checkpoint else run.commit
    now = (run.phase, run.attempt, commit, run.begun.policy_digest)
    about = (decision.phase, decision.attempt, decision.commit, decision.policy_digest)
    return decision.kind in GOING_ON and not decision.automatic and about == now
