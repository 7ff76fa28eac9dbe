"""MELD: utterances of the series Friends with one of seven emotions and a sentiment."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Listed, find_list, only_present, read_table
from abaw.errors import InputError

FACTS = {
    "licence": "GPL-3.0 (annotations); the videos are the broadcaster's",
    "source": "Poria et al. 2019, ACL",
    "verified": "on a fixture of its documented layout",
}

EMOTIONS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
SENTIMENTS = ("neutral", "positive", "negative")
# split -> file of labels, and the folders in which the archives of MELD.Raw unpack
PARTS = {
    "train": ("train_sent_emo.csv", ("train_splits", "train/train_splits")),
    "validation": ("dev_sent_emo.csv", ("dev_splits_complete", "dev/dev_splits_complete")),
    "test": ("test_sent_emo.csv", ("output_repeated_splits_test", "test/output_repeated_splits_test")),
}
DIGITS = re.compile(r"\d+", re.ASCII)


@CORPORA.register
def meld(*, folder: Path, labels: Literal["emotion", "sentiment"] = "emotion") -> Corpus:
    """Utterances with an emotion or a sentiment, in the official split; groups are the dialogues."""
    rows, num_absent, notes = only_present(folder, _rows(folder, labels), "{} utterances of the three lists".format)
    names = list(EMOTIONS if labels == "emotion" else SENTIMENTS)
    notes += ("the official split keeps dialogues apart, but the same speakers occur in all parts",)
    return Corpus(folder, rows, {"classes": {"column": labels, "names": names}}, num_absent, notes)


def _rows(folder: Path, labels: str) -> Iterator[Listed]:
    known = EMOTIONS if labels == "emotion" else SENTIMENTS
    for split, (name, places) in PARTS.items():
        path = find_list(folder, name) or folder / name
        media = next((place for place in places if (folder / place).is_dir()), places[0])
        for line, row in read_table(path, ["Dialogue_ID", "Utterance_ID", "Emotion", "Sentiment", "Speaker"]):
            dialogue, utterance, place = row["Dialogue_ID"], row["Utterance_ID"], f"{path}:{line}"
            label = row[labels.capitalize()].lower()
            if not (DIGITS.fullmatch(dialogue) and DIGITS.fullmatch(utterance)):
                raise InputError(
                    f"{place}: dialogue {dialogue!r}, utterance {utterance!r}, expected two numbers: {AGAIN}"
                )
            if label not in known:
                raise InputError(f"{place}: {label!r} is no {labels}, expected one of {', '.join(known)}: {AGAIN}")
            file = f"dia{dialogue}_utt{utterance}"
            facts = {"clip": f"{split}_{file}", "split": split, "group": f"{split}_dia{dialogue}"}
            yield f"{media}/{file}.mp4", place, {**facts, "speaker": row["Speaker"], labels: label}
