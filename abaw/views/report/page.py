"""The sections of a report as one HTML page."""

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from markupsafe import Markup

from abaw.progress import ProgressCallback, silent
from abaw.views.html import render
from abaw.views.report.content import Section
from abaw.views.report.facts import ReportFacts
from abaw.views.report.sections import (
    agreement,
    calibration,
    clips,
    comparison,
    cost,
    data,
    origin,
    robustness,
    scores,
    summary,
    training,
)

if TYPE_CHECKING:
    from abaw.views.plots.plot import Plot

MARK = '<meta name="abaw-page" content="report">'  # of a page that may be replaced
SECTIONS: tuple[Callable[[ReportFacts], Section | None], ...] = (
    summary.build,
    comparison.build,
    data.build,
    training.build,
    scores.build,
    agreement.build,
    calibration.build,
    clips.build,
    robustness.build,
    cost.build,
    origin.build,
)


def build_page(facts: ReportFacts, progress: ProgressCallback = silent) -> str:
    """The page as text: all figures and styles are inside, there is no script, and nothing is requested."""
    sections, num = list[Section](), len(SECTIONS) + 1
    for i, build in enumerate(SECTIONS):
        progress(f"writing section {i + 1}", i, num)
        if (section := build(facts)) is not None:
            sections.append(section)
    progress("writing the page", num - 1, num)  # half of the time: figures become text
    folders = [folder.folder for folder in facts.folders]
    title = f"Report of {folders[0]}" if len(folders) == 1 else f"Report of {len(folders)} runs and prediction folders"
    values = {"title": title, "mark": Markup(MARK), "sections": sections, "drawing": _drawings()}
    text = render("report/report.html", values)
    progress("writing the page", num, num)
    return text


def _drawings() -> "Callable[[Plot], Markup]":
    """A function of a plot that returns its SVG, with ids of its own in the page."""
    numbers = count(1)

    def draw(plot: "Plot") -> Markup:
        return Markup(plot.inline_svg(f"figure{next(numbers)}"))

    return draw
