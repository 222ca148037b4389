"""Levels: granted one rung at a time and never above what was earned, and in force never above what was granted."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from libs.contracts.facts import (
    GateJudged,
    LadderFact,
    LevelEarned,
    LevelGranted,
    LevelLowered,
    MergeAuthorised,
    RunStarted,
)
from libs.contracts.ladder import Ladder, evolve
from libs.contracts.wire import Recorded
from libs.contracts.words import Level
from services.gatekeeper.audit.findings import Finding


class Standing(NamedTuple):
    """What a ladder allowed from a sequence on."""

    sequence: int
    granted: Level
    is_frozen: bool


class Ladders:
    """Every workflow's ladder as it stands, and as it stood."""

    def __init__(self) -> None:
        self._ladders: dict[str, Ladder] = defaultdict(Ladder)
        self._standings: dict[str, list[Standing]] = defaultdict(list)

    def see(self, recorded: Recorded) -> Iterator[Finding]:
        if not isinstance(fact := recorded.fact, LadderFact):
            return
        ladder = self._ladders[fact.workflow]
        for code, said in _wrong(ladder, fact):
            yield Finding(code, recorded.sequence, fact.subject, said)
        after = evolve(ladder, recorded)
        self._ladders[fact.workflow] = after
        self._standings[fact.workflow].append(Standing(recorded.sequence, after.granted, after.is_frozen))

    def standing(self, workflow: str, sequence: int) -> Standing | None:
        """What the ladder allowed as of its fact at this sequence; `None` where it has no such fact."""
        standings = self._standings[workflow]
        at = bisect_right(standings, sequence, key=lambda standing: standing.sequence) - 1
        return standings[at] if at >= 0 and standings[at].sequence == sequence else None

    def relied_on(self, started: RunStarted, recorded: Recorded) -> Iterator[Finding]:
        """Whether a disposition or an authorisation had the level that it says was in force."""
        fact = recorded.fact
        assert isinstance(fact, GateJudged | MergeAuthorised)
        standing = self.standing(started.workflow, fact.ladder_sequence)
        if fact.ladder_sequence and standing is None:
            said = f"it relied on the ladder's fact {fact.ladder_sequence}, which is none before it"
            yield Finding("verdict.ladder", recorded.sequence, fact.subject, said)
            return
        granted = standing.granted if standing else Level.ASSISTED
        allowed = min(granted, started.level, key=lambda level: level.rank)
        if fact.level_in_force.rank > allowed.rank:
            said = f"{fact.level_in_force} was in force; configured was {started.level}, granted {granted}"
            yield Finding("verdict.level", recorded.sequence, fact.subject, said)


def _wrong(ladder: Ladder, fact: LadderFact) -> Iterator[tuple[str, str]]:
    match fact:
        case LevelEarned() if fact.level.rank > ladder.granted.rank + 1:
            yield "level.skipped", f"{fact.level} was earned while {ladder.granted} was granted"
        case LevelGranted():
            if fact.level.rank > ladder.granted.rank + 1:
                yield "level.skipped", f"{fact.level} was granted after {ladder.granted}"
            if fact.level.rank > ladder.earned.rank:
                yield "level.unearned", f"{fact.level} was granted while {ladder.earned} was earned"
        case LevelLowered() if fact.level.rank > ladder.granted.rank:
            yield "level.raised", f"{fact.level} is above {ladder.granted}, from which it was lowered"
