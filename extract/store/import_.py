"""Import features made by other programs from npy folders; what is assumed about their times is part of the recipe.

A folder holds ``<clip>.npy`` (time, dim), or ``<clip>/<frame number>.npy`` (dim) for each frame. Behind
``abaw store import``.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError, NotFoundError
from abaw.files import sha256
from abaw.files.names import NUM_SHOWN, first_few
from abaw.progress import ProgressCallback, silent
from abaw.tracks import Clock
from extract.store.eight_bit.fitting import fit
from extract.store.npy_folders import Rows, find_rows, load
from extract.store.packs.index import is_stored
from extract.store.store import FeatureStore, Recipe
from extract.store.track_file import ROUNDED_TO, check_stored_dtype

BLOCK_ROWS = 4096
MODALITIES = ("vision", "audio", "text")
SOUND_MARGIN_S = 1.0  # sound may begin before the first frame and end after the last


@dataclass(frozen=True)
class RowTimes:
    """How the times of imported rows are known; exactly one of the first four fields is given.

    ``times``: a folder of ``<clip>.npy`` with seconds. ``fps``: row i is at ``first_s + i / fps``, where ``first_s`` is
    by default the time of the clip's first frame. ``clock``: row i is at the clip's frame i. ``hop_s``: row i is at
    ``first_s + i * hop_s`` in the container's time. ``first_frame`` is the number of the first frame where each frame
    has its own file. A clip may have ``allow_short`` rows fewer than its clock, and ``allow_long`` rows more, which are
    left out. Raises InputError where the fields do not go together.
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
                "the times of the rows are not known: give exactly one of --times FOLDER, --fps F, --clock (one row "
                f"per frame), --hop-s H with --first-s T; {sum(given)} were given"
            )
        if self.hop_s is not None and self.first_s is None:
            raise InputError("--hop-s needs --first-s: the time of the first row in the container, in seconds")
        if self.first_s is not None and (self.times is not None or self.clock):
            raise InputError("--first-s can only be given with --hop-s or --fps: --times and --clock set every time")
        for option, value in (("--fps", self.fps), ("--hop-s", self.hop_s)):
            if value is not None and not 0 < value < np.inf:
                raise InputError(f"{option} is {value}, expected a number above 0")
        for option, num in (("--allow-short", self.allow_short), ("--allow-long", self.allow_long)):
            if num < 0:
                raise InputError(f"{option} is {num}, expected a number of rows, 0 or more")

    def recipe(self) -> dict[str, Any]:
        """What was assumed, for the recipe."""
        if self.times is not None:
            return {"times": "as given"}
        if self.clock:
            return {"clock": "a row a frame", "first_frame": self.first_frame}
        assumed = {"fps": self.fps} if self.fps is not None else {"hop_s": self.hop_s}
        first_s = "the clip's first frame" if self.first_s is None else self.first_s
        return {**assumed, "first_s": first_s, "first_frame": self.first_frame}

    def of(self, rows: Rows, clock: Clock) -> tuple[np.ndarray, int, int]:
        """The times of the rows within the clip, how many rows are missing at its end, and how many are beyond it.

        Raises InputError where these cannot be the times of the clip.
        """
        if self.times is not None:
            return _given_times(self.times / f"{rows.clip_id}.npy", len(rows), clock), 0, 0
        if not len(clock):
            raise InputError("its clock has no frames")
        if self.clock:
            kept = rows.positions[rows.positions < len(clock)]
            # another program has only the decoded frames, even where there are labels for more
            expected = int(clock.decoded.sum()) or len(clock)
            num_short = 0 if rows.has_gaps else max(0, expected - len(rows))
            return clock.times_s[kept], num_short, len(rows) - len(kept)
        step_s = 1 / self.fps if self.fps is not None else float(self.hop_s or 0)
        times_s = (clock.times_s[0] if self.first_s is None else self.first_s) + rows.positions * step_s
        # where rows are not frames, one row more or less is rounding
        last_s = clock.times_s[-1] + max(step_s, clock.interval_s if len(clock) > 1 else 0.0) * (1 + 1e-6)
        inside = times_s <= last_s
        end_s = times_s[-1] if len(times_s) else clock.times_s[0] - step_s
        num_short = 0 if rows.has_gaps else max(0, int((clock.times_s[-1] - end_s) / step_s + 1e-6) - 1)
        return times_s[inside], num_short, int((~inside).sum())


@dataclass
class ImportReport:
    """What an import did. ``num_zero_rows``: rows of zeros that count as observed; ``num_cut_rows``: rows beyond their
    clip, left out. ``str`` of it is text for a terminal.
    """

    folder: str
    written: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    num_rows: int = 0
    num_unobserved: int = 0
    num_zero_rows: int = 0
    num_cut_rows: int = 0

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The report line by line: what was assumed, then the sums."""
        if self.num_zero_rows:
            yield (
                f"{self.num_zero_rows} rows are all zero and count as observed: give --zeros-are-missing if they mean "
                "that nothing was observed"
            )
        if self.num_cut_rows:
            yield f"{self.num_cut_rows} rows beyond the ends of their clips were left out"
        yield f"{self.num_rows} rows, {self.num_unobserved} of them not observed"
        yield f"{self.folder}: {len(self.written)} clips imported, {len(self.skipped)} done before"


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
    """Write a folder's features as tracks of the store; clips that were imported before are skipped.

    Not observed are rows that are all nan, rows marked False in ``observed`` (a folder of ``<clip>.npy`` with bool)
    and, with ``zeros_are_missing``, rows of zeros. All clips are checked before anything is written. Raises
    NotFoundError where there is no such folder or a clip has no clock; InputError where files are not arrays of
    numbers of one width, rows do not fit the clock, a value is not finite or too large for ``stored_dtype``, or rows
    lose too much in int8.
    """
    _check_settings(name, modality, stored_dtype)
    clips = find_rows(folder, times.first_frame)
    _check_clocks(store, folder, list(clips))
    times_s = _times_of(store, clips, times)
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
        _check_values(recipe, rows, len(times_s[clip_id]), _read_observed(observed, rows))
    report = ImportReport(str(store.folder(recipe)))
    for done, (clip_id, rows) in enumerate(clips.items()):
        progress(clip_id, done, len(clips))
        source = store.clock_metadata(clip_id).get("source")
        if store.has(recipe, clip_id, source):
            report.skipped.append(clip_id)
            continue
        _write_clip(store, recipe, rows, times_s[clip_id], _read_observed(observed, rows), report)
        report.written.append(clip_id)
    return report


def clips_without_clock(store: FeatureStore, clips: list[str]) -> list[str]:
    """Those of the clips that have no clock in the store."""
    return [clip_id for clip_id in clips if not is_stored(store.clock_path(clip_id))]


def _check_clocks(store: FeatureStore, folder: Path, clips: list[str]) -> None:
    missing = clips_without_clock(store, clips)
    if missing:
        raise NotFoundError(
            f"{len(missing)} of {len(clips)} clips in {folder} have no clock in {store.root}: {first_few(missing)}: "
            f"give --data DATA, or run abaw extract DATA --store {store.root} --encoder NAME first"
        )


def _check_settings(name: str, modality: str, stored_dtype: str) -> None:
    if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise InputError(f"--name {name!r} cannot name a folder: use letters, digits, '_', '-' and '.'")
    if modality not in MODALITIES:
        raise InputError(f"--modality is {modality!r}, expected one of {', '.join(MODALITIES)}")
    check_stored_dtype(stored_dtype, "--stored-dtype")


def _times_of(store: FeatureStore, clips: dict[str, Rows], times: RowTimes) -> dict[str, np.ndarray]:
    """Clip -> the times of its rows. Raises InputError with the clips whose rows do not fit their clock."""
    fitting, wrong, needed = {}, [], [0, 0]
    for clip_id, rows in clips.items():
        clock = store.clock(clip_id)
        try:
            fitting[clip_id], num_short, num_long = times.of(rows, clock)
        except (ValueError, OSError) as error:
            wrong.append(f"{clip_id}: {error}")
            continue
        if num_short > times.allow_short or num_long > times.allow_long:
            needed = [max(needed[0], num_short), max(needed[1], num_long)]
            wrong.append(
                f"{clip_id}: {len(rows)} rows, {len(clock)} frames on its clock, {num_short} missing, "
                f"{num_long} too many"
            )
    if wrong:
        more = f"; and {len(wrong) - NUM_SHOWN} more" if len(wrong) > NUM_SHOWN else ""
        allow = [f"--allow-{word} {num}" for word, num in zip(("short", "long"), needed, strict=True) if num]
        advice = f"if that is right, give {' '.join(allow)}; otherwise give other times" if allow else "correct these"
        raise InputError(
            f"{len(wrong)} of {len(clips)} clips do not fit: {'; '.join(wrong[:NUM_SHOWN])}{more}: {advice}"
        )
    return fitting


def _given_times(path: Path, num_rows: int, clock: Clock) -> np.ndarray:
    """Times from a file, in seconds of the container."""
    times_s = np.asarray(load(path), np.float64)
    if times_s.shape != (num_rows,):
        raise InputError(f"{path.name} has times of shape {times_s.shape}, expected ({num_rows},)")
    if not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any():
        raise InputError(f"the times in {path.name} do not increase strictly")
    if len(clock) and len(times_s):
        first_s, last_s = clock.times_s[0], clock.times_s[-1]
        inside = (first_s - SOUND_MARGIN_S <= times_s) & (times_s <= last_s + SOUND_MARGIN_S)
        if inside.mean() < 0.5:
            raise InputError(
                f"its times are {times_s[0]:g} to {times_s[-1]:g}, but the clip's frames are at {first_s:g} to "
                f"{last_s:g} s: are the times in seconds?"
            )
    return times_s


def _write_clip(
    store: FeatureStore, recipe: Recipe, rows: Rows, times_s: np.ndarray, observed: np.ndarray, report: ImportReport
) -> None:
    """Write one clip's track, block by block."""
    observed = observed[: len(times_s)].copy()
    with store.writer(recipe, rows.clip_id, rows.dim) as writer:
        for first in range(0, len(times_s), BLOCK_ROWS):
            mask = observed[first : first + BLOCK_ROWS]  # a view: changes are made in ``observed``
            block = rows.block(first, first + len(mask))
            mask &= ~np.isnan(block).all(axis=1)
            zero = mask & (block == 0).all(axis=1)
            if recipe["settings"]["zeros_are_missing"]:
                mask &= ~zero
            else:
                report.num_zero_rows += int(zero.sum())
            writer.add(block[mask])
        about = {"tool": f"abaw {version('abaw')}", "crops": "imported", "rows": str(len(times_s))}
        about |= {key: text for key, text in store.clock_metadata(rows.clip_id).items() if key == "source"}
        writer.finish(times_s, observed, about)
    report.num_rows += len(times_s)
    report.num_cut_rows += len(rows) - len(times_s)
    report.num_unobserved += int((~observed).sum())


def _read_observed(folder: Path | None, rows: Rows) -> np.ndarray:
    """Which rows are marked as observed; all without a folder."""
    if folder is None:
        return np.ones(len(rows), bool)
    flags = load(folder / f"{rows.clip_id}.npy")
    if flags.dtype != bool or flags.shape != (len(rows),):
        raise InputError(
            f"{folder}/{rows.clip_id}.npy has type {flags.dtype} and shape {flags.shape}, expected bool and "
            f"({len(rows)},)"
        )
    return flags


def _check_values(recipe: Recipe, rows: Rows, num: int, observed: np.ndarray) -> None:
    """Raises InputError where one of the first ``num`` rows has a value that cannot be stored, or int8 loses much."""
    for first in range(0, num, BLOCK_ROWS):
        block = rows.block(first, min(num, first + BLOCK_ROWS))
        with np.errstate(over="ignore"):
            fits = np.isfinite(block.astype(ROUNDED_TO[recipe["stored_dtype"]]))
        to_store = observed[first : first + len(block)] & ~np.isnan(block).all(axis=1)
        wrong = np.argwhere(to_store[:, None] & ~fits)
        if not len(wrong):
            continue
        row, column = (int(i) for i in wrong[0])
        where = f"clip {rows.clip_id!r}: value {block[row, column]:g} (row {first + row}, column {column})"
        if np.isfinite(block[row, column]):
            raise InputError(f"{where} does not fit {recipe['stored_dtype']}: give --stored-dtype float32")
        raise InputError(f"{where} is not finite: only rows that are all nan may be; correct the features")
    if recipe["stored_dtype"].startswith("int8"):
        blocks = partial(_rows_to_store, recipe, rows, observed[:num])
        what = f"clip {rows.clip_id!r}: {recipe['name']}"
        fit(blocks, rows.dim).check(what, "give --stored-dtype float16")


def _rows_to_store(recipe: Recipe, rows: Rows, observed: np.ndarray) -> Iterator[np.ndarray]:
    """The observed rows in blocks, rounded as they are before they are quantised."""
    for first in range(0, len(observed), BLOCK_ROWS):
        mask = observed[first : first + BLOCK_ROWS]
        block = rows.block(first, first + len(mask))
        kept = mask & ~np.isnan(block).all(axis=1)
        if recipe["settings"]["zeros_are_missing"]:
            kept &= (block != 0).any(axis=1)
        yield block[kept].astype(ROUNDED_TO[recipe["stored_dtype"]])


def _hash(folder: Path, clips: dict[str, Rows], others: dict[str, Path | None]) -> str:
    """One hash of everything that is imported: each file's relative name and content."""
    digest = hashlib.sha256()
    files = [(path.relative_to(folder).as_posix(), path) for rows in clips.values() for path in rows.files]
    for kind, other in others.items():
        if other is not None:
            files += [(f"{kind}: {clip_id}", other / f"{clip_id}.npy") for clip_id in clips]
    for name, path in files:
        digest.update(f"{name} {sha256(path)}\n".encode())
    return digest.hexdigest()
