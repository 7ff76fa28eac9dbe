"""The contract of an encoder: frozen, never opens a media file, owns its preprocessing."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from abaw.tracks import Track, empty_track
from extract.faces.geometry import Crop
from extract.media import Rgb, Sound


class Encoder(ABC):
    """``modality`` is "vision", "audio" or "text"; ``dim`` the width of a row."""

    modality: str
    dim: int

    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """JSON, enough to rebuild the encoder and everything that can change a number.

        ``encoder`` (its registered name), ``settings`` (its builder's arguments but those that change no number),
        ``version`` (of its code: raised when its numbers change) and whatever identifies its weights.
        """


class PictureEncoder(Encoder):
    """One row for every ``span`` pictures, a new one each ``stride`` pictures; ``batch_size`` rows at a time.

    ``crop``: the square of the face it wants; None: the whole picture. A row is of the moment midway between its
    first and its last picture; it is observed where all its pictures are. ``may_miss``: a row all nan says that this
    encoder found nothing in the picture (no landmarks, say), which makes the row unobserved; of any other encoder a
    value that is not finite is refused.
    """

    modality = "vision"
    crop: Crop | None
    batch_size: int
    span: int = 1
    stride: int = 1
    may_miss: bool = False

    @abstractmethod
    def prepare(self, pictures: Sequence[Rgb]) -> np.ndarray:
        """From the pictures of one or more rows (``span`` each, in order) to what ``forward`` takes, stacked by row.

        Called in reading threads, several at once: it must not change the encoder.
        """

    @abstractmethod
    def forward(self, batch: np.ndarray) -> Float[np.ndarray, "batch dim"]:
        """The rows, float32. Called in one thread."""


class SoundEncoder(Encoder):
    """A track at the encoder's own rate; a row's time is the centre of its receptive field."""

    modality = "audio"
    rate_hz: int

    @abstractmethod
    def encode(self, sound: Sound) -> Iterator[Track]:
        """The track in consecutive pieces, so that four hours take no more memory than a minute.

        ``sound.samples`` may lie on disk: slices are read, never the whole. Times are container time, as
        ``sound.start_s``. Sound shorter than a receptive field gives no rows. Called in one thread.
        """


def joined(pieces: Iterable[Track], dim: int) -> Track:
    """The whole track of consecutive pieces; none: a track without rows."""
    tracks = [empty_track(dim), *pieces]
    values, times_s, observed = (
        np.concatenate([getattr(track, name) for track in tracks]) for name in ("values", "times_s", "observed")
    )
    return Track(values, times_s, observed)
