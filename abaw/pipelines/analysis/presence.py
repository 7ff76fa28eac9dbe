"""Where the face of the person is seen and a voice is heard: flags for each frame of a clip."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.errors import NotFoundError

if TYPE_CHECKING:
    from abaw.results.predictions import Table
    from abaw.tracks import Clock
    from extract.engine.plan import EncoderSpec
    from extract.store.store import FeatureStore, Recipe
    from extract.store.track_file import TrackFile


@dataclass(frozen=True)
class VoiceRule:
    """When a voice counts as heard: enough rows of a sound track above a threshold around a frame.

    A row counts where its ``column`` is at least ``threshold``; ``min_rows`` of the rows within ``half_s`` must count.
    """

    encoder: str
    column: int
    threshold: float
    half_s: float
    min_rows: int
    meaning: str

    def heard(self, track: "TrackFile", times_s: np.ndarray) -> np.ndarray:
        """Whether a voice is heard at these times."""
        counts = np.zeros(len(track.times_s), bool)
        for first, block in track.blocks():
            counts[first : first + len(block)] = block[:, self.column] >= self.threshold
        totals = np.concatenate([[0], np.cumsum(counts & np.asarray(track.observed))])
        low = np.searchsorted(track.times_s, times_s - self.half_s)
        high = np.searchsorted(track.times_s, times_s + self.half_s, side="right")
        return np.asarray(totals[high] - totals[low] >= self.min_rows)


VOICE_RULES = (  # the first whose encoder can run here
    VoiceRule("vad", 0, 0.5, 0.5, 3, "Silero's network hears speech for 0.1 s or more within 0.5 s of the frame"),
    VoiceRule(
        "voice_mel", 45, 0.1, 0.02, 1,
        "sound with a pitch, above -60 dB, makes up 10 % or more of the second around the frame (voice_mel: it also "
        "hears music)",
    ),
)  # fmt: skip


def choose_voice_rule(device: str = "cpu", download: bool = False) -> "tuple[VoiceRule, EncoderSpec]":
    """The rule for ``voice_heard`` and the encoder of its track, with what is on this machine or is downloaded."""
    from abaw.pipelines.extraction import build_encoder

    for rule in VOICE_RULES[:-1]:
        if find_spec("onnxruntime"):
            try:
                return rule, build_encoder(rule.encoder, device, download)
            except NotFoundError:  # its weights are not here
                continue
    return VOICE_RULES[-1], build_encoder(VOICE_RULES[-1].encoder, device)


@dataclass(frozen=True)
class Presence:
    """What is there in each frame of a clip, of one person.

    ``face_seen``: None where no model takes a face, so that none was looked for. ``boxes``: the track of the person's
    face; None where faces were not detected.
    """

    face_seen: np.ndarray | None
    voice_heard: np.ndarray
    boxes: "TrackFile | None" = None

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
