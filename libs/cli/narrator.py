"""Tells a run as it goes: a line for each step that matters, and a spinner for what is under way."""

from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from libs.cli.screen import Screen, cell, duration, moment, styled
from libs.cli.telling import decided
from libs.contracts import facts as f
from libs.contracts.wire import Recorded
from libs.contracts.words import Disposition, Outcome

REASONS_SHOWN: Final = 5
SUMMARY_WIDTH: Final = 100
MARKS: Final = {Outcome.PASS: "✓", Outcome.WARN: "✓", Outcome.FAIL: "✗", Outcome.ERROR: "✗"}


class Narrator:
    """Lines go to the screen's progress; the spinner shows only on a terminal."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._summary = ""
        self._begun = 0.0
        self._spinner: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()

    def tell(self, news: Iterable[Recorded]) -> None:
        for recorded in news:
            self._note(recorded)
            for line in self._lines(recorded.fact, recorded.time):
                self._screen.progress(line)

    def spin(self, text: str) -> None:
        """Show what is under way, and how long it has been."""
        if not self._screen.err.is_terminal:
            return
        if self._spinner is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
            self._spinner = Progress(*columns, console=self._screen.err, transient=True)
            self._spinner.start()
        if not self._spinner.tasks:
            self._spinner.add_task(cell(text))
        task = self._spinner.tasks[0]
        if task.description != cell(text):
            self._spinner.reset(task.id, description=cell(text))

    def rest(self) -> None:
        """Take the spinner away, so that a person can be asked."""
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def _note(self, recorded: Recorded) -> None:
        match recorded.fact:
            case f.PhaseRequested():
                self._begun, self._summary = recorded.time, ""
            case f.PhaseCompleted() as fact:
                self._summary = fact.declined or fact.summary
            case f.PhaseErrored() as fact:
                self._summary = fact.message
            case _:
                pass

    def _lines(self, fact: f.Fact, time: float) -> list[Text]:
        match fact:
            case f.RunStarted():
                where = f"{fact.repository} → {fact.branch or '?'}, level {fact.level}, agent {fact.agent}"
                return [Text.assemble(("run ", "bold"), fact.run, f"  {cell(fact.title)}"), _more(where)]
            case f.PhaseRequested(attempt=attempt) if attempt > 1:
                return [_more(f"{fact.phase}: attempt {attempt}")]
            case f.PhaseErrored(is_retryable=True):
                return [_more(f"{fact.phase}: {fact.message.rstrip('.')}; this may pass, so it is tried again")]
            case f.GateJudged():
                return self._judged(fact, time)
            case f.DecisionRecorded():
                said = f": {cell(fact.reason, 200)}" if fact.reason else ""
                return [Text.assemble("  → ", (cell(decided(fact)), "bold"), said)]
            case f.DecisionRefused():
                return [Text(f"  ✗ {cell(fact.kind)} refused: {cell(fact.message, 300)}", "red")]
            case _:
                return _landing(fact)

    def _judged(self, fact: f.GateJudged, time: float) -> list[Text]:
        outcome = fact.verdict.outcome
        head = Text.assemble(
            (MARKS.get(outcome, "·"), styled(outcome).style),
            f" {fact.phase:<9} ",
            styled(f"{outcome:<12}".rstrip()),
            " " * max(13 - len(outcome), 1),
            (f"{duration(max(time - self._begun, 0)):>7}", "dim"),
            f"  {cell(self._summary, SUMMARY_WIDTH)}",
        )
        said = [reason for reason in fact.verdict.reasons if reason != self._summary]
        reasons = [_more(reason) for reason in said[:REASONS_SHOWN]]
        left = len(said) - REASONS_SHOWN
        more = [_more(f"… and {left} more")] if left > 0 else []
        is_told = fact.disposition in (Disposition.HEAL, Disposition.ABORT, Disposition.WARN)
        return [head, *reasons, *more, *([_more(f"{fact.disposition}: {fact.reason}")] if is_told else [])]


def _landing(fact: f.Fact) -> list[Text]:
    match fact:
        case f.ChangeProposed():
            return [_more(f"the change stands on {fact.branch}")]
        case f.ChangeRefused():
            return [Text(f"  ✗ not merged: {cell(fact.message, 300)}", "yellow")]
        case f.ChangeMerged():
            return [Text(f"✓ merged    {fact.tip[:12]} into {cell(fact.target)}", "green")]
        case f.WatchEnded():
            return [Text.assemble("· watch     ", styled(fact.outcome), f"  {cell(fact.reason, 200)}")]
        case f.CheckpointReminded():
            return [Text(f"  ! nobody has decided yet; the time is over at {moment(fact.expires_at)} UTC", "yellow")]
        case f.RunEscalated():
            return [Text(f"  ! {cell(fact.reason, 300)}", "yellow")]
        case _:
            return []


def _more(text: str) -> Text:
    return Text(f"    {cell(text, 300)}", "dim")
