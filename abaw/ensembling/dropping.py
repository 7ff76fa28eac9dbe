"""Members of an ensemble that are useless: those without which it scores no lower.

One member after another is left out (backward elimination), first the one without which the score is highest. They are
dropped as soon as the ensemble scores no lower without them, and it is not within 1.5 standard errors over videos that
this costs more than ``NEGLIGIBLE``: the best of several is chosen here, so that one would be too few. Several that are
bad together are found too. With few videos errors are wide, so that all members are kept. What fitted weights score is
cross-fitted, and the gain to expect is nested: see ``gains``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np

from abaw.calibration.fitting import group_names
from abaw.calibration.gains import MIN_GROUPS, Gain, Group, gain_between, left_out_scores
from abaw.ensembling import weights
from abaw.ensembling.selection import Members, combined, fit_without, scored_rows
from abaw.ensembling.weights import EnsembleWeights
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.tasks.base import PredictionPair, Task

NEGLIGIBLE = 0.001  # of a score whose best value is 1
NUM_ERRORS = 1.5  # standard errors of a gain
ROUNDING = 1e-6  # of tables in float32

Positions = tuple[int, ...]
Without = frozenset[Group]


@dataclass(frozen=True)
class Dropped:
    """The positions of the members that are kept; how much the ensemble gains without each one alone; and the gain of
    dropping to expect on other videos. No gains where there were too few groups, so that all are kept."""

    kept: Positions
    gains: dict[int, Gain] = field(default_factory=dict)
    expected: Gain | None = None


def drop_useless(task: Task, members: Members, groups: Mapping[str, Group], how: str) -> Dropped:
    """Which members to keep of an ensemble that is made as ``how`` says: "mean", "weighted" or "centred".

    ``members`` hold the same labelled clips, ``groups`` the group in which each clip is cross-fitted. One member is
    kept at least. All are kept with fewer than ``MIN_GROUPS`` groups; a single group is an InputError.
    """
    everyone, names = tuple(range(len(members))), group_names(members[0], groups)
    if len(names) < MIN_GROUPS:
        return Dropped(everyone)
    slim = [{clip_id: scored_rows(task, clip) for clip_id, clip in member.items()} for member in members]
    ensembles = _Ensembles(task, slim, groups, how)

    @cache
    def scores(kept: Positions, without: Without) -> np.ndarray:
        """The score on all videos that are not left out of the choice, then without each of them."""
        among = [name for name in names if name not in without]
        pairs = {clip: each for name in among for clip, each in ensembles.predict(kept, without | {name}, name).items()}
        return left_out_scores(task, pairs)

    def eliminate(without: Without) -> tuple[Positions, dict[int, Gain]]:
        kept, tried, first, num = everyone, everyone, dict[int, Gain](), len(names) - len(without)
        while len(tried) > 1:
            before = scores(kept, without)
            fewer = [tuple(i for i in tried if i != one) for one in tried]
            gains = [gain_between(before, scores(each, without), num) for each in fewer]
            first = first or dict(zip(tried, gains, strict=True))
            # one that may be dropped comes first: a higher gain may be less certain
            gain, tried = max(
                zip(gains, fewer, strict=True), key=lambda each: (is_useless(each[0], task.max_score), each[0].value)
            )
            if is_useless(gain, task.max_score):
                kept = tried
        return kept, first

    kept, gains = eliminate(frozenset())
    nested: dict[str, PredictionPair] = {}
    for name in names:
        own = frozenset([name])
        nested |= ensembles.predict(eliminate(own)[0], own, name)
    expected = gain_between(scores(everyone, frozenset()), left_out_scores(task, nested), len(names))
    return Dropped(kept, gains, expected)


def is_useless(gain: Gain, max_score: float = 1.0) -> bool:
    """Whether a member may be dropped that the ensemble scores so much higher without.

    >>> [is_useless(Gain(*each)) for each in ((0.02, 0.01), (0.0, 0.0), (0.01, 0.02), (-0.1, 0.0))]
    [True, True, False, False]
    """
    return gain.value >= -ROUNDING and gain.value - NUM_ERRORS * gain.error >= -NEGLIGIBLE * max_score


class _Ensembles:
    """Predictions by the ensemble of some members, of a group of clips that its weights are not fitted on."""

    def __init__(self, task: Task, members: Members, groups: Mapping[str, Group], how: str) -> None:
        self._task, self._members, self._groups, self._how = task, members, groups, how
        self._fitted = lru_cache(maxsize=None)(self._fit)

    def predict(self, kept: Positions, without: Without, name: Group) -> dict[str, PredictionPair]:
        own = [self._of_group(self._members[i], name) for i in kept]
        return combined(self._task, own, self._weights(kept, without))

    def _weights(self, kept: Positions, without: Without) -> EnsembleWeights:
        fitted = self._fitted(kept)
        return fitted[without] if isinstance(fitted, dict) else fitted

    def _fit(self, kept: Positions) -> EnsembleWeights | dict[Without, EnsembleWeights]:
        members: Sequence[Mapping[str, LabelledTable]] = [self._members[i] for i in kept]
        if self._how == "weighted" and len(kept) > 1:
            singles, pairs = (fit_without(self._task, members, self._groups, num) for num in (1, 2))
            return singles | pairs
        if self._how == "centred":
            return weights.centre([np.concatenate([clip.values for clip in each.values()]) for each in members])
        return weights.mean(len(kept))

    def _of_group(self, clips: Mapping[str, LabelledTable], name: Group) -> dict[str, LabelledTable]:
        return {clip_id: clip for clip_id, clip in clips.items() if self._groups[clip_id] == name}
