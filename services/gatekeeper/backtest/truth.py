"""What is known of a run's change: whether it was good, what became of it, and what a person decided at a verdict."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from libs.contracts.facts import DecisionRecorded
from libs.contracts.wire import Recorded
from libs.contracts.words import Phase
from services.gatekeeper.backtest.alternative import Place, Way
from services.gatekeeper.backtest.walk import WENT_ON, Moment, Story
from services.gatekeeper.readiness.scorecard import CONCLUSIVE, Seen, Verdicted
from services.gatekeeper.run import PLANNING, AttemptRecord
from services.gatekeeper.transitions import Stage

GOOD: Final = "good"
BAD: Final = "bad"
UNKNOWN: Final = "unknown"


class Truth:
    """What the scorecard of a run says about the candidate of each verdict."""

    def __init__(self, told: Story, labels: Mapping[Phase, Recorded]) -> None:
        self._told = told
        self._labels = labels

    @cached_property
    def _seen(self) -> Seen:
        misfits = {*self._told.final.misfits}
        fitting = [recorded for recorded in self._told.facts if recorded.sequence not in misfits]
        return Seen(self._told.final, fitting, self._labels)

    @cached_property
    def _by_phase(self) -> dict[Phase, Verdicted]:
        return {one.phase: one for one in self._seen.verdicts}

    @property
    def _attempts(self) -> tuple[AttemptRecord, ...]:
        return self._told.final.attempts

    def of_verdict(self, place: Place) -> str:
        """Whether what a deciding verdict was about was good, by that verdict's own label."""
        label = self._by_phase.get(place[0])
        if label is None or label.is_right is None or not self._is_deciding(place):
            return UNKNOWN
        return GOOD if label.is_right is label.is_pass else BAD

    def of_candidate(self, place: Place) -> str:
        """Whether the change was good as it stood at a verdict: bad for any of its gates is bad.

        Of one that was built anew afterwards only that verdict's own label is known.
        """
        own = self.of_verdict(place)
        if not self._is_final(place):
            return own
        known = [one for one in self._by_phase.values() if one.is_right is not None]
        if self._seen.is_reverted or any(one.is_right is not one.is_pass for one in known):
            return BAD
        return GOOD if known else own

    def _is_deciding(self, place: Place) -> bool:
        """The last conclusive verdict of its gate."""
        last = [
            (one.phase, one.attempt)
            for one in self._attempts
            if one.phase is place[0] and one.judged and one.judged.verdict.outcome in CONCLUSIVE
        ]
        return bool(last) and last[-1] == place

    def _is_final(self, place: Place) -> bool:
        places = [(one.phase, one.attempt) for one in self._attempts]
        behind = self._attempts[places.index(place) + 1 :]
        return not any(one.phase is Phase.BUILD for one in behind) or place[0] in PLANNING


def became(told: Story) -> dict[str, Any]:
    """What became of the change: how the run ended, the watch, and why it was taken back."""
    run = told.final
    ends = {Stage.ABORTED: "aborted", Stage.ENDED: run.finished.outcome if run.finished else None}
    return {
        "outcome": "merged" if run.merged is not None else ends.get(run.stage),
        "watch": run.watched.outcome if run.watched else None,
        "reverted": run.reverted.why if run.reverted else None,
    }


def human(moment: Moment, way: Way) -> dict[str, Any] | None:
    """What a person decided on a verdict, and whether that is where the other policy leads; `None` for nobody."""
    decision = moment.decision
    if decision is None:
        return None
    return {
        "decision": decision.kind,
        "by": decision.by,
        "automatic": decision.automatic,
        "agrees": _agrees(decision, way),
    }


def _agrees(decision: DecisionRecorded, way: Way) -> bool | None:
    """Whether a person decided what the policy would have done alone; `None` where it asks one too."""
    if way is Way.ASKS:
        return None
    if way is Way.GOES_ON:
        return decision.kind in WENT_ON
    is_over = decision.kind == "reject"
    return is_over if way in (Way.ABORTS, Way.ENDS) else not is_over and decision.kind not in WENT_ON
