"""What tasks with one class per frame or clip share: loss, probabilities, official score, rows."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.metrics import count_classes, f1
from abaw.tasks.base import MIN_PROBABILITY, Block, PredictionPair, ResampledScores, Task, concatenated
from abaw.tasks.clip_level import one_step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Confusion:
    """How often each class was predicted for each: rows are the labels, columns the predictions, entries scored rows.

    Rows are of ``classes`` in their order, and so are columns.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class ClassTask(Task, ABC):
    """One of ``classes`` per frame or clip. Loss: cross-entropy over the scored steps, weighted by class.

    The first column of labels is the number of the class. Where the share of every class follows (soft labels, such as
    votes), the loss is the mean of every class's loss, weighted by these shares.

    ``class_weights`` are used where given; else ``fitted`` sets them to (1 / frequency) ** ``class_balance`` in the
    training split, mean 1 over its frames (0: all equal; the weight of a class that does not occur is 0).
    ``label_smoothing`` e moves the label of a frame towards 1 / number of classes; the frame keeps the weight of its
    class. So the loss of a frame is smallest at the smoothed label, and that of frames with the weighted probabilities
    q at (1 - e) q + e / number of classes: smoothing changes no decision. (Torch's own smoothing weighs the moved part
    by every class; see docs/measurements/benchmarks.md.)

    ``focal_gamma`` multiplies a step's loss by ``focal_alpha`` (1 - p of its class)^gamma (Lin et al. 2017, arXiv
    1708.02002), which is 0 at p = 1 also with ``label_smoothing``: only ``kl_weight`` smooths then. It adds the
    divergence of prediction and smoothed label, without class weights, as in Wen et al. 2024. With ``r_drop_weight``
    the training step adds the ``disagreement`` of two passes, so weighted (Liang et al. 2021, arXiv 2106.14448).
    """

    class_balance: float
    label_smoothing: float
    class_weights: Sequence[float] | None
    focal_gamma: float
    focal_alpha: float
    kl_weight: float
    r_drop_weight: float

    goal: ClassVar[str]  # the name of the label, such as "expression"
    resolution = "frame"
    classes: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        for key in ("class_balance", "focal_gamma", "focal_alpha", "kl_weight", "r_drop_weight"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise InputError(f"{self.name}: {key} is {getattr(self, key)}, expected 0 or more")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"{self.name}: label_smoothing is {self.label_smoothing}, expected 0 up to 1")
        weights = self.class_weights
        if weights is not None and (len(weights) != self.out_dim or not all(0 <= w < float("inf") for w in weights)):
            raise InputError(f"{self.name}: class_weights are {weights}, expected {self.out_dim} numbers of 0 or more")
        if weights is not None and not any(weights):
            raise InputError(f"{self.name}: class_weights are all 0: nothing would be learned")

    @property
    def blocks(self) -> tuple[tuple[Block, int], ...]:
        return (("classes", self.out_dim),)

    def strata(self, labels: Labels) -> np.ndarray:
        return np.where(labels.scored, labels.values[:, 0].astype(int), -1)

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        if self.class_weights is not None:
            return self
        return replace(self, class_weights=balanced_weights(labels, self.out_dim, self.class_balance))

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        from torch.nn.functional import log_softmax, one_hot

        if self.resolution == "clip":
            raw, target, scored = one_step(raw, target, scored)
        if not bool(scored.any()):
            return raw[:0].sum()
        raw, classes, shares = raw[scored].float(), target[scored][:, 0].long(), target[scored][:, 1:].float()
        truth = shares if shares.shape[1] else one_hot(classes, self.out_dim).float()
        weighted = truth * raw.new_tensor(self.class_weights or [1.0] * self.out_dim)
        of_step = weighted.sum(-1, keepdim=True)
        logs = log_softmax(raw, dim=-1)
        # a step's weight is that of its own class also for what is smoothed away. Torch's own smoothing weighs that by
        # every class, so that the optimum for a frame of a frequent class has a high probability of the rarest class
        smooth = (1 - self.label_smoothing) * weighted + self.label_smoothing / self.out_dim * of_step
        losses = -(smooth * logs).sum(-1)
        if self.focal_gamma:
            losses = losses * (1 - (logs * truth).sum(-1).exp()).clamp(min=1e-8) ** self.focal_gamma
        # the sum of weights is 0 where the training split has none of the classes scored here
        loss = self.focal_alpha * losses.sum() / of_step.sum().clamp(min=1e-8)
        if not self.kl_weight:
            return loss
        smooth = (1 - self.label_smoothing) * truth + self.label_smoothing / self.out_dim
        return loss + self.kl_weight * (smooth * (smooth.clamp(min=1e-8).log() - logs)).sum(-1).mean()

    def disagreement(self, raw: Tensor, other: Tensor, scored: Tensor) -> Tensor:
        """Half of KL(p, q) + KL(q, p), mean over scored steps; 0 with a gradient of 0 without a scored step."""
        from torch.nn.functional import log_softmax

        if self.resolution == "clip":
            raw, _, _ = one_step(raw, raw, scored)
            other, _, scored = one_step(other, other, scored)
        if not bool(scored.any()):
            return raw[:0].sum() + other[:0].sum()
        p, q = log_softmax(raw[scored].float(), dim=-1), log_softmax(other[scored].float(), dim=-1)
        return ((p.exp() - q.exp()) * (p - q)).sum(-1).mean() / 2

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        exp = np.exp(raw - raw.max(axis=1, keepdims=True))
        return (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)

    def logits(self, table: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(table.astype(np.float64), MIN_PROBABILITY))

    def to_labels(self, table: np.ndarray) -> np.ndarray:
        rows = table if self.resolution == "frame" else self.pooled(table)
        return rows.argmax(axis=1)[:, None].astype(np.float32)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        return {self.goal: [self.classes[int(label)] for label in self.row_labels(table)[:, 0]]}

    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        counts = class_counts(by_clip, self.out_dim)
        scores = class_scores(counts[None], self.classes)
        return {**{name: float(values[0]) for name, values in scores.items()}, "n": int(counts[2].sum())}

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        statistics = np.stack([class_counts(group, self.out_dim) for group in groups])
        return lambda counts: class_scores(np.tensordot(counts, statistics, 1), self.classes)

    def row(self, prediction: np.ndarray) -> str:
        return str(int(prediction[0]))

    def rows(self, prediction: np.ndarray) -> list[str]:
        texts = np.array([str(label) for label in range(self.out_dim)], object)
        return texts[prediction[:, 0].astype(int)].tolist()

    def parse_row(self, text: str) -> np.ndarray:
        if len(text) != 1 or text not in "0123456789"[: self.out_dim]:
            raise InputError(f"{text!r} is not one class 0 .. {self.out_dim - 1}")
        return np.array([float(text)])


def class_counts(by_clip: Mapping[str, PredictionPair], num_classes: int) -> Int[np.ndarray, "3 classes"]:
    """``count_classes`` of all scored rows of the clips; the first column of predictions and labels is the class."""
    prediction, truth = (side[:, 0].astype(int) for side in concatenated(by_clip))
    return count_classes(prediction, truth, num_classes)


def class_scores(
    counts: Int[np.ndarray, "draws 3 classes"], names: Sequence[str]
) -> dict[str, Float[np.ndarray, " draws"]]:
    """Macro-F1 over all classes, accuracy and the F1 of each class, of each draw."""
    by_class = f1(counts)
    accuracy = counts[:, 0].sum(axis=1) / np.maximum(counts[:, 2].sum(axis=1), 1)
    return {
        "F1": by_class.mean(axis=1),
        "accuracy": accuracy,
        **{f"F1_{name}": by_class[:, i] for i, name in enumerate(names)},
    }


def balanced_weights(labels: Mapping[str, Labels], num_classes: int, balance: float) -> list[float]:
    """(1 / frequency) ** ``balance`` of each class, mean 1 over the scored frames; 0 for an absent class."""
    counts = np.zeros(num_classes)
    for clip in labels.values():
        classes, frames = clip.values[clip.scored, 0].astype(int), clip.count_frames()[clip.scored]
        counts += np.bincount(classes, weights=frames, minlength=num_classes)
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -balance, 0.0)
    total = (weights * counts).sum()
    weights = weights * counts.sum() / total if total else np.ones(num_classes)
    return [round(float(weight), 6) for weight in weights]


def confusion_of(task: Task, by_clip: Mapping[str, PredictionPair]) -> Confusion | None:
    """The confusion matrix over all scored rows of all clips; None for a task that is not of one class a row."""
    if not isinstance(task, ClassTask):
        return None
    num, counts = task.out_dim, np.zeros((task.out_dim, task.out_dim), int)
    for pair in by_clip.values():
        scored = pair.labels.scored
        truth, predicted = (each[scored][:, 0].astype(int) for each in (pair.labels.values, pair.prediction))
        counts += np.bincount(truth * num + predicted, minlength=num * num).reshape(num, num)
    return Confusion(tuple(task.classes), tuple(tuple(int(each) for each in row) for row in counts))
