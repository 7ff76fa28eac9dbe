"""RAVDESS: 24 actors speak and sing two statements in eight emotions."""

from pathlib import Path
from typing import Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, find_files
from abaw.errors import InputError

FACTS = {
    "licence": "CC BY-NC-SA 4.0",
    "source": "Livingstone and Russo 2018, PLoS ONE 13(5), e0196391",
    "verified": "on its speech of actors 1 to 12, as sound",
}

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
MEDIA = {"video": "01", "silent_video": "02", "sound": "03"}
CHANNELS = {"speech": ("01",), "song": ("02",), "both": ("01", "02")}


@CORPORA.register
def ravdess(
    *,
    folder: Path,
    media: Literal["sound", "video", "silent_video"] = "sound",
    channel: Literal["speech", "song", "both"] = "speech",
) -> Corpus:
    """Acted emotions of 24 speakers, one class a take; groups are the actors."""
    name = rf"{MEDIA[media]}-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)"
    rows = []
    found, notes = find_files(folder, "*.*", name, f"names such as {MEDIA[media]}-01-05-01-02-01-12")
    for path, match in found:
        sung, emotion, intensity, statement, repetition, actor = match.groups()
        if sung in CHANNELS[channel]:
            if not 1 <= int(emotion) <= len(EMOTIONS):
                raise InputError(
                    f"{path}: the emotion {emotion} in the file's name, expected 01 to 08: copy the file again"
                )
            label = EMOTIONS[int(emotion) - 1]
            facts = {"intensity": intensity, "statement": statement, "repetition": repetition}
            rows.append(
                {"path": path.relative_to(folder).as_posix(), "group": f"actor{actor}", "emotion": label, **facts}
            )
    return Corpus(folder, rows, {"classes": {"column": "emotion", "names": list(EMOTIONS)}}, notes=notes)
