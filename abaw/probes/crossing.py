"""What the classifiers of a probe share: a model for each held-out part, inner parts, and the blocks of a task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from abaw.errors import InputError
from abaw.tasks.base import Block, Task

NUM_INNER = 3  # parts in which a training part is divided for a choice

Predictor = Callable[[Float[np.ndarray, "row features"]], Float[np.ndarray, "row columns"]]


@dataclass(frozen=True)
class CrossPrediction:
    """Tables of rows that were held out (rows columns), and by part the model that predicts them.

    ``penalties``: of a linear model, chosen in each part (None: no choice). ``scales``: of the log-odds of an empirical
    Bayes classifier, by part one for each choice of the task. ``remarks``: what the user must know of the models.
    """

    tables: Float[np.ndarray, "row columns"]
    predictors: Mapping[int, Predictor]
    penalties: list[float | None] = field(default_factory=list)
    scales: list[list[float | None]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def blocks_of(task: Task) -> tuple[tuple[Block, int], ...]:
    """The task's columns as blocks of classes, values or units. Raises InputError where they are something else."""
    is_probability = all(name.startswith("p_") for name in task.columns)
    blocks = task.blocks or ((("units" if is_probability else "values"), len(task.columns)),)
    if sum(width for _, width in blocks) != len(task.columns):
        raise InputError(f"{task.name}: its columns are not classes, values or units, which a probe predicts")
    return blocks  # type: ignore[return-value]


def row_labels(task: Task, tables: Float[np.ndarray, "row columns"]) -> Float[np.ndarray, "row goal"]:
    """The label of each row; for a clip-level task every row is a clip."""
    if task.resolution == "frame":
        return task.to_labels(tables)
    return np.concatenate([task.to_labels(row[None]) for row in tables])


def inner_parts(groups: Sequence[str]) -> Int[np.ndarray, " row"] | None:
    """Whole groups divided in ``NUM_INNER`` parts of similar size; None where there is a single group.

    >>> inner_parts(["ann", "ann", "bob", "cid", "dan"]).tolist()
    [0, 0, 1, 2, 1]
    """
    names, sizes = np.unique(groups, return_counts=True)
    num = min(NUM_INNER, len(names))
    if num < 2:
        return None
    load, part_of = np.zeros(num), {}
    for i in np.argsort(-sizes, kind="stable"):
        part_of[names[i]] = int(np.argmin(load))
        load[part_of[names[i]]] += sizes[i]
    return np.array([part_of[group] for group in groups])
