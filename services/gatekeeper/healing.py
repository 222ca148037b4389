"""Whether a failed gate may send the work back: bounded by loop, budget, and by something new being known.

Theory: what failed triggers a loop (`test_failure` the test loop, a blocker the patch loop, an
architectural finding the full rebuild). The loop says how often and for how much money the work is
done again. All bounds are counted from facts, so they hold across restarts. What a bound says is a
sentence for the verdict's reason; `None` means that the builder may be asked again.
"""

from typing import Final, NamedTuple

from libs.contracts.criteria import canonical_name
from libs.contracts.evidence import Evidence
from libs.contracts.verdict import Verdict
from libs.contracts.words import Disposition, Outcome, Phase, Severity
from libs.contracts.workflow import GatePolicy, LoopName, LoopPolicy, LoopTrigger, OnExhaust, OnFail, RetryStrategy
from services.gatekeeper.budget import spent
from services.gatekeeper.run import AttemptRecord, Run

HEALERS: Final = {Phase.TEST: Phase.BUILD, Phase.REVIEW: Phase.BUILD, Phase.DEPLOY: Phase.BUILD}
"""Which phase is done again when a gate fails; any other phase heals itself."""

STRATEGIES: Final = {
    RetryStrategy.REBUILD: Phase.BUILD,
    RetryStrategy.REBUILD_AND_RETEST: Phase.BUILD,
    RetryStrategy.RESOLVE_CONFLICTS: Phase.BUILD,
    RetryStrategy.REDOCUMENT: Phase.DOCUMENT,
}
"""Which phase a gate's own strategy does again."""

IGNORABLE: Final = {
    "blocker": ("no_blockers", "max_blockers"),
    "critical": ("max_critical",),
    "tech_debt": ("tech_debt_max", "tech_debt_logged"),
    "skippable": ("lint_warnings_max",),
}
"""Criteria that a loop ignores by one word; any criterion can be ignored by its own name."""

ARCHITECTURE: Final = "architect"
"""What the rule of a finding holds that says that the approach is wrong."""

_WEIGHTY: Final = (Severity.BLOCKER, Severity.CRITICAL)


class Healing(NamedTuple):
    """The loop that a fail triggers, if any, and why the builder is not asked again; `None` when it may be."""

    loop: LoopName | None
    stopped: str | None


def healing(run: Run, verdict: Verdict, *, declined: str | None) -> Healing:
    """What may follow a verdict that fails."""
    trigger = _trigger(run.phase, run.evidence)
    loop = next((name for name in LoopName if _loop(run, name).trigger is trigger), None)
    if declined is not None:
        return Healing(loop, "the worker says that a retry is pointless")
    if run.phase is Phase.DEPLOY and run.warned_of_tests:
        return Healing(loop, "the tests did not pass before either, as was warned")
    if loop is None:
        return Healing(None, f"no loop of the workflow is triggered by {trigger}")
    stopped = _forbidden(run) or _ignored(_loop(run, loop), verdict) or _loop_end(run, loop) or _no_news(run, verdict)
    return Healing(loop, stopped or spent(run, healer(run), loop))


def healer(run: Run) -> Phase:
    """The phase that is done again for the one at hand; on a route without it the phase itself."""
    gate = _gate(run)
    strategy = gate.retry_strategy if gate else None
    chosen = STRATEGIES[strategy] if strategy else HEALERS.get(run.phase, run.phase)
    return chosen if chosen in run.begun.phases else run.phase


def on_exhaust(run: Run, loop: LoopName | None) -> OnExhaust | None:
    """What the workflow says of a fail that is not healed; `None` where the level decides."""
    gate = _gate(run)
    if gate is not None and gate.on_fail in (OnFail.ESCALATE, OnFail.LOG):
        return OnExhaust.ESCALATE if gate.on_fail is OnFail.ESCALATE else OnExhaust.WARN
    return _loop(run, loop).on_exhaust if loop else None


def failures_of(evidence: Evidence, verdict: Verdict) -> frozenset[str]:
    """What failed, by stable names: two attempts with the same failures have the same set."""
    tests = evidence.tests.failures if evidence.tests else ()
    findings = evidence.review.findings if evidence.review else ()
    missing = evidence.plan.files_missing if evidence.plan else ()
    conflicts = evidence.integration.conflicts if evidence.integration else ()
    return frozenset(
        (
            *verdict.codes,
            *(f"test {case.name}" for case in tests),
            *(f"finding {f.fingerprint or f'{f.rule} {f.file}'}" for f in findings if f.severity in _WEIGHTY),
            *(f"file {path}" for path in (*missing, *conflicts)),
        )
    )


def _gate(run: Run) -> GatePolicy | None:
    return run.begun.policy.gates.get(run.phase)


def _loop(run: Run, name: LoopName) -> LoopPolicy:
    return run.begun.policy.loop(name, run.begun.issue_type)


def _trigger(phase: Phase, evidence: Evidence) -> LoopTrigger:
    if phase is not Phase.REVIEW:
        return LoopTrigger.TEST_FAILURE
    findings = evidence.review.findings if evidence.review else ()
    is_wrong_approach = any(ARCHITECTURE in f.rule.lower() for f in findings if f.severity in _WEIGHTY)
    return LoopTrigger.ARCHITECTURAL_ISSUE if is_wrong_approach else LoopTrigger.BLOCKER


def _forbidden(run: Run) -> str | None:
    gate = _gate(run)
    is_not_healed = gate is not None and gate.on_fail in (OnFail.ESCALATE, OnFail.LOG)
    return f"the gate says {gate.on_fail} on a fail" if gate and is_not_healed else None


def _ignored(loop: LoopPolicy, verdict: Verdict) -> str | None:
    """Whether all that failed is of kinds that the loop leaves alone."""
    failed = {canonical_name(said.name) for said in verdict.criteria if said.outcome is Outcome.FAIL}
    ignored = {name for word in loop.ignore for name in IGNORABLE.get(word, (canonical_name(word),))}
    return f"the loop ignores {', '.join(sorted(failed))}" if failed and failed <= ignored else None


def _loop_end(run: Run, name: LoopName) -> str | None:
    gate = _gate(run)
    own = gate.max_retries if gate else None
    allowed = _loop(run, name).max if own is None else own
    judged = [record.judged for record in run.attempts if record.phase is run.phase and record.judged]
    made = sum(one.disposition is Disposition.HEAL and one.loop is name for one in judged)
    return None if made < allowed else f"the loop allows {allowed} healing attempts"


def _no_news(run: Run, verdict: Verdict) -> str | None:
    """The same failures as in the attempt before: another try would know nothing new."""
    gate = _gate(run)
    before = _last_failed(run)
    if before is None or (gate is not None and not gate.stop_on_no_progress):
        return None
    assert before.judged is not None, "a failed attempt was judged"
    is_same = failures_of(run.evidence, verdict) == failures_of(before.evidence, before.judged.verdict)
    return "the failures are the same as before, so nothing new is known" if is_same else None


def _last_failed(run: Run) -> AttemptRecord | None:
    judged = [record for record in run.attempts if record.phase is run.phase and record.judged is not None]
    if not judged or judged[-1].judged is None or judged[-1].judged.verdict.outcome is not Outcome.FAIL:
        return None
    return judged[-1]
