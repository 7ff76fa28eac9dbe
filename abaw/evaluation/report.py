"""Scores of runs and prediction folders: the official metric, intervals, comparisons; as values and as text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.layout import open_once
from abaw.errors import InputError
from abaw.evaluation.coverage import measured_coverage
from abaw.evaluation.intervals import (
    SIGNIFICANCE,
    Interval,
    check_draws,
    compare,
    correct,
    group_by_video,
    intervals,
    unit_drawn,
)
from abaw.evaluation.jackknife import LEVEL
from abaw.evaluation.labelled_tables import LabelledPredictions, check_same_tasks, open_labelled_predictions, tasks_in
from abaw.evaluation.reliability import Calibration, calibration_of
from abaw.evaluation.report_text import lines
from abaw.evaluation.wording import difference_words
from abaw.files import as_path, as_paths
from abaw.progress import ProgressCallback, as_progress, silent, with_progress
from abaw.results import predictions
from abaw.results.provenance import reported
from abaw.results.selection import words_of_each
from abaw.tasks.base import PredictionPair, Task, is_count
from abaw.tasks.classes import Confusion, confusion_of

if TYPE_CHECKING:
    import pandas as pd

Scores = dict[str, float]


@dataclass(frozen=True)
class Measurement:
    """The official score over all frames, its intervals (None: a single video), and that of each clip and each run.

    At a limit of its range, 0 for F1, a score has no interval. In every mapping the ranking score comes first; ``n``
    counts scored rows. ``folds``: of each run the score of the clips it held out, where several made the tables.
    """

    scores: Scores
    intervals: dict[str, Interval] | None
    clips: dict[str, Scores]
    folds: dict[str, Scores]


@dataclass(frozen=True)
class Difference:
    """How much the second of two systems scores above the first: the 95 % interval (None: one video) and p.

    ``num_videos`` were compared: videos or, where the data set names groups, groups (``unit``).
    """

    score: str
    difference: float
    interval: Interval | None
    p: float
    num_videos: int
    verdict: str
    unit: str = field(default="video", kw_only=True)

    @property
    def words(self) -> str:
        """The difference with its interval and p."""
        return difference_words(self.score, self.difference, self.interval, self.p)


@dataclass(frozen=True)
class ScoreResult(Measurement):
    """One task of one folder. The scores are those of the tables as a submission would have them.

    ``raw`` (the tables without their post-processing) and ``gain`` (what it adds) are None where the folder has no
    post-processing. ``unobserved`` counts scored frames in which nothing was observed. ``videos`` counts what intervals
    are made of: videos or, where the data set names groups, groups (``unit``). ``coverage``: how often a 95 % interval
    of the ranking score holds the true one with so many, measured by simulation; None for a single one.
    ``selection`` says where the epoch of a run was chosen on the clips that are scored; else it is empty.
    ``confusion``: how often each class was predicted for each, None for tasks without classes. ``calibration``: whether
    probabilities are as often right as they say, before scale and bias, and ``raw_calibration`` that of the raw tables;
    None for tasks of values. ``subject_labels``: whether labels of the persons were used for the tables.
    """

    folder: str
    task: str
    split: str
    videos: int
    unobserved: int
    post_processing: dict[str, Any] | None
    raw: Measurement | None
    gain: Difference | None
    provenance: dict[str, Any]
    remarks: list[str]
    unit: str = "video"
    coverage: float | None = None
    selection: str = ""
    confusion: Confusion | None = None
    calibration: Calibration | None = None
    raw_calibration: Calibration | None = None
    subject_labels: bool = False


@dataclass(frozen=True)
class Comparison(Difference):
    """Whether the folder ``second`` is better than ``first`` at a task.

    ``corrected_p`` is p corrected for the ``num_pairs`` of folders that the report compares at this task (Holm 1979);
    ``verdict`` follows it. ``selection`` says where the epoch of one or both was chosen on the clips that are compared.
    """

    task: str
    first: str
    second: str
    corrected_p: float
    num_pairs: int = 1
    selection: str = ""


@dataclass(frozen=True)
class Spread:
    """Mean, lowest and highest of every score over several folders, with the seeds they record.

    ``selection`` says where the epochs of some were chosen on the clips that are scored.
    """

    task: str
    folders: list[str]
    seeds: list[list[int] | None]
    same_clips: bool
    scores: dict[str, dict[str, float]]
    selection: str = ""


@dataclass(frozen=True)
class ScoreReport:
    """All that ``score`` found: a result for each folder and task; a comparison of every two folders on the same
    clips, and of more than two their spread.

    ``str(report)`` is what the command line prints, ``report.to_dict()`` what its ``--json`` prints.
    """

    draws: int
    seed: int
    level: float
    results: list[ScoreResult]
    comparisons: list[Comparison]
    spreads: list[Spread]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return asdict(self)

    def to_pandas(self) -> "pd.DataFrame":
        """A row a score of each folder and task: folder, task, split, score, value, low and high (95 %), videos.

        ``low`` and ``high`` are NaN where there is no interval. Raises InputError where pandas is not installed.
        """
        rows = [
            (
                *(each.folder, each.task, each.split, name, value),
                *(*(each.intervals or {}).get(name, (None, None)), each.videos),
            )
            for each in self.results
            for name, value in each.scores.items()
            if not is_count(name)
        ]
        names = ("folder", "task", "split", "score", "value", "low", "high", "videos")
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        bounds = {name: np.array(columns[name], np.float64) for name in ("value", "low", "high")}
        return predictions.to_pandas({**columns, **bounds})

    def __str__(self) -> str:
        return "\n".join(lines(self))


@open_once()
def score(
    folders: str | Path | Sequence[str | Path],
    *,
    split: str | None = None,
    task: str | None = None,
    data: str | Path | None = None,
    raw: bool = False,
    draws: int = 1000,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> ScoreReport:
    """Score runs or prediction folders with the official metric over all frames, with 95 % intervals.

    Intervals are by video, or by group where the data set names groups; the report says of how many. Every two folders
    are compared, with p corrected for the number of pairs; of three or more the spread is reported too, and they are
    compared only where they have the same clips. ``split``: "train", "validation", or "held-out" (every clip with
    labels that the folder has); by default "validation", "train" for tables of that split, "held-out" where the data
    set has no validation split. ``task``: one task; by default every task the folders have tables of. ``data``: the
    data set with the labels; by default that of the run. ``raw`` leaves out the folders' post-processing. ``draws``
    random exchanges of videos with ``seed`` give p.

    Raises InputError for a leak (a folder that has seen the videos it is scored on), for folders of different tasks or
    clips, and for a split without labels; NotFoundError where a folder or a table is missing.
    """
    as_progress(progress)
    opened = open_folders(folders, split=split, task=task, data=data, raw=raw, progress=progress)
    return report(opened, draws, seed, progress)


def open_folders(
    folders: str | Path | Sequence[str | Path],
    *,
    split: str | None,
    task: str | None,
    data: str | Path | None,
    raw: bool,
    progress: ProgressCallback = silent,
) -> list[LabelledPredictions]:
    """Every task of every folder, in the order of the folders; the arguments and errors are those of ``score``."""
    several = as_paths(folders, "folders")
    if not several:
        raise InputError("no folder to score: give a run, or a folder of prediction tables")
    if len({each.resolve() for each in several}) < len(several):
        raise InputError(f"a folder is given twice: {', '.join(map(str, several))}; give each folder once")
    labels, opened = as_path(data, "data", optional=True), list[LabelledPredictions]()
    for folder in with_progress(several, progress, "reading {}".format):
        names = [task] if task else tasks_in(folder, split)
        opened += [open_labelled_predictions(folder, split, name, labels, raw=raw) for name in names]
    check_same_tasks(several, opened)
    return opened


def report(
    opened: Sequence[LabelledPredictions], draws: int, seed: int, progress: ProgressCallback = silent
) -> ScoreReport:
    """The report of labelled predictions; see ``score``."""
    words = "scoring {0.folder} {0.task.name}".format
    results = [result(each, draws, seed) for each in with_progress(opened, progress, words)]
    comparisons, spreads = [], []
    for name in dict.fromkeys(each.task.name for each in opened):
        of_task = [each for each in opened if each.task.name == name]
        if len(of_task) > 2:
            spreads.append(spread([each for each in results if each.task == name]))
        if len(of_task) == 2 or (len(of_task) > 2 and spreads[-1].same_clips):
            comparisons += compare_all(of_task, draws, seed, progress)
    return ScoreReport(draws, seed, LEVEL, results, comparisons, spreads)


def result(labelled: LabelledPredictions, draws: int, seed: int) -> ScoreResult:
    """The scores of one task of one folder, with and without its post-processing."""
    check_draws(draws, seed)
    final = labelled.pairs(post_processed=True)
    num = len(group_by_video(final))
    post_processing, raw, gain, raw_calibration = None, None, None, None
    if labelled.post_processing is not None:
        before = labelled.pairs(post_processed=False)
        post_processing = labelled.post_processing.document()
        raw = measured(labelled, before)
        raw_calibration = calibration_of(labelled.task, labelled.probabilities(post_processed=False))
        gain = difference(labelled.task, before, final, draws, seed)
    return ScoreResult(
        **vars(measured(labelled, final)),
        folder=str(labelled.folder),
        task=labelled.task.name,
        split=labelled.split,
        videos=num,
        unobserved=labelled.num_unobserved(),
        post_processing=post_processing,
        raw=raw,
        gain=gain,
        provenance=reported(labelled.about),
        remarks=labelled.all_remarks(final),
        unit=unit_drawn(final),
        coverage=measured_coverage(labelled.task, num) if num > 1 else None,
        selection=labelled.selection(),
        confusion=confusion_of(labelled.task, final),
        calibration=calibration_of(labelled.task, labelled.probabilities(post_processed=True)),
        raw_calibration=raw_calibration,
        subject_labels=bool(labelled.about.get("subjects")),
    )


def compare_all(
    opened: Sequence[LabelledPredictions], draws: int, seed: int, progress: ProgressCallback = silent
) -> list[Comparison]:
    """Every two folders compared at one task, with p corrected for the number of pairs."""
    words, pairs = "comparing {0[0].folder} and {0[1].folder}".format, list(combinations(opened, 2))
    found = [comparison(first, second, draws, seed) for first, second in with_progress(pairs, progress, words)]
    corrected = correct([each.p for each in found])
    return [
        replace(each, corrected_p=p, num_pairs=len(found), verdict="neither" if p > SIGNIFICANCE else each.verdict)
        for each, p in zip(found, corrected, strict=True)
    ]


def comparison(first: LabelledPredictions, second: LabelledPredictions, draws: int, seed: int) -> Comparison:
    """Whether the second is better than the first. Raises InputError naming the first clip in which they differ."""
    before, after = first.pairs(post_processed=True), second.pairs(post_processed=True)
    try:
        found = difference(first.task, before, after, draws, seed)
    except ValueError as error:
        raise InputError(f"{first.folder} and {second.folder}, {first.task.name}: {error}") from None
    one, other = str(first.folder), str(second.folder)
    words = words_of_each({one: first.selection(), other: second.selection()})
    return Comparison(
        **vars(found), task=first.task.name, first=one, second=other, corrected_p=found.p, selection=words
    )


def spread(results: Sequence[ScoreResult]) -> Spread:
    """Mean, lowest and highest of each score over several folders, with the seeds that their metadata record."""
    names = [name for name in results[0].scores if not is_count(name)]
    values = {name: [each.scores[name] for each in results] for name in names}
    return Spread(
        task=results[0].task,
        folders=[each.folder for each in results],
        seeds=[each.provenance.get("seeds") for each in results],
        same_clips=all(each.clips.keys() == results[0].clips.keys() for each in results),
        scores={
            name: {"mean": sum(each) / len(each), "lowest": min(each), "highest": max(each)}
            for name, each in values.items()
        },
        selection=words_of_each({each.folder: each.selection for each in results}),
    )


def measured(labelled: LabelledPredictions, pairs: Mapping[str, PredictionPair]) -> Measurement:
    """The scores of predictions beside the labels: of all clips, of each clip and of each run."""
    task, scored = labelled.task, {clip: each for clip, each in pairs.items() if each.labels.scored.any()}
    runs = {run: {clip: scored[clip] for clip in clips if clip in scored} for run, clips in labelled.runs.items()}
    return Measurement(
        scores=task.score(pairs),
        intervals=intervals(task, pairs),
        clips={clip: task.score({clip: each}) for clip, each in scored.items()},
        folds={run: task.score(each) for run, each in runs.items() if each},
    )


def difference(
    task: Task, first: Mapping[str, PredictionPair], second: Mapping[str, PredictionPair], draws: int, seed: int
) -> Difference:
    """How much the second predictions of the same clips score above the first."""
    found = compare(task, first, second, draws, seed)
    ranking, num, unit = next(iter(task.score(second))), found.num_videos, found.unit
    return Difference(ranking, found.difference, found.interval, found.p, num, found.verdict, unit=unit)
