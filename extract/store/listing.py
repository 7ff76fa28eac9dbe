"""What lies in a store, read as it lies: folders, track files, recipes, failures, leavings."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from abaw.errors import InputError
from abaw.files import read_json, visible
from extract.encoders import ENCODERS
from extract.store.store import FeatureStore, Recipe

BLOCK_BYTES = 16 << 20

DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64", "BOOL": "bool", "I32": "int32"}

NUM_SHOWN = 5

ProgressCallback = Callable[[str, int, int], None]


def silent(item: str, done: int, total: int) -> None:
    """Who is told nothing."""


class TrackFile:
    """A track's file as it lies on disk: times and flags are in memory, values are read in blocks.

    ``flags`` are the tensors of one bool a row: ``observed`` and, where faces were filled from the video, ``filled``.
    ValueError where the file is damaged or holds no track.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="numpy") as file:
                names = set(file.keys())
                lacking = {"values", "times_s", "observed"} - names
                if lacking:
                    raise InputError(f"{path} is no track: it has no {', '.join(sorted(lacking))}")
                values = file.get_slice("values")
                self.shape = tuple(int(side) for side in values.get_shape())
                self.dtype = DTYPES.get(values.get_dtype(), values.get_dtype())
                self.metadata: dict[str, str] = file.metadata() or {}
                self.times_s = file.get_tensor("times_s")
                self.flags = {name: file.get_tensor(name) for name in ("observed", "filled") if name in names}
        except SafetensorError as error:
            raise InputError(f"{path} is damaged: {error}") from error

    @property
    def observed(self) -> np.ndarray:
        return self.flags["observed"]

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The first row and the values, as stored, of one block after the other."""
        num, dim = self.shape
        step = max(1, BLOCK_BYTES // max(1, dim * 4))
        with safe_open(self.path, framework="numpy") as file:
            for first in range(0, num, step):
                yield first, np.asarray(file.get_slice("values")[first : min(first + step, num)])

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """The values, as stored, of some rows in ascending order."""
        if not len(rows):
            return np.zeros((0, *self.shape[1:]), self.dtype)
        with safe_open(self.path, framework="numpy") as file:
            return np.asarray(file.get_slice("values")[int(rows[0]) : int(rows[-1]) + 1])[rows - rows[0]]


def feature_folders(store: FeatureStore) -> list[Path]:
    """The folders of tracks: those with a recipe, a track or a list of failures."""
    if not store.root.is_dir():
        store.recipes()  # which says so
    signs = ("recipe.json", "failed.jsonl")
    return [
        path
        for path in visible(store.root, "*")
        if path.is_dir()
        and path.name != "clock"
        and (any((path / sign).exists() for sign in signs) or any(path.glob("*.safetensors")))
    ]


def recipe_of(folder: Path) -> Recipe:
    """The folder's recipe; {} where there is none that can be read, which is for ``verify`` to tell."""
    try:
        recipe = read_json(folder / "recipe.json")
    except (ValueError, OSError):
        return {}
    return recipe if isinstance(recipe, dict) else {}


def tracks(folder: Path) -> dict[str, Path]:
    """Clip -> file of its track (or clock), in order."""
    return {path.name.removesuffix(".safetensors"): path for path in visible(folder, "*.safetensors")}


def stale_files(store: FeatureStore) -> list[Path]:
    """Files that processes wrote aside and never finished, and those that running ones are writing now."""
    folders = [store.root / "clock", *feature_folders(store)]
    found = [path for folder in folders if folder.is_dir() for path in folder.glob(".*-*") if path.is_file()]
    return sorted(found)


def modality(recipe: Recipe) -> str | None:
    """vision, audio or text; None where the encoder is not known here any more."""
    if "finder" in recipe:
        return "vision"
    if "modality" in recipe:
        return str(recipe["modality"])
    facts = {part.name: part.facts for part in ENCODERS.parts()}
    return facts.get(recipe.get("encoder", ""), {}).get("modality")


def failures(folder: Path) -> dict[str, str]:
    """Clip -> why it has no track. ValueError where the list cannot be read."""
    path = folder / "failed.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        return {row["clip"]: f"{row['stage']}: {row['reason']}" for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not readable as a list of failures: {error}") from error


def is_stale(store: FeatureStore, clip_id: str, file: TrackFile) -> bool:
    """Whether the track is of other media than the clip's clock, or the clip has no clock at all."""
    path = store.root / "clock" / f"{clip_id}.safetensors"
    return not path.exists() or file.metadata.get("source") != store.clock_metadata(clip_id).get("source")


def named(clips: Sequence[str]) -> str:
    """The first few of some clips, and how many more there are."""
    more = f" and {len(clips) - NUM_SHOWN} more" if len(clips) > NUM_SHOWN else ""
    return ", ".join(clips[:NUM_SHOWN]) + more


def size(num_bytes: float) -> str:
    """Bytes as people say them."""
    if num_bytes < 1000:
        return f"{num_bytes:.0f} B"
    power = min(4, (len(str(int(num_bytes))) - 1) // 3)
    return f"{num_bytes / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
