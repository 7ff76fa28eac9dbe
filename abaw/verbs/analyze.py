from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from abaw.clips import Clip
    from abaw.decoding import Decoding
    from abaw.predictions import Table
    from abaw.runs import Run
    from abaw.tasks.base import Task
    from abaw.tracks import Track
    from extract.persons import Watch
    from extract.work import Asked


def analyze(
    media: Annotated[list[Path], typer.Argument(help="video or sound files, or folders of them")],
    run: Annotated[
        list[Path], typer.Option(help="runs of one task are an ensemble, of several tasks fill their columns")
    ],
    out: Annotated[
        Path, typer.Option(help="where <file>.parquet and <file>.csv are made, and store/ with the features")
    ],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")] = "cpu",
    assume_fps: Annotated[
        float | None, typer.Option(help="frame rate of the clock of a file that is sound alone")
    ] = None,
) -> None:
    """A table of every frame of any media: time, face box, what the runs predict, whether anything was observed."""
    from abaw.clips import Dataset
    from abaw.progress import Progress
    from abaw.runs import Run
    from abaw.verbs.extract import tell_report
    from abaw.verbs.predict import decodings_of, open_member, predict_tables
    from extract import run as extraction
    from extract.store import FeatureStore
    from extract.work import faces_recipe

    store = FeatureStore(out / "store")
    clips = _clips(media)
    asked, watch, fill = _encoders([Run(folder) for folder in run], device)
    with Progress("extract") as progress:
        report = extraction.extract(
            Dataset(out, clips), store, asked, watch, assume_fps=assume_fps, fill=fill, tell=progress
        )
    good = [clip_id for clip_id in clips if clip_id in {*report.made, *report.present}]
    decodings = decodings_of([Run(folder) for folder in run], None)
    if good:
        members = [open_member(folder, store.root, device) for folder in run]
        tasks = {name: task for each, _, _ in members for name, task in each.tasks().items()}
        faces = faces_recipe(watch)
        for clip_id, tables in predict_tables(members, tasks, dict.fromkeys(tasks, good)):
            is_there = store.has(faces, clip_id, store.clock_metadata(clip_id).get("source"))
            boxes = store.get(faces, clip_id) if is_there else None
            write_frames(out, clip_id, tasks, tables, boxes, decodings)
    tell_report(report)
    print(f"{out}: {len(good)} tables, {len(report.failed)} failed")
    if report.failed:
        raise typer.Exit(1)


def write_frames(
    out: Path,
    clip_id: str,
    tasks: "Mapping[str, Task]",
    tables: "Mapping[str, Table]",
    boxes: "Track | None",
    decodings: "Mapping[str, Decoding] | None" = None,
) -> None:
    """``<clip>.parquet`` and ``<clip>.csv``: one row a frame of the clock, empty face cells where no face was found.

    Where a run has a decoding, numbers and words are decoded by it.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    from abaw.files import whole

    first = next(iter(tables.values()))
    columns: dict[str, Any] = {"frame": first.frames, "time_s": first.times_s, "observed": first.observed}
    columns |= _face_columns(len(first.frames), boxes)
    for name, table in tables.items():
        decoding = (decodings or {}).get(name)
        final = decoding.apply(tasks[name], table.values, table.observed) if decoding else table.values
        columns |= {column: final[:, i] for i, column in enumerate(tasks[name].columns)}
        columns |= tasks[name].names(final)
    frames = pa.table(columns)
    with whole(out / f"{clip_id}.parquet") as aside:
        parquet.write_table(frames, aside)
    with whole(out / f"{clip_id}.csv") as aside:
        csv.write_csv(frames, aside)


def _face_columns(num: int, boxes: "Track | None") -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa

    values, found = np.zeros((num, 4), np.float32), np.zeros(num, bool)
    if boxes is not None:  # a row of the track is a decoded frame; the clock may be longer
        values[: len(boxes)], found[: len(boxes)] = boxes.values[:, :4], boxes.observed
    sides = ("face_x_px", "face_y_px", "face_width_px", "face_height_px")
    return {side: pa.array(values[:, i], mask=~found) for i, side in enumerate(sides)}


def _clips(media: list[Path]) -> "dict[str, Clip]":
    from abaw.clips import open_dataset

    clips: dict[str, Clip] = {}
    for path in media:
        for clip_id, clip in open_dataset(path).clips.items():
            if clip_id in clips:
                raise ValueError(
                    f"two media named {clip_id!r}: {clips[clip_id].media} and {clip.media}; analyze one at a time"
                )
            clips[clip_id] = clip
    return clips


def _encoders(runs: "list[Run]", device: str) -> "tuple[list[Asked], Watch, bool]":
    """Every encoder the runs were trained on, once, whose faces they share, and whether missing ones were filled."""
    from abaw.verbs.extract import build_finder, rebuild
    from extract.persons import Watch

    recipes = [recipe for run in runs for recipe in run.finished()["recipes"].values()]
    distinct = [recipe for i, recipe in enumerate(recipes) if recipe not in recipes[:i]]
    rebuilt = [rebuild(recipe, device) for recipe in distinct]
    watches = [watch for _, watch in rebuilt if watch is not None]
    if any(watch.recipe() != watches[0].recipe() for watch in watches):
        raise ValueError("these runs found faces in different ways: analyze with one run at a time")
    fills = {"fill_missing_faces" in recipe for recipe in distinct if "faces" in recipe}
    if len(fills) > 1:
        raise ValueError("these runs filled missing faces in different ways: analyze with one run at a time")
    return [asked for asked, _ in rebuilt], watches[0] if watches else Watch(build_finder("haar")), fills == {True}
