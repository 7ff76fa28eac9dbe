"""Held-out tables beside their labels: what decodings and weights of ensembles may be fitted on."""

from collections.abc import Mapping
from pathlib import Path

from abaw import predictions
from abaw.annotations import Labels
from abaw.clips import SPLITS, Dataset, open_dataset, video_of
from abaw.fitted.fitting import HeldOut
from abaw.runs import Run
from abaw.tasks import TASKS
from abaw.tasks.base import Task


def read_labels(dataset: Dataset, task: Task, exclude: str | None = None) -> dict[str, Labels]:
    """Labels of both splits, for held-out clips lie in both; without the videos of a split to ``exclude``.

    A clip that is in both counts as one of validation. ValueError where there are none, or for an unknown split.
    """
    if exclude is not None and exclude not in SPLITS:
        raise ValueError(f"no split {exclude!r} to exclude: there are {', '.join(SPLITS)}")
    labels = {**task.read_labels(dataset, "train"), **task.read_labels(dataset, "validation")}
    if not labels:
        raise ValueError(f"{dataset.root} has no labels for {task.name}: expected {task.wanted('validation')}")
    left_out = {video_of(clip_id) for clip_id in task.clips(dataset, exclude)} if exclude else set()
    return {clip_id: each for clip_id, each in labels.items() if video_of(clip_id) not in left_out}


def read_clips(where: Path, task: Task, labels: Mapping[str, Labels], *, trust: bool = False) -> dict[str, HeldOut]:
    """The tables of a prediction folder that have scored labels, undecoded.

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
            raise ValueError(
                f"clip {clip_id!r} has {len(table.values)} predictions in {where} and {len(labels[clip_id])} labels: "
                "extract and predict it again"
            )
        clips[clip_id] = HeldOut(table.values, table.observed, labels[clip_id])
    if not clips:
        raise ValueError(
            f"no clip in {where} has {task.name} labels to fit on: is the data set another, or every clip excluded?"
        )
    return clips


def data_of(where: Path, data: Path | None) -> Dataset:
    """The data set given, else that of the first run that made the tables. ValueError where that is not told."""
    if data is None:
        run = run_of(where)
        if run is None:
            raise ValueError(f"{where} does not lead to the run that made it: name the data set with --data")
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
        raise ValueError(f"{where} has predictions by runs that were trained on these videos: {remedy}")
    if held_out is not True and not trust:
        raise ValueError(
            f"{where} does not say whether its runs were trained on these videos: {remedy}, or --trust it if you know "
            "that they were not"
        )
