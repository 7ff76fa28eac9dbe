"""The content of run.json: which keys there are and of which types, and its checksum, checked when it is read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from abaw.errors import InputError
from abaw.files import read_json, write_json
from abaw.files.seals import SEAL, is_sealed, seal, without_seal

POSTERIOR = "posterior-"  # begins the names of files beside the weights that may be added to a complete run
EDITED = "the file is damaged or was edited: restore it, or delete the run and train again"


class _Recipe(BaseModel):
    """What a recipe of features must have here."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str


class _Selection(BaseModel):
    """How the epoch was chosen; see ``selection.chosen_on``."""

    model_config = ConfigDict(extra="allow", strict=True)

    videos: list[str]
    groups: list[str]
    epochs_trained: int | None = None


class _Ancestor(BaseModel):
    """A run that this one continues, the parent or one before it."""

    model_config = ConfigDict(extra="allow", strict=True)

    run: str
    sha256: str


class _RunDocument(BaseModel):
    """What a run records; other keys are kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str = ""
    seed: int = 0
    commit: str | None = None
    began_at: str = ""
    ended_at: str = ""
    versions: dict[str, str] = {}
    tasks: dict[str, dict[str, Any]] = {}
    label_tasks_seen: list[str] = []
    plugins: list[dict[str, str]] = []
    context: str = ""
    labels: str = ""
    recipes: dict[str, _Recipe] = {}
    folds: dict[str, Any] = {}
    videos: dict[str, list[str]] = {}
    groups: dict[str, list[str]] = {}
    selection: _Selection | None = None
    continued_from: list[_Ancestor] = []
    splits: dict[str, dict[str, dict[str, int]]] = {}
    scores: dict[str, dict[str, float]] = {}
    weights: dict[str, str] = {}
    config: dict[str, str] = {}


def read_run_document(path: Path) -> dict[str, Any]:
    """The content of a run.json, without its checksum.

    Raises InputError, naming the file, where it is not readable, a value is of another type, or a complete run's has
    changed since it was written. Runs of older versions, which do not record their config's hashes, have no checksum.
    """
    try:
        document = read_json(path)
    except InputError as error:
        raise InputError(f"{error}; {EDITED}") from error
    try:
        _RunDocument.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "it"
        raise InputError(
            f"{path}: {key} is {str(first['input'])[:80]!r}: {first['msg'][0].lower()}{first['msg'][1:]}; {EDITED}"
        ) from error
    if (SEAL in document or "config" in document) and not is_sealed(document):
        raise InputError(f"{path}: its content does not match its {SEAL}; {EDITED}")
    return without_seal(document)


def write_run_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write the run.json of a complete run with its checksum."""
    write_json(path, seal(json.loads(json.dumps(document))))  # as it will be read: keys are texts, tuples are lists


def network_weights(document: Mapping[str, Any]) -> dict[str, str]:
    """File -> SHA-256 of the weights that a run.json names, without posteriors, which change no output of the run."""
    return {name: each for name, each in document.get("weights", {}).items() if not name.startswith(POSTERIOR)}


def find_changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a training that was stopped may not go on with in words: labels, tables of teachers and runs that differ."""
    of_both = ((_labels_of, "labels"), (_tables_of, "tables of teachers"), (_runs_of, "runs to continue"))
    return [words for read, words in of_both if read(before) != read(now)]


def _labels_of(facts: Mapping[str, Any]) -> str | None:
    return facts.get("labels")


def _tables_of(facts: Mapping[str, Any]) -> list[str | None]:
    """The hashes of the tables of teachers."""
    teachers = facts.get("teachers", {})
    sections = [teachers.get(name, {}) for name in ("pseudo_labels", "distillation")]
    return [each["sha256"] for section in sections for each in section.get("tables", ())]


def _runs_of(facts: Mapping[str, Any]) -> list[str]:
    """The hashes of the runs that it continues."""
    return [each["sha256"] for each in facts.get("continued_from", ())]
