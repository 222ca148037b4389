"""What a run may still spend: attempts, time and money, reserved before an attempt and committed after it.

Theory: one attempt is open at a time. Before it is asked for, all that it may use is set aside: its
deadline is no later than the time left, its cost limit no more than the money left. Afterwards what
it really used is committed; an agent that does not say what it cost is taken to have spent its whole
limit, and so is an attempt that was lost. All is counted from the facts of the run, so a restart, a
duplicate or a human's retry spends nothing twice and forgets nothing. Time is that of the work, not
of waiting for people. Lost attempts have their own bound (`retries.py`) and count in time and money.
"""

import math
from collections.abc import Iterable
from typing import Final

from libs.contracts.facts import RunStarted
from libs.contracts.words import AGENTS_WORK, Phase
from libs.contracts.workflow import FREE_AGENTS, LoopName
from services.gatekeeper.run import AttemptRecord, Run

DEADLINE_S: Final = 1800.0
"""How long an attempt may take at most, in seconds."""


def spent(run: Run, phase: Phase, loop: LoopName | None = None) -> str | None:
    """Why no attempt at a phase may be asked for; `None` when there is enough left for one."""
    return _attempts_spent(run) or _time_spent(run) or _money_spent(run, phase, loop)


def agent_for(run: Run, phase: Phase) -> str:
    """Who works on a phase of a run."""
    return agent_named(run.begun, phase)


def agent_named(started: RunStarted, phase: Phase) -> str:
    """Who works on a phase: whom the operator named, else whom the workflow names for it."""
    own = None if started.agent_by == "operator" else started.policy.agent_for(phase)
    return own or started.agent


def deadline_s(run: Run) -> float:
    """The time set aside for the next attempt, in seconds."""
    wall_s = run.begun.policy.budget.wall_s
    return DEADLINE_S if wall_s is None else min(DEADLINE_S, wall_s - worked_s(run.attempts))


def cost_limit_usd(run: Run, phase: Phase, loop: LoopName | None) -> float | None:
    """The money set aside for an attempt at a phase; `None` where it is free or nothing bounds it.

    Unit:    US dollars, whole millionths, rounded down.
    """
    if phase not in AGENTS_WORK or agent_for(run, phase) in FREE_AGENTS:
        return None
    own = run.begun.policy.budget.attempt_cost_usd
    bounds = [*_money_left(run, loop), *([] if own is None else [own])]
    return math.floor(round(min(bounds) * 1e6, 3)) / 1e6 if bounds else None


def worked_s(attempts: Iterable[AttemptRecord]) -> float:
    """Seconds of work in these attempts; one without an answer counts with its whole deadline."""
    return sum(
        record.request.deadline_s if record.answered_at is None else record.answered_at - record.requested_at
        for record in attempts
    )


def cost_usd(attempts: Iterable[AttemptRecord]) -> float:
    """Money that these attempts have cost; where nobody says, all that was set aside.

    Unit:    US dollars.
    """
    return sum(
        (record.request.cost_limit_usd or 0.0) if record.cost_usd is None else record.cost_usd for record in attempts
    )


def _attempts_spent(run: Run) -> str | None:
    allowed = run.begun.policy.budget.attempts
    made = sum(not record.is_lost for record in run.attempts)
    return None if allowed is None or made < allowed else f"the run's budget of {allowed} attempts is spent"


def _time_spent(run: Run) -> str | None:
    allowed = run.begun.policy.budget.wall_s
    if allowed is None or worked_s(run.attempts) < allowed:
        return None
    return f"the run's budget of {allowed:g} s of work is spent"


def _money_spent(run: Run, phase: Phase, loop: LoopName | None) -> str | None:
    limit = cost_limit_usd(run, phase, loop)
    own = run.begun.policy.budget.attempt_cost_usd
    if limit is None or (limit > 0 and limit >= (own or 0)):
        return None
    silent = any(record.cost_usd is None and record.request.cost_limit_usd for record in run.attempts)
    hint = "; an agent that does not say what it costs is taken to have spent all that was set aside" if silent else ""
    return f"${limit:g} is left of what the run may cost, too little for another attempt{hint}"


def _money_left(run: Run, loop: LoopName | None) -> list[float]:
    """What is left of each bound on money: of the run's, and of the loop's."""
    policy = run.begun.policy
    bounds = [(policy.budget.cost_usd, run.attempts)]
    if loop is not None:
        ceiling = policy.loop(loop, run.begun.issue_type).cost_ceiling_usd
        bounds.append((ceiling, tuple(record for record in run.attempts if record.loop is loop)))
    return [max(bound - cost_usd(attempts), 0.0) for bound, attempts in bounds if bound is not None]
