"""What is kept because it gains on clips that it was not fitted on, and what to expect of it on others.

A small gain on few videos is more often chance than not: a way must gain more than its standard error (Breiman et al.
1984, 3.4.3), and what it fitted is shrunk towards no change, by as much as the gain may be chance (James and Stein
1961): by half at 1.4 standard errors.

The cross-fitted gain of what is kept is too high, because it was chosen on these same clips. Nested, the choice is
made again without each group, on the other groups alone (Varma and Simon 2006,
https://doi.org/10.1186/1471-2105-7-91). This is too low on few videos: each choice has fewer of them, so it keeps
less, and F1 and CCC over clips that differ in what was done to them are lower than of any one of it. What is expected
is the mean of both. Nothing is kept where it is not more than its own standard error, either: what is rarely kept
loses on the mean. benchmarks/fitted/fitting.py measures by how much each is off.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np

from abaw.calibration.biases import TINY
from abaw.evaluation.intervals import group_by_video
from abaw.tasks.base import PredictionPair, ResampledScores

MIN_GROUPS = 3  # one to score on, and two for the choice: one to fit on, one to compare on
Pairs = Mapping[str, PredictionPair]
Group = int | str


class Score(Protocol):
    """A task, or another score of predictions whose first entry is the higher the better."""

    def resampled_scores(self, groups: Sequence[Pairs]) -> ResampledScores:
        """See ``Task.resampled_scores``."""


# a way, its strength, the groups that it is not fitted on, and the one of them whose clips are predicted
Predict = Callable[[str, float, frozenset[Group], Group], Pairs]


@dataclass(frozen=True)
class Gain:
    """The difference of two ranking scores and its standard error over videos (or groups); inf with a single one."""

    value: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether it is more than its standard error."""
        return self.value > self.error + TINY

    @property
    def strength(self) -> float:
        """The share to keep of what made it: 1 - (error / gain)^2, and 0 where it is not clear."""
        return 1 - (self.error / self.value) ** 2 if self.is_clear else 0.0

    def __str__(self) -> str:
        return f"{self.value:+.4f} (standard error {self.error:.4f})"


@dataclass(frozen=True)
class ExpectedGain:
    """What a choice gains on other videos: the mean of two gains on these, one mostly too low and one too high.

    ``nested``: cross-fitted with the choice made again without each group. ``as_chosen``: with the one choice that was
    made on all of them. Both are 0, without error, where nothing is changed.
    """

    nested: Gain
    as_chosen: Gain

    @property
    def value(self) -> float:
        """The gain to expect."""
        return (self.nested.value + self.as_chosen.value) / 2

    @property
    def error(self) -> float:
        """Its standard error, as if the two were fully correlated, which they nearly are."""
        return (self.nested.error + self.as_chosen.error) / 2

    @property
    def is_clear(self) -> bool:
        """Whether it is more than its standard error."""
        return Gain(self.value, self.error).is_clear

    def __str__(self) -> str:
        if self.nested == self.as_chosen == NO_GAIN:
            return "none, because nothing is changed"
        return (
            f"{Gain(self.value, self.error)}: the mean of {self.nested.value:+.4f}, cross-fitted with the choice made "
            f"again without each group (on few videos mostly too low), and {self.as_chosen.value:+.4f}, cross-fitted "
            "with the choice as it is (too high)"
        )


NO_GAIN = Gain(0.0, 0.0)


@dataclass(frozen=True)
class Choice:
    """What is kept of several ways, how strongly, and what each gained.

    ``strength``: the share to keep of the difference between the way kept and the one kept before it. ``tried``: the
    cross-fitted predictions of each way. ``gains``: of each but the first, over the way that was kept before it.
    ``expected``: the gain over the first way on other videos; None where there were too few groups, so that the first
    way is kept. ``refused``: that of what was chosen but not kept, because it is not more than its standard error.
    """

    kept: str
    strength: float
    tried: dict[str, dict[str, PredictionPair]]
    gains: dict[str, Gain]
    expected: ExpectedGain | None
    refused: ExpectedGain | None = None


def gain_of(task: Score, before: Pairs, after: Pairs, num_groups: int) -> Gain:
    """How much higher the ranking score of ``after`` is, on the same clips, cross-fitted over ``num_groups`` groups.

    The standard error is the jackknife's, which leaves out each video (or group) once (Efron and Tibshirani 1993,
    ch. 11), and corrected for fits that share most of their videos: the variance is 1 + n / (n - 1) times as large for
    n groups (Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366).
    """
    return gain_between(left_out_scores(task, before), left_out_scores(task, after), num_groups)


def left_out_scores(task: Score, pairs: Pairs) -> np.ndarray:
    """The ranking score over all videos (or groups), then without each of them."""
    videos = list(group_by_video(pairs).values())
    counts = np.vstack([np.ones((1, len(videos)), int), 1 - np.eye(len(videos), dtype=int)])
    return next(iter(task.resampled_scores(videos)(counts).values()))


def gain_between(before: np.ndarray, after: np.ndarray, num_groups: int) -> Gain:
    """``gain_of`` from the ``left_out_scores`` of both."""
    differences = after - before
    without, num = differences[1:], len(differences) - 1
    if num < 2 or num_groups < 2:
        return Gain(float(differences[0]), np.inf)
    variance = (num - 1) / num * ((without - without.mean()) ** 2).sum()
    return Gain(float(differences[0]), float(np.sqrt(variance * (1 + num_groups / (num_groups - 1)))))


def keep(task: Score, tried: Mapping[str, Pairs], num_groups: int) -> tuple[str, float, dict[str, Gain]]:
    """The last way that clearly gains over the one kept before it, its strength, and all those gains.

    The first way is kept where none does, with strength 1.
    """
    kept, *others = tried
    strength, gains = 1.0, {}
    for way in others:
        gains[way] = gain_of(task, tried[kept], tried[way], num_groups)
        if gains[way].is_clear:
            kept, strength = way, gains[way].strength
    return kept, strength, gains


def left_out(names: Sequence[Group], num: int) -> list[frozenset[Group]]:
    """What ``nest`` leaves out of fits that all lack ``num`` groups; of 1 also nothing."""
    return [frozenset[Group]()] * (num == 1) + list(map(frozenset, combinations(names, num)))


def nest(task: Score, ways: Sequence[str], names: Sequence[Group], predict: Predict) -> Choice:
    """Cross-fit each way over the groups ``names``, keep one, and estimate the gain of doing so by nesting.

    ``ways``: the mildest first, which changes nothing. Needs ``MIN_GROUPS`` groups. Nothing is nested where the first
    way is kept.
    """

    def cross_fitted(way: str, among: Sequence[Group], without: frozenset[Group]) -> dict[str, PredictionPair]:
        return {clip: pair for name in among for clip, pair in predict(way, 1.0, without | {name}, name).items()}

    tried = {way: cross_fitted(way, names, frozenset()) for way in ways}
    kept, strength, gains = keep(task, tried, len(names))
    if kept == ways[0]:
        return Choice(kept, strength, tried, gains, ExpectedGain(NO_GAIN, NO_GAIN))
    nested: dict[str, PredictionPair] = {}
    as_chosen: dict[str, PredictionPair] = {}
    for name in names:
        own, others = frozenset([name]), [each for each in names if each != name]
        chosen, share, _ = keep(task, {way: cross_fitted(way, others, own) for way in ways}, len(others))
        nested |= predict(chosen, share, own, name)
        as_chosen |= predict(kept, strength, own, name)
    expected = ExpectedGain(*(gain_of(task, tried[ways[0]], each, len(names)) for each in (nested, as_chosen)))
    if not expected.is_clear:
        return Choice(ways[0], 1.0, tried, gains, ExpectedGain(NO_GAIN, NO_GAIN), refused=expected)
    return Choice(kept, strength, tried, gains, expected)
