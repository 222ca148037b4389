"""What an audit may find: every code, what it means, and whether it accuses the log or only notes something."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

CODES: Final[Mapping[str, str]] = {
    "sequence.missing": "a message is gone, or its block on disk is damaged",
    "sequence.repeated": "two messages stand at one sequence",
    "sequence.back": "a message stands behind one with a higher sequence",
    "time.back": "the store's time went back",
    "log.short": "the log ends before its head",
    "log.cut": "the log holds fewer messages than the checkpoint",
    "log.changed": "what the checkpoint was made of is no longer what stands there",
    "message.unreadable": "a message is no fact, or its data have not the shape of their type",
    "message.newer": "a fact of a version that this build does not know; nothing is said about it",
    "message.type": "the type is not that of the data",
    "message.subject": "the event names another subject than the one it stands on",
    "message.id": "the id is not the one that follows from cause and subject",
    "message.speaker": "another service stated the fact than the only one that may",
    "fact.repeated": "the same fact stands in the log twice",
    "slot.repeated": "what may be stated once was stated again",
    "cause.missing": "no fact with the id of the cause stands in the log",
    "cause.later": "a fact stands before its cause",
    "cause.request": "an issue's fact names another request than its cause",
    "name.wrong": "the name of an issue, run, workflow or policy does not follow from what it names",
    "run.differs": "a run says otherwise than the issue that began it",
    "run.unbegun": "a run has facts and no beginning",
    "transition.illegal": "the gatekeeper stated what does not fit the stage of the run",
    "verdict.outcome": "a verdict is not the worst of its criteria",
    "verdict.policy": "a verdict or checkpoint names another policy than the run's",
    "verdict.level": "the level in force was above what was configured or granted",
    "verdict.ladder": "a disposition relied on a fact of the ladder that is none",
    "decision.unbound": "a decision is about another place, commit or policy than the one that was open",
    "decision.against_verdict": "a decision stands that has to be refused",
    "decision.override": "a decision is called an override, or is not, wrongly",
    "merge.unauthorised": "a change was merged that nothing authorised",
    "merge.differs": "another change was merged than the one authorised",
    "authorisation.differs": "another change was authorised than the gate judged",
    "authorisation.unfounded": "a merge was authorised without a decision or the level for it",
    "level.skipped": "a rung was granted or earned that is not the next",
    "level.unearned": "a rung was granted that was not earned",
    "level.raised": "a level was lowered to a higher one",
    "artifact.damaged": "an artifact has not the bytes that its digest names",
    "answer.late": "a worker's fact came when the run was no longer there; it changed nothing",
    "merge.foreign": "somebody merged by themselves, and it was noticed",
    "artifact.missing": "an artifact that a fact names is not there; it may have been erased",
}

NOTES: Final = frozenset({"answer.late", "merge.foreign", "artifact.missing"})
"""What a sound log may hold as well."""


class Finding(NamedTuple):
    """`sequence` is 0 where no message of the log can be named."""

    code: str
    sequence: int
    subject: str
    message: str

    @property
    def is_note(self) -> bool:
        return self.code in NOTES

    def as_json(self) -> dict[str, Any]:
        return self._asdict()
