"""CloudEvents 1.0 on NATS: attributes in headers (binary mode), JSON data in the payload.

Header values are percent-encoded as the CloudEvents bindings ask: space, double quote, percent
and everything outside printable ASCII, as UTF-8. `cause` and `traceparent` are extension
attributes. Requests from outside may also come in structured mode.
Source: CloudEvents 1.0.2, NATS and HTTP protocol bindings, distributed tracing extension.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from pydantic import ValidationError

from libs.contracts.facts import FACTS, Fact
from libs.contracts.requests import DecisionRequest, IssueRequest, LadderRequest, explain
from libs.contracts.upcasters import lift
from libs.contracts.words import Frozen, Service

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
SCHEMA: Final = re.compile(r"^urn:rung:(?P<kind>[a-z]+(?:\.[a-z]+)+):(?P<version>[1-9][0-9]{0,5})$")
_REQUIRED: Final = ("specversion", "id", "type", "source")
_OPTIONAL: Final = ("subject", "dataschema", "cause", "traceparent")
_UNENCODED: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_BY_KIND: Final = {f"{fact.stream}.{fact.type.removeprefix('issue.')}": fact for fact in FACTS}

REQUESTS: Final[Mapping[type[Frozen], str]] = {
    IssueRequest: "request.issue",
    DecisionRequest: "request.decision",
    LadderRequest: "request.ladder",
}
"""Requests from outside, and the CloudEvents type of each."""

Headers = dict[str, str]
M = TypeVar("M", bound=Frozen)


class Unreadable(ValueError):
    """A message that this build cannot take for a fact or request; one sentence says why."""


class Newer(Unreadable):
    """A fact of a version that this build does not know yet; it is retried, never dropped."""


@dataclass(frozen=True)
class Envelope:
    """CloudEvents attributes of one message."""

    id: str
    type: str
    source: str
    subject: str | None
    dataschema: str | None
    cause: str | None
    traceparent: str | None


@dataclass(frozen=True)
class Recorded:
    """A fact as it stands in the log; `time` is the store's, in seconds since 1970-01-01 UTC."""

    fact: Fact
    id: str
    cause: str
    producer: str
    sequence: int
    time: float
    traceparent: str | None = None


def kind_of(fact: Fact | type[Fact]) -> str:
    """The fact's name over all streams, as in the CloudEvents type: `run.gate.judged`."""
    return f"{fact.stream}.{fact.type.removeprefix('issue.')}"


def encode_value(value: str) -> str:
    """A header value with everything percent-encoded that the bindings ask for."""
    return quote(value, safe=_UNENCODED)


def decode_value(value: str) -> str:
    """The inverse of `encode_value`, tolerant of lower-case hexadecimals."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise Unreadable(f"header value {value!r} is not percent-encoded UTF-8") from error


def encode_fact(
    fact: Fact, *, fact_id: str, cause: str, producer: Service, traceparent: str | None = None
) -> tuple[Headers, bytes]:
    kind = kind_of(fact)
    attributes = {
        "id": fact_id,
        "type": f"rung.{kind}",
        "source": f"/rung/{producer}",
        "subject": fact.subject,
        "dataschema": f"urn:rung:{kind}:{fact.version}",
        "cause": cause,
        "traceparent": traceparent,
    }
    return _headers(attributes), fact.model_dump_json().encode()


def encode_request(
    request: IssueRequest | DecisionRequest | LadderRequest,
    *,
    request_id: str,
    source: str,
    traceparent: str | None = None,
) -> tuple[Headers, bytes]:
    kind = REQUESTS[type(request)]
    attributes = {
        "id": request_id,
        "type": f"rung.{kind}",
        "source": source,
        "dataschema": f"urn:rung:{kind}:1",
        "traceparent": traceparent,
    }
    return _headers(attributes), request.model_dump_json(exclude_defaults=True).encode()


def decode_fact(
    subject: str, headers: Mapping[str, str] | None, data: bytes, *, sequence: int, time: float
) -> Recorded:
    """A stored message as a fact in today's shape.

    Raises:  Newer when its version is not known yet, Unreadable for anything else that is wrong.
    """
    envelope = read_envelope(headers)
    kind, version = _schema(envelope)
    if (model := _BY_KIND.get(kind)) is None:
        raise Newer(f"{kind} is a fact that this build does not know")
    if version > model.version:
        raise Newer(f"{kind} has version {version}; this build knows version {model.version}")
    fact = _validate(model, _lifted(kind, version, model.version, _json_object(data)))
    if fact.subject != subject:
        raise Unreadable(f"{kind} stands on {subject} but speaks of {fact.subject}")
    return Recorded(
        fact=fact,
        id=envelope.id,
        cause=envelope.cause or "",
        producer=envelope.source.removeprefix("/rung/"),
        sequence=sequence,
        time=time,
        traceparent=envelope.traceparent,
    )


def decode_issue_request(headers: Mapping[str, str] | None, data: bytes) -> tuple[Envelope, IssueRequest]:
    envelope, body = _open(headers, data)
    return envelope, _validate(IssueRequest, body)


def decode_decision_request(headers: Mapping[str, str] | None, data: bytes) -> tuple[Envelope, DecisionRequest]:
    envelope, body = _open(headers, data)
    return envelope, _validate(DecisionRequest, body)


def decode_ladder_request(headers: Mapping[str, str] | None, data: bytes) -> tuple[Envelope, LadderRequest]:
    envelope, body = _open(headers, data)
    return envelope, _validate(LadderRequest, body)


def read_envelope(headers: Mapping[str, str] | None) -> Envelope:
    """The CloudEvents attributes in the headers, whose names are matched without regard to case."""
    found = {
        name.lower().removeprefix("ce-"): decode_value(value)
        for name, value in (headers or {}).items()
        if name.lower().startswith("ce-")
    }
    return _envelope(found)


def _envelope(found: Mapping[str, Any]) -> Envelope:
    if missing := [name for name in _REQUIRED if not found.get(name)]:
        raise Unreadable(f"no CloudEvent: {', '.join(missing)} missing")
    known = [found.get(name) for name in (*_REQUIRED, *_OPTIONAL)]
    if not all(isinstance(value, str) for value in known if value is not None):
        raise Unreadable("no CloudEvent: an attribute is not a string")
    if not str(found["specversion"]).startswith("1."):
        raise Unreadable(f"CloudEvents version {found['specversion']} is not supported; send 1.0")
    optional = {name: found.get(name) for name in _OPTIONAL}
    return Envelope(id=found["id"], type=found["type"], source=found["source"], **optional)


def _headers(attributes: Mapping[str, str | None]) -> Headers:
    given = {f"ce-{name}": encode_value(value) for name, value in attributes.items() if value is not None}
    return {"ce-specversion": SPEC_VERSION, "content-type": CONTENT_TYPE, **given}


def _open(headers: Mapping[str, str] | None, data: bytes) -> tuple[Envelope, dict[str, Any]]:
    """Envelope and data of a request in either content mode."""
    kinds = {name.lower(): value for name, value in (headers or {}).items()}
    if not kinds.get("content-type", "").startswith(STRUCTURED):
        return read_envelope(headers), _json_object(data)
    event = _json_object(data)
    body = event.pop("data", None)
    if not isinstance(body, dict):
        raise Unreadable("the CloudEvent's data is not a JSON object")
    return _envelope(event), body


def _schema(envelope: Envelope) -> tuple[str, int]:
    if not (match := SCHEMA.match(envelope.dataschema or "")):
        raise Unreadable(f"dataschema {envelope.dataschema!r} names no fact and version")
    return match["kind"], int(match["version"])


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the data is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unreadable(f"the data is not a JSON object but {type(value).__name__}")
    return value


def _lifted(kind: str, version: int, today: int, data: dict[str, Any]) -> dict[str, Any]:
    try:
        return lift(kind, version, today, data)
    except KeyError as error:
        raise Unreadable(f"{kind} of version {version} lacks {error}") from error


def _validate(model: type[M], data: dict[str, Any]) -> M:
    try:
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise Unreadable(explain(error, model)) from error
