"""What is owed about taking a merged change back: the order, or a human who is called.

Theory: the machine takes back only what it merged itself, once, and only where the workflow says so; everything
else is for people, who are called once for each thing that they did not know: a regression, a refusal, an order that
nobody answers, a revert that mended nothing. A person may order it at any time after the merge, also after the end of
the run, and again after a refusal. Once the change is taken back nothing is ordered any more, and the revert itself is
no run that could be.
"""

from typing import Final

from libs.contracts.facts import Owed, RollbackOrdered, RunEscalated
from libs.contracts.words import Phase
from libs.contracts.workflow import OnRegression
from services.gatekeeper.run import Run

MACHINE: Final = "rung"


def is_to_be_taken_back(run: Run) -> bool:
    """The change is being taken back, or is going to be as soon as that is ordered."""
    return run.is_rolling_back or any(isinstance(fact, RollbackOrdered) for fact, _ in rollback_owed(run))


def rollback_owed(run: Run) -> list[Owed]:
    """The order that answers a person or a regression, or the call for a human; none for what needs neither."""
    back = run.taking_back
    if run.merged is None:
        return []
    if run.reverted is not None:
        return _unrecovered(run)
    if (asked := back.asked) is not None:
        order = RollbackOrdered(
            run=run.run,
            reason=asked.reason,
            by=asked.by,
            why=asked.revert_for or "regression",
            decision=asked.decision,
        )
        return [Owed(order, back.cause)]
    if _is_the_machine_s_to_revert(run):
        order = RollbackOrdered(run=run.run, reason=_regression(run), by=MACHINE, why="regression")
        return [Owed(order, back.cause)]
    if (reason := _trouble(run)) is not None and not back.is_called:
        return [Owed(_call(run, reason), back.cause)]
    return []


def _unrecovered(run: Run) -> list[Owed]:
    """What was taken back was not to blame: a human is called, who may open the issue again."""
    back = run.taking_back
    if back.unrecovered is None or back.is_called:
        return []
    said = f"production did not recover after the change was taken back ({back.unrecovered.message})"
    return [
        Owed(_call(run, f"{said}; look for another cause, and open the issue again if it is still wanted"), back.cause)
    ]


def _has_regressed(run: Run) -> bool:
    return run.watched is not None and run.watched.outcome == "regressed"


def _is_the_machine_s_to_revert(run: Run) -> bool:
    """It merged by the level's authority, production got worse, the workflow lets it, and it has not tried yet."""
    is_its_own = run.authorised is not None and run.authorised.decision is None
    may = run.begun.policy.on_regression is OnRegression.REVERT
    return _has_regressed(run) and is_its_own and may and run.rollback is None


def _regression(run: Run) -> str:
    return run.watched.reason if run.watched else ""


def _trouble(run: Run) -> str | None:
    """Why a human is called; `None` when nothing stands open."""
    back, by_hand = run.taking_back, f"take the change back with: rung rollback {run.run[:8]}"
    if back.refused is not None:
        return f"the change could not be taken back: {back.refused.message}; once that is mended, {by_hand}"
    if run.rollback is not None:
        return "the merger has not taken the change back in time; rung doctor may tell why" if back.is_overdue else None
    if _has_regressed(run):
        return f"production got worse after the merge ({_regression(run)}); {by_hand} --why regression, or leave it"
    return None


def _call(run: Run, reason: str) -> RunEscalated:
    escalation = run.begun.policy.escalation
    return RunEscalated(
        run=run.run,
        phase=Phase.MONITOR,
        attempt=1,
        reason=reason,
        target=escalation.target,
        notify=escalation.notify,
    )
