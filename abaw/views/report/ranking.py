"""How wrong the predictions of each clip are, for a list that begins with the worst."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from abaw.tasks.base import PredictionPair, Task
from abaw.views.report.facts import TaskFacts


@dataclass(frozen=True)
class Ranking:
    """Clips, the worst first. ``name`` and ``values``: of what, by clip; ``why``: why this orders clips."""

    name: str
    values: Mapping[str, float]
    why: str


def rank_clips(facts: TaskFacts) -> Ranking:
    """The clips of a task by their error, by a measure that means something for a single clip."""
    task, pairs = facts.labelled.task, facts.pairs
    kinds = {kind for kind, _ in task.blocks}
    if kinds == {"values"}:
        found = {clip_id: _root_mean_square(each) for clip_id, each in pairs.items()}
        why = (
            "by root mean square error, highest first: the score over all frames falls with it, while the CCC of a "
            "single clip is also low where its labels hardly change"
        )
        return Ranking("RMSE", dict(sorted(found.items(), key=lambda each: -each[1])), why)
    if kinds == {"classes"} and task.resolution == "clip":
        found = {clip_id: _probability_of_label(task, facts.final_values(clip_id), pairs[clip_id]) for clip_id in pairs}
        why = "by the probability of the class that is the label, lowest first"
        return Ranking("probability of the label", dict(sorted(found.items(), key=lambda each: each[1])), why)
    if kinds in ({"classes"}, {"units"}):
        found = {clip_id: _share_right(each) for clip_id, each in pairs.items()}
        why = (
            "by the share of right decisions, lowest first: F1 of a single clip depends on how many classes occur in it"
        )
        return Ranking("share right", dict(sorted(found.items(), key=lambda each: each[1])), why)
    name = next(iter(facts.result.scores))
    found = {clip_id: scores[name] for clip_id, scores in facts.result.clips.items()}
    return Ranking(name, dict(sorted(found.items(), key=lambda each: each[1])), f"by {name}, lowest first")


def _root_mean_square(pair: PredictionPair) -> float:
    scored, num = pair.labels.scored, pair.labels.values.shape[1]
    error = pair.prediction[scored][:, :num].astype(np.float64) - pair.labels.values[scored]
    return float(np.sqrt(np.nanmean(np.square(error))))


def _share_right(pair: PredictionPair) -> float:
    """Of the known labels; the first column of a label of classes is its number, others may be shares of classes."""
    scored, num = pair.labels.scored, pair.prediction.shape[1]
    predicted, truth = pair.prediction[scored], pair.labels.values[scored][:, :num]
    known = ~np.isnan(truth)
    return float((predicted == truth)[known].mean()) if known.any() else 0.0


def _probability_of_label(task: Task, values: np.ndarray, pair: PredictionPair) -> float:
    return float(task.pooled(values)[0, int(pair.labels.values[pair.labels.scored][0, 0])])
