"""Portions of many clips in, whole tracks out: batches fill across clips, and one bad clip spoils no other."""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract import media
from extract.encoders.base import Encoder, PictureEncoder, SoundEncoder
from extract.engine.streams import ClipError, ReadResult, Rows, stage
from extract.store.track_file import TrackWriter


class OpenClip:
    """A clip whose tracks are being made; ``writers`` by the folder its tracks lie in.

    It is done when its reader has nothing more to send (``is_read``), and every row has come back or it has failed.
    """

    def __init__(self, clip_id: str, source: str) -> None:
        self.clip_id, self.source = clip_id, source
        self.writers: dict[str, TrackWriter] = {}
        self.read: ReadResult | None = None
        self.is_read = False
        self._heard: dict[str, Rows] = {}
        self._missed: dict[str, list[np.ndarray]] = {}
        self.error: ClipError | None = None
        self._num_out = 0

    def write(self, name: str, writer: TrackWriter) -> None:
        """One more track to make."""
        self.writers[name], self._missed[name] = writer, []

    @property
    def is_done(self) -> bool:
        return self.is_read and (self.error is not None or not self._num_out)

    def sent(self, num_rows: int) -> None:
        self._num_out += num_rows

    def add_rows(self, name: str, rows: np.ndarray, may_miss: bool) -> None:
        """Rows of one encoder, in their order; ``may_miss``: those all nan are of pictures it found nothing in."""
        self._num_out -= len(rows)
        if self.error is None:
            missed = np.isnan(rows).all(axis=1) if may_miss else np.zeros(len(rows), bool)
            self._missed[name].append(missed)
            with stage(f"encode {name}"):
                self.writers[name].add(rows[~missed])

    def heard(self, name: str, pieces: Iterable[Track], gaps_s: Iterable[tuple[float, float]]) -> None:
        """The track of a sound encoder, in pieces; rows in a gap, where nothing was decoded, are not observed."""
        times_s, observed = [np.zeros(0)], [np.zeros(0, bool)]
        for piece in pieces:
            seen = piece.observed & _outside(piece.times_s, gaps_s)
            self.writers[name].add(piece.values[seen])
            times_s.append(piece.times_s)
            observed.append(seen)
        self._heard[name] = Rows(np.concatenate(times_s), np.concatenate(observed))

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write every track; ``metadata`` are those of all of them."""
        assert self.read is not None
        for name, writer in self.writers.items():
            rows = self._heard.get(name) or self.read.rows[name]
            observed = rows.observed.copy()
            if self._missed[name]:
                observed[observed] = ~np.concatenate(self._missed[name])
            writer.finish(rows.times_s, observed, {**metadata, **rows.about}, rows.filled)

    def fail(self, error: ClipError) -> None:
        self.error = self.error or error
        self.close()

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()


class Batches:
    """The rows that wait for one picture encoder, of any clips, in the order they came."""

    def __init__(self, name: str, encoder: PictureEncoder) -> None:
        self.name, self.encoder = name, encoder
        self._waiting: deque[tuple[OpenClip, np.ndarray]] = deque()

    def add(self, clip: OpenClip, portion: np.ndarray) -> list[OpenClip]:
        """One more portion; the clips that got rows back by it."""
        served: list[OpenClip] = []
        if self._waiting and self._waiting[0][1].shape[1:] != portion.shape[1:]:  # of another size: no batch together
            served += self.flush()
        clip.sent(len(portion))
        self._waiting.append((clip, portion))
        while sum(len(rows) for _, rows in self._waiting) >= self.encoder.batch_size:
            served += self._forward(self._take(self.encoder.batch_size))
        return served

    def flush(self) -> list[OpenClip]:
        """Encode what waits, though it fills no batch."""
        return self._forward(self._take(self.encoder.batch_size)) if self._waiting else []

    def _take(self, num: int) -> list[tuple[OpenClip, np.ndarray]]:
        """Up to ``num`` rows from the front."""
        taken: list[tuple[OpenClip, np.ndarray]] = []
        while self._waiting and num:
            clip, portion = self._waiting.popleft()
            if len(portion) > num:
                self._waiting.appendleft((clip, portion[num:]))
                portion = portion[:num]
            num -= len(portion)
            taken.append((clip, portion))
        return taken

    def _forward(self, parts: list[tuple[OpenClip, np.ndarray]]) -> list[OpenClip]:
        live = [(clip, portion) for clip, portion in parts if clip.error is None]
        try:
            rows = self.encoder.forward(np.concatenate([portion for _, portion in live])) if live else np.zeros((0, 0))
            if live and len(rows) != sum(len(portion) for _, portion in live):
                raise InputError(f"{self.name} gave {len(rows)} rows for {sum(len(portion) for _, portion in live)}")
        except Exception as error:
            if len(live) > 1:  # one of them is at fault: each by itself
                return [clip for part in live for clip in self._forward([part])]
            live[0][0].fail(ClipError(f"encode {self.name}", error))
            return [live[0][0]]
        first = 0
        for clip, portion in live:
            try:
                clip.add_rows(self.name, rows[first : first + len(portion)], self.encoder.may_miss)
            except ClipError as error:
                clip.fail(error)
            first += len(portion)
        return [clip for clip, _ in parts]


class Batcher:
    """Where portions and sounds of clips are encoded, in one thread. ``encoders`` by the folder their tracks lie in."""

    def __init__(self, encoders: Mapping[str, Encoder]) -> None:
        self._encoders = encoders
        self._batches = {
            name: Batches(name, encoder) for name, encoder in encoders.items() if isinstance(encoder, PictureEncoder)
        }

    def take(self, clip: OpenClip, name: str, load: np.ndarray | media.Sound) -> list[OpenClip]:
        """Encode, or keep until a batch is full; the clips that got rows back."""
        if clip.error is not None:
            return []
        if isinstance(load, media.Sound):
            self._listen(clip, name, load)
            return [clip]
        return self._batches[name].add(clip, load)

    def flush(self) -> list[OpenClip]:
        return [clip for batches in self._batches.values() for clip in batches.flush()]

    def _listen(self, clip: OpenClip, name: str, sound: media.Sound) -> None:
        encoder = self._encoders[name]
        assert isinstance(encoder, SoundEncoder)
        try:
            with stage(f"encode {name}"):
                clip.heard(name, encoder.encode(sound) if len(sound.samples) else (), sound.gaps_s)
        except ClipError as error:
            clip.fail(error)


def _outside(times_s: np.ndarray, gaps_s: Iterable[tuple[float, float]]) -> np.ndarray:
    """Which rows do not lie in a gap, where nothing was decoded."""
    outside = np.ones(len(times_s), bool)
    for start_s, stop_s in gaps_s:
        outside &= (times_s < start_s) | (times_s >= stop_s)
    return outside
