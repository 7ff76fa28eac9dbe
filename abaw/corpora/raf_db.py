"""RAF-DB: pictures from the web with one of seven basic expressions, by forty raters each."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Listed, looked_up, only_present
from abaw.dataset.annotations import lines
from abaw.errors import InputError, NotFoundError

FACTS = {
    "licence": "research only, on request",
    "source": "Li et al. 2017, CVPR",
    "verified": "on a fixture of its documented layout",
}

EXPRESSIONS = {
    "1": "surprise", "2": "fear", "3": "disgust", "4": "happiness", "5": "sadness", "6": "anger", "7": "neutral",
}  # fmt: skip
LISTS = ("basic/EmoLabel/list_patition_label.txt", "EmoLabel/list_patition_label.txt", "list_patition_label.txt")
SPLITS = {"train": "train", "test": "validation"}
NAME = re.compile(r"(train|test)_\d+\.jpg", re.ASCII)


@CORPORA.register
def raf_db(*, folder: Path, images: Literal["aligned", "original"] = "original") -> Corpus:
    """Pictures with a basic expression. Its test part has labels and is held out here as "validation"."""
    path = next((folder / name for name in LISTS if (folder / name).is_file()), None)
    if path is None:
        raise NotFoundError(f"{folder} has no {LISTS[0]}: copy the labels of the basic emotions there")
    media = path.parent.parent if path.parent.name == "EmoLabel" else folder
    rows, num_absent, notes = only_present(media, _rows(path, images), f"{{}} pictures that {path} lists".format)
    notes += (
        "the official test part is the split validation, because its labels are known",
        "persons are not identified: every picture is its own group",
    )
    return Corpus(
        media, rows, {"classes": {"column": "expression", "names": list(EXPRESSIONS.values())}}, num_absent, notes
    )


def _rows(path: Path, images: str) -> Iterator[Listed]:
    rows = [(f"{path}:{line}", text) for line, text in lines(path) if text]
    if not rows:
        raise InputError(f"{path}: the file is empty, expected rows of a name and a class: copy it again")
    for place, text in rows:
        cells = text.split()
        match = NAME.fullmatch(cells[0])
        if len(cells) != 2 or match is None:
            raise InputError(
                f"{place}: {text[:60]!r}, expected a name such as train_00001.jpg and a class 1 to 7: {AGAIN}"
            )
        name = cells[0] if images == "original" else f"{Path(cells[0]).stem}_aligned.jpg"
        label = {"split": SPLITS[match[1]], "expression": looked_up(EXPRESSIONS, cells[1], place)}
        yield f"Image/{images}/{name}", place, label
