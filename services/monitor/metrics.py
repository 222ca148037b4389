"""Reads the signals of production that a workflow names, each from a file that somebody else keeps writing.

What stands in such a file is data of strangers: only numbers are taken from it and none of its text is ever
repeated. Of a file that is longer than `BYTES_MAX` only the end is read. A row that holds no time or no number
is passed over, since the last one may be half written.
"""

import csv
import math
import os
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from services.monitor.comparison import Point

BYTES_MAX: Final = 8 * 2**20
LINE_MAX: Final = 4096
COLUMNS: Final = ("timestamp", "value")
UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From which size on a time without a unit is in nano-, micro- or milliseconds, and how many make a second."""


class Series(NamedTuple):
    """The points of a file in the order of time; `problem` says as the end of a sentence why there are none."""

    points: tuple[Point, ...] = ()
    problem: str = ""


def read_series(path: Path) -> Series:
    """All points of a CSV file with the columns timestamp and value; it never raises."""
    try:
        text = _end_of(path)
    except OSError as error:
        return Series(problem=f"cannot be read ({error.strerror or 'it is not a regular file'})")
    points = sorted(_points(text))
    return Series(tuple(points)) if points else Series(problem="holds no row with a timestamp and a number")


def _end_of(path: Path) -> str:
    """The text of a regular file; of a long one its first line and its end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123 - a descriptor, so that what is checked is what is read
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError
        if status.st_size <= BYTES_MAX:
            return file.read(BYTES_MAX).decode("utf-8-sig", "replace")
        head = file.readline(BYTES_MAX)
        file.seek(status.st_size - BYTES_MAX)
        file.readline()
        return (head + file.read(BYTES_MAX)).decode("utf-8-sig", "replace")


def _points(text: str) -> Iterator[Point]:
    columns = (0, 1)
    for number, line in enumerate(text.splitlines()):
        row = _cells(line)
        if number == 0 and (named := _columns(row)) is not None:
            columns = named
        elif (point := _point(row, columns)) is not None:
            yield point


def _cells(line: str) -> list[str]:
    """The cells of one line; each line is read for itself, so that a lone quote does not swallow the rest."""
    try:
        return next(csv.reader([line[:LINE_MAX]]), [])
    except csv.Error:
        return []


def _columns(row: Sequence[str]) -> tuple[int, int] | None:
    """Where the two columns stand, if the row names them."""
    names = [cell.strip().lower() for cell in row]
    return (names.index("timestamp"), names.index("value")) if set(COLUMNS) <= set(names) else None


def _point(row: Sequence[str], columns: tuple[int, int]) -> Point | None:
    if len(row) <= max(columns):
        return None
    at, value = _seconds(row[columns[0]].strip()), _number(row[columns[1]].strip())
    return Point(at, value) if at is not None and value is not None else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds(text: str) -> float | None:
    """A time as seconds since 1970-01-01 UTC, from a number or ISO 8601; one without a zone is UTC."""
    if (number := _number(text)) is not None:
        return next((number / unit for least, unit in UNITS if number >= least), number)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
