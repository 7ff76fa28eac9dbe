"""HTML pages of one file: templates with escaping, and what is put into a page so that it asks for nothing.

A page extends ``skeleton/base.html``, which sets the colours for light, dark and print, and forbids every request.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

VIEWS = Path(__file__).parent
LEVEL = 9  # of gzip


def render(template: str, values: Mapping[str, Any]) -> str:
    """The text of a template of this folder, such as "page/page.html", with all values escaped.

    Inside a template, ``asset("page/page.css")`` is the text of a file of this folder, ``value | as_json`` is JSON for
    a script element, and ``data | as_packed`` bytes that the function ``unpack`` of ``skeleton/unpack.js`` reads.
    """
    return _environment().get_template(template).render(values)


def as_json(value: Any) -> "Markup":
    """JSON for the inside of a script element: no text in it can end that element or begin a comment.

    Raises ValueError for NaN and infinity, which are not JSON.
    """
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def as_packed(data: bytes) -> "Markup":
    """Bytes as text: compressed by gzip, in base64."""
    from markupsafe import Markup

    return Markup(base64.b64encode(gzip.compress(data, LEVEL, mtime=0)).decode())


def asset(name: str) -> "Markup":
    """The text of a style sheet or script of this folder, to be put into its element as it is."""
    from markupsafe import Markup

    text = (VIEWS / name).read_text(encoding="utf-8")
    if "</script" in text.lower() or "</style" in text.lower() or "<!--" in text:
        raise InputError(f"{name} has text that ends a script or style element: write it in another way")
    return Markup(text)


@cache
def bokeh_script() -> bytes:
    """The JavaScript of the installed bokeh, as its wheel has it."""
    import bokeh

    return (Path(bokeh.__file__).parent / "server/static/js/bokeh.min.js").read_bytes()


@cache
def _environment() -> "jinja2.Environment":
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(VIEWS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"as_json": as_json, "as_packed": as_packed}
    found.globals |= {"asset": asset}
    return found
