"""What a recipe's work on prediction tables costs on this machine: writing, combining, fitting and scoring them."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from abaw.calibration import fitting
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.annotations import Labels, TimedLabels
from abaw.ensembling import selection
from abaw.errors import InputError
from abaw.evaluation.intervals import intervals
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.postprocessing import PostProcessing
from abaw.results import predictions
from abaw.tasks.base import Task

NUM_CLIPS, MAX_FRAMES = 24, 20_000  # that a trial takes, spread over all clips; fewer where there are fewer
FRAME_S = 1 / 30


@dataclass(frozen=True)
class TableTrial:
    """What was measured for one task, in seconds for all clips: writing and reading their tables, weighting the
    members, fitting post-processing, scoring once, and the intervals of a score.

    ``num_bytes``: of the tables.
    """

    table_s: float
    weight_s: float
    fit_s: float
    score_s: float
    interval_s: float
    num_bytes: float

    def stage(self, kind: str, share: float, members: int, folds: int) -> tuple[float, float]:
        """The seconds and the bytes of a stage of a recipe; ``share``: its clips, 1 for as many as were measured."""
        written = {"train": 1, "pool": 1, "combine": 1, "validate": 1, "predict": folds + 1, "combine test": 1}
        read = {"combine": members, "fit": 1, "validate": members, "score": 2 * (members + 1), "combine test": members}
        scored = {"train": 1, "combine": members + 1, "score": members + 5}
        seconds = (written.get(kind, 0) + read.get(kind, 0)) * self.table_s + scored.get(kind, 0) * self.score_s
        once = {"combine": self.weight_s, "fit": self.fit_s, "score": 2 * self.interval_s, "submit": self.table_s}
        return share * (seconds + once.get(kind, 0.0)), share * written.get(kind, 0) * self.num_bytes


def time_tables(
    task: Task, labels: Mapping[str, Labels], num_frames: Mapping[str, int], options: PostProcessingConfig, members: int
) -> TableTrial:
    """Time the work on random tables of some of these clips, and extrapolate it to all of them by their frames.

    ``num_frames``: of each clip; a clip that is not in it has as many as it has labels. ``members``: how many are
    weighted, 1 for none. Raises InputError where no clip is scored.
    """
    scored = [clip_id for clip_id, each in labels.items() if each.scored.any()]
    taken = scored[:: max(1, -(-len(scored) // NUM_CLIPS))]
    most, rng = MAX_FRAMES // max(1, len(taken)), np.random.default_rng(0)
    lengths = {clip_id: num_frames.get(clip_id, len(each)) for clip_id, each in labels.items()}
    clips = {c: _random_table(task, labels[c], min(most, lengths[c]), rng) for c in taken}
    unseen = np.zeros(0, bool)
    groups = fitting.groups_of({c: LabelledTable(unseen, unseen, labels[c]) for c in scored}, {})
    several = [{c: _random_table(task, labels[c], len(clips[c].values), rng) for c in clips} for _ in range(members)]
    pairs = fitting.post_processed(task, clips, PostProcessing())
    table_s, num_bytes = _time_writing(task, clips)
    share = sum(lengths.values()) / max(1, sum(len(clip.values) for clip in clips.values()))
    return TableTrial(
        table_s * len(labels) / max(1, len(clips)),  # of small files: their number counts
        _seconds(lambda: selection.choose_weights(task, several, groups)) * share if members > 1 else 0.0,
        _seconds(lambda: fitting.choose(task, clips, options, groups)) * share,
        _seconds(lambda: task.score(pairs)) * share,
        _seconds(lambda: intervals(task, pairs)) * share,
        num_bytes * share,
    )


def _random_table(task: Task, labels: Labels, num_frames: int, rng: np.random.Generator) -> LabelledTable:
    """A clip's first frames with random predictions and its own labels."""
    values = task.probabilities(rng.normal(size=(num_frames, task.out_dim)).astype(np.float32))
    times_s = np.arange(num_frames) * FRAME_S
    if isinstance(labels, TimedLabels):
        labels = labels.of_unknown_end().at(times_s)
    elif task.resolution == "frame":
        labels = replace(labels, values=labels.values[:num_frames], scored=labels.scored[:num_frames])
    return LabelledTable(values, np.ones(num_frames, bool), labels, times_s)


def _time_writing(task: Task, clips: Mapping[str, LabelledTable]) -> tuple[float, int]:
    """The seconds of writing and reading the tables, and their bytes."""
    with tempfile.TemporaryDirectory(prefix="abaw-trial-") as name:
        folder = Path(name)
        for _ in range(2):  # the first time loads libraries
            start_s = time.perf_counter()
            for clip_id, clip in clips.items():
                frames, times_s = np.arange(1, len(clip.values) + 1), np.arange(len(clip.values)) * FRAME_S
                table = predictions.Table(frames, times_s, clip.observed, clip.values, task.columns)
                predictions.write_table(folder, clip_id, table, task)
                predictions.read_table(folder, clip_id, task)
        return time.perf_counter() - start_s, sum(path.stat().st_size for path in folder.iterdir())


def _seconds(work: Callable[[], object]) -> float:
    """The seconds that this takes; 0 where the clips are too few for it, as they are for the recipe."""
    start_s = time.perf_counter()
    try:
        work()
    except InputError:
        return 0.0
    return time.perf_counter() - start_s
