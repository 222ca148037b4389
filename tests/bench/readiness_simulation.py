"""How often the rules of readiness err: `python -m tests.bench.readiness_simulation [histories] [--write]`.

Every history is a row of labelled runs of gates whose true accuracy is known, with five verdicts a run. Correlation
says how far the labels of one run hang together: 0 not at all, 1 all are right or all are wrong. The proof and the
drift rule are followed run by run with what they need to remember and nothing more; `tests/spec/test_readiness_errors`
shows that this is what the real rules say of the same runs. With `--write` the table goes into docs/readiness.md.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import mean, quantiles
from typing import Final, NamedTuple

from libs.contracts.words import Level
from services.gatekeeper.readiness.falls import DRIFT_WINDOW, DRIFTS
from services.gatekeeper.readiness.proof import ACCURACY, BETS

VERDICTS: Final = 5
SEED: Final = 20_240_611
HISTORIES: Final = 2000
CORRELATIONS: Final = (0.0, 0.3, 1.0)
NEEDED: Final = 20.0
"""Coins that a workflow's first proof has to reach."""

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "readiness.md"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"

_FACTORS: Final = [[1 + bet * (right / VERDICTS / ACCURACY - 1) for bet in BETS] for right in range(VERDICTS + 1)]


class Figure(NamedTuple):
    """One line of the table."""

    rule: str
    gates: str
    asked: str
    found: str


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311  the same histories every time, no secret


def right_of_run(rng: Random, accuracy: float, correlation: float) -> int:
    """How many of a run's verdicts were right."""
    if correlation == 1:
        return VERDICTS * (rng.random() < accuracy)
    chance = accuracy
    if correlation:
        size = 1 / correlation - 1
        chance = rng.betavariate(accuracy * size, (1 - accuracy) * size)
    return sum(rng.random() < chance for _ in range(VERDICTS))


def history(rng: Random, accuracy: float, correlation: float = 1) -> Iterator[int]:
    """Right verdicts of one labelled run after the other, without end."""
    while True:
        yield right_of_run(rng, accuracy, correlation)


def first_proof(rights: Iterator[int], runs: int) -> int | None:
    """After how many of these runs the first proof of a workflow holds for the first time; `None` if it never does."""
    wealth = [1.0] * len(BETS)
    for run, right in zip(range(1, runs + 1), rights, strict=False):
        wealth = [had * factor for had, factor in zip(wealth, _FACTORS[right], strict=True)]
        if sum(wealth) >= NEEDED * len(BETS):
            return run
    return None


def first_fall(rights: Iterator[int], level: Level, runs: int) -> int | None:
    """After how many of these runs the drift rule lowers a level for the first time."""
    last: deque[int] = deque(maxlen=DRIFT_WINDOW)
    for run, right in zip(range(1, runs + 1), rights, strict=False):
        last.append(VERDICTS - right)
        if sum(last) >= DRIFTS[level] * VERDICTS:
            return run
    return None


def delay(rng: Random, level: Level, before: float, after: float) -> int | None:
    """Runs until the drift rule notices that gates became worse, behind a full window in which it saw nothing."""
    while True:
        seen = [right_of_run(rng, before, 1) for _ in range(DRIFT_WINDOW)]
        if first_fall(iter(seen), level, DRIFT_WINDOW) is None:
            break
    later = history(rng, after)
    fall = first_fall(iter([*seen, *(next(later) for _ in range(2000))]), level, 3000)
    return None if fall is None else fall - DRIFT_WINDOW


def proofs(histories: int, accuracy: float, correlation: float, runs: int, seed: int = SEED) -> list[int]:
    """When the proof held, over the histories in which it did."""
    rng = seeded(seed)
    found = (first_proof(history(rng, accuracy, correlation), runs) for _ in range(histories))
    return [at for at in found if at is not None]


def false_falls(histories: int, level: Level, accuracy: float, runs: int = 1000, seed: int = SEED) -> float:
    """Share of histories of so many runs in which the drift rule lowers a level whose gates are as they always were."""
    rng = seeded(seed)
    found = [first_fall(history(rng, accuracy), level, runs) for _ in range(histories)]
    return sum(at is not None for at in found) / histories


def delays(histories: int, level: Level, before: float, after: float, seed: int = SEED) -> list[int]:
    rng = seeded(seed)
    found = (delay(rng, level, before, after) for _ in range(histories))
    return [runs for runs in found if runs is not None]


def figures(histories: int) -> Iterator[Figure]:
    yield from _false_proofs(histories)
    for accuracy in (0.99, 0.995, 0.999):
        yield _time_to_proof(histories, accuracy)
    for level, accuracies in ((Level.ASE, (0.999, 0.995, 0.99)), (Level.AUTONOMOUS, (0.97, 0.95, 0.93))):
        for accuracy in accuracies:
            share = false_falls(histories, level, accuracy)
            yield Figure("drift", f"{accuracy:.1%}, as always", f"{level} lost within 1000 runs", f"{share:.1%}")
    for level, before, after in (
        (Level.ASE, 0.995, 0.95),
        (Level.ASE, 0.995, 0.9),
        (Level.AUTONOMOUS, 0.95, 0.8),
    ):
        runs = mean(delays(histories, level, before, after))
        yield Figure("drift", f"{before:.1%}, then {after:.1%}", f"{level} lost after, on average", f"{runs:.0f} runs")


def _false_proofs(histories: int) -> Iterator[Figure]:
    for accuracy in (0.98, 0.97):
        for correlation in CORRELATIONS:
            found = proofs(histories, accuracy, correlation, 3000)
            early = sum(at <= 500 for at in found)
            told = f"{early / histories:.1%} / {len(found) / histories:.1%}"
            gates = f"{accuracy:.1%}, correlation {correlation:g}"
            yield Figure("proof", gates, "holds at some moment within 500 / 3000 runs", told)


def _time_to_proof(histories: int, accuracy: float) -> Figure:
    found = sorted(proofs(histories, accuracy, 1, 6000))
    never = [6000] * (histories - len(found))
    cuts = quantiles([*found, *never], n=10)
    return Figure(
        "proof",
        f"{accuracy:.1%}, correlation 1",
        "holds after, median / 9 of 10",
        f"{cuts[4]:.0f} / {cuts[8]:.0f} runs",
    )


def table(found: Sequence[Figure], histories: int) -> str:
    head = "| rule | true accuracy of the gates | what is asked | found |\n|---|---|---|---|\n"
    rows = "".join(f"| {' | '.join(figure)} |\n" for figure in found)
    return f"{head}{rows}\n{histories} histories each, seed {SEED}; `python -m tests.bench.readiness_simulation`.\n"


def write(text: str) -> None:
    """Put the table in its place in the document."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}{text}{END}{after}")


def main(arguments: Sequence[str]) -> None:
    histories = next((int(argument) for argument in arguments if argument.isdigit()), HISTORIES)
    text = table(tuple(figures(histories)), histories)
    sys.stdout.write(text)
    if "--write" in arguments:
        write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
