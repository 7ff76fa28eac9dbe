"""Pictures of the timeline of a clip that was analysed, by matplotlib."""

from pathlib import Path

from abaw.pipelines.viewing.writing import ViewedClip
from abaw.views.plots.clips import draw_timeline


def write_picture(viewed: ViewedClip, path: Path) -> str:
    """Write the timeline as a picture of the kind that the path's suffix names."""
    draw_timeline(viewed.timeline).save(path)
    return ""
