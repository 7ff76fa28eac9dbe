"""How often nominal 95 % intervals hold the true score, as measured by simulation (benchmarks/intervals)."""

from collections.abc import Mapping

from abaw.numbers import format_count
from abaw.tasks.base import Block, Task

ENOUGH = 0.93  # from this coverage on an interval is called one of 95 % without a remark
# of ranking scores, the lowest of each kind: ``lowest`` of benchmarks/results/simulations/intervals.json
MEASURED: Mapping[Block, Mapping[int, float]] = {
    "values": {
        2: 0.93, 3: 0.96, 4: 0.96, 5: 0.95, 6: 0.95, 8: 0.94, 10: 0.95, 12: 0.95, 16: 0.95,
        20: 0.95, 25: 0.95, 30: 0.95, 40: 0.95, 50: 0.95, 76: 0.95,
    },
    "classes": {
        2: 0.92, 3: 0.95, 4: 0.96, 5: 0.95, 6: 0.95, 8: 0.95, 10: 0.95, 12: 0.95, 16: 0.94,
        20: 0.95, 25: 0.95, 30: 0.95, 40: 0.95, 50: 0.95, 76: 0.95,
    },
    "units": {
        2: 0.88, 3: 0.94, 4: 0.93, 5: 0.91, 6: 0.91, 8: 0.9, 10: 0.9, 12: 0.91, 16: 0.91,
        20: 0.91, 25: 0.92, 30: 0.93, 40: 0.93, 50: 0.94, 76: 0.94,
    },
}  # fmt: skip


def measured_coverage(task: Task, num_videos: int) -> float:
    """Of intervals of a ranking score of this kind, with the largest measured number that is not above ``num_videos``.

    That of a task of several kinds, or of none that is known, is the lowest of them. Needs two videos or more.
    """
    kinds = {kind for kind, _ in task.blocks} or set(MEASURED)
    return min(MEASURED[kind][max(num for num in MEASURED[kind] if num <= num_videos)] for kind in kinds)


def videos_words(num_videos: int, unit: str, coverage: float | None) -> str:
    """How many videos an interval is of, and what it does not do where these are too few."""
    counted = format_count(num_videos, unit)
    if coverage is None or coverage >= ENOUGH:
        return counted
    return f"{counted}: too few for a 95 % interval; measured coverage {100 * coverage:.0f} %"
