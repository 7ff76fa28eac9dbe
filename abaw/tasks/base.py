"""The contract of a task: its labels, its loss, its columns, its official score, its rows in a submission."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int

from abaw.annotations import Labels
from abaw.clips import Dataset

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Scored:
    """One clip's decoded predictions beside its labels, a row a frame."""

    decoded: Float[np.ndarray, "time goal"]
    labels: Labels


LEAST = 1e-7  # of a probability, before its logarithm: float32 tables hold exact 0 and 1


class Task(ABC):
    """What is predicted.

    ``columns`` are a prediction table's, undecoded; ``out_dim`` the width of a head's raw output; ``header`` the first
    line of the official template; ``folders`` the challenge's label folders by edition; ``test_lists`` how the names of
    its test lists begin. A task of ``resolution`` "clip" has one label row a clip; its tables have a row a frame like
    all others. Immutable: ``fitted`` gives a new task.
    """

    name: str
    columns: tuple[str, ...]
    out_dim: int
    resolution: Literal["frame", "clip"]
    header: str
    folders: tuple[str, ...]
    test_lists: tuple[str, ...]
    r_drop_weight: float = 0.0

    def clips(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        """The clips of "train", "validation" or "test" as the data set's files name them, in their order."""
        if split == "test":
            return dataset.test_clips(self.test_lists)
        return tuple(dataset.annotation_files(self.folders, split))

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

        Only scored steps count, whatever the others hold. No scored step: 0 with a gradient.
        """

    def disagreement(self, raw: Tensor, other: Tensor, scored: Tensor) -> Tensor:
        """How far two outputs for the same steps lie apart (R-Drop, Liang et al. 2021); ``r_drop_weight`` weighs it."""
        raise ValueError(f"{self.name}: r_drop is for tasks of classes, not for values")

    @abstractmethod
    def probabilities(self, raw: Float[np.ndarray, "time out"]) -> Float[np.ndarray, "time columns"]:
        """What tables hold: stitched, undecoded, float32 (for valence and arousal the values themselves)."""

    @abstractmethod
    def logits(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time out"]:
        """Raw outputs of which ``probabilities`` makes this very table: what decoding shifts and scales."""

    @abstractmethod
    def decode(self, table: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time goal"]:
        """From a table's columns to labels in the official range."""

    @abstractmethod
    def names(self, table: Float[np.ndarray, "time columns"]) -> dict[str, list[str]]:
        """Columns of words for a reader, where the decoded label has a name; {} where it is a number."""

    @abstractmethod
    def score(self, by_clip: Mapping[str, Scored]) -> dict[str, float]:
        """The official metric over all scored frames of all clips; the first entry ranks, ``n`` counts the frames."""

    def rows(self, decoded: Float[np.ndarray, "n goal"]) -> list[str]:
        """``row`` of each: a template has a million of them, so a task writes its own where that is slow."""
        return [self.row(values) for values in decoded]

    @abstractmethod
    def row(self, decoded: Float[np.ndarray, " goal"]) -> str:
        """What a submission's line has after the image location's comma."""

    @abstractmethod
    def parse_row(self, text: str) -> Float[np.ndarray, " goal"]:
        """The inverse of ``row``: ValueError says what is wrong with the text."""


def concatenated(by_clip: Mapping[str, Scored]) -> tuple[Float[np.ndarray, "n goal"], Float[np.ndarray, "n goal"]]:
    """Predictions and truths of every scored frame of every clip. ValueError where a clip's rows differ in number."""
    predictions, truths = [], []
    for clip_id, scored in by_clip.items():
        if len(scored.decoded) != len(scored.labels):
            raise ValueError(f"clip {clip_id!r} has {len(scored.decoded)} predictions and {len(scored.labels)} labels")
        predictions.append(scored.decoded[scored.labels.scored])
        truths.append(scored.labels.values[scored.labels.scored])
    if not sum(map(len, truths)):
        raise ValueError("nothing to score: no frame has a label (a split without labels, or every frame unscored)")
    return np.concatenate(predictions), np.concatenate(truths)
