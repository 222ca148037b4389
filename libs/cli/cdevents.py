"""Facts as CDEvents 0.5.1, the vocabulary that other tools of continuous delivery speak.

One fact becomes one event or none: what has no counterpart there (decisions, levels, timers, checkpoints) is left
out. Subjects are told apart as the vocabulary wants it: a run is a pipeline run, an attempt a task run, an issue a
ticket. Its own words for how something ended are success, failure, cancel and error. Which fact becomes what stands in
the documentation of the log.

Names, versions and fields are those of the JSON schemas of 0.5.0, of which all fifteen were read (cdevents/spec, at its
commits 2045369e11da and cc8eb3df3b11). Two of them, `pipelinerun.finished` and `testsuiterun.finished`, ask for a
`context.version` that they forbid, which nothing can satisfy; 0.5.1 mends them to ask for `specversion`, as all others
do, and leaves the events' own versions alone. Hence 0.5.1, although the schemas let `specversion` be any text.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from libs.contracts import facts as f
from libs.contracts.requests import run_id
from libs.contracts.wire import Recorded, kind_of
from libs.contracts.words import Outcome, Phase, RunOutcome

SPEC_VERSION: Final = "0.5.1"
ENVIRONMENT: Final = "production"
SANDBOX: Final = "sandbox"

VERSIONS: Final[Mapping[str, str]] = {
    "change.abandoned": "0.3.0",
    "change.created": "0.4.0",
    "change.merged": "0.3.0",
    "change.reviewed": "0.3.0",
    "change.updated": "0.3.0",
    "incident.detected": "0.3.0",
    "incident.resolved": "0.3.0",
    "pipelinerun.finished": "0.3.0",
    "pipelinerun.started": "0.3.0",
    "taskrun.finished": "0.3.0",
    "taskrun.started": "0.3.0",
    "testsuiterun.finished": "0.3.0",
    "ticket.closed": "0.2.0",
    "ticket.created": "0.2.0",
    "ticket.updated": "0.2.0",
}
"""Version of each event in 0.5.1; an event's version is its own."""

ENDED: Final = {
    RunOutcome.MERGED: "success",
    RunOutcome.DECLINED: "failure",
    RunOutcome.ABORTED: "failure",
    RunOutcome.CANCELLED: "cancel",
}
TESTED: Final = {Outcome.PASS: "success", Outcome.WARN: "success", Outcome.FAIL: "failure"}

Content = dict[str, Any]


class Event(NamedTuple):
    """`kind` is subject and predicate, `subject` the subject's id."""

    kind: str
    subject: str
    content: Content


class Translator:
    """Facts to events, one after another; what an event says may depend on what came before."""

    def __init__(self) -> None:
        self._begun: dict[str, f.RunStarted] = {}
        self._proposed: set[str] = set()
        self.left_out = 0

    def translate(self, recorded: Recorded) -> dict[str, Any] | None:
        """The event of a fact; `None` where it has none."""
        if isinstance(recorded.fact, f.RunStarted):
            self._begun[recorded.fact.run] = recorded.fact
        if (event := self._event(recorded.fact)) is None:
            self.left_out += 1
            return None
        return _whole(recorded, event)

    def _event(self, fact: f.Fact) -> Event | None:
        match fact:
            case f.IssueOpened() | f.IssueClosed():
                return _of_ticket(fact)
            case f.PhaseFact():
                return self._of_attempt(fact)
            case f.ChangeProposed() | f.ChangeMerged() | f.ChangeClosed() | f.ChangeReverted():
                return self._of_change(fact)
            case f.RunFact():
                return self._of_run(fact)
            case f.ServiceIncidentOpened():
                return _of_incident("detected", fact.incident, fact.message, fact.service)
            case f.ServiceIncidentResolved():
                return _of_incident("resolved", fact.incident, fact.message, fact.service)
            case _:
                return None

    def _of_run(self, fact: f.RunFact) -> Event | None:
        content = {"pipelineName": self._repository(fact), "uri": f"urn:rung:run:{fact.run}"}
        match fact:
            case f.RunStarted():
                return Event("pipelinerun.started", fact.run, content)
            case f.RunFinished():
                return Event("pipelinerun.finished", fact.run, {**content, **_end(ENDED[fact.outcome], fact.reason)})
            case f.RunAborted():
                return Event("pipelinerun.finished", fact.run, {**content, **_end("failure", fact.reason)})
            case f.IncidentOpened():
                return _of_incident("detected", fact.incident, fact.message, self._repository(fact))
            case f.IncidentResolved():
                return _of_incident("resolved", fact.incident, fact.message, self._repository(fact))
            case _:
                return None

    def _of_attempt(self, fact: f.PhaseFact) -> Event | None:
        name = f"{fact.run}/{fact.phase}/{fact.attempt}"
        uri = f"urn:rung:run:{fact.run}:{fact.phase}:{fact.attempt}"
        content = {"taskName": str(fact.phase), "uri": uri, "pipelineRun": {"id": fact.run}}
        match fact:
            case f.PhaseClaimed():
                return Event("taskrun.started", name, content)
            case f.PhaseCompleted(declined=None):
                return Event("taskrun.finished", name, {**content, "outcome": "success"})
            case f.PhaseCompleted():
                return Event("taskrun.finished", name, {**content, **_end("failure", fact.declined or "")})
            case f.PhaseErrored():
                return Event("taskrun.finished", name, {**content, **_end("error", fact.message)})
            case f.GateJudged(phase=Phase.TEST):
                return Event("testsuiterun.finished", name, self._tested(fact))
            case f.GateJudged(phase=Phase.REVIEW):
                return Event("change.reviewed", fact.run, self._in_repository(fact))
            case _:
                return None

    def _tested(self, fact: f.GateJudged) -> Content:
        outcome = TESTED.get(fact.verdict.outcome, "error")
        suite = {"id": self._repository(fact), "name": "test"}
        reasons = "; ".join(fact.verdict.reasons)
        told = {"reason": reasons} if reasons and outcome != "success" else {}
        return {"outcome": outcome, "environment": {"id": SANDBOX}, "testSuite": suite, **told}

    def _of_change(self, fact: f.RunFact) -> Event | None:
        content = self._in_repository(fact)
        match fact:
            case f.ChangeProposed():
                is_new = fact.run not in self._proposed
                self._proposed.add(fact.run)
                told = {"description": fact.title or fact.branch or "unnamed"} if is_new else {}
                return Event("change.created" if is_new else "change.updated", fact.run, {**told, **content})
            case f.ChangeMerged():
                return Event("change.merged", fact.run, content)
            case f.ChangeReverted():
                return Event("change.merged", f"{fact.run}/revert", content)
            case _:
                return Event("change.abandoned", fact.run, content)

    def _in_repository(self, fact: f.RunFact) -> Content:
        return {"repository": {"id": self._repository(fact)}}

    def _repository(self, fact: f.RunFact) -> str:
        begun = self._begun.get(fact.run)
        return (begun.repository if begun else "") or "unknown"


def _of_ticket(fact: f.IssueOpened | f.IssueClosed) -> Event:
    uri = f"urn:rung:issue:{fact.issue}"
    if isinstance(fact, f.IssueClosed):
        return Event("ticket.closed", fact.issue, {"uri": uri, "resolution": fact.reason or "withdrawn"})
    content: Content = {"summary": fact.title, "ticketType": fact.issue_type, "uri": uri, "labels": list(fact.labels)}
    if isinstance(fact, f.IssueEdited):
        return Event("ticket.updated", fact.issue, content)
    creator = fact.author or fact.opened_by or fact.tracker or "unknown"
    return Event("ticket.created", fact.issue, {**content, "creator": creator})


def _of_incident(predicate: str, incident: str, message: str, service: str) -> Event:
    content = {"description": message, "environment": {"id": ENVIRONMENT}, "service": {"id": service}}
    return Event(f"incident.{predicate}", incident, content)


def _end(outcome: str, errors: str) -> Content:
    return {"outcome": outcome, **({"errors": errors} if errors and outcome != "success" else {})}


def _whole(recorded: Recorded, event: Event) -> dict[str, Any]:
    source = f"/rung/{recorded.producer}"
    context = {
        "specversion": SPEC_VERSION,
        "id": recorded.id,
        "source": source,
        "type": f"dev.cdevents.{event.kind}.{VERSIONS[event.kind]}",
        "timestamp": datetime.fromtimestamp(recorded.time, UTC).isoformat(timespec="microseconds"),
        "chainId": _chain(recorded.fact),
    }
    return {
        "context": {name: value for name, value in context.items() if value is not None},
        "subject": {"id": event.subject, "source": source, "content": event.content},
        "customData": {
            "fact": kind_of(recorded.fact),
            "subject": recorded.fact.subject,
            "sequence": recorded.sequence,
            "cause": recorded.cause,
        },
        "customDataContentType": "application/json",
    }


def _chain(fact: f.Fact) -> str | None:
    """What belongs together: all of a run, with the issue revision that began it."""
    match fact:
        case f.RunFact():
            return fact.run
        case f.IssueFact():
            return run_id(fact.issue, fact.revision)
        case _:
            return None
