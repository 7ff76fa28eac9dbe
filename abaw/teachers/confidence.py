"""How sure teachers are of each label, and which frames without a label get one from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Bool, Float

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks.base import Block, Task


@dataclass(frozen=True)
class Guess:
    """The labels (time goal) that teachers give a clip, and their confidence.

    ``lacks``: where a goal has no label of its own and the teachers observed something.
    """

    labels: Float[np.ndarray, "time goal"]
    confidence: Float[np.ndarray, "time goal"]
    lacks: Bool[np.ndarray, "time goal"]


def compute_confidence(
    task: Task, tables: Sequence[Float[np.ndarray, "time columns"]]
) -> Float[np.ndarray, "time goal"]:
    """The confidence, from 0 to 1, of each label that the mean of ``tables`` gives.

    - classes: the probability of the most probable class;
    - units: the probability of each unit's decision, active or not: 0.5 or more;
    - values: 1 - the largest difference between two tables, as a part of half the range (for valence and arousal in
      their own unit), and 0 at least. All values of a block get the smallest of theirs.

    Raises InputError for values where ``tables`` has fewer than two.
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
    return np.concatenate(found, axis=1).astype(np.float32)


def guess_labels(
    task: Task,
    tables: Sequence[Float[np.ndarray, "time columns"]],
    observed: Bool[np.ndarray, " time"],
    own: Labels | None,
) -> Guess:
    """What the mean of ``tables`` says of a clip that has the labels ``own``, which may have fewer rows."""
    labels = task.to_labels(np.mean(tables, axis=0).astype(np.float32))[:, : len(task.goals)]
    lacks = np.ones(labels.shape, bool)
    if own is not None:
        num = min(len(own), len(labels))
        lacks[:num] = ~(own.scored[:num, None] & ~np.isnan(own.values[:num, : labels.shape[1]]))
    return Guess(labels, compute_confidence(task, tables), lacks & observed[:, None])


def choose_pseudo_labels(
    task: Task, guesses: Mapping[str, Guess], min_confidence: float, min_share: float
) -> dict[str, Labels]:
    """The pseudo-labels of each clip, where a goal has no label and the confidence is at least ``min_confidence``.

    ``min_share``: of the frames that are guessed to be of a class, or in which a unit is guessed to be active or not,
    at least this share gets the label, the most confident first, so that every class has as large a share (class-
    balanced self-training, Zou et al. 2018, arXiv 1810.07911). Values have no classes: the share is of all frames.

    In a frame that is scored, goals without a pseudo-label are NaN.
    """
    if not guesses:
        return {}
    labels, confidence, lacks = (
        np.concatenate([getattr(each, name) for each in guesses.values()]) for name in ("labels", "confidence", "lacks")
    )
    chosen = lacks & (confidence >= min_confidence)
    for goal, kind in enumerate(_blocks_of_goals(task)) if min_share else ():
        groups = np.zeros(len(labels)) if kind == "values" else labels[:, goal]
        for group in np.unique(groups[lacks[:, goal]]):
            of_group = lacks[:, goal] & (groups == group)
            ranked = np.sort(confidence[of_group, goal])[::-1]
            least = ranked[ceil(min_share * len(ranked) - 1e-9) - 1]
            chosen[:, goal] |= of_group & (confidence[:, goal] >= least)
    values = np.where(chosen, labels, np.where(chosen.any(axis=1, keepdims=True), np.nan, 0)).astype(np.float32)
    ends = np.cumsum([len(each.labels) for each in guesses.values()])[:-1]
    pieces = zip(guesses, np.split(values, ends), np.split(chosen.any(axis=1), ends), strict=True)
    return {clip_id: Labels(piece, scored) for clip_id, piece, scored in pieces}


def _blocks_of_goals(task: Task) -> list[Block]:
    """What each goal is: one of the values, the class, or one of the units."""
    return [kind for kind, width in task.blocks for _ in range(1 if kind == "classes" else width)]
