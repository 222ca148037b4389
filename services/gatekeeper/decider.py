"""What the gatekeeper owes now, from state alone.

Theory: every stage owes a fixed, short list of facts; each, once folded, moves the run to the stage
that owes the rest. So it does not matter how often, how late or after which crash `decide` is asked:
what is in the log already is not owed again.
"""

from typing import assert_never

from libs.contracts.facts import (
    CheckpointClosed,
    CheckpointOpened,
    CheckpointReminded,
    DecisionRecorded,
    Fact,
    GateJudged,
    IssueOpened,
    MergeAuthorised,
    Owed,
    PhaseRequested,
    PolicyAdopted,
    RunAborted,
    RunEscalated,
    RunFinished,
    RunStarted,
)
from libs.contracts.ladder import Ladder
from libs.contracts.words import DecisionKind, Level, Phase, RunOutcome
from libs.contracts.workflow import DEFAULT_AGENT, LoopName, OnTimeout
from services.gatekeeper.answers import offered
from services.gatekeeper.authority import NOTHING_ALLOWED, UNKNOWN, Authority, Experience, authority
from services.gatekeeper.budget import agent_for, cost_limit_usd, deadline_s, spent
from services.gatekeeper.climbing import falls
from services.gatekeeper.healing import healer
from services.gatekeeper.judging import judge
from services.gatekeeper.retries import pause_s
from services.gatekeeper.rollback import is_to_be_taken_back, rollback_owed
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import Stage


def decide(run: Run, ladder: Ladder, experience: Experience = UNKNOWN) -> list[Owed]:
    """Facts owed now; none if the answer is already in the log, or if the run cannot be read.

    What nobody knows of the run's agent, of production and of the sandbox (`experience`) holds its level down.
    """
    if run.unread:
        return []
    allowed = authority(run, ladder, experience) if run.started else NOTHING_ALLOWED
    lost = [Owed(fact, run.cause) for fact in falls(run, ladder)]
    return lost + _closing(run) + rollback_owed(run) + [Owed(fact, run.cause) for fact in _owed(run, ladder, allowed)]


def _closing(run: Run) -> list[Owed]:
    """A checkpoint that the run has left is closed before anything else."""
    if run.checkpoint is None or run.stage is Stage.WAITING:
        return []
    how = "expired" if run.stage is Stage.EXPIRED else "decided"
    closed = CheckpointClosed(
        run=run.run,
        phase=run.checkpoint.phase,
        attempt=run.checkpoint.attempt,
        how=how,
        decision=run.decision.decision if run.decision and how == "decided" else None,
    )
    return [Owed(closed, run.cause)]


def _owed(run: Run, ladder: Ladder, allowed: Authority) -> list[Fact]:
    match run.stage:
        case Stage.OPENED:
            return _opening(run, ladder)
        case Stage.STARTED:
            return _starting(run)
        case Stage.ANSWERED:
            return [judge(run, ladder, allowed)] if pause_s(run) is None else []
        case Stage.PROCEEDING:
            return _proceed(run, ladder, allowed)
        case Stage.RETRYING:
            return [request(run, run.phase, run.attempts[-1].loop)]
        case Stage.HEALING:
            return [request(run, healer(run), run.judged.loop if run.judged else None)]
        case Stage.MOVED:
            return [request(run, Phase.DEPLOY)]
        case Stage.WAITING:
            return _reminder(run)
        case Stage.STOPPING:
            return _stopping(run, ladder, allowed)
        case Stage.REFUSED:
            return [_checkpoint(run)]
        case Stage.APPROVED:
            return [_approved(run, ladder, allowed)]
        case Stage.EXPIRED:
            return _expired(run)
        case Stage.ABORTING:
            return [_abort(run)]
        case Stage.REJECTED | Stage.CANCELLING:
            return [_finish(run)]
        case Stage.WATCHED:
            return [] if is_to_be_taken_back(run) else [_finish(run)]
        case Stage.AUTHORISED:
            return _overdue(run)
        case Stage.UNKNOWN | Stage.WORKING | Stage.MERGED | Stage.WATCHING:
            return []
        case Stage.ABORTED | Stage.ENDED:
            return []
        case _:
            assert_never(run.stage)


def _opening(run: Run, ladder: Ladder) -> list[Fact]:
    """A new issue revision: its policy is adopted if the ladder does not hold it, and its run begins."""
    if (issue := run.issue) is None:
        return []
    adopted = PolicyAdopted(
        workflow=issue.workflow,
        repository=issue.repository,
        commit=issue.snapshot.base,
        policy=issue.snapshot.policy,
        policy_digest=issue.snapshot.policy_digest,
    )
    is_new = issue.snapshot.policy_digest != ladder.policy_digest and issue.snapshot.problem is None
    return [*([adopted] if is_new else []), _start(run.run, issue)]


def _start(run: str, issue: IssueOpened) -> RunStarted:
    policy = issue.snapshot.policy
    team = policy.team_of(issue.labels)
    return RunStarted(
        run=run,
        issue=issue.issue,
        revision=issue.revision,
        workflow=issue.workflow,
        repository=issue.repository,
        branch=issue.snapshot.branch,
        base=issue.snapshot.base,
        title=issue.title,
        body=issue.body,
        issue_type=issue.issue_type,
        labels=issue.labels,
        author=issue.author,
        opened_by=issue.opened_by,
        level=issue.level or policy.autonomy,
        agent=issue.agent or policy.agent or DEFAULT_AGENT,
        agent_by="operator" if issue.agent else "workflow",
        team=team,
        phases=policy.route(issue.issue_type),
        policy=policy.for_team(team),
        policy_digest=issue.snapshot.policy_digest,
        problem=issue.snapshot.problem,
    )


def _starting(run: Run) -> list[Fact]:
    started = run.begun
    if started.problem is not None:
        return [RunFinished(run=run.run, outcome=RunOutcome.DECLINED, reason=started.problem)]
    return [request(run, started.phases[0])]


def _stopping(run: Run, ladder: Ladder, allowed: Authority) -> list[Fact]:
    """A human is asked, and called first who did not expect it; whoever approved the same change is not."""
    judged = run.judged
    assert judged is not None, "a checkpoint follows a verdict"
    if run.phase is Phase.DEPLOY and judged.verdict.outcome.is_passed and _merge_decision(run):
        return [_authorise(run, ladder, allowed)]
    if judged.calls_human and not run.is_escalated:
        return [_escalate(run, judged.reason), _checkpoint(run)]
    return [_checkpoint(run)]


def _reminder(run: Run) -> list[Fact]:
    """Whoever should decide is reminded once before the checkpoint expires."""
    checkpoint = run.checkpoint
    assert checkpoint is not None, "a run waits at a checkpoint"
    is_due = any(name.startswith("reminder-") and name.endswith(f"-{run.checkpoint_count}") for name in run.timers_due)
    if checkpoint.expires_at is None or run.is_reminded or not is_due:
        return []
    reminded = CheckpointReminded(run=run.run, phase=run.phase, attempt=run.attempt, expires_at=checkpoint.expires_at)
    return [reminded]


def _overdue(run: Run) -> list[Fact]:
    """A merge that takes too long calls a human; should it land after all, that is as good."""
    if f"landing-{run.attempt}" not in run.timers_due or run.is_called:
        return []
    return [_escalate(run, "the merger has not answered in time; rung doctor may tell why")]


def _expired(run: Run) -> list[Fact]:
    """Nobody answered in time: a human is called once where the workflow says so, then the run ends."""
    if run.is_called:
        return [_checkpoint(run)]
    policy = run.begun.policy.checkpoint_after(run.phase)
    if policy.on_timeout is OnTimeout.ESCALATE and not run.is_escalated:
        return [_escalate(run, f"nobody decided within {policy.timeout_s:g} s"), _checkpoint(run)]
    return [_abort(run)]


def _escalate(run: Run, reason: str) -> RunEscalated:
    """Call a human, in the words of the workflow."""
    policy = run.begun.policy
    gate = policy.gates.get(run.phase)
    own = gate.escalation if gate else None
    said = own.message.replace("{retries}", str(run.attempts_of(run.phase) - 1)) if own else ""
    return RunEscalated(
        run=run.run,
        phase=run.phase,
        attempt=run.attempt,
        reason=f"{said}: {reason}" if said else reason,
        target=own.target if own and own.message else policy.escalation.target,
        notify=policy.escalation.notify,
    )


def _proceed(run: Run, ladder: Ladder, allowed: Authority) -> list[Fact]:
    """On to the next phase; after deploy the merge waits for its timer, or for a human where authority was lost."""
    if run.phase is not Phase.DEPLOY:
        return [_next(run)]
    return [] if _has_authority(ladder, allowed) else [_checkpoint(run)]


def _approved(run: Run, ladder: Ladder, allowed: Authority) -> Fact:
    """On to the next phase or to the merge; a timer alone approves none that is held or has lost its authority."""
    if run.phase is not Phase.DEPLOY:
        return _next(run)
    is_the_machine_s = _has_authority(ladder, allowed) and not run.is_held
    return _authorise(run, ladder, allowed) if _merge_decision(run) or is_the_machine_s else _checkpoint(run)


def _has_authority(ladder: Ladder, allowed: Authority) -> bool:
    """Whether this change may merge without a human."""
    return allowed.level is Level.ASE and not ladder.is_frozen


def _merge_decision(run: Run) -> DecisionRecorded | None:
    """The human's word on merging the attempt at hand.

    An approval of an earlier attempt holds when only the base has moved since: the change is the same by its patch-id.
    """
    match run.decision:
        case DecisionRecorded(kind=DecisionKind.APPROVE | DecisionKind.OVERRIDE, phase=Phase.DEPLOY) as decision:
            is_same = decision.attempt == run.attempt or _is_same_change(run, decision)
            return decision if is_same else None
        case _:
            return None


def _is_same_change(run: Run, decision: DecisionRecorded) -> bool:
    earlier = next((r.judged for r in run.attempts if r.phase is Phase.DEPLOY and r.attempt == decision.attempt), None)
    if decision.kind is not DecisionKind.APPROVE or earlier is None or run.judged is None:
        return False
    return earlier.patch_id is not None and earlier.patch_id == run.judged.patch_id


def _next(run: Run) -> Fact:
    """The request for the phase after the present one, or the end of a route that merges nothing."""
    if run.after is None:
        reason = f"the route of {run.begun.issue_type} issues ends without deploy; nothing was merged"
        return RunFinished(run=run.run, outcome=RunOutcome.DECLINED, reason=reason)
    return request(run, run.after)


def request(run: Run, phase: Phase, loop: LoopName | None = None) -> PhaseRequested | RunAborted:
    """Ask for an attempt at a phase, on the candidate so far and with all artifacts so far; or end, all spent.

    A full rebuild begins again from the base.
    """
    started = run.begun
    assert started.base is not None, "a run without a base was declined"
    if (reason := spent(run, phase, loop)) is not None:
        return RunAborted(run=run.run, phase=run.phase, attempt=max(run.attempt, 1), reason=reason)
    return PhaseRequested(
        run=run.run,
        phase=phase,
        attempt=run.attempts_of(phase) + 1,
        base=started.base,
        commit=started.base if loop is LoopName.FULL_REBUILD else run.commit or started.base,
        agent=agent_for(run, phase),
        inputs=dict(run.artifacts),
        targets=run.targets,
        guidance=run.decision.guidance if run.decision else None,
        deadline_s=deadline_s(run),
        loop=loop,
        cost_limit_usd=cost_limit_usd(run, phase, loop),
    )


def _checkpoint(run: Run) -> CheckpointOpened:
    """Where the run waits: bound to what was judged, and saying what may be answered."""
    judged = run.judged
    assert judged is not None, "a checkpoint follows a verdict"
    refused = run.refused.message if run.refused and run.stage is Stage.REFUSED else None
    return CheckpointOpened(
        run=run.run,
        phase=run.phase,
        attempt=run.attempt,
        commit=judged.commit,
        policy_digest=judged.policy_digest,
        reason=refused or judged.reason,
        answers=offered(run),
        expires_at=_expiry(run, judged),
    )


def _expiry(run: Run, judged: GateJudged) -> float | None:
    """When the wait ends; at the lowest level only where the workflow says so."""
    policy = run.begun.policy
    if judged.level_in_force is Level.ASSISTED and run.phase not in policy.checkpoints:
        return None
    return run.since + policy.checkpoint_after(run.phase).timeout_s


def _authorise(run: Run, ladder: Ladder, allowed: Authority) -> MergeAuthorised:
    """Exactly the integration commit that the deploy gate judged may land on exactly its base."""
    integration = run.evidence.integration
    assert integration is not None, "a merge follows an integration commit"
    assert integration.commit is not None, "a merge follows an integration commit"
    assert integration.tree is not None, "a merge follows an integration commit"
    decided = _merge_decision(run)
    return MergeAuthorised(
        run=run.run,
        attempt=run.attempt,
        base=integration.base,
        commit=integration.commit,
        tree=integration.tree,
        branch=run.begun.branch,
        by=decided.by if decided else f"level {allowed.level}",
        decision=decided.decision if decided else None,
        level_in_force=allowed.level,
        ladder_sequence=ladder.sequence,
    )


def _abort(run: Run) -> RunAborted:
    reason = "nobody decided before the checkpoint expired"
    if run.stage is Stage.ABORTING and run.judged is not None:
        reason = "; ".join((run.judged.reason, *run.judged.verdict.reasons))
    return RunAborted(run=run.run, phase=run.phase, attempt=run.attempt, reason=reason)


def _finish(run: Run) -> RunFinished:
    """The end: merged and watched, declined by a human for the gate's reasons or their own, or cancelled."""
    said = run.decision.reason if run.decision else ""
    if run.stage is Stage.WATCHED and run.watched is not None:
        taken_back = f"; taken back ({run.reverted.why}): {run.reverted.reason}" if run.reverted else ""
        reason = f"merged; watch ended {run.watched.outcome}{taken_back}"
        return RunFinished(run=run.run, outcome=RunOutcome.MERGED, reason=reason)
    if run.stage is Stage.CANCELLING:
        return RunFinished(run=run.run, outcome=RunOutcome.CANCELLED, reason=said or "cancelled")
    reasons = run.judged.verdict.reasons if run.judged else ()
    return RunFinished(run=run.run, outcome=RunOutcome.DECLINED, reason="; ".join(reasons) or said or "rejected")
