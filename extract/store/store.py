"""Features on disk, keyed by their whole recipe; a track is complete or absent.

    STORE/clock/<clip>.safetensors                   the clip's frame timestamps, written before its tracks
    STORE/clock/<clip>.losses.json                   what of the clip was lost; no file where nothing was
    STORE/media/<clip>.json                          the media's and images' times and content (``sources.py``)
    STORE/<name>-<recipe hash>/recipe.json           everything that can change a number
    STORE/<name>-<recipe hash>/<clip>.safetensors    values, times_s, observed; the metadata name the source
    STORE/<folder>/packs/<number>-<hash>.pack        clocks or tracks of many still pictures (``packs/index.py``)
    STORE/<name>-<recipe hash>/failed.jsonl          clips that could not be extracted, and why

Files are mapped into memory when they are read (``track_file.py``): a window costs the rows it needs.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError, NotFoundError
from abaw.files import as_path, atomic_write, locked, read_json, write_json
from abaw.files.names import checked_name, one_line
from abaw.registry import nearest
from abaw.tracks import Clock, Track
from extract.losses import ClipLosses, PictureLosses
from extract.store.packs.index import is_stored
from extract.store.tensor_file import Tensor, TensorFile, read_metadata, write_tensors
from extract.store.track_file import TrackFile, TrackWriter

FAILED_LOCK = ".failed"  # held while a list of failures is changed
Recipe = dict[str, Any]
RECIPE_TYPES: dict[str, type] = {"encoder": str, "settings": dict, "assumed_clock": dict, "found_at": list}
RECIPE_TYPES |= {"span": int, "stride": int}
NO_FEATURES = ("clock", "media")  # folders with a file for each clip, which may be named "recipe"
SIGNS = ("clock/*.safetensors", "clock/packs/*.pack", "*/recipe.json", "*/failed.jsonl")  # of a store
SIGNS_OF_FEATURES = f"*-{'[0-9a-f]' * 10}/*.safetensors"
LOSSES_ENDING = ".losses.json"
HAS_LOSSES = "has_losses"  # a key of a clock's metadata
LOSSES_ERRORS = (ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True)
class Failure:
    """Why a clip has no track: the stage that failed ("decode", "encode", ...) and the reason."""

    clip: str
    stage: str
    reason: str

    def __str__(self) -> str:
        return one_line(f"{self.clip}: {self.stage}: {self.reason}")


class FeatureStore:
    """One folder of clocks (frame timestamps) and tracks (features). The folder is made when something is written."""

    def __init__(self, root: str | Path) -> None:
        self.root = as_path(root, "store")

    def folder(self, recipe: Recipe) -> Path:
        """``<name>-<hash>``: the hash is of the whole recipe, name included, as canonical JSON.

        Settings listed under ``found_at`` only locate weights and do not count: the weights' own hash does.
        """
        text = json.dumps(without_locations(recipe), sort_keys=True, separators=(",", ":"))
        name = checked_name(recipe["name"], "the recipe of features")
        return self.root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def recipes(self, *, must_exist: bool = True) -> dict[str, Recipe]:
        """Folder name -> recipe. Raises NotFoundError where there is no store and ``must_exist``."""
        if must_exist:
            self.check_exists()
        paths = sorted(path for path in self.root.glob("*/recipe.json") if path.parent.name not in NO_FEATURES)
        return {path.parent.name: load_recipe(path) for path in paths}

    def check_exists(self) -> None:
        """Raises NotFoundError where there is no folder, or one that holds nothing of a store."""
        command = f"abaw extract DATA --store {self.root} --encoder NAME"
        if not self.root.is_dir():
            raise NotFoundError(f"no store at {self.root}: run {command}")
        if not any(next(self.root.glob(pattern), None) for pattern in (*SIGNS, SIGNS_OF_FEATURES)):
            raise NotFoundError(
                f"{self.root} is no store of features: it has neither clocks (clock/<clip>.safetensors) nor a folder "
                f"with a recipe.json: check the path, or run {command}"
            )

    def find(self, name: str) -> Recipe:
        """The recipe of features by their folder's name, with or without its hash.

        Raises InputError where no features or several have this name.
        """
        # boxes of detected faces have no encoder: they are no features
        recipes = {folder: recipe for folder, recipe in self.recipes().items() if "encoder" in recipe}
        names = {folder: recipe["name"] for folder, recipe in recipes.items()}
        folder = choose_folder(self.root, names, name, f"; run abaw extract DATA --store {self.root} --encoder {name}")
        if self.folder(recipes[folder]).name != folder:
            raise InputError(
                f"{self.root / folder / 'recipe.json'} is not the recipe of its folder: one of the two was changed; "
                "rename the folder back, or delete it and run abaw extract again"
            )
        return recipes[folder]

    def has(self, recipe: Recipe, clip_id: str, source: str | None = None) -> bool:
        """Whether the track exists and, with ``source``, whether it was made from exactly that source."""
        path = self.track_path(recipe, clip_id)
        return is_stored(path) and (source is None or read_metadata(path).get("source") == source)

    def put(
        self,
        recipe: Recipe,
        clip_id: str,
        track: Track,
        metadata: Mapping[str, str] | None = None,
        tables: Mapping[str, np.ndarray] | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Write a track, complete or not at all, in the recipe's ``stored_dtype`` (float16 where it names none).

        ``tables``: arrays of float32 to keep in its file, whose rows need not be those of the track.
        Raises InputError where a value does not fit that type.
        """
        with self.writer(recipe, clip_id, track.dim) as writer:
            writer.add(track.values[track.observed])
            writer.finish(track.times_s, track.observed, metadata or {}, tables=tables, sync=sync)

    def writer(self, recipe: Recipe, clip_id: str, dim: int) -> TrackWriter:
        """A writer that takes the observed rows of a track as they come."""
        self.root.mkdir(parents=True, exist_ok=True)
        return TrackWriter(self.folder(recipe), recipe, clip_id, dim)

    def get(self, recipe: Recipe, clip_id: str) -> Track:
        """The whole track with values in float32.

        Raises NotFoundError, naming the command that makes it, where there is none; InputError where the file is
        damaged or was made from other media than the clip's clock.
        """
        file = self.open(recipe, clip_id)
        try:
            return Track(file.rows(0, len(file.times_s)), file.times_s, file.observed)
        except InputError as error:
            raise InputError(f"{file.path} is damaged ({error}): delete it and run {self._command(recipe)}") from error

    def open(self, recipe: Recipe, clip_id: str) -> TrackFile:
        """The track mapped into memory, to read some of its rows. Raises what ``get`` raises."""
        path, command = self.track_path(recipe, clip_id), self._command(recipe)
        self._check_stored(path, f"{recipe['name']} track", clip_id, command)
        file = TrackFile(path, command)
        clock = self.clock_path(clip_id)
        if file.metadata.get("source") != (
            TensorFile(clock, command).metadata.get("source") if is_stored(clock) else None
        ):
            raise InputError(
                f"the {recipe['name']} track of clip {clip_id!r} was made from other media than its clock: "
                f"run {command}"
            )
        return file

    def track_path(self, recipe: Recipe, clip_id: str) -> Path:
        """Where a track is stored."""
        return self.folder(recipe) / f"{checked_name(clip_id, 'a clip')}.safetensors"

    def _check_stored(self, path: Path, what: str, clip_id: str, command: str) -> None:
        if not is_stored(path):
            why = self._failure(clip_id)
            raise NotFoundError(f"no {what} for clip {clip_id!r}{why} in {path.parent}: run {command}")

    def _command(self, recipe: Recipe) -> str:
        """The command that makes tracks of this recipe."""
        made_by = {"embedding": f"embed RUN --store {self.root}", "import": f"store import {self.root} FOLDER"}
        if recipe.get("encoder") in made_by:
            return f"abaw {made_by[recipe['encoder']]} --name {recipe['name']}"
        return f"abaw extract DATA --store {self.root} --encoder {encoder_option(recipe)}"

    def put_clock(self, clip_id: str, clock: Clock, metadata: Mapping[str, str], *, sync: bool = True) -> None:
        """Write a clip's clock, complete or not at all. ``sync``: to the disk."""
        arrays = {"frames": clock.frames.astype(np.int32), "times_s": clock.times_s, "decoded": clock.decoded}
        tensors = {name: Tensor.of(array) for name, array in arrays.items()}
        write_tensors(self.clock_path(clip_id), tensors, metadata, sync=sync)

    def clock(self, clip_id: str) -> Clock:
        """The clip's frame timestamps.

        Raises NotFoundError, naming the command that makes them, where there are none; InputError where the file is
        damaged.
        """
        path, command = self.clock_path(clip_id), f"abaw extract DATA --store {self.root} --encoder NAME"
        self._check_stored(path, "clock", clip_id, command)
        file = TensorFile(path, command)
        file.check_content()
        frames, times_s, decoded = file["frames"], file["times_s"], file["decoded"]
        if not frames.ndim == times_s.ndim == decoded.ndim == 1 or times_s.dtype != float or decoded.dtype != bool:
            raise file.damage("its tensors are not those of a clock")
        try:
            return Clock(frames, times_s, decoded)
        except InputError as error:
            raise file.damage(str(error)) from error

    def clock_metadata(self, clip_id: str) -> dict[str, str]:
        """What the clip's clock was made from; {} where there is no clock."""
        return read_metadata(self.clock_path(clip_id))

    def clock_path(self, clip_id: str) -> Path:
        """Where a clip's clock is stored."""
        return self.root / "clock" / f"{checked_name(clip_id, 'a clip')}.safetensors"

    def losses(self, clip_id: str) -> ClipLosses:
        """What of a clip was lost; of a clip extracted by an earlier version only what its clock says.

        Raises InputError where the file is damaged, missing, or of other media than the clip's clock.
        """
        path, about = self.losses_path(clip_id), self.clock_metadata(clip_id)
        if not path.exists():
            if HAS_LOSSES in about:
                raise InputError(f"{path} is missing, which says what of the clip was lost: run abaw extract again")
            num_corrupt = int(about.get("num_corrupt_packets", 0))
            found = PictureLosses(int(about.get("num_frames", 0)), num_corrupt_packets=num_corrupt)
            return ClipLosses(found if num_corrupt else None)
        try:
            source, losses = _parse_losses(path)
        except LOSSES_ERRORS as error:
            raise InputError(
                f"{path}: not readable as the losses of a clip ({error}): run abaw extract again"
            ) from error
        if source != about.get("source"):
            raise InputError(f"{path} is about other media than the clip's clock: run abaw extract again")
        return losses

    def add_losses(self, clip_id: str, source: str, losses: ClipLosses) -> None:
        """Add what was lost of the parts of a clip that were read now; no file where nothing was lost at all.

        The losses of other media, by their ``source``, are forgotten. Only the process that has leased the clip writes.
        """
        path, known = self.losses_path(clip_id), ClipLosses()
        with suppress(OSError, *LOSSES_ERRORS):  # there are none, or they are damaged: written anew
            known_source, known_losses = _parse_losses(path)
            known = known_losses if known_source == source else known
        lost = known.merged(losses).to_json()
        if lost:
            write_json(path, {"source": source, "losses": lost})
        else:
            path.unlink(missing_ok=True)

    def losses_path(self, clip_id: str) -> Path:
        """Where a clip's losses are stored."""
        return self.root / "clock" / f"{checked_name(clip_id, 'a clip')}{LOSSES_ENDING}"

    def record_failure(self, recipe: Recipe, failure: Failure) -> None:
        """Record why a clip has no track; replaces an earlier failure of the clip."""
        self._write_failures(recipe, failure.clip, [failure])

    def remove_failure(self, recipe: Recipe, clip_id: str) -> None:
        """Remove a clip's failure from the list, where there is one; the list is removed with its last failure."""
        if any(failure.clip == clip_id for failure in read_failures(self.folder(recipe))):
            self._write_failures(recipe, clip_id, [])

    def _write_failures(self, recipe: Recipe, clip_id: str, new: list[Failure]) -> None:
        path = self.folder(recipe) / "failed.jsonl"
        with locked(self.root / FAILED_LOCK):
            others = [each for each in read_failures(path.parent) if each.clip != clip_id]
            rows = sorted(json.dumps(vars(each)) for each in others + new)
            if rows:
                with atomic_write(path) as temporary:
                    temporary.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
            else:
                path.unlink(missing_ok=True)

    def _failure(self, clip_id: str) -> str:
        """For a message: why the clip has no track, where that was recorded, and what to do about it."""
        for path in sorted(self.root.glob("*/failed.jsonl")):
            for failure in read_failures(path.parent):
                if failure.clip == clip_id:
                    return f" ({failure.stage} failed: {failure.reason}; fix that, or remove the clip's label files)"
        return ""


def _parse_losses(path: Path) -> tuple[str, ClipLosses]:
    """The source and the losses in a file. Raises ``LOSSES_ERRORS`` where it is damaged."""
    document = read_json(path)
    return document["source"], ClipLosses.from_json(document["losses"])


def read_failures(folder: Path) -> list[Failure]:
    """The clips of a folder of features that could not be extracted. Raises InputError where the list is damaged."""
    path = folder / "failed.jsonl"
    try:
        rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [Failure(**json.loads(row)) for row in rows]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not readable as a list of failures: {error}; delete it") from error


def choose_folder(root: Path, names: Mapping[str, str], wanted: str, advice: str = "") -> str:
    """The folder that ``wanted`` means: a folder's name or, where only one folder has it, a name of features.

    ``names``: folder -> name of its features. Raises InputError, ending with ``advice``, where none or several match.
    """
    if wanted in names:
        return wanted
    found = [folder for folder, name in names.items() if name == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        others = f", or remove the others: abaw store prune {root} --encoder FOLDER --yes"
        raise InputError(f"{root} has {len(found)} recipes named {wanted!r}: write one of {', '.join(found)}{others}")
    known = sorted(set(names.values()))
    there = ", ".join(known) or "none"
    raise InputError(f"no features named {wanted!r} in {root}{nearest(wanted, known)} there are: {there}{advice}")


def encoder_option(recipe: Recipe) -> str:
    """The recipe as the option ``--encoder`` takes it: ``encoder:setting=value,...``.

    Boxes of detected faces come with any encoder: for their recipe the option is ``NAME``.
    """
    if "encoder" not in recipe:
        return "NAME"
    chosen = {key: value for key, value in recipe["settings"].items() if value is not None}
    settings = {**chosen, "as": recipe["name"], "stored_dtype": recipe.get("stored_dtype", "float16")}
    return f"{recipe['encoder']}:" + ",".join(f"{key}={value}" for key, value in settings.items())


def load_recipe(path: Path) -> Recipe:
    """The content of a recipe.json. Raises InputError, naming file and key, where a value is of another type."""
    recipe = read_json(path)
    if not isinstance(recipe, dict) or not isinstance(recipe.get("name"), str):
        raise InputError(f"{path}: expected a JSON object with a text as 'name': delete it and run abaw extract again")
    for key, expected in RECIPE_TYPES.items():
        if not isinstance(recipe.get(key), expected | None):
            raise InputError(
                f"{path}: {key} is {str(recipe[key])[:80]!r}, expected {expected.__name__}; the file is damaged: "
                "delete it and run abaw extract again"
            )
    return recipe


def without_locations(recipe: Recipe) -> Recipe:
    """The recipe without the places where weights and plug-ins were found."""
    found_at = recipe.get("found_at", ())
    kept = {key: without_locations(value) if key == "faces" else value for key, value in recipe.items()}
    if "plugin" in recipe:  # its content counts, not its path
        kept["plugin"] = recipe["plugin"]["sha256"]
    if "settings" in recipe:
        kept["settings"] = {key: value for key, value in recipe["settings"].items() if key not in found_at}
    return kept
