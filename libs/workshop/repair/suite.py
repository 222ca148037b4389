"""Runs a repository's test suite in a fresh interpreter, in a copy of the repository, and says how each test fared."""

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

NOT_COPIED = frozenset({
    ".git", "__pycache__", ".venv", "venv", ".tox", ".nox", "node_modules", ".mypy_cache", ".ruff_cache",
    ".pytest_cache", ".eggs",
})  # fmt: skip
PACKAGE = __package__ or ""
PACKAGE_PARENT = str(Path(__file__).absolute().parents[PACKAGE.count(".") + 1])


class SuiteError(Exception):
    """The suite cannot be run or read; the message is one sentence for a person."""


@dataclass(frozen=True)
class Launch:
    """How pytest is started; the first way that works is kept for every later start."""

    is_early: bool = True
    """Whether the repository's source is in reach from the interpreter's start, or only once pytest is loaded."""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Test:
    """One test of a run; `frames` are the places in the repository that its exception went through."""

    __test__ = False

    nodeid: str
    outcome: str
    duration_s: float
    message: str = ""
    text: str = ""
    error: str = ""
    frames: tuple[tuple[str, int], ...] = ()

    @property
    def is_bad(self) -> bool:
        return self.outcome in {"failed", "error"}

    @cached_property
    def id(self) -> str:
        return junit_id(self.nodeid)


@dataclass(frozen=True)
class Result:
    """A whole run. `lines` maps file and line to the places in `order` of the tests that ran it, -1 for imports."""

    tests: dict[str, Test]
    order: tuple[str, ...]
    files: dict[str, str]
    errors: tuple[tuple[str, str], ...]
    lines: dict[str, dict[int, tuple[int, ...]]] = field(repr=False)
    modules: tuple[str, ...] = field(repr=False)

    @cached_property
    def failing(self) -> list[Test]:
        return [test for test in self.tests.values() if test.is_bad]

    @cached_property
    def passing(self) -> list[Test]:
        return [test for test in self.tests.values() if test.outcome == "passed"]

    @property
    def duration_s(self) -> float:
        return sum(test.duration_s for test in self.tests.values())


def junit_id(nodeid: str) -> str:
    """The name `classname::name` that pytest gives the test in a JUnit report."""
    address, bracket, parameters = nodeid.partition("[")
    names = address.split("::")
    names[0] = re.sub(r"\.py$", "", names[0].replace("/", "."))
    names[-1] += bracket + parameters
    return f"{'.'.join(names[:-1])}::{names[-1]}"


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A directory for copies, gone afterwards whatever the tests left in it."""
    place = Path(tempfile.mkdtemp(prefix="repair-")).resolve()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def copy(root: Path, place: Path) -> Path:
    """The repository's files in a directory of the same name; links stay links, what is no plain file is left out.

    Raises: SuiteError if there is no room for it.
    """
    target = place / (root.name or "repository")
    try:
        shutil.copytree(root, target, symlinks=True, ignore=_ignored, ignore_dangling_symlinks=True)
    except shutil.Error as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise SuiteError("There is no room here for a copy of the repository") from None
    return target


def _ignored(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if name in NOT_COPIED or (Path(directory) / name / "pyvenv.cfg").exists()]


def source_paths(root: Path) -> list[str]:
    paths = [root / "src"] if (root / "src").is_dir() else []
    return [str(path) for path in (*paths, root)]


def environment(root: Path, place: Path, launch: Launch, **more: str) -> dict[str, str]:
    """The environment of a process that runs the repository's tests."""
    paths = source_paths(root)
    reach = [*paths, PACKAGE_PARENT] if launch.is_early else [PACKAGE_PARENT]
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if name not in {"PYTEST_ADDOPTS", "COVERAGE_PROCESS_START"}
        },
        "PYTHONPATH": os.pathsep.join([*reach, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COVERAGE_CORE": "ctrace",
        "RUNG_REPAIR_ROOT": str(root),
        "RUNG_REPAIR_PATHS": os.pathsep.join(paths),
        "RUNG_REPAIR_OUT": str(place / "result.json"),
        "PY_COLORS": "0",
        **more,
    }


def arguments(place: Path, launch: Launch) -> list[str]:
    """What pytest is told besides the repository's own configuration."""
    quiet = ["-p", "no:randomly", "-p", "no:xdist", "-p", "no:cov", "-p", "no:hypothesispytest"]
    ours = ["-W", "ignore:The configuration option:pytest.PytestDeprecationWarning"]  # of pytest-asyncio
    return [*quiet, *ours, "--maxfail=0", f"--basetemp={place / 'tests'}", *launch.options]


def run(root: Path, *, launch: Launch, limit_s: float, coverage: bool = False) -> Result:
    """The whole suite in this copy of the repository.

    Raises: SuiteError if pytest cannot run, does not end in time, or cannot collect everything.
    """
    with workplace() as place:
        more = {
            "RUNG_REPAIR_COVERAGE": "1" if coverage else "0",
            "RUNG_REPAIR_TEST_LIMIT_S": str(one_test_limit(limit_s)),
        }
        command = [sys.executable, *(["-P"] if not launch.is_early else []), "-m", "pytest", "-p", f"{PACKAGE}.probe"]
        done = call([*command, *arguments(place, launch)], root, environment(root, place, launch, **more), limit_s)
        told = place / "result.json"
        if not told.exists():
            raise SuiteError(f"pytest could not run the suite: {last_words(done)}")
        return parse(json.loads(told.read_text(encoding="utf-8")))


def one_test_limit(limit_s: float) -> float:
    """Seconds for one test: a small share of all there is, but enough for a busy machine."""
    return min(10.0, max(1.5, limit_s / 12))


def call(command: Sequence[str], root: Path, env: dict[str, str], limit_s: float) -> str:
    """Output of a command; its whole process group ends with it."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            process.wait(max(limit_s, 1.0))
        except subprocess.TimeoutExpired:
            raise SuiteError(f"the test suite did not end within {max(limit_s, 1.0):.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return output.read().decode(errors="replace")


def last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(ERROR|.*error: |\w*(Error|Exception)\b)", line)]
    return (telling or lines or ["it said nothing"])[-1][:300]


def parse(told: dict[str, Any]) -> Result:
    tests = {
        nodeid: Test(
            nodeid=nodeid,
            outcome=noted["outcome"],
            duration_s=noted["duration_s"],
            message=noted["message"],
            text=noted["text"],
            error=noted.get("error", ""),
            frames=tuple((path, line) for path, line in noted.get("frames", ())),
        )
        for nodeid, noted in told["tests"].items()
    }
    lines = {
        path: {int(line): tuple(numbers) for line, numbers in by_line.items()}
        for path, by_line in told["lines"].items()
    }
    errors = tuple((error["nodeid"], error["message"]) for error in told["errors"])
    return Result(tests, tuple(told["order"]), told["files"], errors, lines, tuple(told["modules"]))


def first_run(root: Path, limit_s: float) -> tuple[Result, Launch]:
    """The suite with coverage, started the first way that works.

    Options of the repository that need plugins which are not here are set aside; a repository whose files hide
    modules of the standard library is put in reach only after pytest is loaded.
    """
    trouble: SuiteError | None = None
    for launch in (Launch(), Launch(options=bare_options(root)), Launch(is_early=False, options=bare_options(root))):
        try:
            return run(root, launch=launch, limit_s=limit_s, coverage=True), launch
        except SuiteError as error:
            trouble = error
            if "did not end" in str(error):
                break
    raise trouble or SuiteError("pytest could not run the suite")


def bare_options(root: Path) -> tuple[str, ...]:
    """No extra options but the import mode, which decides what can be imported at all."""
    for name in ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        path = root / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        mode = re.search(r"--import-mode[= ](\w+)", text)
        if mode:
            return ("-o", "addopts=", f"--import-mode={mode.group(1)}", "-o", "required_plugins=")
    return ("-o", "addopts=", "-o", "required_plugins=")
