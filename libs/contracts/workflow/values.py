"""Readers of single values: each takes a place and returns what it holds, or raises `Misfit`."""

import datetime as dt
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeVar

import yaml
from pydantic import JsonValue

from libs.contracts.workflow.nodes import Misfit, Place, shown, unknown

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_TRUTHS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,14})")
_DECIMAL: Final = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{0,15}")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%?")
_MONEY: Final = re.compile(r"\$? ?([0-9]{1,9}(?:\.[0-9]{1,9})?)(?: ?(?:USD|usd|\$))?")
_DURATION: Final = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6}(?:\.\d{1,6})?)s)?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_DURATION_MAX_S: Final = 366 * 86_400.0

NO_TEXTS: Final[tuple[str, ...]] = ()


def _kind(place: Place) -> str:
    return place.node.tag.rpartition(":")[2] if isinstance(place.node, yaml.ScalarNode) else ""


def misfit(place: Place, wanted: str) -> Misfit:
    """The refusal of a value, with a hint where quotes alone made it a text."""
    node = place.node
    if _kind(place) == "null":
        return Misfit(f"has no value; it must be {wanted}")
    is_quoted_value = isinstance(node, yaml.ScalarNode) and node.style in {"'", '"'} and _is_plain_value(node.value)
    hint = "; remove the quotes" if is_quoted_value else ""
    return Misfit(f"must be {wanted}, not {shown(node)}{hint}")


def _is_plain_value(text: str) -> bool:
    return text.lower() in _TRUTHS or bool(_INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text))


def flag(place: Place) -> bool:
    if _kind(place) != "bool":
        raise misfit(place, "true or false")
    return _TRUTHS[place.node.value.lower()]


def text(place: Place) -> str:
    if _kind(place) in {"", "null", "bool"} or not place.node.value.strip():
        raise misfit(place, "a text")
    return str(place.node.value)


def number(place: Place) -> int | float | None:
    """A plain number as it is written, without what YAML 1.1 makes of `010` or `1:30`; `None` for anything else."""
    raw = place.node.value if _kind(place) in {"int", "float"} else ""
    if _INTEGER.fullmatch(raw):
        return int(raw)
    return _trim(float(raw)) if _DECIMAL.fullmatch(raw) else None


def _trim(value: float) -> int | float:
    """An integral value as `int`, so that 80 and 80.0 are the same limit in every digest."""
    return int(value) if value == int(value) else value


def whole(low: int, high: int | None = None) -> Callable[[Place], int]:
    wanted = f"a whole number from {low} to {high}" if high is not None else f"a whole number, {low} or more"

    def read(place: Place) -> int:
        value = number(place)
        if not isinstance(value, int) or value < low or (high is not None and value > high):
            raise misfit(place, wanted)
        return value

    return read


def amount(place: Place) -> float:
    value = number(place)
    if value is None or value < 0:
        raise misfit(place, "a number, 0 or more")
    return float(value)


def percent(place: Place) -> int | float:
    """A share in percent, with or without the sign."""
    found = _PERCENT.fullmatch(place.node.value) if _kind(place) in {"int", "float", "str"} else None
    if found is None or float(found[1]) > 100:
        raise misfit(place, "a percentage from 0 to 100")
    return _trim(float(found[1]))


def share(place: Place) -> float:
    """A ratio from 0 to 1, also written as a percentage with its sign."""
    if _kind(place) == "str":
        return percent(place) / 100
    value = number(place)
    if value is None or not 0 <= value <= 1:
        raise misfit(place, "a share from 0 to 1, or a percentage such as 95%")
    return float(value)


def money(place: Place) -> float:
    found = _MONEY.fullmatch(place.node.value) if _kind(place) in {"int", "float", "str"} else None
    if found is None:
        raise misfit(place, "an amount in USD such as 5.00")
    return float(found[1])


def duration(place: Place) -> float:
    """Seconds, from a plain number of seconds or from parts such as `1h30m`."""
    value = number(place)
    seconds = float(value) if value is not None else _spelt_duration(place)
    if seconds is None or not 0 <= seconds <= _DURATION_MAX_S:
        raise misfit(place, "a duration such as 30s, 5m or 24h")
    return seconds


def _spelt_duration(place: Place) -> float | None:
    found = _DURATION.fullmatch(place.node.value) if _kind(place) == "str" else None
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86_400 + hours * 3_600 + minutes * 60 + seconds


def date(place: Place) -> dt.date:
    wanted = misfit(place, "a date such as 2030-12-31")
    if not isinstance(place.node, yaml.ScalarNode) or not _DATE.fullmatch(place.node.value):
        raise wanted
    try:
        return dt.date.fromisoformat(place.node.value)
    except ValueError:
        raise wanted from None


def choice(words: type[E]) -> Callable[[Place], E]:
    def read(place: Place) -> E:
        return words(one_of(*words)(place))

    return read


def one_of(*words: str) -> Callable[[Place], str]:
    *most, last = map(str, words)
    wanted = f"{', '.join(most)} or {last}" if most else last

    def read(place: Place) -> str:
        if _kind(place) in {"", "null"}:
            raise misfit(place, wanted)
        value = str(place.node.value)
        if value in words:
            return value
        raise Misfit(f"must be {wanted}, not {shown(place.node)}{_near(value, words)}")

    return read


def _near(value: str, words: tuple[str, ...]) -> str:
    sentence = unknown("word", value, words)
    return f"; {sentence.partition('; ')[2]}" if "did you mean" in sentence else ""


def path(place: Place) -> str:
    """A path or glob that stays inside the repository."""
    value = text(place)
    parts = value.replace("\\", "/").split("/")
    if value.startswith(("/", "~", "\\")) or ".." in parts or _DRIVE.match(value) or not value.isprintable():
        raise Misfit(f"must be a path inside the repository, not {shown(place.node)}")
    return value


def agent(drivers: tuple[str, ...]) -> Callable[[Place], str]:
    """An agent: a driver's name, or a driver with what it drives after a colon."""

    def read(place: Place) -> str:
        value = text(place)
        driver, _, driven = value.partition(":")
        if driver not in drivers:
            raise Misfit(unknown("agent driver", driver, drivers))
        if driver != "repair" and not driven.strip():
            raise Misfit(f"must say what to run after {driver}:, such as {driver}:name")
        return value

    return read


def each(reader: Callable[[Place], T]) -> Callable[[Place], tuple[T, ...]]:
    """A list; items that do not fit are noted one by one and left out."""

    def read(place: Place) -> tuple[T, ...]:
        values: list[T] = []
        for item in place.items():
            try:
                values.append(reader(item))
            except Misfit as error:
                item.refuse(str(error))
        return tuple(values)

    return read


def one_or_each(reader: Callable[[Place], T]) -> Callable[[Place], tuple[T, ...]]:
    """A list, or a single value that stands for a list of one."""

    def read(place: Place) -> tuple[T, ...]:
        return (reader(place),) if isinstance(place.node, yaml.ScalarNode) else each(reader)(place)

    return read


def names(place: Place) -> tuple[str, ...]:
    return one_or_each(text)(place)


def paths(place: Place) -> tuple[str, ...]:
    return one_or_each(path)(place)


def anything(place: Place) -> JsonValue:
    """Whatever stands there, as JSON has it."""
    if isinstance(place.node, yaml.SequenceNode):
        return [anything(item) for item in place.items()]
    if isinstance(place.node, yaml.MappingNode):
        return {key: anything(entry) for key, entry in place.entries().items()}
    return scalar(place)


def scalar(place: Place) -> bool | int | float | str | None:
    kind = _kind(place)
    if kind == "null":
        return None
    if kind == "bool":
        return flag(place)
    value = number(place)
    return str(place.node.value) if value is None else value
