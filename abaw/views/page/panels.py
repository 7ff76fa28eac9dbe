"""The charts of a page as bokeh figures without data: the page's script fills in the rows that are in view."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from abaw.views.palette import GREY
from abaw.views.text import row_names

LEFT_PX, RIGHT_PX = 104, 12  # of the frame in every chart, so that one cursor crosses them all
ROW_PX = 17  # of a row of a ribbon
LINE_PX, SOUND_PX, CIRCLE_PX = 104, 74, 300
FRAME = 1.25  # of the circumplex's frame to its ring, so that numbers of persons have room
MAX_NAME = 14  # characters of a row's name that fit beside it


Range = tuple[float, float]


class Charts:
    """Makes the charts of one page. Those over time share their range, which ends at ``start_s`` and ``stop_s``."""

    def __init__(self, start_s: float, stop_s: float) -> None:
        from bokeh.models import Range1d

        bounds = start_s, stop_s
        self._range = Range1d(start=start_s, end=stop_s, bounds=bounds, name="time", min_interval=0.02)
        self._roots: list[Any] = []

    def add_lines(self, name: str, low: float, high: float, styles: Sequence[tuple[str, str]], num_bands: int) -> None:
        """A value over time: a line for each colour and line style, with bands around it."""
        margin = 0.04 * (high - low)
        chart = self._over_time(name, LINE_PX, (low - margin, high + margin))
        self._shade_gaps(chart, name, low - margin, high - low + 2 * margin)
        for place, (colour, dash) in enumerate(styles):
            for number in range(num_bands):
                band = self._source(f"{name}.band{place}.{number}", x=[], low=[], high=[])
                chart.varea(
                    "x", "low", "high", source=band, name=f"{name}.glyph{place}", fill_color=colour, fill_alpha=0.22
                )
            line = self._source(f"{name}.line{place}", x=[], y=[])
            chart.line("x", "y", source=line, line_color=colour, line_dash=dash, name=f"{name}.glyph{place}")
        self._ticks(chart, [low, (low + high) / 2, high])

    def add_rows(self, name: str, labels: Sequence[str], with_names: bool = False) -> None:
        """Rows from top to bottom, each as dark as its value is high. ``with_names``: of classes, in the first row."""
        from bokeh.models import FixedTicker, PlainText

        num = len(labels)
        chart = self._over_time(name, ROW_PX * num + 8, (0, num))
        self._shade_gaps(chart, name, 0, num)
        self._image(chart, f"{name}.rows", 0, num)
        if with_names:
            chosen = self._source(f"{name}.names", x=[], y=[], text=[], colour=[])
            style = {"text_baseline": "middle", "text_font_size": "11px", "text_font_style": "bold"}
            chart.text("x", "y", "text", source=chosen, x_offset=4, text_color="colour", **style)
        places = [num - 0.5 - row for row in range(num)]
        chart.yaxis.ticker = FixedTicker(ticks=places)
        names = [PlainText(text=name) for name in row_names(labels, MAX_NAME)]  # a text with $$ would be mathematics
        chart.yaxis.major_label_overrides = dict(zip(places, names, strict=True))
        chart.ygrid.visible = False

    def add_sound(self, name: str, has_words: bool) -> None:
        """The loudness of the sound as an envelope around 0, and words below it."""
        low = -1.9 if has_words else -1.05
        chart = self._over_time(name, SOUND_PX + (24 if has_words else 0), (low, 1.05))
        chart.line("x", "y", source=self._source(f"{name}.envelope", x=[], y=[]), line_color=GREY)
        if has_words:
            words = self._source(f"{name}.words", x=[], y=[], text=[])
            style = {"text_baseline": "middle", "text_align": "center", "text_font_size": "12px"}
            chart.text("x", "y", "text", source=words, name="words", **style)
        self._ticks(chart, [0])

    def add_circumplex(self, name: str, colours: Sequence[str], valence: Range, arousal: Range) -> None:
        """Valence to the right and arousal upwards, over their ranges: where each person is, and the way there."""
        from bokeh.models import Range1d
        from bokeh.plotting import figure

        (left, right), (bottom, top) = valence, arousal
        middle_x, half_x = (left + right) / 2, (right - left) / 2
        middle_y, half_y = (bottom + top) / 2, (top - bottom) / 2
        chart = figure(
            width=CIRCLE_PX,
            height=CIRCLE_PX,
            x_range=Range1d(start=middle_x - FRAME * half_x, end=middle_x + FRAME * half_x),
            y_range=Range1d(start=middle_y - FRAME * half_y, end=middle_y + FRAME * half_y),
            tools="",
            toolbar_location=None,
            name=name,
            x_axis_label="valence",
            y_axis_label="arousal",
        )
        angles = np.linspace(0, 2 * np.pi, 73)
        ring = middle_x + half_x * np.cos(angles), middle_y + half_y * np.sin(angles)
        for x, y in (ring, ([left, right], [middle_y] * 2), ([middle_x] * 2, [bottom, top])):
            chart.line(x, y, line_color=GREY, name="ring")
        for place, colour in enumerate(colours):
            trail = self._source(f"{name}.trail{place}", x=[], y=[], alpha=[], size=[])
            chart.scatter("x", "y", size="size", alpha="alpha", source=trail, color=colour, line_color=None)
            head = self._source(f"{name}.head{place}", x=[], y=[], text=[])
            chart.scatter("x", "y", size=13, source=head, color=colour, line_color="#000000", line_width=1.5)
            style: dict[str, Any] = {"text_align": "center", "y_offset": -8, "text_font_size": "12px"}
            chart.text("x", "y", "text", source=head, name="words", **style)
        self._finish(chart)

    def show_times(self) -> None:
        """Label the time axis of the lowest chart; the others only have its lines."""
        *others, last = [chart for chart in self._roots if chart.x_range is self._range]
        for chart in others:
            chart.xaxis.visible = False
        last.xaxis.axis_label = "time (s)"
        last.height += 42

    def document(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The charts as bokeh's JSON, and the id of each chart by its name."""
        from bokeh.document import Document
        from bokeh.embed.util import standalone_docs_json

        document = Document()
        for chart in self._roots:
            document.add_root(chart)
        found: dict[Any, Any] = dict(standalone_docs_json([document]))
        return found, {chart.name: chart.id for chart in self._roots}

    def _over_time(self, name: str, height: int, y_range: tuple[float, float]) -> Any:
        from bokeh.models import PanTool, Range1d, WheelZoomTool
        from bokeh.plotting import figure

        zoom = WheelZoomTool(dimensions="width", modifiers="ctrl", maintain_focus=False)
        chart = figure(
            height=height,
            sizing_mode="stretch_width",
            x_range=self._range,
            y_range=Range1d(start=y_range[0], end=y_range[1]),
            tools=[PanTool(dimensions="width"), zoom],
            toolbar_location=None,
            name=name,
            min_border_left=LEFT_PX,
            min_border_right=RIGHT_PX,
            min_border_top=4,
            min_border_bottom=4,
        )
        chart.toolbar.active_scroll = zoom
        self._finish(chart)
        return chart

    def _finish(self, chart: Any) -> None:
        chart.background_fill_color = chart.border_fill_color = None
        chart.axis.minor_tick_line_color = None
        chart.axis.axis_label_text_font_style = "normal"
        chart.xaxis.axis_label_standoff = chart.yaxis.axis_label_standoff = 2
        self._roots.append(chart)

    def _ticks(self, chart: Any, places: Sequence[float]) -> None:
        from bokeh.models import FixedTicker

        chart.yaxis.ticker = FixedTicker(ticks=list(places))
        chart.ygrid.ticker = chart.yaxis[0].ticker

    def _shade_gaps(self, chart: Any, name: str, low: float, height: float) -> None:
        self._image(chart, f"{name}.gaps", low, height)

    def _image(self, chart: Any, name: str, low: float, height: float) -> None:
        empty = np.zeros((1, 1), np.uint32)
        source = self._source(name, image=[empty], x=[0.0], y=[low], dw=[1.0], dh=[height])
        chart.image_rgba("image", "x", "y", "dw", "dh", source=source)

    def _source(self, name: str, **columns: Any) -> Any:
        from bokeh.models import ColumnDataSource

        return ColumnDataSource(columns, name=name)
