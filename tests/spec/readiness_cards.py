"""Scorecards and ladders to ask for readiness: short ways to say what one run, or a hundred, came to."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from libs.contracts.ladder import Ladder, Move, Proof
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import Policy, policy_digest
from services.gatekeeper.readiness.scorecard import Result, Scorecard, Source, Verdicted
from tests.spec.story import POLICY, REPOSITORY, WORKFLOW

STEP: Final = 10
"""Facts that one run takes in the log; run `n` begins at `n * STEP`."""


def card(number: int = 1, **stated: Any) -> Scorecard:
    """A run that people let through at the lowest level, and that survived: five verdicts, all of them right."""
    said = {
        "run": f"run-{number:06d}",
        "started": number * STEP,
        "ended": number * STEP + 9,
        "merged": number * STEP + 5,
        "level": Level.ASSISTED,
        "issue_type": "bug",
        "agent": "repair",
        "result": Result.SUCCESSFUL,
        "counts": True,
        "is_clear": True,
        "has_signal": True,
        "is_reverted": False,
        "is_drilled": False,
        "is_bad": False,
        "is_caught": False,
        "drawn": "",
        "healing_attempts": 0,
        "decisions": 1,
        "overrides": 0,
        "hasty": 0,
        "right": 5,
        "wrong": 0,
        "verdicts": "",
        "shadows": "",
    }
    return Scorecard(**{**said, **stated})


def wrong(number: int, **stated: Any) -> Scorecard:
    """A run all of whose verdicts were wrong."""
    return card(number, **{"right": 0, "wrong": 5, **stated})


def unlabelled(number: int, **stated: Any) -> Scorecard:
    return card(number, **{"right": 0, "wrong": 0, **stated})


def failed(number: int, **stated: Any) -> Scorecard:
    """A run that ended without a merge, and of which nobody learnt anything."""
    return unlabelled(number, **{"result": Result.FAILED, "merged": 0, **stated})


def many(count: int, first: int = 1, **stated: Any) -> list[Scorecard]:
    return [card(number, **stated) for number in range(first, first + count)]


def record(right: int, wrong_runs: int, **stated: Any) -> list[Scorecard]:
    """Wholly wrong runs, and behind them wholly right ones."""
    return [
        *(wrong(number, **stated) for number in range(1, wrong_runs + 1)),
        *many(right, wrong_runs + 1, **stated),
    ]


def said(phase: Phase, is_pass: bool, is_right: bool | None = None, source: Source | None = None) -> str:
    return Verdicted(phase, is_pass, is_right, source).token


def ladder(level: Level = Level.ASSISTED, policy: Policy | None = POLICY, **stated: Any) -> Ladder:
    """A ladder on which this level was earned and granted, before the first run."""
    digest = policy_digest(policy) if policy else None
    policies = {digest: policy} if digest and policy else {}
    held = Ladder(workflow=WORKFLOW, repository=REPOSITORY, policy_digest=digest, policies=policies)
    return replace(held, earned=level, granted=level, **stated)


def fell(origin: Level, to: Level, cause: str, sequence: int = 1) -> Move:
    return Move(at=0.0, sequence=sequence, origin=origin, to=to, why="it went wrong", by="machine", cause=cause)


def restarted(number: int, since: int) -> Proof:
    return Proof(number, since)


def shuffled(cards: Iterable[Scorecard], keys: Iterable[int]) -> list[Scorecard]:
    """The cards in the order of these keys, one for each."""
    return [one for _, one in sorted(zip(keys, cards, strict=True), key=lambda pair: pair[0])]
