"""The moments of other clips that are most similar to one moment, by any features of a store: ``abaw similar``."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.errors import InputError, NotFoundError
from abaw.files import as_path
from abaw.files.csv_cells import csv_text
from abaw.numbers import format_count, parse_number
from abaw.pipelines.embedding.exporting import NAME
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.registry import nearest
from abaw.tracks import Clock

if TYPE_CHECKING:
    from extract.store.store import FeatureStore
    from extract.store.track_file import TrackFile

CHUNK_ROWS = 4096  # read at once
MAX_AWAY_S = 0.5  # of the row that stands for a moment, as in alignment
MIN_SPREAD = 1e-6  # of cosines: less, and every moment is as similar as any other


@dataclass(frozen=True)
class Moment:
    """A moment of a clip: its frame (from 1) and time, and the cosine of its features with those of the moment given.

    ``frame``: the last frame that is shown at that time or before.
    """

    clip: str
    time_s: float
    frame: int
    similarity: float


@dataclass(frozen=True)
class SimilarReport:
    """What ``find_similar`` found, most similar first; ``time_s``: of the row that was compared.

    ``mean_similarity``: over all rows that were compared. ``num_zero_rows``: rows of zeros, which point nowhere
    and were left out.
    """

    clip: str
    time_s: float
    features: str
    num_clips: int
    num_rows: int
    num_zero_rows: int
    mean_similarity: float
    remarks: tuple[str, ...] = ()
    moments: list[Moment] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return asdict(self)

    def to_csv(self) -> str:
        """The moments as CSV with a header: rank, clip, time_s, frame, similarity."""
        rows: list[Sequence[Any]] = [["rank", "clip", "time_s", "frame", "similarity"]]
        for rank, each in enumerate(self.moments, 1):
            rows.append([rank, each.clip, f"{each.time_s:.6f}", each.frame, f"{each.similarity:.6f}"])
        return csv_text(rows)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield (
            f"{self.clip} at {self.time_s:.3f} s, by {self.features}: {format_count(self.num_rows, 'moment')} of "
            f"{format_count(self.num_clips, 'other clip')}, mean similarity {self.mean_similarity:.4f}"
        )
        yield from self.remarks
        width = max([len("clip"), *(len(each.clip) for each in self.moments)])
        yield f"  rank  {'clip':<{width}}  {'seconds':>9}  {'frame':>7}  similarity"
        for rank, each in enumerate(self.moments, 1):
            yield f"  {rank:>4}  {each.clip:<{width}}  {each.time_s:>9.3f}  {each.frame:>7}  {each.similarity:>10.4f}"


def find_similar(
    moment: str,
    store: str | Path,
    *,
    features: str | None = None,
    num: int = 10,
    min_gap_s: float | None = None,
    progress: ProgressCallback = silent,
) -> SimilarReport:
    """The moments of other clips whose features have the largest cosine with those of one moment.

    ``moment``: ``CLIP@SECONDS``. ``features``: a name in the store, with or without its hash; by default the joint
    embedding (``abaw embed``). One moment of a clip, or several that are at least ``min_gap_s`` apart. Tracks are
    read in parts of 4096 rows. Unobserved rows, and rows of zeros, are left out.

    Raises InputError for a moment that is not observed or outside its clip, and where no other clip has an observed
    row; NotFoundError for a clip without these features.
    """
    from extract.store.listing import track_paths
    from extract.store.store import FeatureStore

    as_progress(progress)
    if isinstance(num, bool) or not isinstance(num, int) or num < 1:
        raise InputError(f"num is {num!r}, expected a number of moments, 1 or more")
    if min_gap_s is not None and not 0 < min_gap_s < float("inf"):
        raise InputError(f"min_gap_s is {min_gap_s}, expected seconds above 0")
    clip, time_s = _parse(moment)
    opened = FeatureStore(as_path(store, "store"))
    recipe = _find(opened, features)
    paths = track_paths(opened.folder(recipe))
    if clip not in paths:
        raise NotFoundError(
            f"no track of {recipe['name']} for the clip {clip!r} in {opened.root}{nearest(clip, paths)} it has "
            f"{format_count(len(paths), 'clip')} (abaw store info {opened.root})"
        )
    row, wanted = _row_at(opened.open(recipe, clip), clip, time_s)
    others, found = [each for each in paths if each != clip], []
    num_rows = num_zero_rows = num_clips = 0
    total, low, high = 0.0, np.inf, -np.inf
    for done, other in enumerate(others):
        progress(other, done, len(others))
        file = opened.open(recipe, other)
        times_s, cosines, zeros = _cosines(file, wanted)
        num_zero_rows += zeros
        if not len(cosines):
            continue
        num_clips, num_rows, total = num_clips + 1, num_rows + len(cosines), total + float(cosines.sum())
        low, high = min(low, float(cosines.min())), max(high, float(cosines.max()))
        found += [(float(cosines[i]), other, float(times_s[i])) for i in _apart(times_s, cosines, num, min_gap_s)]
        found = sorted(found, key=lambda each: (-each[0], *each[1:]))[:num]
    if not num_rows:
        raise InputError(
            f"no other clip of {opened.root} has an observed row of {recipe['name']}: extract or embed more clips"
        )
    remarks = []
    if high - low < MIN_SPREAD:
        remarks.append(
            "every moment is as similar as any other: these features do not vary, so the order means nothing"
        )
    if num_zero_rows:
        remarks.append(f"{format_count(num_zero_rows, 'row')} of zeros left out: they point nowhere")
    moments = [Moment(*_place(opened.clock(other), other, at_s), cosine) for cosine, other, at_s in found]
    folder = opened.folder(recipe).name
    return SimilarReport(
        clip, row, folder, num_clips, num_rows, num_zero_rows, total / num_rows, tuple(remarks), moments
    )


def _parse(moment: str) -> tuple[str, float]:
    clip, separator, text = moment.rpartition("@") if isinstance(moment, str) else ("", "", "")
    if not separator or not clip:
        raise InputError(f"the moment is {moment!r}, expected CLIP@SECONDS, such as 130-25@12.4")
    try:
        return clip, parse_number(text)
    except InputError as error:
        raise InputError(f"the moment is {moment!r}, expected CLIP@SECONDS: {error}") from error


def _find(store: "FeatureStore", features: str | None) -> dict[str, Any]:
    """The recipe of the features. Raises InputError with what to do where there is no joint embedding."""
    if features is not None:
        return store.find(features)
    names = sorted({str(each["name"]) for each in store.recipes().values() if "encoder" in each})
    if NAME not in names:
        raise InputError(
            f"{store.root} has no {NAME}: write it with abaw embed RUN --store {store.root}, or name other features "
            f"with --features: {', '.join(names) or 'there are none'}"
        )
    return store.find(NAME)


def _row_at(file: "TrackFile", clip: str, time_s: float) -> tuple[float, np.ndarray]:
    """Time and direction (dim) of the row nearest to a time. Raises InputError where there is none to compare."""
    times_s, observed = file.times_s, file.observed
    if not len(times_s):
        raise InputError(f"the clip {clip!r} has no rows: choose another clip")
    row = int(np.abs(times_s - time_s).argmin())
    away_s = max(MAX_AWAY_S, float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0)
    if not abs(times_s[row] - time_s) <= away_s:
        raise InputError(
            f"the clip {clip!r} has no row at {time_s:g} s: its rows are from {times_s[0]:.3f} to {times_s[-1]:.3f} s"
        )
    if not observed[row]:
        seen_s = times_s[observed]
        near = sorted(seen_s[np.abs(seen_s - time_s).argsort()[:2]].tolist())
        advice = f"choose a moment near it that is: {' or '.join(f'{each:.3f} s' for each in near)}"
        raise InputError(
            f"nothing was observed in the clip {clip!r} at {times_s[row]:.3f} s, so there is nothing to compare: "
            + (advice if near else "nothing was observed in the whole clip; choose another")
        )
    values = file.rows(row, row + 1)[0].astype(np.float64)
    length = float(np.linalg.norm(values))
    if not length > 0:
        raise InputError(
            f"the features of the clip {clip!r} at {times_s[row]:.3f} s are all 0 and point nowhere: choose another "
            "moment, or other features"
        )
    return float(times_s[row]), values / length


def _cosines(file: "TrackFile", wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Times and cosines of a track's observed rows that are not all 0, and how many observed rows are all 0."""
    times_s, cosines, num_zeros = [], [], 0
    for first in range(0, len(file.times_s), CHUNK_ROWS):
        observed = file.observed[first : first + CHUNK_ROWS]
        rows = file.rows(first, first + CHUNK_ROWS)[observed].astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1)
        kept = lengths > 0
        num_zeros += int((~kept).sum())
        times_s.append(file.times_s[first : first + CHUNK_ROWS][observed][kept])
        cosines.append(np.clip(rows[kept] @ wanted / lengths[kept], -1, 1))
    if not times_s:
        return np.zeros(0), np.zeros(0), 0
    return np.concatenate(times_s), np.concatenate(cosines), num_zeros


def _apart(times_s: np.ndarray, cosines: np.ndarray, num: int, min_gap_s: float | None) -> list[int]:
    """The rows with the largest cosines, at most ``num``, at least ``min_gap_s`` apart; without it the best one."""
    if min_gap_s is None:
        return [int(cosines.argmax())]
    free = np.ones(len(cosines), bool)
    chosen: list[int] = []
    while free.any() and len(chosen) < num:
        best = int(np.where(free, cosines, -np.inf).argmax())
        chosen.append(best)
        free &= np.abs(times_s - times_s[best]) >= min_gap_s
    return chosen


def _place(clock: Clock, clip: str, time_s: float) -> tuple[str, float, int]:
    """A moment's clip, time and frame."""
    index = int(np.searchsorted(clock.times_s, time_s, side="right")) - 1
    return clip, time_s, int(clock.frames[max(0, index)]) if len(clock) else 0
