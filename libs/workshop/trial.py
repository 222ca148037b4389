"""A commit on trial: tests and analysers run by Rung in a clean checkout of exactly that commit."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.contracts.workflow import Policy
from libs.workshop.attempt import workspace
from libs.workshop.evidence.collect import Reports, TestRun, run_tests
from libs.workshop.evidence.review import Review, run_review
from libs.workshop.git import Quarantine
from libs.workshop.sandbox import Limits, Sandbox

ChangedLines = Mapping[str, frozenset[int]]


@dataclass(frozen=True)
class Trial:
    """Where commits are tried, by the commands and report places of the base commit's policy."""

    sandbox: Sandbox
    quarantine: Quarantine
    scratch: Path
    policy: Policy
    limits: Limits
    on_output: Callable[[bytes], None] | None = None

    async def tests(
        self,
        commit: str,
        changed: ChangedLines,
        targets: Sequence[str],
        *,
        only: Sequence[str] = (),
        limits: Limits | None = None,
        is_covered: bool = True,
    ) -> TestRun:
        """Run the repository's tests once; `only` these files or ids where pytest runs by default.

        What is covered is measured unless nobody asks (`is_covered`), which takes a quarter of the time.
        """
        reports = self.policy.reports
        async with self._checkout(commit) as checkout:
            return await run_tests(
                self.sandbox,
                checkout,
                commands=self.policy.commands.test,
                reports=Reports(junit=reports.junit, coverage=reports.coverage),
                changed=changed,
                targets=targets,
                only=only,
                values=reports.values,
                limits=limits or self.limits,
                is_covered=is_covered,
                on_output=self.on_output,
            )

    async def review(self, commit: str, changed: ChangedLines) -> Review:
        """Run the analysers; only findings on the changed lines count."""
        async with self._checkout(commit) as checkout:
            return await run_review(
                self.sandbox,
                checkout,
                changed,
                commands=self.policy.commands.lint,
                reports=self.policy.reports.sarif,
                values=self.policy.reports.values,
                limits=self.limits,
            )

    @contextlib.asynccontextmanager
    async def _checkout(self, commit: str) -> AsyncIterator[Path]:
        with workspace(self.scratch) as room:
            checkout = room / "checkout"
            await self.quarantine.clone(commit, checkout, branch=None)
            yield checkout


def report_files(phase: str, reports: Mapping[str, bytes]) -> dict[str, bytes]:
    """Reports as artifacts of a phase, their folders folded into the name."""
    return {f"{phase}-{name.replace('/', '-')}": data for name, data in reports.items() if data}
