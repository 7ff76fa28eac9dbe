"""Learning curves, and which epoch's weights each run kept."""

from collections.abc import Iterator

import numpy as np

from abaw.results.curves import score_columns
from abaw.views.plots.curves import RunCurves, draw_learning_curves
from abaw.views.report.content import Figure, Part, Rows, Section, Text, number
from abaw.views.report.facts import Columns, FolderFacts, ReportFacts

MAX_TOGETHER = 6  # runs whose curves are in one figure


def build(facts: ReportFacts) -> Section | None:
    """None where no folder is a run."""
    runs = [folder for folder in facts.folders if folder.training is not None]
    if not runs:
        return None
    parts: list[Part] = []
    for inner, what in ((False, "Learning curves"), (True, "Learning curves of the trainings that chose the epoch")):
        curves = [found for folder in runs if (found := _curves_of(folder, inner=inner)) is not None]
        for i in range(0, len(curves), MAX_TOGETHER):
            ring = "" if inner else "; the ring marks the epoch whose weights are kept"
            caption = f"{what}. Dotted: loss on the training clips{ring}."
            parts.append(Figure(caption, draw_learning_curves(curves[i : i + MAX_TOGETHER], title=what)))
    missing = [folder.folder for folder in runs if folder.training and not folder.training.curves]
    if missing:
        parts.append(Text(f"There are no learning curves of {', '.join(missing)}: no curves.csv that can be read."))
    return Section("training", "Training", (*parts, _epochs(runs)))


def _curves_of(folder: FolderFacts, *, inner: bool) -> RunCurves | None:
    training = folder.training
    columns = None if training is None else training.inner if inner else training.curves
    if training is None or not columns or "epoch" not in columns:
        return None
    nothing = np.full(len(columns["epoch"]), np.nan)
    scores = {name: columns[column].tolist() for name, column in score_columns(columns).items()}
    return RunCurves(
        folder.folder,
        columns["epoch"].tolist(),
        columns.get("train/loss", nothing).tolist(),
        columns.get("validation/loss", nothing).tolist(),
        scores,
        None if inner else training.document.get("selection", {}).get("epochs_trained"),
    )


def _epochs(runs: list[FolderFacts]) -> Rows:
    rows = [(folder.folder, *_cells(folder)) for folder in runs]
    head = ("run", "epochs", "epoch of the weights", "last training loss", "lowest validation loss", "learning rate")
    return Rows("Epochs", head, tuple(rows))


def _cells(folder: FolderFacts) -> Iterator[str]:
    training = folder.training
    assert training is not None
    columns: Columns = training.curves or {}
    chosen = training.document.get("selection", {}).get("epochs_trained")
    yield str(len(columns["epoch"])) if "epoch" in columns else "–"
    yield "–" if chosen is None else str(chosen)
    train, validation = (columns.get(f"{part}/loss", np.zeros(0)) for part in ("train", "validation"))
    yield number(float(train[-1])) if len(train) and np.isfinite(train[-1]) else "–"
    yield number(float(np.nanmin(validation))) if np.isfinite(validation).any() else "–"
    rate = columns.get("learning_rate", np.zeros(0))
    yield f"{rate[0]:.3g} to {rate[-1]:.3g}" if len(rate) else "–"
