"""`python -m services.gatekeeper.calibrated` tells what counts prove: shares on stdin, their lower bounds on stdout.

The question is one JSON object, `shares`, a list of pairs: how many of how many.
"""

import json
import sys
from typing import Any

from services.gatekeeper.readiness.bounds import lower_bound


def figures(question: dict[str, Any]) -> dict[str, Any]:
    """One-sided 95% lower bounds, in the order of the shares; null where nothing was counted.

    Raises:  KeyError, ValueError for a question that lacks something.
    """
    return {"lower_bounds": [lower_bound(part, whole) if whole else None for part, whole in question["shares"]]}


if __name__ == "__main__":
    json.dump(figures(json.load(sys.stdin)), sys.stdout)
