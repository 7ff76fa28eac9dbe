"""Values against their labels: density or scatter of each, and where on the plane of two values both lie."""

from collections.abc import Sequence

import numpy as np

from abaw.metrics import concordance
from abaw.views.plots.plot import Plot
from abaw.views.plots.style import INK, WIDE, drawn, grid_of, new_figure, shortened

MAX_POINTS = 500  # more rows than these are counted in cells
NUM_CELLS = 36


@drawn
def draw_agreement(
    prediction: np.ndarray,
    label: np.ndarray,
    names: Sequence[str],
    *,
    ranges: Sequence[tuple[float, float]] | None = None,
    title: str = "Predictions against labels",
    width: float = WIDE,
) -> Plot:
    """Prediction over label of every scored row, a panel a column; (rows, columns) both. The dashed line is equality.

    Up to ``MAX_POINTS`` rows are drawn as points, more as the number in each cell. A panel names its CCC.
    """
    ranges = ranges or ((-1.0, 1.0),) * len(names)
    figure = new_figure(width, 0.75 + width / max(2, min(len(names), 3)) * -(-len(names) // 3) * 0.85, title)
    said = []
    for i, axes in enumerate(grid_of(figure, len(names), 3)):
        low, high = ranges[i]
        x, y = np.asarray(label[:, i], float), np.asarray(prediction[:, i], float)
        _density(figure, axes, x, y, (low, high), (low, high))
        axes.plot([low, high], [low, high], color=INK, linewidth=0.7, linestyle=(0, (4, 2)))
        agreement = concordance(y, x)
        axes.set_title(f"{shortened(names[i], 24)}: CCC {agreement:.3f}")
        axes.set(xlabel="label", ylabel="prediction")
        said.append(
            f"{names[i]}: {len(x)} rows, CCC {agreement:.3f}, labels {_mean_words(x)}, predictions {_mean_words(y)}."
        )
    return Plot(figure, title, " ".join(said))


@drawn
def draw_plane(
    prediction: np.ndarray,
    label: np.ndarray,
    names: Sequence[str] = ("valence", "arousal"),
    *,
    ranges: Sequence[tuple[float, float]] = ((-1.0, 1.0), (-1.0, 1.0)),
    title: str = "Valence and arousal",
    width: float = WIDE,
) -> Plot:
    """Where labels and predictions lie on the plane of two values, (rows, 2) both; of many the number in a cell."""
    figure = new_figure(width, width * 0.47 + 0.4 if width >= WIDE else width * 1.75, title)
    parts = {"labels": np.asarray(label, float), "predictions": np.asarray(prediction, float)}
    said = []
    for axes, (what, values) in zip(grid_of(figure, 2, 2 if width >= WIDE else 1), parts.items(), strict=True):
        _density(figure, axes, values[:, 0], values[:, 1], *ranges)
        for draw, (low, high) in zip((axes.axvline, axes.axhline), ranges, strict=True):
            if low < 0 < high:
                draw(0, color=INK, linewidth=0.6)
        axes.set_title(what)
        axes.set(xlabel=names[0], ylabel=names[1])
        means = ", ".join(f"{name} {_mean_words(values[:, i])}" for i, name in enumerate(names[:2]))
        said.append(f"{what}: {len(values)} rows, {means}.")
    return Plot(figure, title, " ".join(said))


def _density(figure, axes, x, y, x_range, y_range) -> None:  # type: ignore[no-untyped-def]
    """Points or, of many, the number in each cell; on axes of the same scale."""
    axes.set(xlim=_widened(x_range), ylim=_widened(y_range), aspect="equal" if x_range == y_range else "auto")
    if len(x) <= MAX_POINTS:
        axes.plot(x, y, "o", markersize=2.6, mfc="none", mec="#0072B2", mew=0.6, alpha=0.8)
        return
    cells = axes.hexbin(x, y, gridsize=NUM_CELLS, extent=(*x_range, *y_range), mincnt=1, bins="log", cmap="viridis_r",
                        linewidths=0.1, rasterized=True)  # fmt: skip
    bar = figure.colorbar(cells, ax=axes, shrink=0.75, aspect=22, format="{x:g}")
    bar.ax.minorticks_off()
    bar.set_label("rows")
    bar.outline.set_linewidth(0.5)


def _widened(bounds: tuple[float, float]) -> tuple[float, float]:
    margin = 0.04 * (bounds[1] - bounds[0])
    return bounds[0] - margin, bounds[1] + margin


def _mean_words(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std():.3f}" if len(values) else "none"
