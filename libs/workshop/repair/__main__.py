"""`python -m <package> <phase>`: exit 0 when the phase was done or properly declined, 2 when it was called wrongly."""

import sys

from .build import build
from .diagnosis import Declined
from .document import document
from .inputs import Inputs, from_environment
from .intent import intent
from .plan import plan
from .search import Clock
from .suite import SuiteError

PHASES = ("intent", "plan", "build", "test", "review", "document")


def nothing(inputs: Inputs, phase: str) -> None:
    inputs.write("report.md", f"# {phase.capitalize()}\n\nNothing to do: the tests are run and judged by others.\n")


def perform(phase: str, inputs: Inputs, clock: Clock) -> None:
    match phase:
        case "intent":
            intent(inputs)
        case "plan":
            plan(inputs)
        case "build":
            build(inputs, clock)
        case "document":
            document(inputs)
        case _:
            nothing(inputs, phase)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in PHASES:
        sys.stderr.write(f"The phase must be one of {', '.join(PHASES)}.\n")
        return 2
    try:
        inputs = from_environment()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        perform(arguments[0], inputs, Clock(inputs.budget_s))
    except (Declined, SuiteError) as declined:
        inputs.write("declined.txt", f"{str(declined).rstrip('.')}.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
