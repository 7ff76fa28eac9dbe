"""The page of an analysed clip: its media, its sound and its words, with its timeline."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from abaw.dataset.media_files import is_picture
from abaw.views.page.content import Envelope
from abaw.views.page.writing import NO_MEDIA, PageMedia, write_page

if TYPE_CHECKING:
    from abaw.pipelines.viewing.writing import ViewedClip
    from extract.media.info import MediaInfo

RATE_HZ = 8000  # of the sound whose loudness is drawn
STEP_S = 0.01
MAX_PEAKS = 60_000  # beyond, each peak stands for more time: 60 ms in an hour


def write(viewed: "ViewedClip", path: Path) -> str:
    """Write the page of a clip; what its reader must know."""
    media = viewed.clip.media
    info = None if media is None else _probe(viewed, media)
    shown = NO_MEDIA if media is None else _choose_media(viewed, media, info, path)
    envelope = None if info is None or not info.has_sound else measure_envelope(viewed, media)
    write_page(viewed.timeline, path, shown, envelope, ())
    return shown.remark


def _probe(viewed: "ViewedClip", media: Path) -> "MediaInfo":
    from extract.media.info import probe

    streams = viewed.clip.streams
    return probe(media, video_stream=streams.video, audio_stream=streams.audio, assume_fps=viewed.clip.fps)


def _choose_media(viewed: "ViewedClip", media: Path, info: "MediaInfo", page: Path) -> PageMedia:
    kind = "picture" if is_picture(media) else "video" if info.has_video else "sound"
    starts = [each for each in (info.first_picture_s, info.sound_start_s) if np.isfinite(each)]
    address = "" if viewed.embed else link(media, page)
    return PageMedia(kind, address, media if viewed.embed else None, "video/mp4", min(starts, default=0.0))


def link(file: Path, page: Path) -> str:
    """The address of a file, relative to a page."""
    return quote(os.path.relpath(file.absolute(), page.absolute().parent).replace(os.sep, "/"))


def measure_envelope(viewed: "ViewedClip", media: Path) -> Envelope:
    """The highest amplitude of each span of the sound, at least 10 ms each."""
    from extract.media.audio import sounds

    sound = sounds(media, [RATE_HZ], viewed.folder, audio_stream=viewed.clip.streams.audio, part=viewed.clip.part)[
        RATE_HZ
    ]
    duration_s = len(sound.samples) / RATE_HZ
    step_s = max(STEP_S, duration_s / MAX_PEAKS)
    width = max(1, round(step_s * RATE_HZ))
    starts = np.arange(0, len(sound.samples), width)
    peaks = [float(np.abs(sound.samples[first : first + width]).max()) for first in starts]
    return Envelope(sound.start_s, width / RATE_HZ, np.array(peaks))
