"""Whether the tests would notice if the changed lines were wrong: each is changed a little, and the suite run.

Theory: a test that runs a line need not look at what it does. A mutant that no test notices is a
line that nobody checks. Which mutants are tried is drawn by the commit's own name, so that the
same commit gets the same ones and an agent cannot choose them; each is tried in a fresh copy, so
that one run cannot prepare the next. Time and number are bounded: what was not tried is not counted.
"""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Final

from libs.contracts.evidence import Evidence, Mutant, MutationEvidence, Problem
from libs.contracts.words import Phase
from libs.contracts.workflow import AllOf, AnyOf, Criterion, Policy, Rule
from libs.workshop.attempt import workspace
from libs.workshop.evidence import suite
from libs.workshop.evidence.endings import needs_plain_options
from libs.workshop.evidence.paths import UNMEASURED, is_python_file, is_test_file
from libs.workshop.evidence.reading import CHECKOUT
from libs.workshop.faults import told_as_failures
from libs.workshop.mutation_operators import Mutation, mutations
from libs.workshop.repair.source import load
from libs.workshop.sandbox import Finished, Mount
from libs.workshop.trial import Trial

CRITERIA: Final = frozenset({"mutation_score_min", "no_surviving_mutants"})
TRIED_MAX: Final = 30
TIME_SHARE: Final = 0.5
TIME_MAX_S: Final = 300.0
"""All mutants together take at most this share of what a phase may take, and at most this long."""
TIMES_BASELINE: Final = 4.0
ONE_MIN_S: Final = 5.0
OPTIONS: Final = ("-x", "-q", "-p", "no:cacheprovider")

ChangedLines = Mapping[str, frozenset[int]]


def is_asked(policy: Policy) -> bool:
    """Whether the gate after the tests asks for mutants."""
    return any(name in CRITERIA for name in _names(policy.criteria_of(Phase.TEST)))


def _names(rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        match rule:
            case Criterion(name=name):
                yield name
            case AnyOf(any_of=inner) | AllOf(all_of=inner):
                yield from _names(inner)


async def with_mutants(trial: Trial, evidence: Evidence, changed: ChangedLines) -> Evidence:
    """The evidence of a test run, with that of mutants where the policy asks for it and all tests passed.

    Raises: WorkFailed.
    """
    tests = evidence.tests
    is_green = tests is not None and tests.passed > 0 and not tests.failed and not tests.errors
    if evidence.commit is None or not is_green or not is_asked(trial.policy):
        return evidence
    with told_as_failures("change_unreadable"):
        found, problems = await try_mutants(trial, evidence.commit, changed)
    return evidence.model_copy(update={"mutation": found, "problems": (*evidence.problems, *problems)})


async def try_mutants(
    trial: Trial, commit: str, changed: ChangedLines, *, tried_max: int = TRIED_MAX
) -> tuple[MutationEvidence | None, tuple[Problem, ...]]:
    """Try mutants of the changed lines; `None`, and why, if the suite does not even pass without one."""
    with workspace(trial.scratch) as scratch, tempfile.TemporaryDirectory(prefix="rung-mutants-") as settings:
        pristine = scratch / "pristine"
        await trial.quarantine.clone(commit, pristine, branch=None)
        suite.write_settings(Path(settings))
        chosen = await asyncio.to_thread(choose, pristine, changed, commit, tried_max)
        if not chosen:
            return MutationEvidence(tried=0, killed=0), ()
        bench = _Bench(trial, scratch, pristine, Path(settings))
        plain = await bench.baseline()
        if isinstance(plain, Problem):
            return None, (plain,)
        return await _judged(plain, chosen), ()


async def _judged(bench: "_Bench", chosen: Sequence[Mutation]) -> MutationEvidence:
    loop = asyncio.get_running_loop()
    ends = loop.time() + min(TIME_MAX_S, bench.trial.limits.wall_s * TIME_SHARE)
    survivors, tried = [], 0
    for mutation in chosen:
        if tried and loop.time() + bench.limit_s > ends:
            break
        tried += 1
        if not await bench.is_noticed(mutation):
            survivors.append(Mutant(path=mutation.path, line=mutation.line, change=mutation.change))
    return MutationEvidence(tried=tried, killed=tried - len(survivors), survivors=tuple(survivors))


def choose(root: Path, changed: ChangedLines, seed: str, tried_max: int = TRIED_MAX) -> list[Mutation]:
    """At most so many mutants, drawn by the seed, every changed line once before any has its second."""
    by_line: dict[tuple[str, int], list[Mutation]] = {}
    for path, lines in changed.items():
        for mutation in _of_file(root, path, lines):
            by_line.setdefault((path, mutation.line), []).append(mutation)
    drawn = [sorted(one, key=lambda mutation: _lot(seed, mutation)) for one in by_line.values()]
    drawn.sort(key=lambda one: _lot(seed, one[0]))
    queued = (mutation for mutation in chain.from_iterable(zip_longest(*drawn)) if mutation is not None)
    return list(islice(_others(queued), tried_max))


def _others(queued: Iterable[Mutation]) -> Iterator[Mutation]:
    """Those that say something else than the file did, and than each other."""
    seen: set[tuple[str, str | None]] = set()
    for mutation in queued:
        key = (mutation.path, mutation.syntax)
        if mutation.is_other and key not in seen:
            seen.add(key)
            yield mutation


def _of_file(root: Path, path: str, lines: frozenset[int]) -> Iterator[Mutation]:
    place = root / path
    if is_test_file(path) or not is_python_file(path) or path in UNMEASURED or place.is_symlink():
        return
    source = load(root, path) if place.is_file() else None
    if source is not None:
        yield from mutations(source, lines)


def _lot(seed: str, mutation: Mutation) -> str:
    said = f"{seed}\0{mutation.path}\0{mutation.line}\0{mutation.change}"
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True)
class _Bench:
    """Where mutants are tried: a checkout that nothing runs in, and copies of it in which the suite does."""

    trial: Trial
    scratch: Path
    pristine: Path
    settings: Path
    options: tuple[str, ...] = OPTIONS
    limit_s: float = 0.0

    async def baseline(self) -> "_Bench | Problem":
        """The bench for a suite that passes as it is, with the options and the time that it needs."""
        whole_s = self.trial.limits.wall_s
        finished = await self._try(None, whole_s)
        if needs_plain_options(finished[-1]) and self.options == OPTIONS:
            return await replace(self, options=(*OPTIONS, *suite.PLAIN_OPTIONS)).baseline()
        if _is_red(finished):
            said = "No mutant could be judged: the tests do not pass when they are run for it without one."
            return Problem(code="mutation_unmeasured", message=said)
        took_s = sum(one.duration_s for one in finished)
        return replace(self, limit_s=min(whole_s, ONE_MIN_S + TIMES_BASELINE * took_s))

    async def is_noticed(self, mutation: Mutation) -> bool:
        return _is_red(await self._try(mutation, self.limit_s))

    async def _try(self, mutation: Mutation | None, limit_s: float) -> list[Finished]:
        """Every command up to the first that fails, in a copy of its own."""
        copy = self.scratch / "copy"
        await asyncio.to_thread(shutil.copytree, self.pristine, copy, symlinks=True)
        try:
            if mutation is not None:
                _write(copy, mutation)
            return await self._run_commands(copy, limit_s)
        finally:
            await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)

    async def _run_commands(self, copy: Path, limit_s: float) -> list[Finished]:
        mounts = [Mount(copy, CHECKOUT, is_writable=True), Mount(self.settings, suite.SETTINGS)]
        limits = replace(self.trial.limits, wall_s=limit_s)
        finished: list[Finished] = []
        for argv in self._commands():
            env = {"PYTHONPATH": suite.python_path(copy), "PYTHONDONTWRITEBYTECODE": "1"}
            if self.trial.policy.commands.test:
                env["PYTEST_ADDOPTS"] = "-x -p no:cacheprovider"
            finished.append(await self.trial.sandbox.run(argv, mounts=mounts, env=env, limits=limits))
            if _is_red(finished):
                break
        return finished

    def _commands(self) -> list[tuple[str, ...]]:
        shell = f'PATH="{suite.SETTINGS}/bin:$PATH"; export PATH; exec /bin/sh -c "$1"'
        stated = self.trial.policy.commands.test
        default = ("python", "-m", "pytest", *self.options)
        return [("/bin/sh", "-c", shell, "sh", command) for command in stated] or [default]


def _is_red(finished: Sequence[Finished]) -> bool:
    return any(one.exit_code != 0 for one in finished)


def _write(copy: Path, mutation: Mutation) -> None:
    (copy / mutation.path).write_bytes(mutation.text.encode(mutation.source.encoding))
