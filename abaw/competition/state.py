"""Which stages of a recipe are done: those whose outputs exist and were made from the inputs that exist now."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from abaw.competition.stages import Stage
from abaw.competition.templates import listed
from abaw.dataset.layout import SPLITS, Dataset
from abaw.errors import InputError, NotFoundError
from abaw.files import read_json, sha256, visible, write_json
from abaw.pipelines.features import check_stored
from abaw.results import predictions
from abaw.results.runs import Run

STATE_FILE = "recipe.json"
BACKUP = re.compile(r"\.bak\d*$", re.ASCII)


def facts(dataset: Dataset) -> dict[str, Any]:
    """Hashes of what stages depend on in a data set: clips; media, images, label files and lists by name, size and
    modification time."""
    folders = [clip.images for clip in dataset.clips.values() if clip.images is not None]
    files = {clip.media for clip in dataset.clips.values() if clip.media is not None}
    files |= {path for splits in dataset.challenges.values() for clips in splits.values() for path in clips.values()}
    files |= {*dataset.test_lists.values(), *listed(dataset, SPLITS)}
    return {
        "clips": _hash(sorted(dataset.clips)),
        "images": _hash([[str(folder), _stamps(folder)] for folder in folders]),
        "files": _hash([_stamp(path) for path in sorted(files)]),
    }


@dataclass(frozen=True)
class Made:
    """What a stage was made from: the hash of its settings, and of each input by its path."""

    settings: str
    inputs: Mapping[str, str]


class StageState:
    """The record of finished stages, recipe.json: for each stage, hashes of its settings, its inputs and its outputs.

    Inputs and outputs count by their content, which is read whenever a stage is checked: what was deleted, cut, damaged
    or edited is made again, and what was only copied or touched is not. This costs about a second for a gigabyte. Of
    the tracks in a store, which can have terabytes and have checksums of their own, names and sizes count; the checksum
    of a track is verified where its modification time has changed.
    """

    def __init__(self, work: Path) -> None:
        self._path = work / STATE_FILE

    def is_done(self, stage: Stage) -> bool:
        """Whether a stage's outputs are as it made them, from its inputs and settings as they are now."""
        return stage.name in self._done() and self.why_again(stage) is None

    def why_again(self, stage: Stage) -> str | None:
        """Why a stage that was done must be done again; None where it needs not, or never was done.

        Raises InputError where a file of the store is damaged that extraction would take for done.
        """
        recorded = self._done().get(stage.name)
        if recorded is None:
            return None
        made = made_from(stage)
        if recorded["settings"] != made.settings:
            return "its settings or the data set have changed"
        before = recorded["inputs"]
        if len(before) != len(made.inputs):
            return "it has other inputs"
        for (path, digest), then in zip(made.inputs.items(), before.values(), strict=True):
            if digest != then:
                return f"{path} has changed"
        now = outputs_of(stage)
        if stage.kind != "extract":
            return next(_differences(recorded["outputs"], now, stage), None)
        changed = next(_differences(_sizes(recorded["outputs"]), _sizes(now), stage), None)
        if changed is None:
            for name, stamp in recorded["outputs"].items():
                if now[name] != stamp:
                    check_stored(name)
        return changed

    def record_verified(self, stage: Stage) -> None:
        """Record the modification times of a store's tracks that ``why_again`` has verified, to verify them once."""
        done, now = self._done(), outputs_of(stage)
        before = done[stage.name]["outputs"]
        if any(now[name] != stamp for name, stamp in before.items()):
            outputs = {name: now[name] for name in before}
            write_json(self._path, {**done, stage.name: {**done[stage.name], "outputs": outputs}})

    def record(self, stage: Stage, made: Made) -> None:
        """Record that a stage is done. ``made``: what it was made from, as it was before it began (``made_from``)."""
        entry = {"settings": made.settings, "inputs": dict(made.inputs), "outputs": outputs_of(stage)}
        write_json(self._path, {**self._done(), stage.name: entry})

    def invalidate(self, stage: Stage) -> list[tuple[Path, Path]]:
        """Record that a stage is not done, before it runs again and may be stopped halfway.

        Outputs that were changed since they were made, which may be the work of a user, are renamed first, so that they
        are not overwritten. Returns their paths and their new ones. (A run's tables: ``back_up_changed_tables``.)
        """
        done = self._done()
        if stage.name not in done:
            return []
        moved = []
        recorded, now = done[stage.name]["outputs"], outputs_of(stage)
        for name, content in now.items():
            if stage.kind not in ("extract", "train") and recorded.get(name, content) != content:
                moved.append((Path(name), back_up(Path(name))))
        write_json(self._path, {name: made for name, made in done.items() if name != stage.name})
        return moved

    def _done(self) -> dict[str, Any]:
        if not self._path.is_file():
            return {}
        try:
            document = read_json(self._path)
        except InputError as error:
            raise InputError(f"{error}: delete it, and all stages but training are made again") from error
        if not isinstance(document, dict):
            raise InputError(
                f"{self._path}: expected a JSON object: delete it, and all stages but training are made again"
            )
        return {name: entry for name, entry in document.items() if _is_entry(entry)}  # others: by an older version


def _is_entry(entry: Any) -> bool:
    parts = ("settings", str), ("inputs", dict), ("outputs", dict)
    return isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in parts)


def made_from(stage: Stage) -> Made:
    """The hashes of a stage's settings and of the content of its inputs as they are now."""
    return Made(_hash(stage.settings), {str(path): _hash(_contents(path)) for path in stage.inputs})


def outputs_of(stage: Stage) -> dict[str, str]:
    """The hash of every file that a stage made, by path; of a store's tracks size and modification time (ns)."""
    if stage.kind == "extract":
        stores = [path.parent for path in stage.outputs]
        files = [
            (path, path.stat())
            for store in stores
            for kind in ("*.safetensors", "*.pack")
            for path in _files(store, kind)
        ]
        stamps = {str(path): f"{stat.st_size} {stat.st_mtime_ns}" for path, stat in files}
        small = [path for store in stores for name in ("recipe.json", "*.losses.json") for path in _files(store, name)]
        return stamps | {str(path): sha256(path) for path in small}
    found: dict[str, str] = {}
    for path in stage.outputs:
        found |= {str(path / name) if name else str(path): content for name, content in _contents(path).items()}
    return found


def _differences(before: Mapping[str, str], now: Mapping[str, str], stage: Stage) -> Iterator[str]:
    missing = [str(path) for path in stage.outputs if not path.exists()]
    for name in [*missing, *(name for name in before if name not in now)]:
        yield f"{name} is missing"
    for name, content in before.items():
        if now[name] != content:
            yield f"{name} has changed since it was made"
    if stage.kind != "extract":  # other encoders and clips may be added to a store
        for name in now.keys() - before.keys():
            yield f"{name} was added"


def _sizes(stamps: Mapping[str, str]) -> dict[str, str]:
    """The stamps of a store's files without the modification times, which versions before did not record."""
    return {name: stamp.partition(" ")[0] for name, stamp in stamps.items()}


def _contents(path: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder by its name in it; of a single file by "". {} where there is nothing."""
    if path.is_dir():
        return {each.relative_to(path).as_posix(): sha256(each) for each in _files(path, "*")}
    return {"": sha256(path)} if path.is_file() else {}


def _files(folder: Path, pattern: str) -> list[Path]:
    """The files at any depth, without hidden ones, such as locks, and those that are backups."""
    found = (path for path in folder.rglob(pattern) if path.is_file() and not BACKUP.search(path.name))
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def back_up(path: Path) -> Path:
    """Rename a file so that it is kept beside the new one."""
    names = (f"{path.name}.bak{number or ''}" for number in count())
    to = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    path.rename(to)
    return to


def depends(stage: Stage, on: Stage) -> bool:
    """Whether a stage reads what another one makes."""
    return any(
        given == made or given.is_relative_to(made) or made.is_relative_to(given)
        for given in stage.inputs
        for made in on.outputs
    )


def _stamp(path: Path) -> Any:
    if not path.is_file():
        return [str(path)]
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _stamps(folder: Path) -> list[Any]:
    """Name, size and modification time of every file in a folder of images."""
    with os.scandir(folder) as entries:
        return sorted((each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in entries)


def _hash(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


AGAIN = "delete that folder, or give another name=..., to train again"
Recipes = Mapping[str, dict[str, Any]]


def check_weights(run: Run) -> None:
    """Raise InputError where a complete run lacks its weights, or they have changed since it was trained."""
    run.finished()
    if not visible(run.folder / "weights", "*.safetensors"):
        raise InputError(f"{run.folder} is damaged: its weights are missing: {AGAIN}")
    run.check_weights()


def why_predict_again(run: Run) -> str | None:
    """Why the tables of the clips that a complete run held out must be predicted again; None where they are whole."""
    document = run.finished()
    sizes = document.get("splits", {}).get("validation", {})
    for name in document["tasks"]:
        tables = run.predictions("validation") / name
        if not (tables / predictions.METADATA).is_file():
            return f"{tables / predictions.METADATA} is missing"
        try:
            predictions.check_unchanged(tables)
        except (InputError, NotFoundError) as error:
            return str(error)
        if len(predictions.clip_ids(tables)) < sizes.get(name, {}).get("clips", 1):
            return f"tables in {tables} are missing"
    return None


def back_up_changed_tables(run: Run) -> list[tuple[Path, Path]]:
    """Rename the tables of the clips that a run held out that have changed since they were made, before all are made
    again. Returns their paths and their new ones."""
    folders = [run.predictions("validation") / name for name in run.document()["tasks"]]
    return [(path, back_up(path)) for folder in folders for path in predictions.changed_files(folder)]


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
