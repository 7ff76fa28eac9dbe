"""Features standardised within a person: over all material of the clip's group, without any label."""

import logging
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

import numpy as np

from abaw.batches import FeatureSource
from abaw.configs.sections import MIN_GROUP_S, STILL_S, FeatureConfig
from abaw.errors import InputError, NotFoundError
from abaw.numbers import format_count
from abaw.tracks import Clock, Track
from fusion.normalisation.statistics import FeatureStatistics, Moments, observed_rows

LOG = logging.getLogger("abaw")


class GroupSource:
    """A source whose features of ``normalise: group`` are standardised by the statistics of the clip's group.

    ``groups``: clip -> group (a speaker, session or subject) of every clip of the data set, labelled or not; a clip
    that is not in it, or has no group, is a group of its own. The statistics are over the observed rows of all clips of
    a group that are in the store, test clips included; labels are not used. They are measured once for each group, when
    a clip of it is first read, and kept. A group with less than ``MIN_GROUP_S`` of observed rows is standardised by
    ``fallback``, the statistics of the training split, and a warning says so.
    """

    def __init__(
        self,
        source: FeatureSource,
        features: Mapping[str, FeatureConfig],
        groups: Mapping[str, str],
        fallback: Mapping[str, FeatureStatistics] | None = None,
    ) -> None:
        self.source = source
        self.modalities = [name for name in source.names() if features[name].normalise == "group"]
        self.fallback = dict(fallback or {})
        self._group_of = {clip_id: group for clip_id, group in groups.items() if group}
        self._clips: dict[str, list[str]] = {}
        for clip_id, group in self._group_of.items():
            self._clips.setdefault(group, []).append(clip_id)
        self._statistics: dict[tuple[str, str, str], FeatureStatistics | None] = {}
        self._seconds: dict[tuple[str, str, str], float] = {}
        self._missing: set[str] = set()

    def over(self, source: FeatureSource) -> "GroupSource":
        """The rows of another source of the same clips, standardised by the statistics of this one."""
        other = copy(self)
        other.source = source
        return other

    def names(self) -> tuple[str, ...]:
        """The modalities' names."""
        return self.source.names()

    def dim(self, name: str) -> int:
        """The number of features of a modality."""
        return self.source.dim(name)

    def is_on_clock(self, name: str) -> bool:
        """Whether ``read`` returns one row per frame."""
        return self.source.is_on_clock(name)

    def clock(self, clip_id: str) -> Clock:
        """The frame timestamps of a clip."""
        return self.source.clock(clip_id)

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        """The rows of ``source``, standardised where the modality is to be."""
        track = self.source.read(name, clip_id, start_s, stop_s)
        if name not in self.modalities:
            return track
        statistics = self._of_clip(name, clip_id) or self.fallback[name]
        values = track.values - statistics.mean  # in double precision
        values /= statistics.std  # in place: a second array of this size makes reading several times as slow
        return Track(values.astype(np.float32), track.times_s, track.observed)

    def prepare(self, clip_ids: Iterable[str], training: Iterable[str]) -> None:
        """Measure the groups of these clips and, in the same pass, ``fallback`` over the clips ``training``.

        Raises InputError where no group has enough material.
        """
        wanted, trained_on = list(clip_ids), set(training)
        for name in self.modalities:
            split = Moments(self.source.dim(name))
            for key in dict.fromkeys(self._key(name, clip_id) for clip_id in wanted):
                self._measure(key, split, trained_on)
            self.fallback[name] = split.to_statistics()
            keys = [key for key in self._seconds if key[0] == name]
            if not any(self._statistics[key] for key in keys):
                longest = max(keys, key=lambda key: self._seconds[key])
                raise InputError(
                    f"features.{name}: normalise is 'group', but no group has {MIN_GROUP_S:g} s of observed rows (the "
                    f"most has {_words(longest)}, {self._seconds[longest]:.1f} s): use normalise: split, or name "
                    "the speakers or subjects in the data set (column group of its manifest)"
                )
        self.warn()

    def report(self) -> dict[str, Any]:
        """For the records: what was standardised, and which groups had too little material."""
        return {
            "min_s": MIN_GROUP_S,
            "num_groups": len({key[1:] for key in self._statistics if key[1]}),
            "num_clips_as_groups": len({key[2] for key in self._statistics if key[2]}),
            "num_missing_clips": len(self._missing),
            "too_little_s": {
                name: {key[1] or key[2]: round(self._seconds[key], 2) for key in self._too_little(name)}
                for name in self.modalities
            },
        }

    def warn(self) -> None:
        """Warn of groups with too little material, of clips without a group and of clips that the store lacks."""
        if alone := {key[2] for key in self._statistics if key[2]}:
            LOG.warning(
                "normalise: group: %s of no group: each is standardised by itself", format_count(len(alone), "clip")
            )
        for name in self.modalities:
            if found := self._too_little(name):
                LOG.warning(
                    "normalise: group: %s with less than %g s of %s (%s: %.1f s): standardised by the training split",
                    format_count(len(found), "group"),
                    MIN_GROUP_S,
                    name,
                    _words(found[0]),
                    self._seconds[found[0]],
                )
        if self._missing:
            LOG.warning(
                "normalise: group: %s of these groups are not in the store (%r first): extract them too",
                format_count(len(self._missing), "clip"),
                min(self._missing),
            )

    def _too_little(self, name: str) -> list[tuple[str, str, str]]:
        return sorted(key for key, found in self._statistics.items() if key[0] == name and found is None)

    def _key(self, name: str, clip_id: str) -> tuple[str, str, str]:
        """Modality, group and, without a group, the clip."""
        group = self._group_of.get(clip_id, "")
        return name, group, "" if group else clip_id

    def _of_clip(self, name: str, clip_id: str) -> FeatureStatistics | None:
        key = self._key(name, clip_id)
        if key not in self._statistics:
            self._measure(key)
        return self._statistics[key]

    def _measure(self, key: tuple[str, str, str], split: Moments | None = None, trained_on: Iterable[str] = ()) -> None:
        name, group, alone = key
        moments, seconds = Moments(self.source.dim(name)), 0.0
        for clip_id in self._clips[group] if group else [alone]:
            try:
                step_s = _step_s(self.source.clock(clip_id))
                for rows in observed_rows(self.source, name, clip_id):
                    moments.add(rows)
                    seconds += len(rows) * step_s
                    if split is not None and clip_id in trained_on:
                        split.add(rows)
            except NotFoundError:  # a clip of the group that was not extracted
                self._missing.add(clip_id)
        self._seconds[key] = seconds
        self._statistics[key] = moments.to_statistics() if seconds >= MIN_GROUP_S else None


def _step_s(clock: Clock) -> float:
    """The mean distance of a clip's frames."""
    times_s = clock.times_s
    return float(times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 else STILL_S


def _words(key: tuple[str, str, str]) -> str:
    _, group, clip_id = key
    return f"group {group!r}" if group else f"clip {clip_id!r}"


def standardise_groups(
    source: FeatureSource,
    features: Mapping[str, FeatureConfig],
    groups: Mapping[str, str],
    fallback: Mapping[str, FeatureStatistics] | None = None,
) -> FeatureSource:
    """The source, within groups where a feature has ``normalise: group``; else, or where it is so already, as it is.

    A source that changes what another one reads, its ``source``, is so where that one is.
    """
    inner: Any = source
    while inner is not None and not isinstance(inner, GroupSource):
        inner = getattr(inner, "source", None)
    if inner is not None or not any(each.normalise == "group" for each in features.values()):
        return source
    return GroupSource(source, features, groups, fallback)
