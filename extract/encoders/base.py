"""The contract of an encoder: frozen, never opens a media file, owns its preprocessing."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from abaw.tracks import Track
from extract.faces import Crop
from extract.media import Rgb, Sound


class Encoder(ABC):
    """``modality`` is "vision" or "audio"; ``dim`` the width of a row."""

    modality: str
    dim: int

    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """JSON, enough to rebuild the encoder and everything that can change a number.

        ``encoder`` (its registered name), ``settings`` (its builder's arguments but those that change no number),
        ``version`` (of its code: raised when its numbers change) and whatever identifies its weights.
        """


class PictureEncoder(Encoder):
    """One row per picture, ``batch_size`` at a time. ``crop``: the square of the face it wants; None: the picture."""

    modality = "vision"
    crop: Crop | None
    batch_size: int

    @abstractmethod
    def prepare(self, pictures: Sequence[Rgb]) -> np.ndarray:
        """From pictures (crops where ``crop`` is set) to what ``forward`` takes, stacked."""

    @abstractmethod
    def forward(self, batch: np.ndarray) -> Float[np.ndarray, "batch dim"]: ...


class SoundEncoder(Encoder):
    """A track at the encoder's own rate; a row's time is the centre of its receptive field."""

    modality = "audio"
    rate_hz: int

    @abstractmethod
    def encode(self, sound: Sound) -> Track:
        """Container time, as ``sound.start_s``. Sound shorter than a receptive field gives no rows."""
