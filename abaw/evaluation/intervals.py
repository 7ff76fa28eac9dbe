"""Confidence intervals of scores, and tests of whether one system is better than another.

The frames of a video are not independent, but videos are: whole videos, with both persons in them, are left out or
exchanged; where the data set names groups (speakers, sessions, subjects), whole groups. Intervals are Student's, from
the official score over all frames without each video (``jackknife``). Two systems are compared by exchanging their
predictions of a video (randomisation test: Edgington 1969; Noreen 1989; Yeh 2000 for scores that are not means).

Neither covers the variation between training seeds (train several), a difference between these videos and the test
videos, or multiple comparisons (``correct`` does: Holm 1979). How often intervals hold the true score was measured by
simulation (``coverage``): with few videos not as often as they should, least for rare classes and action units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abaw.dataset.annotations import group_of
from abaw.dataset.seen import unit_of
from abaw.errors import InputError
from abaw.evaluation.jackknife import DECIMALS, Limits, effective_number, t_interval
from abaw.tasks.base import PredictionPair, Task

DRAWS, MIN_DRAWS, SEED = 1000, 100, 0
SIGNIFICANCE = 0.05  # of p
MAX_BLOCKS = 500  # of videos left out together: more change no interval and cost the square of their number

Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """The ranking score of the second system minus that of the first: 95 % interval (None: one video), two-sided p.

    ``num_videos``: of how many videos or, where the data set names groups, groups; ``unit`` says which.
    """

    difference: float
    interval: Interval | None
    p: float
    num_videos: int
    unit: str = "video"

    @property
    def verdict(self) -> str:
        """Whether the second is significantly "better" or "worse", or "neither"."""
        if self.p > SIGNIFICANCE:
            return "neither"
        return "better" if self.difference > 0 else "worse"


@dataclass(frozen=True)
class MeanScores:
    """Scores that are a mean over several systems, predictions of one network from other draws say.

    ``intervals``: of every entry but counts, by video as ``intervals`` has them. ``difference``: the ranking score
    minus that of the system they were compared with, and its interval. None: a single video.
    """

    scores: dict[str, float]
    intervals: dict[str, Interval] | None
    difference: float
    difference_interval: Interval | None


def group_by_video(by_clip: Mapping[str, PredictionPair]) -> dict[str, dict[str, PredictionPair]]:
    """The clips of each group, without groups that have no scored frame; without groups, those of each video, ``_left``
    and ``_right`` together.

    Raises InputError where none has a scored frame.
    """
    videos: dict[str, dict[str, PredictionPair]] = {}
    for clip_id in sorted(by_clip):  # so that the order of clips does not change the draws
        if by_clip[clip_id].labels.scored.any():
            videos.setdefault(group_of(clip_id, by_clip[clip_id].labels), {})[clip_id] = by_clip[clip_id]
    if not videos:
        raise InputError("nothing to score: no frame has a label (a split without labels, or every frame unscored)")
    return videos


def unit_drawn(by_clip: Mapping[str, PredictionPair]) -> str:
    """What is drawn: "group" or "video"."""
    return unit_of(each.labels.group for each in by_clip.values())


def check_draws(draws: int, seed: int) -> None:
    """Raises InputError for few draws or a negative seed."""
    if draws < MIN_DRAWS:
        raise InputError(f"{draws} draws, expected {MIN_DRAWS} or more: p of fewer means nothing")
    if seed < 0:
        raise InputError(f"the draws have seed {seed}, expected 0 or more")


def intervals(task: Task, by_clip: Mapping[str, PredictionPair]) -> dict[str, Interval] | None:
    """The 95 % interval of every entry of the task's score except counts; None for a single video.

    An entry at a limit of its range (F1 of a class that is never found, a perfect score) has none.
    """
    weights, scores = _rescored(task, by_clip)
    return _intervals(task, weights, scores) if len(weights) > 1 else None


def measure_mean(
    task: Task, systems: Sequence[Mapping[str, PredictionPair]], reference: Mapping[str, PredictionPair]
) -> MeanScores:
    """The mean score of the systems, and how much better it is than the reference, on the same clips.

    The intervals are by video, over the mean: how far the systems differ among each other is not in them. Raises
    InputError naming the first clip that differs.
    """
    for system in systems:
        check_same(reference, system)
    weights, before = _rescored(task, reference)
    each = [_rescored(task, system)[1] for system in systems]
    scores = {name: np.mean([values[name] for values in each], axis=0) for name in before}
    ranking = next(iter(scores))
    differences = np.round(scores[ranking] - before[ranking], DECIMALS) + 0.0  # -0.0 is 0
    low, high = task.score_range(ranking)
    has_several = len(weights) > 1
    return MeanScores(
        {name: float(values[0]) for name, values in scores.items()},
        _intervals(task, weights, scores) if has_several else None,
        float(differences[0]),
        _interval(differences, weights, (low - high, high - low)) if has_several else None,
    )


def compare(
    task: Task,
    first: Mapping[str, PredictionPair],
    second: Mapping[str, PredictionPair],
    draws: int = DRAWS,
    seed: int = SEED,
) -> Comparison:
    """How much better the second system is than the first, on the same clips.

    p is the share of exchanges with a difference at least as large as the observed one: of all exchanges where there
    are at most ``draws``, else of that many random ones and the observed one (Phipson and Smyth 2010). It is never
    below 1 / (draws + 1), nor, for n videos, below 2 / 2^n. Raises InputError naming the first clip that differs.
    """
    check_draws(draws, seed)
    check_same(first, second)
    sides = group_by_video(first), group_by_video(second)
    num = len(sides[0])
    rescore = task.resampled_scores([part for side in sides for part in side.values()])

    def ranking(of_first: np.ndarray, of_second: np.ndarray) -> tuple[str, np.ndarray]:
        return next(iter(rescore(np.hstack([of_first, of_second])).items()))

    def differences(kept: np.ndarray, exchanged: np.ndarray) -> np.ndarray:
        return np.round(ranking(exchanged, kept)[1] - ranking(kept, exchanged)[1], DECIMALS) + 0.0  # -0.0 is 0

    everything, interval = np.ones((1, num), int), None
    found = float(differences(everything, 0 * everything)[0])
    if num > 1:
        weights, kept = _leave_out(sides[0])
        low, high = task.score_range(ranking(everything, everything)[0])
        left_out = differences(kept, 0 * kept)
        interval = _interval(np.append(found, left_out), weights, (low - high, high - low))
    exchanged = _exchanges(num, draws, seed)
    as_large = np.abs(differences(1 - exchanged, exchanged)) >= abs(found)
    return Comparison(found, interval, float(as_large.mean()), num, unit_drawn(first))


def correct(p: Sequence[float]) -> list[float]:
    """Several p values of one question, corrected for their number (Holm 1979), each at most 1."""
    corrected, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


def check_same(first: Mapping[str, PredictionPair], second: Mapping[str, PredictionPair]) -> None:
    """Raises InputError naming the first clip that only one of the two has, or whose labels or groups differ."""
    for clip_id in sorted(first.keys() ^ second.keys()):
        which = "first" if clip_id in first else "second"
        raise InputError(
            f"only the {which} has clip {clip_id!r}: two are compared on the same clips; predict these with both, or "
            "score them one by one"
        )
    for clip_id in sorted(first):
        one, other = first[clip_id].labels, second[clip_id].labels
        if one.group != other.group:
            raise InputError(
                f"clip {clip_id!r} is of group {one.group!r} for the first and {other.group!r} for the second: give "
                "one data set (--data)"
            )
        if not (np.array_equal(one.scored, other.scored) and np.array_equal(one.values, other.values, equal_nan=True)):
            raise InputError(
                f"the two have different labels of clip {clip_id!r}: give one data set (--data); tables made with "
                "labels of persons (--subjects), which leave out frames, are compared with those made with vectors "
                "without adaptation (abaw personalise --steps 0)"
            )


def _rescored(task: Task, by_clip: Mapping[str, PredictionPair]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Scored rows of each block of videos, and every entry of the score: of all, then without each block."""
    groups = group_by_video(by_clip)
    rescore = task.resampled_scores(list(groups.values()))
    weights, kept = _leave_out(groups)
    rows = np.ones((1, len(groups)), int)
    return weights, rescore(rows if len(groups) < 2 else np.vstack([rows, kept]))


def _intervals(task: Task, weights: np.ndarray, scores: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    found = {name: _interval(values, weights, task.score_range(name)) for name, values in scores.items()}
    return {name: each for name, each in found.items() if each is not None}


def _exchanges(num: int, draws: int, seed: int) -> np.ndarray:
    """Which videos are exchanged, 0 or 1; none in the first row."""
    if 2**num <= draws:
        return np.arange(2**num)[:, None] >> np.arange(num) & 1
    return np.vstack([np.zeros((1, num), int), np.random.default_rng(seed).integers(0, 2, (draws, num))])


def _leave_out(groups: Mapping[str, Mapping[str, PredictionPair]]) -> tuple[np.ndarray, np.ndarray]:
    """Scored rows of each block of videos, and which videos are kept, 0 or 1, where a block is left out."""
    block_of = np.arange(len(groups)) % min(len(groups), MAX_BLOCKS)
    num_rows = [sum(int(each.labels.scored.sum()) for each in clips.values()) for clips in groups.values()]
    return np.bincount(block_of, num_rows), (block_of != np.unique(block_of)[:, None]).astype(int)


def _interval(scores: np.ndarray, weights: np.ndarray, limits: Limits) -> Interval | None:
    """Of the first score, from the others, which leave out a block each."""
    low, high = t_interval(scores[:1], scores[None, 1:], effective_number(weights[None]), limits)
    return None if np.isnan(low[0]) else (float(low[0]), float(high[0]))
