"""What one run says about its gates: the scorecard, a pure function of the run's facts and of what people labelled.

Theory: a verdict is right or wrong by what was learnt later, and the strongest source wins: the change was reverted,
a person was asked to check it, it survived a watch in production, a person decided on it. The run's *deciding* verdicts
are each gate's last conclusive one on the code that the run ended with; verdicts on code that was built anew are no
label of anything. What nobody learnt is unlabelled, and silence, time and programs never label. That somebody whom
nobody had asked calls a verdict wrong counts like a check; that they call it right counts like any person's word.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from libs.contracts.facts import (
    ChangeClosed,
    ChangeReverted,
    CheckpointOpened,
    DecisionRecorded,
    GateJudged,
    LabelStated,
    RollbackOrdered,
    RunAborted,
    RunFinished,
    RunStarted,
)
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind, Disposition, Level, Outcome, Phase
from services.gatekeeper.readiness.identity import agent_identity
from services.gatekeeper.readiness.labels import stated
from services.gatekeeper.run import PLANNING, AttemptRecord, Run
from services.gatekeeper.transitions import Stage

Source = Literal["reverted", "audit", "survived", "human"]
Drawn = Literal["", "pass", "fail"]

ON_VERDICTS: Final = (
    DecisionKind.APPROVE,
    DecisionKind.REJECT,
    DecisionKind.OVERRIDE,
    DecisionKind.GUIDE,
    DecisionKind.RETRY,
    DecisionKind.RESUME,
)
"""Decisions that say something about a verdict; to hold, release or cancel a run says nothing."""

AUDITED: Final = (Level.AUTONOMOUS, Level.ASE)
"""Levels at which people see so little that a share of the runs is drawn for a check."""
PASSES_DRAWN: Final = 0.10
FAILS_DRAWN: Final = 0.20

CONCLUSIVE: Final = (Outcome.PASS, Outcome.WARN, Outcome.FAIL)
LOST: Final = frozenset({"infrastructure", "deadline_passed"})
"""Codes of a verdict on work that could not be done, or that nobody did."""


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
    says that only people decided and no cap held the level down. `is_clear` is about the watch, `has_signal` that
    production was measured. `is_reverted` is a revert for a regression, `is_drilled` any revert that landed. A
    candidate `is_bad` when it is known to be, and `is_caught` when a gate's deciding verdict stopped it. `drawn` is
    what is asked to be checked. `hasty` counts decisions that came too fast to label anything.
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
    drawn: Drawn
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


def scorecard(run: Run, facts: Iterable[Recorded], labels: Mapping[Phase, Recorded]) -> Scorecard:
    """The scorecard of a run that has begun; `run` is what its facts fold to, `labels` what was stated of its gates.

    A fact that did not fit when it came says nothing here either.
    """
    misfits = frozenset(run.misfits)
    seen = Seen(run, [recorded for recorded in facts if recorded.sequence not in misfits], labels)
    verdicts = seen.verdicts
    levels = {judged.level_in_force for judged in seen.judged}
    return Scorecard(
        run=run.run,
        started=seen.sequence_of(RunStarted),
        ended=seen.ended,
        merged=seen.merged,
        level=next(iter(levels)) if len(levels) == 1 else None,
        issue_type=run.begun.issue_type,
        agent=agent_identity(run.begun),
        result=seen.result,
        counts=bool(seen.judged)
        and not any(d.automatic for d in seen.decisions)
        and not any(judged.caps for judged in seen.judged),
        is_clear=seen.is_clear,
        has_signal=run.watched is not None and run.watched.outcome != "no_data",
        is_reverted=seen.is_reverted,
        is_drilled=any(isinstance(recorded.fact, ChangeReverted) for recorded in seen.facts),
        is_bad=seen.is_reverted or any(v.is_right is not None and v.is_pass is not v.is_right for v in verdicts),
        is_caught=any(not verdict.is_pass for verdict in verdicts),
        drawn=seen.drawn,
        healing_attempts=healing_attempts(run),
        decisions=len(seen.on_verdicts),
        overrides=sum(decision.is_override for decision in seen.on_verdicts),
        hasty=sum(not is_considered for _, is_considered in seen.considered),
        right=sum(verdict.is_right is True for verdict in verdicts),
        wrong=sum(verdict.is_right is False for verdict in verdicts),
        verdicts=" ".join(verdict.token for verdict in verdicts),
        shadows=" ".join(shadowed.token for shadowed in seen.shadows),
    )


def healing_attempts(run: Run) -> int:
    """Attempts at a phase after its first, without those that stood in for a lost one or for a base that moved on.

    One that has no answer yet does not count yet, so that its deadline takes nothing away.
    """
    answered = [record for record in run.attempts if record.answered_at is not None and not record.is_lost]
    anew = sum(_is_integrated_anew(run, *neighbours) for neighbours in pairwise(answered))
    return len(answered) - len({record.phase for record in answered}) - anew


def _is_integrated_anew(run: Run, before: AttemptRecord, after: AttemptRecord) -> bool:
    """The second of two attempts at deploy in a row follows one that was let through: only its base had moved on."""
    if before.phase is not Phase.DEPLOY or after.phase is not Phase.DEPLOY or before.judged is None:
        return False
    overridden = {
        (one.phase, one.attempt)
        for one in run.decisions.values()
        if isinstance(one, DecisionRecorded) and one.kind is DecisionKind.OVERRIDE
    }
    return before.judged.verdict.outcome.is_passed or (before.phase, before.attempt) in overridden


@dataclass(frozen=True)
class Seen:
    """A run's facts, asked what they say about its gates."""

    run: Run
    facts: Sequence[Recorded]
    labels: Mapping[Phase, Recorded]

    def sequence_of(self, kind: type) -> int:
        """Where the last fact of a kind stands, 0 for none."""
        return next((recorded.sequence for recorded in reversed(self.facts) if isinstance(recorded.fact, kind)), 0)

    @property
    def ended(self) -> int:
        match self.run.stage:
            case Stage.ABORTED:
                return self.sequence_of(RunAborted)
            case Stage.ENDED:
                return self.sequence_of(RunFinished)
            case _:
                return 0

    @property
    def merged(self) -> int:
        return next((r.sequence for r in self.facts if r.fact is self.run.merged), 0) if self.run.merged else 0

    @cached_property
    def judged(self) -> tuple[GateJudged, ...]:
        return tuple(record.judged for record in self.run.attempts if record.judged)

    @cached_property
    def decisions(self) -> tuple[DecisionRecorded, ...]:
        return tuple(one for one in self.run.decisions.values() if isinstance(one, DecisionRecorded))

    @property
    def on_verdicts(self) -> tuple[DecisionRecorded, ...]:
        return tuple(one for one in self.decisions if one.kind in ON_VERDICTS and not one.automatic)

    @cached_property
    def considered(self) -> tuple[tuple[DecisionRecorded, bool], ...]:
        """People's decisions on verdicts, and whether each took long enough to have been considered."""
        least_s = self.run.begun.policy.considered_after_s
        since = 0.0
        found: dict[str, tuple[DecisionRecorded, bool]] = {}
        for recorded in self.facts:
            match recorded.fact:
                case CheckpointOpened() | RunAborted():
                    since = recorded.time
                case DecisionRecorded(automatic=False) as decision if decision.kind in ON_VERDICTS:
                    found.setdefault(decision.decision, (decision, recorded.time - since >= least_s))
                case _:
                    pass
        return tuple(found.values())

    @cached_property
    def is_reverted(self) -> bool:
        """The change was taken back because it hurt."""
        return any(isinstance(r.fact, ChangeReverted) and r.fact.why == "regression" for r in self.facts)

    @property
    def is_rolled_back(self) -> bool:
        """Harm was attributed to the change, whether or not it could be taken back."""
        return any(isinstance(r.fact, RollbackOrdered) and r.fact.why == "regression" for r in self.facts)

    @property
    def is_clear(self) -> bool:
        return self.run.watched is not None and self.run.watched.outcome == "clear" and not self.is_rolled_back

    @property
    def is_judged_tree(self) -> bool:
        """What was merged is what was judged, also where a person merged it."""
        judged = self.run.last_judged(Phase.DEPLOY)
        return self.run.merged is not None and judged is not None and self.run.merged.tree == judged.tree

    @property
    def closed(self) -> ChangeClosed | None:
        return next((r.fact for r in reversed(self.facts) if isinstance(r.fact, ChangeClosed)), None)

    @property
    def result(self) -> Result:
        if not self.ended:
            return Result.OPEN
        if self.run.merged is not None:
            return Result.FAILED if self.is_rolled_back or self.is_reverted else Result.SUCCESSFUL
        return Result.FAILED if self.judged and not self._is_ended_by_infrastructure else Result.UNCOUNTED

    @property
    def _is_ended_by_infrastructure(self) -> bool:
        """The last verdict was about work that could not be done, whoever then gave up."""
        last = self.judged[-1].verdict
        return last.outcome is not Outcome.FAIL and not LOST.isdisjoint(last.codes)

    @property
    def drawn(self) -> Drawn:
        """Whether a person is asked to check the run: by chance, which nobody can steer or foresee from the verdict."""
        if not self.judged or self.judged[-1].level_in_force not in AUDITED:
            return ""
        if self.run.merged is not None:
            return "pass" if _chance(self.run.run, "pass") < PASSES_DRAWN else ""
        is_failed = self.run.stage is Stage.ABORTED and self.judged[-1].verdict.outcome is Outcome.FAIL
        return "fail" if is_failed and _chance(self.run.run, "fail") < FAILS_DRAWN else ""

    @cached_property
    def verdicts(self) -> tuple[Verdicted, ...]:
        return tuple(self._labelled(judged) for judged in self._deciding())

    @property
    def shadows(self) -> Iterator[Shadowed]:
        at = {(judged.phase, judged.attempt): judged for judged in self.judged}
        for decision in self.on_verdicts:
            judged = at.get((decision.phase, decision.attempt))
            if judged and judged.shadow and judged.disposition is Disposition.CHECKPOINT and not decision.awaits:
                yield Shadowed(decision.phase, decision.attempt, judged.shadow, decision.kind)

    def _deciding(self) -> Iterator[GateJudged]:
        """Each gate's last conclusive verdict, without those on code that was built anew afterwards."""
        attempts = self.run.attempts
        built = max((i for i, record in enumerate(attempts) if record.phase is Phase.BUILD), default=0)
        last: dict[Phase, GateJudged] = {}
        for index, record in enumerate(attempts):
            is_of_now = index >= built or record.phase in PLANNING
            if record.judged and is_of_now and record.judged.verdict.outcome in CONCLUSIVE:
                last[record.phase] = record.judged
        return iter(last.values())

    def _labelled(self, judged: GateJudged) -> Verdicted:
        is_pass = judged.verdict.outcome.is_passed
        for source, truth in self._truths(judged):
            if truth is not None:
                return Verdicted(judged.phase, is_pass, truth, source)
        return Verdicted(judged.phase, is_pass)

    def _truths(self, judged: GateJudged) -> Iterator[tuple[Source, bool | None]]:
        """What each source says of a verdict, strongest first; a change that is good makes its passes right."""
        is_pass = judged.verdict.outcome.is_passed
        label = self._stated(judged)
        is_check = label is not None and (label.source == "audit" or not label.is_right)
        yield "reverted", (not is_pass) if self.is_reverted else None
        yield "audit", label.is_right if label and is_check else None
        yield "survived", is_pass if self.is_clear and self.is_judged_tree else None
        yield "human", label.is_right if label else None
        yield "human", self._decided(judged)

    def _stated(self, judged: GateJudged) -> LabelStated | None:
        """What somebody stated of a verdict; what was stated before it came was about another one."""
        recorded = self.labels.get(judged.phase)
        is_about_it = recorded is not None and recorded.sequence > self._at(judged)
        return stated(recorded) if recorded and is_about_it else None

    def _at(self, judged: GateJudged) -> int:
        return next(recorded.sequence for recorded in self.facts if recorded.fact == judged)

    def _decided(self, judged: GateJudged) -> bool | None:
        """What people made of a verdict at its own checkpoint, or of the whole change on its forge."""
        is_pass = judged.verdict.outcome.is_passed
        at_it = [
            decision.kind
            for decision, is_considered in self.considered
            if is_considered and not decision.awaits
            if (decision.phase, decision.attempt) == (judged.phase, judged.attempt)
            if decision.kind in (DecisionKind.APPROVE, DecisionKind.OVERRIDE, DecisionKind.REJECT)
        ]
        if self.closed is not None and self.closed.reason == "wrong" and self.run.merged is None:
            return not is_pass
        if judged.phase is Phase.DEPLOY and self.run.merged is not None and not self.is_judged_tree:
            return not is_pass
        return (at_it[-1] is not DecisionKind.REJECT) is is_pass if at_it else None


def _chance(run: str, kind: str) -> float:
    """A number from 0 to 1 that a run's name gives for good."""
    return int(hashlib.sha256(f"audit:{kind}:{run}".encode()).hexdigest()[:12], 16) / 16**12
