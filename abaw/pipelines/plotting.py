"""Figures of runs and prediction folders: read, scored and drawn."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from abaw.dataset.layout import open_once
from abaw.errors import InputError, NotFoundError
from abaw.evaluation.labelled_tables import LabelledPredictions, open_labelled_predictions, tasks_in
from abaw.evaluation.reliability import calibration_of
from abaw.evaluation.report import score
from abaw.files import as_path, as_paths, check_once
from abaw.files.names import first_few
from abaw.results.curves import read_curves, score_columns
from abaw.results.runs import CURVES, Run
from abaw.tasks.base import Task, concatenated, is_count
from abaw.tasks.classes import confusion_of
from abaw.tasks.ranges import label_ranges
from abaw.views.plots.clips import draw_clip, draw_timeline
from abaw.views.plots.curves import RunCurves, draw_learning_curves
from abaw.views.plots.plot import Plot, check_suffix
from abaw.views.plots.scores import PairedDifference, SystemScore, draw_comparison, draw_confusion, draw_reliability
from abaw.views.plots.style import WIDTHS
from abaw.views.plots.values import draw_agreement
from abaw.views.report.clip_blocks import blocks_of_clip, stops_of
from abaw.views.timeline import CLASSES, DOCUMENT, UNITS, VALUES, read_timeline

WORDS = {CLASSES: "classes", VALUES: "values", UNITS: "action units"}


def plot_curves(runs: str | Path | Sequence[str | Path], *, width: str = "page") -> Plot:
    """Draw the learning curves of runs, complete or not: losses and scores over epochs, a line a run.

    A run whose epoch was chosen on an inner part of its training side has a second line, of that training. ``width``:
    "page" (7 inches) or "column" (3.35). Raises NotFoundError where a folder is no run or no epoch has ended yet.
    """
    folders, inches = as_paths(runs, "runs"), _inches(width)
    if not folders:
        raise InputError("no run to draw: give the folders of runs")
    check_once(folders, "run")
    curves = [each for folder in folders for each in _curves(Run(folder))]
    title = f"Learning curves of {folders[0]}" if len(folders) == 1 else "Learning curves"
    return draw_learning_curves(curves, title=title, width=inches)


@open_once()
def plot_confusion(
    folder: str | Path,
    *,
    task: str | None = None,
    split: str | None = None,
    data: str | Path | None = None,
    raw: bool = False,
    width: str = "column",
) -> Plot:
    """Draw the confusion matrix of a run or a prediction folder: shares of each label's rows, with counts.

    ``task``, ``split``, ``data`` and ``raw`` as in ``score``; without ``task``, the only one with classes. Raises
    InputError where no task has classes or several have, and as ``score`` does.
    """
    inches = _inches(width)
    opened = _only(_open(folder, task, split, data, raw), CLASSES)
    found = confusion_of(opened.task, opened.pairs(post_processed=True))
    if found is None:
        raise InputError(f"{opened.folder}: {opened.task.name} has more than one class a row, so it has no such matrix")
    if not np.any(found.counts):
        raise InputError(f"{opened.folder}: no row of {opened.task.name} has a label")
    return draw_confusion(found, title=f"Confusion matrix of {_words(opened)}", width=inches)


@open_once()
def plot_values(
    folder: str | Path,
    *,
    task: str | None = None,
    split: str | None = None,
    data: str | Path | None = None,
    raw: bool = False,
    width: str = "page",
) -> Plot:
    """Draw predicted values against their labels, of a run or a prediction folder: a panel for each value.

    Arguments and errors as of ``plot_confusion``, for tasks of values.
    """
    inches = _inches(width)
    opened = _only(_open(folder, task, split, data, raw), VALUES)
    prediction, label = concatenated(opened.pairs(post_processed=True))
    goals, columns = _places_of_values(opened.task)
    known = np.isfinite(label[:, goals]).all(axis=1)
    if not known.any():
        raise InputError(f"{opened.folder}: no row of {opened.task.name} has a label of a value")
    names = [opened.task.columns[column].removeprefix("p_") for column in columns]
    ranges = [label_ranges(opened.task)[column] for column in columns]
    title = f"Predictions against labels of {_words(opened)}"
    prediction, label = prediction[known][:, goals], label[known][:, goals]
    return draw_agreement(prediction, label, names, ranges=ranges, title=title, width=inches)


@open_once()
def plot_reliability(
    folder: str | Path,
    *,
    task: str | None = None,
    split: str | None = None,
    data: str | Path | None = None,
    raw: bool = False,
    width: str = "column",
) -> Plot:
    """Draw whether probabilities are as often right as they say: of the most probable class, or of each action unit.

    Arguments and errors as of ``plot_confusion``, for tasks of classes or units.
    """
    inches = _inches(width)
    opened = _only(_open(folder, task, split, data, raw), CLASSES, UNITS)
    found = calibration_of(opened.task, opened.probabilities(post_processed=True))
    if found is None:
        raise InputError(f"{opened.folder}: no frame of {opened.task.name} has a label")
    overall = found.overall
    curves = {"most probable class": overall.top} if overall.top else dict(overall.curves)
    curves = {name.removeprefix("p_"): curve for name, curve in curves.items()}
    error = overall.top.error if overall.top else overall.error
    return draw_reliability(curves, error=error, title=f"Reliability of {_words(opened)}", width=inches)


@open_once()
def plot_clip(
    folder: str | Path,
    clip: str,
    *,
    task: str | None = None,
    split: str | None = None,
    data: str | Path | None = None,
    raw: bool = False,
    width: str = "page",
) -> Plot:
    """Draw a clip over time: predictions beside labels, of a run or a prediction folder.

    Of a folder that ``analyze`` wrote, its timeline, which has no labels; ``task``, ``split``, ``data`` and ``raw``,
    which are as in ``score``, cannot be given then. Without ``task``, all tasks. Raises NotFoundError for a clip that
    is not there or has no labels, and as ``score`` does.
    """
    where, inches = as_path(folder, "folder"), _inches(width)
    if not isinstance(clip, str):
        raise InputError(f"clip is {clip!r}, expected the name of a clip")
    if (where / DOCUMENT).is_file():
        if task or split or data or raw:
            raise InputError(f"{where} holds an analysis, which has no labels: leave task, split, data and raw out")
        return draw_timeline(read_timeline(where, clip), width=inches)
    every = _open(where, task, split, data, raw)
    for each in every:
        if clip not in each.tables:
            known = first_few(sorted(each.tables)) or "none"
            raise NotFoundError(f"{where} has no clip {clip!r} with {each.task.name} labels; it has {known}")
    table = every[0].tables[clip]
    blocks = [
        block
        for each in every
        for block in blocks_of_clip(each.task, each.values_of(clip, each.post_processing), each.labels[clip])
    ]
    title = f"{clip}: {where}, {every[0].split}"
    return draw_clip(clip, table.times_s, stops_of(table.times_s), blocks, table.observed, title=title, width=inches)


def plot_comparison(
    folders: str | Path | Sequence[str | Path],
    *,
    task: str | None = None,
    split: str | None = None,
    data: str | Path | None = None,
    raw: bool = False,
    draws: int = 1000,
    seed: int = 0,
    width: str = "page",
) -> Plot:
    """Draw the scores of several runs or prediction folders with intervals, and their paired differences.

    Arguments as of ``score``. p is corrected for the number of pairs. Raises InputError for fewer than two folders,
    for several tasks without ``task``, and as ``score`` does.
    """
    several, inches = as_paths(folders, "folders"), _inches(width)
    if len(several) < 2:
        raise InputError(f"{len(several)} folder is given: give two or more runs or prediction folders to compare")
    names = [task] if task else tasks_in(several[0], split)
    if len(names) > 1:
        raise InputError(f"{several[0]} has tables of {', '.join(names)}: name one of them with --task (Python: task=)")
    report = score(several, split=split, task=task, data=data, raw=raw, draws=draws, seed=seed)
    ranking = next(name for name in report.results[0].scores if not is_count(name))
    systems = [
        SystemScore(each.folder, each.scores[ranking], (each.intervals or {}).get(ranking)) for each in report.results
    ]
    differences = [
        PairedDifference(each.first, each.second, each.difference, each.interval, each.corrected_p)
        for each in report.comparisons
    ]
    title = f"{names[0]}, {report.results[0].split}"
    title += "" if differences else ": the clips are not the same, so there are no paired differences"
    return draw_comparison(systems, differences, score=f"{names[0]} {ranking}", title=title, width=inches)


def _curves(run: Run) -> list[RunCurves]:
    """The curves of a run and, where its epoch was chosen in one, of its inner training."""
    document = run.document()
    selection = document.get("selection") or {}
    state = "" if run.is_complete() else " (not complete)"
    found = [_run_curves(f"{run.folder}{state}", run.folder, selection.get("epochs_trained"))]
    if (run.inner / CURVES).is_file():
        found.append(_run_curves(f"{run.folder}, inner part{state}", run.inner, selection.get("epochs")))
    return found


def _run_curves(name: str, folder: Path, chosen: int | None) -> RunCurves:
    columns = read_curves(folder)
    empty = np.full(len(columns["epoch"]), np.nan)
    scores = {shown: columns[column] for shown, column in score_columns(columns).items()}
    train, validation = (columns.get(side, empty) for side in ("train/loss", "validation/loss"))
    return RunCurves(name, columns["epoch"], train, validation, scores, chosen)


def _open(
    folder: str | Path, task: str | None, split: str | None, data: str | Path | None, raw: bool
) -> list[LabelledPredictions]:
    """The tables and labels of one task, or of all that the folder has."""
    where, labels = as_path(folder, "folder"), as_path(data, "data", optional=True)
    names = [task] if task else tasks_in(where, split)
    return [open_labelled_predictions(where, split, name, labels, raw=raw) for name in names]


def _only(every: Sequence[LabelledPredictions], *kinds: str) -> LabelledPredictions:
    """The only task with a block of one of these kinds. Raises InputError where none has, or several have."""
    fitting = [each for each in every if set(kinds) & {kind for kind, _ in _blocks_of(each.task)}]
    if not fitting:
        wanted = " or ".join(WORDS[kind] for kind in kinds)
        names = ", ".join(each.task.name for each in every)
        raise InputError(f"{every[0].folder} has tables of {names}, but this figure needs a task of {wanted}")
    if len(fitting) > 1:
        names = ", ".join(each.task.name for each in fitting)
        raise InputError(f"{fitting[0].folder} has tables of {names}: name one of them with --task (Python: task=)")
    return fitting[0]


def _places_of_values(task: Task) -> tuple[list[int], list[int]]:
    """Where the values are among the labels, and among the columns of the tables."""
    goals, columns, goal, column = list[int](), list[int](), 0, 0
    for kind, width in _blocks_of(task):
        num_goals = 1 if kind == CLASSES else width
        if kind == VALUES:
            goals += range(goal, goal + width)
            columns += range(column, column + width)
        goal, column = goal + num_goals, column + width
    return goals, columns


def _blocks_of(task: Task) -> Sequence[tuple[str, int]]:
    """The kinds of the columns of a task's tables, and how many there are of each."""
    return task.blocks or ((VALUES, len(task.columns)),)


def _words(opened: LabelledPredictions) -> str:
    raw = "" if opened.post_processing is None else ", post-processed"
    return f"{opened.folder}, {opened.task.name}, {opened.split}{raw}"


def _inches(width: str) -> float:
    if width not in WIDTHS:
        raise InputError(f"width is {width!r}, expected one of {', '.join(WIDTHS)}")
    return WIDTHS[width]


def write_plot(out: Path, draw: Callable[[], Plot]) -> str:
    """Draw a figure and write it; its name and its text alternative. An unknown suffix is refused before the work."""
    path = check_suffix(out)
    plot = draw()
    plot.save(path)
    return f"{path}: {plot.alternative}"
