"""Per-frame tables of any media."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.dataset.layout import Clip
    from abaw.postprocessing import PostProcessing
    from abaw.predictions import Table
    from abaw.runs import Run
    from abaw.tasks.base import Task
    from abaw.tracks import Track
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig


def write_frames(
    out: Path,
    clip_id: str,
    tasks: "Mapping[str, Task]",
    tables: "Mapping[str, Table]",
    boxes: "Track | None",
    post_processings: "Mapping[str, PostProcessing] | None" = None,
) -> None:
    """``<clip>.parquet`` and ``<clip>.csv``: one row a frame of the clock, empty face cells where no face was found.

    Where a run has post-processing, numbers and words are post-processed by it.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    from abaw.files import atomic_write

    first = next(iter(tables.values()))
    columns: dict[str, Any] = {"frame": first.frames, "time_s": first.times_s, "observed": first.observed}
    columns |= _face_columns(len(first.frames), boxes)
    for name, table in tables.items():
        post_processing = (post_processings or {}).get(name)
        final = post_processing.apply(tasks[name], table.values, table.observed) if post_processing else table.values
        columns |= {column: final[:, i] for i, column in enumerate(tasks[name].columns)}
        columns |= tasks[name].names(final)
    frames = pa.table(columns)
    with atomic_write(out / f"{clip_id}.parquet") as temporary:
        parquet.write_table(frames, temporary)
    with atomic_write(out / f"{clip_id}.csv") as temporary:
        csv.write_csv(frames, temporary)


def _face_columns(num: int, boxes: "Track | None") -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa

    values, found = np.zeros((num, 4), np.float32), np.zeros(num, bool)
    if boxes is not None:  # a row of the track is a post-processed frame; the clock may be longer
        values[: len(boxes)], found[: len(boxes)] = boxes.values[:, :4], boxes.observed
    sides = ("face_x_px", "face_y_px", "face_width_px", "face_height_px")
    return {side: pa.array(values[:, i], mask=~found) for i, side in enumerate(sides)}


def _clips(media: list[Path]) -> "dict[str, Clip]":
    from abaw.dataset.layout import open_dataset

    clips: dict[str, Clip] = {}
    for path in media:
        for clip_id, clip in open_dataset(path).clips.items():
            if clip_id in clips:
                raise InputError(
                    f"two media named {clip_id!r}: {clips[clip_id].media} and {clip.media}; analyze one at a time"
                )
            clips[clip_id] = clip
    return clips


def _encoders(runs: "list[Run]", device: str) -> "tuple[list[EncoderSpec], TargetConfig, bool]":
    """Every encoder the runs were trained on, once, whose faces they share, and whether missing ones were filled."""
    from abaw.pipelines.extraction import build_finder, rebuild
    from extract.faces.target import TargetConfig

    recipes = [recipe for run in runs for recipe in run.finished()["recipes"].values()]
    distinct = [recipe for i, recipe in enumerate(recipes) if recipe not in recipes[:i]]
    rebuilt = [rebuild(recipe, device) for recipe in distinct]
    watches = [watch for _, watch in rebuilt if watch is not None]
    if any(watch.recipe() != watches[0].recipe() for watch in watches):
        raise InputError("these runs found faces in different ways: analyze with one run at a time")
    fills = {"fill_missing_faces" in recipe for recipe in distinct if "faces" in recipe}
    if len(fills) > 1:
        raise InputError("these runs filled missing faces in different ways: analyze with one run at a time")
    return (
        [asked for asked, _ in rebuilt],
        watches[0] if watches else TargetConfig(build_finder("haar")),
        fills == {True},
    )
