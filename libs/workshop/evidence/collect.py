"""Runs a suite on a clean checkout in the sandbox and turns the reports it leaves into evidence.

Theory: what is believed, in this order: how the command ended, then the report, then whether
both agree. Only a report written during this run counts. Whatever is missing, broken or at odds
becomes a `Problem`, so nothing passes by staying silent.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from libs.contracts.evidence import (
    FAILURES_KEPT,
    CoverageEvidence,
    Problem,
    TestCase,
    TestEvidence,
    TestOutcome,
)
from libs.workshop.evidence import suite
from libs.workshop.evidence.coverage_reports import FileCoverage, coverage_evidence, merge_coverage, read_coverage
from libs.workshop.evidence.endings import contradictions, ending_problem, needs_plain_options, stopped_problems
from libs.workshop.evidence.junit import read_junit
from libs.workshop.evidence.paths import is_test_file
from libs.workshop.evidence.reading import (
    CHECKOUT,
    Fingerprint,
    Unreadable,
    is_match,
    left_behind,
    plain,
    read_left_behind,
)
from libs.workshop.evidence.values import Value, read_values
from libs.workshop.evidence.witness import Heard, Listener, contradiction
from libs.workshop.sandbox import Finished, Limits, Mount, Sandbox

REPORTS_MAX = 2000
REPORTS_BYTES_MAX = 256 * 2**20

JUNIT_PLACES = (
    "junit*.xml",
    "test-results.xml",
    "test-results/**/*.xml",
    "reports/junit*.xml",
    "**/surefire-reports/TEST-*.xml",
    "**/failsafe-reports/TEST-*.xml",
    "**/build/test-results/**/*.xml",
)
COVERAGE_PLACES = ("coverage.json", "coverage.xml", "coverage.lcov", "lcov.info", "coverage/lcov.info")
"""Where tools write by habit; looked at only when the policy names no place."""


@dataclass(frozen=True)
class Reports:
    """Globs, relative to the checkout, of the reports that the policy says its commands write."""

    junit: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()


NO_REPORTS = Reports()


@dataclass(frozen=True)
class TestRun:
    """What one run of a suite gave; `reports` holds the files themselves by name, `cases` every test.

    `collected` names the tests that the runner chose, by pytest's ids, `None` where nobody heard it choose.
    """

    __test__ = False

    tests: TestEvidence | None
    coverage: CoverageEvidence | None
    problems: tuple[Problem, ...]
    reports: dict[str, bytes] = field(default_factory=dict)
    cases: tuple[TestCase, ...] = ()
    reported: dict[str, Value] = field(default_factory=dict)
    collected: Mapping[str, str] | None = None


@dataclass(frozen=True)
class _Room:
    """The directories of one run: the checkout and an empty one for reports, and the mounts that show them."""

    checkout: Path
    out: Path
    settings: Path

    @property
    def mounts(self) -> list[Mount]:
        return [
            Mount(self.checkout, CHECKOUT, is_writable=True),
            Mount(self.out, suite.OUT, is_writable=True),
            Mount(self.settings, suite.SETTINGS),
        ]


@dataclass
class _Gathered:
    """Reports read so far, and the problems met on the way."""

    bytes_by_name: dict[str, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    cases: list[TestCase] = field(default_factory=list)
    coverage: list[FileCoverage] = field(default_factory=list)
    own: dict[str, tuple[TestCase, ...]] = field(default_factory=dict)
    has_junit: bool = False
    is_junit_broken: bool = False

    def note(self, code: str, message: str) -> None:
        self.problems.append(Problem(code=code, message=plain(message, 500)))

    def take(self, root: Path, path: str) -> bytes:
        """The bytes of a report, kept for the record.

        Raises: Unreadable when there are too many reports, or one is gone or too large.
        """
        data = read_left_behind(root, path)
        if data is None:
            raise Unreadable("report_missing", f"The report {path} cannot be opened.")
        held = sum(len(one) for one in self.bytes_by_name.values())
        if len(self.bytes_by_name) >= REPORTS_MAX or held + len(data) > REPORTS_BYTES_MAX:
            raise Unreadable("reports_too_many", "The run left more reports than are read.")
        self.bytes_by_name[path] = data
        return data


async def run_tests(
    sandbox: Sandbox,
    checkout: Path,
    *,
    commands: Sequence[str] = (),
    reports: Reports = NO_REPORTS,
    changed: Mapping[str, frozenset[int]] | None = None,
    targets: Sequence[str] = (),
    only: Sequence[str] = (),
    values: Sequence[str] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
    is_covered: bool = True,
    on_output: Callable[[bytes], None] | None = None,
) -> TestRun:
    """Run the suite once in `checkout`, which is written to and not to be used again.

    `commands` are the policy's, empty for pytest under coverage. `changed` holds the added lines by
    path. `targets` are test ids (as reports or as pytest spell them) that the plan set out to repair.
    `values` are globs of the repository's own measurements. `only` are files or pytest's ids, for pytest by
    default; commands of the policy run as they are. Where nobody asks what was covered (`is_covered`), nothing
    measures it.
    """
    with _room(checkout) as room:
        places = _places(commands, reports)
        before = _matches(room, places)
        values_before = left_behind(checkout, values)

        async def run(step: suite.Step) -> Finished:
            return await sandbox.run(step.argv, mounts=room.mounts, env=step.env, limits=limits, on_output=on_output)

        watched = await _run_steps(
            room, suite.steps(commands, suite.python_path(checkout), only, is_covered=is_covered), run
        )
        gathered = await _gather(sandbox, room, places, before, limits)
        own = read_values(checkout, values, values_before)
    ended = [(one.step, one.finished) for one in watched]
    gathered.bytes_by_name["test.log"] = b"".join(finished.stdout + finished.stderr for _, finished in ended)
    if is_covered and reports.coverage and not gathered.coverage:
        gathered.note("coverage_missing", f"No coverage report was written at {', '.join(reports.coverage)}.")
    is_readable = gathered.has_junit and not gathered.is_junit_broken
    return TestRun(
        tests=_test_evidence(gathered.cases, ended, targets) if is_readable else None,
        coverage=_coverage(gathered, changed),
        problems=_problems(watched, gathered, own.problems),
        reports=gathered.bytes_by_name,
        cases=tuple(gathered.cases),
        reported=own.reported,
        collected=_collected(watched),
    )


@contextmanager
def _room(checkout: Path) -> Iterator[_Room]:
    with tempfile.TemporaryDirectory(prefix="rung-evidence-", ignore_cleanup_errors=True) as scratch:
        room = _Room(checkout, Path(scratch, "out"), Path(scratch, "settings"))
        room.out.mkdir()
        room.settings.mkdir()
        suite.write_settings(room.settings)
        yield room


Ended = list[tuple[suite.Step, Finished]]


@dataclass(frozen=True)
class _Watched:
    """A command that ended, and what its pytest said meanwhile; `None` where it could not be watched."""

    step: suite.Step
    finished: Finished
    heard: Heard | None


Run = Callable[[suite.Step], Awaitable[Finished]]


async def _run_steps(room: _Room, steps: Sequence[suite.Step], run: Run) -> list[_Watched]:
    """Every command in order, up to the first that could not be run to its end."""
    ended: list[_Watched] = []
    for step in steps:
        watched = await _watch(room, step, run)
        if step.is_default and needs_plain_options(watched.finished):
            watched = await _watch(room, step.with_options(suite.PLAIN_OPTIONS), run)
        ended.append(watched)
        if ending_problem(step, watched.finished) is not None:
            break
    return ended


async def _watch(room: _Room, step: suite.Step, run: Run) -> _Watched:
    """Run a command with the witness; where it shuts out the place of the plugin, without."""
    listener = Listener(room.settings / suite.PLUGINS, f"{suite.SETTINGS}/{suite.PLUGINS}")
    async with listener.listening():
        finished = await run(step.watched(listener.plugin, listener.environment))
    missing = f'importing plugin "{listener.plugin}"'.encode()
    if not step.is_default and not listener.heard.is_begun and missing in finished.stdout + finished.stderr:
        return _Watched(step, await run(step), None)
    return _Watched(step, finished, listener.heard)


def _belied(watched: Sequence[_Watched], gathered: _Gathered) -> Iterator[Problem]:
    """Where a report says something else than was heard, of commands that ran to their end."""
    for one in watched:
        if one.heard is not None and ending_problem(one.step, one.finished) is None:
            own = gathered.own.get(one.step.junit)
            found = contradiction(one.heard, gathered.cases, own, is_well=one.finished.is_ok)
            if found is not None:
                yield found


def _problems(watched: Sequence[_Watched], gathered: _Gathered, own: Sequence[Problem]) -> tuple[Problem, ...]:
    """Whatever keeps the reports from being believed: unreadable, unfinished, contradicted."""
    ended = [(one.step, one.finished) for one in watched]
    problems = [*gathered.problems, *own, *stopped_problems(ended, gathered.cases)]
    if not problems:
        problems.extend(contradictions(ended, gathered.cases, has_report=gathered.has_junit))
    if not gathered.is_junit_broken:
        problems.extend(_belied(watched, gathered))
    return tuple(dict.fromkeys(problems))


def _collected(watched: Sequence[_Watched]) -> dict[str, str] | None:
    """Pytest's ids by the names in reports; `None` unless every command was heard to its end."""
    heard = [one.heard for one in watched if one.heard is not None and one.heard.is_begun]
    if len(heard) < len(watched):
        return None
    return {one.name(test): test for one in heard for test in one.collected}


RAW = (".coverage", ".coverage.*")
"""Coverage's own data, where a command measured by itself."""


def _places(commands: Sequence[str], reports: Reports) -> Reports:
    """Where reports are looked for; pytest under coverage, Rung's default, writes none to the checkout."""
    return Reports(
        junit=reports.junit or (JUNIT_PLACES if commands else ()),
        coverage=reports.coverage or (COVERAGE_PLACES if commands else ()),
    )


def _matches(room: _Room, places: Reports) -> dict[str, Fingerprint]:
    return left_behind(room.checkout, [*places.junit, *places.coverage, *RAW])


async def _gather(
    sandbox: Sandbox, room: _Room, places: Reports, before: Mapping[str, Fingerprint], limits: Limits
) -> _Gathered:
    """Read every report that is new; off the event loop, since reports may be large."""
    after = await asyncio.to_thread(_matches, room, places)
    fresh = {path for path, fingerprint in after.items() if before.get(path) != fingerprint}
    junit = sorted(path for path in fresh if is_match(path, places.junit))
    coverage = sorted(path for path in fresh if is_match(path, places.coverage))
    if not coverage:
        await _export_coverage(sandbox, room, sorted(path for path in fresh if is_match(path, RAW)), limits)
    gathered = _Gathered()
    await asyncio.to_thread(_read_all_junit, room, junit, gathered)
    await asyncio.to_thread(_read_all_coverage, room, coverage, gathered)
    return gathered


def _read_all_junit(room: _Room, paths: Sequence[str], gathered: _Gathered) -> None:
    own = left_behind(room.out, (suite.JUNIT.format(number="*"),))
    for root, path in [*((room.out, path) for path in own), *((room.checkout, path) for path in paths)]:
        try:
            cases = read_junit(gathered.take(root, path))
            gathered.cases.extend(cases)
            gathered.has_junit = True
            if root is room.out:
                gathered.own[path] = cases
        except Unreadable as broken:
            gathered.has_junit = gathered.is_junit_broken = True
            gathered.note(broken.code, broken.message)


def _read_all_coverage(room: _Room, paths: Sequence[str], gathered: _Gathered) -> None:
    own = left_behind(room.out, (suite.COVERAGE_JSON,))
    files = left_behind(room.checkout, ("**",)).keys()
    for root, path in [*((room.out, path) for path in own), *((room.checkout, path) for path in paths)]:
        try:
            gathered.coverage.append(read_coverage(gathered.take(root, path), files=files))
        except Unreadable as broken:
            gathered.note(broken.code, broken.message)


async def _export_coverage(sandbox: Sandbox, room: _Room, raw: Sequence[str], limits: Limits) -> None:
    """Let coverage itself turn its data into a report, inside the sandbox: the data is hostile too."""
    own = [f"{suite.OUT}/{path}" for path in left_behind(room.out, (f"{suite.COVERAGE_DATA}*",))]
    data_files = own + [f"{CHECKOUT}/{path}" for path in raw]
    if data_files:
        await sandbox.run(suite.coverage_export(data_files), mounts=room.mounts, limits=limits)


def _coverage(gathered: _Gathered, changed: Mapping[str, frozenset[int]] | None) -> CoverageEvidence | None:
    if not gathered.coverage:
        return None
    return coverage_evidence(merge_coverage(gathered.coverage), changed=changed, is_left_out=is_test_file)


def _test_evidence(cases: Sequence[TestCase], ended: Ended, targets: Sequence[str]) -> TestEvidence:
    def count(outcome: TestOutcome) -> int:
        return sum(1 for case in cases if case.outcome is outcome)

    failures = [case for case in cases if case.outcome in (TestOutcome.FAILED, TestOutcome.ERROR)]
    codes = [finished.exit_code for _, finished in ended]
    return TestEvidence(
        passed=count(TestOutcome.PASSED),
        failed=count(TestOutcome.FAILED),
        errors=count(TestOutcome.ERROR),
        skipped=count(TestOutcome.SKIPPED),
        duration_s=sum(finished.duration_s for _, finished in ended),
        exit_code=next((code for code in codes if code != 0), 0),
        failures=tuple(failures[:FAILURES_KEPT]),
        targets=tuple(targets),
        targets_passed=sum(1 for target in targets if has_passed(target, cases)),
    )


def has_passed(target: str, cases: Sequence[TestCase]) -> bool:
    """Whether the test ran and passed every time that the report names it."""
    wanted = report_id(target)
    outcomes = {case.outcome for case in cases if case.name == wanted}
    return outcomes == {TestOutcome.PASSED}


def report_id(test: str) -> str:
    """The id that reports give a test, from that or from pytest's own (`tests/test_a.py::TestB::test_c`)."""
    file, separator, rest = test.partition("::")
    if not separator or not file.endswith(".py"):
        return test
    bare, bracket, parameters = rest.partition("[")
    *classes, name = bare.split("::")
    return f"{'.'.join([file.removesuffix('.py').replace('/', '.'), *classes])}::{name}{bracket}{parameters}"
