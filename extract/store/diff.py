"""Two stores side by side: what made them, which clips they have, and how far their numbers are apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.registry import nearest
from extract.store.listing import (
    NUM_SHOWN,
    ProgressCallback,
    TrackFile,
    feature_folders,
    named,
    recipe_of,
    silent,
    tracks,
)
from extract.store.store import FeatureStore, Recipe


@dataclass(frozen=True)
class ClipDifference:
    """One clip in both stores. ``largest`` and ``largest_steps`` (of float16) are over the rows both observed.

    Rows are matched by place where there are as many, else by time. ``place`` is row and column of the largest
    difference; the cosines are None where no row is observed in both.
    """

    clip: str
    rows: tuple[int, int]
    compared: int
    largest: float
    largest_steps: int
    place: tuple[int, int] | None
    cosine_least: float | None
    cosine_sum: float
    times_s: float
    observed: int
    filled: int
    dim: tuple[int, int]

    @property
    def is_none(self) -> bool:
        return (
            self.rows[0] == self.rows[1]
            and self.dim[0] == self.dim[1]
            and not any((self.largest, self.times_s, self.observed, self.filled))
        )


@dataclass
class Pair:
    """A folder of one store and its like in the other: ``keys`` of the recipe that differ, with both values."""

    a: str
    b: str
    keys: dict[str, tuple[Any, Any]]
    note: str
    only_a: list[str]
    only_b: list[str]
    clips: int = 0
    different: list[ClipDifference] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    largest: float = 0.0
    largest_steps: int = 0
    cosine_least: float | None = None
    cosine_mean: float | None = None
    times_s: float = 0.0
    observed: int = 0


@dataclass
class Difference:
    """Everything two stores differ in; ``dataclasses.asdict`` of it is JSON."""

    a: str
    b: str
    equal: bool
    only_a: list[str]
    only_b: list[str]
    clocks_only_a: list[str]
    clocks_only_b: list[str]
    clocks: dict[str, str]
    pairs: list[Pair]

    def __str__(self) -> str:
        return _text(self)


def diff(
    a: FeatureStore, b: FeatureStore, clips: Sequence[str] = (), progress: ProgressCallback = silent
) -> Difference:
    """What differs between two stores, of all clips or of some.

    Folders belong together where their recipes are equal, else where they share the name, or all but the name.
    FileNotFoundError where a store is missing, ValueError where neither has a clip that is asked for.
    """
    clocks_a, clocks_b = (_chosen(store.root / "clock", clips) for store in (a, b))
    for clip_id in clips:
        if not {clip_id} & (clocks_a.keys() | clocks_b.keys()):
            known = [*tracks(a.root / "clock"), *tracks(b.root / "clock")]
            raise InputError(f"no clip {clip_id!r} in {a.root} or {b.root}{nearest(clip_id, known)} check its name")
    recipes_a, recipes_b = ({path.name: recipe_of(path) for path in feature_folders(store)} for store in (a, b))
    pairs, matched = [], _matched(recipes_a, recipes_b)
    for done, (one, other) in enumerate(matched):
        progress(one, done, len(matched))
        pairs.append(_pair(a.root / one, b.root / other, clips))
    clocks = {
        clip_id: what
        for clip_id in clocks_a.keys() & clocks_b.keys()
        if (what := "; ".join(_clock_differences(a, b, clip_id)))
    }
    found = Difference(
        str(a.root),
        str(b.root),
        False,
        sorted(recipes_a.keys() - {one for one, _ in matched}),
        sorted(recipes_b.keys() - {other for _, other in matched}),
        sorted(clocks_a.keys() - clocks_b.keys()),
        sorted(clocks_b.keys() - clocks_a.keys()),
        dict(sorted(clocks.items())),
        pairs,
    )
    alone = (found.only_a, found.only_b, found.clocks_only_a, found.clocks_only_b, found.clocks)
    found.equal = not any(alone) and not any(
        pair.keys or pair.only_a or pair.only_b or pair.different or pair.broken for pair in pairs
    )
    return found


def recipe_differences(a: Recipe, b: Recipe) -> dict[str, tuple[Any, Any]]:
    """The keys, with dots for what lies within, whose values differ; None where one has no such key."""
    flat_a, flat_b = dict(_flat(a)), dict(_flat(b))
    return {
        key: (flat_a.get(key), flat_b.get(key))
        for key in sorted(flat_a.keys() | flat_b.keys())
        if flat_a.get(key) != flat_b.get(key) or (key in flat_a) != (key in flat_b)
    }


def _flat(document: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _matched(a: Mapping[str, Recipe], b: Mapping[str, Recipe]) -> list[tuple[str, str]]:
    """Folders that belong together, those with the fewest differences first chosen."""
    costs = sorted(
        (len(recipe_differences(a[one], b[other])), one, other)
        for one, other in product(a, b)
        if one == other or (a[one] and b[other] and _are_alike(a[one], b[other]))
    )
    matched: dict[str, str] = {}
    for _, one, other in costs:
        if one not in matched and other not in matched.values():
            matched[one] = other
    return sorted(matched.items())


def _are_alike(a: Recipe, b: Recipe) -> bool:
    """Whether two recipes share the name, or all but the name."""
    return a.get("name") == b.get("name") or recipe_differences(a, b).keys() == {"name"}


def _note(a: Recipe, b: Recipe, keys: Mapping[str, Any]) -> str:
    if not keys or "weights" not in a or "weights" not in b:
        return ""
    agree = a["weights"] == b["weights"]
    return f"the weights' hashes {'agree' if agree else 'differ'}"


def _chosen(folder: Path, clips: Sequence[str]) -> dict[str, Path]:
    return {clip_id: path for clip_id, path in tracks(folder).items() if not clips or clip_id in clips}


def _clock_differences(a: FeatureStore, b: FeatureStore, clip_id: str) -> Iterator[str]:
    try:
        one, other = a.clock(clip_id), b.clock(clip_id)
    except (ValueError, TypeError) as error:
        yield str(error)
        return
    if len(one) != len(other):
        yield f"{len(one)} and {len(other)} frames"
    elif not np.array_equal(one.times_s, other.times_s):
        yield f"times differ by up to {np.abs(one.times_s - other.times_s).max():.6g} s"
    if len(one) == len(other) and not np.array_equal(one.decoded, other.decoded):
        yield f"{int((one.decoded != other.decoded).sum())} frames are decoded in one only"
    if a.clock_metadata(clip_id).get("source") != b.clock_metadata(clip_id).get("source"):
        yield "made from other media"


def _pair(a: Path, b: Path, clips: Sequence[str]) -> Pair:
    recipes = recipe_of(a), recipe_of(b)
    keys = recipe_differences(*recipes)
    of_a, of_b = _chosen(a, clips), _chosen(b, clips)
    pair = Pair(a.name, b.name, keys, _note(*recipes, keys), sorted(of_a.keys() - of_b), sorted(of_b.keys() - of_a))
    weighed = [0.0, 0]
    for clip_id in (clip_id for clip_id in of_a if clip_id in of_b):
        pair.clips += 1
        try:
            clip = compare_tracks(clip_id, TrackFile(of_a[clip_id]), TrackFile(of_b[clip_id]))
        except (ValueError, OSError) as error:
            pair.broken[clip_id] = str(error)
            continue
        if not clip.is_none:
            pair.different.append(clip)
        pair.largest, pair.largest_steps = max(pair.largest, clip.largest), max(pair.largest_steps, clip.largest_steps)
        pair.times_s, pair.observed = max(pair.times_s, clip.times_s), pair.observed + clip.observed
        if clip.cosine_least is not None:
            known = clip.cosine_least if pair.cosine_least is None else pair.cosine_least
            pair.cosine_least = min(known, clip.cosine_least)
            weighed = [weighed[0] + clip.cosine_sum, weighed[1] + clip.compared]
    pair.cosine_mean = weighed[0] / weighed[1] if weighed[1] else None
    return pair


def _text(found: Difference) -> str:
    """For people, on a terminal."""
    lines = []
    for where, what in (
        (f"only in {found.a}", found.only_a),
        (f"only in {found.b}", found.only_b),
        (f"clocks only in {found.a}", found.clocks_only_a),
        (f"clocks only in {found.b}", found.clocks_only_b),
    ):
        lines += [f"{where}: {named(what)}"] if what else []
    lines += [f"clock of {clip_id}: {what}" for clip_id, what in found.clocks.items()]
    for pair in found.pairs:
        lines += _rendered(pair, found)
    return "\n".join([*lines, f"{found.a} and {found.b} {'are equal' if found.equal else 'differ'}"])


def _rendered(pair: Pair, found: Difference) -> Iterator[str]:
    yield f"{pair.a}: the same recipe" if pair.a == pair.b else f"{pair.a} and {pair.b}: {pair.note or 'other recipes'}"
    for key, (one, other) in pair.keys.items():
        yield f"  {key}: {one!r} and {other!r}"
    for where, clips in ((found.a, pair.only_a), (found.b, pair.only_b)):
        if clips:
            yield f"  only in {where}: {named(clips)}"
    cosine = (
        "" if pair.cosine_least is None else f", cosine {pair.cosine_least:.6f} at least, {pair.cosine_mean:.6f} mean"
    )
    yield (
        f"  {pair.clips} clips in both, {len(pair.different)} differ: by up to {pair.largest:.6g} "
        f"({pair.largest_steps} float16 steps){cosine}, times by up to {pair.times_s:.6g} s, "
        f"{pair.observed} observed flags"
    )
    for clip in pair.different[:NUM_SHOWN]:
        where = "" if clip.place is None else f" at row {clip.place[0]}, column {clip.place[1]}"
        counts = f", {clip.rows[0]} and {clip.rows[1]} rows" if clip.rows[0] != clip.rows[1] else ""
        widths = f", {clip.dim[0]} and {clip.dim[1]} numbers a row" if clip.dim[0] != clip.dim[1] else ""
        yield f"    {clip.clip}: by up to {clip.largest:.6g}{where}{counts}{widths}"
    yield from (f"    {clip_id}: {what}" for clip_id, what in pair.broken.items())


BLOCK_ROWS = 4096


def float16_steps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many float16 numbers lie between two, both rounded to float16: 0 for the same, 1 for neighbours."""
    places = []
    for values in (a, b):
        with np.errstate(over="ignore"):
            bits = values.astype(np.float16).view(np.int16).astype(np.int32)
        places.append(np.where(bits < 0, -(bits & 0x7FFF), bits))
    return np.abs(places[0] - places[1])


def compare_tracks(clip_id: str, a: TrackFile, b: TrackFile) -> ClipDifference:
    """Two tracks of a clip, values read in blocks."""
    rows_a, rows_b = _rows_together(a, b)
    observed = a.observed[rows_a], b.observed[rows_b]
    filled = [file.flags.get("filled", np.zeros(len(file.times_s), bool)) for file in (a, b)]
    apart_s = np.abs(a.times_s[rows_a] - b.times_s[rows_b]).max(initial=0)
    both = observed[0] & observed[1]
    seen = _Values()
    if a.shape[1] == b.shape[1]:
        for first in range(0, len(rows_a), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            kept = both[part]
            seen.add(a.rows(rows_a[part][kept]), b.rows(rows_b[part][kept]), rows_a[part][kept])
    return ClipDifference(
        clip_id,
        (a.shape[0], b.shape[0]),
        seen.num,
        seen.largest,
        seen.largest_steps,
        seen.place,
        seen.cosine_least,
        seen.cosine_sum,
        float(apart_s),
        int((observed[0] != observed[1]).sum()),
        int((filled[0][rows_a] != filled[1][rows_b]).sum()),
        (a.shape[1], b.shape[1]),
    )


def _rows_together(a: TrackFile, b: TrackFile) -> tuple[np.ndarray, np.ndarray]:
    """Rows that belong together: by place where both tracks have as many, else those of exactly the same time."""
    if a.shape[0] == b.shape[0]:
        return np.arange(a.shape[0]), np.arange(a.shape[0])
    _, rows_a, rows_b = np.intersect1d(a.times_s, b.times_s, return_indices=True)
    return rows_a, rows_b


class _Values:
    """The largest difference and the cosines, over one block after the other."""

    def __init__(self) -> None:
        self.num, self.largest, self.largest_steps, self.cosine_sum = 0, 0.0, 0, 0.0
        self.place: tuple[int, int] | None = None
        self.cosine_least: float | None = None

    def add(self, a: np.ndarray, b: np.ndarray, rows: np.ndarray) -> None:
        """Rows of both, and which rows of the first track they are. ValueError where one is not finite."""
        if not a.size:
            return
        finite = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
        if not finite.all():
            raise InputError(f"row {rows[int(np.argmin(finite))]} is observed, but not finite")
        self.largest_steps = max(self.largest_steps, int(float16_steps(a, b).max()))
        a, b = a.astype(np.float64), b.astype(np.float64)
        apart = np.abs(a - b)
        if apart.max() > self.largest:
            row, column = np.unravel_index(int(apart.argmax()), apart.shape)
            self.largest, self.place = float(apart.max()), (int(rows[row]), int(column))
        cosines = _cosines(a, b)
        least = float(cosines.min())
        self.cosine_least = least if self.cosine_least is None else min(self.cosine_least, least)
        self.num, self.cosine_sum = self.num + len(a), self.cosine_sum + float(cosines.sum())


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of every row; 1 where both are zero, 0 where one is."""
    norms = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    product_of = norms[0] * norms[1]
    same = np.where((norms[0] == 0) & (norms[1] == 0), 1.0, 0.0)
    return np.divide((a * b).sum(axis=1), product_of, out=same, where=product_of > 0)
