"""Whether probabilities are as often right as they say: calibration errors and the data of reliability diagrams."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.metrics import NUM_BINS, calibration_bins, error_of_bins
from abaw.probabilities.contexts import Modalities, contexts_of
from abaw.probabilities.maps import blocks_of
from abaw.tasks.base import Task


class Probabilities(NamedTuple):
    """One clip's table of probabilities (time columns), its labels, and for each modality where it was observed."""

    values: np.ndarray
    labels: Labels
    modalities: Modalities | None = None


@dataclass(frozen=True)
class Curve:
    """A reliability diagram: of each bin the mean probability, the share that is true (None: no row), and the number.

    ``error``: the expected calibration error (``abaw.metrics.calibration_error``).
    """

    error: float
    predicted: tuple[float | None, ...]
    true: tuple[float | None, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Reliability:
    """The calibration of some frames (of a clip-level task, clips): ``error`` over all, and a curve of each class.

    ``error``: of classes that of the most probable class, whether it is right (Guo et al. 2017); of action units the
    mean of their errors; of both, the mean. ``curves``: of each class or unit by itself against all others, by column.
    ``top``: of the most probable class; None without classes.
    """

    num: int
    error: float
    curves: Mapping[str, Curve]
    top: Curve | None


@dataclass(frozen=True)
class Calibration:
    """``overall``, and of the frames of each set of observed modalities (``contexts``; {} where it is not known)."""

    overall: Reliability
    contexts: Mapping[str, Reliability]
    num_bins: int = NUM_BINS


def calibration_of(task: Task, clips: Mapping[str, Probabilities]) -> Calibration | None:
    """The calibration of the tables' probabilities over all scored rows; None for a task of values, or without any."""
    tables, truths, contexts = [], [], []
    for clip in clips.values():
        rows = np.flatnonzero(clip.labels.scored)
        is_frame = task.resolution == "frame"
        tables.append((clip.values if is_frame else task.pooled(clip.values))[rows])
        truths.append(clip.labels.values[rows])
        contexts.append(contexts_of(clip.modalities or {}, len(clip.values))[rows] if is_frame else [""] * len(rows))
    if not blocks_of(task) or not sum(map(len, truths)):
        return None
    table, truth, context = (np.concatenate(each) for each in (tables, truths, contexts))
    names = sorted(set(context.tolist()) - {""})
    of = {name: _reliability(task, table[context == name], truth[context == name]) for name in names}
    return Calibration(_reliability(task, table, truth), of)


def line(found: Calibration, raw: Calibration | None, *, is_shifted: bool) -> str:
    """The errors in one line; ``raw``: of the tables without post-processing, ``is_shifted``: whether it has a bias."""
    before = f" (raw {raw.overall.error:.4f})" if raw else ""
    where = ", ".join(f"{name} {each.error:.4f} ({each.num} rows)" for name, each in found.contexts.items())
    shift = ", before scale and bias" if is_shifted else ""
    return f"calibration error {found.overall.error:.4f}{before}{shift}" + (f"; observed: {where}" if where else "")


def tables(found: Calibration) -> Iterator[str]:
    """Errors by class and context, and of each class the mean probability and share that is true in each bin."""
    parts = {"all": found.overall, **found.contexts}
    names = [*found.overall.curves]
    width = max(map(len, [*parts, "observed"]))
    yield f"  calibration errors, {found.num_bins} bins:"
    yield f"  {'observed':<{width}} {'rows':>8} {'error':>8} " + " ".join(f"{name:>10}" for name in names)
    for name, each in parts.items():
        errors = " ".join(f"{each.curves[column].error:>10.4f}" for column in names)
        yield f"  {name:<{width}} {each.num:>8} {each.error:>8.4f} {errors}"
    yield "  reliability: mean probability -> share that is true (rows), by bin"
    for name, curve in {
        **({"top class": found.overall.top} if found.overall.top else {}),
        **found.overall.curves,
    }.items():
        bins = zip(curve.predicted, curve.true, curve.counts, strict=True)
        yield f"  {name:<14} " + ", ".join(f"{p:.2f} -> {t:.2f} ({num})" for p, t, num in bins if num)


def _reliability(task: Task, table: np.ndarray, truth: np.ndarray) -> Reliability:
    curves: dict[str, Curve] = {}
    errors, top, column, goal = [], None, 0, 0
    for kind, width in task.blocks:
        num_goals = 1 if kind == "classes" else width
        known = ~np.isnan(truth[:, goal : goal + num_goals])
        own, label = table[:, column : column + width], truth[:, goal : goal + num_goals]
        for i in range(width if kind != "values" else 0):
            rows = known[:, 0 if kind == "classes" else i]
            is_true = label[rows, 0] == i if kind == "classes" else label[rows, i] > 0.5
            curves[task.columns[column + i]] = _curve(own[rows, i], is_true)
        if kind == "classes":
            rows = known[:, 0]
            top = _curve(own[rows].max(axis=1), own[rows].argmax(axis=1) == label[rows, 0])
            errors.append(top.error)
        elif kind == "units":
            errors.append(float(np.mean([curves[name].error for name in task.columns[column : column + width]])))
        column, goal = column + width, goal + num_goals
    return Reliability(len(table), float(np.mean(errors)), curves, top)


def _curve(probability: np.ndarray, is_true: np.ndarray) -> Curve:
    bins = calibration_bins(probability, is_true)
    sums, hits, counts = (each.tolist() for each in bins)
    means = [
        [round(total / num, 6) if num else None for total, num in zip(each, counts, strict=True)]
        for each in (sums, hits)
    ]
    return Curve(error_of_bins(bins), tuple(means[0]), tuple(means[1]), tuple(map(int, counts)))
