"""What people and programs see of a run: the answer to the queries `query.run` and `query.runs`.

A view is made from facts alone. `sentences` say in plain words where the run stands, why, and
what would move it.
"""

from typing import Literal

from pydantic import Field

from libs.contracts.words import DecisionKind, Frozen, Level, Phase

State = Literal["merged", "declined", "aborted", "cancelled", "waiting", "working"]


class PhaseView(Frozen):
    """A phase as far as it came: the outcome is the last verdict's, `None` while there is none."""

    phase: Phase
    attempts: int
    outcome: str | None = None
    disposition: str | None = None
    reasons: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    summary: str = ""
    started_at: float
    ended_at: float | None = None


class CheckpointView(Frozen):
    """Where a run waits for a human, what was judged there, and what may be answered.

    `awaits` is how many more persons have to agree where one is not enough, 0 where one is; `agreed`
    names those who have. `is_reminded` says that people were called a second time.
    """

    phase: Phase
    name: str
    attempt: int
    commit: str | None = None
    outcome: str
    reason: str
    answers: tuple[DecisionKind, ...]
    expires_at: float | None = None
    awaits: int = 0
    agreed: tuple[str, ...] = ()
    is_reminded: bool = False


class RunView(Frozen):
    """A run as of `sequence`; `outcome` is the state in one word, `reason` one sentence."""

    run: str
    title: str
    repository: str
    workflow: str
    issue: str
    issue_type: str
    opened_by: str | None = None
    author: str | None = None
    level: Level
    level_in_force: Level | None = None
    agent: str
    outcome: State
    stage: str
    reason: str
    phases: tuple[PhaseView, ...] = ()
    checkpoint: CheckpointView | None = None
    commit: str | None = None
    branch: str | None = None
    target: str
    merged_tip: str | None = None
    merged_base: str | None = None
    is_held: bool = False
    started_at: float
    moved_at: float
    sentences: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    artifacts: dict[str, str] = Field(default_factory=dict)
    misfit_count: int = 0
    unread_count: int = 0
    sequence: int
