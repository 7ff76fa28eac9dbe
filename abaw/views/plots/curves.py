"""Lines over a quantity: learning curves over epochs, and scores over the strength of a disturbance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abaw.numbers import format_count
from abaw.views.plots.plot import Plot
from abaw.views.plots.style import (
    INK,
    WIDE,
    drawn,
    grid_of,
    has_few,
    legend_below,
    legend_columns,
    line_style,
    new_figure,
    shortened,
)

LOSS = "loss"
Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class RunCurves:
    """The learning curves of a run, a value for each of its ``epochs``, NaN where nothing was measured.

    ``train`` and ``validation``: losses; ``scores``: "va CCC" -> values. ``chosen``: the epoch of its weights.
    """

    name: str
    epochs: Numbers
    train: Numbers
    validation: Numbers
    scores: Mapping[str, Numbers]
    chosen: int | None = None


@dataclass(frozen=True)
class Robustness:
    """The ``scores`` of a run over the ``strengths`` of a disturbance; ``intervals``: low and high, or None."""

    name: str
    strengths: Numbers
    scores: Numbers
    intervals: Sequence[tuple[float, float] | None] = ()


@drawn
def draw_learning_curves(runs: Sequence[RunCurves], *, title: str = "Learning curves", width: float = WIDE) -> Plot:
    """Losses of training (dotted) and validation, and each score, over the epochs; a line a run.

    A ring marks the epoch whose weights the run keeps.
    """
    from matplotlib.ticker import MaxNLocator

    panels = [LOSS, *dict.fromkeys(name for run in runs for name in run.scores)]
    num_columns = 3 if width >= WIDE else 1
    figure = new_figure(width, 0.8 + 1.75 * -(-len(panels) // num_columns), title)
    handles, labels = [], []
    for axes, panel in zip(grid_of(figure, len(panels), num_columns), panels, strict=True):
        for place, run in enumerate(runs):
            style = line_style(place) | ({} if has_few(run.epochs, 30) else {"marker": ""})
            series = run.validation if panel == LOSS else run.scores.get(panel, ())
            if panel == LOSS:
                training = style | {"linestyle": (0, (1, 1)), "marker": "", "linewidth": 1.0}
                if len(run.epochs) == 1:
                    training |= {"marker": "x"}
                (line,) = axes.plot(run.epochs, run.train, **training)
                handles.append(line)
                labels.append(f"{shortened(run.name)}, training")
            if not np.isfinite(np.asarray(series, float)).any():
                continue
            is_known = np.isfinite(np.asarray(series, float))
            epochs, values = np.asarray(run.epochs, float)[is_known], np.asarray(series, float)[is_known]
            (line,) = axes.plot(epochs, values, **style)
            if panel == LOSS:
                handles.append(line)
                labels.append(f"{shortened(run.name)}, validation")
            if run.chosen is not None and run.chosen in epochs:
                kept = values[epochs == run.chosen]
                axes.plot([run.chosen], kept, "o", markersize=7.5, mfc="none", mec=INK, mew=0.9)
        if len({epoch for run in runs for epoch in run.epochs}) == 1:
            axes.set_xlim(runs[0].epochs[0] - 0.9, runs[0].epochs[0] + 0.9)
        axes.set_title(panel)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if any(run.chosen is not None for run in runs):
        (ring,) = axes.plot([], [], "o", markersize=7.5, mfc="none", mec=INK, mew=0.9)
        handles.append(ring)
        labels.append("epoch of the weights")
    num_lines = -(-len(labels) // legend_columns(labels, width))
    figure.set_figheight(figure.get_figheight() + 0.16 * max(0, num_lines - 3))  # a few have room below the panels
    legend_below(figure, handles, labels, width)
    return Plot(figure, title, " ".join(map(_in_words, runs)))


@drawn
def draw_robustness(
    runs: Sequence[Robustness],
    *,
    score: str,
    quantity: str,
    title: str,
    width: float = WIDE / 2,
    height: float = 2.6,
) -> Plot:
    """The ``score`` of each run over a ``quantity``, such as "sound shifted by (ms)", with intervals; a line a run."""
    figure = new_figure(width, height + 0.14 * len(runs), title)
    axes = figure.add_subplot()
    handles, words = [], []
    every = [strength for run in runs for strength in run.strengths]
    if every and min(every) < 0 < max(every):
        axes.axvline(0, color=INK, linewidth=0.6, linestyle=(0, (4, 2)), zorder=1)
    for place, run in enumerate(runs):
        order = np.argsort(run.strengths, kind="stable")
        strengths, scores = np.asarray(run.strengths, float)[order], np.asarray(run.scores, float)[order]
        style = line_style(place)
        handles += axes.plot(strengths, scores, **style)
        if len(run.intervals):
            bounds = [(np.nan, np.nan) if each is None else each for each in run.intervals]
            low, high = np.array(bounds, float)[order].T
            axes.fill_between(strengths, low, high, color=style["color"], alpha=0.15, linewidth=0)
            for bound in (low, high):
                axes.plot(strengths, bound, color=style["color"], linewidth=0.4, linestyle=style["linestyle"])
        words.append(_robustness_in_words(run.name, strengths, scores, score, quantity))
    axes.set_xlabel(quantity)
    axes.set_ylabel(score)
    axes.set_facecolor("white")
    legend_below(figure, handles, [run.name for run in runs], width)
    return Plot(figure, title, " ".join(words))


def _robustness_in_words(name: str, strengths: np.ndarray, scores: np.ndarray, score: str, quantity: str) -> str:
    if not np.isfinite(scores).any():
        return f"{name}: no {score} is known."
    best, worst = int(np.nanargmax(scores)), int(np.nanargmin(scores))
    values = ", ".join(f"{x:g}: {y:.3f}" for x, y in zip(strengths, scores, strict=True))
    return f"{name}: {score} by {quantity}: {values}; highest at {strengths[best]:g}, lowest at {strengths[worst]:g}."


def _in_words(run: RunCurves) -> str:
    train = np.asarray(run.train, float)
    said = [f"{run.name}: {format_count(len(run.epochs), 'epoch')}, training loss {train[0]:.3f} to {train[-1]:.3f}"]
    for name, series in {"validation loss": run.validation, **run.scores}.items():
        values = np.asarray(series, float)
        if np.isfinite(values).any():
            is_loss = name == "validation loss"
            place = int(np.nanargmin(values) if is_loss else np.nanargmax(values))
            extreme = "lowest" if is_loss else "highest"
            said.append(f"{name} {extreme} {values[place]:.3f} in epoch {run.epochs[place]:g}")
    if run.chosen is not None:
        said.append(f"the weights are of epoch {run.chosen}")
    return ", ".join(said) + "."
