from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.pipelines.analysis import _clips, _encoders, write_frames

if TYPE_CHECKING:
    pass


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
    from abaw.commands.extract import tell_report
    from abaw.dataset.layout import Dataset
    from abaw.pipelines.prediction import open_member, post_processing_of, predict_tables
    from abaw.progress import Progress
    from abaw.runs import Run
    from extract.engine import run as extraction
    from extract.engine.plan import faces_recipe
    from extract.store.store import FeatureStore

    store = FeatureStore(out / "store")
    clips = _clips(media)
    asked, watch, fill = _encoders([Run(folder) for folder in run], device)
    with Progress("extract") as progress:
        report = extraction.extract(
            Dataset(out, clips), store, asked, watch, assume_fps=assume_fps, fill=fill, progress=progress
        )
    good = [clip_id for clip_id in clips if clip_id in {*report.made, *report.present}]
    post_processings = post_processing_of([Run(folder) for folder in run], None)
    if good:
        members = [open_member(folder, store.root, device) for folder in run]
        tasks = {name: task for each, _, _ in members for name, task in each.tasks().items()}
        faces = faces_recipe(watch)
        for clip_id, tables in predict_tables(members, tasks, dict.fromkeys(tasks, good)):
            is_there = store.has(faces, clip_id, store.clock_metadata(clip_id).get("source"))
            boxes = store.get(faces, clip_id) if is_there else None
            write_frames(out, clip_id, tasks, tables, boxes, post_processings)
    tell_report(report)
    print(f"{out}: {len(good)} tables, {len(report.failed)} failed")
    if report.failed:
        raise typer.Exit(1)
