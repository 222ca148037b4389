"""What a human may answer where a run waits or was stopped, and what hinders the rest."""

from typing import Final, NamedTuple

from libs.contracts.words import DecisionKind, Outcome, Phase
from services.gatekeeper.budget import spent
from services.gatekeeper.healing import healer
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import Stage

GOING_ON: Final = (DecisionKind.APPROVE, DecisionKind.OVERRIDE)
AGAIN: Final = (DecisionKind.RETRY, DecisionKind.GUIDE, DecisionKind.RESUME)
AT_CHECKPOINT: Final = (DecisionKind.REJECT, DecisionKind.RETRY, DecisionKind.GUIDE, DecisionKind.CANCEL)
AFTER_ABORT: Final = (DecisionKind.RESUME, DecisionKind.GUIDE)


SPENT: Final = "nothing more is asked for in this run; raise the budget in the workflow and open the issue again"


class Hindrance(NamedTuple):
    """Why an answer is not to be had; the code is one of `decision.refused`."""

    code: str
    message: str


def offered(run: Run) -> tuple[DecisionKind, ...]:
    """The answers that mean something now, going on first; only a gate's own end can be gone on from."""
    if run.stage is not Stage.ABORTED:
        kinds: tuple[DecisionKind, ...] = (_going_on(run), *AT_CHECKPOINT)
    else:
        kinds = (_going_on(run), *AFTER_ABORT) if run.is_stopped_by_gate else AFTER_ABORT
    return tuple(kind for kind in kinds if hindrance(run, kind) is None)


def hindrance(run: Run, kind: DecisionKind) -> Hindrance | None:
    """What stands against an answer, whoever gives it; `None` when nothing does."""
    if kind in GOING_ON and run.stage is Stage.ABORTED and not run.is_stopped_by_gate:
        return Hindrance("too_late", "the time to decide is over and the run has ended; resume does the phase again")
    if kind in GOING_ON and run.lacking is not None:
        return Hindrance("nothing_to_go_on_with", f"{run.lacking}; say retry or guide")
    asked = _asked_for(run, kind)
    reason = spent(run, asked) if asked else None
    return Hindrance("budget_spent", f"{reason}; {SPENT}") if reason else None


def _going_on(run: Run) -> DecisionKind:
    """The word for going on: it contradicts a fail and agrees with anything else."""
    is_fail = run.judged is not None and run.judged.verdict.outcome is Outcome.FAIL
    return DecisionKind.OVERRIDE if is_fail else DecisionKind.APPROVE


def _asked_for(run: Run, kind: DecisionKind) -> Phase | None:
    """The phase that an answer asks for; `None` where it asks for no more work."""
    if kind in AGAIN:
        return healer(run)
    return run.after if kind in GOING_ON and run.phase is not Phase.DEPLOY else None
