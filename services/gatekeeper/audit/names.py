"""Names that follow from what they name: issues, runs, workflows, and policies by their digest."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from libs.contracts.export import Entry
from libs.contracts.facts import IssueOpened, PolicyAdopted, RunStarted
from libs.contracts.requests import issue_id, run_id, workflow_id
from libs.contracts.wire import Recorded
from services.gatekeeper.audit.findings import Finding

AS_THE_ISSUE: Final = ("workflow", "repository", "title", "body", "issue_type", "labels", "author", "opened_by")
"""Fields in which a run repeats its issue."""


def see(entry: Entry, recorded: Recorded) -> Iterator[Finding]:
    """What of a fact's names does not follow from the fact itself."""
    for said in _wrong(entry, recorded):
        yield Finding("name.wrong", entry.sequence, entry.subject, said)


def differences(started: Recorded, issue: IssueOpened) -> Iterator[Finding]:
    """In what a run says otherwise than the issue that began it."""
    fact = started.fact
    assert isinstance(fact, RunStarted)
    pairs = {name: (getattr(fact, name), getattr(issue, name)) for name in AS_THE_ISSUE}
    pairs["base"] = (fact.base, issue.snapshot.base)
    pairs["policy_digest"] = (fact.policy_digest, issue.snapshot.policy_digest)
    for name, (own, opened) in pairs.items():
        if own != opened:
            said = f"the {name} of the run is not that of its issue"
            yield Finding("run.differs", started.sequence, fact.subject, said)


def _wrong(entry: Entry, recorded: Recorded) -> Iterator[str]:
    data = entry.line.get("data") or {}
    match recorded.fact:
        case IssueOpened() as fact:
            if fact.issue != issue_id(fact.tracker, fact.repository, fact.key):
                yield "the issue is not named by its tracker, repository and key"
            yield from _workflow(fact.workflow, fact.repository)
            yield from _policy(data.get("snapshot") or {})
        case RunStarted() as fact:
            if fact.run != run_id(fact.issue, fact.revision):
                yield "the run is not named by its issue and revision"
            yield from _workflow(fact.workflow, fact.repository)
            yield from _policy(data) if fact.team is None else ()
        case PolicyAdopted() as fact:
            yield from _workflow(fact.workflow, fact.repository)
            yield from _policy(data)


def _workflow(workflow: str, repository: str) -> Iterator[str]:
    if workflow != workflow_id(repository):
        yield "the workflow is not named by its repository"


def _policy(holder: dict[str, Any]) -> Iterator[str]:
    """The digest is over the policy as it was written, whatever its version."""
    if "policy" not in holder:
        return
    text = json.dumps(holder["policy"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest() != holder.get("policy_digest"):
        yield "the policy has not the digest that is given"
