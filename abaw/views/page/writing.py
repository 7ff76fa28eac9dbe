"""Writes the page of a clip: one HTML file that asks for nothing but the media beside it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from abaw.files import atomic_write
from abaw.views import html
from abaw.views.page import wording
from abaw.views.page.columns import NUM_STEPS
from abaw.views.page.content import Envelope, SpokenWord, collect

if TYPE_CHECKING:
    from abaw.views.timeline import Timeline

TRAIL_S = 3  # as in page.js
DASHES = {"solid": "none", "dashed": "8 4", "dotted": "2 3", "dashdot": "8 3 2 3"}
BLOCK = 3 << 20  # bytes that are embedded at once; of a multiple of 3 base64 has no padding
END = "</body>"


@dataclass(frozen=True)
class PageMedia:
    """What a page plays.

    ``kind``: "video", "sound", "picture" or "none". ``address``: of the file, relative to the page; "" where it is
    embedded. ``embedded``: the file that becomes part of the page. ``mime``: its type. ``offset_s``: what to add to
    the time of what is played to have that of the clip; not 0 for some copies of files that start late. ``is_part``:
    whether the clip is a part of the file.
    """

    kind: str
    address: str = ""
    embedded: Path | None = None
    mime: str = ""
    offset_s: float = 0.0
    is_part: bool = False


NO_MEDIA = PageMedia("none")


def write_page(
    timeline: "Timeline",
    path: Path,
    media: PageMedia = NO_MEDIA,
    envelope: Envelope | None = None,
    words: Sequence[SpokenWord] = (),
    remarks: Sequence[str] = (),
) -> None:
    """Write the page of a timeline, complete or not at all. ``remarks``: what its reader must know of the page."""
    text = render_page(timeline, media, envelope, words, remarks)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        if media.embedded is None:
            file.write(text)
            return
        head, end, tail = text.rpartition(END)
        file.write(f'{head}<script type="text/plain" id="embedded">')
        with media.embedded.open("rb") as source:
            while block := source.read(BLOCK):
                file.write(base64.b64encode(block).decode())
        file.write(f"</script>{end}{tail}")


def render_page(
    timeline: "Timeline",
    media: PageMedia = NO_MEDIA,
    envelope: Envelope | None = None,
    words: Sequence[SpokenWord] = (),
    remarks: Sequence[str] = (),
) -> str:
    """The text of the page, without an embedded file."""
    import bokeh

    content = collect(timeline, envelope, words)
    name = timeline.media.name if timeline.media else ""
    content.data["media"] = {
        "address": media.address,
        "offset": media.offset_s,
        "type": media.mime,
        "name": name,
        "isPart": media.is_part,
    }
    return html.render(
        "page/page.html",
        {
            "title": name or timeline.clip_id,
            "made": " ".join(f"{line}." for line in timeline.sources),
            "missing": wording.describe_missing(timeline),
            "remarks": [line for line in (*timeline.remarks, *remarks, *content.remarks) if line],
            "media": media,
            "persons": content.data["persons"],
            "dashes": DASHES,
            "figures": content.figures,
            "circumplex": content.circumplex,
            "trail_s": TRAIL_S,
            "num_frames": len(timeline.times_s),
            "num_steps": NUM_STEPS,
            "moments": content.moments,
            "no_moments": wording.explain_no_moments(timeline),
            "table": timeline.about["table"],
            "sources": timeline.sources,
            "times": timeline.about["times"],
            "notes": timeline.document["notes"],
            "commit": timeline.document["commit"],
            "bokeh_version": bokeh.__version__,
            "columns": content.columns,
            "data": content.data,
            "charts": {"document": content.charts, "ids": content.chart_ids},
            "bokeh": html.bokeh_script(),
        },
    )
