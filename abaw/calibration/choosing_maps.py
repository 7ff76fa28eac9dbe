"""Which maps of probabilities are kept: none, a temperature, isotonic maps, or maps by modality, by log loss.

Each kind is cross-fitted over groups of clips, kept only where the log loss falls by more than its standard error over
videos, and the choice is nested, as for smoothing and bias (``abaw.calibration.gains``). So with few clips it is mostly
a temperature or nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from abaw.calibration.gains import MIN_GROUPS, ExpectedGain, Gain, Group, nest
from abaw.calibration.maps import KINDS, Rows, blended, fit_maps, losses, rows_of
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.evaluation.reliability import Calibration, Probabilities, calibration_of
from abaw.postprocessing import PostProcessing
from abaw.probabilities.maps import MapKind, ProbabilityMaps, blocks_of
from abaw.tasks.base import PredictionPair, ResampledScores, Task

NONE = "none"
Clips = Mapping[str, LabelledTable]


@dataclass(frozen=True)
class MapChoice:
    """What is kept of the kinds of maps, how strongly, and what each gained.

    ``kept``: "none", "temperature", "isotonic" or "by modality". ``strength``: the share to keep of the difference to
    the next milder kind. ``losses``: the cross-fitted log loss of each kind, ``gains``: how much it fell from the kind
    kept before. ``expected``: how much the log loss falls on other videos; None where there were too few groups.
    ``refused``: that of what was chosen but not kept.
    """

    kept: str = NONE
    strength: float = 1.0
    losses: Mapping[str, float] = field(default_factory=dict)
    gains: Mapping[str, Gain] = field(default_factory=dict)
    expected: ExpectedGain | None = None
    refused: ExpectedGain | None = None

    def __str__(self) -> str:
        if self.expected is None:
            return f"calibration: none is fitted on fewer than {MIN_GROUPS} videos or groups"
        tried = ", ".join(f"{kind} {loss:.4f}" for kind, loss in self.losses.items())
        words = f"calibration, cross-fitted log loss: {tried}; kept: {self.kept}"
        if self.refused is not None:
            return (
                f"{words}: what was chosen is not expected to lower it by more than its standard error: {self.refused}"
            )
        if self.kept == NONE:
            return f"{words}: nothing lowers it by more than its standard error"
        share = f" ({self.strength:.2f} of the difference to a milder one)" if self.strength < 1 else ""
        lower = f"; to expect on other videos, lower by {self.expected}"
        few = self.kept != KINDS[-1] and len(self.losses) > 1 + KINDS.index(self.kept)  # type: ignore[arg-type]
        why = "; what has more parameters does not lower it by more than its standard error" if few else ""
        return f"{words}{share}{why}{lower}"


class LogLoss:
    """The log loss of cross-fitted predictions, negative so that more is better: the sum over blocks of their means.

    A pair's ``prediction`` has two rows: for each block the sum of the clip's losses, and over how many frames.
    """

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        """See ``Task.resampled_scores``."""
        both = np.stack([sum(pair.prediction for pair in group.values()) for group in groups])
        sums, counts = both[:, 0], both[:, 1]
        return lambda drawn: {"-log loss": -(drawn @ sums / np.maximum(drawn @ counts, 1)).sum(axis=1)}


@dataclass(frozen=True)
class MapReport:
    """The choice, and raw tables without the maps and with those fitted on other groups: official score, calibration.

    All but ``task`` are None where nothing was fitted.
    """

    task: str
    choice: MapChoice | None = None
    scores: tuple[Mapping[str, float], Mapping[str, float]] | None = None
    calibrations: tuple[Calibration | None, ...] = ()

    def __str__(self) -> str:
        if self.choice is None:
            return "calibration: none, because values are no probabilities, and CCC is no calibration target"
        before, after = self.calibrations or (None, None)
        if self.scores is None or before is None or after is None:
            return str(self.choice)
        parts = {"": (before.overall, after.overall)}
        parts |= {f" {name}": (each, after.contexts[name]) for name, each in before.contexts.items()}
        errors = ", ".join(f"{name} {old.error:.4f} -> {new.error:.4f}".strip() for name, (old, new) in parts.items())
        name = next(iter(self.scores[0]))
        score = f"{name} {self.scores[0][name]:.4f} -> {self.scores[1][name]:.4f}"
        return f"{self.choice}\n{self.task} calibration error, cross-fitted: {errors}; {score}"


def choose_maps(task: Task, clips: Clips, groups: Mapping[str, Group]) -> MapReport:
    """Choose among no maps and ``KINDS`` on raw tables, and compare the tables before and after by cross-fitting.

    With fewer than ``MIN_GROUPS`` groups nothing is fitted, nor for a task of values.
    """
    if not blocks_of(task):
        return MapReport(task.name)
    choice, maps_without = choose_kind(task, clips, groups)
    if choice.kept == NONE:
        return MapReport(task.name, choice)
    after = {
        clip_id: PostProcessing(calibration=maps_without(groups[clip_id])).apply(task, *clip.to_process)
        for clip_id, clip in clips.items()
    }
    scores, calibrations = [], []
    for values in ({clip_id: clip.values for clip_id, clip in clips.items()}, after):
        pairs = {c: PredictionPair(task.to_labels(values[c])[: len(clips[c].labels)], clips[c].labels) for c in clips}
        tables = {c: Probabilities(values[c], clips[c].labels, clips[c].modalities) for c in clips}
        scores.append(task.score(pairs))
        calibrations.append(calibration_of(task, tables))
    return MapReport(task.name, choice, (scores[0], scores[1]), tuple(calibrations))


def choose_kind(
    task: Task, clips: Clips, groups: Mapping[str, Group]
) -> tuple[MapChoice, Callable[[Group], ProbabilityMaps | None]]:
    """The kind of maps to keep, and a function that fits it on all groups but one."""
    names = sorted({groups[clip_id] for clip_id in clips}, key=str)
    if len(names) < MIN_GROUPS:
        return MapChoice(), lambda name: None
    rows = {clip_id: rows_of(task, clip_id, clip, clip.values) for clip_id, clip in clips.items()}
    modalities = modalities_of(clips)
    ways = [NONE, *fit_maps(task, Rows.joined([*rows.values()]), modalities)]

    @cache
    def fits(left: frozenset[Group]) -> dict[MapKind, ProbabilityMaps]:
        return fit_maps(task, Rows.joined([rows[c] for c in clips if groups[c] not in left]), modalities)

    @cache
    def predict(way: str, strength: float, left: frozenset[Group], name: Group) -> dict[str, PredictionPair]:
        maps = None if way == NONE else kept_of(fits(left), way, strength)
        return {
            clip_id: _pair(task, rows[clip_id], clips[clip_id], maps) for clip_id in clips if groups[clip_id] == name
        }

    found = nest(LogLoss(), ways, names, predict)
    scores = {
        way: -float(LogLoss().resampled_scores([pairs])(np.ones((1, 1), int))["-log loss"][0])
        for way, pairs in found.tried.items()
    }  # as cross-fitted, at full strength
    choice = MapChoice(found.kept, found.strength, scores, found.gains, found.expected, found.refused)

    def maps_without(name: Group) -> ProbabilityMaps | None:
        return None if choice.kept == NONE else kept_of(fits(frozenset([name])), choice.kept, choice.strength)

    return choice, maps_without


def kept_of(fits: Mapping[MapKind, ProbabilityMaps], kind: str, strength: float) -> ProbabilityMaps:
    """Maps of a kind, between the next milder kind and it; isotonic for by modality where none of it was fitted."""
    kinds = [each for each in KINDS if each in fits]
    place = min(KINDS.index(kind), len(kinds) - 1)  # type: ignore[arg-type]
    return blended(fits[kinds[place - 1]] if place else None, fits[kinds[place]], strength)


def with_maps(
    task: Task, clips: Clips, post_processing: PostProcessing, subset: Sequence[str], choice: MapChoice
) -> PostProcessing:
    """The post-processing with the kept kind of maps fitted on some of the clips, smoothed as it says."""
    if choice.kept == NONE:
        return post_processing
    rows = [
        rows_of(task, clip_id, clips[clip_id], post_processing.smoothed(task, *clips[clip_id].to_smooth))
        for clip_id in subset
    ]
    fits = fit_maps(task, Rows.joined(rows), modalities_of(clips))
    return replace(post_processing, calibration=kept_of(fits, choice.kept, choice.strength))


def modalities_of(clips: Clips) -> list[str]:
    """The modalities of all clips' tables; [] where one does not say, or they differ."""
    known = {tuple(sorted(clip.modalities or ())) for clip in clips.values()}
    return list(known.pop()) if len(known) == 1 else []


def _pair(task: Task, rows: Rows, clip: LabelledTable, maps: ProbabilityMaps | None) -> PredictionPair:
    """The losses of one clip's rows, summed, with its labels."""
    logits = rows.logits if maps is None else maps.apply_in(rows.logits, rows.contexts)
    each = losses(task, logits, rows.truths)
    counts = (~np.isnan(each) * rows.weights[:, None]).sum(axis=0)
    return PredictionPair(np.stack([np.nansum(each * rows.weights[:, None], axis=0), counts]), clip.labels)
