"""What somebody outside may ask for; each request becomes a fact or a refusal with a sentence."""

import hashlib
import re
import uuid
from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from libs.contracts.words import DecisionKind, Digest, Frozen, Level, ObjectId, Phase, RevertCause, Token

BODY_LIMIT = 256 * 1024
TITLE_LIMIT = 300
_NAMESPACE: Final = uuid.UUID("6f1d0c52-5b7e-4a52-9c41-6d2f8f6f0b8e")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str, limit: int = TITLE_LIMIT) -> str:
    """Text of strangers on one line: control and direction characters gone, white space folded, cut at `limit`."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plain(text: str) -> str:
    """Text of strangers with its lines kept and control and direction characters gone."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


class IssueRequest(Frozen):
    """A tracker, a person or the monitor asks for a run on an issue's revision.

    `repository` is a path on the machine of the services; `key` names the issue in its tracker.
    """

    action: Literal["opened", "edited", "closed"] = "opened"
    repository: Annotated[str, Field(min_length=1, max_length=4096)]
    key: Annotated[str, Field(min_length=1, max_length=200)]
    revision: Annotated[int, Field(ge=1)] = 1
    title: Annotated[str, Field(min_length=1, max_length=10_000)]
    body: Annotated[str, Field(max_length=BODY_LIMIT)] = ""
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")] = "bug"
    labels: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    author: str | None = None
    opened_by: str | None = None
    branch: str | None = None
    level: Level | None = None
    agent: Annotated[str, Field(max_length=4096)] | None = None

    @field_validator("title")
    @classmethod
    def _title_on_one_line(cls, title: str) -> str:
        if not (line := one_line(title)):
            raise ValueError("holds no printable character")
        return line

    @field_validator("body")
    @classmethod
    def _body_without_controls(cls, body: str) -> str:
        return plain(body)


class LadderKind(StrEnum):
    """What may be asked about a ladder."""

    GRANT = "grant"
    LOWER = "lower"
    FREEZE = "freeze"
    LIFT = "lift"
    LABEL = "label"
    CALIBRATE = "calibrate"
    IMPORT = "import"


_NEEDED: Final = {
    LadderKind.GRANT: ("level", "reason"),
    LadderKind.LOWER: ("level", "reason"),
    LadderKind.FREEZE: ("reason",),
    LadderKind.LIFT: (),
    LadderKind.LABEL: ("run", "phase", "is_right", "reason"),
    LadderKind.CALIBRATE: ("calibration", "digest"),
    LadderKind.IMPORT: ("source", "digest", "reason"),
}
"""Fields that a kind of request cannot do without."""


class Calibration(Frozen):
    """What a calibration counted, by the digest of the gates that judged."""

    gates_digest: Digest
    commit: ObjectId
    seeded: Annotated[int, Field(ge=0)]
    caught: Annotated[int, Field(ge=0)]
    good: Annotated[int, Field(ge=0)] = 0
    passed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _no_more_than_all(self) -> "Calibration":
        if self.caught > self.seeded or self.passed > self.good:
            raise ValueError("more candidates were caught or passed than there were")
        return self


class DecisionRequest(Frozen):
    """A person decides on a run; `decision` is made by the client, and a repeat gets the first answer.

    `phase`, `attempt` and `commit` say what the person saw; where given they must still hold. `revoke` takes a merged
    change back, and `revert_for` says why. `key` and
    `signature` are the public key of the person and what it says of all the rest; see `signing.py`.
    """

    decision: Token
    run: Token
    kind: DecisionKind
    by: Annotated[str, Field(min_length=1, max_length=200)]
    os_user: Annotated[str, Field(min_length=1, max_length=200)]
    automatic: bool = False
    reason: Annotated[str, Field(max_length=10_000)] = ""
    guidance: Annotated[str, Field(max_length=BODY_LIMIT)] | None = None
    phase: Phase | None = None
    attempt: int | None = None
    commit: str | None = None
    revert_for: RevertCause | None = None
    key: Annotated[str, Field(max_length=200)] | None = None
    signature: Annotated[str, Field(max_length=200)] | None = None


class LadderRequest(Frozen):
    """A person asks for something about one workflow's ladder; `request` is made by the client, and counts once.

    Each kind needs its own fields: grant and lower a `level`, label a `run`, `phase` and `is_right`, calibrate and
    import a `digest`, the sha256 of an artifact. Whatever is granted, labelled or imported needs a reason.
    """

    request: Token
    workflow: Token
    kind: LadderKind
    by: Annotated[str, Field(min_length=1, max_length=200)]
    os_user: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(max_length=10_000)] = ""
    level: Level | None = None
    run: Token | None = None
    phase: Phase | None = None
    is_right: bool | None = None
    digest: Digest | None = None
    source: Annotated[str, Field(max_length=300)] = ""
    calibration: Calibration | None = None
    key: Annotated[str, Field(max_length=200)] | None = None
    signature: Annotated[str, Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "LadderRequest":
        for field in _NEEDED[self.kind]:
            if getattr(self, field) in (None, ""):
                raise ValueError(f"{self.kind} needs {field}")
        return self


def issue_id(tracker: str, repository: str, key: str) -> str:
    """Name of an issue: the same for every delivery and revision."""
    return hashlib.sha256(f"{tracker}\0{repository}\0{key}".encode()).hexdigest()[:32]


def run_id(issue: str, revision: int) -> str:
    """Name of the one run of an issue's revision."""
    return str(uuid.uuid5(_NAMESPACE, f"run:{issue}:{revision}"))


def workflow_id(repository: str) -> str:
    """Name of a repository's workflow, for which readiness is counted."""
    return hashlib.sha256(f"workflow\0{repository}".encode()).hexdigest()[:32]


def fact_id(cause: str, subject: str) -> str:
    """Id of a fact, derived from what caused it and where it stands, so that a repeat has the same."""
    return str(uuid.uuid5(_NAMESPACE, f"fact:{cause}:{subject}"))


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """All that is wrong with a message, as one sentence that names each field and the nearest valid name."""
    return "; ".join(_explain_one(detail["msg"], detail["loc"], detail["type"], model) for detail in error.errors())


def _explain_one(message: str, location: tuple[int | str, ...], kind: str, model: type[BaseModel]) -> str:
    field = ".".join(str(part) for part in location)
    if kind != "extra_forbidden":
        said = message.removeprefix("Value error, ")
        return f"{field or 'message'}: {said[:1].lower()}{said[1:]}" if field or kind != "value_error" else said
    nearest = get_close_matches(str(location[-1]), _names_at(model, location), n=1)
    return f"{field}: unknown field" + (f", did you mean {nearest[0]}?" if nearest else "")


def _names_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The fields that could stand where a message has an unknown one."""
    if len(location) == 1 or (outer := model.model_fields.get(str(location[0]))) is None:
        return list(model.model_fields)
    return [name for inner in _models(outer.annotation) for name in inner.model_fields]


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
