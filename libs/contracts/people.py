"""Who may decide: the people of the operator's file, their roles, and how far they must be apart from the work.

Without people in the file, whoever holds the operator's key decides. With more than one, nobody
decides on what they opened or wrote themselves, unless the file says `separation: relaxed`.
"""

from enum import StrEnum
from typing import Final, Literal

import yaml
from pydantic import Field, ValidationError

from libs.contracts.requests import explain
from libs.contracts.words import Frozen

FILE_MAX: Final = 256 * 1024


class Role(StrEnum):
    """What a person may do: look, decide on runs, or also move levels and freezes."""

    VIEWER = "viewer"
    APPROVER = "approver"
    OPERATOR = "operator"


class Person(Frozen):
    """`users` are names of the operating system; without any, the person's own name is one."""

    role: Role
    users: tuple[str, ...] = ()


class People(Frozen):
    """The operator's file as far as it is about people."""

    people: dict[str, Person] = Field(default_factory=dict)
    separation: Literal["strict", "relaxed"] | None = None

    @property
    def is_strict(self) -> bool:
        """Whether who opened an issue or wrote it may not decide on its run."""
        return len(self.people) > 1 if self.separation is None else self.separation == "strict"

    def named(self, os_user: str) -> str | None:
        """The person behind a user of the operating system; `None` for nobody in the file."""
        return next((name for name, person in self.people.items() if os_user in (person.users or (name,))), None)


EVERYONE: Final = People()
"""No file, or none with people: the key alone decides."""


class OperatorFileRefused(ValueError):
    """The operator's file cannot be used; one sentence says why."""


def read_people(text: str) -> People:
    """The people of an operator's file.

    Raises:  OperatorFileRefused with one sentence that names the field.
    """
    if len(text) > FILE_MAX:
        raise OperatorFileRefused(f"it is larger than {FILE_MAX // 1024} KiB")
    try:
        tree = yaml.safe_load(text) or {}
        return People.model_validate(tree)
    except yaml.YAMLError as error:
        raise OperatorFileRefused(f"it is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise OperatorFileRefused(explain(error, People)) from error
