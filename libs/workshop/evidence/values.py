"""Reads the repository's own measurements: JSON files, one flat object of names and values each.

Theory: the files are left by commands that run next to an agent's code. Only a file written during
the run counts, for one that lies in the commit measured nothing. A file that is not exactly what it
should be gives none of its values, but a `Problem`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from libs.contracts.evidence import Problem
from libs.workshop.evidence.reading import Fingerprint, Unreadable, left_behind, plain, read_left_behind
from libs.workshop.evidence.streams import json_tree

FILES_MAX: Final = 50
FILE_BYTES_MAX: Final = 256 * 2**10
VALUES_MAX: Final = 200
NAME_MAX: Final = 100
TEXT_MAX: Final = 500
NUMBER_MAX: Final = 2**63

Value = bool | int | float | str


@dataclass(frozen=True)
class Values:
    """What the files say by name, what is wrong with them, and the files themselves."""

    reported: dict[str, Value] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)


def read_values(checkout: Path, globs: Sequence[str], before: Mapping[str, Fingerprint] | None = None) -> Values:
    """The values of all files under the globs that were written since `before` (`left_behind` of the same globs).

    No such file is no problem here: a criterion that asks for a value finds none.
    """
    known = before or {}
    fresh = [path for path, mark in sorted(left_behind(checkout, globs).items()) if known.get(path) != mark]
    reading = _Reading()
    for path in fresh[:FILES_MAX]:
        reading.take(checkout, path)
    if len(fresh) > FILES_MAX:
        reading.refuse(f"{len(fresh)} files of values were written, and no more than {FILES_MAX} are read.")
    return Values(reading.reported, tuple(reading.problems), reading.files)


@dataclass
class _Reading:
    reported: dict[str, Value] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def take(self, root: Path, path: str) -> None:
        try:
            data = read_left_behind(root, path, FILE_BYTES_MAX) or b""
            self.files[path] = data
            self._add(_flat(json_tree(data, "values")))
        except Unreadable as broken:
            self.refuse(f"{path}: {broken.message}")

    def _add(self, values: dict[str, Value]) -> None:
        """One file's values, or none of them.

        Raises: Unreadable when another file said otherwise, or when there are too many.
        """
        for name, value in values.items():
            if name in self.reported and _other(self.reported[name], value):
                raise _malformed(f"another file gives {name} another value")
        if len(self.reported | values) > VALUES_MAX:
            raise _malformed(f"more than {VALUES_MAX} values are reported")
        self.reported |= values

    def refuse(self, message: str) -> None:
        self.problems.append(Problem(code="values_malformed", message=plain(message, 500)))


def _other(one: Value, other: Value) -> bool:
    return type(one) is not type(other) or one != other


def parse_values(data: bytes) -> dict[str, Value]:
    """The values of one file.

    Raises: Unreadable for anything but one flat object of names and values.
    """
    return _flat(json_tree(data, "values"))


def _flat(tree: Any) -> dict[str, Value]:
    if not isinstance(tree, dict):
        raise _malformed("it is not one object of names and values")
    return {_name(name): _value(name, value) for name, value in tree.items()}


def _name(name: str) -> str:
    if not name.isidentifier() or len(name) > NAME_MAX or name != plain(name):
        raise _malformed(f"{plain(name, NAME_MAX)!r} is no name of letters, digits and underscores")
    return name


def _value(name: str, value: Any) -> Value:
    match value:
        case bool():
            return value
        case int() | float():
            if not -NUMBER_MAX < value < NUMBER_MAX:
                raise _malformed(f"{name} is no number that can be compared")
            return value
        case str():
            if len(value) > TEXT_MAX:
                raise _malformed(f"the text of {name} is longer than {TEXT_MAX} characters")
            return plain(value)
        case _:
            raise _malformed(f"{plain(name, NAME_MAX)} is neither a bool, a number nor a text")


def _malformed(what: str) -> Unreadable:
    return Unreadable("values_malformed", f"The values cannot be taken: {what}.")
