"""`rung label`: the truth about a gate's verdict, learnt later by somebody who looked."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.laddering import By, Reason, ask, needed
from libs.cli.screen import Screen
from libs.cli.system import complete
from libs.contracts.facts import LabelStated
from libs.contracts.requests import LadderKind, one_line
from libs.contracts.wire import Recorded
from libs.contracts.words import PHASES, Phase

EXAMPLE: Final = 'Example: rung label 1f2e3d4c test right --reason "read the change and its tests"'
TRUTHS: Final = ("right", "wrong")
GATES: Final = (Phase.INTENT, *(phase for phase in PHASES if phase is not Phase.MONITOR))


def _gate(word: str) -> Phase:
    return Phase(o.parse_word(word, GATES, "gate"))


def _truth(word: str) -> bool:
    return o.parse_word(word, TRUTHS, "label") == "right"


Gate = Annotated[Phase, typer.Argument(metavar="GATE", parser=_gate, help=f"One of {', '.join(GATES)}.")]
Truth = Annotated[
    bool, typer.Argument(metavar="right|wrong", parser=_truth, help="Whether the gate's verdict was right.")
]


def label(
    run: o.RunName,
    gate: Gate,
    truth: Truth,
    *,
    reason: Reason,
    by: By = None,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Say whether a gate's verdict on a run was right: a pass of a good change, a fail of a bad one.

    Where a check was asked for it counts as that check. A later label of the same gate takes the place of an
    earlier one.

    Exit code: 0 recorded, 2 wrong usage, 3 refused with a sentence, 4 no system runs.
    """
    fields = {"phase": gate, "is_right": truth, "reason": needed(reason), "by": by or o.os_user()}
    recorded = complete(_label(run, fields, data))
    _tell(recorded, data, Screen(is_json=as_json))


async def _label(prefix: str, fields: dict[str, Any], data: Path | None) -> Recorded:
    async with connected(data) as connection:
        view = await connection.view(prefix)
        return await ask(connection, view.workflow, LadderKind.LABEL, run=view.run, **fields)


def _tell(recorded: Recorded, data: Path | None, screen: Screen) -> None:
    fact = recorded.fact
    assert isinstance(fact, LabelStated), "that is what was asked for"
    if screen.is_json:
        return screen.answer(
            {
                "workflow": fact.workflow,
                "run": fact.run,
                "gate": fact.phase,
                "is_right": fact.is_right,
                "source": fact.source,
                "by": fact.by,
                "reason": fact.reason,
                "sequence": recorded.sequence,
            }
        )
    word = "right" if fact.is_right else "wrong"
    checked = " It answers the check that was asked for." if fact.source == "audit" else ""
    screen.line(f"Recorded: the {fact.phase} gate was {word} in run {fact.run}, says {one_line(fact.by)}.{checked}")
    screen.progress(f"What it changes: {o.run_command('readiness', data)}")
    return None
