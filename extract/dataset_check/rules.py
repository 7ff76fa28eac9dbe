"""What one clip shows, and what of it will hurt: one small rule a trap."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

NAME_FPS = re.compile(r"\d+-(\d+)-\d+x\d+(?!\d)")
MAX_FPS_OFF = 0.5  # 29.97 is called 30
MAX_SOUND_OFF_S = 0.5


@dataclass(frozen=True)
class Finding:
    """A trap that is there: ``clip`` is None where it is of the whole data set or of a file."""

    code: str
    clip: str | None
    words: str
    advice: str


@dataclass(frozen=True)
class ClipFacts:
    """What is on disk for one clip; None: not there, or not known.

    ``num_frames`` are the pictures its video announces, ``sound_late_s`` and ``sound_short_s`` what the sound lacks at
    the start and the end. ``num_gaps`` spans without an image hold ``num_missing`` frames below ``last_image``.
    ``label_rows`` and ``scored_without_image`` are by task; ``mates`` the other clips of the same video.
    """

    clip: str
    media: str | None = None
    media_error: str | None = None
    mates: tuple[str, ...] = ()
    is_base: bool = False
    has_video: bool = False
    has_sound: bool = False
    fps: float | None = None
    is_variable: bool | None = None
    num_frames: int | None = None
    width: int = 0
    height: int = 0
    rotation_deg: int = 0
    sound_late_s: float | None = None
    sound_short_s: float | None = None
    images: str | None = None
    num_images: int | None = None
    last_image: int | None = None
    num_gaps: int = 0
    num_missing: int = 0
    label_rows: dict[str, int] = field(default_factory=dict)
    scored_without_image: dict[str, int] = field(default_factory=dict)

    @property
    def frames_seen(self) -> int:
        """As many frames as video and images speak of."""
        return max(self.num_frames or 0, self.last_image or 0)


def findings(clip: ClipFacts) -> Iterator[Finding]:
    """Everything that will hurt with this clip."""
    for code, (rule, advice) in RULES.items():
        for words in rule(clip):
            yield Finding(code, clip.clip, words, advice)


def _unreadable_media(clip: ClipFacts) -> Iterator[str]:
    if clip.media_error:
        yield clip.media_error


def _nothing_to_see(clip: ClipFacts) -> Iterator[str]:
    if clip.media is None and clip.images is None:
        yield "named by labels or a test list; there is neither a video nor a folder of images"


def _no_media(clip: ClipFacts) -> Iterator[str]:
    if clip.media is None and clip.images is not None:
        yield "images only: no video, so no times and no sound"


def _no_picture(clip: ClipFacts) -> Iterator[str]:
    if clip.media and not clip.media_error and not clip.has_video:
        yield f"{clip.media} is sound alone"


def _no_images(clip: ClipFacts) -> Iterator[str]:
    if clip.has_video and clip.images is None:
        yield "a video without a folder of face images"


def _label_rows(clip: ClipFacts) -> Iterator[str]:
    for task, num_rows in clip.label_rows.items():
        last = clip.last_image or 0
        if (clip.num_frames is not None and num_rows != clip.num_frames) or num_rows < last:
            video = "no video" if clip.num_frames is None else f"{clip.num_frames} frames in the video"
            yield f"{num_rows} label rows for {task}, {video}, last image {last or 'none'}"


def _images_beyond(clip: ClipFacts) -> Iterator[str]:
    if clip.num_frames is not None and clip.last_image is not None and clip.last_image > clip.num_frames:
        yield f"last image {clip.last_image}, {clip.num_frames} frames in the video"


def _labelled_without_image(clip: ClipFacts) -> Iterator[str]:
    for task, num in clip.scored_without_image.items():
        if num:
            yield f"{num} scored frame{'s' * (num > 1)} for {task} without an image"


def _fps_in_name(clip: ClipFacts) -> Iterator[str]:
    match = NAME_FPS.match(clip.clip)
    if match and clip.fps is not None and abs(clip.fps - int(match[1])) > MAX_FPS_OFF:
        yield f"the name says {match[1]} fps, the file {clip.fps:.2f}"


def _variable_rate(clip: ClipFacts) -> Iterator[str]:
    if clip.is_variable and clip.fps is not None:
        yield f"frames are not evenly spaced (mostly {clip.fps:.2f} fps)"


def _no_sound(clip: ClipFacts) -> Iterator[str]:
    if clip.has_video and not clip.has_sound:
        yield "the video has no sound"


def _sound_late(clip: ClipFacts) -> Iterator[str]:
    if clip.sound_late_s is not None and clip.sound_late_s > MAX_SOUND_OFF_S:
        yield f"sound starts {clip.sound_late_s:.2f} s after the first picture"


def _sound_short(clip: ClipFacts) -> Iterator[str]:
    if clip.sound_short_s is not None and clip.sound_short_s > MAX_SOUND_OFF_S:
        yield f"sound ends {clip.sound_short_s:.2f} s before the last picture"


def _rotated(clip: ClipFacts) -> Iterator[str]:
    if clip.rotation_deg:
        yield f"shown turned by {clip.rotation_deg} degrees"


def _two_subjects(clip: ClipFacts) -> Iterator[str]:
    if clip.mates:
        yield f"shares {clip.media} with {', '.join(clip.mates)}"


def _one_side_only(clip: ClipFacts) -> Iterator[str]:
    if clip.is_base and len(clip.mates) == 1:
        yield f"the video's own name and {clip.mates[0]}; the other side is not named"


# In the order in which they are told: what stops work first, what is only good to know last.
RULES: dict[str, tuple[Callable[[ClipFacts], Iterator[str]], str]] = {
    "unreadable_media": (_unreadable_media, "get the file again; extraction lists the clip as failed and goes on"),
    "nothing_to_see": (_nothing_to_see, "add the video or the images, or take the name out of the list"),
    "no_media": (_no_media, "extraction needs --assume-fps for their clock"),
    "no_picture": (_no_picture, "extraction needs --assume-fps for their clock; only the voice is used"),
    "no_images": (_no_images, "faces will be found in the video; for two subjects the left or right one is taken"),
    "label_rows": (_label_rows, "row i is frame i; the clock is as long as the longest, the rest is unscored"),
    "images_beyond": (_images_beyond, "frames past the video's end get times at the median interval"),
    "labelled_without_image": (_labelled_without_image, "they count in the score and are predicted from what is near"),
    "fps_in_name": (_fps_in_name, "names are never used for time; do not compute times from them yourself"),
    "variable_rate": (_variable_rate, "use seconds, not frame counts, wherever you compute times yourself"),
    "no_sound": (_no_sound, "sound features are marked as not observed there"),
    "sound_late": (_sound_late, "the time before is marked as not observed"),
    "sound_short": (_sound_short, "the time after is marked as not observed"),
    "rotated": (_rotated, "pictures are turned upright on decoding; other tools may not do so"),
    "two_subjects": (_two_subjects, "keep clips of one video in one fold; they hear the same sound"),
    "one_side_only": (_one_side_only, "the base name is a person of its own, not the whole video"),
}
