"""The worlds in which a joint embedding must gain and must lose against single-task twins.

A latent of a few numbers decides the labels of three tasks. 128 features are a linear map of it plus nuisance: 30
directions of amplitude 6 that mean nothing. In the complementary world the training clips of each task show only ten of
them, other ten for each task, so that no task alone can learn to ignore all thirty. In the control the tasks ask for
unrelated projections of a larger latent, and their clips show the same nuisance: there is nothing to share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from abaw.batches import Batch, Signal
from abaw.configs.sections import Config, FeatureConfig, PartConfig, TaskConfig, TrainingConfig, WindowConfig
from abaw.tasks import TASKS
from abaw.tasks.base import Task
from abaw.tracks import Clock, Track
from fusion.checkpoint import build_module
from fusion.contrastive.measuring import embed_clips, score_pairs
from fusion.contrastive.module import ContrastiveModule
from fusion.contrastive.relations import Relation, relations_of

NUM_FEATURES, NUM_NUISANCE = 128, 30
AMPLITUDE, LENGTH = 6.0, 4.0  # of nuisance and of the latent, per direction of unit length
CLIP_STEPS, WINDOWS_EACH = 10, 16  # of a clip; of a batch for each task
NUM_UNITS, NUM_UNSEEN = 12, 8  # half-spaces that are trained, and those that never are
NUM_TEST = 3000
NUM_STEPS = 400
NAMES = {"classes": "EXPR", "va": "VA", "au": "AU"}
UNSEEN = "unseen"
# world -> whether its tasks ask for the same latent, whether each shows its own nuisance, and labels of a task
WORLDS = {
    "complementary": (True, True, 1000),
    "same nuisance": (True, False, 300),
    "control": (False, False, 300),
}
Scores = dict[str, dict[str, float]]  # task, or "unseen" -> "raw", "joint" or a task -> pair AUC


@dataclass(frozen=True)
class World:
    """Directions of latent and nuisance in the features, and the projection of the latent that each task asks for."""

    latent: np.ndarray
    nuisance: np.ndarray
    projections: Mapping[str, np.ndarray]
    units: np.ndarray
    unseen: np.ndarray

    def draw(
        self, rng: np.random.Generator, num: int, shown: slice = slice(None)
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Features of ``num`` samples in which only some directions of nuisance occur, and the labels of all tasks."""
        z = rng.normal(size=(num, len(self.latent)))
        noise = np.zeros((num, NUM_NUISANCE))
        noise[:, shown] = AMPLITUDE * rng.normal(size=(num, NUM_NUISANCE))[:, shown]
        features = z @ self.latent + noise @ self.nuisance
        of = {task: z @ matrix for task, matrix in self.projections.items()}
        labels = {
            "classes": ((of["classes"] > 0) @ [1, 2, 4])[:, None],
            "va": np.tanh(of["va"][:, :2]),
            "au": of["au"] @ self.units > 0,
            "unseen": of["au"] @ self.unseen > 0,
        }
        return features.astype(np.float32), {name: each.astype(np.float32) for name, each in labels.items()}


def make_world(seed: int, *, related: bool) -> World:
    """The complementary world, or (not ``related``) that of the control."""
    rng = np.random.default_rng(seed)
    num = 3 if related else 6
    latent = LENGTH * np.linalg.qr(rng.normal(size=(NUM_FEATURES, num)))[0].T
    nuisance = np.linalg.qr(rng.normal(size=(NUM_FEATURES, NUM_NUISANCE)))[0].T
    if related:
        projections = dict.fromkeys(NAMES, np.eye(3))
    else:
        projections = {name: np.linalg.qr(rng.normal(size=(num, 3)))[0] for name in NAMES}
    units, unseen = rng.normal(size=(3, NUM_UNITS)), rng.normal(size=(3, NUM_UNSEEN))
    return World(latent, nuisance, projections, units, unseen)


class WorldSource:
    """A feature source over clips of samples that have nothing to do with each other."""

    def __init__(self, features: Mapping[str, np.ndarray]) -> None:
        self._features = dict(features)

    def names(self) -> tuple[str, ...]:
        return ("x",)

    def dim(self, name: str) -> int:
        return NUM_FEATURES

    def is_on_clock(self, name: str) -> bool:
        return True

    def clock(self, clip_id: str) -> Clock:
        num = len(self._features[clip_id])
        return Clock(np.arange(1, num + 1), np.arange(num) / 25, np.ones(num, bool))

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        times_s = self.clock(clip_id).times_s
        inside = (times_s >= start_s) & (times_s <= stop_s)
        return Track(self._features[clip_id][inside], times_s[inside], np.ones(int(inside.sum()), bool))


def train_world(
    world: World, seed: int, num_labels: int, *, complementary: bool, num_steps: int = NUM_STEPS
) -> ContrastiveModule:
    """Joint encoder and twins after ``num_steps`` steps on ``num_labels`` labels of each task.

    Module, pairs and optimizer are those of ``abaw train``; the loop is plain, because Lightning's logging would take
    most of the time.
    """
    rng = np.random.default_rng(1000 + seed)
    drawn = {}
    for number, task in enumerate(NAMES):
        shown = slice(10 * number, 10 * number + 10) if complementary else slice(None)
        x, labels = world.draw(rng, num_labels, shown)
        drawn[task] = [torch.tensor(each).reshape(-1, CLIP_STEPS, each.shape[1]) for each in (x, labels[task])]
    module = build_module(make_config(seed), make_tasks(), {"x": NUM_FEATURES})
    assert isinstance(module, ContrastiveModule)
    module.train()
    optimizer = module.configure_optimizers()
    torch.manual_seed(seed)
    for _ in range(num_steps):
        terms = module.pair_terms(draw_batch(drawn, rng))
        optimizer.zero_grad()
        torch.stack([term.weight * term.loss for term in terms.values()]).sum().backward()
        optimizer.step()
    return module.eval()


def draw_batch(drawn: Mapping[str, Sequence[torch.Tensor]], rng: np.random.Generator) -> Batch:
    """Windows of random clips, ``WINDOWS_EACH`` for each task, with the labels of that task alone."""
    features, clip_ids = [], []
    target, scored = {}, {}
    num = WINDOWS_EACH * len(drawn)
    for number, (task, (x, labels)) in enumerate(drawn.items()):
        chosen = rng.choice(len(x), WINDOWS_EACH, replace=False)
        own = slice(number * WINDOWS_EACH, (number + 1) * WINDOWS_EACH)
        features.append(x[chosen])
        clip_ids += [f"{task}{index}" for index in chosen]
        target[task] = torch.zeros(num, CLIP_STEPS, labels.shape[2])
        target[task][own] = labels[chosen]
        scored[task] = torch.zeros(num, CLIP_STEPS, dtype=torch.bool)
        scored[task][own] = True
    times_s = (torch.arange(CLIP_STEPS, dtype=torch.float64) / 25).expand(num, -1)
    lengths, seen = torch.full((num,), CLIP_STEPS), torch.ones(num, CLIP_STEPS, dtype=torch.bool)
    signals = {"x": Signal(torch.cat(features), times_s, seen, lengths)}
    return Batch(tuple(clip_ids), torch.zeros(num, dtype=torch.long), lengths, times_s, signals, target, scored)


def make_config(seed: int) -> Config:
    """A config as a file would give it."""
    return Config(
        name="world",
        data="none",
        store="none",
        tasks={name: TaskConfig() for name in NAMES},
        features={"x": FeatureConfig(normalise="none")},
        model=PartConfig(name="multitask_contrastive"),
        window=WindowConfig(length=CLIP_STEPS, stride=CLIP_STEPS),
        training=TrainingConfig(seed=seed, learning_rate=1e-3, weight_decay=0.01),
    )


def make_tasks() -> dict[str, Task]:
    """Eight classes of the data set's own (octants), valence and arousal, and twelve units."""
    own = {"classes": {"class_names": [f"octant {i}" for i in range(8)], "level": "frame"}}
    return {name: TASKS.build(name, **own.get(name, {})) for name in NAMES}


def score_world(module: ContrastiveModule, world: World, seed: int, num_test: int = NUM_TEST) -> Scores:
    """Pair AUC on new samples that show all nuisance: task -> "raw", "joint" and its twin -> score.

    "unseen": units that were never trained, by every encoder.
    """
    x, labels = world.draw(np.random.default_rng(2000 + seed), num_test)
    clips = {f"t{first}": x[first : first + CLIP_STEPS] for first in range(0, num_test, CLIP_STEPS)}
    names = module.encoder_names()
    made = [each for _, each in embed_clips(module, WorldSource(clips), list(clips), names, batch_size=100)]
    embeddings = {name: np.concatenate([each[name][0] for each in made]) for name in names} | {"raw": x}
    relations = {task: relations_of(each)[0] for task, each in make_tasks().items()}
    relations[UNSEEN] = Relation(UNSEEN, "au", "units", slice(0, NUM_UNSEEN))
    clip_of = np.repeat(np.arange(len(clips)), CLIP_STEPS).tolist()
    wanted = {task: ("raw", "joint", task) for task in NAMES} | {UNSEEN: tuple(embeddings)}
    return {
        task: {name: score_pairs(relation, embeddings[name], labels[task], clip_of)[0] or 0.0 for name in wanted[task]}
        for task, relation in relations.items()
    }


def measure(name: str, seed: int, *, num_steps: int = NUM_STEPS, num_test: int = NUM_TEST) -> Scores:
    """Train in a world of ``WORLDS`` and score on new samples."""
    related, complementary, num_labels = WORLDS[name]
    world = make_world(seed, related=related)
    module = train_world(world, seed, num_labels, complementary=complementary, num_steps=num_steps)
    return score_world(module, world, seed, num_test)


def gains(scores: Scores) -> dict[str, float]:
    """Joint minus the single-task twin of each task; "zero-shot": joint minus the best twin on units never trained."""
    found = {title: scores[task]["joint"] - scores[task][task] for task, title in NAMES.items()}
    return found | {"zero-shot": scores[UNSEEN]["joint"] - max(scores[UNSEEN][task] for task in NAMES)}
