"""What people ask about a ladder: levels, freezes, labels, calibrations; each becomes a fact or a refusal.

A request counts once: the client makes its id, which is the cause of the fact, and a repeat gets the first answer.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never

from libs.contracts.facts import (
    FreezeLifted,
    FreezeSet,
    GateCalibrated,
    HistoryImported,
    LabelStated,
    LadderFact,
    LevelGranted,
    LevelLowered,
)
from libs.contracts.ladder import Ladder
from libs.contracts.people import EVERYONE, People, Role
from libs.contracts.requests import LadderKind, LadderRequest, one_line
from libs.contracts.words import Level
from services.gatekeeper.climbing import is_proven
from services.gatekeeper.decisions import Decider, Refusal, identify
from services.gatekeeper.readiness.rungs import earned
from services.gatekeeper.readiness.scorecard import Scorecard
from services.gatekeeper.run import Run

APPROVERS_MAY: Final = (LadderKind.LABEL,)
"""What a person may ask who is no operator; the rest moves levels or freezes, or vouches for what counts."""


REASONED: Final = (LadderKind.GRANT, LadderKind.LOWER, LadderKind.FREEZE, LadderKind.LABEL, LadderKind.IMPORT)
"""What nobody may ask without saying why."""


class Labelled(NamedTuple):
    """The run that a label is about, with its scorecard; `None` where there is no such run."""

    run: Run
    card: Scorecard


class Known(NamedTuple):
    """What an answer depends on: the ladder, the scorecards of its runs, and the run that a label is about."""

    ladder: Ladder
    cards: Sequence[Scorecard] = ()
    labelled: Labelled | None = None


def answer(known: Known, request: LadderRequest, people: People = EVERYONE) -> LadderFact | Refusal:
    """The fact that the request asks for, or why it is refused."""
    asker = identify(request, people)
    if isinstance(asker, Refusal):
        return asker
    if people.people and (refusal := _not_theirs(request, asker, people, known.labelled)):
        return refusal
    if request.kind in REASONED and not _reason(request):
        return Refusal("no_reason", f"{request.kind} needs a reason in words")
    match request.kind:
        case LadderKind.GRANT:
            return _granted(known, request, asker)
        case LadderKind.LOWER:
            return _lowered(known.ladder, request, asker)
        case LadderKind.FREEZE | LadderKind.LIFT:
            return _frozen(known.ladder, request, asker)
        case LadderKind.LABEL:
            return _labelled(known.labelled, request, asker)
        case LadderKind.CALIBRATE:
            return _calibrated(request, asker)
        case LadderKind.IMPORT:
            return _imported(request, asker)
        case _:
            assert_never(request.kind)


def _not_theirs(request: LadderRequest, asker: Decider, people: People, labelled: Labelled | None) -> Refusal | None:
    role = people.people[asker.name].role
    if role is Role.VIEWER or (role is not Role.OPERATOR and request.kind not in APPROVERS_MAY):
        return Refusal("not_allowed", f"{asker.name} is {role} in the operator's file and may not {request.kind}")
    begun = labelled.run.begun if labelled else None
    workers = (begun.opened_by, begun.author) if begun else ()
    if people.is_own(asker.name, *workers) or (people.is_strict and request.os_user in workers):
        return Refusal("own_work", f"{asker.name} opened or wrote this issue; somebody else has to label it")
    return None


def _granted(known: Known, request: LadderRequest, asker: Decider) -> LadderFact | Refusal:
    ladder, level = known.ladder, request.level
    assert level is not None, "a grant names a level"
    if not ladder.workflow:
        return Refusal("unknown_workflow", "no run of this workflow has begun yet, so that nothing is earned")
    if level.rank <= ladder.granted.rank:
        return Refusal("granted_already", f"the level granted is {ladder.granted} already")
    if level is not ladder.granted.above:
        return Refusal("one_at_a_time", f"after {ladder.granted} comes {ladder.granted.above}; no rung is skipped")
    if ladder.earned.rank < level.rank or earned(known.cards, ladder) is not level:
        return Refusal("not_earned", f"{level} is not earned; rung readiness shows which criteria do not hold")
    with_proof = level is Level.ASE and is_proven(known.cards, ladder)
    return LevelGranted(
        workflow=ladder.workflow, level=level, by=asker.name, reason=_reason(request), with_proof=with_proof
    )


def _lowered(ladder: Ladder, request: LadderRequest, asker: Decider) -> LadderFact | Refusal:
    level = request.level
    assert level is not None, "who lowers names a level"
    if level.rank >= ladder.granted.rank:
        return Refusal("not_lower", f"the level granted is {ladder.granted}, which is not above {level}")
    return LevelLowered(workflow=request.workflow, level=level, by=asker.name, reason=_reason(request))


def _frozen(ladder: Ladder, request: LadderRequest, asker: Decider) -> LadderFact | Refusal:
    if request.kind is LadderKind.FREEZE:
        if ladder.freeze is not None:
            return Refusal("frozen_already", f"{ladder.freeze.by} has frozen it already: {ladder.freeze.reason}")
        return FreezeSet(workflow=request.workflow, by=asker.name, reason=_reason(request))
    if ladder.freeze is None:
        return Refusal("not_frozen", "the workflow is not frozen")
    return FreezeLifted(workflow=request.workflow, by=asker.name, reason=_reason(request))


def _labelled(labelled: Labelled | None, request: LadderRequest, asker: Decider) -> LadderFact | Refusal:
    """A label is a check where one was asked for; what nobody judged has nothing to be labelled."""
    phase, is_right = request.phase, request.is_right
    if labelled is None or labelled.run.begun.workflow != request.workflow:
        return Refusal("unknown_run", f"this workflow has no run {request.run}")
    assert phase is not None, "a label names a gate"
    assert is_right is not None, "a label says right or wrong"
    judged = [token.split(":")[0] for token in labelled.card.verdicts.split()]
    if phase not in judged:
        known = f"; judged are {', '.join(judged)}" if judged else ""
        return Refusal("no_verdict", f"the {phase} gate has no verdict that counts in this run{known}")
    return LabelStated(
        workflow=request.workflow,
        run=labelled.run.run,
        phase=phase,
        is_right=is_right,
        source="audit" if labelled.card.drawn else "human",
        by=asker.name,
        reason=_reason(request),
    )


def _calibrated(request: LadderRequest, asker: Decider) -> LadderFact:
    counted = request.calibration
    assert counted is not None, "a calibration has its counts"
    assert request.digest is not None, "a calibration has its report"
    return GateCalibrated(
        workflow=request.workflow,
        gates_digest=counted.gates_digest,
        seeded=counted.seeded,
        caught=counted.caught,
        good=counted.good,
        passed=counted.passed,
        commit=counted.commit,
        report=request.digest,
        by=asker.name,
    )


def _imported(request: LadderRequest, asker: Decider) -> LadderFact | Refusal:
    assert request.digest is not None, "an import has its artifact"
    if not asker.is_signed:
        return Refusal(
            "unsigned", "who vouches for history from elsewhere signs it with a key that the operator's file names"
        )
    return HistoryImported(
        workflow=request.workflow,
        source=one_line(request.source),
        digest=request.digest,
        by=asker.name,
        is_signed=True,
    )


def _reason(request: LadderRequest) -> str:
    return one_line(request.reason, 1000)
