"""Continued training on clips of a shifted kind: what is forgotten of the old clips, and what it costs.

Writes continuing.json. Six trainings of each seed on the synthetic data set, about 5 minutes on one CPU core;
``tests/faithful/test_continuing.py`` has the equalities.

    python -m benchmarks.seed_systems.continuing [--seeds 0 1 2] [--work work/seed_systems]
"""

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from abaw.batches import FeatureSource
from abaw.dataset.annotations import Labels
from abaw.dataset.layout import open_dataset
from abaw.evaluation.labels import official_labels
from abaw.pipelines.configuration import open_config
from abaw.tasks import TASKS, for_dataset
from abaw.tasks.base import PredictionPair, Task
from abaw.tracks import Clock, Track
from benchmarks.seed_systems.rows import Claim, Section, write_section
from benchmarks.synthetic import CONFIG, make_features
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from fusion.continuing.anchors import Anchor, Anchors, read_parameters
from fusion.continuing.fisher import measure_fisher_of_windows
from fusion.data import ClipDataModule
from fusion.module import FusionModule
from fusion.predict import predict
from fusion.targets import make_scored_labels
from fusion.train import train

NEW = "new "  # before a clip's name: the same clip with features of another kind
DATA_SEED = 101  # of the synthetic data set; the seeds are those of trainings and of the shift
EPOCHS, FURTHER_EPOCHS = 20, 10
PENALTIES = (0.0, 100.0, 1000.0, 10_000.0)
ByTask = dict[str, dict[str, Labels]]
Scores = dict[str, float]  # "old" and "new" -> mean CCC of valence and arousal on held-out clips; "steps"


@dataclass(frozen=True)
class ShiftedSource:
    """Clips of a source, and under names with ``NEW`` the same clips with features of another kind.

    Every feature has another scale and offset there, in units of its deviation over ``clips``.
    """

    source: FeatureSource
    scales: Mapping[str, np.ndarray]
    offsets: Mapping[str, np.ndarray]

    def names(self) -> tuple[str, ...]:
        return tuple(self.source.names())

    def dim(self, name: str) -> int:
        return self.source.dim(name)

    def is_on_clock(self, name: str) -> bool:
        return self.source.is_on_clock(name)

    def clock(self, clip_id: str) -> Clock:
        return self.source.clock(clip_id.removeprefix(NEW))

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        track = self.source.read(name, clip_id.removeprefix(NEW), start_s, stop_s)
        if not clip_id.startswith(NEW):
            return track
        return Track(track.values * self.scales[name] + self.offsets[name], track.times_s, track.observed)


def make_shifted(source: FeatureSource, clip_ids: list[str], seed: int) -> ShiftedSource:
    """The source with clips of the new kind: scales of -1 to 1, offsets of up to one deviation."""
    rng, scales, offsets = np.random.default_rng(seed), {}, {}
    for name in source.names():
        values = np.concatenate([_values(source, name, clip_id) for clip_id in clip_ids])
        dim = source.dim(name)
        scales[name] = rng.uniform(-1, 1, dim).astype(np.float32)
        offsets[name] = (rng.uniform(-1, 1, dim) * values.std(0)).astype(np.float32)
    return ShiftedSource(source, scales, offsets)


def _values(source: FeatureSource, name: str, clip_id: str) -> np.ndarray:
    times_s = source.clock(clip_id).times_s
    track = source.read(name, clip_id, times_s[0], times_s[-1])
    return track.values[track.observed]


class World:
    """Old clips are half of the training clips, new ones the other half in the new kind; validation clips in both."""

    def __init__(self, seed: int, work: Path) -> None:
        data, store = make_features(DATA_SEED, work)
        settings = {"data": str(data), "store": str(store), "training.seed": seed, "training.select_on": "last"}
        _, self.config = open_config(CONFIG, {**settings, "tasks": {"va": {}}, "training.loggers": []})
        dataset = open_dataset(data)
        self.tasks: dict[str, Task] = for_dataset({"va": TASKS.build("va")}, dataset)
        official = official_labels(dataset, self.tasks)
        clips = sorted(official["train"]["va"])
        self.old = {"va": {clip_id: official["train"]["va"][clip_id] for clip_id in clips[::2]}}
        self.new = {"va": {NEW + clip_id: official["train"]["va"][clip_id] for clip_id in clips[1::2]}}
        held_out = official["validation"]["va"]
        self.held_out = {"old": held_out, "new": {NEW + clip_id: each for clip_id, each in held_out.items()}}
        own = AlignedSource(FeatureStore(self.config.store), self.config.features)
        self.source = make_shifted(own, clips, seed)

    def train(self, labels: ByTask, epochs: int, given: Mapping[str, Any] | None = None) -> tuple[FusionModule, int]:
        """A module after so many epochs on these labels, and its number of optimizer steps."""
        config = self.config.model_copy(update={"trainer": {**self.config.trainer, "max_epochs": epochs}})
        split = {"train": labels, "validation": {}}
        with TemporaryDirectory() as folder:
            module = train(config, self.tasks, split, self.source, Path(folder), **(given or {}))
        windows = ClipDataModule(config, self.tasks, split, self.source).train
        return module, epochs * -(-len(windows) // config.training.batch_size)

    def score(self, module: FusionModule) -> Scores:
        """The CCC on the held-out clips of each kind."""
        scores = {}
        for kind, labels in self.held_out.items():
            fitted = make_scored_labels({"va": labels}, self.source, self.tasks)["va"]
            task, pairs = self.tasks["va"], {}
            for clip_id, raw, _ in predict(module, self.source, sorted(fitted), self.config.window):
                pairs[clip_id] = PredictionPair(task.to_labels(task.probabilities(raw["va"])), fitted[clip_id])
            scores[kind] = task.score(pairs)["CCC"]
        return scores


def run_seed(seed: int, work: Path) -> dict[str, Scores]:
    """Scores and optimizer steps of the old run, of what continues it by each penalty, and of training on all clips."""
    world = World(seed, work)
    old, num_steps = world.train(world.old, EPOCHS)
    found = {"old run": {**world.score(old), "steps": num_steps}}
    last = Anchor(
        read_parameters(old), measure_fisher_of_windows(old, world.config, world.tasks, world.old, world.source)
    )
    for penalty in PENALTIES:
        anchors = Anchors(last, last, 0.0, penalty)
        given = {"anchors": anchors, "state": {**old.state_dict(), **anchors.start()}}
        module, num_steps = world.train(world.new, FURTHER_EPOCHS, given)
        found[f"penalty {penalty:g}"] = {**world.score(module), "steps": num_steps}
    both = {"va": {**world.old["va"], **world.new["va"]}}
    module, num_steps = world.train(both, EPOCHS)
    return {**found, "all clips": {**world.score(module), "steps": num_steps}}


def rows(results: Mapping[int, Mapping[str, Scores]]) -> list[Claim]:
    """What is forgotten and learned, by penalty, and the cost."""
    found = []
    for name in next(iter(results.values())):
        cells = []
        for kind in ("old", "new"):
            values = [scores[name][kind] for scores in results.values()]
            cells.append(f"{kind} clips {statistics.mean(values):.3f} ({', '.join(f'{each:.3f}' for each in values)})")
        steps = statistics.mean(scores[name]["steps"] for scores in results.values())
        ours = f"{'; '.join(cells)}; {steps:.0f} steps"
        found.append(Claim(f"held-out CCC, {NAMES.get(name, name)}", "", ours, "", None))
    lost = {
        name: [scores["old run"]["old"] - scores[name]["old"] for scores in results.values()]
        for name in ("penalty 0", CHOSEN)
    }
    share = [scores[CHOSEN]["steps"] / scores["all clips"]["steps"] for scores in results.values()]
    return [
        Claim(
            f"CCC lost on held-out old clips: {NAMES['penalty 0']}; {CHOSEN}",
            "",
            "; ".join(", ".join(f"{each:.3f}" for each in values) for values in lost.values()),
            "less with the penalty, every seed",
            all(kept < plain for plain, kept in zip(*lost.values(), strict=True)),
        ),
        Claim(
            "optimizer steps of the continued training, of those of training on all clips",
            "-96 % training time",
            f"{100 * statistics.mean(share):.0f} %",
            "",
            None,
        ),
        *found,
    ]


CHOSEN = "penalty 1000"  # the default of the config
NAMES = {
    "old run": "the old run before",
    "penalty 0": "plain fine-tuning (the control: penalty 0)",
    "all clips": "trained anew on all clips",
}
TEXT = """\
LiRank (Borisyuk et al. 2024, arXiv 2402.06859) continues the training of a model on new data with a penalty on its \
distance from the first and the last model, each weight by its Fisher information, a form of elastic weight \
consolidation (Kirkpatrick et al. 2017, arXiv 1612.00796). Here `abaw train CONFIG --continue RUN` trains a run on new \
clips. A sample of the Fisher information is a window. LiRank does not print its weights of the two penalties; \
`continuing.alpha` and `continuing.penalty` are settings.

`tests/faithful/test_continuing.py` asserts: with alpha 0 the penalty is the plain EWC term, a growing penalty leaves \
the weights where they start, and the Fisher information is the mean squared gradient of a sample on a logistic model. \
The table is of the synthetic data set: the old run has half of the training clips. The new clips are the other half \
with another scale, also of the other sign, and another offset of every feature (ours). Where scales kept their sign \
(0.5 to 1.5) nothing was forgotten: plain fine-tuning on 12 steps raised the CCC on old clips from 0.911 to 0.922."""


def main() -> None:
    """Measure every seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("work/seed_systems"))
    arguments = parser.parse_args()
    results = {}
    for seed in arguments.seeds:
        results[seed] = run_seed(seed, arguments.work)
        print(seed, results[seed], flush=True)
    write_section("continuing", Section("Continued training", TEXT, rows(results)), arguments.seeds)


if __name__ == "__main__":
    main()
