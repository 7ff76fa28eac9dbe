"""A figure with its title and text alternative, and how it is written: PNG, SVG, PDF, and SVG inside a page."""

import io
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError
from abaw.files import as_path, atomic_write
from abaw.views.plots.style import styled
from abaw.views.text import plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
DPI = 300  # what publishers ask for
PAGE_DPI = 150  # of what is no line or text in a page, which may have many figures
_OPENING = re.compile(r"^.*?(?=<svg)", re.S)  # XML declaration and document type
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.S)
_TITLE = re.compile(r"<title>.*?</title>\s*", re.S)
_IDS = re.compile(r'(\bid="|xlink:href="#|\bhref="#|url\(#)')


@dataclass(frozen=True, eq=False)
class Plot:
    """A matplotlib ``figure``, its ``title``, and its ``alternative``: what the figure shows, in words.

    The same plot is written as the same bytes by the same version of matplotlib.
    """

    figure: "Figure"
    title: str
    alternative: str

    def __post_init__(self) -> None:
        """Lay out once: again would move parts by the last digit, and at another resolution by more."""
        if engine := self.figure.get_layout_engine():
            engine.execute(self.figure)
            self.figure.set_layout_engine("none")

    def save(self, path: str | Path) -> Path:
        """Write the figure, complete or not at all, as its suffix says: .png (300 dpi), .svg or .pdf.

        Title and text alternative are in the file. Text is drawn as paths in SVG and with embedded fonts in PDF. Raises
        InputError for another suffix.
        """
        path = check_suffix(path)
        content = {".png": self.png, ".svg": lambda: self.svg().encode(), ".pdf": self.pdf}[path.suffix.lower()]()
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
        return path

    def png(self, dpi: float = DPI) -> bytes:
        """The figure as the content of a PNG file."""
        about = {"Title": plain_text(self.title), "Description": plain_text(self.alternative), "Software": None}
        return self._written("png", dpi=dpi, metadata=about)

    def pdf(self) -> bytes:
        """The figure as the content of a PDF file with one page."""
        about = {"Title": plain_text(self.title), "Subject": plain_text(self.alternative), "CreationDate": None}
        return self._written("pdf", dpi=DPI, metadata=about)

    def svg(self) -> str:
        """The figure as the text of an SVG file."""
        text = self._written("svg", dpi=DPI, metadata={"Date": None}).decode()
        return _OPENING.match(text)[0] + self._named(text, "")  # type: ignore[index]

    def inline_svg(self, prefix: str) -> str:
        """The figure as an ``<svg>`` element for a page. ``prefix`` begins all its ids: give each figure its own."""
        return self._named(self._written("svg", dpi=PAGE_DPI, metadata={"Date": None}).decode(), f"{prefix}-")

    def _written(self, form: str, **settings: Any) -> bytes:
        buffer = io.BytesIO()
        with styled():
            self.figure.savefig(buffer, format=form, facecolor="white", **settings)
        return buffer.getvalue()

    def _named(self, text: str, prefix: str) -> str:
        """The svg element as an image with title and description, which readers of the screen read aloud."""
        for pattern in (_OPENING, _METADATA, _TITLE):
            text = pattern.sub("", text, count=1)
        text = _IDS.sub(rf"\g<1>{prefix}", text)
        start = text.index(">") + 1
        names = f'{prefix}title" aria-describedby="{prefix}description'
        opening = f'{text[: start - 1]} role="img" aria-labelledby="{names}">'
        title, words = (escape(plain_text(each)) for each in (self.title, self.alternative))
        return (
            f'{opening}\n<title id="{prefix}title">{title}</title>\n<desc id="{prefix}description">{words}</desc>'
            + (text[start:].rstrip() + "\n")
        )


def check_suffix(path: str | Path) -> Path:
    """The path of a figure to write. Raises InputError where its suffix names no format, before anything is drawn."""
    path = as_path(path, "out")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: the suffix {path.suffix!r} is unknown, expected one of {', '.join(SUFFIXES)}")
    return path
