"""Checks of one stored track: shapes, values, and times against the clip's clock. Each yields a message for a fault.

``num_covered`` says how much of the clip the track observed.
"""

from collections.abc import Iterator

import numpy as np

from abaw.tracks import Clock
from extract.store.store import Recipe
from extract.store.track_file import TrackFile


def wrong_shapes(file: TrackFile, recipe: Recipe) -> Iterator[str]:
    """Whether the tensors have the shapes and types of one track with the recipe's ``stored_dtype``."""
    yield from file.wrong_shapes()
    if file.values.ndim != 2:
        return
    num_rows = len(file.values)
    if int(file.metadata.get("rows", num_rows)) != num_rows:
        yield f"{num_rows} rows, but {file.metadata['rows']} were written"
    stored_dtype = str(recipe.get("stored_dtype", "float16"))
    if recipe and file.values.dtype.name != stored_dtype.removesuffix("_from_float16"):
        yield f"values are {file.values.dtype}, but the recipe's stored_dtype is {stored_dtype}"


def check_values(file: TrackFile) -> Iterator[str]:
    """Whether observed rows are finite and the others zero; one pass over the file."""
    first_row: dict[str, int] = {}
    for first, block in file.blocks():
        observed = file.observed[first : first + len(block)]
        for what, rows in (
            ("is observed, but not finite", observed & ~np.isfinite(block).all(axis=1)),
            ("is not observed, but not zero", ~observed & (block != 0).any(axis=1)),
        ):
            if rows.any():
                first_row.setdefault(what, first + int(np.flatnonzero(rows)[0]))
    for what, row in first_row.items():
        yield f"row {row} {what}"


def check_times_on_clock(file: TrackFile, recipe: Recipe, clock: Clock) -> Iterator[str]:
    """Whether the rows of a vision track are at the times of the clock's frames or the middles of spans of them."""
    times_s = file.times_s
    if recipe.get("encoder") == "import":
        yield from _check_imported_times(times_s, recipe, clock)
        return
    if not len(times_s) and _with_span(recipe)["span"] is None:
        return  # the video may be shorter than one span of the network
    # a picture that cannot be decoded has a row, too; those at the end look like frames that labels added
    num_least = int(np.flatnonzero(clock.decoded)[-1]) + 1 if clock.decoded.any() else 0
    # tracks of the organisers' crops have gaps
    is_complete = "crop" not in recipe or file.metadata.get("crops", "found") == "found"
    if is_complete and num_least:
        span, stride = _span_and_stride(recipe, times_s, clock.times_s[:num_least])
        expected_s = _span_middles(clock.times_s, span, stride)
        num_rows = len(_span_middles(clock.times_s[:num_least], span, stride))
        if not num_rows <= len(times_s) <= len(expected_s) or (times_s != expected_s[: len(times_s)]).any():
            yield f"{len(times_s)} rows, expected {num_rows} at the times of the {num_least} decoded frames"
            yield from _check_inside(times_s, clock, 0.0)
    elif (strange := np.flatnonzero(~np.isin(times_s, clock.times_s))).size:
        if _with_span(recipe)["span"] != 1:  # spans of several frames begin again after every gap
            yield from _check_inside(times_s, clock, 0.0)
        else:
            yield f"row {int(strange[0])}, at {times_s[strange[0]]} s, is not at a frame of the clock"


def num_covered(file: TrackFile, recipe: Recipe, clock: Clock) -> int:
    """The number of the clock's frames that an observed row covers: one at the frame or, of rows that span several
    frames or come at a rate of their own, as the rows of sound, one that is no farther than rows are apart.
    """
    seen_s = file.times_s[file.observed]
    if not len(seen_s) or not len(clock):
        return 0
    frame_s = clock.interval_s if len(clock) > 1 else 0.0
    if "span" in recipe or "crop" in recipe or "finder" in recipe:  # made from pictures
        span, stride = _span_and_stride(recipe, file.times_s, clock.times_s)
        reach_s = frame_s * max(span - 1, stride - 1) / 2
    else:
        row_s = float(np.median(np.diff(file.times_s))) if len(file.times_s) > 1 else 0.0
        reach_s = max(row_s, frame_s) / 2
    after = np.searchsorted(seen_s, clock.times_s)
    before_s = clock.times_s - seen_s[np.maximum(after - 1, 0)]
    after_s = seen_s[np.minimum(after, len(seen_s) - 1)] - clock.times_s
    return int((np.minimum(np.abs(before_s), np.abs(after_s)) <= reach_s + 1e-6).sum())


def _check_imported_times(times_s: np.ndarray, recipe: Recipe, clock: Clock) -> Iterator[str]:
    assumed = recipe.get("assumed_clock", {})
    if "times" in assumed:
        return  # they were given, and checked when they were imported
    if "clock" in assumed:
        strange = np.flatnonzero(~np.isin(times_s, clock.times_s))
        if strange.size:
            yield f"row {int(strange[0])}, at {times_s[strange[0]]} s, is not at a frame of the clock"
        return
    step_s = 1 / assumed["fps"] if "fps" in assumed else float(assumed.get("hop_s", 0.0))
    yield from _check_inside(times_s, clock, max(step_s, clock.interval_s if len(clock) > 1 else 0.0) * (1 + 1e-6))


def _check_inside(times_s: np.ndarray, clock: Clock, margin_s: float) -> Iterator[str]:
    if not len(times_s) or not len(clock):
        return
    first_s, last_s = clock.times_s[0], clock.times_s[-1]
    if times_s[0] < first_s - margin_s or times_s[-1] > last_s + margin_s:
        yield (
            f"its rows are at {times_s[0]:.3f} to {times_s[-1]:.3f} s, but the clip is from {first_s:.3f} to "
            f"{last_s:.3f} s"
        )


def _with_span(recipe: Recipe) -> Recipe:
    """The recipe with ``span`` and ``stride`` in frames (1 where it has none); None: the network decides."""
    return {"span": 1, "stride": 1} | recipe.get("settings", {}) | recipe


def _span_and_stride(recipe: Recipe, times_s: np.ndarray, frames_s: np.ndarray) -> tuple[int, int]:
    """Frames in a row, and from one row to the next; computed from the first two rows if not in the recipe."""
    given = _with_span(recipe)
    if given["span"] == 1:
        return 1, 1
    span = given["span"] or _nearest(2 * times_s[0] - frames_s[0], frames_s) + 1
    middles_s = _span_middles(frames_s, span, 1)
    stride = given["stride"] or (_nearest(times_s[1], middles_s) if len(times_s) > 1 and len(middles_s) else 1)
    return span, max(1, stride)


def _nearest(time_s: float, times_s: np.ndarray) -> int:
    """The index of the time nearest to ``time_s``."""
    return int(np.abs(times_s - time_s).argmin())


def _span_middles(frames_s: np.ndarray, span: int, stride: int) -> np.ndarray:
    """The times midway between the first and the last of every ``span`` frames, ``stride`` frames apart."""
    return ((frames_s[: max(0, len(frames_s) - span + 1)] + frames_s[span - 1 :]) / 2)[::stride]
