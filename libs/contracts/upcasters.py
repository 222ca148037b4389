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


def _loops_left_to_the_level(policy: Data) -> Data:
    """Before, nothing was made of `on_exhaust`, and a loop that said nothing held `escalate`."""

    def lifted(holder: Data) -> Data:
        return {**holder, "loops": {name: {**loop, "on_exhaust": None} for name, loop in holder["loops"].items()}}

    return {**lifted(policy), "routing": {kind: lifted(route) for kind, route in policy["routing"].items()}}


def _with_policy_1(data: Data) -> Data:
    return {**data, "policy": _loops_left_to_the_level(data["policy"])}


def _with_snapshot_1(data: Data) -> Data:
    return {**data, "snapshot": _with_policy_1(data["snapshot"])}


STEPS: Final[Mapping[tuple[str, int], Callable[[Data], Data]]] = {
    ("issue.edited", 1): _with_snapshot_1,
    ("issue.opened", 1): _with_snapshot_1,
    ("run.decision.recorded", 1): _decision_recorded_1,
    ("run.run.started", 1): _with_policy_1,
    ("workflow.policy.adopted", 1): _with_policy_1,
}


def lift(kind: str, version: int, today: int, data: Data) -> Data:
    """Data of `version` in the shape of version `today`; KeyError where a step is missing."""
    for step in range(version, today):
        data = STEPS[kind, step](data)
    return data
