"""Standard deviations of the values in a prediction table: what they can be, and what post-processing makes of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from abaw.errors import InputError
from abaw.postprocessing import PostProcessing
from abaw.tasks.base import Task
from abaw.tasks.ranges import deviation_name

Deviations = Mapping[str, np.ndarray]  # column -> standard deviation of a label around its value (time)


def check_deviations(deviations: Deviations, columns: Sequence[str], num: int) -> None:
    """Raises InputError where one is not of a column, not of ``num`` frames, or not a number above 0."""
    for name, each in deviations.items():
        if name not in columns or each.shape != (num,):
            raise InputError(f"{deviation_name(name)} has the shape {each.shape}: expected one of {num} frames")
        wrong = np.flatnonzero(~((each > 0) & np.isfinite(each)))
        if wrong.size:
            row = int(wrong[0])
            raise InputError(
                f"row {row + 1}, column {deviation_name(name)!r} is {each[row]}, expected a number above 0"
            )


def post_process_deviations(kept: PostProcessing | None, task: Task, deviations: Deviations) -> Deviations:
    """A table's deviations after post-processing: multiplied as their values are by ``scale``.

    Smoothing leaves them as they are, because the errors of neighbouring frames are alike, and filling gaps too.
    """
    if kept is None or not (kept.scale or kept.bias):
        return deviations
    scale = abs(np.array(kept.match_scale or [1.0]) * np.array(kept.scale or [1.0]))
    factors = np.broadcast_to(scale, (len(task.columns),)).tolist()
    return {name: each * np.float32(factors[task.columns.index(name)]) for name, each in deviations.items()}
