"""Judges the past of a branch, some candidates at once, and keeps what was said of each.

Of every good commit that no gate stopped, one candidate more is made by breaking it: where the gates
stop the commit as it is, that they stop it broken too would say nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from libs.contracts.failures import WorkFailed
from libs.workshop.calibration.candidates import Candidate, Kind, Skipped, is_prose, of_history
from libs.workshop.calibration.collecting import collect
from libs.workshop.calibration.history import Landed
from libs.workshop.calibration.judges import Judges
from libs.workshop.calibration.results import GateSaid, Kept, Result, Tally
from libs.workshop.calibration.seeding import seeded
from libs.workshop.faults import told_as_failures
from libs.workshop.git import Diff
from libs.workshop.trial import Trial

REASONS_MAX = 5
UNREADABLE = "change_unreadable"
SANDBOX = "sandbox_unavailable"


@dataclass
class Calibrator:
    """`tell` hears of each candidate as it ends, with how many have ended and how many there may be in all.

    It is also told whether the candidate was judged now, or before.
    """

    trial: Trial
    judges: Judges
    kept: Kept
    baselines: Path
    seed: int
    jobs: int
    tell: Callable[[int, int, Result | Skipped, bool], None]
    _results: list[Result] = field(default_factory=list)
    _skipped: list[Skipped] = field(default_factory=list)
    _whole: int = 0

    async def over(self, landed: Sequence[Landed]) -> Tally:
        """The gates' word on all that landed, in that order.

        Raises: WorkFailed where nothing can be judged at all, GatesUnavailable.
        """
        slots = asyncio.Semaphore(self.jobs)
        meant = [of_history(one) for one in landed]
        self._whole = sum(2 if one.kind is Kind.MERGED else 1 for one in meant if isinstance(one, Candidate))
        for one in meant:
            if isinstance(one, Skipped):
                self._skip(one)
        try:
            async with asyncio.TaskGroup() as group:
                for one in meant:
                    if isinstance(one, Candidate):
                        group.create_task(self._both(one, slots))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return self._in_order([one.commit for one in landed])

    def _in_order(self, commits: Sequence[str]) -> Tally:
        place = {commit: number for number, commit in enumerate(commits)}
        results = sorted(self._results, key=lambda one: (place[one.origin], one.kind is Kind.SEEDED))
        return Tally(tuple(results), tuple(sorted(self._skipped, key=lambda one: place[one.commit])))

    async def _both(self, candidate: Candidate, slots: asyncio.Semaphore) -> None:
        """The candidate as it landed, then broken again where that says anything."""
        async with slots:
            diff, result = await self._from_history(candidate)
        if candidate.is_bad:
            return
        if diff is None or result is None or result.is_stopped:
            self._whole -= 1
            return
        async with slots:
            await self._broken(candidate, diff)

    async def _from_history(self, candidate: Candidate) -> tuple[Diff | None, Result | None]:
        try:
            with told_as_failures(UNREADABLE):
                diff = await self.trial.quarantine.diff(candidate.base, candidate.commit)
                if why := _unfit(diff):
                    self._leave(candidate, why)
                    return None, None
                return diff, await self._judge(candidate, diff)
        except WorkFailed as failed:
            self._failed(candidate, failed)
            return None, None

    async def _broken(self, candidate: Candidate, diff: Diff) -> None:
        trial = self.trial
        try:
            with told_as_failures(UNREADABLE):
                bad = await seeded(trial.quarantine, trial.scratch, candidate, diff, self.seed)
                if bad is None:
                    self._whole -= 1
                    return
                await self._judge(bad, await trial.quarantine.diff(bad.base, bad.commit))
        except WorkFailed as failed:
            self._failed(Candidate(Kind.SEEDED, candidate.commit, candidate.base, candidate.origin, ""), failed)

    async def _judge(self, candidate: Candidate, diff: Diff) -> Result:
        result = known = self.kept.find(candidate.kind, candidate.commit)
        if result is None:
            evidence = await collect(self.trial, candidate, diff, self.baselines)
            verdicts = {phase: await self.judges.verdict(phase, one) for phase, one in evidence.items()}
            result = Result(
                kind=candidate.kind,
                commit=candidate.commit,
                origin=candidate.origin,
                what=candidate.what,
                said={
                    phase: GateSaid(outcome=verdict.outcome, reasons=verdict.reasons[:REASONS_MAX])
                    for phase, verdict in verdicts.items()
                },
            )
            self.kept.keep(result)
        self._results.append(result)
        self._say(result, is_new=known is None)
        return result

    def _failed(self, candidate: Candidate, failed: WorkFailed) -> None:
        if failed.code == SANDBOX:
            raise failed
        self._leave(candidate, str(failed))

    def _leave(self, candidate: Candidate, why: str) -> None:
        self._skip(Skipped(candidate.origin, candidate.kind, why))
        self._whole -= 1

    def _skip(self, skipped: Skipped) -> None:
        self._skipped.append(skipped)
        self._say(skipped, is_new=True)

    def _say(self, one: Result | Skipped, *, is_new: bool) -> None:
        self.tell(len(self._results), self._whole, one, is_new)


def _unfit(diff: Diff) -> str:
    """Why a change says nothing of the gates; "" for one that does."""
    if not diff.files:
        return "it changes nothing"
    if all(is_prose(file.path) for file in diff.files):
        return "it touches no code, only documents"
    return ""
