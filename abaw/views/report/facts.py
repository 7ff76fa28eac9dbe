"""What a report is made of: runs and prediction folders with their tables, scores and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from abaw.evaluation.labelled_tables import LabelledPredictions
from abaw.evaluation.report import ScoreReport, ScoreResult
from abaw.evaluation.stages import Stage

Columns = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class TaskFacts:
    """One task of one folder: its tables with labels, their scores, and those after each stage of post-processing."""

    labelled: LabelledPredictions
    result: ScoreResult
    stages: tuple[Stage, ...] = ()

    @property
    def name(self) -> str:
        return self.result.task


@dataclass(frozen=True)
class TrainingFacts:
    """What a run records of its training.

    ``document``: run.json. ``config_text``: config.yaml. ``curves`` by column, None where there is no curves.csv; those
    of ``inner`` are of the training that chose the epoch. ``num_parameters``: of the stored weights, None where these
    are missing.
    """

    document: Mapping[str, Any]
    config: Mapping[str, Any]
    config_text: str
    curves: Columns | None = None
    inner: Columns | None = None
    num_parameters: int | None = None
    weights_bytes: int | None = None


@dataclass(frozen=True)
class LossFacts:
    """What was lost of the clips: a line for each clip with losses, and its share of the clip. ``unknown``: why no loss
    is known, "" where it is."""

    lines: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True)
class FolderFacts:
    """A run or prediction folder. ``training``: None for a folder that is no run. ``remarks``: what is wrong with it.

    ``robustness``: what ``abaw robustness`` stored; {} where it was not computed.
    """

    folder: str
    tasks: tuple[TaskFacts, ...]
    training: TrainingFacts | None = None
    losses: LossFacts = LossFacts()
    robustness: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


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
