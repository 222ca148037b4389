"""Deciding verdicts counted by gate, kind, truth and source, from the words that scorecards keep them as."""

from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import Final, NamedTuple

from libs.contracts.readiness import GateStanding, Labels, Verdicts
from libs.contracts.words import Phase
from services.gatekeeper.readiness.proof import accuracy_bound
from services.gatekeeper.readiness.scorecard import Scorecard
from services.gatekeeper.readiness.scores import decimals, mean, share

UNLABELLED: Final = "::"
"""What a verdict ends with as long as nobody learnt whether it was right."""


class Kind(NamedTuple):
    """What a verdict said (`pass` or `fail`), whether it was `right` or `wrong` or neither, and who told."""

    phase: str
    said: str
    truth: str
    source: str


Tally = Counter[Kind]


def tally(cards: Iterable[Scorecard]) -> Tally:
    """How many verdicts of each kind; what many cards say alike is read once."""
    words: Counter[str] = Counter()
    for line, times in Counter(map(attrgetter("verdicts"), cards)).items():
        for word in line.split():
            words[word] += times
    return Counter({Kind(*word.split(":")): times for word, times in words.items()})


def labels(counts: Tally, *, hasty: int) -> Labels:
    return Labels(
        right=_count(counts, truth="right"),
        wrong=_count(counts, truth="wrong"),
        unlabelled=_count(counts, truth=""),
        false_pass=_count(counts, said="pass", truth="wrong"),
        false_fail=_count(counts, said="fail", truth="wrong"),
        survived_only=_count(counts, source="survived"),
        audited_right=_count(counts, truth="right", source="audit"),
        audited_wrong=_count(counts, truth="wrong", source="audit"),
        reverted=_count(counts, source="reverted"),
        hasty=hasty,
    )


def gate_standings(counts: Tally) -> tuple[GateStanding, ...]:
    """Every gate that gave a verdict, in the order of the workflow."""
    judged = {kind.phase for kind in counts}
    return tuple(_gate(counts, phase) for phase in Phase if phase in judged)


def unlabelled_gates(words: str) -> tuple[Phase, ...]:
    """The gates of one run about which nobody learnt anything."""
    silent = {word.partition(":")[0] for word in words.split() if word.endswith(UNLABELLED)}
    return tuple(phase for phase in Phase if phase in silent)


def _gate(counts: Tally, phase: Phase) -> GateStanding:
    passes, fails = _verdicts(counts, phase, "pass"), _verdicts(counts, phase, "fail")
    right, wrong = passes.right + fails.right, passes.wrong + fails.wrong
    scores = Counter({share(1, 0): right, share(0, 1): wrong})
    return GateStanding(
        phase=phase,
        passes=passes,
        fails=fails,
        false_pass=passes.wrong,
        false_fail=fails.wrong,
        accuracy=decimals(mean(scores)),
        bound=accuracy_bound(scores, 1),
    )


def _verdicts(counts: Tally, phase: Phase, said: str) -> Verdicts:
    return Verdicts(
        right=_count(counts, phase=phase, said=said, truth="right"),
        wrong=_count(counts, phase=phase, said=said, truth="wrong"),
        unlabelled=_count(counts, phase=phase, said=said, truth=""),
    )


def _count(counts: Tally, **asked: str) -> int:
    """Verdicts that are what is asked for, whatever else they are."""
    return sum(times for kind, times in counts.items() if all(getattr(kind, name) == asked[name] for name in asked))
