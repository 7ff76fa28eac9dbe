"""What a report is made of: runs and prediction folders with their tables, scores and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from abaw.evaluation.labelled_tables import LabelledPredictions
from abaw.evaluation.report import ScoreReport, ScoreResult
from abaw.evaluation.robustness import Robustness
from abaw.tasks.base import PredictionPair
from abaw.views.report.stages import Stage

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TaskFacts:
    """One task of one folder: its tables with labels, their scores, and those after each stage of post-processing."""

    labelled: LabelledPredictions
    result: ScoreResult
    stages: tuple[Stage, ...] = ()

    @property
    def name(self) -> str:
        return self.result.task

    @cached_property
    def pairs(self) -> Mapping[str, PredictionPair]:
        """Final predictions beside labels, by clip, without clips that have no scored row."""
        found = self.labelled.pairs(post_processed=True)
        return {clip_id: each for clip_id, each in found.items() if each.labels.scored.any()}

    def final_values(self, clip_id: str) -> np.ndarray:
        """A clip's table after all post-processing."""
        return self.labelled.values_of(clip_id, self.labelled.post_processing)


@dataclass(frozen=True)
class TrainingFacts:
    """What a run records of its training.

    ``document``: run.json. ``config_text``: config.yaml. ``curves`` by column, None where there is no curves.csv; those
    of ``inner`` are of the training that chose the epoch. ``num_stored``: how many numbers the stored weights are, None
    where these are missing, and ``weights_bytes`` their size.
    """

    document: Mapping[str, Any]
    config: Mapping[str, Any]
    config_text: str
    curves: Columns | None = None
    inner: Columns | None = None
    num_stored: int | None = None
    weights_bytes: int | None = None


@dataclass(frozen=True)
class LossFacts:
    """What was lost of the clips: a line for each clip with losses, and its share of the clip. ``unknown``: why no loss
    is known, "" where it is."""

    lines: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    unknown: str = ""

    @property
    def unknown_words(self) -> str:
        """``unknown`` as a sentence."""
        return f"what was lost of the clips is not known: {self.unknown}"


@dataclass(frozen=True)
class FolderFacts:
    """A run or prediction folder. ``training``: None for a folder that is no run. ``remarks``: what is wrong with it.

    ``robustness``: what ``abaw robustness`` measured; None where it was not.
    """

    folder: str
    tasks: tuple[TaskFacts, ...]
    training: TrainingFacts | None = None
    losses: LossFacts = LossFacts()
    robustness: Robustness | None = None
    remarks: tuple[str, ...] = ()


def remarks_of(folders: Sequence[FolderFacts]) -> tuple[str, ...]:
    """What is wrong with folders, or not known of them, a line each."""
    of_losses = {each.folder: (each.losses.unknown_words,) if each.losses.unknown else () for each in folders}
    lines = {each.folder: (*each.remarks, *of_losses[each.folder]) for each in folders}
    return tuple(line if name in line else f"{name}: {line}" for name, found in lines.items() for line in found)


@dataclass(frozen=True)
class ReportFacts:
    """All that a report shows. ``num_worst``: clips that are drawn. ``made_with``: the version that made the report."""

    folders: tuple[FolderFacts, ...]
    scores: ScoreReport
    num_worst: int
    made_with: str

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(task.name for folder in self.folders for task in folder.tasks))

    def of_task(self, name: str) -> list[tuple[FolderFacts, TaskFacts]]:
        """The folders and what they have of a task."""
        return [(folder, task) for folder in self.folders for task in folder.tasks if task.name == name]
