"""What a system gets right: the confusion matrix, reliability diagrams, and several systems beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abaw.evaluation.reliability import Curve
from abaw.tasks.classes import Confusion
from abaw.views.plots.plot import Plot
from abaw.views.plots.style import (
    INK,
    WIDE,
    drawn,
    legend_below,
    line_style,
    new_figure,
    shortened,
)
from abaw.views.text import row_names

MAX_DIFFERENCES = 45  # of every two of 10 systems


@dataclass(frozen=True)
class SystemScore:
    """The score of a system and its 95 % interval; None where it has none."""

    name: str
    score: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class PairedDifference:
    """How much ``second`` scores above ``first`` on the same clips, with its 95 % interval and corrected p."""

    first: str
    second: str
    difference: float
    interval: tuple[float, float] | None
    p: float


@drawn
def draw_confusion(confusion: Confusion, *, title: str = "Confusion matrix", width: float = WIDE / 2) -> Plot:
    """The confusion matrix: of the rows with each label the share of each prediction, over the number of rows."""
    counts = np.array(confusion.counts, float)
    num, totals = len(confusion.classes), counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    figure = new_figure(width, width * 0.86 + 0.35, title)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    size = min(7.5, max(3.0, 34 * width / (num * 2.6)))
    for i in range(num):
        for j in range(num):
            text = f"{shares[i, j]:.2f}\n{int(counts[i, j])}" if totals[i] else "–"
            colour = "white" if shares[i, j] > 0.55 else INK
            axes.text(j, i, text, ha="center", va="center", fontsize=size, color=colour, linespacing=1.05)
    names = row_names(confusion.classes, 18, shortened)
    axes.set_xticks(range(num), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(num), [f"{name}\n{int(each)}" for name, each in zip(names, totals, strict=True)])
    axes.tick_params(length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label, and number of rows")
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=25)
    bar.set_label("share of the rows with this label")
    bar.outline.set_linewidth(0.5)  # type: ignore[operator]
    return Plot(figure, title, _confusion_in_words(confusion.classes, counts))


@drawn
def draw_reliability(
    curves: Mapping[str, Curve], *, error: float, title: str = "Reliability", width: float = WIDE / 2
) -> Plot:
    """A reliability diagram: the share that is true over the mean probability, and below how many rows each bin has.

    ``curves``: a line each, such as {"most probable class": curve}; ``error``: the expected calibration error.
    """
    figure = new_figure(width, width * 0.95 + 0.14 * len(curves), title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=INK, linewidth=0.6, linestyle=(0, (4, 2)))
    handles, total = [], np.zeros(0)
    for place, (_, curve) in enumerate(curves.items()):
        known = [i for i, num in enumerate(curve.counts) if num]
        predicted, true = (np.array([each[i] for i in known], float) for each in (curve.predicted, curve.true))
        style = line_style(place)
        handles += upper.plot(predicted, true, **style)
        if len(curves) == 1:
            upper.vlines(predicted, predicted, true, color=style["color"], linewidth=2.5, alpha=0.35)
        counts = np.array(curve.counts, float)
        total = counts if not len(total) else total + counts
    edges = np.linspace(0, 1, len(total) + 1)
    lower.bar(edges[:-1], total, width=np.diff(edges), align="edge", color="#BBBBBB", edgecolor="white", linewidth=0.4)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is true")
    lower.set(xlabel="probability", ylabel="rows")
    upper.text(
        0.03, 0.95, f"expected calibration error {error:.3f}", transform=upper.transAxes, va="top", ha="left", color=INK
    )
    names = [f"{name} ({curve.error:.3f})" if len(curves) > 1 else name for name, curve in curves.items()]
    legend_below(figure, handles, names, width)
    said = [f"Expected calibration error {error:.4f}."]
    for name, curve in curves.items():
        bins = zip(curve.predicted, curve.true, curve.counts, strict=True)
        said.append(f"{name}: " + ", ".join(f"{p:.2f} is true in {t:.2f} of {num}" for p, t, num in bins if num) + ".")
    return Plot(figure, title, " ".join(said))


@drawn
def draw_comparison(
    systems: Sequence[SystemScore],
    differences: Sequence[PairedDifference] = (),
    *,
    score: str,
    title: str = "Comparison",
    width: float = WIDE,
) -> Plot:
    """Scores of several systems with their intervals and, beside or below them, the paired differences.

    A filled square is a difference with p of at most 0.05, a hollow one has more. More than ``MAX_DIFFERENCES`` are
    not drawn, but counted in the text alternative.
    """
    too_many = f"{len(differences)} paired differences are too many to draw." * (len(differences) > MAX_DIFFERENCES)
    differences = () if too_many else differences
    names = [shortened(each.name, 34 if width >= WIDE else 24) for each in systems]
    parts = 2 if differences else 1
    is_wide = width >= WIDE
    rows = [max(len(systems), 2), 1.5 * max(len(differences), 2)][:parts]
    height = 0.75 + 0.24 * (max(rows) if is_wide else sum(rows)) + 0.5 * (0 if is_wide else parts)
    figure = new_figure(width, height, title)
    if is_wide:
        every = figure.subplots(1, parts, squeeze=False)[0]
    else:
        every = figure.subplots(parts, 1, squeeze=False, height_ratios=rows)[:, 0]
    _forest(every[0], names, [each.score for each in systems], [each.interval for each in systems], None)
    every[0].set_xlabel(f"{score}, 95 % interval")
    if differences:
        letters = [f"{shortened(each.second, 20)}\nminus {shortened(each.first, 20)}" for each in differences]
        bounds = [each.interval for each in differences]
        _forest(every[1], letters, [each.difference for each in differences], bounds, [each.p for each in differences])
        every[1].axvline(0, color=INK, linewidth=0.6, linestyle=(0, (4, 2)), zorder=1)
        every[1].set_xlabel(f"difference in {score}, 95 % interval")
    said = [f"{each.name}: {score} {each.score:.4f}{_interval_in_words(each.interval)}." for each in systems]
    said += [
        f"{each.second} minus {each.first}: {each.difference:+.4f}{_interval_in_words(each.interval)}, p {each.p:.3f}."
        for each in differences
    ]
    return Plot(figure, title, " ".join([*said, *filter(None, [too_many])]))


def _forest(axes, names, values, intervals, ps) -> None:  # type: ignore[no-untyped-def]
    """Values with their intervals, one under the other."""
    from matplotlib.ticker import MaxNLocator

    for i, (value, bounds) in enumerate(zip(values, intervals, strict=True)):
        if bounds is not None:
            axes.plot(bounds, (i, i), color=INK, linewidth=1.0, solid_capstyle="butt")
            axes.plot(bounds, (i, i), linestyle="", marker="|", color=INK, markersize=5)
        is_filled = ps is None or ps[i] <= 0.05
        axes.plot([value], [i], "s", color="#0072B2", markersize=5, mfc="#0072B2" if is_filled else "white", mew=1.0)
        label = f"{value:.3f}" if ps is None else f"{value:+.3f}, p {ps[i]:.3f}"
        axes.annotate(
            label, (value, i), xytext=(0, 5), textcoords="offset points", ha="center", va="bottom", fontsize=6.5
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.75)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.14)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _interval_in_words(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f" (95 % interval {bounds[0]:.4f} to {bounds[1]:.4f})"


def _confusion_in_words(classes: Sequence[str], counts: np.ndarray) -> str:
    said = []
    for name, row in zip(classes, counts, strict=True):
        if not row.sum():
            said.append(f"{name}: no row has this label.")
            continue
        order = np.argsort(-row, kind="stable")[:3]
        most = ", ".join(f"{classes[j]} {row[j] / row.sum():.2f}" for j in order if row[j])
        said.append(f"{name} ({int(row.sum())} rows) is predicted as {most}.")
    return " ".join(said)
