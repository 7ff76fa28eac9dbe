"""Prediction tables from runs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from abaw.postprocessing import PostProcessing
    from abaw.predictions import Table
    from abaw.runs import Run
    from abaw.tasks.base import Task


def post_processing_of(runs: "Sequence[Run]", file: Path | None) -> "dict[str, PostProcessing]":
    """Task -> post-processing from the file; without one, what a task's only run has in its post_processing.json."""
    from abaw.postprocessing import parse_post_processing, read_post_processing

    for run in runs:
        run.finished()
    of_run = [(run, name, task) for run in runs for name, task in run.tasks().items()]
    if file is not None:
        return read_post_processing(file, {name: task for _, name, task in of_run})
    names, found = [name for _, name, _ in of_run], {}
    for run, name, task in of_run:
        if names.count(name) == 1 and run.post_processing().get(name):
            found[name] = parse_post_processing(
                run.post_processing()[name], f"{run.folder / 'post_processing.json'}, {name}", task
            )
    return found


def open_member(folder: Path, store: Path | None, device: str) -> "Member":
    """A complete run with its network and its features."""
    from abaw.runs import Run
    from extract.store.source import AlignedSource
    from extract.store.store import FeatureStore

    run = Run(folder)
    run.finished()
    config = run.config()
    source = AlignedSource(FeatureStore(store or Path(config.store)), config.features, run.finished()["recipes"])
    from fusion.train import load_module

    return run, load_module(run.folder, config, run.tasks(), device), source


def write_predictions(
    members: "Sequence[Member]",
    dataset: "Dataset",
    tasks: "Mapping[str, Task]",
    chosen: "Chosen",
    out: Path,
    post_processings: "Mapping[str, PostProcessing] | None" = None,
) -> int:
    """Tables of every task for a split, for the named clips, or for each task's own; how many were written."""
    from abaw import predictions

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
    for name, task in tasks.items():
        post_processing = (post_processings or {}).get(name)
        about = {
            "task": name,
            "split": chosen if isinstance(chosen, str) else _split_of(dataset, task, of_task[name]),
            **_about([run for run, _, _ in members if name in run.tasks()], of_task[name]),
            "post_processing": post_processing.document() if post_processing else {},
        }
        predictions.write_metadata(out / name, about)
    return num_tables


def _about(runs: "Sequence[Run]", clip_ids: Sequence[str]) -> dict[str, object]:
    from abaw import provenance
    from abaw.ensembling import weights

    about = provenance.merged([provenance.of_run(run, clip_ids) for run in runs])
    mixture = weights.mean(len(runs)).document([str(run.folder) for run in runs])
    return {**about, "ensemble": mixture if len(runs) > 1 else {}}


def predict_tables(
    members: "Sequence[Member]", tasks: "Mapping[str, Task]", of_task: Mapping[str, Sequence[str]]
) -> "Iterator[tuple[str, dict[str, Table]]]":
    """Clip by clip, a table for each task that asks for the clip: the mean over the members that know the task."""
    from abaw import predictions
    from abaw.ensembling import weights
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
            yield clip_id, {name: weights.mean(len(each)).table(each) for name, each in members_tables.items()}


def _clips(dataset: "Dataset", task: "Task", chosen: "Chosen") -> list[str]:
    if not isinstance(chosen, str):
        named = list(chosen[task.name] if isinstance(chosen, Mapping) else chosen)
        unknown = [clip_id for clip_id in named if clip_id not in dataset.clips]
        if unknown:
            raise InputError(f"no clip {unknown[0]!r} in {dataset.root}: see abaw check {dataset.root}")
        return named
    clips = list(task.clips(dataset, chosen))
    if not clips:
        raise InputError(
            f"{dataset.root} has no {chosen} clips for {task.name}: expected {task.wanted(chosen)}, or name clips with "
            "--clips"
        )
    return clips


def _split_of(dataset: "Dataset", task: "Task", clip_ids: Sequence[str]) -> str | None:
    """The split that has these very clips."""
    from abaw.dataset.layout import SPLITS

    return next((split for split in SPLITS if set(task.clips(dataset, split)) == set(clip_ids)), None)
