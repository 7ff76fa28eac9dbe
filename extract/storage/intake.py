"""Features made elsewhere: npy folders in, tracks out, and on the record what was assumed of their times.

A folder holds ``<clip>.npy`` (time, dim), or ``<clip>/<frame number>.npy`` (dim), one a frame.
"""

import hashlib
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from abaw.files import sha256
from extract.storage.holdings import NUM_SHOWN, Tell, named, silent
from extract.storage.intake_rows import Rows, find_rows, load
from extract.storage.intake_times import RowTimes
from extract.store import FeatureStore, Recipe

BLOCK_ROWS = 4096

MODALITIES = ("vision", "audio", "text")


@dataclass
class Imported:
    """What an import did. ``zeros`` are rows all zero that were taken as observed, ``cut`` are past their clip."""

    folder: str
    made: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    rows: int = 0
    unobserved: int = 0
    zeros: int = 0
    cut: int = 0


def bring_in(
    store: FeatureStore,
    folder: Path,
    name: str,
    times: RowTimes,
    *,
    modality: str = "vision",
    observed: Path | None = None,
    zeros_are_missing: bool = False,
    stored_dtype: str = "float16",
    tell: Tell = silent,
) -> Imported:
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
    report = Imported(str(store.folder(recipe)))
    for done, (clip_id, rows) in enumerate(clips.items()):
        tell(clip_id, done, len(clips))
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
        raise FileNotFoundError(
            f"{len(lacking)} of {len(clips)} clips in {folder} have no clock in {store.root}: {named(lacking)}: give "
            f"--data DATA, or run abaw extract DATA --store {store.root} --encoder NAME first"
        )


def clocks_lacking(store: FeatureStore, clips: list[str]) -> list[str]:
    """Those of the clips that have no clock yet."""
    return [clip_id for clip_id in clips if not (store.root / "clock" / f"{clip_id}.safetensors").exists()]


def _check(name: str, modality: str, stored_dtype: str) -> None:
    if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise ValueError(f"--name {name!r} cannot name a folder: use letters, digits, '_', '-' and '.'")
    if modality not in MODALITIES:
        raise ValueError(f"--modality is {modality!r}, expected one of {', '.join(MODALITIES)}")
    if stored_dtype not in ("float16", "float32"):
        raise ValueError(f"--stored-dtype is {stored_dtype!r}, expected float16 or float32")


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
        raise ValueError(
            f"{len(unfit)} of {len(clips)} clips do not fit: {'; '.join(unfit[:NUM_SHOWN])}{more}: {advice}"
        )
    return fitting


def _write(
    store: FeatureStore,
    recipe: Recipe,
    rows: Rows,
    times_s: np.ndarray,
    given: np.ndarray,
    report: Imported,
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
        raise ValueError(
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
        raise ValueError(f"{where} does not fit {recipe['stored_dtype']}: give --stored-dtype float32")
    raise ValueError(f"{where} is not finite: only a row all nan is taken as not observed; mend the features")


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


def render(report: Imported) -> str:
    """What was brought in, and what was made of it."""
    lines = []
    if report.zeros:
        lines.append(f"{report.zeros} rows are all zero and were taken as observed: --zeros-are-missing says otherwise")
    if report.cut:
        lines.append(f"{report.cut} rows past the clips' ends were left out")
    lines.append(f"{report.rows} rows, {report.unobserved} of them not observed")
    counts = f"{len(report.made)} clips imported, {len(report.present)} done before"
    return "\n".join([*lines, f"{report.folder}: {counts}"])
