"""A data set of valence and arousal without media, and prediction folders of it, for tests of fitting and ensembles."""

import zlib

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from abaw.tracks import Track
from extract.store.store import FeatureStore
from tests.support.stores import FACE, make_clock

FOLDERS = {"train": "Train_Set", "validation": "Validation_Set"}


def labels_of(clip_id, num=200):
    """A slow curve, another for each clip but t1's begins at 0."""
    phase = 0 if clip_id == "t1" else zlib.crc32(clip_id.encode()) % 7
    steps = np.arange(num) / 30 + phase
    return Labels((np.stack([np.sin(steps), np.cos(steps)], axis=1) * 0.8).astype(np.float32), np.ones(num, bool))


def write_dataset(root, clips, num=200):
    """Label files of each clip, in the split it is of."""
    for clip_id, split in clips.items():
        path = root / "VA_Estimation_Challenge" / FOLDERS[split] / f"{clip_id}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{v:.6f},{a:.6f}" for v, a in labels_of(clip_id, num).values]
        path.write_text("\n".join(["valence,arousal", *rows]) + "\n")


def store_labels(root, clips, num=200):
    """A store whose face features are the labels of ``write_dataset``, as float16 holds them."""
    store = FeatureStore(root)
    for clip_id in clips:
        about = {"source": f"of {clip_id}"}
        clock = make_clock(num, 1 / 30)
        store.put_clock(clip_id, clock, about | {"num_frames": str(num)})
        values = labels_of(clip_id, num).values.astype(np.float16).astype(np.float32)
        store.put(FACE, clip_id, Track(values, clock.times_s, np.ones(num, bool)), about)


def table_of(clip_id, num=200, noise=0.5, seed=0):
    """The labels, smaller, under noise."""
    rng = np.random.default_rng([seed, zlib.crc32(clip_id.encode())])
    values = labels_of(clip_id, num).values * 0.5 + rng.normal(size=(num, 2)) * noise
    return Table(
        np.arange(1, num + 1),
        np.arange(num) / 30,
        np.ones(num, bool),
        values.astype(np.float32),
        ("valence", "arousal"),
    )


def write_folder(out, clips, *, num=200, noise=0.5, seed=0, **about):
    """``out``/va: a table of each clip, and predictions.json with ``about`` as their metadata."""
    for clip_id in clips:
        predictions.write_table(out / "va", clip_id, table_of(clip_id, num, noise, seed), TASKS.build("va"))
    predictions.write_metadata(out / "va", {"task": "va", **about})
