"""Features of the rows of a probe, pooled from the tracks of a store."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.configs.sections import MIN_GROUP_S, STILL_S
from abaw.errors import InputError
from abaw.files.names import first_few
from abaw.numbers import format_count
from abaw.probes.pooled import Moments, Scales, group_scales, merge, pool_rows, pooled_scales, scale_pooled, scale_rows
from abaw.probes.rows import Rows
from abaw.progress import ProgressCallback

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from extract.store.store import FeatureStore
    from extract.store.track_file import TrackFile

    Recipe = dict[str, Any]

HALF_WINDOW_S = 1.0  # on either side of a frame
CHUNK_ROWS = 4096  # read at once
MIN_PIECES = 10  # of a group, to standardise over them


class Pooler:
    """Features of rows from the tracks of a store: one pass over each track, of which only moments are kept."""

    def __init__(
        self, store: "FeatureStore", dataset: "Dataset", *, by_group: bool, progress: ProgressCallback
    ) -> None:
        self._store, self._dataset, self._by_group, self._progress = store, dataset, by_group, progress
        self._of_clip: dict[tuple[str, str], Moments] = {}
        self._scales: dict[tuple[str, str], tuple[Scales, Scales]] = {}  # of rows and pieces, by track and task
        self._remarks: list[str] = []

    def pop_remarks(self) -> list[str]:
        """What there is to say of the features since this was called last."""
        found, self._remarks = self._remarks, []
        return found

    def features(self, recipe: "Recipe", rows: Rows) -> np.ndarray:
        """Mean and standard deviation of each row (row features); NaN where nothing was observed."""
        name, clips = str(recipe["name"]), list(dict.fromkeys(rows.clip_of))
        pieces = []
        for done, clip in enumerate(clips):
            self._progress(f"{name} {clip}", done, len(clips))
            pieces.append(
                self._clip(recipe, clip) if rows.spans is None else self._windows(recipe, clip, rows.spans[clip])
            )
        pooled = Moments.of(pieces)
        unseen = [rows.clip_of[i] for i in np.flatnonzero(pooled.num == 0)]
        if len(unseen) == len(rows.clip_of):
            raise InputError(f"{name} observed nothing in any clip with {rows.task.name} labels: leave it out")
        if unseen:
            what = format_count(len(unseen), "clip" if rows.spans is None else "window")
            self._remarks.append(f"{name} observed nothing in {what} ({unseen[0]!r} first): predicted without it")
        features = pooled.features()
        if self._by_group:
            groups = self._groups_of(rows.clip_of)
            of_rows = self._group_scales(recipe, groups, rows)
            features = scale_rows(pooled, groups, of_rows).features()
            of_pieces = pooled_scales(features, groups, MIN_PIECES)
            features = scale_pooled(features, groups, of_pieces)
            self._scales[self._store.folder(recipe).name, rows.task.name] = of_rows, of_pieces
        if not (np.nanstd(features, axis=0) > 0).any():
            self._remarks.append(f"{name} is the same in every row: its score is that of a guess")
        return features

    def windows(self, recipe: "Recipe", clip: str, spans: np.ndarray, task: str) -> np.ndarray:
        """Features of more windows of a clip (window features), scaled as those of the rows of this task were."""
        pooled, groups = self._windows(recipe, clip, spans), self._groups_of([clip] * len(spans))
        if not self._by_group:
            return pooled.features()
        of_rows, of_pieces = self._scales[self._store.folder(recipe).name, task]
        return scale_pooled(scale_rows(pooled, groups, of_rows).features(), groups, of_pieces)

    def _groups_of(self, clips: Sequence[str]) -> list[str]:
        return [self._dataset.groups.get(clip) or clip for clip in clips]

    def _group_scales(self, recipe: "Recipe", groups: Sequence[str], rows: Rows) -> Scales:
        name = recipe["name"]
        own = dict(zip(rows.clip_of, groups, strict=True))
        wanted = set(own.values())
        of_material = {clip: group for clip, group in self._dataset.groups.items() if group in wanted} | own
        there = {clip: group for clip, group in of_material.items() if self._store.has(recipe, clip)}
        material = Moments.of([self._clip(recipe, clip) for clip in there])
        found, short = group_scales(material, list(there.values()), groups, MIN_GROUP_S)
        if len(short) == len(wanted):
            raise InputError(
                f"no group has {MIN_GROUP_S:g} s of {name} (the most has {max(short.values()):.1f} s): probe without "
                "normalise, or name the speakers or subjects in the data set (column group of its manifest)"
            )
        if short:
            self._remarks.append(
                f"{format_count(len(short), 'group')} with less than {MIN_GROUP_S:g} s of {name}, standardised by all "
                f"groups together: {first_few(sorted(short))}"
            )
        if len(there) < len(of_material):
            num = format_count(len(of_material) - len(there), "clip")
            self._remarks.append(f"{num} of these groups have no track of {name}, and do not count for their means")
        return found

    def _clip(self, recipe: "Recipe", clip: str) -> Moments:
        """A whole clip as one piece; kept, as other tasks and groups need it too."""
        key = self._store.folder(recipe).name, clip
        if key not in self._of_clip:
            file = self._store.open(recipe, clip)
            starts = range(0, max(1, len(file.times_s)), CHUNK_ROWS)
            step_s = _step_s(file)
            self._of_clip[key] = merge([_pool(file, first, first + CHUNK_ROWS, step_s) for first in starts])
        return self._of_clip[key]

    def _windows(self, recipe: "Recipe", clip: str, spans: np.ndarray) -> Moments:
        """A piece for each window."""
        file = self._store.open(recipe, clip)
        first, stop = np.searchsorted(file.times_s, spans[:, 0]), np.searchsorted(file.times_s, spans[:, 1], "right")
        step_s, dim = _step_s(file), file.dim
        empty = Moments(np.zeros(0, int), np.zeros(0), np.zeros((0, dim), np.float32), np.zeros((0, dim), np.float32))
        return Moments.of([empty, *(_pool(file, a, b, step_s) for a, b in zip(first, stop, strict=True))])


def _pool(file: "TrackFile", first: int, stop: int, step_s: float) -> Moments:
    rows = file.rows(first, stop).astype(np.float64)
    return pool_rows(rows[file.observed[first:stop]], step_s)


def _step_s(file: "TrackFile") -> float:
    """The mean distance of a track's rows."""
    times_s = file.times_s
    return float(times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 else STILL_S
