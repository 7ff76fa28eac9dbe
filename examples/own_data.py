"""Train on your own videos and labels, then predict a video.

    python examples/own_data.py --videos my/videos --labels my/labels
    python examples/own_data.py                                          # with synthetic videos and labels

LABELS has <video>.csv for every video, with the columns time_s, valence and arousal: one row for each rating, at any
rate. The ratings are interpolated at the frame timestamps of the video. A frame without ratings on both sides within
MAX_GAP_S is marked as unlabelled. Every third video is held out for validation.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

import abaw

MAX_GAP_S = 0.5
COLUMNS = ("time_s", "valence", "arousal")
UNLABELLED = "-5,-5"


def label_rows(ratings: Path, times_s: np.ndarray) -> list[str]:
    """One line for each frame, ``valence,arousal`` as in Aff-Wild2's label files."""
    with ratings.open(encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise SystemExit(f"{ratings}: the columns are {reader.fieldnames}, expected {', '.join(COLUMNS)}")
        rows = [[float(row[key]) for key in COLUMNS] for row in reader]
    if not rows:
        raise SystemExit(f"{ratings}: no ratings, expected at least one row; remove the file to leave the video out")
    rated_s, valence, arousal = np.array(sorted(rows)).T
    after = np.searchsorted(rated_s, times_s).clip(1, len(rated_s) - 1)
    near = np.maximum(np.abs(times_s - rated_s[after - 1]), np.abs(times_s - rated_s[after])) <= MAX_GAP_S
    values = [np.interp(times_s, rated_s, column).clip(-1, 1) for column in (valence, arousal)]
    return [f"{v:.4f},{a:.4f}" if good else UNLABELLED for v, a, good in zip(*values, near, strict=True)]


def main() -> None:
    """Extract features, write label files for every frame, train, score, and predict one video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="folder of videos; default: synthetic ones are made")
    parser.add_argument("--labels", type=Path, help="folder of <video>.csv")
    parser.add_argument("--work", type=Path, default=Path("work/own"), help="folder for everything that is made")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    if (given.videos is None) != (given.labels is None):
        parser.error("give both --videos and --labels, or neither")
    given.work.mkdir(parents=True, exist_ok=True)
    made = abaw.synthesize(given.work / "made", clips=14, seconds=3.0) if given.videos is None else given.work
    videos, labels = given.videos or made / "videos", given.labels or made / "truth"

    store = given.work / "store"
    extracted = abaw.extract(videos, store, ["face_hog", "voice_mel"])
    print(extracted, *extracted.failed, sep="\n")

    clips = [clip for clip in sorted(abaw.open_dataset(videos).clips) if (labels / f"{clip}.csv").is_file()]
    for number, clip in enumerate(clips):
        split = "Validation_Set" if number % 3 == 2 else "Train_Set"
        path = given.work / "annotations/VA_Estimation_Challenge" / split / f"{clip}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = label_rows(labels / f"{clip}.csv", abaw.FeatureStore(store).clock(clip).times_s)
        path.write_text("\n".join(["valence,arousal", *rows]) + "\n", encoding="utf-8")

    dataset = given.work / "dataset.yaml"
    dataset.write_text(f"root: .\nvideos: {videos.resolve()}\nannotations: annotations\n", encoding="utf-8")
    settings = {"name": "own", "data": str(dataset), "store": str(store), "tasks": {"va": {"mse_weight": 5.0}}}
    settings |= {"window": {"length": 50, "stride": 25}, "trainer.max_epochs": given.epochs}
    run = abaw.train("synthetic", settings, runs=given.work / "runs")
    print(abaw.score(run.folder))
    video = next(path for path in sorted(videos.rglob("*")) if path.stem == clips[-1])
    print(abaw.analyze(video, run.folder, given.work / "analysis").table(clips[-1]).path)


if __name__ == "__main__":
    main()
