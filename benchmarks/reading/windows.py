"""How long a batch of windows takes to read, align and collate, against the same steps as they were written before.

32 windows of 300 frames at 30 fps from 24 clips of 40 s, in a store on the local disk: pictures of 768 features with
some missing faces, sound of 1,024 features at 50 Hz, both in half precision and aligned linearly. Before, numpy
converted from half precision, alignment multiplied every row, and collating copied twice. Batches are read both ways in
turn in one process with one thread; their values must be equal. Writes windows.json and windows.md in results/reading
and docs/measurements/speed.md. On a busy machine it ends with exit code 2. Takes about 20 s.

    python -m benchmarks.reading.windows [--batches 30] [--busy]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch

import abaw.batches
from abaw.batches import Batch, Window, collate
from abaw.configs.sections import FeatureConfig
from abaw.files import write_json
from abaw.results.runs import commit, versions
from abaw.tracks import Clock
from benchmarks.machine.load import QuietMachine, add_busy, describe_load, describe_machine
from benchmarks.speed_page import PAGE, make_page
from extract import align
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from extract.store.track_file import TrackFile

NUM_CLIPS, NUM_FRAMES, FPS, SOUND_HZ = 24, 1200, 30, 50
DIMS = {"face": 768, "voice": 1024}
LENGTH, BATCH_SIZE = 300, 32


def make_store(root: Path, stored_dtype: str = "float16", uneven: bool = False) -> FeatureStore:
    """Random features of every clip; of each clip 20 frames show no face. ``uneven``: columns of different sizes."""
    store, random, times_s = FeatureStore(root), np.random.default_rng(0), np.arange(NUM_FRAMES) / FPS
    for number in range(NUM_CLIPS):
        store.put_clock(f"c{number}", Clock(np.arange(1, NUM_FRAMES + 1), times_s, np.ones(NUM_FRAMES, bool)), {})
        for name, dim in DIMS.items():
            rows_s = times_s if name == "face" else np.arange(NUM_FRAMES * SOUND_HZ // FPS) / SOUND_HZ + 0.0125
            observed = np.ones(len(rows_s), bool)
            if name == "face":
                observed[random.integers(NUM_FRAMES - 20) + np.arange(20)] = False
            sizes = np.exp(np.random.default_rng(dim).standard_normal(dim)) if uneven else 1
            recipe = {"name": name, "encoder": "nothing", "settings": {}, "stored_dtype": stored_dtype}
            with store.writer(recipe, f"c{number}", dim) as writer:
                writer.add((sizes * random.standard_normal((int(observed.sum()), dim))).astype(np.float32))
                writer.finish(rows_s, observed, {})
    return store


def former_apply(plan: align.Plan, values: np.ndarray, *, first_row: int = 0) -> np.ndarray:
    """``align.apply`` as it was."""
    out = np.zeros((len(plan.rows), values.shape[1]), np.float32)
    rows, weights = plan.rows[plan.observed] - first_row, plan.weights[plan.observed]
    total = np.zeros((len(rows), values.shape[1]), np.float32)
    for k in range(rows.shape[1]):
        total += weights[:, k, None] * values[rows[:, k]].astype(np.float32, copy=False)
    out[plan.observed] = total
    return out


def former_rows(file: TrackFile, first: int, stop: int, *, copy: bool = True) -> np.ndarray:
    """``TrackFile.rows`` as it was."""
    return file.values[first:stop].astype(np.float32)


def former_pad(values: list[np.ndarray]) -> torch.Tensor:
    """How ``collate`` padded values."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(each) for each in values], batch_first=True)


def read_batch(source: AlignedSource, seed: int) -> tuple[float, float, Batch]:
    """The times of reading and of collating in seconds, and the batch."""
    random, started = np.random.default_rng(seed), time.perf_counter()
    items = [_window(source, random) for _ in range(BATCH_SIZE)]
    between = time.perf_counter()
    batch = collate(items)
    return between - started, time.perf_counter() - between, batch


def _window(source: AlignedSource, random: np.random.Generator) -> Window:
    clip_id, first = f"c{random.integers(NUM_CLIPS)}", int(random.integers(NUM_FRAMES - LENGTH))
    times_s = source.clock(clip_id).times_s[first : first + LENGTH]
    signals = {name: source.read(name, clip_id, times_s[0], times_s[-1]) for name in source.names()}
    return Window(clip_id, first, torch.tensor(times_s), signals, {}, {})


def as_before(read: Callable[[], tuple[float, float, Batch]]) -> tuple[float, float, Batch]:
    """What ``read`` returns where the former steps are in place."""
    with (
        mock.patch.object(align, "apply", former_apply),
        mock.patch.object(TrackFile, "rows", former_rows),
        mock.patch.object(abaw.batches, "_pad_values", former_pad),
    ):
        return read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=int, default=30)
    add_busy(parser)
    arguments = parser.parse_args()
    made_by = commit()  # before the results are written, which change the tree
    torch.set_num_threads(1)
    times: dict[str, list[tuple[float, float]]] = {"before": [], "now": []}
    with tempfile.TemporaryDirectory() as folder, QuietMachine(busy=arguments.busy) as machine:
        source = AlignedSource(make_store(Path(folder)), {name: FeatureConfig() for name in DIMS})
        for seed in range(arguments.batches + 1):
            before = as_before(lambda seed=seed: read_batch(source, seed))
            now = read_batch(source, seed)
            for name in DIMS:
                assert torch.equal(before[2].signals[name].values, now[2].signals[name].values)
            if seed:  # the first batch reads from the disk
                times["before"].append(before[:2])
                times["now"].append(now[:2])
    medians = {way: [statistics.median(each) for each in zip(*all_, strict=True)] for way, all_ in times.items()}
    ratio = statistics.median(sum(a) / sum(b) for a, b in zip(times["before"], times["now"], strict=True))
    about = {
        "commit": made_by,
        "processor": describe_machine(),
        "load": machine.record,
        "versions": versions(),
        "batches": arguments.batches,
    }
    here = Path(__file__).resolve().parent.parent / "results" / "reading"
    write_json(here / "windows.json", {**about, "ratio": ratio, "read_s_and_collate_s": medians})
    rows = [f"| {way} | {1e3 * read:.0f} ms | {1e3 * pad:.0f} ms |" for way, (read, pad) in medians.items()]
    text = (
        f"A batch of {BATCH_SIZE} windows of {LENGTH} frames, 768 + 1,024 features, medians of {arguments.batches} "
        f"batches, commit {made_by}, {describe_machine()}, one thread, {describe_load(machine.record)}. "
        f"Before takes {ratio:.2f} times as long as now.\n\n"
        "| | read and align | collate |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )
    (here / "windows.md").write_text(text)
    PAGE.write_text(make_page(), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
