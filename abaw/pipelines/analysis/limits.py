"""Limits on media that somebody else has sent: checked from the packets, before a picture or a sound is decoded."""

from dataclasses import dataclass
from pathlib import Path

from abaw.dataset.media_files import MEDIA_SUFFIXES
from abaw.errors import InputError
from abaw.numbers import format_count

MAX_RATE_HZ = 250  # pictures a second, on average
MAX_PICTURE_PX = 40_000_000  # 8K has 33 million


@dataclass(frozen=True)
class MediaLimits:
    """The most that a file may have: bytes, and seconds from its first to its last picture or sound.

    Raises InputError for limits that no file can meet.
    """

    max_bytes: int
    max_length_s: float

    def __post_init__(self) -> None:
        for name, value in (("max_bytes", self.max_bytes), ("max_length_s", self.max_length_s)):
            if not 0 < value < float("inf"):
                raise InputError(f"{name} is {value}, expected more than 0")


def check_limits(path: Path, limits: MediaLimits) -> float:
    """The length of a video or sound file in seconds. Nothing is decoded.

    Raises InputError where the file is larger or longer than allowed, has more or larger pictures than are decoded for
    strangers, or is no video and no sound; NotFoundError where it is missing.
    """
    if path.suffix.lower() not in MEDIA_SUFFIXES:
        raise InputError(f"{path} is neither a video nor a sound file by its name: expected a name such as clip.mp4")
    if path.is_file() and path.stat().st_size > limits.max_bytes:
        raise InputError(
            f"{path} has {path.stat().st_size / 1e6:.1f} MB, expected at most {limits.max_bytes / 1e6:g} MB"
        )
    from extract.media import measure_size

    size = measure_size(path)
    if size.length_s > limits.max_length_s:
        raise InputError(f"{path} is {size.length_s:.1f} s long, expected at most {limits.max_length_s:g} s: cut it")
    if size.num_pictures > (most := limits.max_length_s * MAX_RATE_HZ + 1):
        raise InputError(
            f"{path} has {format_count(size.num_pictures, 'picture')}, expected at most {most:.0f}: cut it"
        )
    if size.width * size.height > MAX_PICTURE_PX:
        raise InputError(
            f"{path} has pictures of {size.width} x {size.height} pixels, expected at most {MAX_PICTURE_PX:,} pixels"
        )
    return size.length_s
