"""RAF-DB: pictures from the web with one of seven basic expressions, by forty raters each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, Row, looked_up, only_present
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


@CORPORA.register
def raf_db(*, folder: Path, images: Literal["aligned", "original"] = "original") -> Corpus:
    """Pictures with a basic expression. Its test part has labels and is held out here as "validation"."""
    path = next((folder / name for name in LISTS if (folder / name).is_file()), None)
    if path is None:
        raise NotFoundError(f"{folder} has no {LISTS[0]}: copy the labels of the basic emotions there")
    media = path.parent.parent if path.parent.name == "EmoLabel" else folder
    rows, num_absent = only_present(media, _rows(path, images), f"{{}} pictures that {path} lists".format)
    notes = (
        "the official test part is the split validation, because its labels are known",
        "persons are not identified: every picture is its own group",
    )
    return Corpus(
        media, rows, {"classes": {"column": "expression", "names": list(EXPRESSIONS.values())}}, num_absent, notes
    )


def _rows(path: Path, images: str) -> Iterator[tuple[str | None, Row]]:
    for line, text in lines(path):
        cells = text.split()
        if not cells:
            continue
        split = SPLITS.get(cells[0].partition("_")[0])
        if len(cells) != 2 or split is None:
            raise InputError(f"{path}:{line}: {text!r}, expected a name such as train_00001.jpg and a class 1 to 7")
        name = cells[0] if images == "original" else f"{Path(cells[0]).stem}_aligned.jpg"
        yield (
            f"Image/{images}/{name}",
            {"split": split, "expression": looked_up(EXPRESSIONS, cells[1], f"{path}:{line}")},
        )
