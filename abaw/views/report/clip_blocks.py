"""A clip's final predictions beside its labels, frame by frame, as a figure draws them."""

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.tasks.base import Block, Task
from abaw.tasks.ranges import label_ranges
from abaw.views.plots.clips import LabelledBlock


def blocks_of_clip(task: Task, values: np.ndarray, labels: Labels) -> list[LabelledBlock]:
    """What the table ``values`` (time columns) predicts in every frame, and the labels.

    A label is NaN in a frame that is not scored; that of a clip stands in each of its frames, beside the decision that
    each frame by itself would give.
    """
    truth = _on_frames(task, labels, len(values))
    found, column, goal = [], 0, 0
    for kind, width in all_blocks(task):
        own = values[:, column : column + width].astype(np.float64)
        names = [name.removeprefix("p_") for name in task.columns[column : column + width]]
        num_goals = 1 if kind == "classes" else width
        label = truth[:, goal : goal + num_goals]
        if kind == "classes":
            found.append(LabelledBlock(kind, names, own.argmax(axis=1)[:, None].astype(np.float64), label))
        elif kind == "units":
            found.append(LabelledBlock(kind, names, own, label))
        else:
            ranges = label_ranges(task)[column : column + width]
            low, high = np.array(ranges).T
            found.append(LabelledBlock(kind, names, np.clip(own, low, high), label, ranges))
        column, goal = column + width, goal + num_goals
    return found


def all_blocks(task: Task) -> tuple[tuple[Block, int], ...]:
    """The blocks of a task; one that has none is of units where its columns are probabilities, else of values."""
    is_units = all(name.startswith("p_") for name in task.columns)
    return task.blocks or (("units" if is_units else "values", len(task.columns)),)


def _on_frames(task: Task, labels: Labels, num: int) -> np.ndarray:
    """Labels with a row for each frame, NaN where there is none or it is not scored."""
    values = np.where(labels.scored[:, None], labels.values.astype(np.float64), np.nan)
    if task.resolution == "clip":
        return np.repeat(values[:1], num, axis=0)
    found = np.full((num, values.shape[1]), np.nan)
    found[: min(num, len(values))] = values[:num]
    return found


def stops_of(times_s: np.ndarray) -> np.ndarray:
    """When each frame ends: at the next one's timestamp; the last is shown for the median interval."""
    steps = np.diff(times_s)
    last = float(np.median(steps)) if len(steps) else 0.04
    return np.append(times_s[1:], times_s[-1:] + last)
