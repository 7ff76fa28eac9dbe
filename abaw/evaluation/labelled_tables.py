"""Tables of one task beside the labels that judge them; what must not be judged with them is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from abaw import predictions
from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset, open_dataset, video_of
from abaw.errors import InputError
from abaw.evaluation.leaks import check_kinds, check_unseen, made_by
from abaw.postprocessing import PostProcessing, parse_post_processing
from abaw.predictions import Table
from abaw.runs import Run
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair, Task

HELD_OUT = "held-out"
SPLITS = ("train", "validation", HELD_OUT)


class LabelledTable(NamedTuple):
    """A clip's raw table (time columns), its observed flags (time), and its labels."""

    values: np.ndarray
    observed: np.ndarray
    labels: Labels


@dataclass(frozen=True)
class LabelledPredictions:
    """A folder's tables of a task, by clip, with the labels of a split and what is known of the tables.

    ``about`` is predictions.json and, for a run, what run.json says beyond it; {} where neither is there.
    ``post_processing`` is None where the folder has none, or none is wanted. ``runs``: the clips of each run that made them,
    where that is told. ``remarks`` are for the reader of the score.
    """

    folder: Path
    task: Task
    split: str
    labels: Mapping[str, Labels]
    tables: Mapping[str, Table]
    about: Mapping[str, Any]
    post_processing: PostProcessing | None
    runs: Mapping[str, list[str]]
    remarks: tuple[str, ...]

    def scored(self, *, post_processed: bool) -> dict[str, PredictionPair]:
        """What the task scores, without the post-processing or with it."""
        found = {}
        for clip_id, table in self.tables.items():
            values, post_processing = table.values, self.post_processing if post_processed else None
            if post_processing is not None:
                values = post_processing.apply(self.task, values, table.observed)
            labels = self.labels[clip_id]
            found[clip_id] = PredictionPair(self.task.to_labels(values)[: len(labels)], labels)
        return found

    def num_unobserved(self) -> int:
        """PredictionPair frames (or clips) in which nothing was to see or hear: they count like all others."""
        num = 0
        for clip_id, table in self.tables.items():
            scored, observed = self.labels[clip_id].scored, table.observed
            seen = observed[: len(scored)] if self.task.resolution == "frame" else observed.any()
            num += int((scored & ~seen).sum())
        return num


def open_labelled_predictions(
    folder: Path, split: str, task_name: str, data: Path | None, *, raw: bool = False
) -> LabelledPredictions:
    """Read all that judges a task in a run or a folder of tables.

    Raises ValueError for a leak, an unknown split, or a split without labels; FileNotFoundError names what is missing.
    """
    if split not in SPLITS:
        raise InputError(f"no split {split!r} to score: there are {', '.join(SPLITS)} (test labels are not public)")
    run = Run(folder) if (folder / "run.json").is_file() else None
    where = predictions.resolve(_tables(folder, run, split), task_name)
    about = _about(where, run)
    task = _task(task_name, run, about)
    labels = _labels(open_dataset(data or _data(where, run, about)), task, split, where, run)
    post_processing = None if raw else _post_processing(where, run, task_name)
    remarks = check_unseen(where, split, labels, about, post_processing)
    tables = {clip_id: _table(where, clip_id, task, len(each)) for clip_id, each in labels.items()}
    runs = made_by(about, labels)
    return LabelledPredictions(folder, task, split, labels, tables, about, post_processing, runs, tuple(remarks))


def tasks_in(folder: Path, split: str) -> list[str]:
    """The tasks a run or a folder has tables of."""
    return predictions.tasks_in(_tables(folder, Run(folder) if (folder / "run.json").is_file() else None, split))


def labels_of(dataset: Dataset, task: Task, split: str) -> dict[str, Labels]:
    """A task's labels in a split; in "held-out" those of both splits. ValueError where there are none."""
    if split == HELD_OUT:
        return read_labels(dataset, task)
    if not (found := task.read_labels(dataset, split)):
        raise InputError(f"{dataset.root} has no {split} labels for {task.name}: expected {task.wanted(split)}")
    return found


def _task(name: str, run: Run | None, about: Mapping[str, Any]) -> Task:
    """With the settings of the run that made the tables where it is there, for they may say what its labels are."""
    runs = [run] if run else [Run(Path(folder)) for folder in about.get("run") or ()]
    known = [each.document().get("tasks", {}) for each in runs if (each.folder / "run.json").is_file()]
    return TASKS.build(name, **next((tasks[name] for tasks in known if name in tasks), {}))


def _tables(folder: Path, run: Run | None, split: str) -> Path:
    """A run's tables of its own held-out clips are its validation tables."""
    return folder if run is None else run.predictions("validation" if split == HELD_OUT else split)


def _about(where: Path, run: Run | None) -> dict[str, Any]:
    """What predictions.json says, and beyond it a run's own run.json."""
    told = predictions.read_metadata(where)
    check_kinds(told, where)
    if run is None:
        return told
    document = run.document()
    known = {
        "run": [str(run.folder)],
        "commit": document.get("commit"),
        "seeds": [document["seed"]] if "seed" in document else None,
        "label_tasks_seen": document.get("label_tasks_seen"),
        "videos_seen": document.get("videos", {}).get("train"),
    }
    return {key: value for about in (known, told) for key, value in about.items() if value is not None}


def _labels(dataset: Dataset, task: Task, split: str, where: Path, run: Run | None) -> dict[str, Labels]:
    """The judged clips' labels: those of an official split, of the fold a run held out, or of every clip there is."""
    document = run.document() if run is not None else {}
    is_fold = document.get("folds", {}).get("fold", 0) > 0 and split == "validation"
    labels = labels_of(dataset, task, HELD_OUT if is_fold else split)
    if is_fold:
        held_out = set(document["videos"]["validation"])
        return {clip_id: each for clip_id, each in labels.items() if video_of(clip_id) in held_out}
    if split == HELD_OUT:
        there = set(predictions.clip_ids(where))
        labels = {clip_id: each for clip_id, each in labels.items() if clip_id in there}
    if not labels:
        raise InputError(f"no clip in {where} has {task.name} labels in {dataset.root}: is it another data set's?")
    return labels


def _table(where: Path, clip_id: str, task: Task, num_labels: int) -> Table:
    table = predictions.read_table(where, clip_id, task)
    if task.resolution == "frame" and len(table.frames) < num_labels:
        raise InputError(
            f"{where}: clip {clip_id!r} has {len(table.frames)} rows and {num_labels} labels: a table has a row for "
            "every frame of the clip; predict it again"
        )
    return table


def _data(where: Path, run: Run | None, about: Mapping[str, Any]) -> Path:
    if run is None and not about.get("run"):
        raise InputError(f"{where} does not say which run made it: name the data set with --data")
    return Path((run or Run(Path(about["run"][0]))).config().data)


def _post_processing(where: Path, run: Run | None, task_name: str) -> PostProcessing | None:
    found = predictions.post_processing_of(where)
    if found is not None or run is None:
        return found
    document = run.post_processing().get(task_name)
    return parse_post_processing(document, f"{run.folder / 'post_processing.json'}, {task_name}") if document else None


def read_labels(dataset: Dataset, task: Task, exclude: str | None = None) -> dict[str, Labels]:
    """Labels of both splits, for held-out clips lie in both; without the videos of a split to ``exclude``.

    A clip that is in both counts as one of validation. ValueError where there are none, or for an unknown split.
    """
    if exclude is not None and exclude not in SPLITS:
        raise InputError(f"no split {exclude!r} to exclude: there are {', '.join(SPLITS)}")
    labels = {**task.read_labels(dataset, "train"), **task.read_labels(dataset, "validation")}
    if not labels:
        raise InputError(f"{dataset.root} has no labels for {task.name}: expected {task.wanted('validation')}")
    left_out = {video_of(clip_id) for clip_id in task.clips(dataset, exclude)} if exclude else set()
    return {clip_id: each for clip_id, each in labels.items() if video_of(clip_id) not in left_out}


def read_clips(
    where: Path, task: Task, labels: Mapping[str, Labels], *, trust: bool = False
) -> dict[str, LabelledTable]:
    """The tables of a prediction folder that have scored labels, raw.

    Raises ValueError where the folder says that its runs were trained on these videos, or (unless ``trust``) does not
    say that they were not; where no clip has labels; and where a clip has more labels than frames.
    """
    _check_held_out(where, trust)
    clips = {}
    for clip_id in predictions.clip_ids(where):
        if clip_id not in labels or not labels[clip_id].scored.any():
            continue
        table = predictions.read_table(where, clip_id, task)
        if task.resolution == "frame" and len(table.values) < len(labels[clip_id]):
            raise InputError(
                f"clip {clip_id!r} has {len(table.values)} predictions in {where} and {len(labels[clip_id])} labels: "
                "extract and predict it again"
            )
        clips[clip_id] = LabelledTable(table.values, table.observed, labels[clip_id])
    if not clips:
        raise InputError(
            f"no clip in {where} has {task.name} labels to fit on: is the data set another, or every clip excluded?"
        )
    return clips


def data_of(where: Path, data: Path | None) -> Dataset:
    """The data set given, else that of the first run that made the tables. ValueError where that is not told."""
    if data is None:
        run = run_of(where)
        if run is None:
            raise InputError(f"{where} does not lead to the run that made it: name the data set with --data")
        data = Path(run.config().data)
    return open_dataset(data)


def run_of(where: Path) -> Run | None:
    """The first of the runs that made the tables; None where that is not told, or it is gone."""
    runs = predictions.read_metadata(where).get("run") or []
    return Run(Path(runs[0])) if runs and (Path(runs[0]) / "run.json").is_file() else None


def task_of(where: Path, name: str) -> Task:
    """The task, with the settings of the run that made the tables where it is there: they may say what labels are."""
    run = run_of(where)
    known = run.document().get("tasks", {}) if run else {}
    return TASKS.build(name, **known.get(name, {}))


def _check_held_out(where: Path, trust: bool) -> None:
    held_out = predictions.read_metadata(where).get("held_out")
    remedy = "give held-out predictions (abaw predict RUN ... --held-out)"
    if held_out is False:
        raise InputError(f"{where} has predictions by runs that were trained on these videos: {remedy}")
    if held_out is not True and not trust:
        raise InputError(
            f"{where} does not say whether its runs were trained on these videos: {remedy}, or --trust it if you know "
            "that they were not"
        )


def read_labels(dataset: "Dataset", tasks: "dict[str, Task]", split: str) -> "dict[str, dict[str, Labels]]":
    """Labels by task and clip. ValueError where a task has none in the split."""
    from abaw.evaluation.labelled_tables import labels_of

    return {name: labels_of(dataset, task, split) for name, task in tasks.items()}


def score_folder(folder: Path, task: "Task", labels: "Mapping[str, Labels]") -> dict[str, float]:
    """The task's official score of a prediction folder against labels, raw; every labelled clip must be there."""
    from abaw import predictions
    from abaw.tasks.base import PredictionPair

    where = predictions.resolve(folder, task.name)
    by_clip = {}
    for clip_id, clip_labels in labels.items():
        table = predictions.read_table(where, clip_id, task)
        by_clip[clip_id] = PredictionPair(task.to_labels(table.values)[: len(clip_labels)], clip_labels)
    return task.score(by_clip)
