"""A small data set of a manifest: four speakers, three moods, and the features of its clips in a store."""

import json

import numpy as np

from abaw.tracks import Clock, Track
from extract.store.store import FeatureStore

SPEAKERS = ("ann", "bob", "cid", "dan")
MOODS = ("calm", "glad", "angry")
NUM_ROWS, STEP_S = 40, 0.1
CLIPS = {f"{who}{i}": (who, MOODS[i % 3]) for who in SPEAKERS for i in range(9)}
RECIPE = {"settings": {}, "version": 1, "stored_dtype": "float32"}
CLEAR = {"name": "clear", "encoder": "voice_mel", **RECIPE}
NOISE = {"name": "noise", "encoder": "voice_mel", **RECIPE}


def track_of(clip, informative, shift=0.0):
    """The mood moves the first feature; the speaker moves all of them, by more."""
    who, mood = CLIPS[clip]
    rng = np.random.default_rng([list(CLIPS).index(clip), informative])
    values = rng.normal(size=(NUM_ROWS, 3)) + 3 * SPEAKERS.index(who) * shift
    values[:, 0] += 2 * MOODS.index(mood) * informative
    return Track(values.astype(np.float32), np.arange(NUM_ROWS) * STEP_S, np.arange(NUM_ROWS) % 4 > 0)


def write_data(root, columns="path,group,mood", rows=None, **keys):
    root.mkdir(exist_ok=True)
    rows = rows or [f"{clip}.wav,{who},{mood}" for clip, (who, mood) in CLIPS.items()]
    (root / "clips.csv").write_text("\n".join([columns, *rows]) + "\n")
    keys = keys or {"classes": {"column": "mood", "names": list(MOODS)}}
    for row in rows:
        (root / row.split(",")[0]).touch()
    (root / "data.yaml").write_text(json.dumps({"manifest": "clips.csv", **keys}))
    return root / "data.yaml"


def write_store(root, shift=0.0):
    store = FeatureStore(root)
    for clip in CLIPS:
        store.put_clock(clip, Clock(np.arange(1, 41), np.arange(40) * 0.1, np.ones(40, bool)), {"num_frames": "40"})
        store.put(CLEAR, clip, track_of(clip, True, shift), {})
        store.put(NOISE, clip, track_of(clip, False, shift), {})
    return store
