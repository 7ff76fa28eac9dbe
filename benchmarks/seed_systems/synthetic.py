"""What each fusion part of the seed systems gains or loses on the synthetic data set, against the main job's model.

For each seed a data set and a training seed of its own: the main job's bidirectional GRU, and the same training with
the part in its place, added to it or before it. Differences are to the GRU of the same seed. Writes synthetic.json in
results/seed_systems; trainings that are there already are not done again. About 10 minutes a seed on 2 CPU cores.

    python -m benchmarks.seed_systems.synthetic [--seeds 101 102 103] [--work work/seed_systems]
"""

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path

from abaw.pipelines.training import train
from benchmarks.seed_systems.rows import Claim, Section, write_section
from benchmarks.synthetic import COLUMNS, CONFIG, FACE, VOICE, make_features

GRU = "bidirectional GRU (main job)"
SIZES = "hidden_dim: 64, dropout: 0.3"
VARIANTS: Mapping[str, tuple[str, ...]] = {
    GRU: (),
    "frequency_attention": (f"model={{name: frequency_attention, {SIZES}}}",),
    "GRU, then frequency attention": ("hidden.frequency_attention=dot",),
    "GRU, then dense gating": ("hidden.gating=true",),
    "GRU, co-trained isotonic calibration": ("tasks.expr.calibration=isotonic",),
    "residual_dcn": (f"model={{name: residual_dcn, {SIZES}, cross_dim: 64, rank: 8}}",),
    "limaml, not adapted": ("model={name: limaml, inner: bigru, hidden_dim: 64, num_layers: 1, dropout: 0.3}",),
    "multitask_contrastive": ("model={name: multitask_contrastive, hidden_dim: 64}",),
}
Scores = dict[str, float]


def run_seed(seed: int, work: Path) -> dict[str, Scores]:
    """Scores of every variant on the validation split of this seed's data set."""
    data, store = make_features(seed, work)
    scores = {}
    for number, (variant, overrides) in enumerate(VARIANTS.items()):
        name = f"{number}-{seed}"
        given = [f"name={name}", f"data={data}", f"store={store}", f"features={{{FACE}, {VOICE}}}"]
        run = train(CONFIG, [*given, f"training.seed={seed}", *overrides], runs=work / "runs")
        found = run.finished()["scores"]
        scores[variant] = {column: found[task][key] for column, (task, key) in COLUMNS.items()}
    return scores


def compare(results: Mapping[int, Mapping[str, Scores]]) -> list[Claim]:
    """One line a variant: mean CCC and F1, and the differences to the GRU seed by seed."""
    found = []
    for variant in VARIANTS:
        cells = []
        for column in ("CCC", "F1"):
            values = [scores[variant][column] for scores in results.values()]
            text = f"{column} {statistics.mean(values):.3f}"
            if variant != GRU:
                apart = [scores[variant][column] - scores[GRU][column] for scores in results.values()]
                text += f" ({', '.join(f'{each:+.3f}' for each in apart)})"
            cells.append(text)
        found.append(Claim(variant, "", "; ".join(cells), "", None))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--work", type=Path, default=Path("work/seed_systems"))
    arguments = parser.parse_args()
    results = {seed: run_seed(seed, arguments.work) for seed in arguments.seeds}
    text = (
        "Validation split of the synthetic data set, the settings of `abaw/configs/synthetic.yaml`: the mean over the "
        "seeds, each a data set and a training of its own, and in brackets the difference to the main job's model of "
        "each seed. Each seed has eight validation clips, so small differences say little. Nothing here is tuned, and "
        "the settings are those that suit the main job's model. `limaml` is not adapted here, and "
        "`multitask_contrastive` reads single steps."
    )
    found = compare(results)
    write_section("synthetic", Section("On the synthetic data set", text, found), arguments.seeds)
    for each in found:
        print(f"{each.says}: {each.ours}")


if __name__ == "__main__":
    main()
