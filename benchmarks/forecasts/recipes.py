"""How well a recipe's dry run predicts the time that the recipe then takes, on the synthetic set.

Two recipes on data sets of three sizes, each with a seed of its own, which nothing was tuned on: "short" trains one
model on two folds, "members" three models on four folds with weights. The dry run and the recipe are processes of their
own, one after the other, and start with nothing done. A forecast holds where the measured time is within a factor of
two of its single figure. Where other processes took more than a tenth of the processor's cores meanwhile, the row says
so, and its ratio means little: a dry run measures the machine as it is then. Writes recipes.json and recipes.md in
results/forecasts. About 10 minutes on 2 idle CPU cores.

    OMP_NUM_THREADS=1 python -m benchmarks.forecasts.recipes [--sizes 16x8 24x10 36x12] [--recipes short members]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from abaw.commands.synth import synth
from abaw.files import write_json
from abaw.results.runs import commit, versions
from benchmarks.extract import describe_machine

FIRST_SEED, MAX_OTHERS, FACTOR = 811, 0.1, 2.0
COMMON = ["encoders=[face_hog,voice_mel]", "trainer.max_epochs=12", "training.patience_epochs=5"]
RECIPES = {
    "short": [*COMMON, "folds.num=2"],
    "members": [
        *COMMON,
        "folds.num=4",
        "ensemble=weighted",
        "members={gru: {}, tcn: {model: {name: tcn}}, attention: {model: {name: attention, hidden_dim: 64}}}",
    ],
}
PLAN = """
import json, sys
from abaw.competition.recipe import plan_recipe
found = plan_recipe("synthetic", sys.argv[2:], data=sys.argv[1], faces="haar", measure=True).forecast
parts = {part.name: part.likely_s for part in found.parts}
print(json.dumps({"min_s": found.min_s, "likely_s": found.likely_s, "max_s": found.max_s,
                  "parts": parts, "unknown": list(found.unknown)}))
"""


@dataclass(frozen=True)
class Row:
    """A recipe on a data set: what its dry run said, and what it took. ``others``: share of all cores' time that other
    processes took during the dry run and during the recipe, the larger one."""

    recipe: str
    clips: int
    seconds: float
    seed: int
    min_s: float
    likely_s: float
    max_s: float
    measured_s: float
    dry_run_s: float
    others: float
    parts: dict[str, float]

    @property
    def ratio(self) -> float:
        """Measured over forecast."""
        return self.measured_s / self.likely_s

    @property
    def is_quiet(self) -> bool:
        """Whether other processes left the cores alone."""
        return self.others <= MAX_OTHERS


def measure(*command: str, folder: Path) -> tuple[str, float, float]:
    """What a process printed, its seconds, and the share of all cores' time that other processes took meanwhile."""
    busy_s, own_s, start_s = _busy_s(), _children_s(), time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
    took_s = time.perf_counter() - start_s
    if done.returncode:
        raise RuntimeError(f"{command[:3]} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    others_s = _busy_s() - busy_s - (_children_s() - own_s)
    return done.stdout, took_s, max(0.0, others_s) / took_s / (os.cpu_count() or 1)


def _busy_s() -> float:
    """The seconds that all cores together have worked since the machine started; Linux only."""
    user, nice, system, _idle, _wait, *more = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return (user + nice + system + sum(more[:3])) / os.sysconf("SC_CLK_TCK")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_case(recipe: str, data: Path, clips: int, seconds: float, seed: int) -> Row:
    """The dry run and then the recipe, in a folder of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder, settings = Path(name), [*RECIPES[recipe], "store=store", "name=forecast"]
        said, dry_run_s, before = measure("-c", PLAN, str(data), *settings, folder=folder)
        words = ["-m", "abaw", "recipe", "synthetic", *settings, "--data", str(data), "--faces", "haar"]
        _, measured_s, during = measure(*words, folder=folder)
    found = json.loads(said.splitlines()[-1])
    if unknown := found.pop("unknown"):
        raise RuntimeError(f"not measured: {unknown}")
    others = max(before, during)
    return Row(recipe, clips, seconds, seed, measured_s=measured_s, dry_run_s=dry_run_s, others=others, **found)


def page(rows: list[Row], made_by: str) -> str:
    """The table, and what it shows."""
    quiet = [row for row in rows if row.is_quiet]
    held = sum(1 / FACTOR <= row.ratio <= FACTOR for row in quiet)
    inside = sum(row.min_s <= row.measured_s <= row.max_s for row in quiet)
    lines = [
        f"Dry run and then the recipe itself, commit {made_by}, {describe_machine()}. Within a factor of {FACTOR:g}: "
        f"{held} of {len(quiet)} rows that were measured while other processes took at most {MAX_OTHERS:.0%} of the "
        f"cores; inside the range: {inside}. {len(rows) - len(quiet)} rows were measured under load.",
        "",
        "| recipe | clips | seed | forecast (range) | measured | measured / forecast | dry run | other processes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        load = f"{row.others:.0%}" + ("" if row.is_quiet else ", under load")
        lines.append(
            f"| {row.recipe} | {row.clips} of {row.seconds:g} s | {row.seed} | {row.likely_s:.0f} s "
            f"({row.min_s:.0f} to {row.max_s:.0f}) | {row.measured_s:.0f} s | {row.ratio:.2f} | {row.dry_run_s:.0f} s "
            f"| {load} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=["16x8", "24x10", "36x12"], help="clips x seconds")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "results" / "forecasts")
    given = parser.parse_args()
    made_by, rows = commit(), list[Row]()  # before the results are written, which change the tree
    for number, size in enumerate(given.sizes):
        clips, seconds, seed = int(size.split("x")[0]), float(size.split("x")[1]), FIRST_SEED + number
        with tempfile.TemporaryDirectory() as name:
            data = Path(name) / "data"
            synth(data, clips=clips, seconds=seconds, seed=seed)
            for recipe in given.recipes:
                rows.append(run_case(recipe, data, clips, seconds, seed))
                print(rows[-1], f"ratio {rows[-1].ratio:.2f}", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {"commit": made_by, "machine": describe_machine(), "versions": versions()}
    results = [{**asdict(row), "ratio": row.ratio, "under_load": not row.is_quiet} for row in rows]
    write_json(given.out / "recipes.json", {**about, "load_average": os.getloadavg(), "results": results})
    (given.out / "recipes.md").write_text(page(rows, made_by), encoding="utf-8")
    print(page(rows, made_by))


if __name__ == "__main__":
    main()
