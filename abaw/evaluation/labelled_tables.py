"""Prediction tables with their labels, for scoring and for fitting.

``open_labelled_predictions`` reads what a score needs, ``read_held_out`` what post-processing and ensemble weights may
be fitted on; both refuse leaks. Task and data set are those of the run that made the tables, unless they are given.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import SPLITS, Dataset, open_dataset
from abaw.dataset.seen import Seen, groups_in
from abaw.errors import InputError, NotFoundError
from abaw.evaluation.deviations import deviation_remarks
from abaw.evaluation.labels import HELD_OUT, has_validation, labels_of
from abaw.evaluation.leaks import check_held_out, check_provenance, check_unseen, made_by, selection_words
from abaw.evaluation.reliability import Probabilities
from abaw.evaluation.subject_support import without_support
from abaw.postprocessing import PostProcessing, parse_post_processing
from abaw.probabilities.contexts import Modalities, contexts_of
from abaw.results import predictions
from abaw.results.observed import observed_lines, parse_observed
from abaw.results.predictions import Table
from abaw.results.run_tables import held_out_tables
from abaw.results.runs import POST_PROCESSING, Run
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair, Task

SCORED_SPLITS = (*SPLITS, HELD_OUT)


class LabelledTable(NamedTuple):
    """One clip's raw table (time columns), its observed flags (time), its labels, its frames' times in seconds, and for
    each modality whether it was observed (time), where that is known."""

    values: np.ndarray
    observed: np.ndarray
    labels: Labels
    times_s: np.ndarray | None = None
    modalities: Modalities | None = None

    @property
    def to_smooth(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
        """What ``PostProcessing.smoothed`` needs of the clip; its images are the frames with labels."""
        return self.values, self.observed, self.times_s, self.labels.scored

    @property
    def to_process(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray, Modalities | None]:
        """What ``PostProcessing.apply`` needs of the clip."""
        return *self.to_smooth, self.modalities


@dataclass(frozen=True)
class LabelledPredictions:
    """A folder's tables of one task, by clip, with the labels of a split and the provenance of the tables.

    ``about`` is predictions.json and, for a run, what run.json adds; {} where neither exists. ``post_processing`` is
    None where the folder has none, or raw scores are wanted. ``runs``: the clips of each run, where that is recorded.
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

    def pairs(self, *, post_processed: bool) -> dict[str, PredictionPair]:
        """Predictions beside labels, by clip, with or without the post-processing."""
        kept, found = self.post_processing if post_processed else None, {}
        for clip_id, labels in self.labels.items():
            values = self.values_of(clip_id, kept)
            found[clip_id] = PredictionPair(self.task.to_labels(values)[: len(labels)], labels)
        return found

    def probabilities(self, *, post_processed: bool) -> dict[str, Probabilities]:
        """The tables beside labels, by clip, raw or after post-processing without scale and bias, which are no part of
        a calibration: they move decisions."""
        kept = self.post_processing.without_shift() if post_processed and self.post_processing is not None else None
        return {
            clip_id: Probabilities(self.values_of(clip_id, kept), self.labels[clip_id], table.modalities)
            for clip_id, table in self.tables.items()
        }

    def values_of(self, clip_id: str, kept: PostProcessing | None) -> np.ndarray:
        """A clip's table after this post-processing; the raw one for None."""
        table = self.tables[clip_id]
        if kept is None:
            return table.values
        clip = LabelledTable(table.values, table.observed, self.labels[clip_id], table.times_s, table.modalities)
        return kept.apply(self.task, *clip.to_process)

    def selection(self) -> str:
        """Whether the epoch of a run was chosen on these clips, in words; "" where none was."""
        return selection_words(self.about, groups_in(self.labels))

    def all_remarks(self, final: Mapping[str, PredictionPair]) -> list[str]:
        """What must be known to read the score of the final predictions."""
        found = [*self.remarks, *self.task.remarks(final), *self.map_remarks()]
        return found + deviation_remarks(self.task, self.tables, final, self.post_processing, self.about)

    def map_remarks(self) -> list[str]:
        """Which frames get the calibration of all frames, because it has none for what was observed in them."""
        maps = self.post_processing.calibration if self.post_processing else None
        flags = [(table.modalities, len(table.frames)) for table in self.tables.values()] if maps else []
        remark = maps.remark(Counter(name for each in flags for name in contexts_of(*each).tolist())) if maps else ""
        return [remark] if remark else []

    def num_unobserved(self) -> int:
        """Number of scored frames (or clips) in which nothing was observed; they are scored like all others."""
        num = 0
        for clip_id, table in self.tables.items():
            scored, observed = self.labels[clip_id].scored, table.observed
            seen = observed[: len(scored)] if self.task.resolution == "frame" else observed.any()
            num += int((scored & ~seen).sum())
        return num


def open_labelled_predictions(
    folder: Path, split: str | None, task_name: str, data: Path | None = None, *, raw: bool = False
) -> LabelledPredictions:
    """Read the tables of a task in a run or a prediction folder, and the labels of ``split``.

    Without a split, "validation"; a folder of tables of training clips, "train"; of test clips that a manifest has
    labels of, "test"; a folder whose data set has no validation split, "held-out". Raises InputError for a leak, an
    unknown split, or a split without labels; NotFoundError names what is missing.
    """
    if split not in (None, *SCORED_SPLITS):
        raise InputError(f"no split {split!r} to score: there are {', '.join(SCORED_SPLITS)}")
    run = _as_run(folder)
    where = predictions.resolve(_tables(folder, run, split), task_name)
    about = _about(where, run)
    dataset = dataset_of(where, data, run)
    task = task_of(where, task_name, run, dataset)
    split = split or _only_split(dataset, task, about, run)
    labels = _labels(dataset, task, split, where, run)
    post_processing = None if raw else _post_processing(where, run, task_name)
    remarks = check_unseen(where, split, groups_in(labels), about, post_processing)
    remarks = [
        *remarks,
        *(task.label_remarks(dataset, split) if split in SPLITS else ()),
        *observed_lines(parse_observed(about.get("observed")), "frames of all predicted clips"),
    ]
    tables = {clip_id: _table(where, clip_id, task, labels[clip_id]) for clip_id in labels}
    labels, notes = without_support(about, task, tables, labels)
    runs = made_by(about, labels)
    return LabelledPredictions(folder, task, split, labels, tables, about, post_processing, runs, (*notes, *remarks))


def read_held_out(
    where: Path, task: Task, labels: Mapping[str, Labels], *, trust: bool = False
) -> dict[str, LabelledTable]:
    """The raw tables of the clips in a prediction folder that have scored labels: what may be fitted on.

    Raises InputError where the folder records that its runs were trained on these videos, or (unless ``trust``) does
    not record that they were not; where no clip has labels; and where a clip has more labels than frames.
    """
    check_held_out(where, trust)
    clips = {}
    for clip_id in predictions.clip_ids(where):
        if clip_id in labels and labels[clip_id].scored.any():
            table = _table(where, clip_id, task, labels[clip_id])
            clips[clip_id] = LabelledTable(
                table.values, table.observed, labels[clip_id].at(table.times_s), table.times_s, table.modalities
            )
    if not clips:
        raise InputError(
            f"no clip in {where} has {task.name} labels to fit on: give the data set that these clips are from "
            "(--data), or exclude less"
        )
    return clips


def score_folder(folder: Path, task: Task, labels: Mapping[str, Labels]) -> dict[str, float]:
    """The official score of a folder's raw tables against labels; every labelled clip must have a table."""
    where = predictions.resolve(folder, task.name)
    pairs = {}
    for clip_id, each in labels.items():
        table = predictions.read_table(where, clip_id, task)
        each = each.at(table.times_s)
        pairs[clip_id] = PredictionPair(task.to_labels(table.values)[: len(each)], each)
    return task.score(pairs)


def tasks_in(folder: Path, split: str | None) -> list[str]:
    """The names of the tasks that a run or a prediction folder has tables of."""
    return predictions.tasks_in(_tables(folder, _as_run(folder), split))


def check_same_tasks(folders: Sequence[Path], opened: Sequence[LabelledPredictions]) -> None:
    """Raises InputError where the folders have tables of different tasks."""
    of_folder = [[each.task.name for each in opened if each.folder == folder] for folder in folders]
    for folder, names in zip(folders, of_folder, strict=True):
        if set(names) != set(of_folder[0]):
            raise InputError(
                f"{folders[0]} has tables of {', '.join(of_folder[0])}, {folder} of {', '.join(names)}: name a task "
                "that all of them have (--task), or score them one by one"
            )


def dataset_of(where: Path, data: Path | None, run: Run | None = None) -> Dataset:
    """The data set given, else that of the run that made the tables. Raises InputError where no run is recorded."""
    if data is None:
        run = run or run_of(where)
        if run is None:
            about = predictions.read_metadata(where)
            if isinstance(about.get("data"), str) and not about.get("run"):  # of recognisers
                if not Path(about["data"]).exists():
                    raise NotFoundError(
                        f"{where} was made of {about['data']}, which does not exist in {Path.cwd()}: go to the folder "
                        "in which it was made, or name the data set with --data"
                    )
                return open_dataset(Path(about["data"]))
            recorded = about.get("run")
            if not recorded:
                raise InputError(f"{where} does not say which run made it: name the data set with --data")
            raise NotFoundError(
                f"{where} was made by {', '.join(recorded)}, which does not exist in {Path.cwd()}: go to the folder in "
                "which it was made, or name the data set with --data"
            )
        data = run.place("data")
    return open_dataset(data)


def run_of(where: Path) -> Run | None:
    """The first run that made the tables and still exists; None where none is recorded, or all are gone."""
    return next(_runs_of(where), None)


def task_of(where: Path, name: str, run: Run | None = None, dataset: Dataset | None = None) -> Task:
    """The task, with the settings of the run that made the tables where it exists: they may change the labels.

    A task whose columns a data set defines has those of the run, else those that the tables record, else those of
    ``dataset``. Raises InputError where none of them says which they are, and where ``dataset`` has others.
    """
    runs = [run] if run is not None else list(_runs_of(where))
    for each in runs:
        each.require_plugins()
    known = next((each for each in runs if name in each.document().get("tasks", {})), None)
    recorded = predictions.read_metadata(where).get("task_settings") or {}
    if not isinstance(recorded, dict):
        raise InputError(f"{where / predictions.METADATA}: task_settings is {recorded!r}, expected an object")
    task: Task = TASKS.build(name, **recorded) if known is None else known.task(name)
    task = task if dataset is None else task.for_dataset(dataset)
    if not task.columns:
        raise InputError(
            f"{where} does not say what the columns of its {name} tables are: predict again, or give the data set file "
            f"that defines {name} (--data)"
        )
    return task


def _runs_of(where: Path) -> Iterator[Run]:
    recorded = predictions.read_metadata(where).get("run") or ()
    return (Run(Path(folder)) for folder in recorded if (Path(folder) / "run.json").is_file())


def _as_run(folder: Path) -> Run | None:
    return Run(folder) if (folder / "run.json").is_file() else None


def _tables(folder: Path, run: Run | None, split: str | None) -> Path:
    """The folder of the tables; what a run held out is its validation split."""
    is_held_out = split is None or split in ("validation", HELD_OUT)
    return folder if run is None else held_out_tables(run) if is_held_out else run.predictions(str(split))


def _only_split(dataset: Dataset, task: Task, about: Mapping[str, Any], run: Run | None) -> str:
    """The split to score where none is asked for."""
    if run is None and about.get("split") == "train" and not about.get("held_out"):
        return "train"
    if run is None and about.get("split") == "test" and dataset.manifest and task.read_labels(dataset, "test"):
        return "test"
    return "validation" if run is not None or has_validation(dataset, {task.name: task}) else HELD_OUT


def _about(where: Path, run: Run | None) -> dict[str, Any]:
    """What predictions.json says and, of a run, what its run.json adds."""
    recorded = predictions.read_metadata(where)
    check_provenance(recorded, where)
    if run is None:
        return recorded
    document = run.document()
    known = {
        "run": [str(run.folder)],
        "commit": document.get("commit"),
        "seeds": [document["seed"]] if "seed" in document else None,
        "label_tasks_seen": document.get("label_tasks_seen"),
        "videos_seen": document.get("videos", {}).get("train"),
        "groups_seen": document.get("groups", {}).get("train"),
    }
    return {key: value for about in (known, recorded) for key, value in about.items() if value is not None}


def _labels(dataset: Dataset, task: Task, split: str, where: Path, run: Run | None) -> dict[str, Labels]:
    """Labels of the clips to score: an official split, the fold that a run held out, or every clip with a table."""
    document = run.document() if run is not None else {}
    is_official = not document.get("folds", {}).get("fold", 0) and has_validation(dataset, {task.name: task})
    is_fold = run is not None and split == "validation" and not is_official
    if split == "validation" and not is_fold and not has_validation(dataset, {task.name: task}):
        place = dataset.manifest.file if dataset.manifest else dataset.root
        raise InputError(
            f"{place} has no validation clip: leave --split out, or give --split held-out, which scores every "
            f"clip with labels that {where} has"
        )
    labels = labels_of(dataset, task, HELD_OUT if is_fold else split)
    if is_fold:
        return {clip_id: labels[clip_id] for clip_id in Seen.of_side(document, "validation").find(groups_in(labels))}
    if split == HELD_OUT:
        there = set(predictions.clip_ids(where))
        labels = {clip_id: each for clip_id, each in labels.items() if clip_id in there}
    if not labels:
        raise InputError(
            f"no clip in {where} has {task.name} labels in {dataset.root}: name the data set that these clips are from"
        )
    return labels


def _table(where: Path, clip_id: str, task: Task, labels: Labels) -> Table:
    table = predictions.read_table(where, clip_id, task)
    if task.resolution == "frame" and len(table.frames) < len(labels.at(table.times_s)):
        raise InputError(
            f"{where}: clip {clip_id!r} has {len(table.frames)} rows and {len(labels)} labels: a table has one row for "
            "every frame of the clip; extract and predict it again"
        )
    return table


def _post_processing(where: Path, run: Run | None, task_name: str) -> PostProcessing | None:
    found = predictions.post_processing_of(where)
    if found is not None or run is None:
        return found
    document = run.post_processing().get(task_name)
    return parse_post_processing(document, f"{run.folder / POST_PROCESSING}, {task_name}") if document else None
