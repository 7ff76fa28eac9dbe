"""What verifying a store costs: checksums of all files, against one epoch of training on them, in the main job.

A file is verified when a process opens it for the first time, so a training pays once. Writes checksum.json in
results/. About 3 minutes on 2 CPU cores; a data set and a store that are there already are used.

    python -m benchmarks.checksum [--work work/benchmark] [--data DATA --store STORE]
"""

import argparse
import statistics
import time
from pathlib import Path

from abaw.commands.extract import extract
from abaw.commands.synth import synth
from abaw.files import write_json
from abaw.pipelines.training import train
from abaw.results.runs import commit, versions
from benchmarks.synthetic import CONFIG
from extract.store import tensor_file
from extract.store.listing import feature_folders, track_paths
from extract.store.store import FeatureStore
from extract.store.tensor_file import TensorFile
from fusion.module import FusionModule

NUM_REPEATS, NUM_EPOCHS = 5, 5


def measure_verification(store: FeatureStore) -> tuple[int, list[float]]:
    """The bytes of all tracks and clocks, and the seconds that verifying them takes, each time anew."""
    folders = [store.root / "clock", *feature_folders(store)]
    paths = [path for folder in folders for path in track_paths(folder).values()]
    seconds = []
    for _ in range(NUM_REPEATS):
        tensor_file._CHECKED.clear()
        files = [TensorFile(path) for path in paths]  # opened in any case
        begun_s = time.perf_counter()
        for file in files:
            file.check_content()
        seconds.append(round(time.perf_counter() - begun_s, 4))
    return sum(path.stat().st_size for path in paths), seconds


def measure_epochs(data: Path, store: Path, runs: Path) -> list[float]:
    """Seconds of the training steps of each epoch but the first."""
    begun: list[float] = []
    seconds: list[float] = []
    start = FusionModule.on_train_epoch_start
    FusionModule.on_train_epoch_start = lambda self: (start(self), begun.append(time.perf_counter()))[0]
    FusionModule.on_validation_start = lambda _: seconds.append(round(time.perf_counter() - begun[-1], 3))
    settings = [f"data={data}", f"store={store}", f"name=checksum-{time.time_ns()}", f"trainer.max_epochs={NUM_EPOCHS}"]
    train(CONFIG, settings, runs=runs)
    return seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("work/benchmark"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    data, store = given.data or given.work / "data-101", given.store or given.work / "store-101"
    if given.data is None:
        synth(data, seed=101)
        extract(data, store, ["face_hog", "voice_mel"])
    num_bytes, verification_s = measure_verification(FeatureStore(store))
    epochs_s = measure_epochs(data, store, given.work / "runs")
    share = statistics.median(verification_s) / statistics.median(epochs_s)
    results = {"commit": commit(), "versions": versions(), "num_bytes": num_bytes, "share_of_an_epoch": round(share, 4)}
    results |= {"verification_s": verification_s, "epochs_s": epochs_s}
    write_json(Path(__file__).parent / "results" / "checksum.json", results)
    print(f"{num_bytes / 1e6:.1f} MB verified in {statistics.median(verification_s):.3f} s: {share:.1%} of an epoch")


if __name__ == "__main__":
    main()
