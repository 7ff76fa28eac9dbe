"""How long abaw submit and abaw verify take on a template of the size of the challenge's largest, and in what memory.

A template of 228 clips and 1,022,655 rows and prediction tables of as many frames, random but the same each time, in a
folder that goes afterwards (or stays, where it is named); both commands as processes of their own. Writes
submission.json and submission.md in results/. On a busy machine it ends with exit code 2. About a minute on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.submission [FOLDER] [--busy]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from abaw.files import write_json
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.results.runs import commit, versions
from abaw.tasks import TASKS
from benchmarks.machine.load import QuietMachine, add_busy, describe_load

ROWS, CLIPS, FPS = 1_022_655, 228, 30.0  # of EXPR's, the longest
TASK_NAMES, SEED = ("va", "expr"), 0
MOST_S, MOST_MB = 8, 500  # what is promised
# The process itself reports its peak resident size: what its parent reads of it includes the parent's own.
CHILD = """
import sys, time
from pathlib import Path
from abaw.cli import app
try:
    app(sys.argv[1:])
finally:
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(peak, "CPU:", time.process_time(), file=sys.stderr)
"""


def lengths(rng: np.random.Generator) -> np.ndarray:
    """Frames of each clip, as uneven as the challenge's: 73 at least, the longest some ten times the median."""
    shares = rng.lognormal(0, 1, CLIPS)
    frames = 73 + np.floor(shares / shares.sum() * (ROWS - 73 * CLIPS)).astype(int)
    frames[0] += ROWS - frames.sum()
    return frames


def make(folder: Path) -> None:
    """Templates with dummy values and prediction folders of both tasks."""
    rng = np.random.default_rng(SEED)
    frames = {f"{number}-30-1280x720": int(num) for number, num in enumerate(lengths(rng))}
    for name in TASK_NAMES:
        task = TASKS.build(name)
        for clip, num in frames.items():
            values = task.probabilities(rng.normal(0, 0.5, (num, task.out_dim)))
            table = Table(np.arange(1, num + 1), np.arange(num) / FPS, rng.random(num) < 0.9, values, task.columns)
            predictions.write_table(folder / name, clip, table, task)
        predictions.write_metadata(folder / name, {"task": name, "run": ["benchmark"], "label_tasks_seen": [name]})
        with (folder / f"{name}.txt").open("w", encoding="utf-8", newline="\n") as file:
            file.write(task.header + "\n")
            dummy = task.row(np.zeros(task.out_dim))
            for clip, num in frames.items():
                file.writelines(f"{clip}/{frame:05d}.jpg,{dummy}\n" for frame in range(1, num + 1))


def measure(*words: Any) -> tuple[float, float, float]:
    """Seconds by the clock and of the processor, and peak resident megabytes, of one command."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CHILD, *map(str, words)], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"abaw {words[0]} failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    report = done.stderr.split("VmHWM:")[1].split()
    return seconds, float(report[-1]), int(report[0]) / 1000


def measured(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """A row for each command and task: the median time and the greatest memory of several."""
    rows = []
    for name in TASK_NAMES:
        template, out = folder / f"{name}.txt", folder / f"{name}_out.txt"
        commands = {"submit": (folder, "--template", template, "--out", out), "verify": (out, "--template", template)}
        for command, words in commands.items():
            seconds, cpu_s, megabytes = zip(*(measure(command, *words) for _ in range(repeats)), strict=True)
            rows.append(
                {"command": command, "task": name, "seconds": seconds, "cpu_s": cpu_s, "peak_mb": max(megabytes)}
            )
    return rows


def page(rows: list[dict[str, Any]], made_by: str, load: dict[str, Any]) -> str:
    lines = [
        f"A template of {ROWS:,} rows and {CLIPS} clips, one process, commit {made_by}, {describe_load(load)}; "
        f"promised are under {MOST_S} s and under {MOST_MB} MB.\n",
        "| command | task | seconds, median (least to greatest) | of the processor | peak resident memory (MB) |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        times = sorted(row["seconds"])
        report = f"{np.median(times):.1f} ({times[0]:.1f} to {times[-1]:.1f}) | {np.median(row['cpu_s']):.1f}"
        lines.append(f"| {row['command']} | {row['task']} | {report} | {row['peak_mb']:.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where to work, and leave what was made")
    parser.add_argument("--repeats", type=int, default=3)
    add_busy(parser)
    given = parser.parse_args()
    made_by = commit()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if not (folder / f"{TASK_NAMES[-1]}.txt").exists():
            make(folder)
        with QuietMachine(busy=given.busy) as machine:
            rows = measured(folder, given.repeats)
    here = Path(__file__).resolve().parent / "results" / Path(__file__).name
    about = {"rows": ROWS, "clips": CLIPS, "seed": SEED, "repeats": given.repeats, "load": machine.record}
    write_json(here.with_suffix(".json"), {"commit": made_by, "versions": versions(), **about, "results": rows})
    here.with_suffix(".md").write_text(page(rows, made_by, machine.record))
    print(page(rows, made_by, machine.record))


if __name__ == "__main__":
    main()
