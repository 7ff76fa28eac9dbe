"""Where the face of the person is seen and a voice is heard: flags for each frame of a clip."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from abaw.errors import NotFoundError

if TYPE_CHECKING:
    from abaw.results.predictions import Table
    from abaw.tracks import Clock, Track
    from extract.engine.plan import EncoderSpec
    from extract.store.store import FeatureStore, Recipe
    from extract.store.track_file import TrackFile


@dataclass(frozen=True)
class VoiceRule:
    """When a voice counts as heard: enough rows of a sound track above a threshold near a frame.

    A row counts where its ``column`` is at least ``threshold``; ``min_rows`` of the rows from ``before_s`` before the
    frame to ``after_s`` after it must count.
    """

    encoder: str
    column: int
    threshold: float
    before_s: float
    after_s: float
    min_rows: int
    meaning: str

    def heard(self, track: "TrackFile", times_s: np.ndarray) -> np.ndarray:
        """Whether a voice is heard at these times."""
        counts = np.zeros(len(track.times_s), bool)
        for first, block in track.blocks():
            counts[first : first + len(block)] = self._is_voice(block)
        return self._is_heard(counts & np.asarray(track.observed), track.times_s, times_s)

    def is_heard(self, rows: "Track", time_s: float) -> bool:
        """Whether a voice is heard at this time, by the rows of a track that reach far enough around it."""
        return bool(self._is_heard(self._is_voice(rows.values) & rows.observed, rows.times_s, np.array([time_s]))[0])

    def _is_voice(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values[:, self.column] >= self.threshold)

    def _is_heard(self, counts: np.ndarray, row_times_s: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        totals = np.concatenate([[0], np.cumsum(counts)])
        low = np.searchsorted(row_times_s, times_s - self.before_s)
        high = np.searchsorted(row_times_s, times_s + self.after_s, side="right")
        return np.asarray(totals[high] - totals[low] >= self.min_rows)


VOICE_RULES = (  # the first whose encoder can run here
    VoiceRule("vad", 0, 0.5, 0.5, 0.5, 3, "Silero's network hears speech for 0.1 s or more within 0.5 s of the frame"),
    VoiceRule(
        "voice_mel", 45, 0.1, 0.02, 0.02, 1,
        "sound with a pitch, above -60 dB, makes up 10 % or more of the second around the frame (voice_mel: it also "
        "hears music)",
    ),
)  # fmt: skip
LIVE_VOICE_RULES = (  # of these no sound after the frame counts
    VoiceRule("vad", 0, 0.5, 1.0, 0.0, 3, "Silero's network hears speech for 0.1 s or more in the second up to it"),
    VoiceRule(
        "voice_mel:means=past", 45, 0.1, 0.04, 0.0, 1,
        "sound with a pitch, above -60 dB, makes up 10 % or more of the second up to the frame (voice_mel: it also "
        "hears music)",
    ),
)  # fmt: skip


def choose_voice_rule(
    device: str = "cpu", download: bool = False, rules: Sequence[VoiceRule] = VOICE_RULES
) -> "tuple[VoiceRule, EncoderSpec]":
    """The rule for ``voice_heard`` and the encoder of its track, with what is on this machine or is downloaded."""
    from abaw.pipelines.extraction import build_encoder

    for rule in rules[:-1]:
        try:
            return rule, build_encoder(rule.encoder, device, download)
        except NotFoundError:  # its weights are not here
            continue
    return rules[-1], build_encoder(rules[-1].encoder, device)


class Boxes(Protocol):
    """The face of a person at its frames, a row each, as a stored track of faces has it."""

    @property
    def values(self) -> np.ndarray: ...

    @property
    def times_s(self) -> np.ndarray: ...

    @property
    def observed(self) -> np.ndarray: ...

    def table(self, name: str) -> np.ndarray | None: ...


@dataclass(frozen=True)
class Presence:
    """What is there in each frame of a clip, of one person.

    ``face_seen``: None where no model takes a face, so that none was looked for. ``boxes``: the track of the person's
    face; None where faces were not detected.
    """

    face_seen: np.ndarray | None
    voice_heard: np.ndarray
    boxes: Boxes | None = None

    def allows(self, takes: Iterable[str], table: "Table") -> np.ndarray:
        """In which frames something is there that a model takes, and was observed.

        ``takes``: of "face", "voice" and "picture", the whole picture, which is there wherever it was observed.
        """
        found = np.zeros(len(table.observed), bool)
        flags: Mapping[str, Any] = {"face": self.face_seen, "voice": self.voice_heard}
        for kind in takes:
            there = flags.get(kind)
            found |= True if there is None else there
        return np.asarray(found & table.observed)


def inputs_of(recipes: "Iterable[Recipe]") -> tuple[str, ...]:
    """What encoders of these recipes take: "face", "picture" (the whole one) or "voice"."""
    kinds = {"face" if "crop" in each else "picture" if "span" in each else "voice" for each in recipes}
    return tuple(sorted(kinds))


def measure_presence(
    store: "FeatureStore",
    clip_id: str,
    clock: "Clock",
    faces: "Recipe",
    face_track: "Recipe | None",
    voice: "tuple[VoiceRule, Recipe]",
) -> Presence:
    """``faces``: the recipe of the boxes. ``face_track``: of a track of faces, which says more where the data set has
    face images; None where no model takes a face. ``voice``: the rule, and the recipe of its track."""
    rule, recipe = voice
    heard = rule.heard(store.open(recipe, clip_id), clock.times_s)
    is_detected = store.has(faces, clip_id, store.clock_metadata(clip_id).get("source"))
    boxes = store.open(faces, clip_id) if is_detected else None
    seen = boxes if boxes is not None or face_track is None else store.open(face_track, clip_id)
    if face_track is None or seen is None:
        return Presence(None, heard, boxes)
    flags = np.zeros(len(clock), bool)
    flags[np.searchsorted(clock.times_s, seen.times_s).clip(0, len(clock) - 1)] = seen.observed
    return Presence(flags, heard, boxes)
