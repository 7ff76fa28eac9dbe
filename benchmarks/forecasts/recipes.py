"""How well a recipe's dry run predicts the time that the recipe then takes, on the synthetic set.

Two recipes on data sets of three sizes, each with a seed of its own, which nothing was tuned on: "short" trains one
model on two folds, "members" three models on four folds with weights. The dry run and the recipe are processes of their
own, one after the other, and start with nothing done. A forecast holds where the measured time is within a factor of
two of its single figure. On a busy machine a ratio means little: a dry run measures the machine as it is then. Writes
recipes.json and recipes.md in results/forecasts. About 10 minutes on 2 idle CPU cores.

    OMP_NUM_THREADS=1 python -m benchmarks.forecasts.recipes [--sizes 16x8 24x10 36x12] [--busy]
"""

import argparse
import json
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
from benchmarks.machine.load import QuietMachine, Usage, add_busy, describe_load, describe_machine

FIRST_SEED, FACTOR = 811, 2.0
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
    """A recipe on a data set: what its dry run said, and what it took. ``others``: the cores that others used."""

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


def measure(*command: str, folder: Path) -> tuple[str, float]:
    """What a process printed, and its seconds."""
    start_s = time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
    took_s = time.perf_counter() - start_s
    if done.returncode:
        raise RuntimeError(f"{command[:3]} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout, took_s


def run_case(recipe: str, data: Path, clips: int, seconds: float, seed: int) -> Row:
    """The dry run and then the recipe, in a folder of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder, settings = Path(name), [*RECIPES[recipe], "store=store", "name=forecast"]
        before = Usage.now()
        said, dry_run_s = measure("-c", PLAN, str(data), *settings, folder=folder)
        words = ["-m", "abaw", "recipe", "synthetic", *settings, "--data", str(data), "--faces", "haar"]
        _, measured_s = measure(*words, folder=folder)
        others = Usage.now().others_since(before)
    found = json.loads(said.splitlines()[-1])
    if unknown := found.pop("unknown"):
        raise RuntimeError(f"not measured: {unknown}")
    return Row(recipe, clips, seconds, seed, measured_s=measured_s, dry_run_s=dry_run_s, others=others, **found)


def page(rows: list[Row], made_by: str, load: dict[str, Any]) -> str:
    """The table, and what it shows."""
    held = sum(1 / FACTOR <= row.ratio <= FACTOR for row in rows)
    inside = sum(row.min_s <= row.measured_s <= row.max_s for row in rows)
    lines = [
        f"Dry run and then the recipe itself, commit {made_by}, {describe_machine()}, {describe_load(load)}. Within a "
        f"factor of {FACTOR:g}: {held} of {len(rows)}; inside the range: {inside} of {len(rows)}.",
        "",
        "| recipe | clips | seed | forecast (range) | measured | measured / forecast | dry run | used by others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.recipe} | {row.clips} of {row.seconds:g} s | {row.seed} | {row.likely_s:.0f} s "
            f"({row.min_s:.0f} to {row.max_s:.0f}) | {row.measured_s:.0f} s | {row.ratio:.2f} | {row.dry_run_s:.0f} s "
            f"| {row.others:.2f} cores |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=["16x8", "24x10", "36x12"], help="clips x seconds")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "results" / "forecasts")
    add_busy(parser)
    given = parser.parse_args()
    made_by, rows = commit(), list[Row]()  # before the results are written, which change the tree
    with QuietMachine(busy=given.busy) as machine:
        for number, size in enumerate(given.sizes):
            clips, seconds, seed = int(size.split("x")[0]), float(size.split("x")[1]), FIRST_SEED + number
            with tempfile.TemporaryDirectory() as name:
                data = Path(name) / "data"
                synth(data, clips=clips, seconds=seconds, seed=seed)
                rows += [run_case(recipe, data, clips, seconds, seed) for recipe in given.recipes]
    given.out.mkdir(parents=True, exist_ok=True)
    about = {"commit": made_by, "machine": describe_machine(), "versions": versions(), "load": machine.record}
    results = [{**asdict(row), "ratio": row.ratio} for row in rows]
    write_json(given.out / "recipes.json", {**about, "results": results})
    text = page(rows, made_by, machine.record)
    (given.out / "recipes.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
