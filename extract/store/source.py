"""The features that training and prediction read: tracks of a store, aligned to the clips' frame timestamps."""

import resource
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

import numpy as np

from abaw.configs.sections import OWN_RATE, FeatureConfig
from abaw.errors import NotFoundError
from abaw.results.observed import ObservedFrames, sum_observed
from abaw.tracks import Track
from extract import ALIGNERS, align
from extract.store.listing import track_paths
from extract.store.packs.index import num_bytes
from extract.store.store import FeatureStore, Recipe
from extract.store.tensor_file import Version, checked_files, trust_files
from extract.store.track_file import TrackFile

MAX_OPEN_FILES = 2048  # tracks, and as many clocks, that a source keeps open


class AlignedSource:
    """Reads parts of tracks by time: one row for each frame of the clip's clock, or the track's own rows. Picklable.

    ``features``: name of a track in the store -> how it is aligned. ``recipes``: name -> recipe, where a run has
    recorded them; otherwise the store must hold one recipe of each name. ``shifts_s``: name -> seconds by which the
    times of a track are moved before it is aligned, so that its content comes later (above 0) or earlier (below 0); by
    default none is moved. Raises InputError where a name or an aligner is unknown.
    """

    def __init__(
        self,
        store: FeatureStore,
        features: Mapping[str, FeatureConfig],
        recipes: Mapping[str, Recipe] | None = None,
        shifts_s: Mapping[str, float] | None = None,
    ) -> None:
        self._store = store
        self._features = dict(features)
        self._shifts_s = dict(shifts_s or {})
        self.recipes = dict(recipes) if recipes is not None else {name: store.find(name) for name in features}
        # once, not for every window: a window is read in about 0.1 ms
        self._aligners = {name: _aligner(feature) for name, feature in features.items() if self.is_on_clock(name)}
        num = _num_files_to_keep_open()
        self._opened = lru_cache(maxsize=num)(lambda name, clip_id: store.open(self.recipes[name], clip_id))
        self.clock = lru_cache(maxsize=num)(store.clock)

    def __reduce__(self) -> tuple[Any, ...]:
        # without the caches; what this process has verified, the other one need not verify again
        return _rebuilt, (self._store, self._features, self.recipes, self._shifts_s, checked_files())

    def shifted(self, shifts_s: Mapping[str, float]) -> "AlignedSource":
        """The same features, with the times of these tracks moved by so many seconds before they are aligned."""
        return AlignedSource(self._store, self._features, self.recipes, shifts_s)

    def names(self) -> tuple[str, ...]:
        """The tracks' names."""
        return tuple(self._features)

    def dim(self, name: str) -> int:
        """The number of values in a row of a track, read from the first clip's file."""
        folder = self._store.folder(self.recipes[name])
        path = next(iter(track_paths(folder).values()), None)
        if path is None:
            raise NotFoundError(
                f"{folder} holds no track: run abaw extract DATA --store {self._store.root} --encoder {name}"
            )
        return TrackFile(path).dim

    def is_on_clock(self, name: str) -> bool:
        """False for a track that the model's input stage aligns by convolution."""
        return self._features[name].align != OWN_RATE

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        """The frames of the clock from ``start_s`` to ``stop_s``, both included.

        At the track's own rate: the rows around these times that convolution and linear interpolation need, so that a
        window gives the same result as the whole clip.
        """
        if not self.is_on_clock(name):
            return self._own_rows(name, clip_id, start_s, stop_s)
        times_s = self.clock(clip_id).times_s
        first, stop = np.searchsorted(times_s, [start_s, np.nextafter(stop_s, np.inf)])
        file, plan = self._plan(name, clip_id, times_s, int(first), int(stop))
        values = _weigh(file, plan)
        if values is None:
            first_row, stop_row = plan.span()
            values = align.apply(plan, file.rows(first_row, stop_row, copy=False), first_row=first_row)
        return Track(values, times_s[first:stop], plan.observed)

    def num_bytes(self, name: str, clip_ids: Iterable[str]) -> int:
        """The size on disk of a track of these clips together."""
        return sum(num_bytes(self._store.track_path(self.recipes[name], clip_id)) for clip_id in clip_ids)

    def count_observed(self, name: str, clip_ids: Iterable[str]) -> ObservedFrames:
        """In how many frames of these clips the track is observed once it is aligned; no values are read.

        At the track's own rate, which the model's input stage aligns, those that linear interpolation would observe.
        """
        return sum_observed(self._count_observed(name, clip_id) for clip_id in clip_ids)

    def _count_observed(self, name: str, clip_id: str) -> ObservedFrames:
        plan, gap_s = self._aligners.get(name, align.linear), self._features[name].max_gap_s
        return count_frames(self._opened(name, clip_id), self.clock(clip_id).times_s, plan, gap_s)

    def _own_rows(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        file, margin = self._opened(name, clip_id), self._features[name].kernel // 2
        shift_s = self._shifts_s.get(name, 0.0)
        first = max(0, int(np.searchsorted(file.times_s, start_s - shift_s, side="right")) - 1 - margin)
        stop = min(len(file.times_s), int(np.searchsorted(file.times_s, stop_s - shift_s)) + 1 + margin)
        return Track(file.rows(first, stop), file.times_s[first:stop] + shift_s, file.observed[first:stop])

    def _plan(
        self, name: str, clip_id: str, times_s: np.ndarray, first: int, stop: int
    ) -> tuple[TrackFile, align.Plan]:
        """The track, and the alignment plan of the clock's frames from ``first`` to ``stop`` (excluded).

        Plans are not kept: they would take memory that grows with the store in every process. A frame's plan depends
        on the times of the frames beside it, which are planned as well and dropped, and on the rows within max_gap_s
        and one row more on each side.
        """
        file, feature = self._opened(name, clip_id), self._features[name]
        before, after = min(1, first), min(1, len(times_s) - stop)
        goal_s, gap_s, shift_s = (
            times_s[first - before : stop + after],
            feature.max_gap_s,
            self._shifts_s.get(name, 0.0),
        )
        if not len(goal_s):
            return file, align.Plan(np.zeros((0, 1), np.int32), np.zeros((0, 1), np.float32), np.zeros(0, bool))
        start_row = max(0, int(np.searchsorted(file.times_s, goal_s[0] - shift_s - gap_s)) - 1)
        rows = slice(start_row, int(np.searchsorted(file.times_s, goal_s[-1] - shift_s + gap_s, side="right")) + 1)
        plan = self._aligners[name](
            times_s=file.times_s[rows] + shift_s,
            observed=file.observed[rows],
            goal_s=goal_s,
            max_gap_s=gap_s,
        )[before : before + stop - first]
        return file, align.Plan(plan.rows + np.int32(start_row), plan.weights, plan.observed)


def _weigh(file: TrackFile, plan: align.Plan) -> np.ndarray | None:
    """The values of the plan's steps from codes, 0 where unobserved; None where the rows are needed themselves."""
    seen = plan.observed
    found = file.weigh(plan.rows[seen], plan.weights[seen])
    if found is None or seen.all():
        return found
    values = np.zeros((len(seen), file.dim), np.float32)
    values[seen] = found
    return values


def count_frames(
    file: TrackFile,
    goal_s: np.ndarray,
    aligner: Callable[..., align.Plan] = align.linear,
    max_gap_s: float = align.MAX_GAP_S,
) -> ObservedFrames:
    """In how many of the frames at ``goal_s`` a track is observed once it is aligned, and how many alignment loses."""
    times = {"times_s": file.times_s, "goal_s": goal_s, "max_gap_s": max_gap_s}
    found = aligner(observed=file.observed, **times).observed
    if not len(file.times_s) or np.isin(file.times_s, goal_s).all():  # rows of pictures: what is missing was not seen
        return ObservedFrames(len(goal_s), int(found.sum()), 0)
    between = (file.times_s[0] <= goal_s) & (goal_s <= file.times_s[-1])
    lost = between & ~aligner(observed=np.ones(len(file.times_s), bool), **times).observed
    return ObservedFrames(len(goal_s), int(found.sum()), int(lost.sum()))


def _rebuilt(
    store: FeatureStore,
    features: Mapping[str, FeatureConfig],
    recipes: Mapping[str, Recipe],
    shifts_s: Mapping[str, float],
    checked: Iterable[Version],
) -> AlignedSource:
    trust_files(checked)
    return AlignedSource(store, features, recipes, shifts_s)


def _aligner(feature: FeatureConfig) -> Callable[..., align.Plan]:
    part = ALIGNERS.part(feature.align)
    if feature.settings:
        ALIGNERS.check_settings(feature.align, feature.settings)
    return partial(getattr(import_module(part.module), part.name), **feature.settings)


def _num_files_to_keep_open() -> int:
    """How many tracks, and as many clocks, to keep open: a mapped file counts towards the process's open files.

    The usual soft limit of 1024 is less than the files of a large data set; it is raised as far as the system allows,
    and a source takes a quarter of it at most.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8 * MAX_OPEN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # some systems allow less than the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return MAX_OPEN_FILES if soft == resource.RLIM_INFINITY else max(1, min(MAX_OPEN_FILES, soft // 8))
