"""A small training in memory: two tracks on a clock, labels that follow from them, configs and tasks."""

from dataclasses import dataclass

import numpy as np

from abaw.configs.sections import Config
from abaw.dataset.annotations import Labels
from abaw.tasks import TASKS
from abaw.tasks.base import Task
from abaw.tasks.va import ValenceArousal
from abaw.tracks import Clock, Track


@dataclass
class MemorySource:
    """Two tracks on the clock: the face shows valence and expression, the voice arousal."""

    tracks: dict[str, dict[str, Track]]
    reads_left: int = 10**9

    def names(self):
        return ("face", "voice")

    def dim(self, name):
        return {"face": 3, "voice": 2}[name]

    def is_on_clock(self, name):
        return True

    def clock(self, clip_id):
        times_s = self.tracks[clip_id]["face"].times_s
        return Clock(np.arange(1, len(times_s) + 1), times_s, np.ones(len(times_s), bool))

    def read(self, name, clip_id, start_s, stop_s):
        self.reads_left -= 1
        if self.reads_left < 0:
            raise OSError("the power went")
        track = self.tracks[clip_id][name]
        rows = (track.times_s >= start_s) & (track.times_s <= stop_s)
        return Track(track.values[rows], track.times_s[rows], track.observed[rows])


def make_source(lengths):
    """Clips by name: number of steps. One in eight rows is unobserved, and NaN there."""
    tracks = {}
    for seed, (clip_id, num_steps) in enumerate(lengths.items()):
        rng = np.random.default_rng(seed)
        times_s = 0.5 + np.arange(num_steps) / 25
        tracks[clip_id] = {
            name: _track(rng.normal(size=(num_steps, dim)) * 3 + 7, times_s, rng.random(num_steps) > 1 / 8)
            for name, dim in (("face", 3), ("voice", 2))
        }
    return MemorySource(tracks)


def _track(values, times_s, observed):
    values = values.astype(np.float32)
    values[~observed] = np.nan
    return Track(values, times_s, observed)


def va_labels(source, clip_id):
    face, voice = (source.tracks[clip_id][name].values for name in ("face", "voice"))
    values = np.tanh((np.stack([face[:, 0], voice[:, 0]], 1) - 7) / 3).astype(np.float32)
    scored = np.isfinite(values).all(1)
    return Labels(np.where(scored[:, None], values, 0), scored)


def expr_labels(source, clip_id):
    face = source.tracks[clip_id]["face"].values
    scored = np.isfinite(face).all(1)
    return Labels(np.where(scored & (face[:, 1] > 7), 4.0, 5.0).astype(np.float32)[:, None], scored)


LENGTHS = {"both": 60, "only_va": 45, "only_expr": 50, "val_both": 47, "val_va": 9}


def make_config(model="bigru", *, tasks=("va", "expr"), losses=None, window=(20, 10), settings=None, **trainer):
    return Config.model_validate(
        {
            "name": "test",
            "data": "data",
            "store": "store",
            "tasks": {task: {} for task in tasks},
            "features": {"face": {}, "voice": {}},
            "model": {"name": model, "hidden_dim": 8, "dropout": 0.2, **(settings or {})},
            "losses": losses or {},
            "window": {"length": window[0], "stride": window[1]},
            "training": {"batch_size": 4, "learning_rate": 0.01, "patience_epochs": 50},
            "trainer": {"max_epochs": 4, "accelerator": "cpu", **trainer},
        }
    )


def make_tasks(*names):
    return {name: TASKS.build(name) for name in names or ("va", "expr")}


def replace_training(config, **changes):
    return config.training.model_copy(update=changes)


def with_training(config, **changes):
    return config.model_copy(update={"training": replace_training(config, **changes)})


def make_labels(source):
    """Split -> task -> clip -> labels; clips named val_... are held out."""
    va = {clip: va_labels(source, clip) for clip in ("both", "only_va", "val_both", "val_va")}
    expr = {clip: expr_labels(source, clip) for clip in ("both", "only_expr", "val_both")}
    return {
        split: {
            name: {clip: each for clip, each in of_task.items() if clip.startswith("val") == (split == "validation")}
            for name, of_task in (("va", va), ("expr", expr))
        }
        for split in ("train", "validation")
    }


class Mood(Task):
    """A clip-level stand-in: one class of two a clip, the mean of its frames' probabilities."""

    name, columns, out_dim, resolution = "mood", ("p_low", "p_high"), 2, "clip"
    header, folders, test_lists = "video,mood", (), ()

    def read_labels(self, dataset, split):
        return {}

    def strata(self, labels):
        return np.where(labels.scored, labels.values[:, 0].astype(int), -1)

    def fitted(self, labels):
        return self

    def settings(self):
        return {}

    def loss(self, raw, target, scored):
        logs = raw.log_softmax(-1).gather(-1, target.long())[..., 0]
        return -(logs * scored).sum() / scored.sum().clamp(min=1)

    def probabilities(self, raw):
        return np.exp(raw - np.logaddexp.reduce(raw, axis=1, keepdims=True)).astype(np.float32)

    def logits(self, table):
        return np.log(table)

    def to_labels(self, table):
        return table.mean(0, keepdims=True).argmax(1)[:, None].astype(np.float32)

    def names(self, table):
        return {}

    def score(self, by_clip):
        right = [(each.prediction[:, 0] == each.labels.values[:, 0]).all() for each in by_clip.values()]
        return {"accuracy": float(np.mean(right)), "n": len(right)}

    def row(self, post_processed):
        return str(int(post_processed[0]))

    def parse_row(self, text):
        return np.array([float(text)])


class WithRDrop(ValenceArousal):
    """A stand-in with R-Drop: how far two outputs lie apart is their squared distance."""

    def __init__(self, weight):
        super().__init__(**TASKS.build("va").settings())
        self.r_drop_weight = weight

    def disagreement(self, raw, other, scored):
        return (raw - other)[scored].square().mean()
