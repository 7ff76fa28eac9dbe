"""AFEW-VA: 600 clips of films as folders of pictures, with valence and arousal of every picture."""

from pathlib import Path

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, Row
from abaw.dataset.face_images import find_series, list_images
from abaw.errors import InputError, NotFoundError
from abaw.files import read_json
from abaw.numbers import format_count

FACTS = {
    "licence": "research only, on request",
    "source": "Kossaifi et al. 2017, Image and Vision Computing 65",
    "verified": "on a fixture of its documented layout",
}

FPS = 25  # of the films


@CORPORA.register
def afew_va(*, folder: Path) -> Corpus:
    """Valence and arousal from -10 to 10 of every picture; a folder of pictures is a clip at 25 frames per second."""
    files = sorted(path for path in folder.rglob("*.json") if path.stem == path.parent.name)
    if not files:
        raise NotFoundError(f"no file of this corpus below {folder}: expected 001/001.json beside 001/00000.png")
    rows: list[Row] = []
    frame_labels: dict[str, list[Row]] = {}
    num_without = 0
    for path in files:
        found, num_absent = _frames(path)
        num_without += num_absent
        if found:
            frame_labels[path.stem] = found
            clip = path.parent.relative_to(folder).as_posix()
            rows.append({"path": clip, "group": path.stem, "fps": FPS, "labels": path.stem})
    if not rows:
        raise NotFoundError(
            f"none of {format_count(num_without, 'picture')} of 001/001.json and others is below {folder}: copy the "
            "corpus's media there"
        )
    notes = ["the corpus has no official split: use folds"]
    if num_without:
        notes.append(f"{format_count(num_without, 'label')} left out: no such picture")
    labels = {"values": {"columns": ["valence", "arousal"], "range": [-10, 10]}}
    return Corpus(folder, rows, labels, len(files) - len(rows), tuple(notes), frame_labels)


def _frames(path: Path) -> tuple[list[Row], int]:
    """The labels of the pictures beside a file, by their frames, and the number of those without a picture."""
    document = read_json(path)
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, dict):
        raise InputError(f"{path}: no object 'frames': copy the file again")
    images = find_series(path.parent, list_images(path.parent))
    frame_of = {images.path(number).stem: number for number in images.numbers}
    found: list[Row] = []
    for name, frame in frames.items():
        given = [frame.get(key) if isinstance(frame, dict) else None for key in ("valence", "arousal")]
        if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in given):
            raise InputError(f"{path}: frame {name} has no numbers 'valence' and 'arousal': copy the file again")
        outside = next((each for each in given if each is not None and not -10 <= each <= 10), None)
        if outside is not None:
            raise InputError(f"{path}: frame {name} has the value {outside}, expected -10 to 10: copy the file again")
        if name in frame_of:
            found.append({"frame": frame_of[name], "valence": given[0], "arousal": given[1]})
    return sorted(found, key=lambda row: row["frame"]), len(frames) - len(found)
