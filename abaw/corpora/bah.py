"""BAH: persons answer questions on video; whether they show ambivalence or hesitancy, by clip."""

from collections.abc import Iterator
from pathlib import Path

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, Row, looked_up, only_present
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
    lists = {split: path for split, name in LISTS.items() for path in sorted(folder.rglob(name))[:1]}
    if not lists:
        raise NotFoundError(f"no train.txt, val.txt or test.txt below {folder}: copy the lists of BAH there")
    rows, num_absent = only_present(folder, _rows(lists), "{} clips of the lists".format)
    declared = {"classes": {"column": "ambivalence", "names": list(CLASSES.values())}}
    return Corpus(folder, rows, declared, num_absent, ("persons are taken from the names of files",))


def _rows(lists: dict[str, Path]) -> Iterator[tuple[str | None, Row]]:
    for split, path in lists.items():
        for line, text in lines(path):
            cells = text.split(",", 2)
            if len(cells) < 2:
                raise InputError(f"{path}:{line}: {text[:60]!r}, expected path,label,transcript")
            label = looked_up(CLASSES, cells[1].strip(), f"{path}:{line}")
            yield (
                cells[0].strip(),
                {"split": split, "group": Path(cells[0]).stem.partition("_")[0], "ambivalence": label},
            )
