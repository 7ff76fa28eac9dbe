"""Vectors of persons on disk: what a model was adapted to a person with, and by which labelled frames.

SUBJECTS/<person>.safetensors   the vector ("vector"), and in its metadata, as JSON: the run and the hash of what it
                                computes, the person (a clip, or a group of clips), the clips and frames of the labels,
                                the hash of the label file, and the steps, rate and gap of the adaptation

predictions.json of tables that were made with such vectors has an entry ``subjects``: ``adapted`` (clip -> person),
``not_adapted`` (clips) and ``persons`` (person -> what is recorded of his vector).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from abaw.errors import InputError, NotFoundError
from abaw.files import atomic_write, sha256, visible
from abaw.files.names import checked_name
from abaw.files.seals import digest
from abaw.numbers import format_count
from abaw.results import predictions
from abaw.results.run_document import POSTERIOR
from abaw.results.runs import Run

SUFFIX = ".safetensors"
KEYS = {"run", "run_sha256", "person", "support", "labels", "tasks", "steps", "rate", "gap_s"}


@dataclass(frozen=True)
class Subject:
    """A person's vector (embedding). ``about``: the entries of the file's metadata.

    ``about["support"]`` maps each labelled clip to its labelled frames; without frames the label is the clip's.
    """

    person: str
    vector: np.ndarray
    about: Mapping[str, Any]

    @property
    def num_labels(self) -> int:
        """How many labelled frames, or clips with one label, it was made from."""
        return sum(len(frames) or 1 for frames in self.about["support"].values())


def content_hash(run: Run) -> str:
    """A hash of what the run computes: of its weights, and of the config and the tasks that it was trained with.

    A posterior that is fitted later does not change it.
    """
    document = run.finished()
    paths = [path for path in visible(run.folder / "weights", "*") if not path.name.startswith(POSTERIOR)]
    weights = {path.name: sha256(path) for path in paths}
    return digest({"weights": weights, "config": document.get("config", {}), "tasks": document["tasks"]})[:32]


def write_subject(folder: Path, subject: Subject) -> Path:
    """Write ``<folder>/<person>.safetensors``, whole or not at all."""
    path = folder / f"{checked_name(subject.person, 'a person')}{SUFFIX}"
    vector = np.ascontiguousarray(subject.vector, np.float32)
    with atomic_write(path) as temporary:
        about = json.dumps({**subject.about, "person": subject.person}, sort_keys=True)
        temporary.write_bytes(safetensors.numpy.save({"vector": vector}, {"subject": about}))
    return path


def read_subjects(folder: Path, run: Run) -> dict[str, Subject]:
    """Person -> vector, of all files in a folder.

    Raises NotFoundError where there is none, and InputError for a damaged file, or one that another run made.
    """
    paths = visible(folder, f"*{SUFFIX}") if folder.is_dir() else []
    if not paths:
        raise NotFoundError(f"no vectors of persons in {folder}: write them with abaw personalise {run.folder}")
    expected, found = content_hash(run), {}
    for path in paths:
        subject = _read(path)
        if subject.about["run_sha256"] != expected:
            raise InputError(
                f"{path} was made with another run ({subject.about['run']}), or before {run.folder} was trained again: "
                f"its numbers mean nothing here; make it again with abaw personalise {run.folder}, or name that run"
            )
        found[subject.person] = subject
    return found


def _read(path: Path) -> Subject:
    try:
        with safetensors.safe_open(path, "np") as file:
            about = json.loads((file.metadata() or {})["subject"])
            vector = file.get_tensor("vector")
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path} is damaged or no vector of a person ({error}): run abaw personalise again") from error
    if not isinstance(about, dict) or not about.keys() >= KEYS or about["person"] != path.name.removesuffix(SUFFIX):
        raise InputError(f"{path} does not say what it is of: run abaw personalise again, and do not rename the file")
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise InputError(f"{path} has no vector of finite numbers: run abaw personalise again")
    return Subject(about["person"], vector, about)


def person_of(clip_id: str, groups: Mapping[str, str]) -> str:
    """Who a clip shows: its group, where the data set names groups, else the clip; ``_left`` and ``_right`` are two."""
    return groups.get(clip_id, "") or clip_id


def subjects_record(
    subjects: Mapping[str, Subject], clip_ids: Sequence[str], groups: Mapping[str, str]
) -> dict[str, Any]:
    """The entry ``subjects`` of predictions.json for tables of these clips."""
    adapted = {clip_id: person_of(clip_id, groups) for clip_id in clip_ids if person_of(clip_id, groups) in subjects}
    return {
        "adapted": adapted,
        "not_adapted": [clip_id for clip_id in clip_ids if clip_id not in adapted],
        "persons": {person: dict(subjects[person].about) for person in sorted(set(adapted.values()))},
    }


def subjects_words(record: Mapping[str, Any]) -> str:
    """How many clips were predicted with vectors of how many persons."""
    adapted, left = format_count(len(record["adapted"]), "clip"), format_count(len(record["not_adapted"]), "clip")
    persons = format_count(len(record["persons"]), "person")
    return f"subject-adapted: {adapted} with the vectors of {persons}, {left} without adaptation"


def check_no_subjects(where: Path, what: str) -> None:
    """Raises InputError where labels of the predicted persons were used for the tables. ``what`` refuses them."""
    if predictions.read_metadata(where).get("subjects"):
        raise InputError(
            f"{where} was made with labels of the persons that it predicts (abaw predict --subjects), which is a "
            f"protocol of its own: {what} takes none of it; predict without --subjects"
        )
