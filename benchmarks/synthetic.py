"""How well the main job recovers what the synthetic data set was made of, and what each modality gives.

For each seed, a data set and a training seed of its own: both modalities, the face alone, the voice alone; and two
controls: the labels of both splits dealt out anew, so that there is nothing to learn and any score is a leak, and those
of the training split alone, which shows how far chance and the choice of the best epoch reach on eight validation
clips. Writes synthetic.json and synthetic.md in results/. About 4 minutes a seed on 2 CPU cores; what is done
already is not done again.

    python -m benchmarks.synthetic [--seeds 101 102 103 204] [--work work/benchmark]
"""

import argparse
import shutil
import statistics
from pathlib import Path

import numpy as np

from abaw.commands.extract import extract
from abaw.commands.synth import synth
from abaw.files import write_json
from abaw.files.yaml import dump_yaml
from abaw.pipelines.training import train
from abaw.results.runs import commit, versions

CONFIG = Path(__file__).resolve().parent.parent / "abaw/configs" / "synthetic.yaml"
FACE, VOICE = "face_hog: {align: linear}", "voice_mel: {align: window_mean}"
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {  # what is given -> features, splits whose labels are shuffled
    "face and voice": (f"{{{FACE}, {VOICE}}}", ()),
    "face": (f"{{{FACE}}}", ()),
    "voice": (f"{{{VOICE}}}", ()),
    "face and voice, labels shuffled": (f"{{{FACE}, {VOICE}}}", ("Train_Set", "Validation_Set")),
    "face and voice, training labels shuffled": (f"{{{FACE}, {VOICE}}}", ("Train_Set",)),
}
COLUMNS = {
    "CCC": ("va", "CCC"),
    "valence": ("va", "CCC_valence"),
    "arousal": ("va", "CCC_arousal"),
    "F1": ("expr", "F1"),
}


def run_seed(seed: int, work: Path) -> dict[str, dict[str, float]]:
    """Scores of every variant on the validation split of the data set of this seed."""
    data, store = make_features(seed, work)
    scores = {}
    for variant, (features, shuffled) in VARIANTS.items():
        name = f"{variant.replace(', ', '-').replace(' ', '-')}-{seed}"
        given = shuffle_labels(data, shuffled, work / name, seed) if shuffled else data
        settings = [f"name={name}", f"data={given}", f"store={store}", f"features={features}", f"training.seed={seed}"]
        run = train(CONFIG, settings, runs=work / "runs").finished()["scores"]
        scores[variant] = {column: run[task][key] for column, (task, key) in COLUMNS.items()}
    return scores


def make_features(seed: int, work: Path) -> tuple[Path, Path]:
    """The data set of a seed, and the store with its features."""
    data, store = work / f"data-{seed}", work / f"store-{seed}"
    synth(data, seed=seed)
    extract(data, store, ["face_hog", "voice_mel"])
    return data, store


def shuffle_labels(data: Path, splits: tuple[str, ...], out: Path, seed: int) -> Path:
    """A data set file over ``data`` in which the rows of all clips of ``splits`` are dealt out anew, split by split."""
    rng = np.random.default_rng(seed)
    for folder in sorted(path for path in (data / "annotations").glob("*/*") if path.is_dir()):
        target = out / folder.relative_to(data / "annotations")
        shutil.copytree(folder, target, dirs_exist_ok=True)
        if folder.name in splits:
            texts = {path.name: path.read_text().splitlines() for path in sorted(folder.glob("*.txt"))}
            rows = iter(rng.permutation([row for text in texts.values() for row in text[1:]]).tolist())
            for name, text in texts.items():
                (target / name).write_text("\n".join([text[0], *(next(rows) for _ in text[1:])]) + "\n")
    layout = out.with_suffix(".yaml")
    layout.write_text(dump_yaml({"root": str(data.resolve()), "annotations": str(out.resolve())}))
    return layout


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Mean over the seeds, with the least and the greatest."""
    lines = [f"| given | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for variant in VARIANTS:
        cells = []
        for column in COLUMNS:
            values = [seed[variant][column] for seed in results.values()]
            cells.append(f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 204])
    parser.add_argument("--work", type=Path, default=Path("work/benchmark"))
    arguments = parser.parse_args()
    made_by = commit()  # before the results are written, which change the tree
    results = {str(seed): run_seed(seed, arguments.work) for seed in arguments.seeds}
    here = Path(__file__).resolve().parent / "results"
    write_json(
        here / "synthetic.json", {"commit": commit(), "versions": versions(), "split": "validation", "seeds": results}
    )
    text = (
        f"Validation split of the synthetic data set, abaw/configs/synthetic.yaml, commit {made_by}: mean (least to "
        f"greatest) over the data and training seeds {', '.join(results)}.\n\n{table(results)}\n"
    )
    (here / "synthetic.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
