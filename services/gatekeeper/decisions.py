"""Human decisions: what a person asks for becomes a recorded decision or a refusal with a sentence.

A decision counts once: the client makes its id, and a repeat gets the first answer. It is bound to
the phase, attempt, commit and policy that it was about, and it never approves what failed.
"""

from typing import Final, NamedTuple

from libs.contracts.facts import DecisionRecorded, DecisionRefused, Owed
from libs.contracts.people import EVERYONE, People, Role
from libs.contracts.requests import DecisionRequest, one_line
from libs.contracts.words import DecisionKind, Outcome
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import TRANSITIONS, Stage

AUTHORISED_OR_LATER: Final = (Stage.AUTHORISED, Stage.MOVED, Stage.MERGED, Stage.WATCHING, Stage.WATCHED)


class Refusal(NamedTuple):
    code: str
    message: str


def consider(run: Run, request: DecisionRequest, people: People = EVERYONE) -> list[Owed]:
    """The answer that is owed to a decision request; none if it has been answered.

    Whoever is in the operator's file is recorded by the name there, whatever name the request gives.
    """
    if request.decision in run.decisions or run.unread:
        return []
    refusal = not_allowed(run, request, people) or _refusal(run, request)
    by = people.named(request.os_user) or one_line(request.by)
    return [Owed(_refuse(request, by, refusal) if refusal else _record(run, request, by), run.cause)]


def not_allowed(run: Run, request: DecisionRequest, people: People) -> Refusal | None:
    """Who is not in the operator's file, only looks, or opened or wrote this issue, does not decide on its run."""
    if not people.people:
        return None
    if (name := people.named(request.os_user)) is None:
        return Refusal("unknown_person", f"the operator's file names nobody with the user {one_line(request.os_user)}")
    if people.people[name].role is Role.VIEWER:
        return Refusal("only_looks", f"{name} may look, not decide")
    own = {run.begun.opened_by, run.begun.author} & {name, request.os_user, *people.people[name].users}
    if people.is_strict and own:
        return Refusal("own_work", f"{name} opened or wrote this issue; somebody else has to decide")
    return None


def _refuse(request: DecisionRequest, by: str, refusal: Refusal) -> DecisionRefused:
    return DecisionRefused(
        run=request.run,
        decision=request.decision,
        kind=request.kind,
        by=by,
        code=refusal.code,
        message=refusal.message,
    )


def _record(run: Run, request: DecisionRequest, by: str) -> DecisionRecorded:
    return DecisionRecorded(
        run=request.run,
        decision=request.decision,
        kind=request.kind,
        by=by,
        os_user=one_line(request.os_user),
        automatic=request.automatic,
        reason=one_line(request.reason, 1000),
        guidance=request.guidance or (request.reason if request.kind is DecisionKind.GUIDE else None),
        phase=run.phase,
        attempt=max(run.attempt, 1),
        commit=run.checkpoint.commit if run.checkpoint else run.commit,
        policy_digest=run.begun.policy_digest,
        is_override=is_override(run, request.kind),
    )


def is_override(run: Run, kind: DecisionKind) -> bool:
    """Whether the decision contradicts the gate: going on after a fail, or turning a pass down."""
    outcome = run.judged.verdict.outcome if run.judged else None
    went_on = kind is DecisionKind.OVERRIDE and outcome is Outcome.FAIL
    return went_on or (kind is DecisionKind.REJECT and outcome is Outcome.PASS)


def _refusal(run: Run, request: DecisionRequest) -> Refusal | None:
    for question in (_wrong_place, _stale, _against_verdict, _nothing_to_go_on_with, _lacks_words):
        if (refusal := question(run, request)) is not None:
            return refusal
    return None


def _wrong_place(run: Run, request: DecisionRequest) -> Refusal | None:
    """The run is not where this decision means anything."""
    if request.kind in (DecisionKind.GRANT, DecisionKind.REVOKE):
        return Refusal("not_for_a_run", f"{request.kind} is about a workflow's level, not about a run")
    if run.stage is Stage.ENDED:
        return Refusal("run_ended", f"the run has ended ({run.finished.outcome if run.finished else 'ended'})")
    if run.stage in AUTHORISED_OR_LATER:
        return Refusal("too_late", "the merge is under way or done")
    if f"decision.recorded:{request.kind}" in TRANSITIONS[run.stage] or request.kind in (
        DecisionKind.HOLD,
        DecisionKind.RELEASE,
    ):
        return None
    if request.kind is DecisionKind.RESUME:
        return Refusal("not_aborted", "only an aborted run can be resumed")
    return Refusal("nothing_waits", f"the run does not wait for a decision; it is {run.stage}")


def _stale(run: Run, request: DecisionRequest) -> Refusal | None:
    """What the person saw is no longer what the run is about."""
    seen = (request.phase, request.attempt, request.commit)
    now = (run.phase, run.attempt, run.checkpoint.commit if run.checkpoint else run.commit)
    if all(s is None or s == n for s, n in zip(seen, now, strict=True)):
        return None
    return Refusal("stale", f"this was about {_named(seen)}; the run is at {_named(now)}")


def _named(place: tuple[object, object, object]) -> str:
    phase, attempt, commit = place
    return f"{phase or '?'} attempt {attempt or '?'} on {str(commit)[:12] if commit else '?'}"


def _against_verdict(run: Run, request: DecisionRequest) -> Refusal | None:
    """Approve agrees with the gate, override contradicts it; neither stands in for the other."""
    outcome = run.judged.verdict.outcome if run.judged and run.stage is Stage.WAITING else None
    if request.kind is DecisionKind.APPROVE and outcome is Outcome.FAIL:
        return Refusal("approve_on_fail", "the gate says fail; say override to go on against it")
    if request.kind is DecisionKind.OVERRIDE and outcome is not Outcome.FAIL:
        return Refusal("nothing_to_override", f"the gate says {outcome}; say approve to go on")
    if request.kind is DecisionKind.OVERRIDE and request.automatic:
        return Refusal("automatic_override", "a program never overrides a gate")
    return None


def _nothing_to_go_on_with(run: Run, request: DecisionRequest) -> Refusal | None:
    """Nobody goes on without a change, nor merges without the commit that would land."""
    if request.kind not in (DecisionKind.APPROVE, DecisionKind.OVERRIDE) or run.lacking is None:
        return None
    return Refusal("nothing_to_go_on_with", f"{run.lacking}; say retry or guide")


def _lacks_words(run: Run, request: DecisionRequest) -> Refusal | None:  # noqa: ARG001 - all questions look alike
    if request.kind is DecisionKind.OVERRIDE and not request.reason.strip():
        return Refusal("no_reason", "an override needs a reason")
    if request.kind is DecisionKind.GUIDE and not (request.guidance or request.reason).strip():
        return Refusal("no_guidance", "guide needs the text that the next attempt is given")
    return None
