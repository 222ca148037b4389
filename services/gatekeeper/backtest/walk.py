"""A run walked through by another policy: the first attempt at which it would have gone another way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final, NamedTuple

from libs.contracts.facts import DecisionRecorded, GateJudged, PhaseCompleted, RunStarted
from libs.contracts.verdict import CriterionVerdict, Verdict
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind, Outcome, Phase
from services.gatekeeper.backtest.alternative import Course, Judgement, Lens, Place, Untold, Way, course_of
from services.gatekeeper.evolution import evolve
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import Stage

WENT_ON: Final = (DecisionKind.APPROVE, DecisionKind.OVERRIDE)
ON_VERDICTS: Final = (*WENT_ON, DecisionKind.REJECT, DecisionKind.GUIDE, DecisionKind.RETRY, DecisionKind.RESUME)


class End(StrEnum):
    """How a run that went another way would have ended, as far as it can be told."""

    MERGED = "merged"
    ASKED = "asked"
    HEALED = "healed"
    ABORTED = "aborted"
    UNMERGED = "unmerged"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Moment:
    """A verdict of the log: the run when it was due, where it led, and what people decided on it."""

    run: Run
    judged: GateJudged
    course: Course
    decision: DecisionRecorded | None = None

    @property
    def place(self) -> Place:
        return self.judged.phase, self.judged.attempt

    @property
    def went_on(self) -> bool:
        """The run went on from here, by itself or because a person said so."""
        return self.course.way is Way.GOES_ON or (self.decision is not None and self.decision.kind in WENT_ON)


@dataclass(frozen=True)
class Story:
    """A run as the log tells it: every verdict that it took for one, and what came after the last."""

    facts: Sequence[Recorded]
    moments: Sequence[Moment]
    begun: RunStarted
    _last: Run
    _rest: Sequence[Recorded]

    @cached_property
    def final(self) -> Run:
        """What the run came to; folded only where somebody asks."""
        run = self._last
        for recorded in self._rest:
            run = evolve(run, recorded)
        return run


class Departure(NamedTuple):
    """Where a run would have gone another way than it went, or where nobody can tell any more.

    `at` counts the verdicts before. `judgement` is the other policy's, `then` what would have followed.
    """

    at: int
    judgement: Judgement
    untold: Untold | None = None
    then: str = ""
    end: End = End.UNKNOWN


@dataclass
class Walked:
    """What another policy makes of a run: the judgements on the recorded way, and where it leaves that."""

    judgements: list[Judgement] = field(default_factory=list)
    departure: Departure | None = None


def story(facts: Sequence[Recorded], begun: RunStarted) -> Story:
    """The run of these facts."""
    decided = _decisions(facts)
    verdicts = [index for index, recorded in enumerate(facts) if isinstance(recorded.fact, GateJudged)]
    rest = verdicts[-1] if verdicts else 0
    run, moments = Run(), []
    for recorded in facts[:rest]:
        if isinstance(recorded.fact, GateJudged):
            moments += _moment(run, recorded.fact, decided)
        run = evolve(run, recorded)
    if verdicts and isinstance(last := facts[rest].fact, GateJudged):
        moments += _moment(run, last, decided)
    return Story(facts, moments, begun, run, facts[rest:])


def _moment(run: Run, judged: GateJudged, decided: Mapping[Place, DecisionRecorded]) -> list[Moment]:
    """The verdict where the run took it for one: when it was due, on the attempt at hand."""
    place = judged.phase, judged.attempt
    if run.stage is not Stage.ANSWERED or place != (run.phase, run.attempt):
        return []
    return [Moment(run, judged, course_of(run, judged), decided.get(place))]


def _decisions(facts: Sequence[Recorded]) -> dict[Place, DecisionRecorded]:
    """The last decision on each verdict that counted; each decision counts once."""
    by_name = {r.fact.decision: r.fact for r in reversed(facts) if isinstance(r.fact, DecisionRecorded)}
    found = reversed(by_name.values())
    return {(one.phase, one.attempt): one for one in found if one.kind in ON_VERDICTS and not one.awaits}


def walk(told: Story, lens: Lens) -> Walked:
    """Judge the run again, verdict by verdict, until it would have gone another way."""
    walked = Walked()
    for at, moment in enumerate(told.moments):
        judgement = lens.judgement(moment.run, moment.judged)
        walked.judgements.append(judgement)
        if judgement.untold is not None:
            walked.departure = Departure(at, judgement, judgement.untold)
            return walked
        if judgement.course != moment.course:
            walked.departure = _departure(told, lens, at, judgement)
            return walked
        lens.keep(moment.run, judgement)
    if told.moments and told.moments[-1].went_on and (missing := lens.lacking(told.moments[-1].judged.phase)):
        walked.departure = Departure(len(told.moments) - 1, walked.judgements[-1], missing)
    return walked


def _departure(told: Story, lens: Lens, at: int, judgement: Judgement) -> Departure:
    moment = told.moments[at]
    if not isinstance(moment.run.answer, PhaseCompleted):
        lost = Untold("evidence_lost", "the attempt was lost, so nothing was measured that could be judged again")
        return Departure(at, judgement, lost)
    if (doubt := lens.rests_on_doubt(moment.run, moment.judged, judgement.course)) is not None:
        return Departure(at, judgement, doubt)
    then, end = _then(told, lens, at, judgement)
    return Departure(at, judgement, None, then, end)


def _then(told: Story, lens: Lens, at: int, judgement: Judgement) -> tuple[str, End]:
    """What would have followed, as far as it hangs on nothing that was never done."""
    because = ""
    while _is_followed(moment := told.moments[at], judgement) and at + 1 < len(told.moments):
        lens.keep(moment.run, judgement)
        at += 1
        moment = told.moments[at]
        judgement = lens.judgement(moment.run, moment.judged)
        if (untold := judgement.untold) is not None:
            return f"from {moment.judged.phase} on nobody can tell: {untold.message}", End.UNKNOWN
        because = f" ({judgement.judged.reason})" if judgement.judged else ""
    way, phase = judgement.course.way, moment.judged.phase
    if way is Way.GOES_ON and phase is not Phase.DEPLOY:
        return _went_on_alone(phase, lens), End.UNKNOWN
    said, end = _ended(way, phase)
    return f"{said}{because if way is not Way.GOES_ON else ''}", end


def _is_followed(moment: Moment, judgement: Judgement) -> bool:
    """The next verdict of the log is on just what would have come next."""
    if judgement.course.way is Way.GOES_ON:
        return moment.went_on and moment.judged.phase is not Phase.DEPLOY
    return judgement.course.way is Way.HEALS and judgement.course == moment.course


def _went_on_alone(phase: Phase, lens: Lens) -> str:
    """It would have gone on where the recorded run did not."""
    route = lens.begun.phases
    behind = route[route.index(phase) + 1 :] if phase in route else ()
    if not behind:
        return "the route would have ended there"
    return f"it would have gone on to {behind[0]}; what would have come of that nobody knows"


def _ended(way: Way, phase: Phase) -> tuple[str, End]:
    match way:
        case Way.GOES_ON:
            return "it would have merged without a human", End.MERGED
        case Way.ASKS if phase is Phase.DEPLOY:
            return "a human would have been asked before the merge", End.ASKED
        case Way.ASKS:
            return f"a human would have been asked after {phase}", End.ASKED
        case Way.HEALS:
            return "it would have been healed; what the agent would have made of it nobody knows", End.HEALED
        case Way.ABORTS:
            return f"the run would have ended after {phase}, unmerged", End.ABORTED
        case Way.ENDS:
            return "the route ends before deploy, so nothing would have been merged", End.UNMERGED


def changes(recorded: Verdict, other: Verdict) -> list[dict[str, object]]:
    """The criteria that do not say what they said: what is measured, the limit, and what was said before."""
    before, now = _by_name(recorded), _by_name(other)
    return [
        _changed(before.get(name), now.get(name))
        for name in dict.fromkeys((*now, *before))
        if _outcome(before.get(name)) is not _outcome(now.get(name))
    ]


def _by_name(verdict: Verdict) -> dict[tuple[str, str], CriterionVerdict]:
    """Problems with the evidence share a name and are told apart by their code."""
    return {(one.name, one.code if one.name == "evidence" else ""): one for one in verdict.criteria}


def _outcome(said: CriterionVerdict | None) -> Outcome:
    """What is not asked is in nobody's way."""
    return Outcome.PASS if said is None else said.outcome


def _changed(was: CriterionVerdict | None, said: CriterionVerdict | None) -> dict[str, object]:
    told = said or was
    assert told is not None, "one of both has said it"
    return {
        "criterion": told.name,
        "outcome": said.outcome if said else None,
        "recorded": was.outcome if was else None,
        "measured": told.measured,
        "limit": said.limit if said else None,
        "recorded_limit": was.limit if was else None,
        "message": told.message if said else f"not asked any more: {told.message}",
    }
