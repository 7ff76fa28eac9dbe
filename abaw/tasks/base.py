"""The contract of a task: labels, loss, table columns, official score, rows of a submission."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PredictionPair:
    """One clip's final predictions beside its labels: one row per frame, or one row for a clip-level task."""

    prediction: Float[np.ndarray, "time goal"]
    labels: Labels


# how often each group of clips is in each draw -> every score by name, a value for each draw
ResampledScores = Callable[[Int[np.ndarray, "draws groups"]], dict[str, Float[np.ndarray, " draws"]]]
Block = Literal["values", "classes", "units"]
SCORE_RANGES = {
    "CCC": (-1.0, 1.0), "Pearson": (-1.0, 1.0), "RMSE": (0.0, float("inf")),
    "F1": (0.0, 1.0), "UAR": (0.0, 1.0), "accuracy": (0.0, 1.0), "AUC": (0.0, 1.0),
}  # fmt: skip
MIN_PROBABILITY = 1e-7  # before a logarithm: float32 tables hold exact 0 and 1


class Task(ABC):
    """What is predicted: a class, values or action units, per frame or per clip.

    ``columns`` are those of a prediction table, ``out_dim`` is the width of a head's raw output, ``header`` the first
    line of the official template ("" for none), ``folders`` the names of the challenge's label folders in the editions
    (() where one file holds the labels of a split), ``test_lists`` the beginnings of the names of its test lists,
    ``listing_kind`` the kind of the files that hold a whole split ("" for none). Tasks are immutable: ``fitted``
    returns a new one.

    A task of ``resolution`` "frame" has one row of labels per frame. For ``resolution`` "clip", one label per clip:

    - labels have one row; in training it is repeated over the steps of the clip, which are all scored;
    - ``loss`` treats each sequence as one step (``one_step``): the mean of its raw outputs over its scored steps;
    - tables have one row per frame, so that windows, smoothing and ensembles work as for other tasks;
    - ``to_labels`` returns one row, from the mean of the table's logits (``pooled``), as the loss does; ``row_labels``
      and ``names`` repeat it for every row of the table;
    - ``PredictionPair`` has one row on both sides, ``n`` counts clips, and a submission has one row per clip.
    """

    name: str
    columns: tuple[str, ...]
    out_dim: int
    resolution: Literal["frame", "clip"]
    header: str
    folders: tuple[str, ...]
    test_lists: tuple[str, ...]
    listing_kind: str = ""
    r_drop_weight: float = 0.0
    max_score: float = 1.0  # the ranking score of perfect predictions
    column_ranges: tuple[tuple[float, float], ...] | None = None  # of plausible tables; None: by ``blocks``
    linear_columns: tuple[str, ...] = ()  # linear in the raw outputs, and labels too: they can have a deviation
    is_of_dataset: bool = False  # whether a data set defines the columns, so that results keep the settings

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "score" in vars(cls) and "resampled_scores" not in vars(cls):  # inherited statistics are of another score
            cls.resampled_scores = Task.resampled_scores  # type: ignore[method-assign]

    @property
    def goals(self) -> tuple[str, ...]:
        """Names of the columns of labels; ``names`` uses them as keys. Empty where a data set is to name them."""
        if not self.columns:
            return ()
        words = self.names(np.zeros((1, len(self.columns)), np.float32))
        return tuple(words) or tuple(column.removeprefix("p_") for column in self.columns)

    def for_dataset(self, dataset: Dataset) -> Task:
        """This task with what the data set defines, called before labels are read; by default the task itself.

        Raises InputError where the data set contradicts the task's settings.
        """
        return self

    def clips(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        """The clips of "train", "validation" or "test" in the order of the data set's files."""
        if split == "test":
            return dataset.test_clips(self.test_lists)
        return tuple(dataset.annotation_files(self.folders, split))

    @property
    def blocks(self) -> tuple[tuple[Block, int], ...]:
        """The raw outputs as blocks of one kind, with their widths: how post-processing fits scale and bias.

        "values" each get their own scale and bias, "classes" get biases together, "units" a threshold each. Every value
        and every unit is a goal, the classes of a block together are one. (): no scale or bias is fitted.
        """
        return ()

    def wanted(self, split: str) -> str:
        """What a data set must hold for this split, in words, for the error where ``clips`` finds none."""
        if split == "test":
            return f"a test list {self.test_lists[0]}_test_set_release.txt"
        return f"label files in a folder {' or '.join(self.folders)}"

    @abstractmethod
    def strata(self, labels: Labels) -> Int[np.ndarray, " time"]:
        """The stratum of every scored frame, -1 for others; folds and sampling balance how often each occurs."""

    @abstractmethod
    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        """Labels by clip of "train" or "validation". Raises InputError with file and line for a broken label file."""

    def label_remarks(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        """What must be known of the label file of a split: how many of its rows repeat a clip and frame."""
        found = dataset.listing(self.listing_kind, split) if self.listing_kind else None
        if found is None or not found.num_repeats:
            return ()
        return (found.repeats,)

    @abstractmethod
    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        """This task with what it takes from the labels of the training split (class weights, say)."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The settings from which the registry rebuilds the task, including what was fitted; valid as JSON."""

    @abstractmethod
    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        """A scalar from raw (batch time out), target (batch time goal), scored (batch time).

        Only scored steps count, whatever values the others hold. Without a scored step: 0 with a gradient of 0. A
        clip-level task begins with ``clip_level.one_step``.
        """

    def disagreement(self, raw: Tensor, other: Tensor, scored: Tensor) -> Tensor:
        """Divergence of two outputs for the same steps (R-Drop, Liang et al. 2021); ``r_drop_weight`` is its weight."""
        raise InputError(f"{self.name}: r_drop is for tasks of classes, not for values")

    @abstractmethod
    def probabilities(self, raw: Float[np.ndarray, "time out"]) -> Float[np.ndarray, "time columns"]:
        """A prediction table from raw outputs; float32 (for valence and arousal the raw values themselves)."""

    @abstractmethod
    def logits(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time out"]:
        """The inverse of ``probabilities``: what post-processing scales and adds biases to."""

    @abstractmethod
    def to_labels(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time goal"]:
        """Labels in the official range from a table; one row for a clip-level task (``pooled``).

        More columns may follow where a submission needs them.
        """

    def row_labels(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time goal"]:
        """``to_labels`` with a row for each row of the table: the label of a clip is that of each of its frames."""
        labels = self.to_labels(table)
        return labels if self.resolution == "frame" else np.repeat(labels[:1], len(table), axis=0)

    def remarks(self, by_clip: Mapping[str, PredictionPair]) -> tuple[str, ...]:
        """What must be known to read the score of these clips, such as classes without a label."""
        return ()

    def pooled(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "row columns"]:
        """A clip-level task's table as one row, from the mean of its logits. An empty table stays empty."""
        return self.probabilities(self.logits(table).mean(axis=0, keepdims=True)) if len(table) else table

    @abstractmethod
    def names(self, table: Float[np.ndarray, "time columns"]) -> dict[str, list[str]]:
        """Goal -> the name of each row's label, where labels have names; {} where they are numbers."""

    @abstractmethod
    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        """The official metric over all scored rows of all clips; the first entry ranks, ``n`` is the number of rows."""

    def score_range(self, name: str) -> tuple[float, float]:
        """The lowest and the highest value that an entry of the score can have, by what it measures: "F1_happy" as F1.

        Intervals stay inside. Infinite where there is no limit, as for a name that is not known.
        """
        return SCORE_RANGES.get(_measure(name), (-float("inf"), float("inf")))

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        """A function that scores draws of ``groups``, each of them the clips of one video, as the bootstrap needs it.

        It takes ``counts[draw, i]``, how often group i is in a draw, and returns the entries of ``score`` without the
        counts of rows; a draw of nothing scores 0. This default calls ``score`` for every draw. A task whose score
        follows from statistics that can be pooled (``Moments``, counts) does that instead, which is far faster. Every
        group needs a scored row.
        """
        for group in groups:
            concatenated(group)  # an error names the clip as it is called, not a copy of it
        return partial(_score_draws, self, groups)

    def rows(self, prediction: Float[np.ndarray, "n goal"]) -> list[str]:
        """``row`` of each. Templates have a million rows: a task overrides this where the loop is slow."""
        return [self.row(values) for values in prediction]

    @abstractmethod
    def row(self, prediction: Float[np.ndarray, " goal"]) -> str:
        """The text of a submission's line after the comma that ends the location of the image or video."""

    @abstractmethod
    def parse_row(self, text: str) -> Float[np.ndarray, " goal"]:
        """The inverse of ``row``. Raises InputError saying what is wrong with the text."""


def is_count(name: str) -> bool:
    """Whether an entry of a task's score is a count: ``n``, ``va/n`` of a part, or ``classes``, those that it is of."""
    return _measure(name) in ("n", "classes")


def _measure(name: str) -> str:
    """What an entry of a score measures: "F1" of "F1_happy", of "F1_yes/n", where the class has a slash, and of
    "expr/F1_happy" of a part."""
    return name.split("_")[0].split("/")[-1]


def _score_draws(
    task: Task, groups: Sequence[Mapping[str, PredictionPair]], counts: Int[np.ndarray, "draws groups"]
) -> dict[str, np.ndarray]:
    found: list[dict[str, float]] = []
    for draw in counts:
        copies = [(group, copy) for group, count in enumerate(draw) for copy in range(count)]
        clips = {f"{group} {copy} {clip}": each for group, copy in copies for clip, each in groups[group].items()}
        found.append(task.score(clips) if clips else {})
    names = dict.fromkeys(name for scores in found for name in scores if not is_count(name))
    return {name: np.array([scores.get(name, 0.0) for scores in found]) for name in names}


def concatenated(
    by_clip: Mapping[str, PredictionPair],
) -> tuple[Float[np.ndarray, "n columns"], Float[np.ndarray, "n goal"]]:
    """Predictions and truths of all scored rows. Raises InputError where those of a clip differ in number."""
    predictions, truths = [], []
    for clip_id, scored in by_clip.items():
        if len(scored.prediction) != len(scored.labels):
            raise InputError(
                f"clip {clip_id!r} has {len(scored.prediction)} predictions and {len(scored.labels)} labels"
            )
        predictions.append(scored.prediction[scored.labels.scored])
        truths.append(scored.labels.values[scored.labels.scored])
    if not sum(map(len, truths)):
        raise InputError("nothing to score: no frame has a label (a split without labels, or every frame unscored)")
    return np.concatenate(predictions), np.concatenate(truths)
