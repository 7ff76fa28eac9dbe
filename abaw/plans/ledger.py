"""Which stages of a recipe are done: each one's outputs are there, made from what is there now."""

import hashlib
import json
from pathlib import Path
from typing import Any

from abaw.clips import SPLITS, Dataset
from abaw.files import read_json, write_json
from abaw.plans.recipes import Stage
from abaw.plans.samples import listed

LEDGER = "recipe.json"


def facts(dataset: Dataset) -> dict[str, Any]:
    """What stages depend on in a data set: clips, media, labels and lists by name, size and time of change, folders of
    images by the time of theirs."""
    folders = [clip.images for clip in dataset.clips.values() if clip.images is not None]
    files = {clip.media for clip in dataset.clips.values() if clip.media is not None}
    files |= {path for splits in dataset.challenges.values() for clips in splits.values() for path in clips.values()}
    files |= {*dataset.test_lists.values(), *listed(dataset, SPLITS)}
    return {
        "clips": _hash(sorted(dataset.clips)),
        "images": _hash([[str(folder), folder.stat().st_mtime_ns] for folder in folders]),
        "files": _hash([_stamp(path) for path in sorted(files)]),
    }


class Ledger:
    """recipe.json: of each stage that is done, what it was made from."""

    def __init__(self, work: Path) -> None:
        self._path = work / LEDGER

    def is_done(self, stage: Stage) -> bool:
        """Whether its outputs are there and were made from what is there now."""
        return all(path.exists() for path in stage.outputs) and self._done().get(stage.name) == made_from(stage)

    def note(self, stage: Stage, made: str) -> None:
        """It is done, and was made from ``made``, as ``made_from`` said before it began."""
        write_json(self._path, {**self._done(), stage.name: made})

    def strike(self, stage: Stage) -> None:
        """It is no longer done: it begins anew, and what a stop leaves of it is not what the ledger told of."""
        done = self._done()
        if stage.name in done:
            write_json(self._path, {name: made for name, made in done.items() if name != stage.name})

    def _done(self) -> dict[str, str]:
        return read_json(self._path) if self._path.is_file() else {}


def made_from(stage: Stage) -> str:
    """One hash of a stage's settings and inputs: of files their names, sizes and times of change."""
    return _hash([stage.settings, *(_stamp(path) for path in stage.inputs)])


def depends(stage: Stage, on: Stage) -> bool:
    """Whether a stage reads what another makes."""
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
