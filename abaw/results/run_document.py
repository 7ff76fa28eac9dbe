"""The content of run.json: which keys there are and of which types, checked when the file is read."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from abaw.errors import InputError
from abaw.files import read_json


class _Recipe(BaseModel):
    """What a recipe of features must have here."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str


class _RunDocument(BaseModel):
    """What a run records; other keys are kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str = ""
    seed: int = 0
    commit: str | None = None
    versions: dict[str, str] = {}
    tasks: dict[str, dict[str, Any]] = {}
    label_tasks_seen: list[str] = []
    plugins: list[dict[str, str]] = []
    labels: str = ""
    recipes: dict[str, _Recipe] = {}
    folds: dict[str, Any] = {}
    videos: dict[str, list[str]] = {}
    splits: dict[str, dict[str, dict[str, int]]] = {}
    scores: dict[str, dict[str, float]] = {}
    weights: dict[str, str] = {}


def read_run_document(path: Path) -> dict[str, Any]:
    """The content of a run.json. Raises InputError, naming file and key, where a value is of another type."""
    document = read_json(path)
    try:
        _RunDocument.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "it"
        raise InputError(
            f"{path}: {key} is {str(first['input'])[:80]!r}: {first['msg'][0].lower()}{first['msg'][1:]}; the file is "
            "damaged or was edited: train the run again"
        ) from error
    checked: dict[str, Any] = document
    return checked
