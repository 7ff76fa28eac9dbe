"""The media of a clip as the analysis read them, and whether browsers play them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from abaw.dataset.media_files import is_picture
from abaw.numbers import format_count
from abaw.pipelines.viewing.writing import ViewedClip

if TYPE_CHECKING:
    from extract.media.writing import VideoSource


def media_of(viewed: ViewedClip) -> "VideoSource | None":
    """The media file of a clip with the streams, the part and the frame rate of the analysis; None without one."""
    from extract.media.writing import VideoSource

    clip = viewed.clip
    if clip.media is None:
        return None
    times_s = viewed.timeline.times_s
    # used for a raw stream alone, which has no time stamps: its frames were counted at an even rate
    fps = clip.fps or (float(1 / np.median(np.diff(times_s))) if len(times_s) > 1 else None)
    return VideoSource(clip.media, clip.streams, clip.part, fps)


def find_fault(viewed: ViewedClip) -> str:
    """Why some browser cannot play the media of a clip as they were analysed; "" where all can, and without media."""
    from extract.media.writing import find_playback_fault

    source = media_of(viewed)
    if source is None or is_picture(Path(source.path)):
        return ""
    decoded = viewed.store.clock(viewed.clip.clip_id).decoded
    if source.has_pictures and not decoded.all():
        return f"{format_count(int((~decoded).sum()), 'frame')} cannot be decoded"
    return find_playback_fault(source)
