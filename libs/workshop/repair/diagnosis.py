"""What is wrong with a repository as it stands: which tests fail, or why nothing can be said about it."""

import os
from dataclasses import dataclass
from pathlib import Path

from .localise import Spectrum
from .suite import NOT_COPIED, Launch, Result, SuiteError, Test, first_run


class Declined(Exception):
    """The agent does not do this; the message is the sentence that says why."""


@dataclass(frozen=True)
class Diagnosis:
    """A run of the whole suite with at least one failing test and at least one suspect line."""

    result: Result
    launch: Launch
    spectrum: Spectrum

    @property
    def failing(self) -> list[Test]:
        return self.result.failing


def has_python(root: Path) -> bool:
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if name not in NOT_COPIED and not name.startswith(".")]
        if any(name.endswith(".py") for name in files) and not (Path(directory) / "pyvenv.cfg").exists():
            return True
    return False


def diagnose(root: Path, limit_s: float) -> Diagnosis:
    """Run the suite of a copy of the repository.

    Raises: Declined with the reason why there is nothing that this agent can repair.
    """
    if not has_python(root):
        raise Declined("This repository holds no Python source, and only Python can be repaired here.")
    try:
        result, launch = first_run(root, limit_s)
    except SuiteError as error:
        raise Declined(f"The tests cannot be judged: {error}.") from None
    refuse_uncollected(result)
    spectrum = Spectrum(result, frozenset(test.nodeid for test in result.failing))
    if not spectrum.files:
        raise Declined(
            f"{named(result.failing)} failed, but ran no line of the repository's own source, so no line is suspect."
        )
    return Diagnosis(result, launch, spectrum)


def refuse_uncollected(result: Result) -> None:
    if result.errors:
        place, message = result.errors[0]
        more = f" ({len(result.errors) - 1} more cannot be either)" if len(result.errors) > 1 else ""
        raise Declined(
            f"The tests cannot be collected: {place or 'the suite'} cannot be imported: {one_line(message)}{more}."
        )
    if not result.order:
        raise Declined("No tests are collected here, so no failing test can say what to repair.")
    if not result.failing:
        skipped = len(result.tests) - len(result.passing)
        aside = f" ({skipped} skipped)" if skipped else ""
        raise Declined(f"There is nothing to repair: all {len(result.passing)} tests pass{aside}.")


def named(tests: list[Test], most: int = 3) -> str:
    shown = ", ".join(test.id for test in tests[:most])
    return shown + (f" and {len(tests) - most} more" if len(tests) > most else "")


def one_line(text: str, most: int = 240) -> str:
    return " ".join(text.split())[:most].rstrip(".")
