"""Features of each frame as it arrives, by the encoders, the face tracking and the alignment of an extraction."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract import align
from extract.encoders.base import PictureEncoder, SoundEncoder, SoundSteps
from extract.engine.batching import is_outside
from extract.engine.live.arrivals import Arrival, Arrivals, SoundPiece
from extract.engine.live.tails import TrackTail
from extract.engine.plan import EncoderSpec
from extract.engine.streams import picture_for
from extract.faces.geometry import Face
from extract.faces.target import TargetConfig
from extract.media import Rgb
from extract.media.live.sources import LiveSource
from extract.store.track_file import ROUNDED_TO

ROUNDING_S = 1e-3  # added to how long sound is waited for: times are rounded


@dataclass(frozen=True)
class AlignedTrack:
    """A track that is wanted at the frame timestamps: of which encoder, and how it is aligned."""

    spec: EncoderSpec
    aligner: Callable[..., align.Plan]
    max_gap_s: float


@dataclass(frozen=True)
class LiveFrame:
    """A frame and its features. ``number`` counts from 1; ``arrived_s``: on the machine's monotonic clock.

    ``is_dropped``: it came too late and was not looked at. ``rgb``: the picture, None where it was dropped or could not
    be decoded. ``face``: the target's, among all ``faces``. ``rows``: name -> the aligned row. ``heard``: all rows of
    the tracks named by ``watched`` that are kept. ``parts_s``: seconds that each part took.
    """

    number: int
    time_s: float
    arrived_s: float
    is_dropped: bool
    rgb: Rgb | None
    face: Face | None
    faces: Sequence[Face]
    rows: Mapping[str, Track]
    heard: Mapping[str, Track]
    parts_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    """A picture that was looked at, its faces, and ``at_s``: when, on the machine's monotonic clock."""

    arrival: Arrival
    is_dropped: bool
    rgb: Rgb | None
    face: Face | None
    faces: Sequence[Face]
    parts_s: Mapping[str, float]
    at_s: float


class LiveExtraction:
    """Encodes what arrives from a source. ``tracks``: by their names; ``watched``: name -> encoder and seconds to keep.

    The target must be one that is chosen picture by picture, and encoders of sound must know how far they look ahead.
    """

    def __init__(
        self,
        source: LiveSource,
        tracks: Mapping[str, AlignedTrack],
        watched: Mapping[str, tuple[EncoderSpec, float]],
        target: TargetConfig,
        *,
        real_time: bool,
    ) -> None:
        self._tracks, self._watched, self.real_time = tracks, watched, real_time or not source.is_recorded
        specs = {_key(spec, target): spec for spec in self._specs()}
        self._key_of = {name: _key(each.spec, target) for name, each in tracks.items()}
        self._key_of |= {name: _key(spec, target) for name, (spec, _) in watched.items()}
        keep_s = {key: max(self._keeps_s(key)) for key in specs}
        self._tails = {
            key: TrackTail(spec.encoder.dim, ROUNDED_TO[spec.stored_dtype], keep_s[key]) for key, spec in specs.items()
        }
        self._of_pictures = {k: each for k, s in specs.items() if isinstance(each := s.encoder, PictureEncoder)}
        self._of_sound = {k: each for k, s in specs.items() if isinstance(each := s.encoder, SoundEncoder)}
        self._names = {key: spec.name for key, spec in specs.items()}
        self._steps: dict[str, SoundSteps] = {}
        takes_faces = any(encoder.crop is not None for encoder in self._of_pictures.values())
        self._selector = target.make_selector(None, None) if takes_faces else None
        self.delay_s = max([look_ahead_s(each) + ROUNDING_S for each in self._of_sound.values()], default=0.0)
        rates_hz = {encoder.rate_hz for encoder in self._of_sound.values()}
        self.arrivals = Arrivals(source, rates_hz, real_time=real_time, delay_s=self.delay_s)

    def _specs(self) -> Iterator[EncoderSpec]:
        return chain((each.spec for each in self._tracks.values()), (spec for spec, _ in self._watched.values()))

    def _keeps_s(self, key: str) -> Iterator[float]:
        for name, own in self._key_of.items():
            if own == key:
                yield self._tracks[name].max_gap_s if name in self._tracks else self._watched[name][1]

    def warm_up(self, target: TargetConfig) -> LiveFrame:
        """Use everything once, because networks and libraries are loaded when they are first used.

        Returns a frame in which nothing is observed.
        """
        black = np.zeros((240, 320, 3), np.uint8)
        if self._selector is not None:
            target.make_selector(None, None).select(0.0, black)
        for encoder in self._of_pictures.values():
            size_px = 64 if encoder.crop is None else encoder.crop.size_px
            encoder.forward(encoder.prepare([np.zeros((size_px, size_px, 3), np.uint8)]))
        for listener in self._of_sound.values():
            listener.steps(0.0).add(np.zeros(2 * listener.rate_hz, np.float32))
        rows = {
            name: Track(np.zeros((1, each.spec.encoder.dim), np.float32), np.zeros(1), np.zeros(1, bool))
            for name, each in self._tracks.items()
        }
        heard = {name: self._tails[self._key_of[name]].rows for name in self._watched}
        return LiveFrame(1, 0.0, 0.0, False, black, None, (), rows, heard)

    def frames(self) -> Generator[LiveFrame, None, None]:
        """The frames as they arrive, dropped ones included, until the source ends or the caller stops.

        Faces of a picture are detected while the frame before it waits for its sound and is predicted.
        """
        with ThreadPoolExecutor(1) as ahead, self.arrivals:
            coming = ahead.submit(self._look)
            while seen := coming.result():
                coming = ahead.submit(self._look)
                for each in seen:
                    yield self._frame(each)

    def _look(self) -> list[_Seen]:
        """The next picture, after those that are dropped before it; empty at the end."""
        dropped, arrival = self.arrivals.next()
        seen = [_Seen(each, True, None, None, (), {}, time.monotonic()) for each in dropped]
        if arrival is None:
            return seen
        parts_s = {"waiting": time.monotonic() - arrival.arrived_s}
        rgb: Rgb | None = None
        face: Face | None = None
        faces: Sequence[Face] = ()
        if arrival.picture.is_decodable:
            with _timed(parts_s, "decoding"):
                rgb = arrival.picture.rgb()
            if self._selector is not None:
                with _timed(parts_s, "faces"):
                    face = self._selector.select(arrival.picture.time_s, rgb)
                    faces = tuple(self._selector.faces)
        return [*seen, _Seen(arrival, False, rgb, face, faces, parts_s, time.monotonic())]

    def _frame(self, seen: _Seen) -> LiveFrame:
        arrival, parts_s = seen.arrival, dict(seen.parts_s)
        time_s = arrival.picture.time_s
        parts_s["waiting"] = parts_s.get("waiting", 0.0) + time.monotonic() - seen.at_s
        crops: dict[object, Rgb] = {}
        for key, encoder in self._of_pictures.items():
            with _timed(parts_s, self._names[key]):
                self._tails[key].add(_encode_picture(encoder, seen.rgb, seen.face, crops, time_s))
        if self._of_sound and not seen.is_dropped:
            with _timed(parts_s, "sound to arrive"):
                pieces = self.arrivals.sound(arrival)
            for key, listener in self._of_sound.items():
                with _timed(parts_s, self._names[key]):
                    self._encode_sound(key, listener, pieces[listener.rate_hz])
        rows = {
            name: self._tails[self._key_of[name]].at(time_s, each.aligner, each.max_gap_s)
            for name, each in self._tracks.items()
        }
        heard = {name: self._tails[self._key_of[name]].rows for name in self._watched}
        return LiveFrame(
            number=arrival.number,
            time_s=time_s,
            arrived_s=arrival.arrived_s,
            is_dropped=seen.is_dropped,
            rgb=seen.rgb,
            face=seen.face,
            faces=seen.faces,
            rows=rows,
            heard=heard,
            parts_s=parts_s,
        )

    def _encode_sound(self, key: str, encoder: SoundEncoder, pieces: Sequence[SoundPiece]) -> None:
        for piece in pieces:
            if key not in self._steps:
                self._steps[key] = encoder.steps(piece.start_s)
            found = [self._steps[key].add(piece.samples)] if len(piece.samples) else []
            found += [self._steps[key].finish()] if piece.is_last else []
            for rows in found:
                observed = rows.observed & is_outside(rows.times_s, piece.gaps_s)
                self._tails[key].add(Track(rows.values, rows.times_s, observed))


def look_ahead_s(encoder: SoundEncoder) -> float:
    """How far an encoder looks ahead. Raises InputError where it depends on the whole sound."""
    if encoder.look_ahead_s is None:
        raise InputError(f"{encoder.recipe()['encoder']} depends on the whole sound")
    return encoder.look_ahead_s


def _key(spec: EncoderSpec, target: TargetConfig) -> str:
    return repr(spec.recipe(target))


def _encode_picture(
    encoder: PictureEncoder, rgb: Rgb | None, face: Face | None, crops: dict[object, Rgb], time_s: float
) -> Track:
    """The row of one picture, unobserved where there is nothing to encode."""
    picture = None if rgb is None else picture_for(encoder.crop, rgb, face, crops)
    values, times_s = np.zeros((1, encoder.dim), np.float32), np.array([time_s])
    if picture is None:
        return Track(values, times_s, np.zeros(1, bool))
    values = encoder.forward(encoder.prepare([picture]))
    is_missed = encoder.may_miss and bool(np.isnan(values).all())
    return Track(values, times_s, np.array([not is_missed]))


@contextmanager
def _timed(parts_s: dict[str, float], name: str) -> Iterator[None]:
    start_s = time.monotonic()
    yield
    parts_s[name] = parts_s.get(name, 0.0) + time.monotonic() - start_s
