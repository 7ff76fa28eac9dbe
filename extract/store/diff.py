"""What differs between two stores: recipes, clips, times, values. Behind ``abaw store diff``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.files.names import NUM_SHOWN, first_few
from abaw.progress import ProgressCallback, silent
from abaw.registry import nearest
from extract.store.listing import feature_folders, read_recipe, track_paths
from extract.store.store import FeatureStore, Recipe
from extract.store.track_file import TrackFile

BLOCK_ROWS = 4096


@dataclass(frozen=True)
class ClipDifference:
    """The tracks of one clip in two stores; pairs are of stores a and b.

    Rows are matched by index where both tracks have as many, else by equal times. Values are compared in the
    ``num_compared`` rows that both observed: ``max_difference`` at ``position`` (row, column), ``max_float16_steps``
    (see ``float16_steps``) and cosines; None: no row. ``num_observed``, ``num_filled``: flags that differ.
    """

    clip: str
    num_rows: tuple[int, int]
    dims: tuple[int, int]
    num_compared: int
    max_difference: float
    max_float16_steps: int
    position: tuple[int, int] | None
    min_cosine: float | None
    sum_cosines: float
    max_time_difference_s: float
    num_observed: int
    num_filled: int

    @property
    def is_equal(self) -> bool:
        """Whether the two tracks are the same."""
        return (
            self.num_rows[0] == self.num_rows[1]
            and self.dims[0] == self.dims[1]
            and not any((self.max_difference, self.max_time_difference_s, self.num_observed, self.num_filled))
        )

    def __str__(self) -> str:
        where = "" if self.position is None else f" at row {self.position[0]}, column {self.position[1]}"
        rows = f", {self.num_rows[0]} and {self.num_rows[1]} rows" if self.num_rows[0] != self.num_rows[1] else ""
        dims = f", dim {self.dims[0]} and {self.dims[1]}" if self.dims[0] != self.dims[1] else ""
        return f"{self.clip}: by up to {self.max_difference:.6g}{where}{rows}{dims}"


@dataclass
class FolderDifference:
    """A folder of features in store a and its counterpart in store b.

    ``keys``: the recipe's keys that differ, with both values; ``note`` says whether the weights agree. ``only_a`` and
    ``only_b``: clips of one store only. ``different``: clips whose tracks differ; ``unreadable``: clip -> why. The
    other fields summarise all clips, as in ``ClipDifference``.
    """

    a: str
    b: str
    keys: dict[str, tuple[Any, Any]]
    note: str
    only_a: list[str]
    only_b: list[str]
    num_clips: int = 0
    different: list[ClipDifference] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    max_difference: float = 0.0
    max_float16_steps: int = 0
    min_cosine: float | None = None
    mean_cosine: float | None = None
    max_time_difference_s: float = 0.0
    num_observed: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether recipe, clips and tracks are the same."""
        return not (self.keys or self.only_a or self.only_b or self.different or self.unreadable)

    def lines(self, store_a: str, store_b: str) -> Iterator[str]:
        """This folder's part of the report."""
        is_same = self.a == self.b
        yield f"{self.a}: the same recipe" if is_same else f"{self.a} and {self.b}: {self.note or 'different recipes'}"
        yield from (f"  {key}: {one!r} and {other!r}" for key, (one, other) in self.keys.items())
        yield from _only("  only", store_a, self.only_a)
        yield from _only("  only", store_b, self.only_b)
        cosines = ""
        if self.min_cosine is not None:
            cosines = f", cosine at least {self.min_cosine:.6f}, mean {self.mean_cosine:.6f}"
        yield (
            f"  {self.num_clips} clips in both, {len(self.different)} differ: values by up to "
            f"{self.max_difference:.6g} ({self.max_float16_steps} float16 steps){cosines}, times by up to "
            f"{self.max_time_difference_s:.6g} s, {self.num_observed} observed flags"
        )
        yield from (f"    {clip}" for clip in self.different[:NUM_SHOWN])
        yield from (f"    {clip_id}: {why}" for clip_id, why in self.unreadable.items())


@dataclass
class StoreDifference:
    """Everything in which two stores differ; ``dataclasses.asdict`` of it is JSON, ``str`` of it text for a terminal.

    ``only_*`` and ``clocks_only_*``: folders and clocks of one store only; ``clocks``: clip -> how its clocks differ.
    """

    a: str
    b: str
    equal: bool
    only_a: list[str]
    only_b: list[str]
    clocks_only_a: list[str]
    clocks_only_b: list[str]
    clocks: dict[str, str]
    folders: list[FolderDifference]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The report line by line."""
        yield from _only("only", self.a, self.only_a)
        yield from _only("only", self.b, self.only_b)
        yield from _only("clocks only", self.a, self.clocks_only_a)
        yield from _only("clocks only", self.b, self.clocks_only_b)
        yield from (f"clock of {clip_id}: {what}" for clip_id, what in self.clocks.items())
        for folder in self.folders:
            yield from folder.lines(self.a, self.b)
        yield f"{self.a} and {self.b} {'are equal' if self.equal else 'differ'}"


def _only(what: str, store: str, names: list[str]) -> Iterator[str]:
    if names:
        yield f"{what} in {store}: {first_few(names)}"


def diff(
    a: FeatureStore, b: FeatureStore, clips: Sequence[str] = (), progress: ProgressCallback = silent
) -> StoreDifference:
    """What differs between two stores, in all clips or in some.

    Folders are paired where their recipes are equal, otherwise where recipes share the name, or all but the name; those
    with the fewest differences first. Raises NotFoundError where a store is missing, InputError where neither store has
    one of ``clips``.
    """
    clocks_a, clocks_b = (_selected(store.root / "clock", clips) for store in (a, b))
    for clip_id in clips:
        if clip_id not in clocks_a and clip_id not in clocks_b:
            known = [*track_paths(a.root / "clock"), *track_paths(b.root / "clock")]
            raise InputError(f"no clip {clip_id!r} in {a.root} or {b.root}{nearest(clip_id, known)} check its name")
    recipes_a, recipes_b = ({path.name: read_recipe(path) for path in feature_folders(store)} for store in (a, b))
    folders, pairs = [], _pairs(recipes_a, recipes_b)
    for done, (one, other) in enumerate(pairs):
        progress(one, done, len(pairs))
        folders.append(_compare_folders(a.root / one, b.root / other, clips))
    both = sorted(clocks_a.keys() & clocks_b.keys())
    clocks = {clip_id: text for clip_id in both if (text := "; ".join(_clock_differences(a, b, clip_id)))}
    only_a, only_b = recipes_a.keys() - {one for one, _ in pairs}, recipes_b.keys() - {other for _, other in pairs}
    sets = only_a, only_b, clocks_a.keys() - clocks_b.keys(), clocks_b.keys() - clocks_a.keys()
    equal = not any((*sets, clocks)) and all(each.is_equal for each in folders)
    one_a, one_b, clock_a, clock_b = (sorted(names) for names in sets)
    return StoreDifference(str(a.root), str(b.root), equal, one_a, one_b, clock_a, clock_b, clocks, folders)


def recipe_differences(a: Recipe, b: Recipe) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, with both values; None where a recipe has no such key.

    >>> recipe_differences({"version": 1, "settings": {"crop_px": 96}}, {"version": 1, "settings": {"crop_px": 112}})
    {'settings.crop_px': (96, 112)}
    """
    flat_a, flat_b = dict(_flat(a)), dict(_flat(b))
    return {
        key: (flat_a.get(key), flat_b.get(key))
        for key in sorted(flat_a.keys() | flat_b.keys())
        if flat_a.get(key) != flat_b.get(key) or (key in flat_a) != (key in flat_b)
    }


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _pairs(a: Mapping[str, Recipe], b: Mapping[str, Recipe]) -> list[tuple[str, str]]:
    """The folders to compare, each in one pair; those with the fewest differing keys are paired first."""
    candidates = sorted(
        (len(recipe_differences(a[one], b[other])), one, other)
        for one, other in product(a, b)
        if one == other or (a[one] and b[other] and _are_alike(a[one], b[other]))
    )
    paired: dict[str, str] = {}
    for _, one, other in candidates:
        if one not in paired and other not in paired.values():
            paired[one] = other
    return sorted(paired.items())


def _are_alike(a: Recipe, b: Recipe) -> bool:
    """Whether two recipes share the name, or all but the name."""
    return a.get("name") == b.get("name") or recipe_differences(a, b).keys() == {"name"}


def _note(a: Recipe, b: Recipe) -> str:
    if a == b or "weights" not in a or "weights" not in b:
        return ""
    return f"the weights' hashes {'agree' if a['weights'] == b['weights'] else 'differ'}"


def _selected(folder: Path, clips: Sequence[str]) -> dict[str, Path]:
    return {clip_id: path for clip_id, path in track_paths(folder).items() if not clips or clip_id in clips}


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
        yield f"{int((one.decoded != other.decoded).sum())} frames are marked as decoded in only one"
    if a.clock_metadata(clip_id).get("source") != b.clock_metadata(clip_id).get("source"):
        yield "made from other media"


def _compare_folders(a: Path, b: Path, clips: Sequence[str]) -> FolderDifference:
    recipe_a, recipe_b = read_recipe(a), read_recipe(b)
    keys, note = recipe_differences(recipe_a, recipe_b), _note(recipe_a, recipe_b)
    of_a, of_b = _selected(a, clips), _selected(b, clips)
    folder = FolderDifference(a.name, b.name, keys, note, sorted(of_a.keys() - of_b), sorted(of_b.keys() - of_a))
    sum_cosines, num_compared = 0.0, 0
    for clip_id in (clip_id for clip_id in of_a if clip_id in of_b):
        folder.num_clips += 1
        try:
            clip = compare_tracks(clip_id, TrackFile(of_a[clip_id]), TrackFile(of_b[clip_id]))
        except (ValueError, OSError) as error:
            folder.unreadable[clip_id] = str(error)
            continue
        if not clip.is_equal:
            folder.different.append(clip)
        folder.max_difference = max(folder.max_difference, clip.max_difference)
        folder.max_float16_steps = max(folder.max_float16_steps, clip.max_float16_steps)
        folder.max_time_difference_s = max(folder.max_time_difference_s, clip.max_time_difference_s)
        folder.num_observed += clip.num_observed
        folder.min_cosine = _min(folder.min_cosine, clip.min_cosine)
        sum_cosines, num_compared = sum_cosines + clip.sum_cosines, num_compared + clip.num_compared
    folder.mean_cosine = sum_cosines / num_compared if num_compared else None
    return folder


def _min(one: float | None, other: float | None) -> float | None:
    return min((value for value in (one, other) if value is not None), default=None)


def float16_steps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many steps of float16 lie between two arrays, both rounded to it: 0 for equal, 1 for neighbouring numbers.

    >>> float16_steps(np.array([1.0, 1.0]), np.array([1.0, 1.0009765625])).tolist()
    [0, 1]
    """
    places = []
    for values in (a, b):
        with np.errstate(over="ignore"):
            bits = values.astype(np.float16).view(np.int16).astype(np.int32)
        places.append(np.where(bits < 0, -(bits & 0x7FFF), bits))
    return np.abs(places[0] - places[1])


def compare_tracks(clip_id: str, a: TrackFile, b: TrackFile) -> ClipDifference:
    """Compare two tracks of a clip, block by block. Raises InputError where an observed row is not finite."""
    rows_a, rows_b = _matched_rows(a, b)
    observed = a.observed[rows_a], b.observed[rows_b]
    filled = [file.flags.get("filled", np.zeros(len(file.times_s), bool)) for file in (a, b)]
    both = observed[0] & observed[1]
    values = _ValueComparison()
    if a.dim == b.dim:
        for first in range(0, len(rows_a), BLOCK_ROWS):
            block = slice(first, first + BLOCK_ROWS)
            rows = rows_a[block][both[block]]
            values.add(a.take(rows), b.take(rows_b[block][both[block]]), rows)
    return ClipDifference(
        clip_id,
        (len(a.values), len(b.values)),
        (a.dim, b.dim),
        values.num,
        values.max_difference,
        values.max_float16_steps,
        values.position,
        values.min_cosine,
        values.sum_cosines,
        float(np.abs(a.times_s[rows_a] - b.times_s[rows_b]).max(initial=0)),
        int((observed[0] != observed[1]).sum()),
        int((filled[0][rows_a] != filled[1][rows_b]).sum()),
    )


def _matched_rows(a: TrackFile, b: TrackFile) -> tuple[np.ndarray, np.ndarray]:
    """The rows to compare: by index where both tracks have as many, otherwise those of exactly the same time."""
    if len(a.values) == len(b.values):
        return np.arange(len(a.values)), np.arange(len(a.values))
    _, rows_a, rows_b = np.intersect1d(a.times_s, b.times_s, return_indices=True)
    return rows_a, rows_b


class _ValueComparison:
    """The largest difference and the cosines over several blocks of rows."""

    def __init__(self) -> None:
        self.num, self.max_difference, self.max_float16_steps, self.sum_cosines = 0, 0.0, 0, 0.0
        self.position: tuple[int, int] | None = None
        self.min_cosine: float | None = None

    def add(self, a: np.ndarray, b: np.ndarray, rows: np.ndarray) -> None:
        """Rows (n, dim) of both tracks; ``rows`` are their indices in the first track."""
        if not a.size:
            return
        finite = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
        if not finite.all():
            raise InputError(f"row {rows[int(np.argmin(finite))]} is observed, but not finite")
        self.max_float16_steps = max(self.max_float16_steps, int(float16_steps(a, b).max()))
        a, b = a.astype(np.float64), b.astype(np.float64)
        difference = np.abs(a - b)
        if difference.max() > self.max_difference:
            row, column = np.unravel_index(int(difference.argmax()), difference.shape)
            self.max_difference, self.position = float(difference.max()), (int(rows[row]), int(column))
        cosines = _cosines(a, b)
        self.min_cosine = _min(self.min_cosine, float(cosines.min()))
        self.num, self.sum_cosines = self.num + len(a), self.sum_cosines + float(cosines.sum())


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosine similarity of every row; 1 where both rows are zero, 0 where one is."""
    norm_a, norm_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    of_zeros = np.where((norm_a == 0) & (norm_b == 0), 1.0, 0.0)
    return np.divide((a * b).sum(axis=1), norm_a * norm_b, out=of_zeros, where=norm_a * norm_b > 0)
