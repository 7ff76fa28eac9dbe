"""Features on disk, keyed by the whole recipe; a track is complete or absent.

    STORE/clock/<clip>.safetensors                   the clip's clock, written first
    STORE/<name>-<recipe hash>/recipe.json           everything that can change a number
    STORE/<name>-<recipe hash>/<clip>.safetensors    values, times_s, observed; metadata says from which source
    STORE/<name>-<recipe hash>/failed.jsonl          what could not be extracted, and why

Reading is memory-mapped: a window costs the rows it needs. Writing goes by rows as they come (``TrackWriter``): an hour
takes no more memory than a minute.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from abaw.files import read_json, whole, write_json
from abaw.registry import nearest
from abaw.tracks import Clock, Track
from extract.claims import locked

Recipe = dict[str, Any]

BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class Failure:
    """Why a clip has no track: the stage ("decode", "encode", ...) and the reason in words."""

    clip: str
    stage: str
    reason: str


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
            raise FileNotFoundError(
                f"no store at {self.root}: run abaw extract DATA --store {self.root} --encoder NAME"
            )
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
            raise ValueError(
                f"{self.root} has {len(fitting)} recipes named {name!r}: write one of {', '.join(fitting)}"
            )
        names = sorted({recipe["name"] for recipe in recipes.values()})
        raise ValueError(
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

    def writer(self, recipe: Recipe, clip_id: str, dim: int) -> "TrackWriter":
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
            raise ValueError(
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
        tensors = {name: _tensor(array) for name, array in arrays.items()}
        _write(self._clock_path(clip_id), tensors, metadata)

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
                with whole(path) as aside:
                    aside.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
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


class TrackWriter:
    """The observed rows of one track as they come; ``finish`` makes the track whole, before that nothing is there.

    The rows wait in a file without a name, which is gone with the process.
    """

    def __init__(self, folder: Path, recipe: Recipe, clip_id: str, dim: int) -> None:
        self._folder, self._recipe, self._clip_id, self._dim = folder, recipe, clip_id, dim
        self._dtype = np.dtype(recipe.get("stored_dtype", "float16"))
        self._rows: IO[bytes] = tempfile.TemporaryFile(dir=folder.parent)  # noqa: SIM115  close() does
        self.num_rows = 0

    def __enter__(self) -> "TrackWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the rows go."""
        self._rows.close()

    def add(self, rows: np.ndarray) -> None:
        """More observed rows. ValueError where one is not finite, or the number format cannot hold it."""
        if rows.ndim != 2 or rows.shape[1] != self._dim:
            raise ValueError(f"{self._recipe['name']} gave rows of shape {rows.shape}, expected (n, {self._dim})")
        with np.errstate(over="ignore"):
            stored = rows.astype(self._dtype)
        if not np.isfinite(stored).all():
            self._refuse(rows, stored)
        self._rows.write(stored.tobytes())
        self.num_rows += len(rows)

    def finish(
        self,
        times_s: np.ndarray,
        observed: np.ndarray,
        metadata: Mapping[str, str],
        filled: np.ndarray | None = None,
    ) -> None:
        """Write the track. ``observed`` marks the rows that were added; ``filled``, those that are of another origin.

        ValueError where as many rows were not added, or times do not increase.
        """
        if int(observed.sum()) != self.num_rows:
            name, num = self._recipe["name"], int(observed.sum())
            raise ValueError(f"clip {self._clip_id!r}: {name} gave {self.num_rows} rows, {num} expected")
        Track(np.zeros((len(times_s), 0), np.float32), times_s, observed)  # the times are those of a track
        if not (self._folder / "recipe.json").exists():
            write_json(self._folder / "recipe.json", self._recipe)
        tensors = {
            "values": _Tensor(self._dtype, (len(times_s), self._dim), self._blocks(observed)),
            "times_s": _tensor(times_s.astype(np.float64)),
            "observed": _tensor(observed.astype(bool)),
        }
        if filled is not None:
            tensors["filled"] = _tensor(filled.astype(bool))
        _write(self._folder / f"{self._clip_id}.safetensors", tensors, metadata)

    def _blocks(self, observed: np.ndarray) -> Iterator[bytes]:
        """The values of all rows in order, a few at a time; those not observed are 0."""
        self._rows.seek(0)
        num = max(1, BLOCK_BYTES // (self._dim * self._dtype.itemsize))
        for first in range(0, len(observed), num):
            seen = observed[first : first + num]
            block = np.zeros((len(seen), self._dim), self._dtype)
            count = int(seen.sum())
            rows = np.frombuffer(self._rows.read(count * self._dim * self._dtype.itemsize), self._dtype)
            block[seen] = rows.reshape(count, self._dim)
            yield block.tobytes()

    def _refuse(self, rows: np.ndarray, stored: np.ndarray) -> None:
        name = self._recipe["name"]
        row, column = (int(i) for i in np.argwhere(~np.isfinite(stored))[0])
        where = f"(row {self.num_rows + row}, column {column})"
        if not np.isfinite(rows[row, column]):
            raise ValueError(
                f"clip {self._clip_id!r}: the encoder {name} gave {rows[row, column]} {where}, expected "
                "finite numbers: with precision=fp16 try bf16 or fp32, else its weights or its code are at fault"
            )
        raise ValueError(
            f"clip {self._clip_id!r}: value {rows[row, column]:g} {where} of {name} does not fit {self._dtype.name}: "
            f"extract it with {name}:stored_dtype=float32"
        )


@dataclass(frozen=True)
class _Tensor:
    """A tensor that may be larger than memory: its bytes come in blocks."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterable[bytes]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _tensor(array: np.ndarray) -> _Tensor:
    return _Tensor(array.dtype, array.shape, [array.tobytes()])


SAFETENSORS_TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "int32": "I32", "bool": "BOOL"}


def _write(path: Path, tensors: Mapping[str, _Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file, whole or absent; its metadata get the SHA-256 of all that follows the header.

    The library's own writer wants all of it in memory, and writes metadata in an order that differs from run to run.
    The format: length of the header, header in JSON padded to 8 bytes, tensors one after the other, widest type first.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted({**metadata, "sha256": "0" * 64}.items()))}
    offset = 0
    for name in order:
        tensor = tensors[name]
        header[name] = {
            "dtype": SAFETENSORS_TYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.num_bytes],
        }
        offset += tensor.num_bytes
    digest = hashlib.sha256()
    with whole(path) as aside, aside.open("wb") as file:
        file.write(_packed(header))
        for name in order:
            for block in tensors[name].blocks:
                file.write(block)
                digest.update(block)
        header["__metadata__"]["sha256"] = digest.hexdigest()  # as long as the zeros that held its place
        file.seek(0)
        file.write(_packed(header))


def _packed(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _read(path: Path, names: Iterable[str], missing: str, command: str) -> dict[str, np.ndarray]:
    if not path.exists():
        raise FileNotFoundError(f"{missing} in {path.parent}: run {command}")
    with _opened(path, command) as file:
        return {name: file.get_tensor(name) for name in names}


@contextmanager
def _opened(path: Path, command: str = "abaw extract again") -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): delete it and run {command}") from error


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
    if "settings" in recipe:
        kept["settings"] = {key: value for key, value in recipe["settings"].items() if key not in found_at}
    return kept


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}  # a damaged file was made from no known source: it is extracted again, and reading it is an error
