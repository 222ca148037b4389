"""A run told to people: its state in one word, its phases, and sentences for what would move it."""

from libs.contracts.facts import DecisionRecorded, DecisionRefused, GateJudged, RunStarted
from libs.contracts.views import CheckpointView, PhaseView, RunView, State
from libs.contracts.words import DecisionKind, Outcome, Phase, RunOutcome
from services.gatekeeper.answers import hindrance, offered
from services.gatekeeper.quorum import quorum
from services.gatekeeper.retries import pause_s
from services.gatekeeper.run import AttemptRecord, Run
from services.gatekeeper.transitions import Stage

WAITING_STAGES = (Stage.WAITING, Stage.STOPPING, Stage.REFUSED)


def view(run: Run) -> RunView:
    """The run as of its last fact; it must have begun."""
    started = run.begun
    judged = run.judged or _last_judged(run)
    return RunView(
        run=run.run,
        title=started.title,
        repository=started.repository,
        workflow=started.workflow,
        issue=started.issue,
        issue_type=started.issue_type,
        opened_by=started.opened_by,
        author=started.author,
        level=started.level,
        level_in_force=judged.level_in_force if judged else None,
        agent=started.agent,
        outcome=state(run),
        stage=run.stage,
        reason=_reason(run),
        phases=_phases(run),
        checkpoint=_checkpoint(run),
        commit=_commit(run),
        branch=run.proposed.branch if run.proposed else None,
        target=started.branch,
        merged_tip=run.merged.tip if run.merged else None,
        merged_base=run.merged.base if run.merged else None,
        is_held=run.is_held,
        started_at=run.attempts[0].requested_at if run.attempts else run.since,
        moved_at=run.since,
        sentences=tuple(_sentences(run, started)),
        decisions=tuple(_told(decision) for decision in run.decisions.values()),
        artifacts=dict(run.artifacts),
        misfit_count=len(run.misfits),
        unread_count=len(run.unread),
        sequence=run.sequence,
    )


def state(run: Run) -> State:
    """The run in one word."""
    if run.merged is not None:
        return "merged"
    if run.finished is not None:
        return _WORDS[run.finished.outcome]
    if run.stage is Stage.ABORTED:
        return "aborted"
    return "waiting" if run.stage in WAITING_STAGES else "working"


_WORDS: dict[RunOutcome, State] = {
    RunOutcome.MERGED: "merged",
    RunOutcome.DECLINED: "declined",
    RunOutcome.ABORTED: "aborted",
    RunOutcome.CANCELLED: "cancelled",
}


def _last_judged(run: Run) -> GateJudged | None:
    return next((record.judged for record in reversed(run.attempts) if record.judged), None)


def _commit(run: Run) -> str | None:
    """What was merged, else the candidate; `None` while nothing differs from the base."""
    if run.merged is not None:
        return run.merged.tip
    candidate = run.checkpoint.commit if run.checkpoint and run.checkpoint.commit else run.commit
    return candidate if candidate != run.begun.base else None


def _reason(run: Run) -> str:
    if run.reverted is not None and run.merged is not None:
        taken = f"taken back by {run.reverted.tip[:12]} ({run.reverted.why}): {run.reverted.reason}"
        return f"merged into {run.merged.target} as {run.merged.tip[:12]}, and {taken}"
    if run.finished is not None:
        return run.finished.reason
    if run.merged is not None:
        return f"merged into {run.merged.target} as {run.merged.tip[:12]}"
    if run.stage is Stage.ABORTED and run.aborted is not None:
        return run.aborted.reason
    if run.checkpoint is not None:
        return run.checkpoint.reason
    return f"{run.phase} attempt {run.attempt} is being worked on" if run.attempt else "the run begins"


def _phases(run: Run) -> tuple[PhaseView, ...]:
    order = list(dict.fromkeys(record.phase for record in run.attempts))
    views = [_phase(phase, [r for r in run.attempts if r.phase is phase]) for phase in order]
    return (*views, *_monitor(run))


def _phase(phase: Phase, records: list[AttemptRecord]) -> PhaseView:
    last = records[-1]
    verdict = last.judged.verdict if last.judged else None
    return PhaseView(
        phase=phase,
        attempts=len(records),
        outcome=verdict.outcome if verdict else None,
        disposition=last.judged.disposition if last.judged else None,
        reasons=_verdict_words(last.judged) if last.judged else (),
        codes=verdict.codes if verdict else (),
        summary=last.summary,
        started_at=records[0].requested_at,
        ended_at=last.answered_at,
    )


def _monitor(run: Run) -> tuple[PhaseView, ...]:
    """The watch, which is the monitor's phase; it is not asked for but follows the merge."""
    if run.watch is None:
        return ()
    return (
        PhaseView(
            phase=Phase.MONITOR,
            attempts=1,
            outcome=run.watched.outcome if run.watched else None,
            reasons=(run.watched.reason,) if run.watched else (),
            started_at=run.watch.started_at,
            ended_at=run.watch.ends_at if run.watched else None,
        ),
    )


def _checkpoint(run: Run) -> CheckpointView | None:
    if (opened := run.checkpoint) is None or run.stage is not Stage.WAITING:
        return None
    asked = quorum(run)
    return CheckpointView(
        phase=opened.phase,
        name=checkpoint_name(opened.phase),
        attempt=opened.attempt,
        commit=opened.commit,
        outcome=run.judged.verdict.outcome if run.judged else Outcome.NO_DATA,
        reason=opened.reason,
        answers=opened.answers,
        expires_at=opened.expires_at,
        awaits=asked.awaits if asked else 0,
        agreed=asked.agreed if asked else (),
        is_reminded=run.is_reminded,
    )


def checkpoint_name(phase: Phase) -> str:
    return "merge" if phase is Phase.DEPLOY else f"after {phase}"


def _sentences(run: Run, started: RunStarted) -> list[str]:
    """Where the run stands, why, what became of its change, and what would move it."""
    where = [f"The run for “{started.title}” {_standing(run)}."]
    why = [f"Why: {_reason(run).rstrip('.')}."]
    if run.judged is not None and run.stage is Stage.WAITING:
        why += [
            f"The {run.phase} gate says {run.judged.verdict.outcome}: {said.rstrip('.')}."
            for said in _verdict_words(run.judged)
        ]
    return [*where, *why, *_held_down(run), *_taken_back(run), *_moves(run), *_troubles(run)]


def _held_down(run: Run) -> list[str]:
    """Why the run has less authority than its workflow asks for."""
    judged, configured = run.judged or _last_judged(run), run.begun.level
    if judged is None or judged.level_in_force.rank >= configured.rank:
        return []
    why = "; ".join(judged.caps) or f"granted is {judged.level_in_force}"
    return [f"Configured is {configured}; in force is {judged.level_in_force}: {why.rstrip('.')}."]


def _taken_back(run: Run) -> list[str]:
    """What became of the merged change afterwards, by whom and why."""
    if (ordered := run.rollback) is None:
        return _regressed(run)
    by = f"by {ordered.by} ({ordered.why}: {ordered.reason.rstrip('.') or 'no reason given'})"
    if run.reverted is not None:
        blame = ["Production did not recover: the change was not to blame, and a human was called."]
        return [
            f"The change was taken back {by}; {run.reverted.tip[:12]} is without it.",
            *(blame if run.taking_back.unrecovered else []),
        ]
    if (refused := run.taking_back.refused) is not None:
        again = f"What moves it: rung rollback {run.run[:8]} --why {ordered.why} --reason TEXT, once that is mended."
        return [f"It was to be taken back {by}, and could not be: {refused.message.rstrip('.')}.", again]
    late = ["A human was called, since this takes too long."] if run.taking_back.is_called else []
    return [f"The change is being taken back {by}.", "What moves it: the merger, which tests the revert first.", *late]


def _regressed(run: Run) -> list[str]:
    """Production got worse, and it is not the machine that takes the change back."""
    if run.watched is None or run.watched.outcome != "regressed":
        return []
    how = f"rung rollback {run.run[:8]} --why regression --reason TEXT"
    return [f"Production got worse after the merge, and a human was called. What takes the change back: {how}."]


def _standing(run: Run) -> str:
    match state(run):
        case "waiting":
            return f"waits for a human at the checkpoint “{checkpoint_name(run.phase)}”"
        case "working":
            return f"is at work: {run.phase}, attempt {run.attempt}" if run.attempt else "is about to begin"
        case "merged" if run.reverted is not None:
            return "was merged and taken back"
        case "merged" if run.is_rolling_back:
            return "is merged and is being taken back"
        case "merged" if run.finished is None:
            return "is merged and watched"
        case word:
            return f"ended: {word}"


def _verdict_words(judged: GateJudged) -> tuple[str, ...]:
    return judged.verdict.reasons or tuple(criterion.message for criterion in judged.verdict.criteria)


def _moves(run: Run) -> list[str]:
    """What would move the run on, and who may do it."""
    match run.stage:
        case Stage.WAITING if run.checkpoint is not None:
            answers = ", ".join(run.checkpoint.answers)
            return [
                f"What moves it: rung decide {run.run[:8]} <answer>, where the answer is one of {answers}.",
                *_hindered(run),
                *_agreement(run),
            ]
        case Stage.WORKING:
            return ["What moves it: the answer of the worker, or the attempt's deadline."]
        case Stage.ANSWERED if (pause := pause_s(run)) is not None:
            return [f"What moves it: another try, {pause:g} s after the failure."]
        case Stage.PROCEEDING if run.phase is Phase.DEPLOY:
            return [_merge_moves(run)]
        case Stage.WATCHING if run.watch is not None:
            return ["What moves it: the end of the watch."]
        case Stage.ABORTED:
            kinds = " or ".join(offered(run))
            return [f"What moves it: rung decide {run.run[:8]} {kinds}." if kinds else "Nothing moves it any more."]
        case Stage.AUTHORISED:
            late = ["A human was called, since this takes too long."] if run.is_called else []
            return ["What moves it: the merger, which lands exactly the authorised tree.", *late]
        case _:
            return []


def _hindered(run: Run) -> list[str]:
    """Why nobody can go on from here."""
    found = hindrance(run, DecisionKind.APPROVE)
    return [f"Nobody can go on from here: {found.message}."] if found else []


def _agreement(run: Run) -> list[str]:
    if (asked := quorum(run)) is None:
        return []
    said = f"; {', '.join(asked.agreed)} agreed" if asked.agreed else ""
    return [f"{asked.people} people have to agree on this change, {asked.awaits} more are awaited{said}."]


def _merge_moves(run: Run) -> str:
    if run.is_held:
        return f"What moves it: rung decide {run.run[:8]} {DecisionKind.RELEASE}."
    delay_s = run.begun.policy.auto_merge.delay_s
    return f"What moves it: the merge by itself, {delay_s:g} s after the verdict; hold stops it."


def _troubles(run: Run) -> list[str]:
    misfits = [f"{len(run.misfits)} facts did not fit where they came and were passed over."] if run.misfits else []
    unread = [f"{len(run.unread)} facts cannot be read by this build; no decision is made until they can be."]
    return misfits + (unread if run.unread else [])


def _told(decision: DecisionRecorded | DecisionRefused) -> str:
    if isinstance(decision, DecisionRefused):
        return f"refused: {decision.kind} by {decision.by}: {decision.message}"
    how = " (automatic)" if decision.automatic else ""
    said = f": {decision.reason}" if decision.reason else ""
    return f"{decision.kind} by {decision.by}{how} after {decision.phase}{said}"
