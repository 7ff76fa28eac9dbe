"""The overlay video: a clip's own pictures and sound, with what the analysis says of each frame drawn on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from abaw.errors import InputError
from abaw.pipelines.viewing.media import media_of
from abaw.pipelines.viewing.writing import ViewedClip
from abaw.views.drawing.drawer import Drawer
from abaw.views.drawing.scene import Scenes

if TYPE_CHECKING:
    from extract.media import Picture, Rgb

MAX_OFF_S = 1e-6  # between the time of a picture and that of its row


def write_overlay(viewed: ViewedClip, path: Path) -> str:
    """Write the overlay video of a clip: the same frames at the same times, its sound in step; a remark, or "".

    Nothing is written of a clip without pictures, and an overlay of before is removed. Raises InputError where the
    media file has changed since it was analysed.
    """
    from fractions import Fraction

    from extract import media
    from extract.media.writing import write_mp4
    from extract.media.writing.mp4 import PictureTiming

    source, clip, timeline = media_of(viewed), viewed.clip, viewed.timeline
    if source is not None and source.has_pictures:
        pictures, timing, sound = source.pictures(), source.timing, source.sound
    elif clip.is_series:
        pictures = media.pictures_of_series(clip.face_images(), timeline.times_s)
        interval_s = float(timeline.stops_s[-1] - timeline.times_s[-1])
        timing, sound = PictureTiming(Fraction(1, 90_000), interval_s), None
    else:
        path.unlink(missing_ok=True)
        return "there is no picture to draw on, so no video was written"
    written = write_mp4(path, _drawn(viewed, pictures), timing, sound, comment=" | ".join(timeline.sources))
    remarks = []
    if written.offset_s:
        remarks.append(
            f"0 s of the video are {float(written.offset_s):g} s of {source.path if source else clip.images}"
        )
    if written.sound_gaps_s:
        remarks.append(f"{written.sound_gaps_s:.1f} s of sound that cannot be decoded are silent")
    if written.num_pictures < len(timeline.times_s):
        remarks.append(f"the last {len(timeline.times_s) - written.num_pictures} frames have no picture")
    return "; ".join(remarks)


def _drawn(viewed: ViewedClip, pictures: "Iterator[Picture]") -> "Iterator[tuple[float, Rgb]]":
    """The pictures of a clip with what its timeline says drawn on them."""
    from extract.media.writing.proxy import held_pictures

    timeline, scenes = viewed.timeline, Scenes(viewed.timeline)
    drawer: Drawer | None = None
    for row, (time_s, picture, is_own) in enumerate(held_pictures(pictures)):
        if row >= len(timeline.times_s) or abs(time_s - timeline.times_s[row]) > MAX_OFF_S:
            raise InputError(
                f"{viewed.clip.media or viewed.clip.images} has changed since it was analysed: analyze it again"
            )
        viewed.progress(f"frames of the overlay of {viewed.clip.clip_id}", row, len(timeline.times_s))
        height, width, _ = picture.shape
        if drawer is None or (drawer.height, drawer.width) != (height, width):
            drawer = Drawer(height, width)
        drawn = picture.copy()  # one that cannot be decoded is followed by the same picture again
        drawer.draw(drawn, scenes.at(row, "" if is_own else f"frame {row + 1} cannot be decoded"))
        yield time_s, drawn
