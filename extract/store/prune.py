"""What can go from a store: leavings of stopped processes, named features, tracks that no training would read."""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.files import is_running, visible
from abaw.registry import nearest
from extract.store.listing import TrackFile, feature_folders, is_stale, named, recipe_of, size, stale_files, tracks
from extract.store.store import FeatureStore

MIN_AGE_S = 24 * 3600.0  # a process of another host may be writing still
ASIDE = re.compile(r"\.(.+-)?\d+-.+")  # .<host>-<process>-<name>; another program's hidden files are its own


@dataclass(frozen=True)
class Removal:
    """A file that can go, relative to the store, and why."""

    path: str
    bytes: int
    why: str


DAMAGED, NO_CLOCK, OTHER_MEDIA = "damaged", "its clip has no clock", "of other media than its clip's clock"
STALE = (DAMAGED, NO_CLOCK, OTHER_MEDIA)


@dataclass(frozen=True)
class PruneReport:
    """What can go, and whether it is gone; ``kept`` are leavings of processes that may still run."""

    store: str
    done: bool
    bytes: int
    removals: list[Removal]
    kept: list[str]

    def __str__(self) -> str:
        return _text(self)


def prune(
    store: FeatureStore, names: Sequence[str] = (), dataset: Dataset | None = None, *, yes: bool = False
) -> PruneReport:
    """Find what can go and, with ``yes``, remove it.

    ``names`` are features to remove altogether. With a data set, clips it does not have go too. Nothing but files that
    this program writes is ever removed. ValueError where a name fits no features or several, or where the data set has
    none of the store's clips; FileNotFoundError where there is no store.
    """
    chosen = [_folder(store, name) for name in names]
    stale = stale_files(store)
    gone = [path for path in stale if _is_left(path)]
    why = dict.fromkeys(gone, "left by a stopped process")
    for folder in chosen:
        why |= dict.fromkeys(_files(folder), "of features to remove")
    unknown = _unknown(store, dataset)
    for folder in [store.root / "clock", *feature_folders(store)]:
        for clip_id, path in tracks(folder).items():
            if clip_id in unknown:
                why.setdefault(path, "a clip that is not in the data set")
            elif folder.name != "clock" and (reason := _useless(store, clip_id, path)):
                why.setdefault(path, reason)
    removals = [Removal(_name(store, path), path.stat().st_size, reason) for path, reason in why.items()]
    if yes:
        for path, reason in why.items():
            # an extraction may have made it anew since it was looked at
            if reason not in STALE or _useless(store, path.name.removesuffix(".safetensors"), path):
                path.unlink(missing_ok=True)
        for folder in chosen:
            _leave(folder)
        _forget(store, dataset)
    kept = [_name(store, path) for path in stale if path not in why]
    return PruneReport(str(store.root), yes, sum(each.bytes for each in removals), removals, kept)


def _forget(store: FeatureStore, dataset: Dataset | None) -> None:
    """Take failures of clips that the data set does not have off the lists."""
    for recipe in store.recipes().values() if dataset is not None else ():
        for failure in store.failures(recipe):
            if dataset is not None and failure.clip not in dataset.clips:
                store.settle(recipe, failure.clip, None)


def _folder(store: FeatureStore, name: str) -> Path:
    """The folder of features, by its name with or without hash."""
    folders = feature_folders(store)
    names = {path: recipe_of(path).get("name", path.name) for path in folders}
    fitting = [path for path in folders if path.name == name] or [path for path in folders if names[path] == name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(
            f"{store.root} has {len(fitting)} recipes named {name!r}: write one of "
            f"{', '.join(path.name for path in fitting)}"
        )
    known = sorted({path.name for path in folders} | set(names.values()))
    raise InputError(f"no features named {name!r} in {store.root}{nearest(name, known)} there are: {', '.join(known)}")


def _files(folder: Path) -> list[Path]:
    """A folder's own files, its recipe last: stopped midway, what is left still says what it is."""
    own = [*visible(folder, "*.safetensors"), folder / "failed.jsonl", folder / "recipe.json"]
    return [path for path in own if path.is_file()]


def _leave(folder: Path) -> None:
    """Remove a folder, unless something is in it that this program did not write."""
    if not any(folder.iterdir()):
        folder.rmdir()


def _unknown(store: FeatureStore, dataset: Dataset | None) -> set[str]:
    """Clips of the store that the data set does not have."""
    if dataset is None:
        return set()
    held = {clip_id for folder in [store.root / "clock", *feature_folders(store)] for clip_id in tracks(folder)}
    unknown = held - dataset.clips.keys()
    if held and unknown == held:
        raise InputError(
            f"none of the {len(held)} clips in {store.root} is in {dataset.root} ({named(sorted(held))}): is it the "
            "right data set?"
        )
    return unknown


def _useless(store: FeatureStore, clip_id: str, path: Path) -> str:
    """Why no training could read the track; nothing where one can."""
    try:
        file = TrackFile(path)
    except ValueError:
        return DAMAGED
    if not (store.root / "clock" / path.name).exists():
        return NO_CLOCK
    return OTHER_MEDIA if _clock_reads(store, clip_id) and is_stale(store, clip_id, file) else ""


def _clock_reads(store: FeatureStore, clip_id: str) -> bool:
    """A damaged clock is made anew by itself, and the tracks may well be of it."""
    try:
        store.clock(clip_id)
    except (ValueError, TypeError):
        return False
    return True


def _is_left(path: Path) -> bool:
    """Whether a file was left aside by a process that is gone: surely on this host, elsewhere once it is a day old."""
    mine = f".{socket.gethostname()}-"
    pid, _, rest = path.name.removeprefix(mine).partition("-")
    if path.name.startswith(mine) and pid.isdigit() and rest:
        return not is_running(int(pid))
    return bool(ASIDE.fullmatch(path.name)) and time.time() - path.stat().st_mtime > MIN_AGE_S


def _name(store: FeatureStore, path: Path) -> str:
    return path.relative_to(store.root).as_posix()


def _text(pruned: PruneReport) -> str:
    """What goes and why, and how much that is."""
    return "\n".join(_lines(pruned))


def _lines(pruned: PruneReport) -> Iterator[str]:
    yield from (f"{each.path}: {each.why}" for each in pruned.removals)
    if pruned.kept:
        yield f"kept, their processes may still run: {named(pruned.kept)}"
    if not pruned.removals:
        yield f"{pruned.store}: nothing to remove"
        return
    amount = f"{len(pruned.removals)} files, {size(pruned.bytes)}"
    yield f"{pruned.store}: {amount} removed" if pruned.done else f"{pruned.store}: {amount} would go: give --yes"
