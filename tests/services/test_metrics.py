"""A signal of production: how its file is read, and when it is said to have got worse."""

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor import metrics
from services.monitor.comparison import Comparison, Point, compare, p_value
from services.monitor.metrics import read_series

# -- the file ------------------------------------------------------------------

AT: Final = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "timestamp,value\n2026-03-01 12:00:00,1.5\n2026-03-01 12:00:01,2\n",
        "timestamp,value\n2026-03-01T12:00:00Z,1.5\n2026-03-01T13:00:01+01:00,2\n",
        f"timestamp,value\n{AT},1.5\n{AT + 1:.0f},2",
        f"{AT * 1000:.0f},1.5\n{(AT + 1) * 1000:.0f},2\n",
        f"Value,host,Timestamp\r\n2,a,{AT + 1}\r\n1.5,b,{AT}\r\n",
        f"\ufefftimestamp,value\n{AT},1.5\n\n{AT + 1},2\nnot a time,3\n{AT},nan\n{AT},\n{AT + 2}\n",
        f'timestamp,value\n{AT},1.5\n"{AT + 9},7\n"{AT + 1}","2"\n',
    ],
)
def test_rows_with_a_time_and_a_number_are_points_and_the_rest_is_passed_over(tmp_path: Path, text: str) -> None:
    file = tmp_path / "m.csv"
    file.write_text(text, encoding="utf-8")
    series = read_series(file)
    assert series.problem == ""
    assert [(point.at, point.value) for point in series.points if point.value != 7] == [(AT, 1.5), (AT + 1, 2.0)]


def test_of_a_long_file_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BYTES_MAX", 1000)
    file = tmp_path / "m.csv"
    file.write_text("value,timestamp\n" + "".join(f"{n},{AT + n}\n" for n in range(1000)))
    points = read_series(file).points
    assert points[-1] == (AT + 999, 999.0)
    assert 10 < len(points) < 100


def _fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _path: None, "cannot be read"),
        (Path.mkdir, "cannot be read"),
        (_fifo, "not a regular file"),
        (lambda path: path.write_bytes(b"\x00\xff\xfe" * 50), "holds no row"),
        (lambda path: path.write_text("timestamp,value\nroot:x:0:0,secret\n"), "holds no row"),
    ],
)
def test_what_is_no_file_of_numbers_is_a_sentence_that_repeats_nothing_of_it(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "m.csv")
    series = read_series(tmp_path / "m.csv")
    assert (series.points, said in series.problem) == ((), True)
    assert "secret" not in series.problem


# -- the comparison --------------------------------------------------------------

MERGE: Final = 10_000.0
WATCH: Final = 60.0


def series(before: Callable[[int], float], after: Callable[[int], float], *, count: int = 600) -> list[Point]:
    """One point a second, `count` of them before the merge and 60 after it."""
    return [Point(MERGE + n, before(n) if n < 0 else after(n)) for n in range(-count, 60)]


def noise(seed: int, usual: float = 100.0, spread: float = 5.0) -> Callable[[int], float]:
    source = random.Random(seed)  # noqa: S311 - a series for a test, and the same each time
    return lambda _n: source.gauss(usual, spread)


def judged(points: list[Point], *, is_lower_better: bool = True) -> Comparison:
    return compare(points, MERGE, MERGE + WATCH, is_lower_better=is_lower_better)


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_clear_and_a_jump_is_a_regression(seed: int) -> None:
    assert judged(series(noise(seed), noise(seed + 100))).outcome == "clear"
    jumped = judged(series(noise(seed), noise(seed + 100, usual=150)))
    assert (jumped.outcome, jumped.before_count, jumped.after_count) == ("regressed", 120, 60)


def test_a_change_for_the_better_is_clear_on_either_side() -> None:
    fell = series(noise(1), noise(2, usual=50))
    assert judged(fell).outcome == "clear"
    assert judged(fell, is_lower_better=False).outcome == "regressed"
    rose = series(noise(1), noise(2, usual=150))
    assert judged(rose, is_lower_better=False).outcome == "clear"


def test_an_error_rate_that_was_always_zero_and_is_not_any_more_regressed() -> None:
    assert judged(series(lambda _n: 0.0, lambda _n: 0.2)).outcome == "regressed"
    assert judged(series(lambda _n: 0.0, lambda _n: 0.0)).outcome == "clear"


def test_a_few_outliers_are_no_regression() -> None:
    assert judged(series(noise(1), lambda n: 1e6 if n % 7 == 0 else 100.0)).outcome == "clear"


def test_a_shift_that_is_real_and_small_is_no_regression() -> None:
    assert judged(series(lambda n: 100 + n % 2 / 10, lambda n: 104 + n % 2 / 10)).outcome == "clear"


def test_a_ramp_that_comes_every_few_minutes_is_usual_here() -> None:
    def ramp(n: int) -> float:
        return 200.0 if (n // 60) % 5 == 0 else 100.0

    assert judged(series(ramp, ramp, count=120)).outcome == "regressed"
    assert judged(series(ramp, ramp, count=3600)).outcome == "clear"


@pytest.mark.parametrize(("before", "after", "outcome"), [(4, 60, "no_data"), (60, 4, "no_data"), (10, 5, "regressed")])
def test_fewer_points_than_are_needed_on_a_side_are_no_data(before: int, after: int, outcome: str) -> None:
    points = [Point(MERGE - 1 - n, 1.0) for n in range(before)] + [Point(MERGE + n, 9.0) for n in range(after)]
    seen = judged(sorted(points))
    assert (seen.outcome, seen.before_count, seen.after_count) == (outcome, before, after)


def test_points_outside_the_two_times_do_not_count() -> None:
    points = [Point(MERGE - 1000 + n, 1.0) for n in range(10)] + [Point(MERGE + 61 + n, 9.0) for n in range(10)]
    assert judged(points) == judged([])


def test_the_rank_test_agrees_with_known_answers() -> None:
    assert p_value([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(1 / 252)
    assert p_value([1, 3, 5, 7, 9, 11, 13, 15, 17, 19], [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]) == pytest.approx(
        0.367, abs=0.01
    )
    assert p_value([5, 5, 5], [5, 5, 5]) == 1.0
    assert p_value([6, 7, 8, 9], [1, 2, 3, 4]) > 0.95


VALUES: Final = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30)


@given(VALUES, VALUES)
def test_chance_is_a_probability_and_higher_values_after_never_make_it_likelier(
    before: list[float], after: list[float]
) -> None:
    chance = p_value(before, after)
    assert 0 <= chance <= 1
    assert p_value(before, [value + 2e6 for value in after]) <= chance + 1e-9
