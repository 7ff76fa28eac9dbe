"""Expression: one of eight classes a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.annotations import EXPRESSIONS, Labels, read_expression
from abaw.clips import Dataset
from abaw.metrics import class_f1, macro_f1
from abaw.tasks import TASKS
from abaw.tasks.base import LEAST, Scored, Task, concatenated

if TYPE_CHECKING:
    from torch import Tensor


@TASKS.register
def expr(
    *,
    class_balance: float = 0.5,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
    focal_alpha: float = 1.0,
    kl_weight: float = 0.0,
) -> Task:
    """Expression in eight classes, ranked by macro-F1."""
    return Expression(class_balance, label_smoothing, class_weights, focal_gamma, focal_alpha, kl_weight)


class Expression(Task):
    """Loss: cross-entropy over the scored steps, weighted by class.

    ``class_weights`` are used where given; else ``fitted`` sets them to (1 / frequency) ** ``class_balance`` in the
    training split, mean 1 over its frames (0: all equal; a class that does not occur weighs 0). ``focal_gamma``: a step
    counts ``focal_alpha`` (1 - p of its class)^gamma (Lin et al. 2017, arXiv 1708.02002). ``kl_weight`` adds the
    divergence of the prediction from the smoothed label, as Wen et al. 2024 do.
    """

    name = "expr"
    columns = tuple(f"p_{name}" for name in EXPRESSIONS)
    out_dim = len(EXPRESSIONS)
    resolution = "frame"
    header = "image_location," + ",".join(EXPRESSIONS)
    folders = ("EXPR_Recognition_Challenge", "EXPR_Classification_Challenge")
    test_lists = ("Expression_Recognition_Challenge", "Expression_Classification_Challenge", "EXPR_")

    def __init__(
        self,
        class_balance: float,
        label_smoothing: float,
        class_weights: Sequence[float] | None,
        focal_gamma: float,
        focal_alpha: float,
        kl_weight: float,
    ) -> None:
        for key, value in {"focal_gamma": focal_gamma, "focal_alpha": focal_alpha, "kl_weight": kl_weight}.items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"expr: {key} is {value}, expected 0 or more")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"expr: label_smoothing is {label_smoothing}, expected 0 up to 1")
        if class_weights is not None and (len(class_weights) != self.out_dim or min(class_weights) < 0):
            raise ValueError(f"expr: class_weights are {class_weights}, expected {self.out_dim} numbers of 0 or more")
        self._class_balance, self._label_smoothing, self._class_weights = class_balance, label_smoothing, class_weights
        self._focal_gamma, self._focal_alpha, self._kl_weight = focal_gamma, focal_alpha, kl_weight

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        files = dataset.annotation_files(self.folders, split)
        return {clip_id: read_expression(path) for clip_id, path in files.items()}

    def strata(self, labels: Labels) -> np.ndarray:
        return np.where(labels.scored, labels.values[:, 0].astype(int), -1)

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        if self._class_weights is not None:
            return self
        classes = [clip.values[clip.scored, 0].astype(int) for clip in labels.values()]
        counts = np.bincount(np.concatenate(classes), minlength=self.out_dim) if classes else np.zeros(self.out_dim)
        weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -self._class_balance, 0.0)
        total = (weights * counts).sum()
        weights = weights * counts.sum() / total if total else np.ones(self.out_dim)
        return Expression(**{**self.settings(), "class_weights": [round(float(w), 6) for w in weights]})

    def settings(self) -> dict[str, Any]:
        return {
            "class_balance": self._class_balance,
            "label_smoothing": self._label_smoothing,
            "class_weights": self._class_weights,
            "focal_gamma": self._focal_gamma,
            "focal_alpha": self._focal_alpha,
            "kl_weight": self._kl_weight,
        }

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        from torch.nn.functional import cross_entropy, log_softmax, one_hot

        if not bool(scored.any()):
            return raw.nan_to_num().sum() * 0
        raw, classes = raw[scored].float(), target[scored][:, 0].long()
        weights = raw.new_tensor(self._class_weights or [1.0] * self.out_dim)
        losses = cross_entropy(raw, classes, weight=weights, label_smoothing=self._label_smoothing, reduction="none")
        logs = log_softmax(raw, dim=-1)
        truth = one_hot(classes, self.out_dim)
        if self._focal_gamma:
            losses = losses * (1 - (logs * truth).sum(-1).exp()).clamp(min=1e-8) ** self._focal_gamma
        # torch's own mean is 0 / 0 where the training split has none of the classes that are scored here
        loss = self._focal_alpha * losses.sum() / weights[classes].sum().clamp(min=1e-8)
        if not self._kl_weight:
            return loss
        smooth = (1 - self._label_smoothing) * truth + self._label_smoothing / self.out_dim
        return loss + self._kl_weight * (smooth * (smooth.clamp(min=1e-8).log() - logs)).sum(-1).mean()

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        exp = np.exp(raw - raw.max(axis=1, keepdims=True))
        return (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)

    def logits(self, table: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(table.astype(np.float64), LEAST))

    def decode(self, table: np.ndarray) -> np.ndarray:
        return table.argmax(axis=1)[:, None].astype(np.float32)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        return {"expression": [EXPRESSIONS[int(label)] for label in self.decode(table)[:, 0]]}

    def score(self, by_clip: Mapping[str, Scored]) -> dict[str, float]:
        prediction, truth = (side[:, 0].astype(int) for side in concatenated(by_clip))
        f1 = class_f1(prediction, truth, self.out_dim)
        by_class = {f"F1_{name}": float(value) for name, value in zip(EXPRESSIONS, f1, strict=True)}
        accuracy = float((prediction == truth).mean())
        return {"F1": macro_f1(prediction, truth, self.out_dim), "accuracy": accuracy, **by_class, "n": len(truth)}

    def row(self, decoded: np.ndarray) -> str:
        return str(int(decoded[0]))

    def parse_row(self, text: str) -> np.ndarray:
        if text not in {str(label) for label in range(self.out_dim)}:
            raise ValueError(f"{text!r} is not one class 0 .. {self.out_dim - 1}")
        return np.array([float(text)])
