"""Emo-DB, the Berlin database of emotional speech: ten actors, ten sentences, seven emotions."""

from pathlib import Path

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, find_files, looked_up

FACTS = {
    "licence": "none stated; free for research",
    "source": "Burkhardt et al. 2005, Interspeech",
    "verified": "on a fixture of its documented file names",
}

EMOTIONS = {
    "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral",
}  # fmt: skip


@CORPORA.register
def emo_db(*, folder: Path) -> Corpus:
    """Acted German emotions of ten speakers, one class a sentence; groups are the speakers."""
    rows = []
    found, notes = find_files(folder, "*.wav", r"(\d\d)([ab]\d\d)([A-Z])[a-z]?", "wav/03a01Fa.wav and so on")
    for path, match in found:
        emotion = looked_up(EMOTIONS, match[3], str(path))
        rows.append(
            {"path": path.relative_to(folder).as_posix(), "group": match[1], "text": match[2], "emotion": emotion}
        )
    return Corpus(folder, rows, {"classes": {"column": "emotion", "names": list(EMOTIONS.values())}}, notes=notes)
