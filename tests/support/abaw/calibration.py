"""Labelled tables in memory, for tests of fitted post-processing."""

import numpy as np

from abaw.calibration import fitting
from abaw.dataset.annotations import Labels
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.tasks import TASKS

TASK = {name: TASKS.build(name) for name in ("va", "expr", "au", "mtl")}


def held_out(name, values, truth, observed=None, scored=None):
    everywhere = np.ones(len(values), bool)
    labels = Labels(np.array(truth, np.float32).reshape(len(truth), -1), everywhere if scored is None else scored)
    return LabelledTable(np.array(values, np.float32), everywhere if observed is None else observed, labels)


def noisy_va(num=400, noise=0.5, seed=0, **more):
    """A slow truth under noise: smoothing helps."""
    rng = np.random.default_rng(seed)
    truth = np.stack([np.sin(np.arange(num) / 40 + seed), np.cos(np.arange(num) / 55 + seed)], axis=1) * 0.8
    return held_out("va", truth * 0.5 + 0.1 + rng.normal(size=truth.shape) * noise, truth, **more)


def score(name, clips, post_processing):
    return fitting.rank(TASK[name], fitting.post_processed(TASK[name], clips, post_processing))
