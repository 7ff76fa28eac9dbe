"""BAH: persons answer questions on video; whether they show ambivalence or hesitancy, by clip."""

from collections.abc import Iterator
from pathlib import Path

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Listed, find_list, looked_up, only_present
from abaw.dataset.annotations import lines
from abaw.errors import InputError, NotFoundError

FACTS = {
    "licence": "research only, on request",
    "source": "González-González et al. 2025, arXiv 2505.19328",
    "verified": "on a fixture of the lists in participants' public code; no file of the corpus was available",
}

LISTS = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
CLASSES = {"0": "absent", "1": "present"}


@CORPORA.register
def bah(*, folder: Path) -> Corpus:
    """Clips with ambivalence or hesitancy present or absent, in the official split; groups are the persons.

    A row of a list is path,label,transcript. The person is the part of the file's name before the first "_".
    """
    lists = {split: path for split, name in LISTS.items() if (path := find_list(folder, name)) is not None}
    if not lists:
        raise NotFoundError(f"no train.txt, val.txt or test.txt below {folder}: copy the lists of BAH there")
    rows, num_absent, notes = only_present(folder, _rows(lists), "{} clips of the lists".format)
    declared = {"classes": {"column": "ambivalence", "names": list(CLASSES.values())}}
    return Corpus(folder, rows, declared, num_absent, (*notes, "persons are taken from the names of files"))


def _rows(lists: dict[str, Path]) -> Iterator[Listed]:
    for split, path in lists.items():
        rows = [(f"{path}:{line}", text) for line, text in lines(path)]
        if not rows:
            raise InputError(f"{path}: the file is empty, expected rows of path,label,transcript: copy it again")
        for place, text in rows:
            cells = [cell.strip() for cell in text.split(",", 2)]
            if len(cells) < 2 or not cells[0]:
                raise InputError(f"{place}: {text[:60]!r}, expected path,label,transcript: {AGAIN}")
            label = looked_up(CLASSES, cells[1], place)
            yield (
                cells[0],
                place,
                {"split": split, "group": Path(cells[0]).stem.partition("_")[0], "ambivalence": label},
            )
