"""Matching the mean of several networks to a single one, on which scale and bias were fitted.

Post-processing is fitted on tables in which one fold's networks predict each clip. The mean of all folds' networks has
other logits: less noise, so less spread, and another mean where the logit is no linear function of the table. A
threshold or a scale that fits the one does not fit the other. Both predict the same unlabelled clips, so that mean and
standard deviation of each logit can be matched before maps of probabilities, scale and bias are applied.
"""

from dataclasses import replace

import numpy as np

from abaw.postprocessing import PostProcessing
from abaw.tasks.base import Task


class LogitMoments:
    """Mean and standard deviation of each of a task's logits over all frames (or clips) of the tables added."""

    def __init__(self, task: Task, post_processing: PostProcessing) -> None:
        self._task, self._post_processing = task, post_processing
        self._num, self.mean, self._squares = 0, np.zeros(task.out_dim), np.zeros(task.out_dim)

    def add(self, values: np.ndarray, observed: np.ndarray, times_s: np.ndarray | None = None) -> None:
        """Add one clip's table (time columns), smoothed as the post-processing says; a width in images counts the
        observed frames, as there are no labels."""
        smoothed = self._post_processing.smoothed(self._task, values, observed, times_s)
        logits = self._task.logits(smoothed if self._task.resolution == "frame" else self._task.pooled(smoothed))
        if not len(logits):
            return
        num, mean = self._num + len(logits), logits.mean(axis=0)
        self._squares += ((logits - mean) ** 2).sum(axis=0) + (mean - self.mean) ** 2 * self._num * len(logits) / num
        self.mean = self.mean + (mean - self.mean) * len(logits) / num
        self._num = num

    @property
    def deviation(self) -> np.ndarray:
        """The standard deviations."""
        return np.sqrt(self._squares / max(self._num, 1))


def matched(post_processing: PostProcessing, single: LogitMoments, averaged: LogitMoments) -> PostProcessing:
    """The post-processing that first gives the averaged logits mean and standard deviation of the single ones.

    A logit that does not vary is only moved.
    """
    varies = averaged.deviation > 0
    scale = np.where(varies, single.deviation / np.where(varies, averaged.deviation, 1.0), 1.0)
    bias = single.mean - scale * averaged.mean
    return replace(post_processing, match_scale=tuple(scale.tolist()), match_bias=tuple(bias.tolist()))
