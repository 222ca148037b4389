"""What a human may answer where a run stands, and what hinders the rest."""

from typing import Final, NamedTuple

from libs.contracts.words import DecisionKind, Phase
from services.gatekeeper.budget import spent
from services.gatekeeper.healing import healer
from services.gatekeeper.run import Run

GOING_ON: Final = (DecisionKind.APPROVE, DecisionKind.OVERRIDE)
AGAIN: Final = (DecisionKind.RETRY, DecisionKind.GUIDE, DecisionKind.RESUME)


class Hindrance(NamedTuple):
    """Why an answer is not to be had; the code is one of `decision.refused`."""

    code: str
    message: str


def hindrance(run: Run, kind: DecisionKind) -> Hindrance | None:
    """What stands against an answer, whoever gives it; `None` when nothing does."""
    if kind in GOING_ON and run.lacking is not None:
        return Hindrance("nothing_to_go_on_with", f"{run.lacking}; say retry or guide")
    asked = _asked_for(run, kind)
    reason = spent(run, asked) if asked else None
    return Hindrance("budget_spent", f"{reason}; nothing more is asked for in this run") if reason else None


def _asked_for(run: Run, kind: DecisionKind) -> Phase | None:
    """The phase that an answer asks for; `None` where it asks for no more work."""
    if kind in AGAIN:
        return healer(run)
    return run.after if kind in GOING_ON and run.phase is not Phase.DEPLOY else None
