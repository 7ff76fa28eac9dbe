"""Panels over the time of a clip, one under the other: lines with gaps, lanes of stretches, maps of probabilities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.views.plots.long_clips import by_column, drawn_stretches, rows_by_column, thinned
from abaw.views.plots.style import GAP, GRID, legend_columns, shortened, shown, wrapped
from abaw.views.segments import Segment
from abaw.views.text import row_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.115  # inches
MAX_NAME = 18  # letters
MAX_SECONDS = 180  # of a clip whose axis is in seconds
TICKS_S = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, float("inf"))


@dataclass(frozen=True)
class Panel:
    """A part of the figure: its height in inches, what draws it, and the stretches in which there was nothing.

    ``names``: those that stand left of it. ``title``: above it; " " for the place of a legend.
    """

    height: float
    draw: "Callable[[Axes, np.ndarray, np.ndarray], None]"
    gaps: Sequence[Segment] = ()
    title: str = ""
    names: Sequence[str] = ()


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


def stacked(
    panels: Sequence[Panel],
    times_s: np.ndarray,
    stops_s: np.ndarray,
    title: str,
    width: float,
    legend: tuple[Sequence[Any], Sequence[str]] = ((), ()),
) -> "Figure":
    """A figure of all panels over the same time, with a legend at the bottom.

    The places are computed here: a layout by matplotlib takes seconds for a dozen persons.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MultipleLocator

    heading = wrapped(title, width, 9)
    longest = max((len(name) for each in panels for name in row_names(each.names, MAX_NAME, shortened)), default=0)
    left = 0.16 + max(0.3, 0.058 * longest)
    above = [0.24 if each.title else 0.1 for each in panels]
    columns = legend_columns(legend[1], width)
    top, bottom = 0.1 + 0.16 * len(heading.splitlines()), 0.42 + 0.06 + 0.16 * -(-len(legend[0]) // columns)
    height = top + sum(above) + sum(each.height for each in panels) + bottom
    figure = Figure(figsize=(width, height), facecolor="white")
    figure.text(0.06 / width, 1 - 0.06 / height, heading, va="top", fontsize=9, fontweight="bold")
    start_s, stop_s = (float(times_s[0]), float(stops_s[-1])) if len(times_s) else (0.0, 1.0)
    down, every = top, list["Axes"]()
    for space, panel in zip(above, panels, strict=True):
        down += space + panel.height
        place = (left / width, 1 - down / height, (width - left - 0.12) / width, panel.height / height)
        axes = figure.add_axes(place, sharex=every[0] if every else None)
        axes.tick_params(labelbottom=panel is panels[-1])
        every.append(axes)
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
        axes.set_title(shown(panel.title), pad=3)
    last = every[-1]
    if legend[0]:
        figure.legend(*legend, loc="lower left", bbox_to_anchor=(0.01, 0), ncols=columns, borderaxespad=0.2)
    last.set_xlim(start_s, stop_s)
    is_short = stop_s - start_s <= MAX_SECONDS
    last.set_xlabel("time (s)" if is_short else "time (min:s)")
    last.ticklabel_format(axis="x", useOffset=False)
    if not is_short:
        last.xaxis.set_major_locator(MultipleLocator(next(each for each in TICKS_S if (stop_s - start_s) / each <= 8)))
        last.xaxis.set_major_formatter(lambda value, _: _minutes(value))
    return figure


def _minutes(time_s: float) -> str:
    """A time as the axis shows it.

    >>> _minutes(90.0), _minutes(-90.0)
    ('1:30', '-1:30')
    """
    minutes, seconds = divmod(round(abs(time_s)), 60)
    return f"{'-' if time_s < 0 else ''}{minutes}:{seconds:02d}"


def lines_panel(
    lines: Sequence[Line], bounds: tuple[float, float], axes: "Axes", times_s: np.ndarray, stops_s: np.ndarray
) -> None:
    """Draw lines; a single frame between two gaps is a dot as wide as the frame."""
    handles = []
    for line in lines:
        values = np.asarray(line.values, float)
        kept = thinned(values)
        handles += axes.plot(times_s[kept], values[kept], **line.style)
        known = np.concatenate([[False], np.isfinite(values), [False]])
        alone = known[1:-1] & ~known[:-2] & ~known[2:]
        axes.plot(times_s[alone], values[alone], ".", color=line.style["color"], markersize=2)
        axes.hlines(values[alone], times_s[alone], stops_s[alone], color=line.style["color"])
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
        handles,
        [shortened(line.name) for line in lines],
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
    axes.set_yticks(range(len(names)), row_names(names, MAX_NAME, shortened))
    axes.tick_params(axis="y", length=0, labelsize=6.5)
    axes.grid(visible=False, axis="y")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=GRID, linewidth=0.3, zorder=1)


def map_panel(
    names: Sequence[str], probabilities: np.ndarray, axes: "Axes", times_s: np.ndarray, stops_s: np.ndarray
) -> None:
    """Draw probabilities (frames, names) as darkness, a row a name; nothing where they are NaN."""
    if not len(times_s):
        probabilities, times_s, stops_s = np.full((1, len(names)), np.nan), np.zeros(1), np.ones(1)
    rows = rows_by_column(len(times_s))
    edges = np.append(times_s[rows], stops_s[-1:])
    values = np.ma.masked_invalid(by_column(np.asarray(probabilities, float), np.fmax).T)
    axes.pcolormesh(
        edges, np.arange(len(names) + 1) - 0.5, values, cmap="Greys", vmin=0, vmax=1, rasterized=True, zorder=2
    )
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), row_names(names, MAX_NAME, shortened))
    axes.tick_params(axis="y", length=0, labelsize=6.5)
    axes.grid(visible=False)
