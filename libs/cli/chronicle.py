"""A run as a story: every fact about it, in order of time, in plain words, with who stated or decided it."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeGuard

from libs.cli.telling import proven, said
from libs.contracts import facts as f
from libs.contracts.history import Unread
from libs.contracts.requests import one_line, run_id
from libs.contracts.wire import Recorded

SENTENCE_LIMIT: Final = 600

WORDS: Final[dict[type[f.Fact], str]] = {
    f.AnomalyDetected: "Production departed from what it was",
    f.ChangeClosed: "The change was closed",
    f.ChangeMerged: "The change was merged",
    f.ChangeProposed: "The change was proposed",
    f.ChangeQueued: "The change was queued for the merge",
    f.ChangeRefused: "The merge was refused, and nothing moved",
    f.ChangeReverted: "The change was taken back",
    f.CheckpointClosed: "The wait after {phase} ended",
    f.CheckpointOpened: "The run waits for a human after {phase} {attempt}",
    f.CheckpointReminded: "Nobody has decided yet, and a reminder went out",
    f.DecisionRecorded: "A person decided",
    f.DecisionRefused: "A decision was refused",
    f.FreezeLifted: "The freeze of the workflow was lifted",
    f.FreezeSet: "The workflow was frozen",
    f.GateJudged: "The {phase} gate judged attempt {attempt}",
    f.IncidentOpened: "An incident was opened",
    f.IncidentResolved: "The incident was resolved",
    f.IssueClosed: "The issue was closed",
    f.IssueEdited: "The issue was edited",
    f.IssueOpened: "An issue came in",
    f.LabelStated: "The {phase} verdict was labelled",
    f.LevelEarned: "The workflow earned a level",
    f.LevelGranted: "The workflow was granted a level",
    f.LevelLowered: "The workflow lost a level",
    f.MergeAuthorised: "The merge was authorised",
    f.PhaseClaimed: "Work on {phase} {attempt} began",
    f.PhaseCompleted: "Work on {phase} {attempt} was done",
    f.PhaseErrored: "Work on {phase} {attempt} failed to be carried out",
    f.PhaseRequested: "Attempt {attempt} at {phase} was asked for",
    f.PolicyAdopted: "The workflow's policy was adopted",
    f.RollbackOrdered: "It was ordered to take the change back",
    f.RunAborted: "The run was stopped",
    f.RunEscalated: "A human was called",
    f.RunFinished: "The run ended",
    f.RunStarted: "The run began",
    f.TimerDue: "A timer came due",
    f.WatchEnded: "The watch over production ended",
    f.WatchStarted: "The watch over production began",
}
"""How a fact is told; one that is not here is told by its type."""


def story(facts: Iterable[Recorded | Unread], run: str) -> list[Recorded | Unread]:
    """What concerns a run, oldest first: its own facts, its issue's, labels, and how its ladder moved meanwhile."""
    known = sorted(facts, key=lambda one: one.sequence)
    own = [one for one in known if _is_own(one, run)]
    first, last = (own[0].sequence, own[-1].sequence) if own else (0, 0)
    causes = {one.id for one in own if isinstance(one, Recorded)}
    workflow = next((one.fact.workflow for one in own if isinstance(one, Recorded) and _names_workflow(one.fact)), None)
    about = (
        one
        for one in known
        if isinstance(one, Recorded) and isinstance(one.fact, f.LadderFact) and one.fact.workflow == workflow
    )
    moves = [one for one in about if _concerns(one, run, causes) or _is_move(one, first, last)]
    return sorted([*own, *moves], key=lambda one: one.sequence)


def sentence(recorded: Recorded) -> str:
    """A fact in one sentence."""
    fact = recorded.fact
    words = WORDS.get(type(fact), fact.type.replace(".", " "))
    place = {name: getattr(fact, name) for name in ("phase", "attempt") if hasattr(fact, name)}
    told = _told(fact)
    return one_line(words.format(**place) + (f": {told}" if told else ""), SENTENCE_LIMIT).rstrip(".") + "."


def who(recorded: Recorded) -> str:
    """Who decided, where a person did; else the service that stated the fact."""
    return one_line(str(getattr(recorded.fact, "by", None) or recorded.producer), 60)


def as_json(one: Recorded | Unread, numbers: dict[str, int]) -> dict[str, Any]:
    """A fact of the story as JSON values; `because_of` is the sequence of its cause, where the story holds it."""
    if isinstance(one, Unread):
        return {"sequence": one.sequence, "subject": one.subject, "unread": str(one.reason)}
    return {
        "sequence": one.sequence,
        "time": one.time,
        "type": one.fact.type,
        "who": who(one),
        "says": sentence(one),
        "because_of": numbers.get(one.cause),
        "data": one.fact.model_dump(mode="json"),
    }


def numbers_of(facts: Iterable[Recorded | Unread]) -> dict[str, int]:
    """Where each fact stands, by id."""
    return {one.id: one.sequence for one in facts if isinstance(one, Recorded)}


def _told(fact: f.Fact) -> str:
    match fact:
        case f.LabelStated():
            return f"{'right' if fact.is_right else 'wrong'}, says {fact.source}: {fact.reason}"
        case f.LevelGranted():
            return f"{fact.level}{proven(fact)}: {fact.reason}"
        case f.LevelEarned() | f.LevelLowered():
            return f"{fact.level}: {fact.reason}"
        case f.FreezeSet() | f.FreezeLifted():
            return fact.reason
        case f.GateJudged():
            return "; ".join(_judged(fact))
        case _:
            return said(fact)


def _judged(fact: f.GateJudged) -> Iterator[str]:
    reasons = "; ".join(fact.verdict.reasons)
    yield f"{fact.verdict.outcome}{f' ({reasons})' if reasons else ''}"
    yield f"{fact.disposition} at level {fact.level_in_force}, because {fact.reason}"
    yield from fact.caps


def _is_own(one: Recorded | Unread, run: str) -> bool:
    if isinstance(one, Unread):
        return one.subject.startswith(f"run.{run}.")
    match one.fact:
        case f.RunFact() as fact:
            return fact.run == run
        case f.IssueFact() as fact:
            return run_id(fact.issue, fact.revision) == run
        case _:
            return False


def _names_workflow(fact: f.Fact) -> TypeGuard[f.RunStarted | f.IssueOpened]:
    return isinstance(fact, f.RunStarted | f.IssueOpened)


def _concerns(one: Recorded, run: str, causes: set[str]) -> bool:
    return getattr(one.fact, "run", None) == run or one.cause in causes


def _is_move(one: Recorded, first: int, last: int) -> bool:
    """Whether levels moved, or a freeze came or went, while the run was under way."""
    moves = f.LevelEarned | f.LevelGranted | f.LevelLowered | f.FreezeSet | f.FreezeLifted
    return isinstance(one.fact, moves) and first <= one.sequence <= last
