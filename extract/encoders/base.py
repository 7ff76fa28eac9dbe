"""The interface of an encoder: a frozen network or signal processing that turns pictures or sound into feature rows.

An encoder is one file in ``extract/encoders`` or a user's plug-in. The file contains

- the builder, a function decorated with ``@ENCODERS.register``. Its keyword-only arguments are the settings; ``device``
  and ``download`` are handed over by the extraction where the builder takes them;
- ``FACTS``, a literal: ``modality``, ``dim`` (None where it depends on the settings), ``built_in`` (True where it needs
  neither weights nor an optional package), ``licence``, ``size_mb`` (of the download; None where it depends);
- ``examples()``, where the defaults do not suffice to build it: a list of settings (dicts) that the contract tests
  (tests/contracts/test_encoders.py) run it with. A value may be ``TinyWeights`` (extract/networks/tiny): the tests
  write these random weights and pass their path. The tests add, to the first example, each value of a setting of
  type ``bool`` or ``Literal`` that no example has.

An encoder never opens a media file and never changes its weights. It does its own preprocessing.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from abaw.errors import InputError
from abaw.tracks import Track, empty_track
from extract.faces.geometry import Crop
from extract.media import Rgb, Samples, Sound


class Encoder(ABC):
    """``modality`` is "vision", "audio" or "text"; ``dim`` is the number of values in a row."""

    modality: str
    dim: int

    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """Everything that can change a value, as JSON, enough to rebuild the encoder.

        ``encoder`` (its registered name), ``settings`` (its builder's arguments, without those that change no value),
        ``version`` (of its code: raised when its values change) and the hashes of its weights.
        """


class PictureEncoder(Encoder):
    """Computes one row from every ``span`` pictures, a new one each ``stride`` pictures, ``batch_size`` rows at a time.

    ``crop`` is the square of the face that it takes, None for the whole picture. A row's time is midway between its
    first and its last picture; it is observed where all its pictures are. With ``may_miss`` a row of nan means that
    the encoder found nothing in the picture (no landmarks, for example) and is stored as unobserved. From any other
    encoder a value that is not finite is an error.
    """

    modality = "vision"
    crop: Crop | None
    batch_size: int
    span: int = 1
    stride: int = 1
    may_miss: bool = False

    @abstractmethod
    def prepare(self, pictures: Sequence[Rgb]) -> np.ndarray:
        """The input of ``forward`` for the pictures of one or more rows (``span`` each, in order), stacked by row.

        Called in several reading threads at the same time: it must not change the encoder.
        """

    @abstractmethod
    def forward(self, batch: np.ndarray) -> Float[np.ndarray, "batch dim"]:
        """The rows, float32. Called in one thread."""


class SoundSteps(ABC):
    """Encodes one sound as it arrives; a row is given as soon as no later sample can change it."""

    @abstractmethod
    def add(self, samples: Samples) -> Track:
        """The rows that the next samples complete."""

    @abstractmethod
    def finish(self) -> Track:
        """The rows that are left, as ``encode`` gives them at the end of a sound."""


class SoundEncoder(Encoder):
    """Computes a track at the encoder's own rate; a row's time is the centre of its receptive field.

    A causal recurrent network has no such field: a row's time is the centre of the last input that it depends on.
    ``rate_hz`` is the sampling rate of the sound that it takes. ``look_ahead_s``: how far after its time a row depends
    on the sound; None: on any of it, or that is not known. Where it is known, ``steps`` encodes sound as it arrives.
    """

    modality = "audio"
    rate_hz: int
    look_ahead_s: float | None = None

    def steps(self, start_s: float) -> SoundSteps:
        """Encodes sound that starts at ``start_s`` as it arrives, with the numbers of ``encode``.

        Raises InputError where rows depend on sound that comes much later, or the encoder has no such form.
        """
        name = self.recipe()["encoder"]
        raise InputError(f"{name} cannot encode sound as it arrives: its rows depend on the whole sound")

    @abstractmethod
    def encode(self, sound: Sound) -> Iterator[Track]:
        """The track in consecutive pieces, so that four hours take no more memory than a minute.

        ``sound.samples`` may be mapped from a file: read slices, never the whole. Times are in container time, like
        ``sound.start_s``. Sound shorter than a receptive field gives no rows. Called in one thread. Rows in
        ``sound.gaps_s``, where nothing was decoded, are marked as unobserved by the extraction afterwards.
        """


def joined(pieces: Iterable[Track], dim: int) -> Track:
    """The whole track of consecutive pieces; a track without rows where there are none."""
    tracks = [empty_track(dim), *pieces]
    values, times_s, observed = (
        np.concatenate([getattr(track, name) for track in tracks]) for name in ("values", "times_s", "observed")
    )
    return Track(values, times_s, observed)
