"""Compound expression: one of seven pairs of emotions per frame."""

from collections.abc import Sequence

import numpy as np

from abaw.dataset.annotations import Labels, read_compound_expression
from abaw.dataset.layout import Dataset
from abaw.dataset.names import CE_HEADER, COMPOUND_EXPRESSIONS, EXPRESSIONS
from abaw.errors import InputError
from abaw.tasks import TASKS
from abaw.tasks.base import Task
from abaw.tasks.classes import ClassTask

PARTS = (  # the two emotions of each class
    ("Fear", "Surprise"),
    ("Happiness", "Surprise"),
    ("Sadness", "Surprise"),
    ("Disgust", "Surprise"),
    ("Anger", "Surprise"),
    ("Sadness", "Fear"),
    ("Sadness", "Anger"),
)


@TASKS.register
def ce(
    *,
    class_balance: float = 0.5,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
    focal_alpha: float = 1.0,
    kl_weight: float = 0.0,
    r_drop_weight: float = 0.0,
) -> Task:
    """Compound expression in seven classes, ranked by macro-F1."""
    return CompoundExpression(
        class_balance, label_smoothing, class_weights, focal_gamma, focal_alpha, kl_weight, r_drop_weight
    )


class CompoundExpression(ClassTask):
    """Macro-F1 over all seven, always. The challenge publishes no labels to train on: the folders are for your own, in
    the expressions' format. Without any, ``compound_probabilities`` reads the compounds off an expression table."""

    name = "ce"
    classes = COMPOUND_EXPRESSIONS
    goal = "compound_expression"
    columns = tuple(f"p_{name}" for name in COMPOUND_EXPRESSIONS)
    out_dim = len(COMPOUND_EXPRESSIONS)
    header = CE_HEADER
    folders = ("Compound_Expression_Challenge", "CE_Recognition_Challenge")
    test_lists = ("Compound_Expression", "CE_")

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        files = dataset.annotation_files(self.folders, split)
        return {clip_id: read_compound_expression(path) for clip_id, path in files.items()}


def compound_probabilities(table: np.ndarray) -> np.ndarray:
    """A table of ``ce`` from one of ``expr``: the sum of both emotions' probabilities, normalised to sum to 1.

    Teams do this because there are no training labels (HSEmotion, Savchenko 2024, arXiv 2403.11590). Neutral and Other
    do not contribute: a row with nothing else gives each compound 1/7. (time 8) -> (time 7), float32. Raises InputError
    for other shapes.
    """
    if table.ndim != 2 or table.shape[1] != len(EXPRESSIONS):
        raise InputError(f"compound expressions need a table of {len(EXPRESSIONS)} expressions, not {table.shape}")
    columns = {name: table[:, i].astype(np.float64) for i, name in enumerate(EXPRESSIONS)}
    sums = np.stack([columns[first] + columns[second] for first, second in PARTS], axis=1)
    total = sums.sum(axis=1, keepdims=True)
    shares = np.divide(sums, total, out=np.full_like(sums, 1 / len(PARTS)), where=total > 0)
    return shares.astype(np.float32)
