"""What one run says about its gates: the scorecard, a pure function of the run's facts and of what people labelled.

Theory: a verdict is right or wrong by what was learnt later, and the strongest source wins: the change was reverted,
a person was asked to check it, it survived a watch in production, a person decided on it. The run's *deciding* verdicts
are each gate's last conclusive one on the code that the run ended with; verdicts on code that was built anew are no
label of anything. What nobody learnt is unlabelled, and silence, time and programs never label.
"""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

from libs.contracts.words import Level, Phase

Source = Literal["reverted", "audit", "survived", "human"]
SOURCES: Final[tuple[Source, ...]] = ("reverted", "audit", "survived", "human")
"""What a label may come from, strongest first."""


class Result(StrEnum):
    """How a run counts: `uncounted` ended before any verdict or by infrastructure, `open` has not ended."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    UNCOUNTED = "uncounted"
    OPEN = "open"


class Verdicted(NamedTuple):
    """A deciding verdict: a pass (or warning) or a fail, and whether it was right, as far as anybody knows."""

    phase: Phase
    is_pass: bool
    is_right: bool | None = None
    source: Source | None = None

    @property
    def token(self) -> str:
        """The verdict as one word: `test:pass:right:survived`, `plan:fail::`."""
        told = "" if self.is_right is None else ("right" if self.is_right else "wrong")
        return f"{self.phase}:{'pass' if self.is_pass else 'fail'}:{told}:{self.source or ''}"


class Shadowed(NamedTuple):
    """A human's decision, and what the next level would have done in its place."""

    phase: Phase
    attempt: int
    shadow: str
    decision: str

    @property
    def token(self) -> str:
        return f"{self.phase}:{self.attempt}:{self.shadow}:{self.decision}"


class Scorecard(NamedTuple):
    """One run. `started`, `ended` and `merged` are sequences in the log, 0 for what did not happen.

    `level` is the level in force at every verdict, `None` where it changed on the way or nothing was judged. `counts`
    says that only people decided. `is_clear` is about the watch, `has_signal` that production was measured.
    `is_reverted` is a revert for a regression, `is_drilled` any revert that landed. A candidate `is_bad` when it is
    known to be, and `is_caught` when a gate's deciding verdict stopped it. `drawn` is what is asked to be checked.
    `hasty` counts decisions that came too fast to label anything.
    """

    run: str
    started: int
    ended: int
    merged: int
    level: Level | None
    issue_type: str
    agent: str
    result: Result
    counts: bool
    is_clear: bool
    has_signal: bool
    is_reverted: bool
    is_drilled: bool
    is_bad: bool
    is_caught: bool
    drawn: Literal["", "pass", "fail"]
    healing_attempts: int
    decisions: int
    overrides: int
    hasty: int
    right: int
    wrong: int
    verdicts: str
    shadows: str

    @property
    def labelled(self) -> int:
        return self.right + self.wrong
