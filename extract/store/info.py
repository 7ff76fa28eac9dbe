"""What a store holds, how much of a data set that is, and what could not be made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.dataset.layout import SPLITS, Dataset
from abaw.tasks import TASKS
from extract.store.listing import (
    ProgressCallback,
    TrackFile,
    failures,
    feature_folders,
    is_stale,
    modality,
    named,
    recipe_of,
    silent,
    size,
    stale_files,
    tracks,
)
from extract.store.store import FeatureStore, Recipe


@dataclass(frozen=True)
class Features:
    """One folder of tracks. ``rates_hz`` is the least and the greatest over its clips, None where no clip has two rows.

    ``stale`` clips have a track of other media than their clock, or no clock; ``damaged`` ones cannot be read.
    """

    folder: str
    name: str
    recipe: str
    modality: str | None
    dim: int | None
    dtype: str
    rates_hz: tuple[float, float] | None
    clips: int
    rows: int
    observed: int
    bytes: int
    failed: dict[str, str]
    stale: list[str]
    damaged: list[str]


@dataclass(frozen=True)
class Clocks:
    """All clocks together; ``assumed`` clips have a frame rate that was given, not decoded."""

    clips: int
    frames: int
    decoded: int
    seconds: float
    assumed: list[str]
    damaged: list[str]
    bytes: int


@dataclass(frozen=True)
class Coverage:
    """How many clips of a split have a track that a training can read, and which have none; "all" is the data set."""

    task: str
    split: str
    folder: str
    clips: int
    missing: list[str]


@dataclass(frozen=True)
class StoreInfo:
    """Everything found; ``dataclasses.asdict`` of it is JSON."""

    store: str
    bytes: int
    clocks: Clocks
    features: list[Features]
    coverage: list[Coverage]
    stale_files: list[str]

    def __str__(self) -> str:
        return _text(self)


def info(store: FeatureStore, dataset: Dataset | None = None, progress: ProgressCallback = silent) -> StoreInfo:
    """What the store holds and, given a data set, how much of each split. FileNotFoundError where there is no store."""
    folders = feature_folders(store)
    clocks, whole = _clocks(store)
    held = {"clock": whole}
    features = []
    for done, folder in enumerate(folders):
        progress(folder.name, done, len(folders))
        recipe = recipe_of(folder)
        described, readable = _features(store, folder, recipe)
        features.append(described)
        if "finder" not in recipe:  # boxes of found faces are no features: clips with face images need none
            held[folder.name] = readable
    coverage = list(_coverage(dataset, held)) if dataset else []
    stale = stale_files(store)
    total = sum(each.bytes for each in features) + clocks.bytes + sum(path.stat().st_size for path in stale)
    names = [path.relative_to(store.root).as_posix() for path in stale]
    return StoreInfo(str(store.root), total, clocks, features, coverage, names)


def in_words(recipe: Recipe) -> str:
    """A recipe on one line: the encoder, its settings, whose faces, on which assumed clock."""
    settings = {**recipe.get("settings", {}), **recipe.get("assumed_clock", {})}
    words = [str(recipe.get("encoder") or recipe.get("finder") or "no recipe")]
    words += [f"{key}={value}" for key, value in settings.items()]
    if "faces" in recipe:
        words.append(f"faces={recipe['faces'].get('finder')}")
    return " ".join(words)


def _clocks(store: FeatureStore) -> tuple[Clocks, set[str]]:
    """The clocks, and the clips whose clock can be read."""
    paths, clocks, damaged = tracks(store.root / "clock"), {}, []
    for clip_id in paths:
        try:
            clocks[clip_id] = store.clock(clip_id)
        except (ValueError, TypeError):
            damaged.append(clip_id)
    seconds = sum(float(clock.times_s[-1] - clock.times_s[0]) for clock in clocks.values() if len(clock))
    return Clocks(
        len(paths),
        sum(map(len, clocks.values())),
        sum(int(clock.decoded.sum()) for clock in clocks.values()),
        round(seconds, 3),
        [clip_id for clip_id in clocks if "assumed_fps" in store.clock_metadata(clip_id)],
        damaged,
        sum(path.stat().st_size for path in paths.values()),
    ), set(clocks)


def _features(store: FeatureStore, folder: Path, recipe: Recipe) -> tuple[Features, set[str]]:
    """One folder, and the clips whose track a training could read."""
    paths = tracks(folder)
    files: dict[str, TrackFile] = {}
    damaged = []
    for clip_id, path in paths.items():
        try:
            files[clip_id] = TrackFile(path)
        except ValueError:
            damaged.append(clip_id)
    stale = [clip_id for clip_id, file in files.items() if is_stale(store, clip_id, file)]
    first = next(iter(files.values()), None)
    described = Features(
        folder.name,
        recipe.get("name", folder.name),
        in_words(recipe),
        modality(recipe),
        None if first is None else first.shape[-1],
        recipe.get("stored_dtype", "float16") if first is None else first.dtype,
        _rates_hz(files.values()),
        len(paths),
        sum(file.shape[0] for file in files.values()),
        sum(int(file.observed.sum()) for file in files.values()),
        sum(path.stat().st_size for path in paths.values()),
        failures(folder),
        stale,
        damaged,
    )
    return described, set(files) - set(stale)


def _rates_hz(files: Any) -> tuple[float, float] | None:
    rates = [1 / float(np.median(np.diff(file.times_s))) for file in files if len(file.times_s) > 1]
    return (round(min(rates), 3), round(max(rates), 3)) if rates else None


def _coverage(dataset: Dataset, held: dict[str, set[str]]) -> Iterator[Coverage]:
    for task, split, clips in [("all", "all", tuple(dataset.clips)), *_splits(dataset)]:
        for folder, present in held.items():
            yield Coverage(task, split, folder, len(clips), [clip for clip in clips if clip not in present])


def _splits(dataset: Dataset) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Task, split and clips of every split that has any."""
    for name in TASKS.names():
        task = TASKS.build(name)
        for split in SPLITS:
            found = task.clips(dataset, split)
            if found:
                yield name, split, found


def _text(found: StoreInfo) -> str:
    """For people, on a terminal."""
    clocks = found.clocks
    lines = [f"clocks: {clocks.clips} clips, {clocks.frames} frames, {clocks.decoded} decoded, {clocks.seconds:.1f} s"]
    if clocks.assumed:
        lines.append(f"  with a frame rate that was given: {named(clocks.assumed)}")
    if clocks.damaged:
        lines.append(f"  damaged: {named(clocks.damaged)}")
    for each in found.features:
        lines += _rendered(each)
    if found.coverage:
        lines.append("coverage:")
    width = max((len(row.folder) for row in found.coverage), default=0)
    for row in found.coverage:
        lacking = f"; missing: {named(row.missing)}" if row.missing else ""
        have = f"{row.clips - len(row.missing)} of {row.clips}"
        lines.append(f"  {row.task:<5} {row.split:<10} {row.folder:<{width}} {have}{lacking}")
    if found.stale_files:
        lines.append(
            f"left aside by processes: {named(found.stale_files)}: abaw store prune {found.store} removes the dead's"
        )
    return "\n".join([*lines, f"{found.store}: {len(found.features)} folders of features, {size(found.bytes)}"])


def _rendered(each: Features) -> Iterator[str]:
    rate = "" if each.rates_hz is None else " to ".join(f"{rate:.5g}" for rate in sorted(set(each.rates_hz))) + " Hz, "
    share = f"{100 * each.observed / each.rows:.1f} % observed" if each.rows else "no rows"
    yield f"{each.folder}: {each.recipe}"
    yield (
        f"  {each.modality or 'unknown modality'}, {each.dim or 'no'} numbers a row in {each.dtype}, {rate}"
        f"{each.clips} clips, {each.rows} rows, {share}, {size(each.bytes)}, {len(each.failed)} failed"
    )
    for word, clips in (("failed", list(each.failed)), ("of other media", each.stale), ("damaged", each.damaged)):
        if clips:
            yield f"  {word}: {named(clips)}"
