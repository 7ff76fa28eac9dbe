"""How well the main job recovers what the synthetic data set was made of, with what each modality gives.

For each seed: a data set and a training seed of its own; both modalities, the face alone, the voice alone, and both
with the labels of the training split dealt out anew. Writes synthetic.json and synthetic.md beside this file. About
4 minutes a seed on 2 CPU cores; what is done already is not done again.

    python benchmarks/synthetic.py [--seeds 101 102 103] [--work work/benchmark]
"""

import argparse
import shutil
import statistics
from pathlib import Path

import numpy as np
import yaml

from abaw.files import write_json
from abaw.runs import commit, versions
from abaw.verbs.extract import extract
from abaw.verbs.synth import synth
from abaw.verbs.train import train_run

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "synthetic.yaml"
FACE, VOICE = "face_hog: {align: linear}", "voice_mel: {align: window_mean}"
VARIANTS = {  # what is given -> features, whether the labels are shuffled
    "face and voice": (f"{{{FACE}, {VOICE}}}", False),
    "face": (f"{{{FACE}}}", False),
    "voice": (f"{{{VOICE}}}", False),
    "face and voice, labels shuffled": (f"{{{FACE}, {VOICE}}}", True),
}
COLUMNS = {
    "CCC": ("va", "CCC"),
    "valence": ("va", "CCC_valence"),
    "arousal": ("va", "CCC_arousal"),
    "F1": ("expr", "F1"),
}


def run_seed(seed: int, work: Path) -> dict[str, dict[str, float]]:
    """Scores of every variant on the validation split of the data set of this seed."""
    data, store = work / f"data-{seed}", work / f"store-{seed}"
    synth(data, seed=seed)
    extract(data, store, ["face_hog", "voice_mel"])
    shuffled = shuffle_labels(data, work / f"shuffled-{seed}", seed)
    scores = {}
    for variant, (features, is_shuffled) in VARIANTS.items():
        name = f"{variant.replace(', ', '-').replace(' ', '-')}-{seed}"
        settings = [f"name={name}", f"data={shuffled if is_shuffled else data}", f"store={store}"]
        settings += [f"features={features}", f"training.seed={seed}"]
        run = train_run(CONFIG, settings, work / "runs").finished()["scores"]
        scores[variant] = {column: run[task][key] for column, (task, key) in COLUMNS.items()}
    return scores


def shuffle_labels(data: Path, out: Path, seed: int) -> Path:
    """A data set file over ``data`` whose training rows are dealt out anew over all clips; validation keeps its own."""
    rng = np.random.default_rng(seed)
    for challenge in sorted(path for path in (data / "annotations").iterdir() if path.is_dir()):
        shutil.copytree(challenge / "Validation_Set", out / challenge.name / "Validation_Set", dirs_exist_ok=True)
        texts = {path.name: path.read_text().splitlines() for path in sorted((challenge / "Train_Set").glob("*.txt"))}
        rows = iter(rng.permutation([row for text in texts.values() for row in text[1:]]).tolist())
        for name, text in texts.items():
            target = out / challenge.name / "Train_Set" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("\n".join([text[0], *(next(rows) for _ in text[1:])]) + "\n")
    layout = out.with_suffix(".yaml")
    layout.write_text(yaml.safe_dump({"root": str(data.resolve()), "annotations": str(out.resolve())}))
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--work", type=Path, default=Path("work/benchmark"))
    arguments = parser.parse_args()
    results = {str(seed): run_seed(seed, arguments.work) for seed in arguments.seeds}
    here = Path(__file__).resolve().parent
    write_json(
        here / "synthetic.json", {"commit": commit(), "versions": versions(), "split": "validation", "seeds": results}
    )
    text = (
        f"Validation split of the synthetic data set, configs/synthetic.yaml, commit {commit()}: mean (least to "
        f"greatest) over the data and training seeds {', '.join(results)}.\n\n{table(results)}\n"
    )
    (here / "synthetic.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
