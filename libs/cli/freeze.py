"""`rung freeze`: nothing of a workflow is merged by a machine or a person until the freeze is lifted."""

from pathlib import Path
from typing import Annotated, Final

import typer

from libs.cli import options as o
from libs.cli.laddering import By, Reason, Repo, ask_once, needed, repo_option
from libs.cli.screen import Screen
from libs.cli.system import complete
from libs.contracts.facts import FreezeLifted, FreezeSet
from libs.contracts.requests import LadderKind, one_line

SET_EXAMPLE: Final = 'Example: rung freeze set --reason "release week"'
LIFT_EXAMPLE: Final = 'Example: rung freeze lift --reason "released"'

app = typer.Typer(help="Stop all merges of a workflow, and let them go on.", rich_markup_mode=None)

WhyLift = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, if there is something to say.")]


@app.callback()
def _group() -> None:
    """Stop all merges of a workflow, and let them go on."""


@app.command("set", epilog=SET_EXAMPLE)
def set_freeze(
    *, reason: Reason, repo: Repo = None, by: By = None, data: o.Data = None, as_json: o.AsJson = False
) -> None:
    """Let nothing of this workflow be merged until the freeze is lifted; runs go on up to the merge.

    Exit code: 0 recorded, 2 wrong usage, 3 refused with a sentence, 4 no system runs.
    """
    _ask(LadderKind.FREEZE, needed(reason), repo=repo, by=by, data=data, screen=Screen(is_json=as_json))


@app.command("lift", epilog=LIFT_EXAMPLE)
def lift(
    *, reason: WhyLift = "", repo: Repo = None, by: By = None, data: o.Data = None, as_json: o.AsJson = False
) -> None:
    """Let changes of this workflow be merged again.

    Exit code: 0 recorded, 2 wrong usage, 3 refused with a sentence, 4 no system runs.
    """
    _ask(LadderKind.LIFT, reason, repo=repo, by=by, data=data, screen=Screen(is_json=as_json))


def _ask(kind: LadderKind, reason: str, *, repo: str | None, by: str | None, data: Path | None, screen: Screen) -> None:
    recorded = complete(ask_once(repo, kind, data, by=by or o.os_user(), reason=reason))
    fact = recorded.fact
    assert isinstance(fact, FreezeSet | FreezeLifted), "that is what was asked for"
    is_frozen = isinstance(fact, FreezeSet)
    if screen.is_json:
        return screen.answer(
            {
                "workflow": fact.workflow,
                "is_frozen": is_frozen,
                "by": fact.by,
                "reason": fact.reason,
                "sequence": recorded.sequence,
            }
        )
    said = "Frozen" if is_frozen else "The freeze is lifted"
    screen.line(f"{said}, by {one_line(fact.by)}" + (f": {one_line(fact.reason, 1000)}" if fact.reason else "") + ".")
    if is_frozen:
        screen.progress(f"Nothing is merged until: {o.run_command(f'freeze lift{repo_option(repo)}', data)}")
    return None
