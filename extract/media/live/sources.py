"""Where pictures and sound come from while they are analysed: the common interface, and a file as such a source."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from abaw.dataset.media_files import Streams
from extract.media.audio import sound_frames
from extract.media.audio_buffer import SoundFrame
from extract.media.container import DecodeCounts, MediaError
from extract.media.info import num_streams
from extract.media.mono import Mixer
from extract.media.video import Picture, pictures


class LiveSource(ABC):
    """Pictures and sound on one time axis. Each of the two is read once, in a thread of its own.

    ``name``: as users call it. ``is_recorded``: everything is there at once, so that a reader must hold it back to play
    it in real time. ``counts``: what was lost of the pictures. ``remarks``: what else the user must know.
    """

    name: str
    has_sound: bool
    is_recorded: bool

    def __init__(self) -> None:
        self.counts = DecodeCounts()

    @abstractmethod
    def pictures(self) -> Iterator[Picture]:
        """The pictures, in order."""

    @abstractmethod
    def sound(self) -> Iterator[SoundFrame]:
        """The sound, mono, at its own rate; nothing where ``has_sound`` is False."""

    def remarks(self) -> list[str]:
        """A line for each thing that the user must know of the source, once it was read."""
        return []

    def close(self) -> None:  # noqa: B027  a file is closed where its iterators end
        """Release the devices."""


class FileSource(LiveSource):
    """A media file, with the pictures, the sound and the timestamps that an extraction reads.

    Raises NotFoundError, and MediaError where it cannot be read, or has no pictures.
    """

    is_recorded = True

    def __init__(
        self, path: str | os.PathLike, streams: Streams | None = None, assume_fps: float | None = None
    ) -> None:
        super().__init__()
        self._path, self._streams, self._fps = Path(path), streams or Streams(), assume_fps
        self.name = str(path)
        num_videos, num_sounds = num_streams(self._path)
        self.has_sound = num_sounds > 0
        if not num_videos:
            raise MediaError(
                f"{path} has no pictures, and a live analysis predicts once for each: give a video, or analyze the "
                "sound with abaw analyze"
            )
        self._mixer = Mixer()

    def pictures(self) -> Iterator[Picture]:
        return pictures(self._path, self.counts, self._streams.video, self._fps)

    def sound(self) -> Iterator[SoundFrame]:
        return sound_frames(self._path, self._mixer.mix, DecodeCounts(), self._streams.audio)

    def remarks(self) -> list[str]:
        if not self._mixer.loudest:
            return []
        return [
            f"the channels of {self.name} cancel each other out when they are mixed, which only the whole sound shows: "
            f"abaw analyze takes the channel {self._mixer.loudest} alone"
        ]
