"""Tables of one task beside the labels that judge them; what must not be judged with them is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abaw import predictions
from abaw.annotations import Labels
from abaw.clips import Dataset, open_dataset, video_of
from abaw.decoding import Decoding, read_decoding
from abaw.fitted.heldout import read_labels
from abaw.predictions import Table
from abaw.runs import Run
from abaw.scoring.leaks import check_kinds, check_unseen, made_by
from abaw.tasks import TASKS
from abaw.tasks.base import Scored, Task

HELD_OUT = "held-out"
SPLITS = ("train", "validation", HELD_OUT)


@dataclass(frozen=True)
class Judged:
    """A folder's tables of a task, by clip, with the labels of a split and what is known of the tables.

    ``about`` is predictions.json and, for a run, what run.json says beyond it; {} where neither is there.
    ``decoding`` is None where the folder has none, or none is wanted. ``runs``: the clips of each run that made them,
    where that is told. ``remarks`` are for the reader of the score.
    """

    folder: Path
    task: Task
    split: str
    labels: Mapping[str, Labels]
    tables: Mapping[str, Table]
    about: Mapping[str, Any]
    decoding: Decoding | None
    runs: Mapping[str, list[str]]
    remarks: tuple[str, ...]

    def scored(self, *, decoded: bool) -> dict[str, Scored]:
        """What the task scores, without the decoding or with it."""
        found = {}
        for clip_id, table in self.tables.items():
            values, decoding = table.values, self.decoding if decoded else None
            if decoding is not None:
                values = decoding.apply(self.task, values, table.observed)
            labels = self.labels[clip_id]
            found[clip_id] = Scored(self.task.decode(values)[: len(labels)], labels)
        return found

    def num_unobserved(self) -> int:
        """Scored frames (or clips) in which nothing was to see or hear: they count like all others."""
        num = 0
        for clip_id, table in self.tables.items():
            scored, observed = self.labels[clip_id].scored, table.observed
            seen = observed[: len(scored)] if self.task.resolution == "frame" else observed.any()
            num += int((scored & ~seen).sum())
        return num


def open_judged(folder: Path, split: str, task_name: str, data: Path | None, *, undecoded: bool = False) -> Judged:
    """Read all that judges a task in a run or a folder of tables.

    Raises ValueError for a leak, an unknown split, or a split without labels; FileNotFoundError names what is missing.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} to score: there are {', '.join(SPLITS)} (test labels are not public)")
    run = Run(folder) if (folder / "run.json").is_file() else None
    where = predictions.resolve(_tables(folder, run, split), task_name)
    about = _about(where, run)
    task = _task(task_name, run, about)
    labels = _labels(open_dataset(data or _data(where, run, about)), task, split, where, run)
    decoding = None if undecoded else _decoding(where, run, task_name)
    remarks = check_unseen(where, split, labels, about, decoding)
    tables = {clip_id: _table(where, clip_id, task, len(each)) for clip_id, each in labels.items()}
    runs = made_by(about, labels)
    return Judged(folder, task, split, labels, tables, about, decoding, runs, tuple(remarks))


def tasks_in(folder: Path, split: str) -> list[str]:
    """The tasks a run or a folder has tables of."""
    return predictions.tasks_in(_tables(folder, Run(folder) if (folder / "run.json").is_file() else None, split))


def labels_of(dataset: Dataset, task: Task, split: str) -> dict[str, Labels]:
    """A task's labels in a split; in "held-out" those of both splits. ValueError where there are none."""
    if split == HELD_OUT:
        return read_labels(dataset, task)
    if not (found := task.read_labels(dataset, split)):
        raise ValueError(f"{dataset.root} has no {split} labels for {task.name}: expected {task.wanted(split)}")
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
        "label_kinds_seen": document.get("label_kinds_seen"),
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
        raise ValueError(f"no clip in {where} has {task.name} labels in {dataset.root}: is it another data set's?")
    return labels


def _table(where: Path, clip_id: str, task: Task, num_labels: int) -> Table:
    table = predictions.read_table(where, clip_id, task)
    if task.resolution == "frame" and len(table.frames) < num_labels:
        raise ValueError(
            f"{where}: clip {clip_id!r} has {len(table.frames)} rows and {num_labels} labels: a table has a row for "
            "every frame of the clip; predict it again"
        )
    return table


def _data(where: Path, run: Run | None, about: Mapping[str, Any]) -> Path:
    if run is None and not about.get("run"):
        raise ValueError(f"{where} does not say which run made it: name the data set with --data")
    return Path((run or Run(Path(about["run"][0]))).config().data)


def _decoding(where: Path, run: Run | None, task_name: str) -> Decoding | None:
    found = predictions.decoding_of(where)
    if found is not None or run is None:
        return found
    document = run.decoding().get(task_name)
    return read_decoding(document, f"{run.folder / 'decoding.json'}, {task_name}") if document else None
