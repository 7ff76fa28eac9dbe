"""Weights of an ensemble, fitted on held-out tables and scored on clips they were not fitted on."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache

import numpy as np

from abaw.calibration.biases import TINY
from abaw.calibration.fitting import group_names, rank_subsets
from abaw.calibration.gains import MIN_GROUPS, Choice, Group, left_out, nest
from abaw.dataset.annotations import Labels
from abaw.dataset.seen import Seen, groups_in
from abaw.ensembling.weights import EnsembleWeights, mean, weighted
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
    return _fit_each(task, members, [list(members[0])])[0]


def choose_weights(task: Task, members: Members, groups: Mapping[str, Group]) -> tuple[EnsembleWeights, Choice | None]:
    """The weights fitted on all clips where they clearly gain over the mean by cross-fitting, else the mean.

    Weights that are kept are shrunk towards the mean by as much as their gain may be chance. The ways of the choice are
    "mean" and "weighted"; None, with the mean, for fewer than ``MIN_GROUPS`` groups. Raises InputError where a video is
    in two groups.
    """
    names = group_names(members[0], groups)
    seen, num = Seen.in_clips(groups_of_clips(members[0])), len(members)
    if len(names) < MIN_GROUPS:
        return weighted([1 / num] * num, seen), None

    @cache
    def fits(num_left: int) -> dict[frozenset[Group], EnsembleWeights]:
        return fit_without(task, members, groups, num_left)

    @cache
    def predict(way: str, strength: float, left: frozenset[Group], name: Group) -> dict[str, PredictionPair]:
        own = [{clip_id: clip for clip_id, clip in each.items() if groups[clip_id] == name} for each in members]
        if way == "mean":
            return combined(task, own, mean(num))
        fitted = fits(len(left))[left]
        check_apart(fitted.seen, groups_of_clips(own[0]), "the weights fitted on the other groups")
        return combined(task, own, _shrunk(fitted, strength))

    found = nest(task, ["mean", "weighted"], names, predict)
    kept = found.strength if found.kept == "weighted" else 0.0
    return _shrunk(fits(1)[frozenset()], kept), found


def fit_without(
    task: Task, members: Members, groups: Mapping[str, Group], num_left: int
) -> dict[frozenset[Group], EnsembleWeights]:
    """``fit_weights`` without each ``num_left`` groups, by what is left out (of 1 also on all clips: nothing)."""
    without = left_out(group_names(members[0], groups), num_left)
    fits = _fit_each(task, members, [[c for c in members[0] if groups[c] not in left] for left in without])
    return dict(zip(without, fits, strict=True))


def combined(task: Task, members: Members, ensemble: EnsembleWeights) -> dict[str, PredictionPair]:
    """The ensemble's predictions, without post-processing, beside the labels."""
    found = {}
    for clip_id, first in members[0].items():
        values = ensemble.values([each[clip_id].values for each in members]).astype(np.float32)
        found[clip_id] = PredictionPair(task.to_labels(values)[: len(first.labels)], first.labels)
    return found


def _shrunk(ensemble: EnsembleWeights, strength: float) -> EnsembleWeights:
    """Only this share (0 to 1) of the difference to equal weights."""
    weights = ensemble.weights[:, 0]
    return weighted((strength * weights + (1 - strength) / len(weights)).tolist(), ensemble.seen)


def _fit_each(task: Task, members: Members, subsets: Sequence[Collection[str]]) -> list[EnsembleWeights]:
    """``fit_weights`` on each subset of the clips; members are combined once for all subsets that try the same."""
    slim = [{clip_id: scored_rows(task, clip) for clip_id, clip in member.items()} for member in members]

    @cache
    def scores(shares: tuple[float, ...]) -> np.ndarray:
        return rank_subsets(task, combined(task, slim, weighted(shares)), subsets)

    found = []
    for i, subset in enumerate(subsets):
        seen = Seen.in_clips(groups_of_clips({clip_id: members[0][clip_id] for clip_id in subset}))
        found.append(weighted(_select(len(slim), scores, i), seen))
    return found


def _select(num: int, scores: Callable[[tuple[float, ...]], np.ndarray], which: int) -> tuple[float, ...]:
    """Weights by ensemble selection with the scores of one subset; see ``fit_weights``."""
    best = (1 / num,) * num
    best_score, counts = scores(best)[which], np.zeros(num)
    highest, num_since = -np.inf, 0
    for _ in range(MAX_MEMBERS):
        tried = [tuple(((counts + one) / (counts.sum() + 1)).tolist()) for one in np.eye(num)]
        found = [scores(each)[which] for each in tried]
        added = int(np.argmax(found))
        counts[added] += 1
        num_since = 0 if found[added] > highest + TINY else num_since + 1
        highest = max(highest, found[added])
        if found[added] > best_score + TINY:
            best, best_score = tried[added], found[added]
        if num_since == PATIENCE:
            break
    return best


def groups_of_clips(clips: Mapping[str, LabelledTable]) -> dict[str, str]:
    return groups_in({clip_id: clip.labels for clip_id, clip in clips.items()})


def scored_rows(task: Task, clip: LabelledTable) -> LabelledTable:
    """Only the scored frames; for a clip-level task all frames."""
    if task.resolution == "clip":
        return clip
    rows = np.flatnonzero(clip.labels.scored)
    labels = Labels(clip.labels.values[rows], clip.labels.scored[rows], clip.labels.group)
    return LabelledTable(clip.values[rows].astype(np.float64), clip.observed[rows], labels)
