"""Merges: exactly what was judged is authorised, and exactly what was authorised lands."""

from collections.abc import Iterator

from libs.contracts.facts import ChangeMerged, DecisionRecorded, GateJudged, MergeAuthorised
from libs.contracts.words import DecisionKind, Disposition, Level, Phase
from services.gatekeeper.run import Run

Found = Iterator[tuple[str, str]]


def wrong_authorisation(run: Run, authorised: MergeAuthorised) -> Found:
    """Codes and sentences for what does not hold of an authorisation on the run as it was."""
    judged = _judged(run, authorised.attempt)
    if judged is None:
        yield "authorisation.unfounded", f"no gate has judged deploy attempt {authorised.attempt}"
        return
    integration = run.evidence.integration
    pairs = {
        "commit": (authorised.commit, judged.commit),
        "tree": (authorised.tree, judged.tree),
        "base": (authorised.base, integration.base if integration else None),
        "branch": (authorised.branch, run.begun.branch),
    }
    for name, (own, before) in pairs.items():
        if own != before:
            yield "authorisation.differs", f"the {name} {own[:40]} is not the one that was judged ({before or 'none'})"
    yield from _unfounded(run, authorised, judged)


def wrong_merge(run: Run, merged: ChangeMerged) -> Found:
    """Codes and sentences for what does not hold of a merge."""
    authorised = run.authorised
    if merged.method == "foreign":
        yield "merge.foreign", f"somebody merged {merged.tip[:12]} into {merged.target} by themselves"
        return
    if authorised is None:
        yield "merge.unauthorised", f"{merged.tip[:12]} was merged into {merged.target} and nothing authorised it"
        return
    pairs = {
        "tree": (merged.tree, authorised.tree),
        "base": (merged.base, authorised.base),
        "tip": (merged.tip, authorised.commit),
        "target": (merged.target, authorised.branch),
    }
    for name, (own, allowed) in pairs.items():
        if own != allowed:
            yield "merge.differs", f"the {name} {own[:40]} was merged, and {allowed[:40]} was authorised"


def _judged(run: Run, attempt: int) -> GateJudged | None:
    """The verdict on this attempt at the merge."""
    records = (record for record in run.attempts if record.phase is Phase.DEPLOY and record.attempt == attempt)
    return next((record.judged for record in records), None)


def _unfounded(run: Run, authorised: MergeAuthorised, judged: GateJudged) -> Found:
    if authorised.decision is None:
        if authorised.level_in_force is not Level.ASE:
            yield "authorisation.unfounded", f"nobody decided, and at {authorised.level_in_force} a human merges"
        elif judged.disposition is not Disposition.PROCEED:
            yield "authorisation.unfounded", f"nobody decided, and the gate's word was {judged.disposition}"
        return
    decision = run.decisions.get(authorised.decision)
    if not isinstance(decision, DecisionRecorded) or decision.awaits:
        yield "authorisation.unfounded", "the decision that it names does not count"
    elif decision.kind not in (DecisionKind.APPROVE, DecisionKind.OVERRIDE) or decision.phase is not Phase.DEPLOY:
        yield "authorisation.unfounded", f"the decision that it names is {decision.kind} after {decision.phase}"
    elif decision.by != authorised.by:
        yield "authorisation.unfounded", f"it was decided by {decision.by}, not by {authorised.by}"
