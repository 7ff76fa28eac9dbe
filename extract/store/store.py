"""Features on disk, keyed by the whole recipe; a track is complete or absent.

    STORE/clock/<clip>.safetensors                   the clip's clock, written first
    STORE/<name>-<recipe hash>/recipe.json           everything that can change a number
    STORE/<name>-<recipe hash>/<clip>.safetensors    values, times_s, observed; metadata says from which source
    STORE/<name>-<recipe hash>/failed.jsonl          what could not be extracted, and why

Reading is memory-mapped: a window costs the rows it needs. Writing goes by rows as they come (``track_file.py``).
"""

import hashlib
import json
import mmap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from abaw.errors import InputError, NotFoundError
from abaw.files import atomic_write, read_json
from abaw.registry import nearest
from abaw.tracks import Clock, Track
from extract.store.leases import locked
from extract.store.track_file import SAFETENSORS_TYPES, TrackWriter, tensor, write

Recipe = dict[str, Any]
DTYPES = {word: np.dtype(name) for name, word in SAFETENSORS_TYPES.items()}


@dataclass(frozen=True)
class Failure:
    """Why a clip has no track: the stage ("decode", "encode", ...) and the reason in words."""

    clip: str
    stage: str
    reason: str

    def __str__(self) -> str:
        return f"{self.clip}: {self.stage}: {self.reason}"


class FeatureStore:
    """One folder of clocks and tracks. Constructing it touches nothing; writing makes the folders."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def folder(self, recipe: Recipe) -> Path:
        """``<name>-<hash>``: the hash is of the recipe as canonical JSON, the name included.

        Settings that only say where weights were found (``found_at``) do not count: the weights' own hash does.
        """
        text = json.dumps(_without_places(recipe), sort_keys=True, separators=(",", ":"))
        return self.root / f"{recipe['name']}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def recipes(self) -> dict[str, Recipe]:
        """Folder name -> recipe of every encoder that has tracks here."""
        if not self.root.is_dir():
            raise NotFoundError(f"no store at {self.root}: run abaw extract DATA --store {self.root} --encoder NAME")
        return {path.parent.name: read_json(path) for path in sorted(self.root.glob("*/recipe.json"))}

    def find(self, name: str) -> Recipe:
        """The recipe a config means by a folder's name, with or without hash. ValueError where none or several fit."""
        # what has no encoder is no feature: the boxes of found faces
        recipes = {folder: recipe for folder, recipe in self.recipes().items() if "encoder" in recipe}
        if name in recipes:
            return recipes[name]
        fitting = [folder for folder, recipe in recipes.items() if recipe["name"] == name]
        if len(fitting) == 1:
            return recipes[fitting[0]]
        if fitting:
            raise InputError(
                f"{self.root} has {len(fitting)} recipes named {name!r}: write one of {', '.join(fitting)}"
            )
        names = sorted({recipe["name"] for recipe in recipes.values()})
        raise InputError(
            f"no features named {name!r} in {self.root}{nearest(name, names)} there are: {', '.join(names) or 'none'}; "
            f"run abaw extract DATA --store {self.root} --encoder {name}"
        )

    def has(self, recipe: Recipe, clip_id: str, source: str | None = None) -> bool:
        """Whether the track is there; with ``source``, whether it was made from just that source."""
        path = self.folder(recipe) / f"{clip_id}.safetensors"
        return path.exists() and (source is None or _metadata(path).get("source") == source)

    def put(self, recipe: Recipe, clip_id: str, track: Track, metadata: Mapping[str, str] | None = None) -> None:
        """Write a track, whole or not at all, in the recipe's ``stored_dtype`` (default float16).

        ValueError where that cannot hold one of the values.
        """
        with self.writer(recipe, clip_id, track.dim) as writer:
            writer.add(track.values[track.observed])
            writer.finish(track.times_s, track.observed, metadata or {})

    def writer(self, recipe: Recipe, clip_id: str, dim: int) -> TrackWriter:
        """A track to be written by its observed rows as they come."""
        self.root.mkdir(parents=True, exist_ok=True)
        return TrackWriter(self.folder(recipe), recipe, clip_id, dim)

    def get(self, recipe: Recipe, clip_id: str) -> Track:
        """The whole track, values in float32. FileNotFoundError says which command makes it."""
        stored = self.open(recipe, clip_id)
        return Track(stored.rows(0, len(stored.times_s)), stored.times_s, stored.observed)

    def open(self, recipe: Recipe, clip_id: str) -> "StoredTrack":
        """Times and observed flags now, values when asked for."""
        path = self.folder(recipe) / f"{clip_id}.safetensors"
        command = self._command(recipe)
        missing = f"no {recipe['name']} track for clip {clip_id!r}{self._failure(clip_id)}"
        tensors = _read(path, ("times_s", "observed"), missing, command)
        if _metadata(path).get("source") != _metadata(self._clock_path(clip_id)).get("source"):
            raise InputError(
                f"the {recipe['name']} track of clip {clip_id!r} is of other media than its clock: run {command}"
            )
        return StoredTrack(path, tensors["times_s"], tensors["observed"])

    def _command(self, recipe: Recipe) -> str:
        """What makes a track of this recipe."""
        if recipe.get("encoder") == "import":
            return f"abaw store import {self.root} FOLDER --name {recipe['name']}"
        return f"abaw extract DATA --store {self.root} --encoder {words(recipe)}"

    def put_clock(self, clip_id: str, clock: Clock, metadata: Mapping[str, str]) -> None:
        """Write a clip's clock, whole or not at all."""
        arrays = {"frames": clock.frames.astype(np.int32), "times_s": clock.times_s, "decoded": clock.decoded}
        tensors = {name: tensor(array) for name, array in arrays.items()}
        write(self._clock_path(clip_id), tensors, metadata)

    def clock(self, clip_id: str) -> Clock:
        """The clip's clock. FileNotFoundError says which command makes it."""
        command = f"abaw extract DATA --store {self.root} --encoder NAME"
        path = self._clock_path(clip_id)
        missing = f"no clock for clip {clip_id!r}{self._failure(clip_id)}"
        return Clock(**_read(path, ("frames", "times_s", "decoded"), missing, command))

    def clock_metadata(self, clip_id: str) -> dict[str, str]:
        """What the clock was made from; {} where there is none."""
        path = self._clock_path(clip_id)
        return _metadata(path) if path.exists() else {}

    def failures(self, recipe: Recipe) -> list[Failure]:
        """The clips that have no track, and why, as far as an extraction said so."""
        path = self.folder(recipe) / "failed.jsonl"
        rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [Failure(**json.loads(row)) for row in rows]

    def settle(self, recipe: Recipe, clip_id: str, failure: Failure | None) -> None:
        """Note why a clip has no track, or that it has one now; the file is gone when no failure is left."""
        path = self.folder(recipe) / "failed.jsonl"
        if failure is None and not path.exists():
            return
        with locked(self.root / ".failed"):
            others = [each for each in self.failures(recipe) if each.clip != clip_id]
            rows = sorted(json.dumps(vars(each)) for each in others + ([failure] if failure else []))
            if rows:
                with atomic_write(path) as temporary:
                    temporary.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
            else:
                path.unlink(missing_ok=True)

    def _failure(self, clip_id: str) -> str:
        """Why the clip has no track, where an extraction said so, and what to do but to run it again."""
        for path in sorted(self.root.glob("*/failed.jsonl")):
            for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                if row["clip"] == clip_id:
                    return f" ({row['stage']} failed: {row['reason']}; mend that, or take the clip's label files away)"
        return ""

    def _clock_path(self, clip_id: str) -> Path:
        return self.root / "clock" / f"{clip_id}.safetensors"


@dataclass(frozen=True)
class StoredTrack:
    """A track of which only times and observed flags are in memory."""

    path: Path
    times_s: np.ndarray
    observed: np.ndarray

    def rows(self, first: int, stop: int) -> np.ndarray:
        """Values of the rows from ``first`` up to ``stop``, in float32."""
        if first >= stop:  # safetensors refuses an empty slice of a track without rows
            return np.zeros((0, self.dim), np.float32)
        with _opened(self.path) as file:
            return np.asarray(file.get_slice("values")[first:stop]).astype(np.float32)

    @property
    def dim(self) -> int:
        with _opened(self.path) as file:
            return int(file.get_slice("values").get_shape()[1])


def _read(path: Path, names: Iterable[str], missing: str, command: str) -> dict[str, np.ndarray]:
    if not path.exists():
        raise NotFoundError(f"{missing} in {path.parent}: run {command}")
    with _opened(path, command) as file:  # which checks the header, and that the file is as long as it says
        for name in names:
            file.get_slice(name)
    return _mapped(path, names)


def _mapped(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Tensors of a safetensors file as views of the file itself: the memory of a store's times is the system's cache.

    Copies of them would grow with the store, in every process that reads windows from it.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: np.ndarray(
            tuple(header[name]["shape"]), DTYPES[header[name]["dtype"]], data, start + header[name]["data_offsets"][0]
        )
        for name in names
    }


@contextmanager
def _opened(path: Path, command: str = "abaw extract again") -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}): delete it and run {command}") from error


def words(recipe: Recipe) -> str:
    """The recipe as ``--encoder`` takes it: ``encoder:setting=value,...``; boxes of faces come with any of them."""
    if "encoder" not in recipe:
        return "NAME"
    chosen = {key: value for key, value in recipe["settings"].items() if value is not None}
    settings = {**chosen, "as": recipe["name"], "stored_dtype": recipe.get("stored_dtype", "float16")}
    return f"{recipe['encoder']}:" + ",".join(f"{key}={value}" for key, value in settings.items())


def _without_places(recipe: Recipe) -> Recipe:
    found_at = recipe.get("found_at", ())
    kept = {key: _without_places(value) if key == "faces" else value for key, value in recipe.items()}
    if "plugin" in recipe:  # its content counts, not where it lies
        kept["plugin"] = recipe["plugin"]["sha256"]
    if "settings" in recipe:
        kept["settings"] = {key: value for key, value in recipe["settings"].items() if key not in found_at}
    return kept


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}  # a damaged file was made from no known source: it is extracted again, and reading it is an error
