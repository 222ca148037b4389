"""The verdict on an answer and who decides now: classify, heal, dispose, in one fact.

The table of dispositions tells most of it; what it cannot tell of a deploy is told here, where the
whole run is known.
"""

from libs.contracts.facts import GateJudged, PhaseCompleted
from libs.contracts.ladder import Ladder
from libs.contracts.verdict import CriterionVerdict, Verdict, worst
from libs.contracts.words import Disposition, Level, Outcome, Phase
from libs.contracts.workflow import PhaseRule
from services.gatekeeper.authority import Authority
from services.gatekeeper.dispositions import SILENCE, Disposed, Said, dispose
from services.gatekeeper.gates import verdict_of
from services.gatekeeper.healing import healing, on_exhaust
from services.gatekeeper.quorum import quorum
from services.gatekeeper.run import Run


def judge(run: Run, ladder: Ladder, allowed: Authority, *, has_shadow: bool = True) -> GateJudged:
    """The verdict on the answer at hand, and who decides by the level in force; `has_shadow` looks one level up too."""
    started = run.begun
    declined = run.answer.declined if isinstance(run.answer, PhaseCompleted) else None
    verdict = _with_red_tests(run, verdict_of(started.policy, run.phase, run.evidence, declined=declined))
    level = allowed.level
    loop, stopped = healing(run, verdict, declined=declined)

    def disposed_at(level: Level) -> Disposed:
        said = Said(_said_rule(run, level), on_exhaust(run, loop))
        return _bounded(run, verdict, dispose(level, run.phase, verdict, can_heal=stopped is None, said=said))

    disposed = disposed_at(level)
    integration = run.evidence.integration
    return GateJudged(
        run=run.run,
        phase=run.phase,
        attempt=run.attempt,
        verdict=verdict,
        disposition=disposed.disposition,
        reason=_reason(disposed, verdict, stopped if level is not Level.ASSISTED else None),
        level_in_force=level,
        ladder_sequence=ladder.sequence,
        shadow=disposed_at(level.above).disposition if has_shadow and level.above else None,
        calls_human=disposed.calls_human,
        caps=allowed.caps,
        loop=loop if disposed.disposition is Disposition.HEAL else None,
        commit=integration.commit if integration else run.commit,
        tree=integration.tree if integration else run.evidence.tree,
        patch_id=integration.patch_id if integration else None,
        policy_digest=started.policy_digest,
    )


def _with_red_tests(run: Run, verdict: Verdict) -> Verdict:
    """A change whose test gate failed stays red on the commit that would land, whatever is found there."""
    red = run.warned_of_tests
    if run.phase is not Phase.DEPLOY or red is None or red.verdict.outcome is not Outcome.FAIL:
        return verdict
    said = f"the test gate said fail: {'; '.join(red.verdict.reasons[:2])}"
    return worst(
        (CriterionVerdict(name="test_gate", outcome=Outcome.FAIL, code="tests_red", message=said), *verdict.criteria)
    )


def _said_rule(run: Run, level: Level) -> PhaseRule | None:
    """What the workflow says of this phase; a checkpoint that it names counts where such checkpoints do."""
    policy = run.begun.policy
    own = policy.phases[run.phase].disposition if run.phase in policy.phases else None
    if level is Level.SUPERVISED and run.phase in policy.checkpoints and own is not PhaseRule.HUMAN:
        return PhaseRule.CHECKPOINT
    return own


def _reason(disposed: Disposed, verdict: Verdict, stopped: str | None) -> str:
    """Why this disposition, and where a fail is not healed, why not."""
    is_stopped = stopped and verdict.outcome is Outcome.FAIL
    return f"{disposed.reason}; not healed: {stopped}" if is_stopped else disposed.reason


def _bounded(run: Run, verdict: Verdict, disposed: Disposed) -> Disposed:
    """What the table alone cannot tell of a deploy: a human decides where a machine has no ground to."""
    if run.phase is not Phase.DEPLOY:
        return disposed
    if disposed.disposition is Disposition.ABORT and run.warned_of_tests:
        how = "only on override" if verdict.outcome is Outcome.FAIL else "only by a human"
        return Disposed(Disposition.CHECKPOINT, f"the tests did not pass, as was warned; the change merges {how}")
    reason = _no_machine_merges(run) if disposed.disposition is Disposition.PROCEED else None
    return Disposed(Disposition.CHECKPOINT, reason) if reason else disposed


def _no_machine_merges(run: Run) -> str | None:
    """Why a change does not merge by itself; `None` when it may."""
    if not run.begun.policy.auto_merge.enabled:
        return "the workflow does not enable auto_merge; a human merges"
    if not all(_gate_passed(run, phase) for phase in (Phase.TEST, Phase.REVIEW)):
        return "without passed test and review verdicts nothing merges by itself"
    if (asked := quorum(run)) is not None:
        return f"the change touches paths on which {asked.people} people have to agree"
    judged = [verdict for phase in run.begun.phases if (verdict := run.last_judged(phase))]
    if silent := [str(one.phase) for one in judged if one.verdict.outcome in SILENCE]:
        return f"the gates of {', '.join(silent)} could not tell; a human merges"
    return None


def _gate_passed(run: Run, phase: Phase) -> bool:
    judged = run.last_judged(phase)
    return judged is not None and judged.verdict.outcome.is_passed
