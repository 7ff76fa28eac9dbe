"""Which stages of a recipe are done: those whose outputs exist and were made from the inputs that exist now."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from abaw.competition.stages import Stage
from abaw.competition.templates import listed
from abaw.dataset.layout import SPLITS, Dataset
from abaw.errors import InputError
from abaw.files import read_json, visible, write_json
from abaw.results import predictions
from abaw.results.runs import Run

STATE_FILE = "recipe.json"


def facts(dataset: Dataset) -> dict[str, Any]:
    """Hashes of what stages depend on in a data set: clips; media, label files and lists by name, size and modification
    time; folders of images by their modification time."""
    folders = [clip.images for clip in dataset.clips.values() if clip.images is not None]
    files = {clip.media for clip in dataset.clips.values() if clip.media is not None}
    files |= {path for splits in dataset.challenges.values() for clips in splits.values() for path in clips.values()}
    files |= {*dataset.test_lists.values(), *listed(dataset, SPLITS)}
    return {
        "clips": _hash(sorted(dataset.clips)),
        "images": _hash([[str(folder), folder.stat().st_mtime_ns] for folder in folders]),
        "files": _hash([_stamp(path) for path in sorted(files)]),
    }


class StageState:
    """The record of finished stages, recipe.json: for each stage, the hash of what it was made from."""

    def __init__(self, work: Path) -> None:
        self._path = work / STATE_FILE

    def is_done(self, stage: Stage) -> bool:
        """Whether a stage's outputs exist and were made from its inputs and settings as they are now."""
        return all(path.exists() for path in stage.outputs) and self._done().get(stage.name) == made_from(stage)

    def record(self, stage: Stage, made: str) -> None:
        """Record that a stage is done. ``made`` is the hash (``made_from``) of its inputs before it began."""
        write_json(self._path, {**self._done(), stage.name: made})

    def invalidate(self, stage: Stage) -> None:
        """Record that a stage is not done, before it runs again and may be stopped halfway."""
        done = self._done()
        if stage.name in done:
            write_json(self._path, {name: made for name, made in done.items() if name != stage.name})

    def _done(self) -> dict[str, str]:
        return read_json(self._path) if self._path.is_file() else {}


def made_from(stage: Stage) -> str:
    """The hash of a stage's settings and inputs; files count by name, size and modification time."""
    return _hash([stage.settings, *(_stamp(path) for path in stage.inputs)])


def depends(stage: Stage, on: Stage) -> bool:
    """Whether a stage reads what another one makes."""
    return any(
        given == made or given.is_relative_to(made) or made.is_relative_to(given)
        for given in stage.inputs
        for made in on.outputs
    )


def _stamp(path: Path) -> Any:
    if path.is_dir():
        return [_stamp(each) for each in sorted(path.rglob("*")) if each.is_file() and not each.name.startswith(".")]
    if not path.is_file():
        return [str(path)]
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _hash(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


AGAIN = "delete that folder, or give another name=..., to train again"
Recipes = Mapping[str, dict[str, Any]]


def check_whole(run: Run) -> None:
    """Raise InputError where a complete run lacks its weights, or tables of the clips that it held out."""
    document = run.finished()
    sizes = document.get("splits", {}).get("validation", {})
    missing = [] if visible(run.folder / "weights", "*.safetensors") else ["weights"]
    for name in document["tasks"]:
        tables = run.predictions("validation") / name
        num_clips = sizes.get(name, {}).get("clips", 1)
        if not (tables / predictions.METADATA).is_file() or len(predictions.clip_ids(tables)) < num_clips:
            missing.append(f"held-out predictions of {name}")
    if missing:
        raise InputError(f"{run.folder} is damaged: its {' and '.join(missing)} are missing: {AGAIN}")


def check_same(run: Run, labels: str, recipes: Recipes, is_same: Callable[[Any, Any], bool]) -> None:
    """Raise InputError where a run was trained or scored on other labels or features than those that exist now.

    ``labels``: their hash (``labels_hash``). ``recipes``: those of the features in the store, which ``is_same``
    compares. What the run does not record is not compared.
    """
    document = run.document()
    changed = [] if document.get("labels", labels) == labels else ["labels"]
    for name, before in document.get("recipes", {}).items():
        now = recipes.get(name, before)
        if not is_same(before, now):
            keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
            changed.append(f"features {name} ({', '.join(keys)})")
    if changed:
        raise InputError(f"{run.folder} was trained on other {' and '.join(changed)} than exist now: {AGAIN}")
