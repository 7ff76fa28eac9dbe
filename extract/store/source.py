"""What fusion reads: a store's tracks, each brought onto its clip's clock by its own aligner, or at its own rate."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from abaw.configs.sections import OWN_RATE, FeatureConfig
from abaw.errors import NotFoundError
from abaw.files import visible
from abaw.tracks import Track
from extract import ALIGNERS, align
from extract.store.store import FeatureStore, Recipe, StoredTrack


class AlignedSource:
    """``read`` gives one row per step of the clip's clock between two times, or the track's own rows. Picklable.

    ``features`` maps a track's name in the store to how it is aligned; ``recipes`` says which recipe a name means,
    where a run has settled that. ValueError where a name or an aligner is unknown.
    """

    def __init__(
        self, store: FeatureStore, features: Mapping[str, FeatureConfig], recipes: Mapping[str, Recipe] | None = None
    ) -> None:
        self._store = store
        self._features = dict(features)
        self.recipes = dict(recipes) if recipes is not None else {name: store.find(name) for name in features}
        for name, feature in features.items():
            if self.is_on_clock(name):
                ALIGNERS.part(feature.align)
        self._opened = lru_cache(maxsize=2048)(lambda name, clip_id: store.open(self.recipes[name], clip_id))
        self.clock = lru_cache(maxsize=2048)(store.clock)

    def __reduce__(self) -> tuple[Any, ...]:
        return AlignedSource, (self._store, self._features, self.recipes)  # the caches stay behind

    def names(self) -> tuple[str, ...]:
        return tuple(self._features)

    def dim(self, name: str) -> int:
        """Width of a track, read from any clip's."""
        folder = self._store.folder(self.recipes[name])
        path = next(iter(visible(folder, "*.safetensors")), None)
        if path is None:
            raise NotFoundError(
                f"no track at all in {folder}: run abaw extract DATA --store {self._store.root} --encoder {name}"
            )
        return StoredTrack(path, np.zeros(0), np.zeros(0, bool)).dim

    def is_on_clock(self, name: str) -> bool:
        """False for a track that the front aligns by convolution."""
        return self._features[name].align != OWN_RATE

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        """The steps of the clock from ``start_s`` to ``stop_s``, both included.

        At the track's own rate: the rows around these times that a convolution and a linear read need, so that a window
        gives what the whole clip gives.
        """
        if not self.is_on_clock(name):
            return self._own_rows(name, clip_id, start_s, stop_s)
        times_s = self.clock(clip_id).times_s
        first, stop = np.searchsorted(times_s, [start_s, np.nextafter(stop_s, np.inf)])
        stored, plan = self._plan(name, clip_id, times_s, int(first), int(stop))
        first_row, stop_row = plan.span()
        values = align.apply(plan, stored.rows(first_row, stop_row), first_row=first_row)
        return Track(values, times_s[first:stop], plan.observed)

    def _own_rows(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        stored, reach = self._opened(name, clip_id), self._features[name].kernel // 2
        first = max(0, int(np.searchsorted(stored.times_s, start_s, side="right")) - 1 - reach)
        stop = min(len(stored.times_s), int(np.searchsorted(stored.times_s, stop_s)) + 1 + reach)
        values = stored.rows(first, stop).astype(np.float32)
        return Track(values, stored.times_s[first:stop], stored.observed[first:stop])

    def _plan(
        self, name: str, clip_id: str, times_s: np.ndarray, first: int, stop: int
    ) -> tuple[StoredTrack, align.Plan]:
        """FusionInput ``first`` up to ``stop`` of the clip's plan.

        Planned anew for every window: kept plans would be memory that grows with the store in every process. A step's
        plan depends on its neighbours' times, so these are planned too and left out, and on the rows within max_gap_s
        and the next ones.
        """
        stored, feature = self._opened(name, clip_id), self._features[name]
        before, after = min(1, first), min(1, len(times_s) - stop)
        goal_s, gap_s = times_s[first - before : stop + after], feature.max_gap_s
        if not len(goal_s):
            return stored, align.Plan(np.zeros((0, 1), np.int32), np.zeros((0, 1), np.float32), np.zeros(0, bool))
        start_row = max(0, int(np.searchsorted(stored.times_s, goal_s[0] - gap_s)) - 1)
        rows = slice(start_row, int(np.searchsorted(stored.times_s, goal_s[-1] + gap_s, side="right")) + 1)
        plan = ALIGNERS.build(
            feature.align,
            times_s=stored.times_s[rows],
            observed=stored.observed[rows],
            goal_s=goal_s,
            max_gap_s=gap_s,
        )[before : before + stop - first]
        return stored, align.Plan(plan.rows + np.int32(start_row), plan.weights, plan.observed)
