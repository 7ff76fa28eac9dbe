"""Prediction folders and their score reports, for tests of evaluation."""

from dataclasses import asdict

import numpy as np

from abaw.configs.sections import Config
from abaw.dataset.names import video_of
from abaw.evaluation.labelled_tables import open_labelled_predictions
from abaw.evaluation.labels import labels_by_task
from abaw.evaluation.report import result, score
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.results.runs import Run
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


def write_labels(root, splits):
    """Label files alone: VA follows a slow wave, EXPR stays a while; every fifth frame is unscored."""
    for split, clips in splits.items():
        for number, clip_id in enumerate(clips):
            steps = np.arange(FRAMES)
            wave = np.round(np.sin(steps / 9 + number), 3)
            va = [f"{v},{-v / 2}" if i % 5 else "-5,-5" for i, v in enumerate(wave)]
            expr = [str((i // 10 + number) % 8) if i % 5 else "-1" for i in steps]
            for folder, header, rows in (
                ("VA_Estimation_Challenge", "valence,arousal", va),
                ("EXPR_Recognition_Challenge", "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other", expr),
            ):
                path = root / "annotations" / folder / split / f"{clip_id}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join([header, *rows]) + "\n")


def write_tables(where, data, task="va", clips=VALIDATION, noise=0.5, seed=0, frames=FRAMES + 2, **about):
    """Noisy copies of the labels; ``about`` becomes predictions.json (none is written without)."""
    rng, kind = np.random.default_rng(seed), TASK[task]
    for clip_id in clips:
        split = "train" if clip_id in TRAIN else "validation"
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


def make_run(folder, data, name, noise=None, model="concat", seed=0, selection=None, clips=VALIDATION):
    """A run as training leaves it; without ``noise`` one that was stopped."""
    values = {"name": name, "data": str(data), "store": "s", "tasks": {"va": {}}, "features": {"f": {}, "g": {}}}
    run = Run(folder / name)
    config = Config.model_validate(values | {"model": {"name": model}, "training": {"seed": seed}})
    videos = {"train": ["20"], "validation": [video_of(clip_id) for clip_id in clips]}
    run.begin(config, {"tasks": {"va": {}}, "recipes": {}, "videos": videos, "label_tasks_seen": ["va"]})
    if noise is not None:
        (run.folder / "weights").mkdir()
        (run.folder / "weights/model.safetensors").write_bytes(b"w")
        tables = write_tables(run.predictions("validation") / "va", data, clips=clips, noise=noise, held_out=True)
        scores = scores_of(tables, data)["scores"]
        run.finish({"va": scores}, {"selection": selection or {"videos": [], "groups": [], "epochs_trained": 7}})
    return run


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
