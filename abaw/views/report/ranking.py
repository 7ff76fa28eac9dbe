"""How wrong the predictions of each clip are, for a list that begins with the worst."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from abaw.tasks.base import PredictionPair, Task
from abaw.views.report.clip_blocks import all_blocks
from abaw.views.report.facts import TaskFacts


@dataclass(frozen=True)
class Ranking:
    """How wrong clips are: ``values`` of the measure ``name`` by clip, the worst first; ``why`` this measure.

    ``is_error``: higher is worse.
    """

    name: str
    values: Mapping[str, float]
    why: str
    is_error: bool = False


def rank_clips(facts: TaskFacts) -> Ranking:
    """The clips of a task by their error, by a measure that means something for a single clip."""
    task, pairs = facts.labelled.task, facts.pairs
    kinds = {kind for kind, _ in all_blocks(task)}
    if kinds == {"values"}:
        found = {clip_id: _root_mean_square(each) for clip_id, each in pairs.items()}
        why = (
            "by root mean square error (RMSE), highest first: a clip with a high one lowers the score over all "
            "frames, while the CCC of a single clip is also low where its labels hardly change"
        )
        return _sorted(Ranking("RMSE", found, why, is_error=True))
    if kinds == {"classes"} and task.resolution == "clip":
        found = {name: _probability_of_label(task, facts.final_values(name), pairs[name]) for name in pairs}
        return _sorted(Ranking("probability of the label", found, "by the probability of the label, lowest first"))
    if kinds in ({"classes"}, {"units"}):
        found = {clip_id: _share_right(each) for clip_id, each in pairs.items()}
        why = "by accuracy, lowest first: F1 of a single clip depends on how many classes occur in it"
        return _sorted(Ranking("accuracy", found, why))
    name = next(iter(facts.result.scores))
    found = {clip_id: scores[name] for clip_id, scores in facts.result.clips.items()}
    return _sorted(Ranking(name, found, f"by {name}, lowest first"))


def rank_together(rankings: Sequence[Ranking]) -> Ranking:
    """The mean over several folders that have the same clips and are ranked by the same measure."""
    first = rankings[0]
    means = {clip_id: float(np.mean([each.values[clip_id] for each in rankings])) for clip_id in first.values}
    return _sorted(replace(first, values=means, why=f"{first.why}; each value is the mean over the folders"))


def _sorted(found: Ranking) -> Ranking:
    sign = -1 if found.is_error else 1
    return replace(found, values=dict(sorted(found.values.items(), key=lambda each: (sign * each[1], each[0]))))


def _root_mean_square(pair: PredictionPair) -> float:
    scored, num = pair.labels.scored, pair.labels.values.shape[1]
    error = pair.prediction[scored][:, :num].astype(np.float64) - pair.labels.values[scored]
    return float(np.sqrt(np.nanmean(np.square(error))))


def _share_right(pair: PredictionPair) -> float:
    """Of the known labels. Shares of classes may follow a label, and probabilities a prediction: they do not count."""
    scored, num = pair.labels.scored, min(pair.prediction.shape[1], pair.labels.values.shape[1])
    predicted, truth = pair.prediction[scored][:, :num], pair.labels.values[scored][:, :num]
    known = ~np.isnan(truth)
    return float((predicted == truth)[known].mean()) if known.any() else 0.0


def _probability_of_label(task: Task, values: np.ndarray, pair: PredictionPair) -> float:
    return float(task.pooled(values)[0, int(pair.labels.values[pair.labels.scored][0, 0])])
