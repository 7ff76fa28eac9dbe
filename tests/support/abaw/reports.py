"""Prediction folders and their score reports, for tests of evaluation."""

from dataclasses import asdict

import numpy as np

from abaw.evaluation.labelled_tables import open_labelled_predictions
from abaw.evaluation.labels import labels_by_task
from abaw.evaluation.report import result, score
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS

VA, EXPR = TASKS.build("va"), TASKS.build("expr")
TASK = {"va": VA, "expr": EXPR}
VALIDATION = ("10_left", "10_right", "11", "12", "13", "14", "15")
TRAIN = ("20", "21_left", "22")
FRAMES = 30
KNOWN = {
    "commit": "0123456789ab", "seeds": [4], "run": ["runs/gone"], "label_tasks_seen": ["va"], "subject_adapted": False,
    "held_out": False, "videos_seen": ["20", "21", "22"],
}  # fmt: skip


POOLED = {**KNOWN, "held_out": True, "run": ["runs/a-fold0", "runs/a-fold1"]}
BOX = {"smoother": "box", "width": 7}


def write_tables(where, data, task="va", clips=VALIDATION, noise=0.5, seed=0, frames=FRAMES + 2, **about):
    """Noisy copies of the labels; ``about`` becomes predictions.json (none is written without)."""
    rng, kind = np.random.default_rng(seed), TASK[task]
    for clip_id in clips:
        split = "validation" if clip_id in VALIDATION else "train"
        labels = labels_by_task(open_data(data), {task: kind}, split)[task][clip_id]
        values = np.resize(labels.values, (frames, labels.values.shape[1]))
        raw = values if task == "va" else 1.0 * (values == np.arange(8))
        raw = raw + noise * rng.normal(size=raw.shape)
        observed = np.arange(frames) % 3 > 0
        table = Table(np.arange(1, frames + 1), np.arange(frames) / 30, observed, kind.probabilities(raw), kind.columns)
        predictions.write_table(where, clip_id, table, kind)
    if about:
        predictions.write_metadata(where, {"task": task, "split": "validation", **about})
    return where


def open_data(root):
    from abaw.dataset.layout import open_dataset

    return open_dataset(root)


def scores_of(where, data, split="validation", task="va", draws=100, seed=0, **words):
    labelled = open_labelled_predictions(where, split, task, data, **words)
    return asdict(result(labelled, draws, seed))


def report(*folders, data, **words):
    return score(folders, data=data, **{"draws": 100, **words})


def text_of(*folders, data, **words):
    """What the command line prints."""
    return str(report(*folders, data=data, **words))
