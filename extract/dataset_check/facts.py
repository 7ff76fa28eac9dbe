"""What ``abaw check`` knows about one clip, and what it finds."""

from dataclasses import dataclass, field
from pathlib import Path

from abaw.dataset.media_files import is_picture
from extract.losses import ClipLosses


@dataclass(frozen=True)
class Finding:
    """What was found and what to do about it; ``clip`` is None where it concerns a file or the whole data set."""

    code: str
    clip: str | None
    message: str
    advice: str


@dataclass(frozen=True)
class ClipFacts:
    """What is on disk for one clip; None: it is not there, or not known.

    ``num_frames``: frames that its video announces. ``sound_late_s`` and ``sound_short_s``: how much later than the
    video its sound begins, and how much earlier it ends. ``num_gaps`` gaps between its images hold ``num_missing``
    frames before ``last_image``. ``label_rows`` and ``scored_without_image``: by task. ``others_in_video``: the other
    clips of the same video. ``has_video_name``: its name is that of the video, without ``_left`` or ``_right``.
    ``is_renamed``: its name holds a folder's or a suffix, because other files have the same name. ``unused``: files
    beside its media that are not read. ``video_stream`` and ``audio_stream``: the streams that are read. ``problem``:
    why nothing of it can be read. ``num_mended``, ``num_joins``, ``announced_s``, ``readable_s``, ``num_announced``,
    ``num_missing_bytes`` and ``counted_fps`` (None for nan): as in ``MediaInfo``. ``is_silent``: nothing is audible.
    ``channel``: the channel of the sound that is taken because its channels cancel each other out. Of its images
    ``num_empty`` hold nothing, ``num_damaged`` are cut off or no images, and ``unread`` have names that give no frame,
    or one that has another image. ``first_image``: the number of the image of frame 1.
    ``is_counted``: frames are the places of the images in the order of their names. ``is_own``: the clip is
    of a manifest, which names and splits clips itself. ``end_s``: when its file ends. ``losses``: what is lost, as far
    as packets, names and the ends of images show.
    """

    clip: str
    media: str | None = None
    media_error: str | None = None
    problem: str = ""
    others_in_video: tuple[str, ...] = ()
    has_video_name: bool = False
    is_renamed: bool = False
    unused: tuple[str, ...] = ()
    has_video: bool = False
    has_sound: bool = False
    fps: float | None = None
    is_variable: bool | None = None
    num_frames: int | None = None
    width: int = 0
    height: int = 0
    rotation_deg: int = 0
    num_video_streams: int = 0
    num_audio_streams: int = 0
    video_stream: int | None = None
    audio_stream: int | None = None
    pixel_aspect: float = 1.0
    hdr: str = ""
    num_mended: int = 0
    num_joins: int = 0
    announced_s: float = 0.0
    readable_s: float = 0.0
    num_announced: int = 0
    num_missing_bytes: int = 0
    counted_fps: float | None = None
    is_silent: bool = False
    channel: str = ""
    sound_late_s: float | None = None
    sound_short_s: float | None = None
    images: str | None = None
    image_error: str = ""
    num_images: int | None = None
    last_image: int | None = None
    num_empty: int = 0
    num_damaged: int = 0
    unread: tuple[str, ...] = ()
    first_image: int = 1
    is_counted: bool = False
    num_gaps: int = 0
    num_missing: int = 0
    label_rows: dict[str, int] = field(default_factory=dict)
    scored_without_image: dict[str, int] = field(default_factory=dict)
    is_own: bool = False
    end_s: float | None = None
    losses: ClipLosses = field(default_factory=ClipLosses)

    @property
    def is_still(self) -> bool:
        """Whether its medium is a still picture."""
        return self.media is not None and is_picture(Path(self.media))

    @property
    def last_frame(self) -> int:
        """The number of the last frame in the video or among the images, whichever is later."""
        return max(self.num_frames or 0, self.last_image or 0)
