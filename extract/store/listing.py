"""What a store's folder holds: folders of features, track files, recipes, temporary files."""

import re
from contextlib import suppress
from pathlib import Path

from abaw.errors import InputError
from abaw.files import visible
from abaw.files.temporary import TEMPORARY
from extract.encoders import ENCODERS
from extract.losses import ClipLosses
from extract.store.packs.index import ENDING, is_stored, packed_clips
from extract.store.store import LOSSES_ENDING, NO_FEATURES, FeatureStore, Recipe, choose_folder, load_recipe
from extract.store.track_file import TrackFile

OLD_TEMPORARY = re.compile(r"\.(?!abaw-).+-\d+-.+")  # .<host>-<process>-<name>: before they were locked


def feature_folders(store: FeatureStore) -> list[Path]:
    """The folders of features: those with a recipe, a track or a list of failures.

    Raises NotFoundError where there is no store.
    """
    store.check_exists()
    folders = [path for path in visible(store.root, "*") if path.is_dir() and path.name not in NO_FEATURES]
    return [path for path in folders if _has_features(path)]


def _has_features(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("recipe.json", "failed.jsonl")) or bool(track_paths(folder))


def find_folder(store: FeatureStore, name: str) -> Path:
    """The folder of features by their name, with or without its hash, even where its recipe cannot be read.

    Raises InputError where no features or several have this name.
    """
    names = {path.name: str(read_recipe(path).get("name", path.name)) for path in feature_folders(store)}
    return store.root / choose_folder(store.root, names, name)


def read_recipe(folder: Path) -> Recipe:
    """The folder's recipe; {} where it cannot be read, which is a fault that only ``verify`` reports."""
    try:
        return load_recipe(folder / "recipe.json")
    except (ValueError, OSError):
        return {}


def track_paths(folder: Path) -> dict[str, Path]:
    """Clip -> file of its track (or clock), sorted; the file may be in a pack (``packs/index.py``)."""
    clips = {path.name.removesuffix(ENDING) for path in visible(folder, f"*{ENDING}")} | packed_clips(folder)
    return {clip_id: folder / f"{clip_id}{ENDING}" for clip_id in sorted(clips)}


def temporary_files(store: FeatureStore) -> list[Path]:
    """Temporary files: those that running processes are writing, and stale ones of processes that were stopped."""
    folders = [store.root / "clock", *feature_folders(store)]
    hidden = [path for folder in folders if folder.is_dir() for path in folder.glob(".*-*")]
    return sorted(
        path
        for path in hidden
        if any(each.fullmatch(path.name) for each in (TEMPORARY, OLD_TEMPORARY)) and path.is_file()
    )


def losses_paths(store: FeatureStore) -> dict[str, Path]:
    """Clip -> file of its losses, sorted."""
    paths = visible(store.root / "clock", f"*{LOSSES_ENDING}")
    return {path.name.removesuffix(LOSSES_ENDING): path for path in paths}


def all_losses(store: FeatureStore) -> dict[str, ClipLosses]:
    """The losses of every clip of which anything was lost; files that cannot be read are faults for ``verify``."""
    found: dict[str, ClipLosses] = {}
    for clip_id in track_paths(store.root / "clock"):
        with suppress(InputError):
            if losses := store.losses(clip_id):
                found[clip_id] = losses
    return found


def modality(recipe: Recipe) -> str | None:
    """The modality of features: vision, audio or text; None where there is no recipe.

    Of an encoder that is not known here, as one of a plug-in that is not loaded, the recipe says whether it encodes
    pictures; then the other modality is "audio or text".
    """
    if "finder" in recipe:
        return "vision"
    if "modality" in recipe:
        return str(recipe["modality"])
    facts = {part.name: part.facts for part in ENCODERS.parts()}
    name = recipe.get("encoder")
    if name is None or name in facts:
        return facts.get(name or "", {}).get("modality")
    return "vision" if "span" in recipe else "audio or text"


def is_outdated(store: FeatureStore, clip_id: str, file: TrackFile) -> bool:
    """Whether the track was made from other media than the clip's clock, or the clip has no clock."""
    has_clock = is_stored(store.clock_path(clip_id))
    return not has_clock or file.metadata.get("source") != store.clock_metadata(clip_id).get("source")


def format_bytes(num_bytes: float) -> str:
    """A number of bytes with a decimal unit.

    >>> format_bytes(2_500_000)
    '2.5 MB'
    """
    if num_bytes < 1000:
        return f"{num_bytes:.0f} B"
    power = min(4, (len(str(int(num_bytes))) - 1) // 3)
    return f"{num_bytes / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
