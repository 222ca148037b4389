"""Failures of infrastructure: the same attempt is asked for again after a pause, a few times, whatever the level.

Nobody's work was judged, so this is no healing and counts in no loop. When the tries are used up the
gate judges what there is: nothing.
"""

from itertools import takewhile
from typing import Final

from services.gatekeeper.budget import spent
from services.gatekeeper.run import Run

PAUSES_S: Final = (2.0, 10.0, 60.0)
"""Pause before each try after the first, in seconds; so many tries there are, until one is answered."""


def pause_s(run: Run) -> float | None:
    """How long an answered run waits before its attempt is asked for again; `None` when it is not."""
    own = [record for record in run.attempts if record.phase is run.phase]
    lost = len(list(takewhile(lambda record: record.is_lost, reversed(own))))
    if not 0 < lost <= len(PAUSES_S) or spent(run, run.phase, run.attempts[-1].loop):
        return None
    return PAUSES_S[lost - 1]
