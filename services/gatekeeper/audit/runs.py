"""Runs: each folded fact by fact, and every fact of the gatekeeper held against the run as it was just before.

A worker's fact that does not fit came late and changes nothing; the gatekeeper's are fenced by the whole run, so one
that does not fit was not stated by it, or not there. Of a run with a message that cannot be read nothing is said from
there on: what it would have been is not known.
"""

from collections import defaultdict
from collections.abc import Iterator

from libs.contracts.export import Entry
from libs.contracts.facts import (
    ChangeMerged,
    CheckpointOpened,
    DecisionRecorded,
    GateJudged,
    IssueOpened,
    MergeAuthorised,
    RunFact,
    RunStarted,
    speaker_of,
)
from libs.contracts.requests import run_id
from libs.contracts.verdict import worst
from libs.contracts.wire import Recorded
from libs.contracts.words import Service
from services.gatekeeper.audit import decisions, merges, names
from services.gatekeeper.audit.findings import Finding
from services.gatekeeper.audit.levels import Ladders
from services.gatekeeper.evolution import evolve
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import event_of

Found = Iterator[tuple[str, str]]


class Runs:
    """All runs as they stand."""

    def __init__(self, ladders: Ladders) -> None:
        self._ladders = ladders
        self._runs: dict[str, Run] = defaultdict(Run)
        self._unread: set[str] = set()
        self._unbegun: set[str] = set()

    def see_unread(self, entry: Entry) -> None:
        stream, _, tail = entry.subject.partition(".")
        if stream == RunFact.stream:
            self._unread.add(tail.partition(".")[0])

    def see(self, recorded: Recorded) -> Iterator[Finding]:
        name = _run_of(recorded)
        if name is None or name in self._unread:
            return
        before = self._runs[name]
        after = evolve(before, recorded)
        self._runs[name] = after
        if len(after.misfits) > len(before.misfits):
            yield self._misfit(before, recorded)
        yield from self._started(before, recorded)
        if before.started is None:
            return
        yield from self._relied_on(before.started, recorded)
        for code, said in _wrong(before, recorded):
            yield Finding(code, recorded.sequence, recorded.fact.subject, said)

    def _misfit(self, run: Run, recorded: Recorded) -> Finding:
        fact = recorded.fact
        is_gatekeeper_s = speaker_of(fact) is Service.GATEKEEPER
        code = "transition.illegal" if is_gatekeeper_s else "answer.late"
        said = f"{event_of(fact)} does not fit a run that is {run.stage} at {run.phase} {run.attempt}"
        return Finding(code, recorded.sequence, fact.subject, said)

    def _started(self, run: Run, recorded: Recorded) -> Iterator[Finding]:
        fact = recorded.fact
        if isinstance(fact, RunStarted):
            if run.issue is not None:
                yield from names.differences(recorded, run.issue)
        elif isinstance(fact, RunFact) and run.started is None and fact.run not in self._unbegun:
            self._unbegun.add(fact.run)
            yield Finding("run.unbegun", recorded.sequence, fact.subject, "no run has begun under this name")

    def _relied_on(self, started: RunStarted, recorded: Recorded) -> Iterator[Finding]:
        if isinstance(recorded.fact, GateJudged | MergeAuthorised):
            yield from self._ladders.relied_on(started, recorded)


def _run_of(recorded: Recorded) -> str | None:
    match recorded.fact:
        case RunFact() as fact:
            return fact.run
        case IssueOpened() as fact:
            return run_id(fact.issue, fact.revision)
        case _:
            return None


def _wrong(run: Run, recorded: Recorded) -> Found:
    match recorded.fact:
        case GateJudged() as judged:
            if judged.verdict.outcome is not worst(judged.verdict.criteria).outcome:
                yield "verdict.outcome", f"the verdict says {judged.verdict.outcome}, and its criteria do not"
            yield from _policy(run, judged)
        case CheckpointOpened() as opened:
            yield from _policy(run, opened)
        case DecisionRecorded() as decision:
            yield from decisions.wrong(run, decision)
        case MergeAuthorised() as authorised:
            yield from merges.wrong_authorisation(run, authorised)
        case ChangeMerged() as merged:
            yield from merges.wrong_merge(run, merged)


def _policy(run: Run, fact: GateJudged | CheckpointOpened) -> Found:
    if fact.policy_digest != run.begun.policy_digest:
        yield "verdict.policy", f"the policy {fact.policy_digest[:12]} is not the one that the run began with"
