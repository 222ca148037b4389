"""Whether a failed gate may send the work back: bounded by loop, budget, and by something new being known.

All bounds are counted from facts, so they hold across restarts. What a bound says is a sentence for the
verdict's reason; `None` means that the builder may be asked again.
"""

from typing import Final

from libs.contracts.evidence import Evidence
from libs.contracts.verdict import Verdict
from libs.contracts.words import Outcome, Phase, Severity
from libs.contracts.workflow import LoopName
from services.gatekeeper.run import AttemptRecord, Run

HEALERS: Final = {Phase.TEST: Phase.BUILD, Phase.REVIEW: Phase.BUILD, Phase.DEPLOY: Phase.BUILD}
"""Which phase is done again when a gate fails; any other phase heals itself."""

LOOPS: Final = {Phase.REVIEW: LoopName.REVIEW_PATCH}
"""Which loop bounds the healing of a phase; the others are bounded by `test_retry`."""

_WEIGHTY: Final = (Severity.BLOCKER, Severity.CRITICAL)


def healer(run: Run) -> Phase:
    """The phase that is done again for the one at hand; on a route without it the phase itself."""
    chosen = HEALERS.get(run.phase, run.phase)
    return chosen if chosen in run.begun.phases else run.phase


def exhausted(run: Run, verdict: Verdict, *, declined: str | None) -> str | None:
    """Why the builder is not asked again; `None` when it may be."""
    if declined is not None:
        return "the worker says that a retry is pointless"
    return _loop_end(run) or _budget_end(run) or _no_news(run, verdict)


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


def _loop_end(run: Run) -> str | None:
    loop = run.begun.policy.loop(LOOPS.get(run.phase, LoopName.TEST_RETRY), run.begun.issue_type)
    tries = run.attempts_of(healer(run))
    return None if tries <= loop.max else f"the loop allows {loop.max} healing attempts"


def _budget_end(run: Run) -> str | None:
    budget = run.begun.policy.budget
    spent_s = run.since - run.attempts[0].requested_at if run.attempts else 0.0
    if budget.attempts is not None and len(run.attempts) >= budget.attempts:
        return f"the run's budget of {budget.attempts} attempts is spent"
    if budget.wall_s is not None and spent_s >= budget.wall_s:
        return f"the run's budget of {budget.wall_s:g} s is spent"
    return None


def _no_news(run: Run, verdict: Verdict) -> str | None:
    """The same failures as in the attempt before: another try would know nothing new."""
    gate = run.begun.policy.gates.get(run.phase)
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
