"""Folders as `analyze` writes them, made by hand: what views read, without any model."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from abaw.dataset.clip import Clip
from abaw.files import write_json
from abaw.pipelines.viewing.writing import ViewedClip

BLOCKS = [
    {
        "task": "va",
        "kind": "values",
        "columns": ["valence", "arousal"],
        "ranges": [[-1, 1]] * 2,
        "chosen": None,
    },
    {
        "task": "expr",
        "kind": "classes",
        "columns": ["p_Neutral", "p_Happiness"],
        "ranges": [[0, 1]] * 2,
        "chosen": "expression",
    },
]


def write_analysis(folder: Path, clip: Clip, times_s: Any, num_persons: int = 1, **columns: Any) -> ViewedClip:
    """A folder with the table of one clip, in which every person is seen in every frame; to be viewed.

    ``columns``: those that differ, with a value for each person of the first frame, then of the second, and so on.
    """
    num = len(times_s) * num_persons
    table = {
        "frame": np.repeat(np.arange(1, len(times_s) + 1), num_persons),
        "time_s": np.repeat(times_s, num_persons),
        "person": np.tile(np.arange(num_persons), len(times_s)),
        "observed": [True] * num,
        "face_seen": [True] * num,
        "voice_heard": [False] * num,
        "face_x_px": [10.0 + 30 * person for _ in times_s for person in range(num_persons)],
        "face_y_px": [12.0] * num,
        "face_width_px": [20.0] * num,
        "face_height_px": [24.0] * num,
        "valence": [0.5] * num,
        "arousal": [-0.5] * num,
        "p_Neutral": [0.25] * num,
        "p_Happiness": [0.75] * num,
        "expression": ["Happiness"] * num,
        **columns,
    }
    folder.mkdir(exist_ok=True)
    parquet.write_table(pa.table(table), folder / f"{clip.clip_id}.parquet")
    about = {"media": str(clip.media or ""), "table": f"{clip.clip_id}.parquet", "losses": "", "no_prediction": None}
    about["persons"] = [{"person": person} for person in range(num_persons)]
    document = {"clips": {clip.clip_id: about}, "blocks": BLOCKS, "sources": ["by hand"], "warnings": []}
    write_json(folder / "analysis.json", document)
    return ViewedClip(clip, None, folder)
