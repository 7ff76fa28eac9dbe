"""AFEW-VA: 600 clips of films as pictures, with valence and arousal of every picture."""

from collections.abc import Iterator
from pathlib import Path

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, Row, only_present
from abaw.errors import InputError, NotFoundError
from abaw.files import read_json

FACTS = {
    "licence": "research only, on request",
    "source": "Kossaifi et al. 2017, Image and Vision Computing 65",
    "verified": "on a fixture of its documented layout",
}


@CORPORA.register
def afew_va(*, folder: Path) -> Corpus:
    """Valence and arousal from -10 to 10; every picture is a clip of one frame, groups are the film clips."""
    files = sorted(path for path in folder.rglob("*.json") if path.stem == path.parent.name)
    if not files:
        raise NotFoundError(f"no file of this corpus below {folder}: expected 001/001.json beside 001/00000.png")
    rows, num_absent = only_present(folder, _rows(folder, files), "{} pictures of 001/001.json and others".format)
    labels = {"values": {"columns": ["valence", "arousal"], "range": [-10, 10]}}
    return Corpus(folder, rows, labels, num_absent, ("the corpus has no official split: use folds",))


def _rows(folder: Path, files: list[Path]) -> Iterator[tuple[str | None, Row]]:
    for path in files:
        document = read_json(path)
        frames = document.get("frames") if isinstance(document, dict) else None
        if not isinstance(frames, dict):
            raise InputError(f"{path}: no object 'frames': copy the file again")
        for name, frame in sorted(frames.items()):
            given = [frame.get(key) if isinstance(frame, dict) else None for key in ("valence", "arousal")]
            if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in given):
                raise InputError(f"{path}: frame {name} has no numbers 'valence' and 'arousal': copy the file again")
            picture = (path.parent / f"{name}.png").relative_to(folder).as_posix()
            yield picture, {"group": path.stem, "valence": given[0], "arousal": given[1]}
