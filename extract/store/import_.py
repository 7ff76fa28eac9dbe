"""Features made elsewhere: npy folders in, tracks out, and on the record what was assumed of their times.

A folder holds ``<clip>.npy`` (time, dim), or ``<clip>/<frame number>.npy`` (dim), one a frame.
"""

import hashlib
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError, NotFoundError
from abaw.files import sha256
from abaw.tracks import Clock
from extract.store.listing import NUM_SHOWN, ProgressCallback, named, silent
from extract.store.npy_folders import Rows, find_rows, load
from extract.store.store import FeatureStore, Recipe

BLOCK_ROWS = 4096

MODALITIES = ("vision", "audio", "text")


@dataclass(frozen=True)
class RowTimes:
    """What is assumed of the moments of rows: exactly one of four.

    ``times``: a folder of ``<clip>.npy`` with seconds; ``fps``: row i is ``i / fps`` after ``first_s`` (None: after the
    clip's first frame); ``clock``: row i is the clip's frame i; ``hop_s``: row i is ``i * hop_s`` after ``first_s``,
    which is container time. ``first_frame`` is the number of the first frame where files are one a frame.
    ``allow_short`` and ``allow_long`` are how many rows less or more than its clock a clip may have; what is more goes.
    """

    times: Path | None = None
    fps: float | None = None
    clock: bool = False
    hop_s: float | None = None
    first_s: float | None = None
    first_frame: int = 1
    allow_short: int = 0
    allow_long: int = 0

    def __post_init__(self) -> None:
        given = [self.times is not None, self.fps is not None, self.clock, self.hop_s is not None]
        if sum(given) != 1:
            raise InputError(
                "features made elsewhere have no times of their own: say exactly one of --times FOLDER, --fps F, "
                f"--clock (a row a frame), --hop-s H --first-s T; {sum(given)} were given"
            )
        if self.hop_s is not None and self.first_s is None:
            raise InputError("--hop-s needs --first-s: the container time of the first row in seconds")
        if self.first_s is not None and (self.times is not None or self.clock):
            raise InputError("--first-s goes with --hop-s or --fps: other times have their own beginning")
        for option, value in (("--fps", self.fps), ("--hop-s", self.hop_s)):
            if value is not None and not 0 < value < np.inf:
                raise InputError(f"{option} is {value}, expected a number above 0")
        if min(self.allow_short, self.allow_long) < 0:
            raise InputError("--allow-short and --allow-long are numbers of rows, expected 0 or more")

    def recipe(self) -> dict[str, Any]:
        """What was assumed, for the record."""
        if self.times is not None:
            return {"times": "as given"}
        if self.clock:
            return {"clock": "a row a frame", "first_frame": self.first_frame}
        assumed = {"fps": self.fps} if self.fps is not None else {"hop_s": self.hop_s}
        first_s = "the clip's first frame" if self.first_s is None else self.first_s
        return {**assumed, "first_s": first_s, "first_frame": self.first_frame}

    def of(self, rows: Rows, clock: Clock) -> tuple[np.ndarray, int, int]:
        """Times of the rows that lie in the clip, how many rows are missing at its end and how many are past it.

        ValueError where the times cannot be those of the clip.
        """
        if self.times is not None:
            return _given_times(self.times / f"{rows.clip_id}.npy", len(rows), clock), 0, 0
        if not len(clock):
            raise InputError("its clock has no frames")
        if self.clock:
            kept = rows.places[rows.places < len(clock)]
            # what was decoded is all that another program could see, where labels go on past it
            expected = int(clock.decoded.sum()) or len(clock)
            short = 0 if rows.has_gaps else max(0, expected - len(rows))
            return clock.times_s[kept], short, len(rows) - len(kept)
        step_s = 1 / self.fps if self.fps is not None else float(self.hop_s or 0)
        times_s = (clock.times_s[0] if self.first_s is None else self.first_s) + rows.places * step_s
        # no count is exact where rows are not frames: one more or less is rounding
        last_s = clock.times_s[-1] + max(step_s, clock.interval_s if len(clock) > 1 else 0.0) * (1 + 1e-6)
        inside = times_s <= last_s
        end_s = times_s[-1] if len(times_s) else clock.times_s[0] - step_s
        short = 0 if rows.has_gaps else max(0, int((clock.times_s[-1] - end_s) / step_s + 1e-6) - 1)
        return times_s[inside], short, int((~inside).sum())


@dataclass
class ImportReport:
    """What an import did. ``zeros`` are rows all zero that were taken as observed, ``cut`` are past their clip."""

    folder: str
    made: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    rows: int = 0
    unobserved: int = 0
    zeros: int = 0
    cut: int = 0

    def __str__(self) -> str:
        return _text(self)


def import_folder(
    store: FeatureStore,
    folder: Path,
    name: str,
    times: RowTimes,
    *,
    modality: str = "vision",
    observed: Path | None = None,
    zeros_are_missing: bool = False,
    stored_dtype: str = "float16",
    progress: ProgressCallback = silent,
) -> ImportReport:
    """Write the folder's features as tracks of the clips' own clocks; what is done already is skipped.

    A row all nan, a row that ``observed`` (a folder of ``<clip>.npy``, bool) denies and, with ``zeros_are_missing``, a
    row all zero is not observed. Nothing is written before every clip fits its clock. FileNotFoundError where there is
    no such folder, or clips have no clock; ValueError where files are not of numbers or not of one width, rows do not
    fit the clock, or a value is not finite or too large for ``stored_dtype``.
    """
    _check(name, modality, stored_dtype)
    clips = find_rows(folder, times.first_frame)
    check_clocks(store, folder, list(clips))
    plans = _fitting(store, clips, times)
    recipe: Recipe = {
        "name": name,
        "stored_dtype": stored_dtype,
        "encoder": "import",
        "settings": {"zeros_are_missing": zeros_are_missing},
        "version": 1,
        "modality": modality,
        "assumed_clock": times.recipe(),
        "weights": _hash(folder, clips, {"times": times.times, "observed": observed}),
    }
    for clip_id, rows in clips.items():
        _check_all(recipe, rows, len(plans[clip_id]), _given(observed, rows))
    report = ImportReport(str(store.folder(recipe)))
    for done, (clip_id, rows) in enumerate(clips.items()):
        progress(clip_id, done, len(clips))
        source = store.clock_metadata(clip_id).get("source")
        if store.has(recipe, clip_id, source):
            report.present.append(clip_id)
            continue
        _write(store, recipe, rows, plans[clip_id], _given(observed, rows), report)
        report.made.append(clip_id)
    return report


def check_clocks(store: FeatureStore, folder: Path, clips: list[str]) -> None:
    """FileNotFoundError where a clip has no clock."""
    lacking = clocks_lacking(store, clips)
    if lacking:
        raise NotFoundError(
            f"{len(lacking)} of {len(clips)} clips in {folder} have no clock in {store.root}: {named(lacking)}: give "
            f"--data DATA, or run abaw extract DATA --store {store.root} --encoder NAME first"
        )


def clocks_lacking(store: FeatureStore, clips: list[str]) -> list[str]:
    """Those of the clips that have no clock yet."""
    return [clip_id for clip_id in clips if not (store.root / "clock" / f"{clip_id}.safetensors").exists()]


def _check(name: str, modality: str, stored_dtype: str) -> None:
    if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise InputError(f"--name {name!r} cannot name a folder: use letters, digits, '_', '-' and '.'")
    if modality not in MODALITIES:
        raise InputError(f"--modality is {modality!r}, expected one of {', '.join(MODALITIES)}")
    if stored_dtype not in ("float16", "float32"):
        raise InputError(f"--stored-dtype is {stored_dtype!r}, expected float16 or float32")


def _fitting(store: FeatureStore, clips: dict[str, Rows], times: RowTimes) -> dict[str, np.ndarray]:
    """Times of every clip's rows. ValueError lists the clips whose rows do not fit."""
    fitting, unfit, needed = {}, [], [0, 0]
    for clip_id, rows in clips.items():
        clock = store.clock(clip_id)
        try:
            fitting[clip_id], short, long = times.of(rows, clock)
        except (ValueError, OSError) as error:
            unfit.append(f"{clip_id}: {error}")
            continue
        if short > times.allow_short or long > times.allow_long:
            needed = [max(needed[0], short), max(needed[1], long)]
            unfit.append(f"{clip_id}: {len(rows)} rows, {len(clock)} frames on its clock, {short} short, {long} over")
    if unfit:
        more = f"; and {len(unfit) - NUM_SHOWN} more" if len(unfit) > NUM_SHOWN else ""
        allow = [f"--allow-{word} {count}" for word, count in zip(("short", "long"), needed, strict=True) if count]
        advice = f"where that is right give {' '.join(allow)}; else say other times" if any(needed) else "mend these"
        raise InputError(
            f"{len(unfit)} of {len(clips)} clips do not fit: {'; '.join(unfit[:NUM_SHOWN])}{more}: {advice}"
        )
    return fitting


def _write(
    store: FeatureStore,
    recipe: Recipe,
    rows: Rows,
    times_s: np.ndarray,
    given: np.ndarray,
    report: ImportReport,
) -> None:
    """One clip's track, a block at a time."""
    observed = given[: len(times_s)].copy()
    with store.writer(recipe, rows.clip_id, rows.dim) as writer:
        for first in range(0, len(times_s), BLOCK_ROWS):
            seen = observed[first : first + BLOCK_ROWS]  # a view: what is found missing is marked in the whole
            block = rows.block(first, first + len(seen))
            seen &= ~np.isnan(block).all(axis=1)
            zero = seen & (block == 0).all(axis=1)
            if recipe["settings"]["zeros_are_missing"]:
                seen &= ~zero
            else:
                report.zeros += int(zero.sum())
            writer.add(block[seen])
        about = {"tool": f"abaw {version('abaw')}", "crops": "imported", "rows": str(len(times_s))}
        about |= {key: text for key, text in store.clock_metadata(rows.clip_id).items() if key == "source"}
        writer.finish(times_s, observed, about)
    report.rows, report.cut = report.rows + len(times_s), report.cut + len(rows) - len(times_s)
    report.unobserved += int((~observed).sum())


def _given(observed: Path | None, rows: Rows) -> np.ndarray:
    """Which rows are said to be observed; all, where nothing is said."""
    if observed is None:
        return np.ones(len(rows), bool)
    given = load(observed / f"{rows.clip_id}.npy")
    if given.dtype != bool or given.shape != (len(rows),):
        raise InputError(
            f"{observed}/{rows.clip_id}.npy is {given.dtype} of shape {given.shape}, expected bool of shape "
            f"({len(rows)},)"
        )
    return given


def _check_all(recipe: Recipe, rows: Rows, num: int, given: np.ndarray) -> None:
    """ValueError where a value of a clip cannot be stored: found before anything is written."""
    for first in range(0, num, BLOCK_ROWS):
        block = rows.block(first, min(num, first + BLOCK_ROWS))
        _check_values(recipe, rows.clip_id, first, block, given[first : first + len(block)] & ~np.isnan(block).all(1))


def _check_values(recipe: Recipe, clip_id: str, first: int, block: np.ndarray, seen: np.ndarray) -> None:
    """ValueError where an observed value is not finite, or too large for the store."""
    with np.errstate(over="ignore"):
        fits = np.isfinite(block.astype(recipe["stored_dtype"]))
    wrong = np.argwhere(seen[:, None] & ~fits)
    if not len(wrong):
        return
    row, column = (int(i) for i in wrong[0])
    where = f"clip {clip_id!r}: value {block[row, column]:g} (row {first + row}, column {column})"
    if np.isfinite(block[row, column]):
        raise InputError(f"{where} does not fit {recipe['stored_dtype']}: give --stored-dtype float32")
    raise InputError(f"{where} is not finite: only a row all nan is taken as not observed; mend the features")


def _hash(folder: Path, clips: dict[str, Rows], beside: dict[str, Path | None]) -> str:
    """Of everything that is imported: each file's place and content, wherever the folders lie."""
    digest = hashlib.sha256()
    files = [(path.relative_to(folder).as_posix(), path) for rows in clips.values() for path in rows.files]
    for kind, other in beside.items():
        if other is not None:
            files += [(f"{kind}: {clip_id}", other / f"{clip_id}.npy") for clip_id in clips]
    for place, path in files:
        digest.update(f"{place} {sha256(path)}\n".encode())
    return digest.hexdigest()


def _text(report: ImportReport) -> str:
    """What was brought in, and what was made of it."""
    lines = []
    if report.zeros:
        lines.append(f"{report.zeros} rows are all zero and were taken as observed: --zeros-are-missing says otherwise")
    if report.cut:
        lines.append(f"{report.cut} rows past the clips' ends were left out")
    lines.append(f"{report.rows} rows, {report.unobserved} of them not observed")
    counts = f"{len(report.made)} clips imported, {len(report.present)} done before"
    return "\n".join([*lines, f"{report.folder}: {counts}"])


SLACK_S = 1.0  # sound may begin before the first picture and end after the last


def _given_times(path: Path, num_rows: int, clock: Clock) -> np.ndarray:
    """Times from a file, in seconds of the container."""
    times_s = np.asarray(load(path), np.float64)
    if times_s.shape != (num_rows,):
        raise InputError(f"{path.name} has times of shape {times_s.shape}, expected ({num_rows},)")
    if not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any():
        raise InputError(f"the times in {path.name} do not increase strictly")
    if len(clock) and len(times_s):
        inside = (clock.times_s[0] - SLACK_S <= times_s) & (times_s <= clock.times_s[-1] + SLACK_S)
        if inside.mean() < 0.5:
            raise InputError(
                f"its times are {times_s[0]:g} to {times_s[-1]:g}, the clip's frames are of {clock.times_s[0]:g} to "
                f"{clock.times_s[-1]:g} s: are they seconds?"
            )
    return times_s
