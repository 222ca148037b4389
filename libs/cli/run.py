"""`rung run`: opens an issue and follows its run until it is merged, declined, aborted or waits."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from nats.errors import Error as NatsError

from libs.cli import options as o
from libs.cli.answers import Answers, Automatic, Nobody, Person
from libs.cli.connection import Connection, default_data
from libs.cli.ending import Ended, ExitCode, Misused, Unreachable
from libs.cli.handover import HandOver
from libs.cli.narrator import Narrator
from libs.cli.pursuit import Pursuit, Result
from libs.cli.requesting import Errand, errand
from libs.cli.screen import Screen
from libs.cli.stories import show_end
from libs.cli.system import borrowed_or_launched, complete
from libs.contracts.requests import one_line
from libs.runtime.log import LogUnavailable

RETURNS: Final = 3
"""How often a system that goes away while it is followed is looked for again, or replaced."""

EXAMPLE: Final = 'Example: rung run --repo ~/shop --title "Ten pieces get no discount" --body-file issue.md'

ApproveAs = Annotated[
    str | None,
    typer.Option(
        "--approve-as",
        metavar="NAME",
        help="Answer checkpoints without asking: approve what passed, reject the rest. Recorded as automatic.",
    ),
]


def run(
    *,
    repo: o.Repo,
    title: o.Title,
    body_file: o.BodyFile = None,
    issue_type: o.IssueType = "bug",
    level: o.LevelOption = None,
    agent: o.Agent = None,
    approve_as: ApproveAs = None,
    branch: o.Branch = None,
    key: o.Key = None,
    data: o.Data = None,
    timeout: o.Timeout = None,
    as_json: o.AsJson = False,
) -> None:
    """Open an issue and follow its run until it is merged, declined, aborted, or waits for a human.

    Asks at each checkpoint when standard input is a terminal. Starts a system if none is running on the
    data directory, and stops it at the end.

    Exit code: 0 merged, 1 declined or aborted, 2 wrong usage, 3 waiting for a human, 4 no system to work with.
    """
    work = errand(
        repository=repo,
        key=key,
        title=title,
        body=o.read_body(body_file),
        type=issue_type,
        level=level,
        agent=agent,
        branch=branch,
    )
    refuse_data_inside(work.request.repository, data)
    if approve_as is not None and not one_line(approve_as):
        raise Misused("--approve-as names nobody.")
    following = Following(work, Screen(is_json=as_json), data, approve_as, timeout)
    try:
        code = complete(following.run())
    except KeyboardInterrupt:
        if following.code is not None:
            raise typer.Exit(following.code) from None
        raise _interrupted(work, data) from None
    raise typer.Exit(code)


def refuse_data_inside(repository: str, data: Path | None) -> None:
    """Keys and the log never lie below a repository, where an agent or a commit could take them along."""
    place = os.path.realpath(data or default_data())
    if Path(place).is_relative_to(repository):
        raise Misused(f"The data directory {place} lies inside the repository {repository}; name another with --data.")


@dataclass
class Following:
    """What `rung run` was asked to do; `code` is set once the end was told."""

    errand: Errand
    screen: Screen
    data: Path | None
    approve_as: str | None
    timeout_s: float | None
    code: ExitCode | None = None

    def __post_init__(self) -> None:
        self.hand_over = HandOver(self.data, self.screen)

    async def run(self) -> ExitCode:
        with Narrator(self.screen) as narrator:
            narrator.spin("looking for a running system")
            pursuit = Pursuit(self.errand.run, narrator, Nobody(), self.errand, hand_over=self.hand_over)
            automatic = Automatic(one_line(self.approve_as)) if self.approve_as else None
            try:
                async with asyncio.timeout(self.timeout_s):
                    return await self._returning(pursuit, automatic)
            except TimeoutError:
                narrator.rest()
                return await self._end(pursuit.given_up(self.timeout_s or 0), None)

    async def _returning(self, pursuit: Pursuit, automatic: Automatic | None) -> ExitCode:
        """Follow to the end, also when the system that was borrowed goes away meanwhile."""
        for left in reversed(range(RETURNS)):
            try:
                async with borrowed_or_launched(self.data, self._tell) as connection:
                    pursuit.answers = self._answers(connection, automatic)
                    result = await pursuit.follow(connection)
                    pursuit.narrator.rest()
                    return await self._end(result, connection)
            except (Unreachable, LogUnavailable, NatsError) as lost:
                if not left:
                    raise
                self.screen.progress(f"The system is gone ({str(lost).rstrip('.')}); trying again.", "yellow")
        raise AssertionError("the last try returns or raises")

    def _answers(self, connection: Connection, automatic: Automatic | None) -> Answers:
        if automatic is not None:
            return automatic
        return Person(self.screen, connection) if sys.stdin.isatty() else Nobody()

    async def _end(self, result: Result, connection: Connection | None) -> ExitCode:
        if self.screen.is_json:
            bundle = str(self.hand_over.path) if self.hand_over.path else None
            self.screen.answer({**result.as_json(), "issue": self.errand.issue, "bundle": bundle})
        else:
            await show_end(self.screen, result, connection, self.data)
        self.code = result.code
        return result.code

    def _tell(self, sentence: str) -> None:
        self.screen.progress(sentence, "yellow")


def _interrupted(work: Errand, data: Path | None) -> Ended:
    watch = o.run_command(f"runs watch {work.run[:8]}", data)
    return Ended(f"Interrupted; the run goes on whenever a system runs. Look at it with: {watch}", ExitCode.INTERRUPTED)
