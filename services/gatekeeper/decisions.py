"""Human decisions: what a person asks for becomes a recorded decision or a refusal with a sentence.

A decision counts once: the client makes its id, and a repeat gets the first answer. It is bound to
the phase, attempt, commit and policy that it was about, and it never approves what failed. Where a
quorum has to agree, each agreement is recorded with how many more it awaits; the one that awaits
nobody counts.
"""

from typing import Final, NamedTuple

from libs.contracts.facts import DecisionRecorded, DecisionRefused, Owed
from libs.contracts.people import EVERYONE, People, Role
from libs.contracts.requests import DecisionRequest, LadderRequest, one_line
from libs.contracts.signing import is_signed_well
from libs.contracts.words import DecisionKind, Outcome
from services.gatekeeper.answers import GOING_ON, hindrance
from services.gatekeeper.quorum import quorum
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import TRANSITIONS, Stage

JUDGED: Final = (Stage.WAITING, Stage.ABORTED)
"""Stages in which a human speaks about a verdict."""
AUTHORISED_OR_LATER: Final = (Stage.AUTHORISED, Stage.MOVED, Stage.MERGED, Stage.WATCHING, Stage.WATCHED)


class Refusal(NamedTuple):
    code: str
    message: str


class Decider(NamedTuple):
    """Who asks, as far as it is known: `name` goes into the log, `is_signed` if the person's own key says so."""

    name: str
    is_signed: bool = False


def consider(run: Run, request: DecisionRequest, people: People = EVERYONE) -> list[Owed]:
    """The answer that is owed to a decision request; none if it has been answered.

    Whoever is in the operator's file is recorded by the name there, whatever name the request gives.
    """
    if request.decision in run.decisions or run.unread:
        return []
    return [Owed(_answer(run, request, people), run.cause)]


def _answer(run: Run, request: DecisionRequest, people: People) -> DecisionRecorded | DecisionRefused:
    asker = identify(request, people)
    if isinstance(asker, Refusal):
        return _refuse(request, _named_by(request, people), asker)
    if refusal := _not_theirs(run, request, asker.name, people) or _refusal(run, request, asker.name):
        return _refuse(request, asker.name, refusal)
    awaits = _awaits(run, request, asker.name, people)
    if isinstance(awaits, Refusal):
        return _refuse(request, asker.name, awaits)
    return _record(run, request, asker, awaits)


def identify(request: DecisionRequest | LadderRequest, people: People) -> Decider | Refusal:
    """Who asks: the holder of the key that signed, else the person behind the user of the operating system."""
    if request.key is not None or request.signature is not None:
        return _by_key(request, people)
    if not people.people:
        return Decider(one_line(request.by))
    user = one_line(request.os_user)
    if (name := people.named(request.os_user)) is None:
        return Refusal("unknown_person", f"the operator's file names nobody with the user {user}")
    if people.people[name].key is not None:
        hint = "decide where that key is, or name its file in RUNG_PERSON_KEY"
        return Refusal("unsigned", f"{name} is known by a key and this request is not signed; {hint}")
    return Decider(name)


def _by_key(request: DecisionRequest | LadderRequest, people: People) -> Decider | Refusal:
    if not is_signed_well(request):
        return Refusal("bad_signature", "the signature is not that of the key over this request; sign it anew")
    if not people.people:
        return Decider(one_line(request.by))
    if (name := people.holder(request.key or "")) is None:
        hint = "give its public half to the operator, or set RUNG_PERSON_KEY to nothing to decide without it"
        return Refusal("bad_signature", f"the operator's file names nobody with the key {request.key}; {hint}")
    return Decider(name, is_signed=True)


def _named_by(request: DecisionRequest, people: People) -> str:
    """The name for whoever is refused: the file's for the user, else the one they gave."""
    return people.named(request.os_user) or one_line(request.by)


def _not_theirs(run: Run, request: DecisionRequest, name: str, people: People) -> Refusal | None:
    """Who only looks, or opened or wrote this issue, does not decide on its run, but may take it back."""
    if not people.people:
        return None
    if people.people[name].role is Role.VIEWER:
        return Refusal("only_looks", f"{name} may look, not decide")
    workers = (run.begun.opened_by, run.begun.author)
    if request.kind is DecisionKind.REVOKE:
        return None
    if people.is_own(name, *workers) or (people.is_strict and request.os_user in workers):
        return Refusal("own_work", f"{name} opened or wrote this issue; somebody else has to decide")
    return None


def _awaits(run: Run, request: DecisionRequest, name: str, people: People) -> int | Refusal:
    """How many more persons have to agree after this decision."""
    if request.kind not in GOING_ON or (asked := quorum(run)) is None:
        return 0
    if request.automatic:
        return Refusal("needs_people", f"{asked.people} people have to agree on this merge, and no program does")
    who = name if people.people else one_line(request.os_user)
    agreed = {agreement.by if people.people else agreement.os_user for agreement in asked.agreements}
    awaits = max(asked.people - len(agreed | {who}), 0)
    if who in agreed and awaits:
        return Refusal("agreed_already", f"{who} has agreed already; {_more(awaits)} to agree")
    return awaits


def _more(count: int) -> str:
    return "1 more person has" if count == 1 else f"{count} more people have"


def _refuse(request: DecisionRequest, by: str, refusal: Refusal) -> DecisionRefused:
    return DecisionRefused(
        run=request.run,
        decision=request.decision,
        kind=request.kind,
        by=by,
        code=refusal.code,
        message=refusal.message,
    )


def _record(run: Run, request: DecisionRequest, asker: Decider, awaits: int) -> DecisionRecorded:
    return DecisionRecorded(
        run=request.run,
        decision=request.decision,
        kind=request.kind,
        by=asker.name,
        os_user=one_line(request.os_user),
        automatic=request.automatic,
        reason=one_line(request.reason, 1000),
        guidance=request.guidance or (request.reason if request.kind is DecisionKind.GUIDE else None),
        phase=run.phase,
        attempt=max(run.attempt, 1),
        commit=_about(run, request.kind),
        policy_digest=run.begun.policy_digest,
        is_override=is_override(run, request.kind),
        awaits=awaits,
        is_signed=asker.is_signed,
        revert_for=request.revert_for if request.kind is DecisionKind.REVOKE else None,
    )


def _about(run: Run, kind: DecisionKind) -> str | None:
    """The commit that a decision is about."""
    if kind is DecisionKind.REVOKE and run.merged is not None:
        return run.merged.tip
    return run.checkpoint.commit if run.checkpoint else run.commit


def is_override(run: Run, kind: DecisionKind) -> bool:
    """Whether the decision contradicts the gate: going on after a fail, or turning a pass down."""
    outcome = run.judged.verdict.outcome if run.judged else None
    went_on = kind is DecisionKind.OVERRIDE and outcome is Outcome.FAIL
    return went_on or (kind is DecisionKind.REJECT and outcome is Outcome.PASS)


def _refusal(run: Run, request: DecisionRequest, name: str) -> Refusal | None:
    for question in (_wrong_place, _stale, _against_verdict, _hindered, _lacks_words):
        if (refusal := question(run, request)) is not None:
            return _told_to(name, run, refusal)
    return None


def _told_to(name: str, run: Run, refusal: Refusal) -> Refusal:
    """The refusal; who decides a second time where nothing waits any more is told of their first decision."""
    said = run.decision
    if refusal.code != "nothing_waits" or said is None or said.by != name:
        return refusal
    if (said.phase, said.attempt) != (run.phase, run.attempt):
        return refusal
    return refusal._replace(message=f"{name} has decided here already ({said.kind}); {refusal.message}")


def _wrong_place(run: Run, request: DecisionRequest) -> Refusal | None:
    """The run is not where this decision means anything."""
    if request.kind is DecisionKind.REVOKE:
        return _not_to_revert(run, request)
    if request.kind is DecisionKind.GRANT:
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


def _not_to_revert(run: Run, request: DecisionRequest) -> Refusal | None:
    """Only what is merged can be taken back, once, and only by a person."""
    if run.merged is None:
        return Refusal("not_merged", "the change is not merged, so there is nothing to take back")
    if run.reverted is not None:
        return Refusal("reverted_already", f"the change is taken back already, by {run.reverted.tip[:12]}")
    if run.is_rolling_back:
        return Refusal("rolling_back", "the change is being taken back already")
    if request.automatic:
        return Refusal("automatic_rollback", "a program takes nothing back in a person's name")
    return None


def _stale(run: Run, request: DecisionRequest) -> Refusal | None:
    """What the person saw is no longer what the run is about."""
    seen = (request.phase, request.attempt, request.commit)
    now = (run.phase, run.attempt, _about(run, request.kind))
    if all(s is None or s == n for s, n in zip(seen, now, strict=True)):
        return None
    return Refusal("stale", f"this was about {_named(seen)}; the run is at {_named(now)}")


def _named(place: tuple[object, object, object]) -> str:
    phase, attempt, commit = place
    return f"{phase or '?'} attempt {attempt or '?'} on {str(commit)[:12] if commit else '?'}"


def _against_verdict(run: Run, request: DecisionRequest) -> Refusal | None:
    """Approve agrees with the gate, override contradicts it; neither stands in for the other."""
    outcome = run.judged.verdict.outcome if run.judged and run.stage in JUDGED else None
    if request.kind is DecisionKind.APPROVE and outcome is Outcome.FAIL:
        return Refusal("approve_on_fail", "the gate says fail; say override to go on against it")
    if request.kind is DecisionKind.OVERRIDE and outcome is not Outcome.FAIL:
        return Refusal("nothing_to_override", f"the gate says {outcome}; say approve to go on")
    if request.kind is DecisionKind.OVERRIDE and request.automatic:
        return Refusal("automatic_override", "a program never overrides a gate")
    return None


def _hindered(run: Run, request: DecisionRequest) -> Refusal | None:
    """Nobody goes on without a change or a commit that would land, nor asks for work that no budget is left for."""
    found = hindrance(run, request.kind)
    return Refusal(*found) if found else None


def _lacks_words(run: Run, request: DecisionRequest) -> Refusal | None:  # noqa: ARG001 - all questions look alike
    if request.kind is DecisionKind.OVERRIDE and not request.reason.strip():
        return Refusal("no_reason", "an override needs a reason")
    if request.kind is DecisionKind.REVOKE and (request.revert_for is None or not request.reason.strip()):
        return Refusal("no_reason", "to take a change back needs a reason, and why: regression, business or drill")
    if request.kind is DecisionKind.GUIDE and not (request.guidance or request.reason).strip():
        return Refusal("no_guidance", "guide needs the text that the next attempt is given")
    return None
