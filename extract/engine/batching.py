"""Batches filled across clips: inputs of many clips in, whole tracks out; a clip that fails affects no other."""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.encoders.base import Encoder, PictureEncoder, SoundEncoder
from extract.engine.requests import ClipError, ReadResult, Rows, stage
from extract.media import Sound
from extract.store.origins.sources import ClipSource
from extract.store.track_file import TrackWriter


class OpenClip:
    """A clip whose tracks are being written; ``writers`` by the folder of the track.

    It is done when its reader has finished (``is_read``) and either all rows are encoded or it has failed.
    ``is_repeated``: its files changed meanwhile, and its reader reads them again. ``found``: its files before that.
    """

    def __init__(self, clip_id: str, source: str) -> None:
        self.clip_id, self.source = clip_id, source
        self.writers: dict[str, TrackWriter] = {}
        self.read: ReadResult | None = None
        self.found: ClipSource | None = None
        self.is_read = self.is_repeated = False
        self.error: ClipError | None = None
        self._sound_rows: dict[str, Rows] = {}
        self._missed: dict[str, list[np.ndarray]] = {}
        self._num_pending = 0

    def add_writer(self, name: str, writer: TrackWriter) -> None:
        """Add a track to write."""
        self.writers[name], self._missed[name] = writer, []

    @property
    def is_done(self) -> bool:
        """Whether nothing more will be added."""
        return self.is_read and (self.error is not None or not self._num_pending)

    def expect_rows(self, num_rows: int) -> None:
        """Count rows that are queued for an encoder."""
        self._num_pending += num_rows

    def add_rows(self, name: str, rows: np.ndarray, may_miss: bool) -> None:
        """Add encoded rows in their order; with ``may_miss`` a row of nan only becomes unobserved."""
        self._num_pending -= len(rows)
        if self.error is None:
            missed = np.isnan(rows).all(axis=1) if may_miss else np.zeros(len(rows), bool)
            self._missed[name].append(missed)
            with stage(f"encode {name}"):
                self.writers[name].add(rows[~missed])

    def add_sound_track(self, name: str, pieces: Iterable[Track], gaps_s: Iterable[tuple[float, float]]) -> None:
        """Add the track of a sound encoder, in pieces; rows inside the gaps of the sound become unobserved."""
        times_s, observed = [np.zeros(0)], [np.zeros(0, bool)]
        for piece in pieces:
            kept = piece.observed & is_outside(piece.times_s, gaps_s)
            self.writers[name].add(piece.values[kept])
            times_s.append(piece.times_s)
            observed.append(kept)
        self._sound_rows[name] = Rows(np.concatenate(times_s), np.concatenate(observed))

    def finish(self, metadata: Mapping[str, str], *, sync: bool = True) -> None:
        """Write every track with this metadata."""
        assert self.read is not None
        for name, writer in self.writers.items():
            rows = self._sound_rows.get(name) or self.read.rows[name]
            observed = rows.observed.copy()
            if self._missed[name]:
                observed[observed] = ~np.concatenate(self._missed[name])
            writer.finish(rows.times_s, observed, {**metadata, **rows.metadata}, rows.filled, sync=sync)

    def fail(self, error: ClipError) -> None:
        """Discard the tracks; the first error is kept."""
        self.error = self.error or error
        self.close()

    def close(self) -> None:
        """Close the writers; tracks that are not finished are discarded."""
        for writer in self.writers.values():
            writer.close()


class _RowQueue:
    """The rows, of any clips, that wait for one vision encoder, in the order in which they came."""

    def __init__(self, name: str, encoder: PictureEncoder) -> None:
        self._name, self._encoder = name, encoder
        self._waiting: deque[tuple[OpenClip, np.ndarray]] = deque()

    def add(self, clip: OpenClip, inputs: np.ndarray) -> list[OpenClip]:
        """Queue rows and encode the full batches; returns the clips that got rows."""
        served: list[OpenClip] = []
        if self._waiting and self._waiting[0][1].shape[1:] != inputs.shape[1:]:  # other sizes cannot share a batch
            served += self.flush()
        clip.expect_rows(len(inputs))
        self._waiting.append((clip, inputs))
        while sum(len(rows) for _, rows in self._waiting) >= self._encoder.batch_size:
            served += self._encode(self._take(self._encoder.batch_size))
        return served

    def flush(self) -> list[OpenClip]:
        """Encode the waiting rows although they fill no batch."""
        return self._encode(self._take(self._encoder.batch_size)) if self._waiting else []

    def _take(self, max_rows: int) -> list[tuple[OpenClip, np.ndarray]]:
        """Remove up to ``max_rows`` rows from the front."""
        taken: list[tuple[OpenClip, np.ndarray]] = []
        while self._waiting and max_rows:
            clip, inputs = self._waiting.popleft()
            if len(inputs) > max_rows:
                self._waiting.appendleft((clip, inputs[max_rows:]))
                inputs = inputs[:max_rows]
            max_rows -= len(inputs)
            taken.append((clip, inputs))
        return taken

    def _encode(self, parts: list[tuple[OpenClip, np.ndarray]]) -> list[OpenClip]:
        """Encode one batch; returns the clips in it."""
        live = [(clip, inputs) for clip, inputs in parts if clip.error is None]
        num_rows = sum(len(inputs) for _, inputs in live)
        try:
            rows = self._encoder.forward(np.concatenate([inputs for _, inputs in live])) if live else np.zeros((0, 0))
            if live and len(rows) != num_rows:
                raise InputError(f"the encoder {self._name} returned {len(rows)} rows, expected {num_rows}")
        except Exception as error:
            if len(live) > 1:  # find the clip at fault: encode each by itself
                return [clip for part in live for clip in self._encode([part])]
            live[0][0].fail(ClipError(f"encode {self._name}", error))
            return [live[0][0]]
        first = 0
        for clip, inputs in live:
            try:
                clip.add_rows(self._name, rows[first : first + len(inputs)], self._encoder.may_miss)
            except ClipError as error:
                clip.fail(error)
            first += len(inputs)
        return [clip for clip, _ in parts]


class Batcher:
    """Encodes what the readers send, in one thread. ``encoders``: by the folder of their tracks."""

    def __init__(self, encoders: Mapping[str, Encoder]) -> None:
        self._encoders = encoders
        self._queues = {
            name: _RowQueue(name, encoder) for name, encoder in encoders.items() if isinstance(encoder, PictureEncoder)
        }

    def add(self, clip: OpenClip, name: str, load: np.ndarray | Sound) -> list[OpenClip]:
        """Encode a sound at once, queue rows until a batch is full; returns the clips that got rows."""
        if clip.error is not None:
            return []
        if isinstance(load, Sound):
            self._encode_sound(clip, name, load)
            return [clip]
        return self._queues[name].add(clip, load)

    def flush(self) -> list[OpenClip]:
        """Encode all waiting rows, batch by batch and encoder by encoder; returns the clips that got rows."""
        return [clip for queue in self._queues.values() for clip in queue.flush()]

    def _encode_sound(self, clip: OpenClip, name: str, sound: Sound) -> None:
        encoder = self._encoders[name]
        assert isinstance(encoder, SoundEncoder)
        try:
            with stage(f"encode {name}"):
                clip.add_sound_track(name, encoder.encode(sound) if len(sound.samples) else (), sound.gaps_s)
        except ClipError as error:
            clip.fail(error)


def is_outside(times_s: np.ndarray, gaps_s: Iterable[tuple[float, float]]) -> np.ndarray:
    """Which times lie in no gap (start included, stop excluded)."""
    outside = np.ones(len(times_s), bool)
    for start_s, stop_s in gaps_s:
        outside &= (times_s < start_s) | (times_s >= stop_s)
    return outside
