"""Expression: one of eight classes per frame."""

from collections.abc import Sequence

from abaw.dataset.annotations import Labels, read_expression
from abaw.dataset.layout import Dataset
from abaw.dataset.names import EXPR_HEADER, EXPRESSIONS
from abaw.tasks import TASKS
from abaw.tasks.base import Task
from abaw.tasks.classes import ClassTask


@TASKS.register
def expr(
    *,
    class_balance: float = 0.5,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
    focal_alpha: float = 1.0,
    kl_weight: float = 0.0,
    r_drop_weight: float = 0.0,
) -> Task:
    """Expression in eight classes, ranked by macro-F1."""
    return Expression(class_balance, label_smoothing, class_weights, focal_gamma, focal_alpha, kl_weight, r_drop_weight)


class Expression(ClassTask):
    """Scored by macro-F1 over all eight classes; Situ-RUCAIM3 (arXiv 2203.13032) used an ``r_drop_weight`` of 5."""

    name = "expr"
    classes = EXPRESSIONS
    goal = "expression"
    columns = tuple(f"p_{name}" for name in EXPRESSIONS)
    out_dim = len(EXPRESSIONS)
    header = EXPR_HEADER
    folders = ("EXPR_Recognition_Challenge", "EXPR_Classification_Challenge")
    test_lists = ("Expression_Recognition_Challenge", "Expression_Classification_Challenge", "EXPR_")

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        files = dataset.annotation_files(self.folders, split)
        return {clip_id: read_expression(path) for clip_id, path in files.items()}
