"""Requests to the reading threads, their results, and errors that concern a single clip."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from abaw.dataset.clip import Clip
from abaw.dataset.face_images import FaceImages
from abaw.tracks import Clock, Track
from extract.encoders.base import Encoder
from extract.faces.target import TargetConfig
from extract.losses import ClipLosses
from extract.media import Sound
from extract.store.origins.sources import ClipSource

Send = Callable[[str, np.ndarray | Sound], None]  # takes the folder of a track and what its encoder is to encode
Item = TypeVar("Item")


class ClipError(Exception):
    """The reason why a clip has no tracks, and the stage at which it failed."""

    def __init__(self, stage: str, reason: Exception) -> None:
        # of an unforeseen error the class says more than the text
        super().__init__(
            str(reason) if isinstance(reason, ValueError | OSError) else f"{type(reason).__name__}: {reason}"
        )
        self.stage, self.reason = stage, reason


@dataclass(frozen=True)
class ReadRequest:
    """What to read of a clip.

    ``images``: its face images. ``num_rows``: the number of its label rows. ``encoders``: by the
    folder of their tracks. ``fill``: frames without a face image take the face detected in the video. ``clock``: the
    clip's clock if it is stored already. ``source``: its media and images as they were before they are read.
    ``labels``: the manifest's file of labels that the rows are in. ``rows_hz``: the frame rate of a clip of sound alone
    whose labels need none.
    """

    clip: Clip
    images: FaceImages
    num_rows: int
    encoders: Mapping[str, Encoder]
    target: TargetConfig
    assume_fps: float | None = None
    fill: bool = False
    clock: Clock | None = None
    source: ClipSource | None = None
    labels: Path | None = None
    rows_hz: float | None = None


@dataclass(frozen=True)
class Rows:
    """The times of a track's rows, and which of them were observed and which filled from the video.

    ``metadata``: for encoders with a crop, where the faces come from ("organisers": the face images of the data set,
    "found": detected in the video, or "organisers and filled") and how many images could not be read.
    """

    times_s: np.ndarray
    observed: np.ndarray
    filled: np.ndarray | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundFaces:
    """The faces found in a clip's pictures.

    ``target``: the target's face, one row a picture: left, top, width, height in pixels, person, and 1 where it was
    detected, 0 where it was tracked. ``persons``: one row a face, the target's included: the frame, then the same.
    """

    target: Track
    persons: np.ndarray


@dataclass(frozen=True)
class ReadResult:
    """What reading a clip gave: its clock, the rows of each vision encoder by folder, and the faces found.

    ``facts``: counts of the decoder; empty where the clock was stored before. ``losses``: of what was read.
    """

    clock: Clock
    rows: dict[str, Rows]
    faces: FoundFaces | None
    facts: dict[str, int | float]
    losses: ClipLosses = field(default_factory=ClipLosses)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Turn any error inside into this clip's ``ClipError``, so that one bad clip does not stop the others."""
    try:
        yield
    except ClipError:
        raise
    except Exception as error:
        raise ClipError(name, error) from error


def iterate_in_stage(name: str, items: Iterable[Item]) -> Iterator[Item]:
    """The same items; an error of the iterable itself becomes a ``ClipError``, one in the caller's loop does not."""
    iterator = iter(items)
    while True:
        with stage(name):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
