"""Compare two encoders: train the same model on the features of each, then test which one is better.

    python examples/compare_encoders.py
    python examples/compare_encoders.py --data DATA --encoders clip_vit_l14 dinov2_l --device cuda --epochs 20

Without --data it makes the synthetic data set. Only the encoder differs between the two runs: task, model, settings and
seed are the same. With --seeds 0 1 2 each encoder is trained several times and the members are averaged, because a
difference smaller than that between two seeds means nothing.
"""

import argparse
from pathlib import Path

import abaw


def main() -> None:
    """Extract, train, predict and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a data set; default: a small synthetic one is made")
    parser.add_argument("--encoders", nargs=2, default=["face_hog", "voice_mel"], metavar=("FIRST", "SECOND"))
    parser.add_argument("--work", type=Path, default=Path("work/compare"), help="folder for everything that is made")
    parser.add_argument("--clips", type=int, default=14, help="clips of the synthetic data set")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()

    data = given.data or abaw.synthesize(given.work / "data", clips=given.clips, seconds=3.0)
    store = given.work / "store"
    print(abaw.extract(data, store, given.encoders, device=given.device))

    folders = []
    for encoder in given.encoders:
        name = encoder.partition(":")[0]
        runs = []
        for seed in given.seeds:
            settings = {
                "name": f"{name}-seed{seed}",
                "data": str(data),
                "store": str(store),
                "tasks": {"va": {"mse_weight": 5.0}},
                "features": {name: {"align": "linear"}},
                "window": {"length": 50, "stride": 25},
                "training.seed": seed,
                "trainer.max_epochs": given.epochs,
            }
            runs.append(abaw.train("synthetic", settings, runs=given.work / "runs").folder)
        folders.append(given.work / "validation" / name)
        abaw.predict(runs, folders[-1], split="validation", device=given.device)

    print(abaw.score(folders))


if __name__ == "__main__":
    main()
