"""What a store holds, how much of a data set that covers, and which clips failed: ``abaw store info``."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw.dataset.layout import SPLITS, Dataset
from abaw.files.names import first_few
from abaw.numbers import format_percent
from abaw.progress import ProgressCallback, silent
from abaw.results.observed import ObservedFrames, observed_lines, sum_observed
from abaw.tasks import tasks_for
from abaw.tracks import Clock
from extract.losses import ClipLosses, summarize
from extract.store.eight_bit.summary import Int8Summary, Int8Track, summarise
from extract.store.listing import (
    all_losses,
    feature_folders,
    format_bytes,
    is_outdated,
    modality,
    read_recipe,
    temporary_files,
    track_paths,
)
from extract.store.packs.index import num_bytes
from extract.store.source import count_frames
from extract.store.store import FeatureStore, Recipe, read_failures
from extract.store.track_checks import num_covered
from extract.store.track_file import TrackFile


@dataclass(frozen=True)
class ClockInfo:
    """All clocks together; the clips in ``assumed`` have a frame rate that was given, not decoded."""

    num_clips: int
    num_frames: int
    num_decoded: int
    seconds: float
    assumed: list[str]
    damaged: list[str]
    num_bytes: int

    def lines(self) -> Iterator[str]:
        """The clocks' part of the report."""
        yield (
            f"clocks: {self.num_clips} clips, {self.num_frames} frames, {self.num_decoded} decoded, "
            f"{self.seconds:.1f} s"
        )
        if self.assumed:
            yield f"  frame rate assumed, not decoded: {first_few(self.assumed)}"
        if self.damaged:
            yield f"  damaged: {first_few(self.damaged)}"


@dataclass(frozen=True)
class FeatureInfo:
    """One folder of features. ``rates_hz``: the lowest and the highest over its clips, None without two rows.

    ``num_covered`` of the ``num_frames`` frames of its clips have an observed row (``track_checks.num_covered``).
    ``aligned``: in how many of them it is observed after the usual alignment, linear interpolation within 0.5 s.
    ``failed``: clip -> why it has no track. The tracks of the clips in ``outdated`` were made from other media than the
    clips' clocks, or there is no clock; those in ``damaged`` cannot be read. ``int8``: None for tracks of other types.
    """

    folder: str
    name: str
    recipe: str
    modality: str | None
    dim: int | None
    dtype: str
    rates_hz: tuple[float, float] | None
    num_clips: int
    num_rows: int
    num_observed: int
    num_frames: int
    num_covered: int
    num_bytes: int
    failed: dict[str, str]
    outdated: list[str]
    damaged: list[str]
    aligned: ObservedFrames
    int8: Int8Summary | None = None

    def lines(self) -> Iterator[str]:
        """This folder's part of the report."""
        rate = ""
        if self.rates_hz is not None:
            rate = " to ".join(f"{rate:.5g}" for rate in sorted(set(self.rates_hz))) + " Hz, "
        observed = (
            f"{format_percent(self.num_observed, self.num_rows)} of rows observed" if self.num_rows else "no rows"
        )
        if self.num_rows and self.modality != "text":  # there is no word in most frames
            observed = f"observed in {format_percent(self.num_covered, self.num_frames)} of {self.num_frames} frames"
        yield f"{self.folder}: {self.recipe}"
        yield (
            f"  {self.modality or 'unknown modality'}, dim {self.dim or 'unknown'}, {self.dtype}, {rate}"
            f"{self.num_clips} clips, {self.num_rows} rows, {observed}, {format_bytes(self.num_bytes)}, "
            f"{len(self.failed)} failed"
        )
        if self.int8 is not None:
            yield f"  {self.int8}"
        if self.num_frames:
            share = format_percent(self.aligned.num_observed, self.num_frames)
            yield f"  aligned to frames (linear, rows within 0.5 s): observed in {share} of {self.num_frames}"
        yield from (f"  {line}" for line in list(observed_lines({self.name: self.aligned}))[1:])
        named = {"failed": list(self.failed), "made from other media": self.outdated, "damaged": self.damaged}
        yield from (f"  {what}: {first_few(clips)}" for what, clips in named.items() if clips)


@dataclass(frozen=True)
class Coverage:
    """How many clips of a split have a track that training can read, and which have none.

    Task "all" with split "all" is the whole data set; folder "clock" stands for the clips' clocks.
    """

    task: str
    split: str
    folder: str
    num_clips: int
    missing: list[str]


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds; ``dataclasses.asdict`` of it is JSON, ``str`` of it is text for a terminal.

    ``losses``: of the clips of which anything was lost.
    """

    store: str
    num_bytes: int
    clocks: ClockInfo
    features: list[FeatureInfo]
    coverage: list[Coverage]
    temporary_files: list[str]
    losses: dict[str, ClipLosses]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The report line by line."""
        yield from self.clocks.lines()
        for each in self.features:
            yield from each.lines()
        if self.coverage:
            yield "coverage:"
        width = max((len(row.folder) for row in self.coverage), default=0)
        for row in self.coverage:
            missing = f"; missing: {first_few(row.missing)}" if row.missing else ""
            present = f"{row.num_clips - len(row.missing)} of {row.num_clips}"
            yield f"  {row.task:<5} {row.split:<10} {row.folder:<{width}} {present}{missing}"
        yield from summarize(self.losses, self.clocks.num_clips, f"abaw store info {self.store} --losses")
        if self.temporary_files:
            yield (
                f"temporary files: {first_few(self.temporary_files)}: abaw store prune {self.store} --yes removes the "
                "stale ones"
            )
        yield f"{self.store}: {len(self.features)} folders of features, {format_bytes(self.num_bytes)}"


def info(store: FeatureStore, dataset: Dataset | None = None, progress: ProgressCallback = silent) -> StoreInfo:
    """What a store holds and, with a data set, how much of each split it covers.

    Raises NotFoundError where there is no store, InputError where a list of failures is damaged.
    """
    folders = feature_folders(store)
    clocks, readable_clocks = _clocks(store)
    readable = {"clock": set(readable_clocks)}
    features = []
    for done, folder in enumerate(folders):
        progress(folder.name, done, len(folders))
        recipe = read_recipe(folder)
        described, of_folder = _features(store, folder, recipe, readable_clocks)
        features.append(described)
        if "finder" not in recipe:  # boxes of detected faces: clips with face images need none
            readable[folder.name] = of_folder
    coverage = list(_coverage(dataset, readable)) if dataset else []
    temporary = temporary_files(store)
    num_bytes = clocks.num_bytes + sum(each.num_bytes for each in features) + _num_bytes(temporary)
    names = [path.relative_to(store.root).as_posix() for path in temporary]
    return StoreInfo(str(store.root), num_bytes, clocks, features, coverage, names, all_losses(store))


def describe_recipe(recipe: Recipe) -> str:
    """A recipe on one line: the encoder, its settings, the assumed clock, the face detector."""
    settings = {**recipe.get("settings", {}), **recipe.get("assumed_clock", {})}
    words = [str(recipe.get("encoder") or recipe.get("finder") or "no recipe")]
    words += [f"{key}={value}" for key, value in settings.items()]
    if "faces" in recipe:
        words.append(f"faces={recipe['faces'].get('finder')}")
    return " ".join(words)


def _clocks(store: FeatureStore) -> tuple[ClockInfo, dict[str, Clock]]:
    """The clocks together, and those that can be read, by clip."""
    paths = track_paths(store.root / "clock")
    num_frames, num_decoded, seconds = 0, 0, 0.0
    readable: dict[str, Clock] = {}
    for clip_id in paths:
        try:
            clock = store.clock(clip_id)
        except (ValueError, TypeError):
            continue
        readable[clip_id] = clock
        num_frames, num_decoded = num_frames + len(clock), num_decoded + int(clock.decoded.sum())
        seconds += float(clock.times_s[-1] - clock.times_s[0]) if len(clock) else 0.0
    assumed = [clip_id for clip_id in paths if clip_id in readable and "assumed_fps" in store.clock_metadata(clip_id)]
    damaged = [clip_id for clip_id in paths if clip_id not in readable]
    num_bytes = _num_bytes(paths.values())
    return ClockInfo(len(paths), num_frames, num_decoded, round(seconds, 3), assumed, damaged, num_bytes), readable


def _features(
    store: FeatureStore, folder: Path, recipe: Recipe, clocks: Mapping[str, Clock]
) -> tuple[FeatureInfo, set[str]]:
    """One folder, and the clips whose track training could read."""
    paths = track_paths(folder)
    outdated, damaged, rates_hz = [], [], []
    num_rows, num_observed, num_frames, num_with_row = 0, 0, 0, 0
    dim, dtype, aligned = None, recipe.get("stored_dtype", "float16"), []
    in_int8: list[Int8Track] = []
    for clip_id, path in paths.items():
        try:
            file = TrackFile(path)
        except ValueError:
            damaged.append(clip_id)
            continue
        if dim is None:
            dim, dtype = file.values.shape[-1], file.values.dtype.name
        if file.is_int8:
            in_int8.append(Int8Track.of(file))
        if is_outdated(store, clip_id, file):
            outdated.append(clip_id)
        elif clip_id in clocks:
            aligned.append(count_frames(file, clocks[clip_id].times_s))
            num_frames += len(clocks[clip_id])
            num_with_row += num_covered(file, recipe, clocks[clip_id])
        if len(file.times_s) > 1:
            rates_hz.append(1 / float(np.median(np.diff(file.times_s))))
        num_rows, num_observed = num_rows + len(file.values), num_observed + int(file.observed.sum())
    described = FeatureInfo(
        folder.name,
        recipe.get("name", folder.name),
        describe_recipe(recipe),
        modality(recipe),
        dim,
        dtype,
        (round(min(rates_hz), 3), round(max(rates_hz), 3)) if rates_hz else None,
        len(paths),
        num_rows,
        num_observed,
        num_frames,
        num_with_row,
        _num_bytes(paths.values()),
        {failure.clip: f"{failure.stage}: {failure.reason}" for failure in read_failures(folder)},
        outdated,
        damaged,
        sum_observed(aligned),
        summarise(in_int8),
    )
    return described, paths.keys() - {*outdated, *damaged}


def _num_bytes(paths: Iterable[Path]) -> int:
    return sum(map(num_bytes, paths))


def _coverage(dataset: Dataset, readable: dict[str, set[str]]) -> Iterator[Coverage]:
    for task, split, clips in [("all", "all", tuple(dataset.clips)), *_splits(dataset)]:
        for folder, present in readable.items():
            yield Coverage(task, split, folder, len(clips), [clip for clip in clips if clip not in present])


def _splits(dataset: Dataset) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Task, split and clips of every split that has clips."""
    for name, task in tasks_for(dataset).items():
        for split in SPLITS:
            clips = task.clips(dataset, split)
            if clips:
                yield name, split, clips
