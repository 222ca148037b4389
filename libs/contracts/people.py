"""Who may decide: the people of the operator's file, their roles, and how far they must be apart from the work.

Without people in the file, whoever holds the operator's key decides. A person with a key of their
own is known by it alone, everybody else by the user of the operating system. With more than one
person, nobody decides on what they opened or wrote themselves, unless the file says
`separation: relaxed`.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from libs.contracts.signing import public_bytes
from libs.contracts.words import Frozen


class Role(StrEnum):
    """What a person may do: look, decide on runs, or also move levels and freezes."""

    VIEWER = "viewer"
    APPROVER = "approver"
    OPERATOR = "operator"


class Person(Frozen):
    """`users` are names of the operating system; without any, the person's own name is one. `key` is a public nkey."""

    role: Role
    users: tuple[str, ...] = ()
    key: str | None = None

    @field_validator("key")
    @classmethod
    def _public(cls, key: str | None) -> str | None:
        if key is not None and public_bytes(key) is None:
            raise ValueError("is no public key of a person; rung person key NAME makes one, which begins with U")
        return key


class People(Frozen):
    """The operator's file as far as it is about people."""

    people: dict[Annotated[str, Field(min_length=1, max_length=200)], Person] = Field(default_factory=dict)
    separation: Literal["strict", "relaxed"] | None = None

    @model_validator(mode="after")
    def _apart(self) -> "People":
        """Nobody can be taken for somebody else, whether by key or by user."""
        for name, person in self.people.items():
            for other, theirs in self._others(name):
                if person.key is not None and person.key == theirs.key:
                    raise ValueError(f"{name} and {other} have the same key")
                if person.key is None and (shared := {*self.users(name)} & {*self.users(other)}):
                    raise ValueError(f"{name} and {other} are both the user {min(shared)}; give each a key, or a user")
        return self

    def _others(self, name: str) -> Iterator[tuple[str, Person]]:
        return ((other, person) for other, person in self.people.items() if other != name)

    @property
    def is_strict(self) -> bool:
        """Whether who opened an issue or wrote it may not decide on its run."""
        return len(self.people) > 1 if self.separation is None else self.separation == "strict"

    @property
    def deciders(self) -> tuple[str, ...]:
        """Who may decide on runs at all."""
        return tuple(name for name, person in self.people.items() if person.role is not Role.VIEWER)

    def users(self, name: str) -> tuple[str, ...]:
        """The users of the operating system that a person is."""
        return self.people[name].users or (name,)

    def named(self, os_user: str) -> str | None:
        """The person behind a user of the operating system; `None` for nobody in the file."""
        return next((name for name in self.people if os_user in self.users(name)), None)

    def holder(self, key: str) -> str | None:
        """The person whose public key this is."""
        return next((name for name, person in self.people.items() if person.key == key), None)

    def called(self, name: str) -> str | None:
        """The person with this name, in whatever case."""
        folded = name.strip().casefold()
        return next((known for known in self.people if known.casefold() == folded), None)

    def is_own(self, name: str, *workers: str | None) -> bool:
        """Whether one of those who opened or wrote an issue is this person, and that keeps them from deciding on it."""
        own = {known.casefold() for known in (name, *self.users(name))}
        return self.is_strict and any(worker.casefold() in own for worker in workers if worker)


EVERYONE: Final = People()
"""No file, or none with people: the key of the operator's role alone decides."""
