"""The shapes of CDEvents 0.5.1, as far as Rung speaks them, restated from the specification's vocabulary.

Fields, which of them must be there, and the words of enumerations are the specification's (cdevents/spec, Apache-2.0,
as of its commit 2045369e11da, which made 0.5.0; 0.5.1 mends which name of the version is required). The models are
our own, and no looser: an unknown field is refused. Where a later release of the specification allows more words
for how something ended, only those of both are allowed here.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1)]
Uri = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*:[^\s\"<>\\^`{|}]+$")]
UriReference = Annotated[str, StringConstraints(pattern=r"^[^\s\"<>\\^`{|}]+$")]
Ended = Literal["success", "failure", "error"]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Reference(Shape):
    id: Text
    source: UriReference | None = None


class TicketUpdated(Shape):
    summary: str | None = None
    ticketType: str | None = None  # noqa: N815 - the vocabulary's name
    labels: list[str] = []
    uri: UriReference


class Ticket(TicketUpdated):
    summary: str
    creator: Text


class TicketClosed(Shape):
    uri: UriReference
    resolution: Text


class PipelineRun(Shape):
    pipelineName: str  # noqa: N815 - the vocabulary's name
    uri: Uri


class PipelineRunFinished(PipelineRun):
    outcome: Ended
    errors: str | None = None


class TaskRun(Shape):
    taskName: str  # noqa: N815 - the vocabulary's name
    uri: Uri | None = None
    pipelineRun: Reference | None = None  # noqa: N815 - the vocabulary's name


class TaskRunFinished(TaskRun):
    outcome: Ended
    errors: str | None = None


class Change(Shape):
    repository: Reference | None = None


class ChangeCreated(Change):
    description: Text | None = None


class TestSuite(Shape):
    id: Text
    name: str | None = None


class TestSuiteRunFinished(Shape):
    outcome: Ended
    environment: Reference
    testSuite: TestSuite | None = None  # noqa: N815 - the vocabulary's name
    reason: str | None = None


class Incident(Shape):
    description: str | None = None
    environment: Reference
    service: Reference | None = None


SHAPES: Final[dict[str, type[Shape]]] = {
    "dev.cdevents.change.abandoned.0.3.0": Change,
    "dev.cdevents.change.created.0.4.0": ChangeCreated,
    "dev.cdevents.change.merged.0.3.0": Change,
    "dev.cdevents.change.reviewed.0.3.0": Change,
    "dev.cdevents.change.updated.0.3.0": Change,
    "dev.cdevents.incident.detected.0.3.0": Incident,
    "dev.cdevents.incident.resolved.0.3.0": Incident,
    "dev.cdevents.pipelinerun.finished.0.3.0": PipelineRunFinished,
    "dev.cdevents.pipelinerun.started.0.3.0": PipelineRun,
    "dev.cdevents.taskrun.finished.0.3.0": TaskRunFinished,
    "dev.cdevents.taskrun.started.0.3.0": TaskRun,
    "dev.cdevents.testsuiterun.finished.0.3.0": TestSuiteRunFinished,
    "dev.cdevents.ticket.closed.0.2.0": TicketClosed,
    "dev.cdevents.ticket.created.0.2.0": Ticket,
    "dev.cdevents.ticket.updated.0.2.0": TicketUpdated,
}


class Context(Shape):
    specversion: Literal["0.5.1"]
    id: Text
    source: UriReference
    type: Literal[tuple(SHAPES)]  # type: ignore[valid-type] # the words are those of the table
    timestamp: Annotated[datetime, Field(strict=False)]
    chainId: Text | None = None  # noqa: N815 - the vocabulary's name


class Subject(Shape):
    id: Text
    source: UriReference | None = None
    content: dict[str, Any]


class CDEvent(Shape):
    context: Context
    subject: Subject
    customData: dict[str, Any] | None = None  # noqa: N815 - the vocabulary's name
    customDataContentType: str | None = None  # noqa: N815 - the vocabulary's name


def valid(event: dict[str, Any]) -> CDEvent:
    """The event, if it is one.

    Raises:  ValidationError.
    """
    whole = CDEvent.model_validate(event)
    SHAPES[whole.context.type].model_validate(whole.subject.content)
    return whole
