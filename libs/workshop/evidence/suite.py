"""How a test suite is started: the argument lists, the environment and the settings it sees inside the sandbox.

Theory: reports must come from this run and this code. The repository's own source comes before
anything of the same name in the toolchain; coverage is measured by Rung's settings, not by the
candidate's, which could leave out what it did not test. Commands that a repository names are
run by a shell, with settings that make any pytest in there write a report and any Python be
measured, whether or not the command speaks of either.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from libs.workshop.evidence.reading import CHECKOUT

OUT = "/out"
SETTINGS = "/opt/rung/evidence"
PLUGINS = "plugins"
"""Of the settings, what is Python: first among the places of imports, so that nothing stands in for it."""
JUNIT = "junit-{number}.xml"
COVERAGE_DATA = "coverage-data"
COVERAGE_JSON = "coverage.json"

COVERAGE_SETTINGS = f"""\
[run]
source = {CHECKOUT}
data_file = {OUT}/{COVERAGE_DATA}
parallel = true
disable_warnings = no-data-collected, module-not-imported, module-not-measured, couldnt-parse
omit =
    {CHECKOUT}/setup.py
    {CHECKOUT}/noxfile.py
    {CHECKOUT}/docs/*
    {CHECKOUT}/doc/*
    {CHECKOUT}/.venv/*
    {CHECKOUT}/venv/*
    {CHECKOUT}/build/*
[report]
include_namespace_packages = true
ignore_errors = true
"""

SCRIPT = """\
#!/bin/sh
exec python -m {module} "$@"
"""
SCRIPTS = {"pytest": "pytest", "py.test": "pytest", "coverage": "coverage"}
"""Commands whose installed scripts name an interpreter by a path that may lie elsewhere inside the sandbox."""

JUNIT_OPTIONS = ("-o", "junit_family=xunit1")
OUR_WARNINGS = ("-W", "ignore:The configuration option:pytest.PytestDeprecationWarning")
"""What pytest-asyncio says of any repository that does not use it; where warnings are errors, no test would run."""
PLAIN_OPTIONS = ("-o", "addopts=", "-o", "required_plugins=")
"""Without the options of the repository, for where they ask for plugins that are not here."""


@dataclass(frozen=True)
class Step:
    """One command of a suite, and the report that it writes if it is, or runs, pytest."""

    argv: tuple[str, ...]
    env: dict[str, str]
    junit: str
    is_default: bool

    def with_options(self, options: Sequence[str]) -> Self:
        """The same with more options of pytest, where that is run by default."""
        return replace(self, argv=_after_pytest(self.argv, options))

    def watched(self, plugin: str, environment: Mapping[str, str]) -> Self:
        """The same with a plugin of pytest, loaded before any of the repository's."""
        env = {**self.env, **environment, "PYTHONPATH": f"{SETTINGS}/{PLUGINS}:{self.env['PYTHONPATH']}"}
        if self.is_default:
            return replace(self, argv=_after_pytest(self.argv, ("-p", plugin)), env=env)
        return replace(self, env={**env, "PYTEST_ADDOPTS": f"{env['PYTEST_ADDOPTS']} -p {plugin}"})


def _after_pytest(argv: tuple[str, ...], options: Sequence[str]) -> tuple[str, ...]:
    place = argv.index("pytest") + 1
    return (*argv[:place], *options, *argv[place:])


def write_settings(directory: Path) -> None:
    """Fill the directory that the sandbox sees, read-only, at `SETTINGS`."""
    (directory / "coverage.ini").write_text(COVERAGE_SETTINGS)
    (directory / PLUGINS).mkdir()
    (directory / "bin").mkdir()
    for name, module in SCRIPTS.items():
        script = directory / "bin" / name
        script.write_text(SCRIPT.format(module=module))
        script.chmod(0o755)


def steps(
    commands: Sequence[str], python_path: str, only: Sequence[str] = (), *, is_covered: bool = True
) -> list[Step]:
    """The repository's commands, or pytest under coverage where it names none, there perhaps of some tests only."""
    if not commands:
        return [default_step(python_path, only=only, is_covered=is_covered)]
    return [_command_step(command, number, python_path) for number, command in enumerate(commands, start=1)]


def default_step(python_path: str, only: Sequence[str] = (), *, is_covered: bool = True) -> Step:
    junit = JUNIT.format(number=1)
    coverage = ("-m", "coverage", "run", f"--rcfile={SETTINGS}/coverage.ini") if is_covered else ()
    measured = ("python", *coverage, "-m", "pytest")
    quiet = ("-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", f"--junitxml={OUT}/{junit}")
    env = {"PYTHONPATH": python_path}
    return Step((*measured, *quiet, *JUNIT_OPTIONS, *OUR_WARNINGS, *only), env, junit, is_default=True)


def _command_step(command: str, number: int, python_path: str) -> Step:
    junit = JUNIT.format(number=number)
    env = {
        "PYTHONPATH": python_path,
        "PYTEST_ADDOPTS": shlex.join((f"--junitxml={OUT}/{junit}", *JUNIT_OPTIONS, *OUR_WARNINGS)),
        "COVERAGE_PROCESS_START": f"{SETTINGS}/coverage.ini",
    }
    shell = f'PATH="{SETTINGS}/bin:$PATH"; export PATH; exec /bin/sh -c "$1"'
    return Step(("/bin/sh", "-c", shell, "sh", command), env, junit, is_default=False)


def python_path(checkout: Path) -> str:
    """Where imports look first: the repository's `src`, then its root."""
    src = checkout / "src"
    has_src = src.is_dir() and not src.is_symlink()
    return f"{CHECKOUT}/src:{CHECKOUT}" if has_src else CHECKOUT


COVERAGE_EXPORT = f"""\
set -e
python -I -m coverage combine --keep --rcfile={SETTINGS}/coverage.ini --data-file=/tmp/coverage "$@" >/dev/null
python -I -m coverage json --rcfile={SETTINGS}/coverage.ini --data-file=/tmp/coverage -o {OUT}/{COVERAGE_JSON}
"""
"""Turns coverage's own data, from several processes, into one report."""


def coverage_export(data_files: Sequence[str]) -> tuple[str, ...]:
    return ("/bin/sh", "-c", COVERAGE_EXPORT, "sh", *data_files)
