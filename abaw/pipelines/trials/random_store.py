"""A store of random features, as large as a trial needs: encoders need not have run before training is timed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from abaw.tracks import Clock

if TYPE_CHECKING:
    from extract.store.store import FeatureStore

FRAME_S = 1 / 30


@dataclass(frozen=True)
class TrackShape:
    """The number of values in a row of a track, and its rows a second; 0: one for each frame."""

    dim: int
    rows_hz: float = 0.0


def write_random_store(root: Path, shapes: Mapping[str, TrackShape], num_frames: Mapping[str, int]) -> "FeatureStore":
    """Write a clock at 30 fps and a track of noise for each feature of each clip, all of it observed."""
    from extract.store.store import FeatureStore

    store, rng = FeatureStore(root), np.random.default_rng(0)
    for clip_id, num in num_frames.items():
        times_s = np.arange(num) * FRAME_S
        store.put_clock(clip_id, Clock(np.arange(1, num + 1), times_s, np.ones(num, bool)), {}, sync=False)
        for name, shape in shapes.items():
            rows_s = np.arange(0, num * FRAME_S, 1 / shape.rows_hz) if shape.rows_hz else times_s
            with store.writer({"name": name, "encoder": "random", "settings": {}}, clip_id, shape.dim) as writer:
                writer.add(rng.standard_normal((len(rows_s), shape.dim), np.float32))
                writer.finish(rows_s, np.ones(len(rows_s), bool), {})
    return store
