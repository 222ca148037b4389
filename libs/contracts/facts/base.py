"""What all facts share: a type, a place in the log, and the aggregate they belong to."""

from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from libs.contracts.words import Frozen, Phase, Service, Token

Attempt = Annotated[int, Field(ge=1)]
Moment = Annotated[float, Field(ge=0)]
"""Seconds since 1970-01-01 UTC, taken from the store's time of an earlier fact."""

Cost = Annotated[float, Field(ge=0)]
"""US dollars."""


class Fact(Frozen):
    """What all facts share; `aggregate` is the field that names the aggregate instance."""

    type: ClassVar[str]
    version: ClassVar[int] = 1
    stream: ClassVar[Literal["run", "workflow", "issue", "service"]]
    aggregate: ClassVar[str]
    place: ClassVar[tuple[str, ...]] = ()

    @property
    def subject(self) -> str:
        tail = "".join(f".{getattr(self, field)}" for field in self.place)
        return f"{self.stream}.{getattr(self, self.aggregate)}.{self.type}{tail}"


class Owed(NamedTuple):
    """A fact that is to be stated, and the id of the fact that caused it."""

    fact: Fact
    cause: str


class RunFact(Fact):
    stream = "run"
    aggregate = "run"
    run: Token


class LadderFact(Fact):
    stream = "workflow"
    aggregate = "workflow"
    workflow: Token


class IssueFact(Fact):
    """About one revision of an issue; the subject ends with the revision."""

    stream = "issue"
    aggregate = "issue"
    issue: Token
    revision: Annotated[int, Field(ge=1)]

    @property
    def subject(self) -> str:
        return f"issue.{self.issue}.{self.type.removeprefix('issue.')}.{self.revision}"


class ServiceFact(Fact):
    stream = "service"
    aggregate = "service"
    service: Service


class PhaseFact(RunFact):
    place = ("phase", "attempt")
    phase: Phase
    attempt: Attempt
