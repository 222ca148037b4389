"""Measures the signals of a watch that is over, or of the time after a revert, beside the event loop."""

import asyncio
from pathlib import Path

from libs.contracts.workflow import Policy
from libs.contracts.workflow.metrics import watched
from libs.contracts.workflow.parts import Better, MetricPolicy
from services.monitor.comparison import POINTS_MIN, Comparison, compare, cut
from services.monitor.decider import Reading, Watch
from services.monitor.metrics import read_series


async def measure(watch: Watch) -> tuple[Reading, ...]:
    """What each watched signal looked like before the merge, and in the time that is judged."""
    return tuple([await asyncio.to_thread(_reading, watch, metric) for metric in watched(watch.started.policy)])


def _reading(watch: Watch, metric: MetricPolicy) -> Reading:
    series = read_series(Path(watch.started.repository) / metric.file)
    if series.problem:
        return Reading(metric.name, Comparison("no_data", 0, 0, f"its file {series.problem}"))
    comparison = compare(
        cut(series.points, watch.merged_at, watch.since),
        watch.merged_at,
        watch.merged_at + watch.length_s,
        points_min=_points_min(watch.started.policy),
        is_lower_better=metric.better is Better.LOWER,
    )
    return Reading(metric.name, comparison)


def _points_min(policy: Policy) -> int:
    stated = policy.watch.min_points if policy.watch else None
    return POINTS_MIN if stated is None else stated
