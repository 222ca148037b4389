"""What the end of a command says about the evidence: which endings are no answer, and which belie the report."""

import re
from collections.abc import Iterator, Sequence

from libs.contracts.evidence import Problem, TestCase, TestOutcome
from libs.workshop.evidence.reading import plain
from libs.workshop.evidence.suite import Step
from libs.workshop.sandbox import Ended, Finished

COMMAND_NOT_EXECUTABLE = 126
COMMAND_NOT_FOUND = 127
TAIL_BYTES = 2**16
"""As much of the end of an output as a cause is looked for in."""

KILLED = range(129, 193)

PYTEST_FAILED = 1
PYTEST_NO_TESTS = 5

ENDINGS = {
    Ended.WALL: ("timed_out", "The tests did not end within their time limit."),
    Ended.IDLE: ("timed_out", "The tests said nothing for longer than their limit of silence."),
    Ended.CANCELLED: ("cancelled", "The tests were stopped before their end."),
}
LIMIT_REACHED = ("limit_reached", "The tests used more memory or processes than they may.")

MISSING_PLUGIN = re.compile(rb"unrecognized arguments|Missing required plugins|Unknown config option|no such option")
CONFTEST = re.compile(r"ImportError while loading conftest '([^']+)'")


def needs_plain_options(finished: Finished) -> bool:
    """Whether pytest refused the repository's own options, as it does where a plugin is not installed."""
    return finished.exit_code == 4 and MISSING_PLUGIN.search(finished.stderr + finished.stdout) is not None


def ending_problem(step: Step, finished: Finished) -> Problem | None:
    """Why a command gave no answer at all, or `None` if it ran to its own end."""
    if finished.ended is not Ended.EXITED:
        code, message = ENDINGS.get(finished.ended, LIMIT_REACHED)
        return Problem(code=code, message=message)
    if finished.exit_code in (COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE):
        name = "the test command" if step.is_default else f"`{plain(step.argv[-1], 100)}`"
        sentence = f"A program of {name} is not there or cannot be run: {last_line(finished)}"
        return Problem(code="command_not_found", message=sentence)
    if finished.exit_code is None or finished.exit_code in KILLED:
        return Problem(code="tool_crashed", message=f"The tests were killed (exit code {finished.exit_code}).")
    return None


def stopped_problems(ended: Sequence[tuple[Step, Finished]], cases: Sequence[TestCase]) -> Iterator[Problem]:
    """Commands that did not run to their end, and modules of which no test ran."""
    for step, finished in ended:
        problem = ending_problem(step, finished)
        if problem is not None:
            yield problem
    for case in cases:
        problem = _collection_problem(case)
        if problem is not None:
            yield problem


def contradictions(
    ended: Sequence[tuple[Step, Finished]], cases: Sequence[TestCase], *, has_report: bool
) -> Iterator[Problem]:
    """Where a run's end and its report do not agree, or there is nothing to agree on."""
    step, finished = next((one for one in ended if one[1].exit_code != 0), ended[-1])
    if not has_report:
        yield _without_report(step, finished)
    elif not cases:
        yield Problem(code="no_tests", message="The tests' report holds no test.")
    elif finished.exit_code != 0 and not any(_is_failing(case) for case in cases):
        sentence = f"The tests ended with exit code {finished.exit_code}, but the report shows no failing test."
        yield Problem(code="exit_code_contradicts", message=sentence)
    elif step.is_default and finished.exit_code not in (0, PYTEST_FAILED):
        sentence = f"pytest stopped before its end (exit code {finished.exit_code}): {last_line(finished)}"
        yield Problem(code="tool_crashed", message=sentence)


def _without_report(step: Step, finished: Finished) -> Problem:
    if finished.exit_code == 0:
        return Problem(code="report_missing", message="The tests ended well, but left no report to judge by.")
    conftest = CONFTEST.search(_text(finished))
    if step.is_default and conftest is not None:
        return _collection_failed(plain(conftest[1], 200), _text(finished))
    if step.is_default and finished.exit_code == PYTEST_NO_TESTS:
        return Problem(code="no_tests", message="No test was found.")
    sentence = f"The tests left no report (exit code {finished.exit_code}): {last_line(finished)}"
    return Problem(code="tool_crashed", message=sentence)


def _is_failing(case: TestCase) -> bool:
    return case.outcome in (TestOutcome.FAILED, TestOutcome.ERROR)


def _collection_problem(case: TestCase) -> Problem | None:
    """Of a pytest report: a module that could not even be imported."""
    if case.outcome is TestOutcome.ERROR and case.message.startswith("collection failure"):
        return _collection_failed(case.name.replace("::", "."), case.message)
    return None


def _collection_failed(module: str, output: str) -> Problem:
    """Names the module and the last line of its error, which pytest marks with an E."""
    marked = [line[1:].strip() for line in output.splitlines() if line.startswith("E ") and line[1:].strip()]
    lines = marked or [line.strip() for line in output.splitlines() if line.strip()]
    cause = plain(lines[-1], 300) if lines else "no reason given"
    return Problem(code="collection_failed", message=f"{module} cannot be imported: {cause}")


def last_line(finished: Finished) -> str:
    """The last thing that was said, on stderr rather than on stdout."""
    for stream in (finished.stderr, finished.stdout):
        lines = [
            line.strip() for line in plain(stream[-TAIL_BYTES:].decode("utf-8", "replace")).splitlines() if line.strip()
        ]
        if lines:
            return plain(lines[-1], 300)
    return "it said nothing"


def _text(finished: Finished) -> str:
    return plain((finished.stdout[-TAIL_BYTES:] + finished.stderr[-TAIL_BYTES:]).decode("utf-8", "replace"))
