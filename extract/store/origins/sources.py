"""What the tracks of a clip were made from, and whether its media and images are still the same.

A clock and its tracks name their source, a hash of the content of media and images. So that an extraction with nothing
to do need not read them all, the store remembers what the file system said about the files that have this content:

    STORE/media/<clip>.json     the files' names, sizes and times as one hash ("stamp"), the hash of their content

Where the stamp is another one, the content decides. Earlier versions hashed only parts of the content; what they
recorded counts as the same until the store has remembered more.
"""

import json
import re
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from abaw.dataset.clip import Clip
from abaw.dataset.face_images import FaceImages
from abaw.dataset.media_files import Streams
from abaw.files import atomic_write, read_json
from abaw.files.regular import check_regular
from extract.store.origins.fingerprint import fingerprint, old_fingerprint, stamp

# what chosen streams, a part of the file and an assumed frame rate add to a source
CHOICES = re.compile(r"(?: v:\d+)?(?: a:\d+)?(?: from \S+ s)?(?: to \S+ s)?(?: at \S+ fps)?$")
KEYS = ("stamp", "content", "source")


def with_fps(source: str, assumed_fps: float | None) -> str:
    """The source of a clock and its tracks; it includes an assumed frame rate, which changes their times."""
    return source if assumed_fps is None else f"{source} at {assumed_fps} fps"


def without_choices(source: str) -> str:
    """The part of a source that names the content of media and images.

    >>> without_choices("1f0c v:1 at 25.0 fps")
    '1f0c'
    """
    return CHOICES.sub("", source, count=1)


def chosen_streams(source: str) -> Streams:
    """The streams that a source names.

    >>> chosen_streams("1f0c v:1 at 25.0 fps")
    Streams(video=1, audio=None)
    """
    named = {kind: int(index) for kind, index in re.findall(r" ([va]):(\d+)", source)}
    return Streams(named.get("v"), named.get("a"))


class ClipSource:
    """A clip's media and images as they are now; nothing is read before ``text`` or ``content`` is used.

    ``known``: the source that the stored clock names. ``remembered``: the content of the clip's file in STORE/media.
    ``trust_stamp``: files with the stamp that is remembered have the content that is remembered.
    """

    def __init__(
        self,
        clip: Clip,
        images: FaceImages,
        known: str = "",
        remembered: dict[str, str] | None = None,
        *,
        trust_stamp: bool = True,
    ) -> None:
        self._clip, self._images, self._known = clip, images, without_choices(known)
        self._remembered, self._trust_stamp = remembered or {}, trust_stamp
        if clip.media is not None:
            check_regular(clip.media)
        self.stamp = stamp(clip)  # first: a change while the content is read must be seen

    @cached_property
    def content(self) -> str:
        """The hash of the content."""
        if self._trust_stamp and self.is_remembered():
            return self._remembered["content"]
        return fingerprint(self._clip, self._images)

    @cached_property
    def is_of_earlier_version(self) -> bool:
        """Whether the stored clock names a part of this content, as earlier versions did, and no more is known."""
        if self._remembered or not self._known or self._known == self.content:
            return False
        with suppress(OSError):
            return old_fingerprint(self._clip, self._images) == self._known
        return False

    @property
    def text(self) -> str:
        """What clock and tracks of this content name as their source, which includes chosen streams and the part."""
        return " ".join(filter(None, (self.files, str(self._clip.streams), str(self._clip.part))))

    @property
    def files(self) -> str:
        """The part of ``text`` that names the content."""
        if self._remembered.get("content") == self.content:
            return self._remembered["source"]
        return self._known if self.is_of_earlier_version else self.content

    def has_changed(self) -> bool:
        """Whether the files have changed since this object was made. Only the content counts."""
        now = stamp(self._clip)
        if now == self.stamp:
            return False
        if fingerprint(self._clip, self._clip.face_images()) != self.content:
            return True
        self.stamp = now
        return False

    def record(self) -> dict[str, str]:
        """What the store remembers."""
        return {"stamp": self.stamp, "content": self.content, "source": self.files}

    def is_remembered(self) -> bool:
        """Whether the store remembers exactly this."""
        return self._remembered.get("stamp") == self.stamp


class Sources:
    """The sources of a store's clips. ``of_earlier_versions``: the clips taken as unchanged although only parts of
    their files could be compared."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "media"
        self._lock = threading.Lock()
        self.of_earlier_versions: set[str] = set()

    def look(self, clip: Clip, images: FaceImages, known: str = "", *, trust_stamp: bool = True) -> ClipSource:
        """A clip's media and images as they are now. ``known``: the source that its stored clock names."""
        return ClipSource(clip, images, known, self._read(clip.clip_id), trust_stamp=trust_stamp)

    def remember(self, clip_id: str, source: ClipSource) -> None:
        """Remember the files that have this content; nothing is done in a store that can only be read."""
        if source.is_remembered():
            return
        if source.is_of_earlier_version:
            with self._lock:
                self.of_earlier_versions.add(clip_id)
        with suppress(OSError), atomic_write(self.path(clip_id), sync=False) as temporary:
            temporary.write_text(json.dumps(source.record()) + "\n", encoding="utf-8")

    def path(self, clip_id: str) -> Path:
        """Where the files of a clip are remembered."""
        return self._folder / f"{clip_id}.json"

    def _read(self, clip_id: str) -> dict[str, str]:
        """What is remembered about a clip; {} where that is nothing, or the file is damaged."""
        try:
            found = read_json(self.path(clip_id))
        except (ValueError, OSError):
            return {}
        is_sound = isinstance(found, dict) and all(isinstance(found.get(key), str) for key in KEYS)
        return found if is_sound else {}
