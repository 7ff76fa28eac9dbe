"""What can be wrong with one track: its tensors, its values, the moments of its rows."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from abaw.tracks import Clock
from extract.storage.holdings import BLOCK_BYTES, TrackFile
from extract.store import Recipe


def wrong_shapes(file: TrackFile, recipe: Recipe) -> Iterator[str]:
    """Whether the tensors are those of one track, in the formats they must have."""
    if len(file.shape) != 2:
        yield f"values have the shape {file.shape}, expected rows of numbers"
        return
    for name, array, dtype in [
        ("times_s", file.times_s, "float64"),
        *((name, flags, "bool") for name, flags in file.flags.items()),
    ]:
        if array.shape != file.shape[:1] or array.dtype != dtype:
            yield (
                f"{name} has the shape {array.shape} in {array.dtype}, expected {file.shape[:1]} in {dtype}, as values "
                f"have {file.shape[0]} rows"
            )
    if int(file.metadata.get("rows", file.shape[0])) != file.shape[0]:
        yield f"{file.shape[0]} rows, {file.metadata['rows']} were written"
    expected = recipe.get("stored_dtype", "float16")
    if recipe and file.dtype != expected:
        yield f"values are {file.dtype}, the recipe says {expected}"


def wrong_values(file: TrackFile) -> Iterator[str]:
    """Observed rows finite, the others zero; one pass."""
    wrong: dict[str, int] = {}
    for first, block in file.blocks():
        observed = file.observed[first : first + len(block)]
        for what, rows in (
            ("is observed, but not finite", observed & ~np.isfinite(block).all(axis=1)),
            ("is not observed, but not zero", ~observed & (block != 0).any(axis=1)),
        ):
            if rows.any():
                wrong.setdefault(what, first + int(np.flatnonzero(rows)[0]))
    for what, row in wrong.items():
        yield f"row {row} {what}"


def wrong_checksum(path: Path, metadata: Mapping[str, str]) -> Iterator[str]:
    """Whether what follows a file's header is what was written; nothing where no checksum was recorded."""
    if "sha256" not in metadata:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != metadata["sha256"]:
        yield "it is not what was written (sha256): delete it and run abaw extract again"


def wrong_moments(file: TrackFile, recipe: Recipe, clock: Clock) -> Iterator[str]:
    """Whether rows of pictures are at the moments of the clock's frames, or of tubes of them."""
    times_s, is_import = file.times_s, recipe.get("encoder") == "import"
    if not len(times_s) and (is_import or _told(recipe)["span"] is None):
        return  # perhaps a clip shorter than a tube
    assumed = recipe.get("assumed_clock", {})
    if is_import and "times" in assumed:
        return  # they were given, and judged as they came in
    if is_import and "clock" not in assumed:
        step_s = 1 / assumed["fps"] if "fps" in assumed else float(assumed.get("hop_s", 0.0))
        yield from _inside(times_s, clock, max(step_s, clock.interval_s if len(clock) > 1 else 0.0) * (1 + 1e-6))
        return
    # a clip's crops have gaps, and so may what was made elsewhere
    by_video = not is_import and ("crop" not in recipe or file.metadata.get("crops", "found") == "found")
    if by_video and clock.decoded.any():
        expected_s = _tubes(clock.times_s[clock.decoded], *_span(recipe, times_s, clock.times_s[clock.decoded]))
        if not np.array_equal(times_s, expected_s):
            num = int(clock.decoded.sum())
            yield f"{len(times_s)} rows, expected {len(expected_s)} at the times of the {num} frames that were decoded"
            yield from _inside(times_s, clock, 0.0)
    elif (strange := np.flatnonzero(~np.isin(times_s, clock.times_s))).size:
        if _told(recipe)["span"] != 1:  # tubes, perhaps: they begin anew after every gap
            yield from _inside(times_s, clock, 0.0)
        else:
            yield f"row {int(strange[0])}, at {times_s[strange[0]]} s, is of no frame of the clock"


def _inside(times_s: np.ndarray, clock: Clock, margin_s: float) -> Iterator[str]:
    if not len(times_s) or not len(clock):
        return
    first_s, last_s = clock.times_s[0], clock.times_s[-1]
    if times_s[0] < first_s - margin_s or times_s[-1] > last_s + margin_s:
        yield f"its rows are of {times_s[0]:.3f} to {times_s[-1]:.3f} s, the clip of {first_s:.3f} to {last_s:.3f} s"


def _told(recipe: Recipe) -> Recipe:
    """The recipe with its span and stride, in pictures; None leaves them to the network."""
    return {"span": 1, "stride": 1} | recipe.get("settings", {}) | recipe


def _span(recipe: Recipe, times_s: np.ndarray, frames_s: np.ndarray) -> tuple[int, int]:
    """Pictures a row and from row to row; what the recipe leaves to the network is told from the first two rows."""
    told = _told(recipe)
    if told["span"] == 1:
        return 1, 1
    span = told["span"] or _place(2 * times_s[0] - frames_s[0], frames_s) + 1
    middles_s = _tubes(frames_s, span, 1)
    stride = told["stride"] or (_place(times_s[1], middles_s) if len(times_s) > 1 and len(middles_s) else 1)
    return span, max(1, stride)


def _place(time_s: float, times_s: np.ndarray) -> int:
    """The place of the time nearest to one."""
    return int(np.abs(times_s - time_s).argmin())


def _tubes(frames_s: np.ndarray, span: int, stride: int) -> np.ndarray:
    """The moments midway between the first and the last of every ``span`` frames, ``stride`` apart."""
    return ((frames_s[: max(0, len(frames_s) - span + 1)] + frames_s[span - 1 :]) / 2)[::stride]
