"""Files for other people's tools, of a clip that was analysed."""

from pathlib import Path

from abaw.pipelines.viewing.writing import ViewedClip
from abaw.views.exports.elan import write_eaf
from abaw.views.exports.recording import write_rrd
from abaw.views.exports.subtitles import write_srt, write_vtt


def write_elan(viewed: ViewedClip, path: Path) -> str:
    """Write an ELAN file."""
    return write_eaf(viewed.timeline, viewed.clip.media, path)


def write_subrip(viewed: ViewedClip, path: Path) -> str:
    """Write SubRip subtitles."""
    return write_srt(viewed.timeline, path, viewed.shortest_s)


def write_webvtt(viewed: ViewedClip, path: Path) -> str:
    """Write WebVTT subtitles."""
    return write_vtt(viewed.timeline, path, viewed.shortest_s)


def write_rerun(viewed: ViewedClip, path: Path) -> str:
    """Write a Rerun recording."""
    return write_rrd(viewed.timeline, path)
