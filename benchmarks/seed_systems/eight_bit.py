"""Rows of the feature store in 8 bits: what they lose, what they take, and what that does to scores and to reading.

Parts: ``rows`` (quantisation alone), ``store`` (files), ``runs`` (the synthetic main job in both types, a training for
each and seed), ``tracks`` (real voices and faces; needs --ravdess, --ravdess-store and --media) and ``speed``. A part
that is not measured keeps its lines in the results. Only ``speed`` needs a quiet machine.

    python -m benchmarks.seed_systems.eight_bit [--parts rows store runs speed] [--seeds 101 102 103] [--busy]
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw.files import read_json, write_json
from abaw.tracks import Clock, Track
from benchmarks.machine.load import QuietMachine, add_busy
from benchmarks.seed_systems.eight_bit_jobs import measure_runs, measure_speed, measure_tracks
from benchmarks.seed_systems.rows import RESULTS, Claim, Section, read_section, write_section
from extract.store.eight_bit.codes import Columns, quantise, restore
from extract.store.store import FeatureStore
from extract.store.track_file import TrackFile

PARTS = ("rows", "store", "runs", "tracks", "speed")
SEEDS = (101, 102, 103)
TITLE = "8-bit rows of the feature store"
TEXT = """\
LiRank (arXiv 2402.06859) stores the rows of its embedding tables in 8 bits after training: middle-max quantisation, row
by row, without calibration data. Here a row is one row of a stored track: `abaw extract --encoder
NAME:stored_dtype=int8`, `abaw store import --stored-dtype int8`, or `abaw store convert`, which does not encode again.
Models, probes and exports read such tracks as any other.

It departs from the paper in two ways, both ours. Where columns differ in size, or a few are far larger than the rest,
one scale for a row destroys the small ones, and the error of the row does not show it. So the error of every column is
measured beside the column's own deviation, and where it exceeds 0.01 the columns of the track are standardised first;
their means and deviations are kept in its file. And a track whose error still exceeds 0.02 is refused, with the advice
to keep float16. The error is in each file, and `abaw store info` shows it."""


@dataclass(frozen=True)
class RowFigures:
    """What quantising rows of N(0, 1) gives: of the codes, of the error beside half a scale, and of the values."""

    lowest: int
    highest: int
    reach_both: bool
    half_scales: float
    rmse: float
    min_cosine: float
    size: float


def normal_rows(num: int, dim: int, seed: int = 0) -> np.ndarray:
    """Rows of N(0, 1) in float32."""
    return np.random.default_rng(seed).standard_normal((num, dim), np.float32)


def with_outliers(rows: np.ndarray, size: float = 50.0) -> np.ndarray:
    """Rows in which one column is ``size`` higher, another as much lower."""
    shift = np.zeros(rows.shape[1], np.float32)
    shift[[3, -5]] = size, -size
    return rows + shift


def of_many_sizes(rows: np.ndarray) -> np.ndarray:
    """Rows whose columns have deviations from 0.01 to 100 and means as far from 0, as descriptors of sound have."""
    sizes = np.geomspace(0.01, 100, rows.shape[1], dtype=np.float32)
    return (rows + 1) * sizes


def measure_rows(num: int, dim: int, seed: int = 0) -> RowFigures:
    """Quantise N(0, 1) rows and compare: ``half_scales`` is the largest error over half its row's scale."""
    rows = normal_rows(num, dim, seed)
    codes = quantise(rows)
    error = np.abs(restore(codes).astype(np.float64) - rows)
    ends = codes.values.min(axis=1) == -128, codes.values.max(axis=1) == 127
    return RowFigures(
        int(codes.values.min()),
        int(codes.values.max()),
        bool(ends[0].all() and ends[1].all()),
        float((2 * error / codes.scale[:, None]).max()),
        rmse(rows, restore(codes)),
        float(centred_cosines(rows, restore(codes)).min()),
        (codes.values.nbytes + codes.scale.nbytes + codes.middle.nbytes) / rows.nbytes,
    )


def rmse(rows: np.ndarray, restored: np.ndarray) -> float:
    """Root mean square error over all values."""
    return float(np.sqrt(np.square(restored.astype(np.float64) - rows).mean()))


def centred_cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of every row, the cosine similarity of both minus the mean of the rows of ``a``."""
    a, b = a - a.mean(axis=0, dtype=np.float64), b - a.mean(axis=0, dtype=np.float64)
    return np.asarray((a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)))


def worst_column(rows: np.ndarray, restored: np.ndarray) -> float:
    """The largest error of a column, root mean square, over its deviation."""
    squares = np.square(restored.astype(np.float64) - rows).mean(axis=0)
    return float(np.sqrt((squares / rows.var(axis=0, dtype=np.float64)).max()))


def standardised(rows: np.ndarray) -> Columns:
    """The columns of these rows."""
    mean, deviation = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    return Columns(mean.astype(np.float32), deviation.astype(np.float32))


def by_rows_alone(rows: np.ndarray) -> np.ndarray:
    """What the paper's quantisation restores, which knows no columns: the control."""
    return restore(quantise(rows))


def store_track(root: Path, rows: np.ndarray, stored_dtype: str = "int8") -> TrackFile:
    """A store with one track of these rows at 25 Hz; its file."""
    store, recipe = FeatureStore(root), {"name": "x", "encoder": "x", "settings": {}, "stored_dtype": stored_dtype}
    times_s, observed = np.arange(len(rows)) / 25, np.ones(len(rows), bool)
    store.put_clock("c", Clock(np.arange(1, len(rows) + 1), times_s, observed), {})
    store.put(recipe, "c", Track(rows, times_s, observed), {})
    return store.open(recipe, "c")


def lines_of_rows() -> Iterator[Claim]:
    """Of quantisation alone, on 10,000 rows of width 128 and of 2,000 of width 1,024."""
    narrow, wide = measure_rows(10_000, 128), measure_rows(2_000, 1_024)
    yield Claim(
        "codes of N(0, 1) rows, 10,000 of width 128: every row reaches both ends",
        "-128 and 127",
        f"{narrow.lowest} and {narrow.highest}",
        "both in every row",
        narrow.reach_both and wide.reach_both,
    )
    half = max(narrow.half_scales, wide.half_scales)
    yield Claim(
        "largest error over half a scale", "1", f"{half:.6f}", "1 + 1e-5 (rounding of float32)", half <= 1 + 1e-5
    )
    yield Claim(
        "values beside float32, width 128", "over 70 % smaller", f"{narrow.size:.2%} of the bytes", "26.6 %",
        narrow.size <= 0.266,
    )  # fmt: skip
    yield Claim("RMSE, N(0, 1), width 128", "", f"{narrow.rmse:.5f}", "0.0060", narrow.rmse <= 0.006)
    cosine = f"{wide.rmse:.4f}, {wide.min_cosine:.5f}"
    yield Claim(
        "RMSE and smallest cosine, N(0, 1), width 1,024", "", cosine, "0.0076, 0.9999",
        wide.rmse <= 0.0076 and wide.min_cosine >= 0.9999,
    )  # fmt: skip


def lines_of_store(folder: Path) -> Iterator[Claim]:
    """Of stored tracks: sizes of files, outlier columns, columns of many sizes, each beside the paper's rule alone."""
    rows = normal_rows(10_000, 128)
    files = {each: store_track(folder / each, rows, each) for each in ("float32", "float16", "int8")}
    sizes = {name: file.path.stat().st_size for name, file in files.items()}
    yield Claim(
        "whole file of 10,000 rows of width 128, with times and flags", "",
        f"{sizes['int8'] / sizes['float32']:.1%} of that in float32, {sizes['int8'] / sizes['float16']:.1%} of float16",
        "", None,
    )  # fmt: skip
    for what, make in (
        ("two columns at +-50 deviations", with_outliers),
        ("deviations from 0.01 to 100", of_many_sizes),
    ):
        rows = make(normal_rows(2_000, 1_024))
        file, alone = store_track(folder / what.split()[0], rows), by_rows_alone(rows)
        stored = file.rows(0, len(rows))
        figures = worst_column(rows, alone), worst_column(rows, stored)
        yield Claim(
            f"width 1,024, {what}: worst column's error over its deviation, by rows alone (control) and as stored",
            "", f"{figures[0]:.3g} and {figures[1]:.4f}", "above 0.05 and at most 0.0085",
            figures[0] > 0.05 and figures[1] <= 0.0085,
        )  # fmt: skip
        if make is with_outliers:
            values = rmse(rows, alone), rmse(rows, stored), centred_cosines(rows, alone).min()
            yield Claim(
                "the same: RMSE by rows alone (control, with its smallest centred cosine) and as stored", "",
                f"{values[0]:.3f} ({values[2]:.3f}) and {values[1]:.4f}", "above 0.1 and at most 0.0076",
                values[0] > 0.1 and values[1] <= 0.0076,
            )  # fmt: skip


def measure(part: str, arguments: argparse.Namespace) -> list[Claim]:
    """The lines of one part."""
    if part == "rows":
        return list(lines_of_rows())
    if part == "store":
        with tempfile.TemporaryDirectory() as folder:
            return list(lines_of_store(Path(folder)))
    if part == "runs":
        return list(measure_runs(arguments.work, arguments.seeds))
    if part == "tracks":
        return list(measure_tracks(arguments.work, arguments.ravdess, arguments.ravdess_store, arguments.media))
    with QuietMachine(busy=arguments.busy) as machine:
        found = measure_speed(arguments.batches)
    return [each.claim(machine.record) for each in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["rows", "store", "runs", "speed"])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the part runs")
    parser.add_argument("--work", type=Path, default=Path("work/eight_bit"))
    parser.add_argument("--ravdess", type=Path, help="data set file of RAVDESS, for the part tracks")
    parser.add_argument("--ravdess-store", type=Path, help="a store of its features in float16")
    parser.add_argument("--media", type=Path, help="a folder of real clips to extract, for the part tracks")
    parser.add_argument("--batches", type=int, default=30)
    add_busy(parser)
    arguments = parser.parse_args()
    path, known = RESULTS / "eight_bit.json", dict[str, list[Claim]]()
    seeds = arguments.seeds
    if path.exists():
        section, made = read_section(path)
        of_text = {claim.says: claim for claim in section.claims}
        known = {part: [of_text[says] for says in lines] for part, lines in made["parts"].items()}
        seeds = arguments.seeds if "runs" in arguments.parts else made["seeds"]
    for part in arguments.parts:
        known[part] = measure(part, arguments)
        print(*known[part], sep="\n")
        kept = {part: known[part] for part in PARTS if part in known}
        section = Section(TITLE, TEXT, [claim for of_part in kept.values() for claim in of_part])
        write_section("eight_bit", section, seeds)
        lines = {part: [claim.says for claim in of_part] for part, of_part in kept.items()}
        write_json(path, {**read_json(path), "parts": lines})


if __name__ == "__main__":
    main()
