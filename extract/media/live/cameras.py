"""A camera and a microphone as a source of pictures and sound."""

import sys
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

import av

from abaw.errors import NotFoundError
from extract.media.audio_buffer import SoundFrame
from extract.media.container import MediaError
from extract.media.live.sources import LiveSource
from extract.media.mono import Mixer
from extract.media.video import Picture

# FFmpeg's input formats for devices, and the microphone that is taken where none is named
FORMATS = {
    "linux": ("v4l2", ("pulse", "alsa")),
    "darwin": ("avfoundation", ("avfoundation",)),
    "win32": ("dshow", ("dshow",)),
}
MICROPHONES = {"linux": "default", "darwin": ":default", "win32": ""}
NONE = "none"  # in place of a microphone's name


class CameraSource(LiveSource):
    """A camera by its number or path ("0", "/dev/video0"; on Windows its name), and a microphone by its name.

    ``microphone``: None takes the system's own, "none" takes no sound. Stamps of the two devices come from different
    clocks, so each begins at the time at which its first picture or sound arrived. Raises NotFoundError where the
    camera, or a microphone that was named, cannot be opened. A camera that stops is an error, a microphone a remark.
    """

    is_recorded = False

    def __init__(self, camera: str, microphone: str | None = None) -> None:
        super().__init__()
        self._start_s = time.monotonic()
        self.name = f"camera {camera}"
        self._notes: list[str] = []
        format_name, sound_formats = FORMATS.get(sys.platform, FORMATS["linux"])
        device = _device_of(camera)
        try:
            self._video: Any = av.open(device, format=format_name)
        except (av.FFmpegError, ValueError, OSError) as error:
            known = ", ".join(sorted(glob("/dev/video*"))) or "none is connected"
            where = f" (cameras of this machine: {known})" if sys.platform == "linux" else ""
            raise NotFoundError(
                f"no camera {device} can be opened with {format_name}: {_reason(error)}{where}: connect one, name "
                "another with --camera, or give a video file"
            ) from error
        self._audio: Any = None
        if microphone != NONE:
            self._audio = self._open_microphone(microphone, sound_formats)
        self.has_sound = self._audio is not None

    def _open_microphone(self, microphone: str | None, formats: tuple[str, ...]) -> Any:
        device, reasons = microphone or MICROPHONES.get(sys.platform, "default"), []
        for format_name in [name for name in formats if name in av.formats_available]:
            try:
                return av.open(device, format=format_name)
            except (av.FFmpegError, ValueError, OSError) as error:
                reasons.append(f"{format_name}: {_reason(error)}")
        text = f"no microphone {device!r} can be opened ({'; '.join(reasons) or 'FFmpeg has no input for one here'})"
        if microphone is not None:
            self.close()
            raise NotFoundError(f"{text}: name another with --microphone, or none for no sound")
        self._notes.append(f"{text}: nothing is heard")
        return None

    def pictures(self) -> Iterator[Picture]:
        stream, anchor = self._video.streams.video[0], _Anchor(self._start_s)
        try:
            for frame in self._video.decode(stream):
                self.counts.num_decoded += 1
                yield Picture(anchor.place(frame.time, 0.0), frame, stream.sample_aspect_ratio)
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self.name} stopped ({_reason(error)}): connect it, then start again") from error

    def sound(self) -> Iterator[SoundFrame]:
        if self._audio is None:
            return
        mixer, anchor = Mixer(), _Anchor(self._start_s)
        try:
            for frame in self._audio.decode(self._audio.streams.audio[0]):
                length_s = frame.samples / frame.sample_rate
                yield SoundFrame(mixer.mix(frame), frame.sample_rate, anchor.place(frame.time, length_s))
        except (av.FFmpegError, OSError) as error:
            stopped_s = time.monotonic() - self._start_s
            self._notes.append(
                f"the microphone stopped after {stopped_s:.0f} s ({_reason(error)}): nothing is heard since"
            )

    def remarks(self) -> list[str]:
        return self._notes

    def close(self) -> None:
        """Close the camera; a microphone is closed where its reader ends."""
        self._video.close()


class _Anchor:
    """Puts a device's stamps on the time axis of the source: the first one at the time of its arrival."""

    def __init__(self, start_s: float) -> None:
        self._start_s, self._last_s = start_s, -1.0
        self._shift_s: float | None = None

    def place(self, stamp_s: float | None, length_s: float) -> float:
        """The time of what has just arrived and lasted ``length_s``; later than the one before."""
        arrived_s = time.monotonic() - self._start_s - length_s
        if self._shift_s is None:
            self._shift_s = arrived_s - (stamp_s or 0.0)
        placed_s = arrived_s if stamp_s is None else stamp_s + self._shift_s
        self._last_s = max(placed_s, self._last_s + 1e-6)
        return self._last_s


def _device_of(camera: str) -> str:
    """The name of a device that FFmpeg opens."""
    if sys.platform == "linux" and camera.isdecimal():
        return f"/dev/video{camera}"
    if sys.platform == "win32" and not camera.startswith("video="):
        return f"video={camera}"
    return camera


def is_camera(text: str) -> bool:
    """Whether a text names a camera and not a file: a number, or a device of video."""
    return text.isdecimal() or text.startswith("video=") or Path(text).parent == Path("/dev")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error).lower()
