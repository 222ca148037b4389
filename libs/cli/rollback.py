"""`rung rollback`: takes a merged change back, and waits until it is off its branch or is not."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer

from libs.cli import options as o
from libs.cli.connection import Connection, connected
from libs.cli.ending import Ended, ExitCode
from libs.cli.requesting import LOOK_S
from libs.cli.requesting import decide as ask_for
from libs.cli.screen import Screen
from libs.cli.system import complete
from libs.contracts.facts import ChangeRefused, ChangeReverted
from libs.contracts.requests import one_line
from libs.contracts.words import DecisionKind, RevertCause

WHYS: Final = get_args(RevertCause)
WAIT_S: Final = 1800.0
EXAMPLE: Final = 'Example: rung rollback 1f2e3d4c --why regression --reason "orders fail since it is out"'


def _why(word: str) -> str:
    return o.parse_word(word, WHYS, "cause")


Why = Annotated[
    str,
    typer.Option(
        "--why",
        metavar="CAUSE",
        parser=_why,
        help="regression (it did harm), business (it is not wanted any more) or drill (the rollback itself is tried).",
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in your words.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who decides; by default the system's user.")]


def rollback(
    run: o.RunName,
    *,
    why: Why,
    reason: Reason,
    by: By = None,
    timeout: o.Timeout = None,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Take a run's merged change back, whether its watch goes on or the run has ended long ago.

    The inverse of the change is made on the present tip of its branch and tested there; it lands if
    nothing breaks. Only a regression says that the gates were wrong.

    Exit code: 0 taken back, 1 it could not be, 3 refused with a sentence or not done in time, 4 no system runs.
    """
    fields = {"by": by or o.os_user(), "reason": reason, "revert_for": why}
    complete(_rollback(run, fields, data, WAIT_S if timeout is None else timeout, Screen(is_json=as_json)))


async def _rollback(prefix: str, fields: dict[str, Any], data: Path | None, wait_s: float, screen: Screen) -> None:
    async with connected(data) as connection:
        run = (await connection.view(prefix)).run
        answer = await ask_for(connection, run, DecisionKind.REVOKE, **fields)
        by = answer.by or fields["by"]
        told = {
            "run": run,
            "decision": answer.decision,
            "why": fields["revert_for"],
            "by": by,
            "is_recorded": not answer.is_refused,
            "is_reverted": False,
            "code": answer.code,
            "tip": None,
        }
        if answer.is_refused:
            raise Ended(f"Refused: {one_line(answer.message, 1000)}.", ExitCode.WAITING, told)
        screen.progress(f"Recorded: rollback by {one_line(by)}; the revert is made and tested.")
        outcome = await _outcome(connection, run, answer.sequence, wait_s)
    _tell(outcome, told, o.run_command(f"runs show {run[:8]}", data), screen)


async def _outcome(
    connection: Connection, run: str, after: int, wait_s: float
) -> ChangeReverted | ChangeRefused | None:
    """What the merger says to the order; `None` when it has not said anything in time."""
    filters = [f"run.{run}.{fact.type}" for fact in (ChangeReverted, ChangeRefused)]
    try:
        async with asyncio.timeout(wait_s):
            while True:
                for recorded in (await connection.log.read(*filters, after=after)).facts:
                    if isinstance(recorded.fact, ChangeReverted | ChangeRefused):
                        return recorded.fact
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return None


def _tell(outcome: ChangeReverted | ChangeRefused | None, told: dict[str, Any], show: str, screen: Screen) -> None:
    match outcome:
        case ChangeReverted():
            told |= {"is_reverted": True, "code": "reverted", "tip": outcome.tip}
        case ChangeRefused():
            told |= {"code": outcome.code}
            said = one_line(outcome.message, 1000).rstrip(".")
            raise Ended(f"The change could not be taken back: {said}.", ExitCode.FAILED, told)
        case None:
            told |= {"code": "under_way"}
            raise Ended(f"The change is still being taken back; look at it with: {show}.", ExitCode.WAITING, told)
    if screen.is_json:
        return screen.answer(told)
    screen.line(f"Taken back: {outcome.tip[:12]} is without the change of run {told['run']}.", "green")
    screen.progress(f"Look at it with: {show}")
    return None
