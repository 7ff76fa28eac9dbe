"""The contract of a task: its labels, its loss, its columns, its official score, its rows in a submission."""

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
    """One clip's post-processed predictions beside its labels: one row per frame, or one row at clip level."""

    prediction: Float[np.ndarray, "time goal"]
    labels: Labels


# how often each group of clips is in each draw -> every score by name, a value for each draw
ResampledScores = Callable[[Int[np.ndarray, "draws groups"]], dict[str, Float[np.ndarray, " draws"]]]
Block = Literal["values", "classes", "units"]
LEAST = 1e-7  # of a probability, before its logarithm: float32 tables hold exact 0 and 1


class Task(ABC):
    """What is predicted.

    ``columns`` are a prediction table's, raw; ``out_dim`` the width of a head's raw output; ``header`` the first
    line of the official template, "" where it has none; ``folders`` the challenge's label folders by edition, () where
    one file holds a whole split; ``test_lists`` how the names of its test lists begin. Immutable: ``fitted`` gives a
    new task.

    A task of ``resolution`` "frame" has a row of labels a frame. One of ``resolution`` "clip" says one thing of a whole
    clip, and then:

    - labels have one row; for training that row is repeated over the clip's steps, all of them scored;
    - ``loss`` takes each sequence as one step (``one_step``): the mean of its raw outputs over its scored steps;
    - tables have a row a frame like all others, so that windows, smoothing and ensembles know no difference;
    - ``to_labels`` gives one row, from the mean of the table's logits (``pooled``), which is what the loss has trained;
    - ``PredictionPair`` has one row on both sides, ``n`` counts clips, and a submission has a row a clip.
    """

    name: str
    columns: tuple[str, ...]
    out_dim: int
    resolution: Literal["frame", "clip"]
    header: str
    folders: tuple[str, ...]
    test_lists: tuple[str, ...]
    r_drop_weight: float = 0.0
    max_score: float = 1.0  # the ranking score of perfect predictions

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "score" in vars(cls) and "resampled_scores" not in vars(cls):  # inherited statistics are of another score
            cls.resampled_scores = Task.resampled_scores  # type: ignore[method-assign]

    @property
    def goals(self) -> tuple[str, ...]:
        """Names of the labels' columns, which are the first columns of post-processed rows; the keys of ``names``."""
        words = self.names(np.zeros((1, len(self.columns)), np.float32))
        return tuple(words) or tuple(column.removeprefix("p_") for column in self.columns)

    def clips(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        """The clips of "train", "validation" or "test" as the data set's files name them, in their order."""
        if split == "test":
            return dataset.test_clips(self.test_lists)
        return tuple(dataset.annotation_files(self.folders, split))

    @property
    def blocks(self) -> tuple[tuple[Block, int], ...]:
        """The kinds of raw outputs in order, with their number: they decide how scale and bias are fitted.

        "values" are scaled and shifted each by itself, "classes" shifted together, "units" each to its threshold. Every
        value and unit has a goal, all the classes of a block together have one. (): nothing is fitted.
        """
        return ()

    def wanted(self, split: str) -> str:
        """What a data set must have for this split, in words, for errors where ``clips`` finds none."""
        if split == "test":
            return f"a test list {self.test_lists[0]}_test_set_release.txt"
        return f"label files in a folder {' or '.join(self.folders)}"

    @abstractmethod
    def strata(self, labels: Labels) -> Int[np.ndarray, " time"]:
        """A kind for every scored frame, -1 for others: folds and balanced sampling even out how often each occurs."""

    @abstractmethod
    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        """Labels by clip of "train" or "validation". ValueError with file and line where a label file is broken."""

    @abstractmethod
    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        """This task with what it takes from the training split (class weights, say)."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON from which the registry rebuilds the task, what was fitted included."""

    @abstractmethod
    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        """A scalar from raw (batch time out), target (batch time goal), scored (batch time).

        Only scored steps count, whatever the others hold. No scored step: 0 with a gradient. A clip-level task begins
        with ``one_step``.
        """

    def disagreement(self, raw: Tensor, other: Tensor, scored: Tensor) -> Tensor:
        """How far two outputs for the same steps lie apart (R-Drop, Liang et al. 2021); ``r_drop_weight`` weighs it."""
        raise InputError(f"{self.name}: r_drop is for tasks of classes, not for values")

    @abstractmethod
    def probabilities(self, raw: Float[np.ndarray, "time out"]) -> Float[np.ndarray, "time columns"]:
        """What tables hold: stitched, raw, float32 (for valence and arousal the values themselves)."""

    @abstractmethod
    def logits(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time out"]:
        """Raw outputs of which ``probabilities`` makes this very table: what post-processing shifts and scales."""

    @abstractmethod
    def to_labels(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time goal"]:
        """From a table's columns to labels in the official range; of a clip-level task one row (``pooled``).

        Columns may follow those of the labels where a submission has more.
        """

    def pooled(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "row columns"]:
        """A clip-level task's table as one row, that of the mean of its logits. An empty table stays empty."""
        return self.probabilities(self.logits(table).mean(axis=0, keepdims=True)) if len(table) else table

    @abstractmethod
    def names(self, table: Float[np.ndarray, "time columns"]) -> dict[str, list[str]]:
        """Names of the post-processed labels by goal, one per row; {} where labels are numbers."""

    @abstractmethod
    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        """The official metric over all scored rows of all clips; the first entry ranks, ``n`` counts the rows."""

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
        """``row`` of each: a template has a million of them, so a task writes its own where that is slow."""
        return [self.row(values) for values in prediction]

    @abstractmethod
    def row(self, prediction: Float[np.ndarray, " goal"]) -> str:
        """What a submission's line has after the comma that ends the image's or video's place."""

    @abstractmethod
    def parse_row(self, text: str) -> Float[np.ndarray, " goal"]:
        """The inverse of ``row``: ValueError says what is wrong with the text."""


def is_count(name: str) -> bool:
    """Whether an entry of a task's score counts rows: ``n``, or ``va/n`` of a part."""
    return name.split("/")[-1] == "n"


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
    """Predictions and truths of every scored frame of every clip. ValueError where a clip's rows differ in number."""
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


def one_step(raw: Tensor, target: Tensor, scored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each sequence of a clip-level task's batch as one step, which is scored where any of its steps is.

    raw (batch time out) becomes its mean over the scored steps (batch 1 out), target (batch time goal), the same at all
    of these, the first one's (batch 1 goal). Whatever unscored steps hold has no part in value or gradient.
    """
    num = scored.sum(1, keepdim=True)
    mean = raw.float().masked_fill(~scored[..., None], 0).sum(1, keepdim=True) / num.clamp(min=1)[..., None]
    first = scored.int().argmax(1)  # the first of equal maxima
    return mean, target[range(len(target)), first][:, None], num > 0
