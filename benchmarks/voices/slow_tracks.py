"""What alignment makes of a voice track with 4 rows a second on a video with 30 frames a second.

For each seed, a synthetic data set and a training seed of its own. The voice alone: every 25th row of voice_mel, 4 a
second, and all of its rows, 100 a second, each aligned in several ways. Arousal follows the voice in this data set.
Writes slow_tracks.json and slow_tracks.md in results/voices/. About 3 minutes a seed on 2 CPU cores; what is
done already is not done again.

    python -m benchmarks.voices.slow_tracks [--seeds 101 102 103] [--work work/benchmark]
"""

import argparse
import statistics
from pathlib import Path

from abaw.commands.extract import extract
from abaw.commands.synth import synth
from abaw.files import write_json
from abaw.pipelines.training import train
from abaw.results.runs import commit, versions
from abaw.tracks import Track
from benchmarks.extract import describe_machine
from benchmarks.synthetic import CONFIG
from extract.store.store import FeatureStore

EVERY, FAST, SLOW = 25, "voice_mel", "voice_4hz"
WAYS = {  # what is trained on -> features
    "4 rows a second, linear": f"{{{SLOW}: {{align: linear}}}}",
    "4 rows a second, window_mean": f"{{{SLOW}: {{align: window_mean}}}}",
    "4 rows a second, only frames beside a row": f"{{{SLOW}: {{align: nearest, max_gap_s: 0.0166}}}}",
    "100 rows a second, window_mean": f"{{{FAST}: {{align: window_mean}}}}",
    "100 rows a second, window_mean over 1 s": f"{{{FAST}: {{align: window_mean, width_s: 1.0}}}}",
}
BEFORE = "4 rows a second, only frames beside a row"


def thin(store: Path, every: int = EVERY) -> None:
    """Put every ``every``-th row of each clip's voice track into the store as a track of its own."""
    opened = FeatureStore(store)
    recipe = opened.find(FAST)
    thinned = {**recipe, "name": SLOW, "settings": {**recipe["settings"], "every": every}}
    for path in opened.folder(recipe).glob("*.safetensors"):
        if opened.has(thinned, path.stem):
            continue
        file = opened.open(recipe, path.stem)
        track = Track(file.rows(0, len(file.times_s))[::every], file.times_s[::every], file.observed[::every])
        opened.put(thinned, path.stem, track, {"source": file.metadata["source"]})


def run_seed(seed: int, work: Path) -> dict[str, dict[str, float]]:
    """CCC of arousal of every way, on the validation split of this seed."""
    data, store = work / f"data-{seed}", work / f"store-{seed}"
    synth(data, seed=seed)
    extract(data, store, [FAST])
    thin(store)
    found = {}
    for number, (way, features) in enumerate(WAYS.items()):
        settings = [f"name=slow-{number}-{seed}", f"data={data}", f"store={store}", f"features={features}"]
        run = train(CONFIG, [*settings, f"training.seed={seed}"], runs=work / "runs")
        found[way] = {"arousal": run.finished()["scores"]["va"]["CCC_arousal"]}
    return found


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Mean over the seeds, with the least and the greatest, and the mean difference to linear."""
    lines = ["| voice track and alignment | CCC of arousal | difference to linear |", "|---|---|---|"]
    first = next(iter(WAYS))
    for way in WAYS:
        values = [seed[way]["arousal"] for seed in results.values()]
        gains = [seed[way]["arousal"] - seed[first]["arousal"] for seed in results.values()]
        ends = f" ({min(gains):+.3f} to {max(gains):+.3f})"
        cells = f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
        lines.append(f"| {way} | {cells} | {'' if way == first else f'{statistics.mean(gains):+.3f}{ends}'} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--work", type=Path, default=Path("work/benchmark"))
    arguments = parser.parse_args()
    made_by = commit()  # before the results are written, which change the tree
    results = {str(seed): run_seed(seed, arguments.work) for seed in arguments.seeds}
    here = Path(__file__).resolve().parent.parent / "results" / "voices"
    about = {"commit": made_by, "processor": describe_machine(), "versions": versions(), "split": "validation"}
    write_json(here / "slow_tracks.json", {**about, "seeds": results})
    text = (
        f"Validation split of the synthetic data set, voice alone, abaw/configs/synthetic.yaml, commit {made_by}, "
        f"{describe_machine()}: mean (least to greatest) over the data and training seeds {', '.join(results)}. "
        f'"{BEFORE[17:]}" is what window_mean did with such a track before: 13 % of the frames had features.\n\n'
        f"{table(results)}\n"
    )
    (here / "slow_tracks.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
