"""AffectNet: pictures from the web with one of eight expressions, valence and arousal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from abaw.corpora import CORPORA
from abaw.corpora.base import AGAIN, Corpus, Listed, Row, number_at, only_present, read_table
from abaw.errors import InputError, NotFoundError

FACTS = {
    "licence": "research only, on request",
    "source": "Mollahosseini et al. 2017, IEEE TAC 10(1)",
    "verified": "on fixtures of its two documented layouts (lists, and train_set with .npy files)",
}

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
NO_EXPRESSION = range(8, 11)  # none, uncertain, no face: not labelled
UNLABELLED = -2.0  # of valence and arousal
LISTS = {"training.csv": "train", "validation.csv": "validation"}
SETS = {"train_set": "train", "val_set": "validation"}


@CORPORA.register
def affectnet(*, folder: Path, labels: Literal["classes", "values"] = "classes") -> Corpus:
    """Pictures with an expression, or with valence and arousal; pictures without the label are left out."""
    lists = {path: split for name, split in LISTS.items() for path in sorted(folder.rglob(name))}
    if lists:
        media, rows = folder, _listed(folder, lists, labels)
    elif any((folder / name).is_dir() for name in SETS):
        media, rows = folder, _from_sets(folder, labels)
    else:
        raise NotFoundError(f"{folder} has neither training.csv nor train_set/: expected one of AffectNet's layouts")
    kept, num_absent, notes = only_present(media, rows, "{} labelled pictures".format)
    declared: dict[str, Any] = {"classes": {"column": "expression", "names": list(EXPRESSIONS)}}
    if labels == "values":
        declared = {"values": {"columns": ["valence", "arousal"], "range": [-1, 1]}}
    notes += ("persons are not identified: every picture is its own group",)
    return Corpus(media, kept, declared, num_absent, notes)


def _listed(folder: Path, lists: dict[Path, str], labels: str) -> Iterator[Listed]:
    """Of Manually_Annotated_file_lists: the pictures are in Manually_Annotated_Images."""
    images = next((path for path in sorted(folder.rglob("*_Annotated_Images")) if path.is_dir()), folder)
    for path, split in lists.items():
        for line, row in read_table(path, ["subDirectory_filePath", "expression", "valence", "arousal"]):
            place = f"{path}:{line}"
            given = [number_at(row[name], place) for name in ("expression", "valence", "arousal")]
            label = _label(given[0], given[1:], labels, [place] * 3)
            name = row["subDirectory_filePath"]
            if not name:
                raise InputError(f"{place}: no name of a picture in subDirectory_filePath: {AGAIN}")
            if label is not None:
                yield f"{images.relative_to(folder).as_posix()}/{name}", place, {"split": split, **label}


def _from_sets(folder: Path, labels: str) -> Iterator[Listed]:
    """Of train_set and val_set: annotations/N_exp.npy, N_val.npy and N_aro.npy beside images/N.jpg."""
    for name, split in SETS.items():
        stems = {path.stem for path in (folder / name / "images").glob("*.jpg")}
        stems |= {path.stem.removesuffix("_exp") for path in (folder / name / "annotations").glob("*_exp.npy")}
        for stem in sorted(stems):
            files = [folder / name / "annotations" / f"{stem}_{key}.npy" for key in ("exp", "val", "aro")]
            given = [_read_number(file) for file in files]
            label = _label(given[0], given[1:], labels, [str(file) for file in files])
            if label is not None:
                yield f"{name}/images/{stem}.jpg", str(files[0]), {"split": split, **label}


def _read_number(file: Path) -> float:
    import numpy as np

    if not file.is_file():
        raise NotFoundError(f"no file {file}: copy the corpus's annotations")
    try:
        value = str(np.load(file, allow_pickle=False).item())
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{file} is not one number ({error}): copy it again") from error
    return number_at(value, str(file))


def _label(expression: float, values: list[float], labels: str, places: list[str]) -> Row | None:
    """The label's columns; None where the picture has no such label. ``places``: of the three numbers."""
    for value, place in zip(values, places[1:], strict=True):
        if value != UNLABELLED and not -1 <= value <= 1:
            raise InputError(f"{place}: the value {value:g}, expected -1 to 1, or -2 where there is none: {AGAIN}")
    if labels == "values":
        return None if UNLABELLED in values else {"valence": values[0], "arousal": values[1]}
    if expression in NO_EXPRESSION:
        return None
    if expression not in range(len(EXPRESSIONS)):
        raise InputError(f"{places[0]}: expression {expression:g}, expected 0 to 10: {AGAIN}")
    return {"expression": EXPRESSIONS[int(expression)]}
