"""The tests of a change, run beside those of its base: whose failures they are, and whether the tests still test.

Three runs: the change's tests on the change; the base's tests on the change, where it edits tests; the base,
measured once for all that share it. A fix has to be proven besides, by a test that fails without it. All
runs together keep within the time of one attempt, and all use the runner settings of the base.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from libs.contracts.evidence import Problem
from libs.workshop.baselines import Baselines
from libs.workshop.evidence import comparison
from libs.workshop.evidence.collect import TestRun
from libs.workshop.evidence.comparison import Outcomes
from libs.workshop.evidence.paths import is_test_file
from libs.workshop.evidence.witness import CONTRADICTED
from libs.workshop.mixture import Mixer, is_runner_file
from libs.workshop.trial import Trial

BASELINES: Final = "baselines"
"""The directory, below a service's state, of what was measured on bases."""
FIXES: Final = frozenset({"bug", "hotfix"})
"""Types of issues whose change has to make some test pass that failed."""
RERUNS: Final = 2
IDS_MAX: Final = 100
QUICK_S: Final = 30.0
"""A suite of at most so long is run again as a whole: a test that fails only among the others fails again then."""
SILENCED: Final = Problem(
    code=CONTRADICTED,
    message="The tests of the base could be watched while they ran, and those of the change cannot.",
)


@dataclass(frozen=True)
class Change:
    """A commit on its base; `kind` is the type of the issue, `targets` the tests that it set out to repair."""

    base: str
    commit: str
    changed_lines: Mapping[str, frozenset[int]] = field(default_factory=dict)
    targets: Sequence[str] = ()
    kind: str = ""


async def compared_tests(trial: Trial, change: Change, baselines: Path) -> TestRun:
    """Run the tests of a change and hold them against the base's."""
    return await _Comparison(trial, change, Baselines(baselines)).whole()


async def blamed_tests(trial: Trial, change: Change, baselines: Path, *, is_covered: bool = True) -> TestRun:
    """Run the tests of a change alone; failures are told apart by running them again and by what is known of the base.

    The base is not measured for this, and what is covered only where somebody asks (`is_covered`).
    """
    return await _Comparison(trial, change, Baselines(baselines)).alone(is_covered=is_covered)


class _Comparison:
    """One comparison; it began when this was made."""

    def __init__(self, trial: Trial, change: Change, baselines: Baselines) -> None:
        self._trial, self._change, self._baselines = trial, change, baselines
        self._mixer = Mixer(trial.quarantine)
        self._end_s = time.monotonic() + trial.limits.wall_s

    async def whole(self) -> TestRun:
        run, candidate, own = await self._candidate()
        if run.tests is None:
            return run
        base = await self._base()
        problems = [*run.problems]
        if base.is_watched and not candidate.is_watched and not problems:
            problems.append(SILENCED)
        if base.unmeasured is None:
            problems += comparison.shrinkage(base, candidate)
            problems += await self._weakened(base, candidate, own)
            problems += await self._unproven(base, candidate)
        elif self._is_fix or await self._changed_tests():
            problems.append(comparison.unmeasured(base.unmeasured))
        return _told(run, candidate, base, problems)

    async def alone(self, *, is_covered: bool) -> TestRun:
        run, candidate, _ = await self._candidate(is_covered=is_covered)
        if run.tests is None:
            return run
        known = await asyncio.to_thread(self._baselines.find, self._change.base, self._trial.policy)
        return _told(run, candidate, known, run.problems)

    async def _candidate(self, *, is_covered: bool = True) -> tuple[TestRun, Outcomes, str]:
        change = self._change
        own = await self._mixer.with_runner_of(change.base, change.commit)
        run = await self._trial.tests(own, change.changed_lines, change.targets, is_covered=is_covered)
        if run.tests is not None:
            run = replace(run, tests=run.tests.model_copy(update={"command": self._by_hand()}))
        return run, Outcomes.of(run, await self._healed(own, run, RERUNS)), own

    async def _base(self) -> Outcomes:
        """What was measured on the base, now or before."""
        base, policy = self._change.base, self._trial.policy
        known = await asyncio.to_thread(self._baselines.find, base, policy)
        if known is not None:
            return known
        self._say("running the tests of the base, to compare with")
        run = await self._run(base, is_covered=True)
        measured = Outcomes.of(run, await self._healed(base, run, 1) if self._ids(run) else ())
        await asyncio.to_thread(self._baselines.keep, base, policy, measured)
        return measured

    async def _weakened(self, base: Outcomes, candidate: Outcomes, own: str) -> list[Problem]:
        if base.is_empty or not await self._changed_tests():
            return []
        self._say("running the base's tests on the change")
        crossed = await self._mixer.with_files_of(self._change.base, own, is_test_file, drops=True)
        if crossed == own:
            return []
        run = await self._run(crossed)
        outcomes = Outcomes.of(run)
        if run.tests is not None and any(comparison.weakened(base, candidate, outcomes)):
            outcomes = Outcomes.of(run, await self._healed(crossed, run, RERUNS))
        belied = [problem for problem in run.problems if problem.code == CONTRADICTED]
        if outcomes.unmeasured is not None:
            return belied or [comparison.unmeasured(f"its tests on the changed code: {outcomes.unmeasured}")]
        return list(comparison.weakened(base, candidate, outcomes))

    async def _unproven(self, base: Outcomes, candidate: Outcomes) -> list[Problem]:
        if not self._is_fix or comparison.is_proven(candidate, base):
            return []
        new = [path for path in await self._changed_tests() if not is_runner_file(path)]
        new = [path for path in new if await self._mixer.has_file(self._change.commit, path)]
        if new:
            self._say("running the change's tests on the base, where one has to fail")
            onto = await self._mixer.with_files_of(
                self._change.commit, self._change.base, new.__contains__, drops=False
            )
            run = await self._run(onto, _test_modules(new))
            if comparison.is_proven(candidate, Outcomes.of(run)):
                return []
        return [comparison.unproven(self._change.kind)]

    async def _healed(self, commit: str, run: TestRun, reruns: int) -> set[str]:
        """Failed tests that pass when they are run again on the same commit."""
        left, healed = set(Outcomes.of(run).failing()), set[str]()
        for _ in range(reruns if self._is_pytest else min(reruns, 1)):
            if not left or not self._has_time_for(run):
                break
            self._say(f"running {len(left)} failed tests again")
            again = Outcomes.of(await self._run(commit, self._ids(run, left)))
            passed = {name for name in left if again.has_passed(name)}
            healed, left = healed | passed, left - passed
        return healed

    def _ids(self, run: TestRun, names: set[str] | None = None) -> list[str]:
        """Pytest's ids of failed tests, where it is better to run these alone."""
        wanted = names if names is not None else set(Outcomes.of(run).failing())
        known = run.collected or {}
        is_quick = run.tests is not None and run.tests.duration_s <= QUICK_S and names is not None
        if not self._is_pytest or is_quick or not wanted or len(wanted) > IDS_MAX:
            return []
        ids = [known[name] for name in sorted(wanted) if name in known]
        return ids if len(ids) == len(wanted) and not any(test.startswith("-") for test in ids) else []

    async def _run(self, commit: str, only: Sequence[str] = (), *, is_covered: bool = False) -> TestRun:
        rest_s = max(1.0, self._end_s - time.monotonic())
        limits = replace(self._trial.limits, wall_s=rest_s)
        return await self._trial.tests(commit, {}, (), only=only, limits=limits, is_covered=is_covered)

    async def _changed_tests(self) -> list[str]:
        """Paths of tests, and of what says how they run, that the change touches."""
        changed = await self._mixer.changed_files(self._change.base, self._change.commit)
        return [path for path in changed if is_test_file(path) or is_runner_file(path)]

    def _has_time_for(self, run: TestRun) -> bool:
        took_s = run.tests.duration_s if run.tests is not None else 0.0
        return self._end_s - time.monotonic() > 1.5 * took_s

    @property
    def _is_pytest(self) -> bool:
        return not self._trial.policy.commands.test

    @property
    def _is_fix(self) -> bool:
        return self._change.kind in FIXES

    def _by_hand(self) -> str:
        commands = self._trial.policy.commands.test or ("python -m pytest",)
        return " && ".join((f"git checkout {self._change.commit[:12]}", *commands))

    def _say(self, what: str) -> None:
        if self._trial.on_output is not None:
            self._trial.on_output(f"\n[{what}]\n".encode())


def _told(run: TestRun, candidate: Outcomes, base: Outcomes | None, problems: Sequence[Problem]) -> TestRun:
    assert run.tests is not None
    return replace(
        run,
        tests=comparison.blamed(run.tests, candidate, base),
        coverage=comparison.with_base(run.coverage, base),
        problems=tuple(dict.fromkeys(comparison.to_blame(problems, candidate, base))),
    )


def _test_modules(paths: Sequence[str]) -> list[str]:
    """What pytest can be given by name; nothing where a change of support files may concern every test."""
    modules = [path for path in paths if PurePosixPath(path).suffix == ".py" and not path.startswith("-")]
    is_module = all(PurePosixPath(path).stem.startswith("test_") or path.endswith("_test.py") for path in modules)
    return modules if is_module and len(modules) == len(paths) else []
