"""What people stated of the gates of runs: the last word on each gate counts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from libs.contracts.facts import LabelStated
from libs.contracts.wire import Recorded
from libs.contracts.words import Phase


def labels_by_run(facts: Iterable[Recorded]) -> Mapping[str, list[Recorded]]:
    """The labels among these facts, in their order, by the run that they are about."""
    found: dict[str, list[Recorded]] = defaultdict(list)
    for recorded in facts:
        if isinstance(recorded.fact, LabelStated):
            found[recorded.fact.run].append(recorded)
    return found


def labels_of(facts: Iterable[Recorded]) -> dict[Phase, Recorded]:
    """The last label of each gate among the labels of one run."""
    return {stated(recorded).phase: recorded for recorded in facts}


def stated(recorded: Recorded) -> LabelStated:
    assert isinstance(recorded.fact, LabelStated), "only labels are gathered here"
    return recorded.fact
