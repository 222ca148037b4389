"""A run by two sides: another policy beside what really happened, or two policies beside each other."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from libs.contracts.wire import Recorded
from libs.contracts.words import Disposition, Outcome, Phase
from services.gatekeeper.backtest.alternative import Course, Judgement, Way
from services.gatekeeper.backtest.truth import BAD, GOOD, UNKNOWN, Truth, became, human
from services.gatekeeper.backtest.walk import Departure, End, Moment, Story, Walked, changes

LAST: Final = 1_000_000
"""Behind every verdict: a run that goes the recorded way to its end."""
CONCLUSIVE: Final = (Outcome.PASS, Outcome.WARN, Outcome.FAIL)
KNOWN: Final = (GOOD, BAD, UNKNOWN)
EFFECTS: Final = ("let_through", "stopped", "human_spared", "human_asked", "otherwise")
"""What the first side does to a change: lets it on or stops it where the other does not, or decides it alone, or has a
person asked."""


class Side(NamedTuple):
    """What one side made of the attempt at which the two part."""

    course: Course
    outcome: Outcome | None
    disposition: Disposition | None
    end: End


@dataclass
class Tally:
    """What all runs came to."""

    runs: int = 0
    same: int = 0
    not_judged: int = 0
    different: list[dict[str, Any]] = field(default_factory=list)
    cannot_tell: list[dict[str, Any]] = field(default_factory=list)
    flips: Counter[str] = field(default_factory=Counter)
    other_verdicts: int = 0
    warnings: dict[str, None] = field(default_factory=dict)
    repositories: dict[str, None] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        self.runs += other.runs
        self.same += other.same
        self.not_judged += other.not_judged
        self.different += other.different
        self.cannot_tell += other.cannot_tell
        self.flips += other.flips
        self.other_verdicts += other.other_verdicts
        self.warnings |= other.warnings
        self.repositories |= other.repositories

    def cannot_read(self, run: str, title: str | None, started: float, message: str) -> None:
        self.runs += 1
        reason = {"code": "unread", "reason": message}
        self.cannot_tell.append({**_head(run, title, started), "phase": None, "attempt": None, **reason})

    def take(self, told: Story, labels: Mapping[Phase, Recorded], walks: Sequence[Walked]) -> None:
        """One run, walked by one policy or two."""
        self.runs += 1
        self.not_judged += not told.moments
        truth = Truth(told, labels)
        at = _parting(walks)
        self._count_flips(told, truth, walks, at)
        if at is None:
            self.same += 1
            return
        entry = _entry(told, truth, walks, at)
        (self.cannot_tell if "code" in entry else self.different).append(entry)

    def _count_flips(self, told: Story, truth: Truth, walks: Sequence[Walked], at: int | None) -> None:
        """Verdicts that are others than those beside them, on the way to where the sides part."""
        changed = False
        for index, moment in enumerate(told.moments[: LAST if at is None else at + 1]):
            beside = _outcome(walks[1], index) if len(walks) > 1 else moment.judged.verdict.outcome
            said = _outcome(walks[0], index)
            if said is None or beside is None or said.is_passed is beside.is_passed:
                continue
            changed = True
            if said in CONCLUSIVE and beside in CONCLUSIVE:
                self.flips[_flip(truth.of_verdict(moment.place), is_pass=said.is_passed)] += 1
        self.other_verdicts += changed


def _flip(known: str, *, is_pass: bool) -> str:
    match known, is_pass:
        case "good", True:
            return "false_fail_lost"
        case "good", False:
            return "false_fail_gained"
        case "bad", True:
            return "false_pass_gained"
        case "bad", False:
            return "false_pass_lost"
        case _:
            return "unknown"


def _outcome(walked: Walked, index: int) -> Outcome | None:
    judgements = walked.judgements
    return judgements[index].outcome if index < len(judgements) and judgements[index].untold is None else None


def _parting(walks: Sequence[Walked]) -> int | None:
    """The verdict at which the two sides part, or at which nobody can tell; `None` where they do not."""
    places = [walked.departure.at if walked.departure else LAST for walked in walks]
    first = min(places)
    if first == LAST:
        return None
    if len(walks) == 1 or places[0] != places[1]:
        return first
    one, other = (walked.departure for walked in walks)
    assert one is not None
    assert other is not None
    is_untold = one.untold is not None or other.untold is not None
    return first if is_untold or one.judgement.course != other.judgement.course else None


def _entry(told: Story, truth: Truth, walks: Sequence[Walked], at: int) -> dict[str, Any]:
    moment = told.moments[at]
    departures = [_at(walked, at) for walked in walks]
    sides = [_side(walked, at) for walked in walks]
    known = truth.of_candidate(moment.place)
    entry = {
        **_head(told.begun.run, told.begun.title, told.facts[0].time),
        "phase": moment.judged.phase,
        "attempt": moment.judged.attempt,
        "recorded": {"outcome": moment.judged.verdict.outcome, "disposition": moment.judged.disposition},
        "would": _would(moment, walks[0], at),
        "other": _would(moment, walks[1], at) if len(walks) > 1 else None,
        "human": human(moment, sides[0].course.way),
        "became": became(told),
        "change": known,
    }
    untold = next((one.untold for one in departures if one and one.untold), None)
    if untold is not None:
        return {**entry, "code": untold.code, "reason": untold.message}
    beside = sides[1] if len(sides) > 1 else _recorded(moment)
    return {
        **entry,
        "difference": f"{beside.course.way} -> {sides[0].course.way}",
        "effect": _effect(moment, beside, sides[0]),
    }


def _head(run: str, title: str | None, started: float) -> dict[str, Any]:
    return {"run": run, "title": title, "started": round(started, 3)}


def _at(walked: Walked, at: int) -> Departure | None:
    departure = walked.departure
    return departure if departure is not None and departure.at == at else None


def _recorded(moment: Moment) -> Side:
    return Side(moment.course, moment.judged.verdict.outcome, moment.judged.disposition, End.UNKNOWN)


def _side(walked: Walked, at: int) -> Side:
    departure = _at(walked, at)
    judgement = departure.judgement if departure else walked.judgements[at]
    disposition = judgement.judged.disposition if judgement.judged else None
    return Side(judgement.course, judgement.outcome, disposition, departure.end if departure else End.UNKNOWN)


def _effect(moment: Moment, beside: Side, side: Side) -> str:
    """What the first side does to the change that the other does not, by a word."""
    goes, went = _lets_on(moment, side), _lets_on(moment, beside)
    if goes and went:
        return "human_spared" if side.course.way is Way.GOES_ON else "human_asked"
    if goes:
        return "let_through"
    if went:
        return "human_asked" if side.course.way is Way.ASKS else "stopped"
    return "otherwise"


def _lets_on(moment: Moment, side: Side) -> bool:
    """The change goes on: by itself, or because the person did so who really was asked."""
    if side.course.way is Way.ASKS and moment.course.way is Way.ASKS:
        return moment.went_on
    return side.course.way is Way.GOES_ON


def _would(moment: Moment, walked: Walked, at: int) -> dict[str, Any]:
    departure = _at(walked, at)
    judgement: Judgement = departure.judgement if departure else walked.judgements[at]
    judged = judgement.judged
    return {
        "outcome": judgement.outcome,
        "disposition": judged.disposition if judged else None,
        "level": judged.level_in_force if judged else None,
        "reason": judged.reason if judged else "no gate judges here on the route of this policy",
        "why": changes(moment.judged.verdict, judged.verdict) if judged else [],
        "then": departure.then if departure else "as it was",
        "end": departure.end if departure else None,
    }


def summary(tally: Tally) -> dict[str, Any]:
    """All counts: of runs, by the kind of difference, and by what is known of the changes."""
    different = tally.different
    return {
        "runs": tally.runs,
        "same": tally.same,
        "different": len(different),
        "cannot_tell": len(tally.cannot_tell),
        "not_judged": tally.not_judged,
        "differences": _counted(one["difference"] for one in different),
        **{effect: _known(one for one in different if one["effect"] == effect) for effect in EFFECTS},
        "merged_without_human": _known(one for one in different if one["would"]["end"] == End.MERGED),
        "human_agreed": _agreed(different),
        "other_verdicts": tally.other_verdicts,
        "false_pass": {"gained": tally.flips["false_pass_gained"], "lost": tally.flips["false_pass_lost"]},
        "false_fail": {"gained": tally.flips["false_fail_gained"], "lost": tally.flips["false_fail_lost"]},
        "reasons": _counted(one["code"] for one in tally.cannot_tell),
    }


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


def _known(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts = Counter(one["change"] for one in entries)
    return {known: counts[known] for known in KNOWN}


def _agreed(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How often people had decided as the first side would have, and how often not."""
    said = Counter(one["human"]["agrees"] for one in entries if one["human"] and not one["human"]["automatic"])
    return {"yes": said[True], "no": said[False]}
