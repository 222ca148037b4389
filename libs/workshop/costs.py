"""What an agent says that it has cost: a number among its words, never a reason for anything to fail."""

import contextlib
import json
import math
from typing import Any, Final

COSTS: Final = ("total_cost_usd", "cost_usd")
"""Under which names agents tell what they have cost; the first one that is there counts."""


def cost_in(told: Any) -> float | None:
    """The cost that an object tells, in US dollars; `None` when it tells none that can be one."""
    if not isinstance(told, dict):
        return None
    said = next((told[name] for name in COSTS if name in told), None)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    try:
        cost = float(said)
    except OverflowError:
        return None
    return cost if math.isfinite(cost) and cost >= 0 else None


def last_object(printed: str) -> Any:
    """The JSON value with which an output ends: all of it, its last line, or from the last line that opens an object.

    Of a list the last element counts, as where an agent prints all its messages.
    """
    text = printed.strip()
    opened = max(text.rfind("\n{"), text.rfind("\n["))
    for candidate in (text.rpartition("\n")[2], text, text[opened + 1 :]):
        if candidate[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(candidate)
                return value[-1] if isinstance(value, list) and value else value
    return None
