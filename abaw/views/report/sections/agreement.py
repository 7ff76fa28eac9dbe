"""Where predictions and labels differ: confusion matrix, density of values and on the plane of valence and arousal."""

from collections.abc import Iterator

import numpy as np

from abaw.tasks.classes import Confusion
from abaw.tasks.ranges import label_ranges
from abaw.views.plots.scores import draw_confusion
from abaw.views.plots.values import draw_agreement, draw_plane
from abaw.views.report.clip_blocks import all_blocks
from abaw.views.report.content import Figure, Folded, Part, Rows, Section, by_task
from abaw.views.report.facts import ReportFacts, TaskFacts
from abaw.views.report.sections.data import rows_of

CONFUSION_WIDTH = 5.0  # inches
PLANE = ("valence", "arousal")


def build(facts: ReportFacts) -> Section | None:
    """None where no task has classes or values."""
    parts = by_task(facts, lambda _, task: _of_task(task))
    return Section("agreement", "Predictions against labels", tuple(parts)) if parts else None


def _of_task(task: TaskFacts) -> Iterator[Part]:
    confusion = task.result.confusion
    if confusion is not None:
        title = f"Confusion matrix of {task.name}"
        yield Figure(
            f"{title}: for each label, the share of its rows that got each prediction",
            draw_confusion(confusion, title=title, width=CONFUSION_WIDTH),
        )
        yield Folded(f"{title} as a table", (_counts(confusion, title),))
    yield from _values(task)


def _counts(confusion: Confusion, title: str) -> Rows:
    rows = zip(confusion.classes, confusion.counts, strict=True)
    head = ("label", *(f"predicted {name}" for name in confusion.classes))
    return Rows(f"{title}: numbers of rows", head, tuple((name, *(f"{num:,}" for num in row)) for name, row in rows))


def _values(task: TaskFacts) -> Iterator[Part]:
    """Density of the values of a task; those of a task that also has classes or units are its first goals."""
    names, ranges = list[str](), list[tuple[float, float]]()
    first = 0
    for kind, width in all_blocks(task.labelled.task):
        if kind == "values":
            names += task.labelled.task.columns[first : first + width]
            ranges += label_ranges(task.labelled.task)[first : first + width]
        first += width
    if not names:
        return
    goals = [task.labelled.task.goals.index(name) for name in names]
    prediction, label = (rows[:, goals] for rows in rows_of(task))
    known = ~np.isnan(label).any(axis=1)
    prediction, label = prediction[known], label[known]
    if not len(label):
        return
    title = f"Predictions of {task.name} over labels"
    yield Figure(
        f"{title}: the final predictions of all scored rows; on the dashed line, prediction and label are equal",
        draw_agreement(prediction, label, names, ranges=ranges, title=title),
    )
    if tuple(names[:2]) == PLANE:
        title = "Labels and predictions on the plane of valence and arousal"
        yield Figure(title, draw_plane(prediction[:, :2], label[:, :2], names[:2], ranges=ranges[:2], title=title))
