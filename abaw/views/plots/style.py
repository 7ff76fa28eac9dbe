"""How all figures look: sizes for a paper's columns, a light ground, colours and line styles, text without surprises.

Nothing global stays changed: settings of matplotlib hold while a figure is drawn or written, one thread at a time, and
begin from matplotlib's own, so that those of the user change no figure. ``pyplot`` is not used.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from threading import RLock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from abaw.views.palette import DASHES, OKABE_ITO
from abaw.views.text import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NARROW, WIDE = 3.35, 7.0  # inches: one column of a paper, and the whole page
WIDTHS = {"column": NARROW, "page": WIDE}
FONT = "DejaVu Sans"  # comes with matplotlib
GAP, GRID, INK = "#DDDDDD", "#D0D0D0", "#222222"
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE: dict[Any, Any] = {
    "font.family": [FONT],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "figure.titlesize": 9,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.4,
    "hatch.color": "#AAAAAA",
    "text.parse_math": False,  # a $ in the name of a file is a $
    "svg.hashsalt": "abaw",  # with it the same figure is the same file
    "svg.fonttype": "path",  # text looks alike wherever it is read; the text alternative can be read aloud
    "pdf.fonttype": 42,  # TrueType, embedded: what publishers take
    "path.simplify": True,
}
# of windows and dates: nothing that changes a figure, and some of them cannot be set twice
NOT_OF_FIGURES = ("backend", "webagg", "tk.", "keymap", "toolbar", "timezone", "date.", "docstring", "interactive")
_LOCK = RLock()
Given = ParamSpec("Given")
Drawn = TypeVar("Drawn")


@contextmanager
def styled() -> Iterator[None]:
    """Draw or write a figure with the settings above; those of before come back at the end."""
    import matplotlib

    with _LOCK, matplotlib.rc_context():
        matplotlib.rcParams.update(_defaults() | STYLE)
        yield


def drawn(draw: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
    """The function, with the settings above while it draws."""

    @wraps(draw)
    def with_style(*args: Given.args, **kwargs: Given.kwargs) -> Drawn:
        with styled():
            return draw(*args, **kwargs)

    return with_style


def new_figure(width: float, height: float, title: str) -> "Figure":
    """An empty figure of this size in inches, under its title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.suptitle(wrapped(title, width, 9), x=0.01, ha="left", fontweight="bold")
    return figure


def grid_of(figure: "Figure", num: int, num_columns: int) -> "list[Axes]":
    """Axes in rows of at most ``num_columns``."""
    num_columns = max(1, min(num, num_columns))
    num_rows = -(-num // num_columns)
    return [figure.add_subplot(num_rows, num_columns, i + 1) for i in range(num)]


def line_style(place: int) -> dict[str, Any]:
    """Colour, dashes and marker of the line at this place, from 0: the first 12 differ without their colours, too."""
    dashes = DASHES[place % len(DASHES)]
    return {
        "color": OKABE_ITO[(place * 5 + 4) % len(OKABE_ITO)],
        "linestyle": dashes,
        "marker": MARKERS[place % len(MARKERS)],
    }


def legend_below(figure: "Figure", handles: Sequence[Any], labels: Sequence[str], width: float) -> None:
    """One legend for all axes, under them, in as many columns as fit."""
    columns = legend_columns(labels, width)
    figure.legend(handles, [shown(each) for each in labels], loc="outside lower left", ncols=columns)


def legend_columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend fit into this width in inches."""
    longest = max(map(len, labels), default=1)
    return max(1, min(len(labels), int(width / (0.35 + 0.058 * longest))))


def wrapped(text: str, width: float, size: float) -> str:
    """A text in as many lines as it takes at this width in inches and size in points."""
    from textwrap import wrap

    num = max(12, int(width * 72 / (size * 0.6)))
    return "\n".join(wrap(shown(text), num, break_long_words=True)) or " "


def shown(text: str) -> str:
    """A text as the figure can show it: in one line, with ? for every character that the font does not have."""
    return "".join(each if _has_glyph(each) else "?" for each in plain_text(text))


def shortened(text: str, max_length: int = 40) -> str:
    """The text, and of a longer one its end after an ellipsis: names of folders differ there."""
    text = shown(text)
    return text if len(text) <= max_length else "…" + text[1 - max_length :]


def has_few(values: "np.ndarray | Sequence[float]", max_num: int = 40) -> bool:
    """Whether markers on every value can be distinguished."""
    return len(values) <= max_num


@cache
def _defaults() -> dict[Any, Any]:
    import matplotlib

    return {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith(NOT_OF_FIGURES)}


@cache
def _has_glyph(character: str) -> bool:
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont(FONT, fallback_to_default=False))
    return font.get_char_index(ord(character)) != 0
