"""AFEW-VA: 600 clips of films as folders of pictures, with valence and arousal of every picture."""

import json
import re
from pathlib import Path
from typing import Any

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Row
from abaw.dataset.face_images import find_series, list_images
from abaw.errors import InputError, NotFoundError
from abaw.files.text import read_text
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
    places: dict[str, Path] = {}
    num_without = num_unlabelled = 0
    for path in files:
        if (first := places.setdefault(path.stem, path)) != path:
            raise InputError(f"{path}: the clip is there twice, also as {first}: remove one, or give a folder with one")
        found, num_absent, num_more = _frames(path)
        num_without += num_absent
        if found:
            num_unlabelled += num_more
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
    if num_unlabelled:
        notes.append(f"{format_count(num_unlabelled, 'picture')} without a label")
    labelled = {path.parent for path in files}
    beside = {each for place in {path.parent for path in labelled} for each in place.iterdir() if each.is_dir()}
    if others := sorted(path.name for path in beside - labelled if any(path.glob("*.png"))):
        notes.append(f"{format_count(len(others), 'folder')} of pictures left out, without a label file: {others[0]}")
    labels = {"values": {"columns": ["valence", "arousal"], "range": [-10, 10]}}
    return Corpus(folder, rows, labels, len(files) - len(rows), tuple(notes), frame_labels)


def _frames(path: Path) -> tuple[list[Row], int, int]:
    """The labels of the pictures beside a file, by their frames; the numbers of labels and of pictures left over."""
    text = read_text(path, advice=AGAIN)
    frames = _parse(text, path)
    images = find_series(path.parent, list_images(path.parent))
    frame_of = {images.path(number).stem: number for number in images.numbers}
    found: list[Row] = []
    for name, frame in frames.items():
        given = [frame.get(key) if isinstance(frame, dict) else None for key in ("valence", "arousal")]
        for key, value in zip(("valence", "arousal"), given, strict=True):
            if isinstance(value, bool) or not isinstance(value, int | float) or not -10 <= value <= 10:
                said = "nothing" if value is None else repr(value)
                raise InputError(
                    f"{_place(path, text, name)}: the {key} of frame {name} is {said}, expected a number from -10 to "
                    f"10: {AGAIN}"
                )
        if name in frame_of:
            found.append({"frame": frame_of[name], "valence": given[0], "arousal": given[1]})
    return sorted(found, key=lambda row: row["frame"]), len(frames) - len(found), len(frame_of) - len(found)


def _parse(text: str, path: Path) -> dict[str, Any]:
    """The frames of a label file. Raises InputError with its line where it has none, or one twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if twice := next((name for i, name in enumerate(names) if name in names[:i]), None):
            raise InputError(f"{_place(path, text, twice, -1)}: {twice!r} is given a second time: {AGAIN}")
        return dict(pairs)

    try:
        document = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not readable as JSON ({error.msg}): {AGAIN}") from error
    except RecursionError as error:
        raise InputError(f"{path}:1: not readable as JSON (nested too deeply): {AGAIN}") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, dict) or not frames:
        raise InputError(f"{path}:1: no object 'frames' with the labels of pictures: {AGAIN}")
    return frames


def _place(path: Path, text: str, name: str, which: int = 0) -> str:
    """File and line of a name in a JSON text: where it stands first, or with -1 last."""
    found = [match.start() for match in re.finditer(rf"{re.escape(json.dumps(name))}\s*:", text)]
    return f"{path}:{text.count(chr(10), 0, found[which]) + 1 if found else 1}"
