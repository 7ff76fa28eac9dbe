"""Panels over the time of a clip, one under the other: lines with gaps, lanes of stretches, maps of probabilities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.views.plots.long_clips import by_column, drawn_stretches, rows_by_column, thinned
from abaw.views.plots.style import GAP, GRID, new_figure, shortened
from abaw.views.segments import Segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.115  # inches
TICKS_S = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, float("inf"))


@dataclass(frozen=True)
class Panel:
    """A part of the figure: its height in inches, what draws it, and the stretches in which there was nothing."""

    height: float
    draw: "Callable[[Axes, np.ndarray, np.ndarray], None]"
    gaps: Sequence[Segment] = ()
    title: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a panel, a value a frame, NaN where there is none; ``deviation``: the half width of its band."""

    name: str
    values: np.ndarray
    style: Mapping[str, Any]
    deviation: np.ndarray | None = None


@dataclass(frozen=True)
class Bars:
    """Stretches of time in a row of a panel. ``place``: 0 is the whole row, -1 its upper half, 1 its lower half."""

    row: int
    segments: Sequence[Segment]
    colour: str
    place: int = 0


def stacked(panels: Sequence[Panel], times_s: np.ndarray, stops_s: np.ndarray, title: str, width: float) -> "Figure":
    """A figure of all panels over the same time."""
    from matplotlib.ticker import MultipleLocator

    heights = [each.height for each in panels]
    spaces = sum(0.17 if each.title else 0.06 for each in panels)
    figure = new_figure(width, sum(heights) + spaces + 0.85, title)
    every = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    start_s, stop_s = (float(times_s[0]), float(stops_s[-1])) if len(times_s) else (0.0, 1.0)
    for axes, panel in zip(every, panels, strict=True):
        panel.draw(axes, times_s, stops_s)
        bars = drawn_stretches(panel.gaps, stop_s - start_s)
        low, high = axes.get_ylim()
        axes.broken_barh(
            bars,
            (min(low, high), abs(high - low)),
            facecolors=GAP,
            hatch="////",
            edgecolor="#BBBBBB",
            linewidth=0,
            zorder=0.5,
        )
        axes.set_ylim(low, high)
        axes.set_title(panel.title, pad=3)
    figure.align_ylabels(every)
    last = every[-1]
    last.set_xlim(start_s, stop_s)
    last.set_xlabel("time (s)" if stop_s <= 180 else "time (min:s)")
    if stop_s > 180:
        last.xaxis.set_major_locator(MultipleLocator(next(each for each in TICKS_S if (stop_s - start_s) / each <= 8)))
        last.xaxis.set_major_formatter(lambda value, _: f"{int(value // 60)}:{int(value % 60):02d}")
    return figure


def lines_panel(lines: Sequence[Line], bounds: tuple[float, float], axes: "Axes", times_s: np.ndarray, _: Any) -> None:
    """Draw lines; a single frame between two gaps is a dot."""
    for line in lines:
        values = np.asarray(line.values, float)
        kept = thinned(values)
        axes.plot(times_s[kept], values[kept], label=line.name, **line.style)
        known = np.concatenate([[False], np.isfinite(values), [False]])
        alone = known[1:-1] & ~known[:-2] & ~known[2:]
        axes.plot(times_s[alone], values[alone], ".", color=line.style["color"], markersize=2)
        if line.deviation is not None:
            rows = rows_by_column(len(values))
            low, high = by_column(values - line.deviation, np.fmin), by_column(values + line.deviation, np.fmax)
            axes.fill_between(times_s[rows], low, high, color=line.style["color"], alpha=0.2, linewidth=0)
    lowest, highest = bounds
    margin = 0.04 * (highest - lowest)
    axes.set_ylim(lowest - margin, highest + margin)
    if lowest < 0 < highest:
        axes.axhline(0, color="#888888", linewidth=0.5)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(lines),
        borderaxespad=0.1,
        handlelength=2.4,
        columnspacing=1.2,
    )


def lanes_panel(
    names: Sequence[str], lanes: Sequence[Bars], axes: "Axes", times_s: np.ndarray, stops_s: np.ndarray
) -> None:
    """Draw stretches in rows with names."""
    length_s = float(stops_s[-1] - times_s[0]) if len(times_s) else 1.0
    for lane in lanes:
        bottom, height = {0: (-0.38, 0.76), -1: (-0.44, 0.42), 1: (0.02, 0.42)}[lane.place]
        bars = drawn_stretches(lane.segments, length_s)
        axes.broken_barh(bars, (lane.row + bottom, height), facecolors=lane.colour, linewidth=0, zorder=2)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [shortened(name, 18) for name in names])
    axes.tick_params(axis="y", length=0, labelsize=6.5)
    axes.grid(visible=False, axis="y")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=GRID, linewidth=0.3, zorder=1)


def map_panel(
    names: Sequence[str], probabilities: np.ndarray, axes: "Axes", times_s: np.ndarray, stops_s: np.ndarray
) -> None:
    """Draw probabilities (frames, names) as darkness, a row a name; nothing where they are NaN."""
    rows = rows_by_column(len(times_s))
    edges = np.append(times_s[rows], stops_s[-1:])
    values = np.ma.masked_invalid(by_column(np.asarray(probabilities, float), np.fmax).T)
    axes.pcolormesh(
        edges, np.arange(len(names) + 1) - 0.5, values, cmap="Greys", vmin=0, vmax=1, rasterized=True, zorder=2
    )
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [shortened(name, 18) for name in names])
    axes.tick_params(axis="y", length=0, labelsize=6.5)
    axes.grid(visible=False)
