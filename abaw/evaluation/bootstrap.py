"""How far a score may be chance: intervals by video, and whether one system is better than another.

The frames of a video are no independent trials, videos are: what is drawn, or exchanged, is a whole video, both persons
of it. Intervals are percentiles of the bootstrap (Efron and Tibshirani 1993, ch. 13) over clusters (Davison and Hinkley
1997, 3.8): videos are drawn with replacement and the official score is taken of all frames drawn. Two systems are
compared by exchanging their predictions of a video (randomisation test: Edgington 1969; Noreen 1989; Yeh 2000 for
scores that are no means).

What neither can say: whether other training seeds would give the same (train several), whether the test videos are
alike, and, of ten comparisons, which of the ten was luck. An interval is too narrow with few videos, and leans
towards 0 for a class that only few videos have: a draw without them counts 0 for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from abaw.dataset.layout import video_of
from abaw.errors import InputError
from abaw.tasks.base import PredictionPair, Task

DRAWS, LEAST_DRAWS, SEED = 1000, 100, 0
TAILS = (0.025, 0.975)  # of 95 %
CHANCE = 0.05  # a difference is more than chance below this p
FEW = 5  # videos; with fewer an interval says little
PLACES = 12  # of a difference: beyond them it is rounding, and a system would differ from itself

Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Of the ranking score: second - first, its 95 % interval (None: one video), the two-sided p, the videos."""

    difference: float
    interval: Interval | None
    p: float
    num_videos: int

    @property
    def verdict(self) -> str:
        """Whether the second is "better" or "worse" than chance would have it, or "neither"."""
        if self.p > CHANCE:
            return "neither"
        return "better" if self.difference > 0 else "worse"


def group_by_video(by_clip: Mapping[str, PredictionPair]) -> dict[str, dict[str, PredictionPair]]:
    """The clips of each video, ``_left`` and ``_right`` together; videos without a scored frame are left out.

    ValueError where none has one.
    """
    videos: dict[str, dict[str, PredictionPair]] = {}
    for clip_id in sorted(by_clip):  # so that the order of clips cannot show in the draws
        if by_clip[clip_id].labels.scored.any():
            videos.setdefault(video_of(clip_id), {})[clip_id] = by_clip[clip_id]
    if not videos:
        raise InputError("nothing to score: no frame has a label (a split without labels, or every frame unscored)")
    return videos


def drawn(num_videos: int, draws: int, seed: int) -> Int[np.ndarray, "{draws} {num_videos}"]:
    """How often each video is in each draw with replacement. ValueError for too few, or a negative seed."""
    if draws < LEAST_DRAWS:
        raise InputError(f"{draws} draws, expected {LEAST_DRAWS} or more: percentiles of fewer mean nothing")
    if seed < 0:
        raise InputError(f"the draws have seed {seed}, expected 0 or more")
    return np.random.default_rng(seed).multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=draws)


def intervals(
    task: Task, by_clip: Mapping[str, PredictionPair], draws: int = DRAWS, seed: int = SEED
) -> dict[str, Interval] | None:
    """95 % of every entry of the task's score but n; None where one video is all there is."""
    parts = list(group_by_video(by_clip).values())
    counts = drawn(len(parts), draws, seed)
    if len(parts) < 2:
        return None
    return {name: _between(values) for name, values in task.resampled_scores(parts)(counts).items()}


def compare(
    task: Task,
    first: Mapping[str, PredictionPair],
    second: Mapping[str, PredictionPair],
    draws: int = DRAWS,
    seed: int = SEED,
) -> Comparison:
    """How much better the second system is than the first, on the same clips and the same draws.

    p: the share of exchanges with a difference as large as the one found. All of them where that is no more than
    ``draws``, else so many at random, the one found among them (Phipson and Smyth 2010): it is never below
    1 / (draws + 1), and of n videos never below 2 / 2^n. ValueError names the first clip in which the two differ.
    """
    check_same(first, second)
    sides = group_by_video(first), group_by_video(second)
    num = len(sides[0])
    rescore = task.resampled_scores([part for side in sides for part in side.values()])

    def ranking(of_first: np.ndarray, of_second: np.ndarray) -> np.ndarray:
        return next(iter(rescore(np.hstack([of_first, of_second])).values()))

    def differences(kept: np.ndarray, exchanged: np.ndarray) -> np.ndarray:
        return np.round(ranking(exchanged, kept) - ranking(kept, exchanged), PLACES) + 0.0  # -0.0 is 0

    counts, none = drawn(num, draws, seed), np.zeros((draws, num), int)
    interval = _between(differences(counts, none)) if num > 1 else None
    exchanged = _exchanges(num, draws, seed)
    found = float(differences(np.ones((1, num), int), none[:1])[0])
    as_large = np.abs(differences(1 - exchanged, exchanged)) >= abs(found)
    return Comparison(found, interval, float(as_large.mean()), num)


def check_same(first: Mapping[str, PredictionPair], second: Mapping[str, PredictionPair]) -> None:
    """ValueError names the first clip that only one of two has, or whose labels are not the same."""
    for clip_id in sorted(first.keys() ^ second.keys()):
        which = "first" if clip_id in first else "second"
        raise InputError(
            f"only the {which} has clip {clip_id!r}: two are compared on the same clips; predict these with both, or "
            "score them one by one"
        )
    for clip_id in sorted(first):
        one, other = first[clip_id].labels, second[clip_id].labels
        if not (np.array_equal(one.scored, other.scored) and np.array_equal(one.values, other.values, equal_nan=True)):
            raise InputError(f"the two are scored by different labels of clip {clip_id!r}: give one data set (--data)")


def _exchanges(num: int, draws: int, seed: int) -> np.ndarray:
    """Which videos change sides, 0 or 1; the first row is none."""
    if 2**num <= draws:
        return np.arange(2**num)[:, None] >> np.arange(num) & 1
    return np.vstack([np.zeros((1, num), int), np.random.default_rng(seed).integers(0, 2, (draws, num))])


def _between(values: np.ndarray) -> Interval:
    low, high = np.quantile(values, TAILS)
    return float(low), float(high)
