"""How sure teachers are of each label that they give, and the labels of frames that have none."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks.base import Task


def compute_confidence(
    task: Task, tables: Sequence[Float[np.ndarray, "time columns"]]
) -> Float[np.ndarray, "time goal"]:
    """The confidence of each label that the mean of ``tables`` gives, from 0 to 1.

    - classes: the probability of the most probable class;
    - units: the probability of the decision, active or not, of each unit by itself: 0.5 or more;
    - values: how well the tables agree, 1 - the largest difference between two of them, in halves of the value's
      range (for valence and arousal: their own unit), and 0 at least; the least of a block's values counts for all.

    Raises InputError for values with fewer than two tables, of which no agreement is known.
    """
    mean, found, start = np.mean(tables, axis=0), [], 0
    raw = [task.logits(each) for each in tables]
    for kind, width in task.blocks:
        own = slice(start, start + width)
        start += width
        if kind == "classes":
            found.append(mean[:, own].max(axis=1, keepdims=True))
        elif kind == "units":
            found.append(np.maximum(mean[:, own], 1 - mean[:, own]))
        elif len(tables) < 2:
            raise InputError(
                f"the confidence of {task.name} is how well several tables agree, but there is 1: give the tables of "
                "two or more runs, each in a folder of its own"
            )
        else:
            difference = np.ptp(np.stack([each[:, own] for each in raw]), axis=0).max(axis=1, keepdims=True)
            found.append(np.repeat(np.maximum(1 - difference, 0), width, axis=1))
    return np.concatenate(found, axis=1)


def make_pseudo_labels(
    task: Task, tables: Sequence[Float[np.ndarray, "time columns"]], own: Labels | None, min_confidence: float
) -> tuple[Labels, Bool[np.ndarray, "time goal"]]:
    """Labels from the mean of ``tables`` where a row has none of its ``own`` and the confidence is high enough.

    A goal without such a label is NaN in a row that is scored for another one. The second: which goals have no label
    of their own.
    """
    values = task.to_labels(np.mean(tables, axis=0).astype(np.float32))[:, : len(task.goals)]
    lacks = np.ones(values.shape, bool)
    if own is not None:
        num = min(len(own), len(values))
        lacks[:num] = ~(own.scored[:num, None] & ~np.isnan(own.values[:num, : values.shape[1]]))
    new = lacks & (compute_confidence(task, tables) >= min_confidence)
    scored = np.atleast_1d(new.any(axis=1))
    return Labels(np.where(new, values, np.where(scored[:, None], np.nan, 0)).astype(np.float32), scored), lacks
