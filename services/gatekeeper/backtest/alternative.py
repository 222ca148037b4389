"""Another policy, and another level where one is meant: how it judges an attempt as the log has it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from libs.contracts.facts import GateJudged, PhaseCompleted, PhaseErrored, RunStarted
from libs.contracts.globs import is_under
from libs.contracts.ladder import Ladder
from libs.contracts.words import AGENTS_WORK, Disposition, Level, Outcome, Phase
from libs.contracts.workflow import Criterion, LoopName, Policy
from services.gatekeeper.authority import LABELLED_MIN, Authority, Experience, authority
from services.gatekeeper.backtest.pairs import NOT_MEASURED, Pair
from services.gatekeeper.changing import changed
from services.gatekeeper.healing import healer
from services.gatekeeper.judging import judge
from services.gatekeeper.run import AttemptRecord, Run

ANSWERS: Final = (True, None, False)
"""What a criterion that nobody asked may have answered: yes, nothing, no."""
PROVEN: Final = Experience(LABELLED_MIN, has_live_signal=True, has_drilled=True, is_sandboxed=True)
"""With this, only what the change itself is holds the level down."""

TURNS: Final = (
    (Outcome.PASS, Disposition.PROCEED),
    (Outcome.NO_DATA, Disposition.WARN),
    (Outcome.FAIL, Disposition.WARN),
)
"""How a gate may have turned out, behind which the run went on."""
LADDER: Final = Ladder()

Place = tuple[Phase, int]


class Way(StrEnum):
    """Where a disposition leads."""

    GOES_ON = "goes on"
    HEALS = "is healed"
    ASKS = "asks a human"
    ABORTS = "is aborted"
    ENDS = "ends unmerged"


WAYS: Final = {
    Disposition.PROCEED: Way.GOES_ON,
    Disposition.WARN: Way.GOES_ON,
    Disposition.HEAL: Way.HEALS,
    Disposition.CHECKPOINT: Way.ASKS,
    Disposition.ABORT: Way.ABORTS,
}


class Course(NamedTuple):
    """Where an attempt leads; a healed one to the phase that is done again, or anew from the base."""

    way: Way
    again: Phase | None = None
    is_anew: bool = False


class Untold(NamedTuple):
    """Why nobody can tell: a code for programs, and a sentence."""

    code: str
    message: str


class Judgement(NamedTuple):
    """What is made of an attempt. Without `judged` no gate judges there; `untold` says why nobody can tell.

    `outcome` is `None` where it hangs on what nobody measured, though not where it leads.
    """

    course: Course
    judged: GateJudged | None = None
    outcome: Outcome | None = None
    untold: Untold | None = None


def course_of(run: Run, judged: GateJudged) -> Course:
    """Where a verdict on the attempt at hand leads."""
    way = WAYS[judged.disposition]
    if way is not Way.HEALS:
        return Course(way)
    return Course(way, healer(run), judged.loop is LoopName.FULL_REBUILD)


@dataclass
class Alternative:
    """A policy to judge by instead of the recorded ones; what is worked out for one run is kept for the next.

    `level` disposes of every attempt as if it were configured and granted; `None` leaves the level in force that each
    attempt had. A cap that the change itself meets lowers it.
    """

    policy: Policy
    digest: str
    level: Level | None = None
    _teams: dict[str | None, Policy] = field(default_factory=dict)
    _pairs: dict[tuple[str, str | None, str | None], Pair] = field(default_factory=dict)

    def over(self, begun: RunStarted) -> "Lens":
        """As one run is seen."""
        team = self.policy.team_of(begun.labels)
        if team not in self._teams:
            self._teams[team] = self.policy.for_team(team)
        other = self._teams[team]
        key = (begun.policy_digest, begun.team, team)
        if key not in self._pairs:
            self._pairs[key] = Pair(begun.policy, other)
        changed = {"policy": other, "policy_digest": self.digest, "team": team, "phases": other.route(begun.issue_type)}
        return Lens(self._pairs[key], begun, begun.model_copy(update=changed), self.level)


@dataclass
class Lens:
    """One run as another policy would have had it begin; `mine` are the attempts with the other verdicts.

    `unsure` are those whose outcome hangs on what nobody measured.
    """

    pair: Pair
    recorded: RunStarted
    begun: RunStarted
    level: Level | None
    mine: dict[Place, AttemptRecord] = field(default_factory=dict)
    unsure: tuple[Place, ...] = ()

    def judgement(self, run: Run, recorded: GateJudged) -> Judgement:
        """What is made of the attempt that the run has just answered."""
        if (untold := self._other_route(run.phase)) is not None:
            return Judgement(Course(Way.GOES_ON), untold=untold)
        if run.phase not in self.begun.phases:
            return Judgement(Course(Way.ENDS if run.phase is Phase.DEPLOY else Way.GOES_ON))
        seen = self._seen(run, recorded)
        unknown = self.pair.unmeasured(run.phase, seen.evidence) if isinstance(run.answer, PhaseCompleted) else ()
        unsure = tuple(place for place in self.unsure if run.phase is Phase.DEPLOY)
        judged = judge(seen, LADDER, self._allowed(seen), has_shadow=False)
        if not unknown and not unsure:
            return Judgement(course_of(seen, judged), judged, judged.verdict.outcome)
        told = [one for assumed in self._before(seen, unsure) for one in self._assumed(assumed, unknown)]
        courses, outcomes = {course for course, _ in told}, {outcome for _, outcome in told}
        untold = None if len(courses) == 1 else _not_measured(unknown or self.unsure)
        return Judgement(told[0][0], judged, told[0][1] if len(outcomes) == 1 else None, untold)

    def rests_on_doubt(self, run: Run, recorded: GateJudged, course: Course) -> Untold | None:
        """Why a difference cannot be told: other commands would have measured what it rests on."""
        doubted = self.pair.measured_otherwise(run.phase)
        if not doubted or run.phase not in self.begun.phases or not isinstance(run.answer, PhaseCompleted):
            return None
        if {one for one, _ in self._assumed(self._seen(run, recorded), doubted)} == {course}:
            return None
        names = ", ".join(one.name for one in doubted)
        return Untold(
            "measured_otherwise", f"it rests on {names}, which the policy measures by other commands or reports"
        )

    def keep(self, run: Run, judgement: Judgement) -> None:
        """The attempt went the recorded way, with the other verdict."""
        if judgement.judged is None:
            return
        place = run.phase, run.attempt
        self.mine[place] = changed(run.attempts[-1], judged=judgement.judged)
        self.unsure = tuple(one for one in self.unsure if one[0] is not run.phase)
        if judgement.outcome is None:
            self.unsure += (place,)

    def lacking(self, after: Phase) -> Untold | None:
        """A phase of the other route behind this one, which the run never went through."""
        route = self.begun.phases
        behind = route[route.index(after) + 1 :] if after in route else ()
        return self._not_run(next((one for one in behind if self._is_new(one)), None))

    def _other_route(self, phase: Phase) -> Untold | None:
        """Why the routes lead to other work before a phase is over; `None` when they do not."""
        route = self.begun.phases
        if phase not in route:
            if phase not in AGENTS_WORK:
                return None
            return Untold("other_route", f"the route has no phase {phase}, which did a part of the recorded work")
        before = next((one for one in route[: route.index(phase)] if self._is_new(one)), None)
        return self._not_run(before)

    def _is_new(self, phase: Phase) -> bool:
        return phase not in self.recorded.phases and phase is not Phase.MONITOR

    def _not_run(self, phase: Phase | None) -> Untold | None:
        if phase is None:
            return None
        return Untold("phase_not_run", f"the route goes through {phase}, which was not run")

    def _seen(self, run: Run, recorded: GateJudged) -> Run:
        """The run at this attempt, with what the other policy made of it so far."""
        level = self.level or recorded.level_in_force
        if self.begun.level is not level:
            self.begun = self.begun.model_copy(update={"level": level})
        phases = self.begun.phases
        attempts = tuple(self.mine.get((one.phase, one.attempt), one) for one in run.attempts if one.phase in phases)
        return changed(run, started=self.begun, attempts=attempts, answer=self._answer(run))

    def _answer(self, run: Run) -> PhaseCompleted | PhaseErrored | None:
        """The answer with the paths named that the other policy protects."""
        answer = run.answer
        if not self.pair.has_other_protection or not isinstance(answer, PhaseCompleted) or not answer.evidence.diff:
            return answer
        diff, globs = answer.evidence.diff, self.pair.protected
        touched = tuple(file.path for file in diff.files if any(is_under(file.path, glob) for glob in globs))
        evidence = answer.evidence.model_copy(update={"diff": diff.model_copy(update={"protected": touched})})
        return answer.model_copy(update={"evidence": evidence})

    def _allowed(self, seen: Run) -> Authority:
        level = seen.begun.level
        if self.level is None and not self.pair.has_other_caps:
            return Authority(level)
        return authority(seen, Ladder(earned=level, granted=level), PROVEN)

    def _before(self, seen: Run, unsure: tuple[Place, ...]) -> Iterator[Run]:
        """The run by each way in which earlier verdicts may have turned out that hang on what nobody measured."""
        if not unsure:
            yield seen
            return
        for outcome, disposition in TURNS:
            yield changed(seen, attempts=tuple(_turned(one, unsure, outcome, disposition) for one in seen.attempts))

    def _assumed(self, seen: Run, unknown: tuple[Criterion, ...]) -> Iterator[tuple[Course, Outcome]]:
        """Where it leads by each answer that the unknown may have given, the best first."""
        if not unknown:
            yield _told(seen, judge(seen, LADDER, self._allowed(seen), has_shadow=False))
            return
        begun = seen.begun.model_copy(update={"policy": self.pair.assuming(seen.phase, unknown)})
        for answer in ANSWERS:
            assumed = changed(seen, started=begun, answer=_reporting(seen, answer))
            yield _told(assumed, judge(assumed, LADDER, self._allowed(assumed), has_shadow=False))


def _told(run: Run, judged: GateJudged) -> tuple[Course, Outcome]:
    return course_of(run, judged), judged.verdict.outcome


def _turned(
    record: AttemptRecord, unsure: tuple[Place, ...], outcome: Outcome, disposition: Disposition
) -> AttemptRecord:
    judged = record.judged
    if judged is None or (record.phase, record.attempt) not in unsure:
        return record
    verdict = judged.verdict.model_copy(update={"outcome": outcome})
    return changed(record, judged=judged.model_copy(update={"verdict": verdict, "disposition": disposition}))


def _reporting(seen: Run, answer: bool | None) -> PhaseCompleted:  # noqa: FBT001 - one of three answers
    completed = seen.answer
    assert isinstance(completed, PhaseCompleted), "only what was answered lacks a part"
    reported = {} if answer is None else {NOT_MEASURED: answer}
    evidence = completed.evidence.model_copy(update={"reported": {**completed.evidence.reported, **reported}})
    return completed.model_copy(update={"evidence": evidence})


def _not_measured(unknown: tuple[Criterion, ...] | tuple[Place, ...]) -> Untold:
    names = ", ".join(
        dict.fromkeys(one.name if isinstance(one, Criterion) else f"the {one[0]} gate" for one in unknown)
    )
    said = f"the policy asks {names}, and nothing was measured for it"
    if not isinstance(unknown[0], Criterion):
        said = f"it hangs on what {names} would have said of what was not measured"
    return Untold("not_measured", said)
