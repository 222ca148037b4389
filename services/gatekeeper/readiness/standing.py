"""Where a workflow stands: everything that is shown of its readiness, a pure function of its ladder and scorecards.

Whatever order the cards come in, the answer is the same to the byte. Ten thousand of them are counted by what they
have in common: few words of verdicts and scores differ.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import islice
from math import ceil
from operator import attrgetter
from typing import Final

from libs.contracts.ladder import Ladder
from libs.contracts.readiness import AgentStanding, ClassStanding, Levels, Movement, Readiness, Unlabelled
from libs.contracts.words import Level
from services.gatekeeper.readiness.audits import audit_standing, audits_asked
from services.gatekeeper.readiness.rungs import rungs_of
from services.gatekeeper.readiness.scorecard import Scorecard
from services.gatekeeper.readiness.scores import counted, decimals, in_order, labelled, mean, share
from services.gatekeeper.readiness.shadows import shadow_standing
from services.gatekeeper.readiness.verdicts import UNLABELLED, gate_standings, labels, tally, unlabelled_gates

SHOWN_MAX: Final = 20
"""Runs that are listed by name, the newest of them."""

TREND_MAX: Final = 40
TREND_BLOCK_MIN: Final = 5


def readiness(ladder: Ladder, cards: Iterable[Scorecard], configured: Level | None) -> Readiness:
    """The readiness of a workflow as of the last fact that ladder or cards know of.

    `configured` is the level that the workflow asks for, `None` where its adopted policy says so.
    """
    ordered = in_order(cards)
    known = labelled(ordered)
    verdicts = tally(ordered)
    return Readiness(
        workflow=ladder.workflow,
        repository=ladder.repository,
        as_of=max(ladder.sequence, ordered[-1].ended) if ordered else ladder.sequence,
        level=_levels(ladder, configured),
        rungs=rungs_of(ordered, known, ladder),
        labels=labels(verdicts, hasty=sum(map(attrgetter("hasty"), ordered))),
        moves=_moves(ladder),
        gates=gate_standings(verdicts),
        classes=_classes(ordered),
        agents=_agents(ordered),
        unlabelled=_unlabelled(ordered),
        audits=audits_asked(ordered),
        audit_only=audit_standing(ordered),
        shadow=shadow_standing(ordered, _in_force(ladder, configured).above, SHOWN_MAX),
        trend=_trend(known),
    )


def _levels(ladder: Ladder, configured: Level | None) -> Levels:
    return Levels(
        configured=_configured(ladder, configured),
        earned=ladder.earned,
        granted=ladder.granted,
        in_force=_in_force(ladder, configured),
    )


def _configured(ladder: Ladder, configured: Level | None) -> Level:
    if configured is not None:
        return configured
    return ladder.policy.autonomy if ladder.policy else Level.ASSISTED


def _in_force(ladder: Ladder, configured: Level | None) -> Level:
    return ladder.in_force(_configured(ladder, configured))


def _moves(ladder: Ladder) -> tuple[Movement, ...]:
    return tuple(
        Movement(
            origin=move.origin,
            to=move.to,
            at=round(move.at, 6),
            why=move.why,
            by=move.by,
            cause=move.cause,
            run=move.run,
            with_proof=move.with_proof,
        )
        for move in ladder.moves
    )


def _classes(ordered: Sequence[Scorecard]) -> tuple[ClassStanding, ...]:
    return tuple(
        ClassStanding(issue_type=name, runs=runs, labelled=known, accuracy=accuracy)
        for name, runs, known, accuracy in _grouped(ordered, "issue_type")
    )


def _agents(ordered: Sequence[Scorecard]) -> tuple[AgentStanding, ...]:
    return tuple(
        AgentStanding(agent=name, runs=runs, labelled=known, accuracy=accuracy)
        for name, runs, known, accuracy in _grouped(ordered, "agent")
    )


def _grouped(ordered: Sequence[Scorecard], column: str) -> list[tuple[str, int, int, float | None]]:
    """By what the runs have in this column: its name, runs, labelled runs, and their mean score."""
    runs: Counter[str] = Counter()
    scores: dict[str, Counter[Fraction]] = {}
    for (name, right, wrong), count in Counter(map(attrgetter(column, "right", "wrong"), ordered)).items():
        runs[name] += count
        if right or wrong:
            scores.setdefault(name, Counter())[share(right, wrong)] += count
    return [
        (name, runs[name], known.total(), decimals(mean(known)))
        for name in sorted(runs)
        for known in [scores.get(name, Counter())]
    ]


def _unlabelled(ordered: Sequence[Scorecard]) -> tuple[Unlabelled, ...]:
    """The newest runs that ended and have a verdict nobody learnt the truth about."""
    open_questions = (card for card in reversed(ordered) if UNLABELLED in card.verdicts)
    return tuple(
        Unlabelled(run=card.run, gates=unlabelled_gates(card.verdicts)) for card in islice(open_questions, SHOWN_MAX)
    )


def _trend(known: Sequence[Scorecard]) -> tuple[float, ...]:
    """Accuracy of consecutive blocks of labelled runs, oldest first; the last block may be short."""
    size = max(TREND_BLOCK_MIN, ceil(len(known) / TREND_MAX))
    blocks = (mean(counted(known[start : start + size])) for start in range(0, len(known), size))
    return tuple(value for block in blocks if (value := decimals(block)) is not None)
