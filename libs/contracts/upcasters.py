"""Old versions of facts, lifted to today's shape before they are validated.

A step takes the data of version n to version n + 1 and is never changed once released; the
bytes of every published version stay in the tests for ever.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Data = dict[str, Any]


def _decision_recorded_1(data: Data) -> Data:
    """Version 1 knew no automatic decisions and took the operating system's user for the name."""
    return {**data, "automatic": False, "os_user": data["by"]}


STEPS: Final[Mapping[tuple[str, int], Callable[[Data], Data]]] = {
    ("run.decision.recorded", 1): _decision_recorded_1,
}


def lift(kind: str, version: int, today: int, data: Data) -> Data:
    """Data of `version` in the shape of version `today`; KeyError where a step is missing."""
    for step in range(version, today):
        data = STEPS[kind, step](data)
    return data
