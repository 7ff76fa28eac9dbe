"""DFEW: clips of films with one of seven expressions, in five official folds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Listed, find_folder, looked_up, only_present, read_table
from abaw.errors import InputError

FACTS = {
    "licence": "research only, on request",
    "source": "Jiang et al. 2020, ACM Multimedia",
    "verified": "on a fixture of its documented layout",
}

EXPRESSIONS = {
    "1": "happiness", "2": "sadness", "3": "neutral", "4": "anger", "5": "surprise", "6": "disgust", "7": "fear",
}  # fmt: skip
PARTS = {"train(single-labeled)": "train", "test(single-labeled)": "validation"}


@CORPORA.register
def dfew(*, folder: Path, fold: Literal[1, 2, 3, 4, 5] = 1) -> Corpus:
    """Clips with a single expression; ``fold`` is one of the five official ones, its test part is held out here."""
    lists = find_folder(folder, ["EmoLabel_DataSplit"], "DFEW's EmoLabel_DataSplit and Clip/original")
    media = find_folder(folder, ["Clip/original", "original"], "the videos in Clip/original")
    files = {path.stem: path.relative_to(folder).as_posix() for path in sorted(media.rglob("*")) if path.is_file()}
    rows, num_absent, notes = only_present(folder, _rows(lists, fold, files), f"{{}} clips of fold {fold}".format)
    notes += (
        f"the official test part of fold {fold} is the split validation",
        "persons are not identified: every clip is its own group",
    )
    names = list(EXPRESSIONS.values())
    return Corpus(folder, rows, {"classes": {"column": "expression", "names": names}}, num_absent, notes)


def _rows(lists: Path, fold: int, files: dict[str, str]) -> Iterator[Listed]:
    for part, split in PARTS.items():
        path = lists / part / f"set_{fold}.csv"
        for line, row in read_table(path, ["video_name", "label"]):
            place, name = f"{path}:{line}", row["video_name"]
            if not (name.isascii() and name.isdecimal()):
                raise InputError(f"{place}: the video {name!r}, expected a number: {AGAIN}")
            clip, expression = name.zfill(5), looked_up(EXPRESSIONS, row["label"], place)
            yield files.get(clip, files.get(name)), place, {"clip": clip, "split": split, "expression": expression}
