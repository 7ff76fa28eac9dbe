"""What training costs: memory as the store grows, time with one process and with two, and verifying the store.

A model is trained for a few batches on stores of 1 and 20 GB while two workers read (20 GB of four features are about
the 2.7 million frames of Aff-Wild2). The files are sparse and take almost no disk space. The parent sums the anonymous
memory of the whole process tree from /proc, five times a second. Features are normalised by a learned layer, because
measuring their statistics would read every byte. Then the same windows are trained by one process and by two that share
every batch (gloo): on a busy machine this part ends with exit code 2; memory does not depend on the load. Writes
training.json and training.md to results/, and docs/measurements/speed.md; takes a few minutes on 2 CPU cores.

    python -m benchmarks.training [--parts memory processes] [--work work/benchmark-training] [--busy]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from abaw.configs.sections import Config, FeatureConfig
from abaw.dataset.annotations import Labels
from abaw.files import read_json, write_json
from abaw.results.runs import commit, versions
from abaw.tasks import TASKS
from abaw.tracks import Clock
from benchmarks.machine.load import QuietMachine, add_busy, describe_load, describe_machine, process_tree
from benchmarks.speed_page import PAGE, make_page
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from extract.store.tensor_file import TensorFile, pack_header

NAMES, DIM, NUM_FRAMES, FPS = ("face", "scene", "voice", "words"), 1024, 4096, 25.0
GB, SIZES_GB = 1_000_000_000, (1, 20)
FRAME_BYTES = len(NAMES) * DIM * 2  # half precision
NUM_HELD_OUT, NUM_BATCHES, NUM_REPEATS = 4, 60, 3


def make_store(root: Path, num_bytes: int) -> None:
    """Write clips whose features have ``num_bytes`` in total, as sparse files that take almost no disk space."""
    store, times_s = FeatureStore(root), np.arange(NUM_FRAMES) / FPS
    for name in NAMES:
        folder = store.folder(recipe(name))
        folder.mkdir(parents=True)
        write_json(folder / "recipe.json", recipe(name))
    for number in range(max(2 * NUM_HELD_OUT, num_bytes // (FRAME_BYTES * NUM_FRAMES))):
        clip_id = f"clip-{number:05}"
        store.put_clock(clip_id, Clock(np.arange(1, NUM_FRAMES + 1), times_s, np.ones(NUM_FRAMES, bool)), {})
        for name in NAMES:
            write_sparse(store.track_path(recipe(name), clip_id), times_s)


def recipe(name: str) -> dict:
    return {"name": name, "encoder": "nothing", "settings": {}}


def write_sparse(path: Path, times_s: np.ndarray) -> None:
    """Write a track in the store's format as a sparse file: only the times and flags take disk space."""
    num = len(times_s)
    stops = np.cumsum([8 * num, 2 * DIM * num, num]).tolist()
    header = {
        "times_s": {"dtype": "F64", "shape": [num], "data_offsets": [0, stops[0]]},
        "values": {"dtype": "F16", "shape": [num, DIM], "data_offsets": [stops[0], stops[1]]},
        "observed": {"dtype": "BOOL", "shape": [num], "data_offsets": [stops[1], stops[2]]},
    }
    packed = pack_header(header)
    with path.open("wb") as file:
        file.write(packed + times_s.astype("<f8").tobytes())
        file.seek(len(packed) + stops[1])
        file.write(b"\x01" * num)


def train_child(root: Path, folder: Path, settings: dict) -> None:
    """Train on a store in this process and print the duration of each epoch's training steps in seconds."""
    from fusion.module import FusionModule
    from fusion.train import is_first_process, train

    source = AlignedSource(FeatureStore(root), {name: FeatureConfig() for name in NAMES})
    clips = sorted(path.stem for path in (root / "clock").iterdir())
    rng = np.random.default_rng(0)
    scored = np.ones(NUM_FRAMES, bool)
    va, expr = (
        {clip: Labels(draw().astype(np.float32), scored) for clip in clips}
        for draw in (lambda: rng.uniform(-1, 1, (NUM_FRAMES, 2)), lambda: rng.integers(0, 8, (NUM_FRAMES, 1)))
    )
    split = {"validation": clips[:NUM_HELD_OUT], "train": clips[NUM_HELD_OUT:]}
    labels = {
        key: {"va": {clip: va[clip] for clip in of}, "expr": {clip: expr[clip] for clip in of}}
        for key, of in split.items()
    }
    begun, seconds = [], []
    start = FusionModule.on_train_epoch_start
    FusionModule.on_train_epoch_start = lambda self: (start(self), begun.append(time.perf_counter()))[0]
    FusionModule.on_validation_start = lambda _: seconds.append(time.perf_counter() - begun[-1])
    tasks = {name: TASKS.build(name) for name in ("va", "expr")}
    train(make_config(settings), tasks, labels, source, folder)
    if is_first_process():
        print(json.dumps({"seconds": seconds}))


def make_config(settings: dict) -> Config:
    return Config.model_validate(
        {
            "name": "benchmark",
            "data": "none",
            "store": "none",
            "tasks": {"va": {}, "expr": {}},
            "features": {name: {"normalise": "learned"} for name in NAMES},
            "model": {"name": "bigru", "hidden_dim": 64},
            "window": {"length": 300, "stride": 200},
            **settings,
        }
    )


def run_child(root: Path, settings: dict) -> dict:
    """What the child process printed, and the peak memory of its process tree in MB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.training", "--child", str(root), folder, json.dumps(settings)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        peaks = {"Anonymous": 0.0, "Pss_Anon": 0.0}
        while child.poll() is None:
            for kind, value in memory_mb(child.pid).items():
                peaks[kind] = max(peaks[kind], value)
            time.sleep(0.2)
    assert child.stdout is not None
    if child.returncode:
        raise RuntimeError(f"training failed with exit code {child.returncode}: see above")
    return {**json.loads(child.stdout.read().splitlines()[-1]), "peak_mb": peaks}


def memory_mb(pid: int) -> dict[str, float]:
    """Anonymous memory of a process tree in MB: shared pages counted in every process, and counted once."""
    sums = {"Anonymous": 0, "Pss_Anon": 0}
    for each in process_tree(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):  # the process has ended
            continue
        found = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
        sums = {kind: value + found.get(kind, 0) for kind, value in sums.items()}
    return {kind: value / 1000 for kind, value in sums.items()}


def measure_memory(work: Path) -> dict[str, dict[str, float]]:
    """Peak memory in MB for each size of the store."""
    settings = {
        "training": {"num_workers": 2},
        "trainer": {"max_epochs": 1, "limit_train_batches": NUM_BATCHES, "accelerator": "cpu"},
    }
    peaks = {}
    for size in SIZES_GB:
        root = work / f"store-{size}"
        make_store(root, size * GB)
        peaks[str(size)] = {kind: round(value) for kind, value in run_child(root, settings)["peak_mb"].items()}
        shutil.rmtree(root)
        print(f"{size} GB: {peaks[str(size)]}", file=sys.stderr)
    return peaks


def measure_processes(root: Path) -> dict[str, list[float]]:
    """Seconds for the same windows with one and two processes; the first epoch of each run is a warm-up."""
    seconds: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(NUM_REPEATS):
        for num in (1, 2):
            trainer = {"max_epochs": 2, "limit_train_batches": NUM_BATCHES, "accelerator": "cpu", "devices": num}
            trainer |= {"strategy": "ddp"} if num > 1 else {}
            settings = {"training": {"batch_size": 16 // num}, "trainer": trainer}
            seconds[str(num)].append(round(run_child(root, settings)["seconds"][-1], 2))
    return seconds


def measure_verification(root: Path) -> list[float]:
    """Seconds of CPU time for the checksums of all tracks, which a training compares once, when it opens them."""
    files = [TensorFile(path) for path in root.glob("*/*.safetensors")]
    seconds = []
    for _ in range(NUM_REPEATS):
        begun_s = time.process_time()
        for file in files:
            file.body_sha256()
        seconds.append(round(time.process_time() - begun_s, 2))
    return seconds


def report(results: dict) -> str:
    """The text of training.md: a table of the memory, and a paragraph on time."""
    lines = []
    if memory := results.get("memory"):
        small, large = (memory["memory_mb"][str(size)] for size in SIZES_GB)
        kinds = {"Anonymous": "each process's added up", "Pss_Anon": "pages that processes share counted once"}
        lines += [
            f"Memory: commit {memory['commit']}, {memory['machine']}.",
            "",
            f"| peak anonymous memory, training with two workers | {SIZES_GB[0]} GB store | {SIZES_GB[1]} GB store | "
            "growth |",
            "|---|---|---|---|",
            *(
                f"| {words} | {small[kind]:.0f} MB | {large[kind]:.0f} MB | {large[kind] - small[kind]:+.0f} MB |"
                for kind, words in kinds.items()
            ),
            "",
        ]
    if found := results.get("processes"):
        seconds, verification_s = found["seconds"], statistics.median(found["verification_s"])
        one, two = (statistics.median(seconds[num]) for num in ("1", "2"))
        lines += [
            f"Time: commit {found['commit']}, {found['machine']}, {describe_load(found.get('load'))}.",
            "",
            f"{NUM_BATCHES} batches of 16 windows of 300 steps, {len(NAMES)} features of {DIM}, one thread a process: "
            f"two processes with 8 windows each take {two / one:.2f} of the time of one with 16 (medians of "
            f"{NUM_REPEATS}; one: {_span(seconds['1'])} s, two: {_span(seconds['2'])} s).",
            "",
            f"Verifying the checksums of the {SIZES_GB[0]} GB store, once in a training, takes {verification_s:.2f} s "
            f"of CPU time: {verification_s / one:.1%} of that epoch of one process.",
            "",
        ]
    return "\n".join(lines)


def _span(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


def measure_memory_part(work: Path, _busy: bool) -> dict:
    return {"memory_mb": measure_memory(work)}


def measure_processes_part(work: Path, busy: bool) -> dict:
    root = work / f"store-{SIZES_GB[0]}"
    with QuietMachine(busy=busy) as machine:
        make_store(root, SIZES_GB[0] * GB)
        found = {"seconds": measure_processes(root), "verification_s": measure_verification(root)}
    return {"load": machine.record, **found}


PARTS = {"memory": measure_memory_part, "processes": measure_processes_part}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--work", type=Path, default=Path("work/benchmark-training"))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    add_busy(parser)
    arguments = parser.parse_args()
    if arguments.child:
        train_child(*map(Path, arguments.child[:2]), json.loads(arguments.child[2]))
        return
    about = {"commit": commit(), "versions": versions(), "machine": describe_machine()}
    here = Path(__file__).resolve().parent / "results"
    results = read_json(here / "training.json") if (here / "training.json").exists() else {}
    for part in arguments.parts:
        shutil.rmtree(arguments.work, ignore_errors=True)
        try:
            results[part] = {**about, **PARTS[part](arguments.work, arguments.busy)}
        finally:
            shutil.rmtree(arguments.work, ignore_errors=True)
        write_json(here / "training.json", results)
        (here / "training.md").write_text(report(results))
        PAGE.write_text(make_page(), encoding="utf-8")
    print(report(results))


if __name__ == "__main__":
    main()
