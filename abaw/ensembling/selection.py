"""Weights of an ensemble, fitted on held-out tables and scored on clips they were not fitted on."""

from collections.abc import Mapping, Sequence

import numpy as np

from abaw.calibration.biases import TINY
from abaw.calibration.fitting import group_names, rank
from abaw.dataset.annotations import Labels
from abaw.dataset.seen import Seen, groups_in
from abaw.ensembling.weights import EnsembleWeights, weighted
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.folds import check_apart
from abaw.tasks.base import PredictionPair, Task

MAX_MEMBERS = 20  # of a selection, with repeats: weights are multiples of 1 / 20 or coarser
PATIENCE = 5  # additions without a gain

Members = Sequence[Mapping[str, LabelledTable]]


def fit_weights(task: Task, members: Members) -> EnsembleWeights:
    """Weights with a high official score on held-out tables: ensemble selection with replacement.

    In each step the member whose addition scores highest (the first of equals) is added, up to ``MAX_MEMBERS``; the
    best set of all steps is returned (Caruana et al. 2004, https://doi.org/10.1145/1015330.1015432, without bagging).
    The plain mean is kept where it is as good. ``members`` hold the same clips, before smoothing.
    """
    slim = [{clip_id: _scored_rows(task, clip) for clip_id, clip in member.items()} for member in members]

    def score(counts: np.ndarray) -> float:
        return rank(task, combined(task, slim, weighted((counts / counts.sum()).tolist())))

    best = np.ones(len(slim))
    best_score, counts = score(best), np.zeros(len(slim))
    highest, num_since = -np.inf, 0
    for _ in range(MAX_MEMBERS):
        scores = [score(counts + one) for one in np.eye(len(slim))]
        which = int(np.argmax(scores))
        counts[which] += 1
        num_since = 0 if scores[which] > highest + TINY else num_since + 1
        highest = max(highest, scores[which])
        if scores[which] > best_score + TINY:
            best, best_score = counts.copy(), scores[which]
        if num_since == PATIENCE:
            break
    return weighted((best / best.sum()).tolist(), Seen.in_clips(_groups(members[0])))


def cross_fit_weights(task: Task, members: Members, groups: Mapping[str, int | str]) -> dict[str, PredictionPair]:
    """Every clip's predictions with weights fitted on the other groups' clips, beside its labels.

    Raises InputError for fewer than two groups, or where a video is in two of them.
    """
    found: dict[str, PredictionPair] = {}
    for name in group_names(members[0], groups):
        others = [{clip_id: clip for clip_id, clip in each.items() if groups[clip_id] != name} for each in members]
        mine = [{clip_id: clip for clip_id, clip in each.items() if groups[clip_id] == name} for each in members]
        ensemble = fit_weights(task, others)
        check_apart(ensemble.seen, _groups(mine[0]), "the weights fitted on the other groups")
        found |= combined(task, mine, ensemble)
    return {clip_id: found[clip_id] for clip_id in members[0]}


def combined(task: Task, members: Members, ensemble: EnsembleWeights) -> dict[str, PredictionPair]:
    """The ensemble's predictions, without post-processing, beside the labels."""
    found = {}
    for clip_id, first in members[0].items():
        values = ensemble.values([each[clip_id].values for each in members]).astype(np.float32)
        found[clip_id] = PredictionPair(task.to_labels(values)[: len(first.labels)], first.labels)
    return found


def _groups(clips: Mapping[str, LabelledTable]) -> dict[str, str]:
    return groups_in({clip_id: clip.labels for clip_id, clip in clips.items()})


def _scored_rows(task: Task, clip: LabelledTable) -> LabelledTable:
    """Only the scored frames; for a clip-level task all frames."""
    if task.resolution == "clip":
        return clip
    rows = np.flatnonzero(clip.labels.scored)
    labels = Labels(clip.labels.values[rows], clip.labels.scored[rows], clip.labels.group)
    return LabelledTable(clip.values[rows].astype(np.float64), clip.observed[rows], labels)
