"""The shapes of CDEvents 0.5.1, as far as Rung speaks them, restated from the specification's JSON schemas.

Fields, which of them must be there, and the words of enumerations are the specification's (cdevents/spec, Apache-2.0).
Read were the schemas of 0.5.0: `change.created`, `change.reviewed`, `pipelinerun.started`, `testsuiterun.finished`,
`ticket.closed` and `ticket.updated` as of its commit 2045369e11da; `change.abandoned`, `change.merged`,
`change.updated`, `incident.detected`, `incident.resolved`, `pipelinerun.finished`, `taskrun.started`,
`taskrun.finished` and `ticket.created` as of cc8eb3df3b11. The files of 0.5.1 itself were not at hand; it is known,
from others who validate against it, to ask for `specversion` in the two schemas of 0.5.0 that still asked for `version`
(`pipelinerun.finished`, `testsuiterun.finished`), and to leave fields, words and the events' versions alone.

The models are our own, and no looser: an unknown field is refused, and so is null. They are stricter where a schema
leaves open what Rung always says, and have no field that Rung never fills.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
"""What the format `date-time` means; a number is none."""

IN_URI: Final = r"([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
"""The characters of RFC 3986."""


def _instant(value: object) -> object:
    if isinstance(value, str) and RFC3339.fullmatch(value):
        return value
    message = "not a date and time of RFC 3339"
    raise ValueError(message)


Text = Annotated[str, StringConstraints(min_length=1)]
Uri = Annotated[str, StringConstraints(pattern=rf"^[A-Za-z][A-Za-z0-9+.-]*:{IN_URI}$")]
UriReference = Annotated[str, StringConstraints(pattern=rf"^{IN_URI}$")]
Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_instant)]
Ended = Literal["success", "failure", "cancel", "error"]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _has_no_null(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and None in data.values():
            message = "null is no value; a field without one is left out"
            raise ValueError(message)
        return data


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
    timestamp: Instant
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
