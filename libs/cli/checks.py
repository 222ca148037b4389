"""Checks by chance: runs whose gates somebody is asked to look at once more, and how to answer."""

from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.text import Text

from libs.cli.connection import Connection
from libs.cli.ending import Misused
from libs.cli.options import run_command
from libs.cli.screen import Screen, cell
from libs.contracts.views import RunView
from libs.contracts.words import Outcome, Phase

CHECKS_MAX: Final = 20
"""Runs in one answer; each is asked for by itself."""

_SAID: Final = {
    "pass": "a machine let it through; was each gate right to pass it?",
    "fail": "a gate ended it; was it right?",
}


class Check(NamedTuple):
    """A run that was drawn for a check of what its gates let through (`pass`), or of what ended it (`fail`)."""

    view: RunView
    kind: str

    @property
    def short(self) -> str:
        return self.view.run[:8]

    @property
    def gates(self) -> tuple[Phase, ...]:
        """The gates whose verdicts are in question."""
        is_asked = {Outcome.FAIL} if self.kind == "fail" else {Outcome.PASS, Outcome.WARN}
        return tuple(
            seen.phase for seen in self.view.phases if seen.phase is not Phase.MONITOR and seen.outcome in is_asked
        )

    def look(self, data: Path | None) -> str:
        return run_command(f"runs show {self.short} --diff", data)

    def commands(self, data: Path | None) -> dict[str, str]:
        """The commands that answer, by gate and answer."""
        return {
            f"{gate} {answer}": run_command(f"label {self.short} {gate} {answer} --reason TEXT", data)
            for gate in self.gates
            for answer in ("right", "wrong")
        }

    def as_json(self, data: Path | None) -> dict[str, Any]:
        """An entry of the inbox; it has no checkpoint, since nothing waits for the answer."""
        return {
            "run": self.view.run,
            "short": self.short,
            "title": self.view.title,
            "repository": self.view.repository,
            "checkpoint": None,
            "audit": self.kind,
            "gates": list(self.gates),
            "commit": self.view.commit,
            "look": self.look(data),
            "commands": self.commands(data),
        }


async def checks_asked(connection: Connection) -> tuple[list[Check], int]:
    """The newest checks of every workflow that wait for an answer, and how many there are in all."""
    asked = await connection.ask("audits")
    found = []
    for one in asked[:CHECKS_MAX]:
        try:
            found.append(Check(await connection.view(one["run"]), one["kind"]))
        except Misused:  # the projection is being made anew, and does not know the run yet
            continue
    return found, len(asked) - len(asked[:CHECKS_MAX]) + len(found)


def show_checks(screen: Screen, checks: list[Check], left: int, data: Path | None) -> None:
    """The checks for people, each command on a line of its own."""
    if checks:
        screen.line("Drawn by chance for a check; nothing waits for it, and silence says nothing", "bold")
        screen.line()
    for check in checks:
        screen.line(Text.assemble((check.short, "bold"), f"  check  {check.kind}  {cell(check.view.title)}"))
        screen.line(f"  {'repository':<10}  {cell(check.view.repository, 1000)}")
        screen.line(f"  {'asked':<10}  {_SAID.get(check.kind, check.kind)}")
        screen.line(f"  {'look':<10}  {check.look(data)}")
        for command in check.commands(data).values():
            screen.line(f"    {command}")
        screen.line()
    if left > 0:
        screen.progress(f"{left} more {'check waits' if left == 1 else 'checks wait'}; rung readiness counts them.")
