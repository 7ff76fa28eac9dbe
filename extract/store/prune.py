"""Remove from a store what is of no use: stale temporary files, named features, tracks that training could not read.

Behind ``abaw store prune``.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.files.names import first_few
from abaw.files.temporary import TEMPORARY, is_locked, is_stale
from abaw.progress import ProgressCallback, silent, with_progress
from extract.store.leases import Leases
from extract.store.listing import (
    OLD_TEMPORARY,
    feature_folders,
    find_folder,
    format_bytes,
    is_outdated,
    losses_paths,
    temporary_files,
    track_paths,
)
from extract.store.origins.sources import Sources
from extract.store.packs.index import PACKS, is_stored, num_bytes
from extract.store.packs.writing import remove_file
from extract.store.store import FeatureStore, read_failures
from extract.store.track_file import TrackFile

MIN_AGE_S = 24 * 3600.0  # of a temporary file of which no lock says whether its process has ended
NO_CLOCK, OTHER_MEDIA = "its clip has no clock", "made from other media than its clip's clock"
DAMAGED = "damaged"
USELESS = (DAMAGED, NO_CLOCK, OTHER_MEDIA)


@dataclass(frozen=True)
class Removal:
    """A file to remove, relative to the store, and the reason."""

    path: str
    num_bytes: int
    reason: str


@dataclass(frozen=True)
class PruneReport:
    """What was removed or, where ``removed`` is False, would be; ``kept``: temporary files that may still be written.

    ``str`` of it is text for a terminal.
    """

    store: str
    removed: bool
    num_bytes: int
    removals: list[Removal]
    kept: list[str]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The report line by line: every file with its reason, then the sum."""
        yield from (f"{each.path}: {each.reason}" for each in self.removals)
        if self.kept:
            yield f"kept, because a process may be writing them: {first_few(self.kept)}"
        if not self.removals:
            yield f"{self.store}: nothing to remove"
            return
        amount = f"{len(self.removals)} files, {format_bytes(self.num_bytes)}"
        yield f"{self.store}: removed {amount}" if self.removed else f"{self.store}: --yes would remove {amount}"


def prune(
    store: FeatureStore,
    names: Sequence[str] = (),
    dataset: Dataset | None = None,
    *,
    yes: bool = False,
    progress: ProgressCallback = silent,
) -> PruneReport:
    """Find the files that are of no use and, with ``yes``, remove them.

    ``names``: features to remove completely. With a data set, clips that it does not have are removed too. Only files
    that this program wrote are ever removed. Raises InputError where a name matches no features or several, or where
    the data set has none of the store's clips; NotFoundError where there is no store.
    """
    named_folders = [find_folder(store, name) for name in names]
    temporary = temporary_files(store)
    reasons = {path: "left by a process that was stopped" for path in temporary if _is_stale(path)}
    for folder in named_folders:
        reasons |= dict.fromkeys(_own_files(folder), "of features to remove")
    unknown = _unknown_clips(store, dataset)
    searched = [store.root / "clock", *feature_folders(store)]
    for folder in with_progress(searched, progress, lambda folder: f"searching {folder.name}"):
        for clip_id, path in track_paths(folder).items():
            if clip_id in unknown:
                reasons.setdefault(path, "its clip is not in the data set")
            elif folder.name != "clock" and (reason := _why_useless(store, clip_id, path)):
                reasons.setdefault(path, reason)
    for clip_id, path in losses_paths(store).items():
        if clip_id in unknown or not is_stored(store.clock_path(clip_id)):
            reasons[path] = "its clip is not in the data set" if clip_id in unknown else NO_CLOCK
    kept = [path for path in temporary if path not in reasons and path.exists()]
    sizes = {path: size for path in reasons if (size := _num_bytes(path)) is not None}
    removals = {path: Removal(_relative(store, path), size, reasons[path]) for path, size in sizes.items()}
    if yes:
        with Leases(store.root / ".leases") as leases:
            for path in with_progress(list(reasons), progress, lambda path: f"removing {_relative(store, path)}"):
                if path.suffix != ".safetensors" or path in temporary:
                    is_done = _remove(path)
                else:
                    is_done = _remove_track(store, path, reasons[path], leases)
                if not is_done:
                    kept.append(path)
                    removals.pop(path, None)
        for folder in named_folders:
            with suppress(OSError):  # there is none, or it holds files of other programs
                (folder / PACKS).rmdir()
            if folder.is_dir() and not any(folder.iterdir()):  # files of other programs stay
                folder.rmdir()
        _remove_failures(store, dataset)
    num_bytes = sum(each.num_bytes for each in removals.values())
    return PruneReport(
        str(store.root), yes, num_bytes, list(removals.values()), [_relative(store, path) for path in kept]
    )


def _remove(path: Path) -> bool:
    """Remove a file that is no track; False for a recipe that tracks still need, as an extraction makes some."""
    if path.name == "recipe.json" and track_paths(path.parent):
        return False
    path.unlink(missing_ok=True)
    return True


def _remove_track(store: FeatureStore, path: Path, reason: str, leases: Leases) -> bool:
    """Remove a track or clock; False where an extraction works on its clip."""
    clip_id = path.name.removesuffix(".safetensors")
    if not leases.acquire(clip_id):
        return False
    try:
        # an extraction may have made the track again in the meantime
        if reason not in USELESS or _why_useless(store, clip_id, path):
            remove_file(store.root, path)
            if path.parent.name == "clock":
                Sources(store.root).path(clip_id).unlink(missing_ok=True)
    finally:
        leases.release(clip_id)
    return True


def _num_bytes(path: Path) -> int | None:
    """The size of a file; None where it is gone."""
    try:
        return num_bytes(path)
    except FileNotFoundError:
        return None


def _remove_failures(store: FeatureStore, dataset: Dataset | None) -> None:
    """Remove the failures of clips that the data set does not have."""
    if dataset is None:
        return
    for recipe in store.recipes().values():
        for failure in read_failures(store.folder(recipe)):
            if failure.clip not in dataset.clips:
                store.remove_failure(recipe, failure.clip)


def _own_files(folder: Path) -> list[Path]:
    """The files that this program wrote in a folder, its recipe last: after a stop it still names the others."""
    files = [*track_paths(folder).values(), folder / "failed.jsonl", folder / "recipe.json"]
    return [path for path in files if is_stored(path)]


def _unknown_clips(store: FeatureStore, dataset: Dataset | None) -> set[str]:
    """The store's clips that the data set does not have."""
    if dataset is None:
        return set()
    folders = [store.root / "clock", *feature_folders(store)]
    clips = {clip_id for folder in folders for clip_id in track_paths(folder)}
    unknown = clips - dataset.clips.keys()
    if clips and unknown == clips:
        raise InputError(
            f"none of the {len(clips)} clips in {store.root} is in {dataset.root} ({first_few(sorted(clips))}): is it "
            "the right data set?"
        )
    return unknown


def _why_useless(store: FeatureStore, clip_id: str, path: Path) -> str:
    """Why training could not read a track; "" where it can."""
    try:
        file = TrackFile(path)
    except ValueError:
        return DAMAGED
    if not is_stored(store.clock_path(clip_id)):
        return NO_CLOCK
    return OTHER_MEDIA if _has_readable_clock(store, clip_id) and is_outdated(store, clip_id, file) else ""


def _has_readable_clock(store: FeatureStore, clip_id: str) -> bool:
    """False for a damaged clock: the next extraction makes it again, and the tracks may well match it."""
    try:
        store.clock(clip_id)
    except (ValueError, TypeError):
        return False
    return True


def _is_stale(path: Path) -> bool:
    """Whether the process of a temporary file has ended: certain on this machine, assumed after a day on another.

    A day is no proof, but whoever asks for the removal has read the list.
    """
    if is_stale(path):
        return True
    is_known = OLD_TEMPORARY.fullmatch(path.name) or (TEMPORARY.fullmatch(path.name) and not is_locked(path))
    try:
        return bool(is_known) and time.time() - path.stat().st_mtime > MIN_AGE_S
    except FileNotFoundError:  # its process has just finished it
        return False


def _relative(store: FeatureStore, path: Path) -> str:
    return path.relative_to(store.root).as_posix()
