from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from abaw.batches import FeatureSource
    from abaw.clips import Dataset
    from abaw.predictions import Table
    from abaw.runs import Run
    from abaw.tasks.base import Task
    from fusion.module import FusionModule

    Member = tuple[Run, FusionModule, FeatureSource]


def predict(
    runs: Annotated[list[Path], typer.Argument(help="one run, or several as an ensemble")],
    out: Annotated[Path, typer.Option(help="the folder of tables; a folder for each task is made in it")],
    split: Annotated[str | None, typer.Option(help="train, validation or test")] = None,
    clips: Annotated[
        list[str] | None, typer.Option(help="single clips instead of a split; may be given several times")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="the data set; default: the run's")] = None,
    store: Annotated[Path | None, typer.Option(help="the store of features; default: the run's")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1")] = "cpu",
) -> None:
    """Prediction tables, one a clip; several runs are averaged."""
    from abaw.clips import SPLITS, open_dataset

    if (split is None) == (not clips):
        raise ValueError("give either --split NAME or --clips ID (one or several), not both and not neither")
    if split is not None and split not in SPLITS:
        raise ValueError(f"no split {split!r}: there are {', '.join(SPLITS)}")
    members = [open_member(folder, store, device) for folder in runs]
    tasks = {name: task for run, _, _ in members for name, task in run.tasks().items()}
    dataset = open_dataset(data or Path(members[0][0].config().data))
    count = write_predictions(members, dataset, tasks, split or list(clips or ()), out)
    print(f"{out}: {count} tables")


def open_member(folder: Path, store: Path | None, device: str) -> "Member":
    """A complete run with its network and its features."""
    from abaw.runs import Run
    from extract.source import AlignedSource
    from extract.store import FeatureStore

    run = Run(folder)
    run.finished()
    config = run.config()
    source = AlignedSource(FeatureStore(store or Path(config.store)), config.features, run.finished()["recipes"])
    from fusion.train import load_module

    return run, load_module(run.folder, config, run.tasks(), device), source


def write_predictions(
    members: "Sequence[Member]", dataset: "Dataset", tasks: "Mapping[str, Task]", chosen: str | list[str], out: Path
) -> int:
    """Tables of every task for a split, or for the named clips; how many were written."""
    from abaw import predictions
    from abaw.runs import commit

    of_task = {name: _clips(dataset, task, chosen) for name, task in tasks.items()}
    for _, _, source in members:  # a clip that was never extracted is an error before old tables go
        for clip_id in {clip_id for clips in of_task.values() for clip_id in clips}:
            source.clock(clip_id)
    for name in tasks:
        predictions.begin(out / name)
    num_tables = 0
    for clip_id, tables in predict_tables(members, tasks, of_task):
        for name, table in tables.items():
            predictions.write_table(out / name, clip_id, table, tasks[name])
            num_tables += 1
    for name in tasks:
        about = [run for run, _, _ in members if name in run.tasks()]
        predictions.write_metadata(
            out / name,
            {
                "task": name,
                "split": chosen if isinstance(chosen, str) else None,
                "run": [str(run.folder) for run in about],
                "commit": commit(),
                "label_kinds_seen": sorted({kind for run in about for kind in run.document()["label_kinds_seen"]}),
                "personalised": False,
                "decoding": {},
            },
        )
    return num_tables


def predict_tables(
    members: "Sequence[Member]", tasks: "Mapping[str, Task]", of_task: Mapping[str, Sequence[str]]
) -> "Iterator[tuple[str, dict[str, Table]]]":
    """Clip by clip, a table for each task that asks for the clip: the mean over the members that know the task."""
    from abaw import predictions
    from abaw.progress import Progress
    from fusion.predict import predict as run_model

    clip_ids = list(dict.fromkeys(clip_id for clips in of_task.values() for clip_id in clips))
    streams = [run_model(module, source, clip_ids, run.config().window) for run, module, source in members]
    with Progress("predict") as progress:
        for done, clip_id in enumerate(clip_ids):
            progress(clip_id, done, len(clip_ids))
            members_tables: dict[str, list[Table]] = {name: [] for name in tasks if clip_id in of_task[name]}
            for (_, _, source), stream in zip(members, streams, strict=True):
                _, raw, observed = next(stream)
                clock = source.clock(clip_id)
                for name in members_tables.keys() & raw.keys():
                    values = tasks[name].probabilities(raw[name])
                    members_tables[name].append(predictions.Table(clock.frames, clock.times_s, observed, values))
            yield clip_id, {name: predictions.combine(tables) for name, tables in members_tables.items()}


def _clips(dataset: "Dataset", task: "Task", chosen: str | list[str]) -> list[str]:
    if not isinstance(chosen, str):
        unknown = [clip_id for clip_id in chosen if clip_id not in dataset.clips]
        if unknown:
            raise ValueError(f"no clip {unknown[0]!r} in {dataset.root}: see abaw check {dataset.root}")
        return chosen
    if chosen == "test":
        clips = list(dataset.test_clips(task.test_lists))
        expected = f"a test list {task.test_lists[0]}_test_set_release.txt"
    else:
        clips = list(dataset.annotation_files(task.folders, chosen))
        expected = f"label files in {' or '.join(task.folders)}"
    if not clips:
        raise ValueError(
            f"{dataset.root} has no {chosen} clips for {task.name}: expected {expected}, or name clips with --clips"
        )
    return clips
