"""`rung decide`: a human's decision on a run, and the gatekeeper's answer to it."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.ending import Ended, ExitCode
from libs.cli.requesting import decide as ask_for
from libs.cli.screen import Screen
from libs.cli.system import complete
from libs.contracts.requests import one_line
from libs.contracts.words import DecisionKind, Phase

KINDS: Final = tuple(kind for kind in DecisionKind if kind not in (DecisionKind.GRANT, DecisionKind.REVOKE))
EXAMPLE: Final = 'Example: rung decide 1f2e3d4c approve --reason "read the change, it is right"'


def _kind(word: str) -> DecisionKind:
    return DecisionKind(o.parse_word(word, KINDS, "decision"))


def _phase(word: str) -> Phase:
    return Phase(o.parse_word(word, Phase, "phase"))


Kind = Annotated[DecisionKind, typer.Argument(metavar="KIND", parser=_kind, help=f"One of {', '.join(KINDS)}.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; an override needs one.")]
Guidance = Annotated[
    str | None, typer.Option("--guidance", metavar="TEXT", help="What the next attempt is told; for guide and resume.")
]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who decides; by default the system's user.")]
SeenPhase = Annotated[
    Phase | None, typer.Option("--phase", metavar="PHASE", parser=_phase, help="Refuse unless the run is still there.")
]
SeenAttempt = Annotated[
    int | None, typer.Option("--attempt", metavar="N", min=1, help="Refuse unless it is still this attempt.")
]
SeenCommit = Annotated[
    str | None, typer.Option("--commit", metavar="ID", help="Refuse unless it is still this commit, named in full.")
]


def decide(
    run: o.RunName,
    kind: Kind,
    *,
    reason: Reason = "",
    guidance: Guidance = None,
    by: By = None,
    phase: SeenPhase = None,
    attempt: SeenAttempt = None,
    commit: SeenCommit = None,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Decide on a run, and wait until the decision is recorded or refused.

    It is signed with the key in RUNG_PERSON_KEY, or with the one that rung person key has made.

    Exit code: 0 recorded, 2 wrong usage, 3 refused with a sentence, 4 no system runs.
    """
    fields = {
        "by": by or o.os_user(),
        "reason": reason,
        "guidance": guidance,
        "phase": phase,
        "attempt": attempt,
        "commit": commit,
    }
    complete(_decide(run, kind, fields, data, Screen(is_json=as_json)))


async def _decide(prefix: str, kind: DecisionKind, fields: dict[str, Any], data: Path | None, screen: Screen) -> None:
    async with connected(data) as connection:
        run = (await connection.view(prefix)).run
        answer = await ask_for(connection, run, kind, **fields)
    by = answer.by or fields["by"]
    told = {
        "run": run,
        "decision": answer.decision,
        "kind": str(kind),
        "by": by,
        "awaits": answer.awaits,
        "is_recorded": not answer.is_refused,
        "code": answer.code,
        "sequence": answer.sequence,
    }
    if answer.is_refused:
        raise Ended(f"Refused: {one_line(answer.message, 1000)}.", ExitCode.WAITING, told)
    if screen.is_json:
        return screen.answer(told)
    screen.line(f"Recorded: {kind} by {one_line(by)} on run {run}.", "green")
    if answer.awaits:
        more = "1 more person has" if answer.awaits == 1 else f"{answer.awaits} more people have"
        screen.progress(f"It does not count yet: {more} to agree.", "yellow")
    screen.progress(f"Look at it with: {o.run_command(f'runs show {run[:8]}', data)}")
    return None
