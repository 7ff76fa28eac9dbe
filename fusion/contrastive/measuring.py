"""Embeddings of whole clips, and how well they separate pairs that are alike from pairs that are different."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Bool, Float

from abaw.batches import FeatureSource, windows
from abaw.configs.sections import WindowConfig
from abaw.metrics import pair_auc
from fusion.contrastive.module import JOINT, ContrastiveModule
from fusion.contrastive.relations import Relation
from fusion.data import WindowDataset, loader
from fusion.targets import LabelsByTask, make_training_targets

MAX_MEASURED = 1000  # steps of a relation that are compared with each other, evenly spread over the labelled ones

Embedded = tuple[Float[np.ndarray, "time dim"], Bool[np.ndarray, " time"]]


@dataclass(frozen=True)
class PairScore:
    """Pair AUC of one relation on held-out clips: of the joint encoder, and of the encoder of this relation alone.

    ``alone`` is None where the run has a single relation. None for both where the clips have no pairs of both kinds.
    """

    joint: float | None
    alone: float | None
    num_alike: int
    num_different: int
    num_steps: int
    num_clips: int


def embed_clips(
    module: ContrastiveModule,
    source: FeatureSource,
    clip_ids: Sequence[str],
    names: Sequence[str] = (JOINT,),
    *,
    batch_size: int = 16,
) -> Iterator[tuple[str, dict[str, Embedded]]]:
    """Clip by clip, by each encoder of ``names``, the embedding of every frame (time dim) and whether it was observed.

    Embeddings belong to the frame that they were made from: they are not moved by ``training.label_shift``. The module
    runs on the device of its weights, in windows that do not overlap.
    """
    length = module.config.window.length
    dataset = WindowDataset(source, clip_ids, {}, WindowConfig(length=length, stride=length), keep=False)
    outputs = _embed_windows(module, dataset, names, batch_size)
    for clip_id in clip_ids:
        num_steps = len(source.clock(clip_id))
        shape = num_steps, module.model.hidden_dim
        made = {name: (np.zeros(shape, np.float32), np.zeros(num_steps, bool)) for name in names}
        for first, window in islice(outputs, len(windows(num_steps, length, length))):
            for name, (values, seen) in window.items():
                made[name][0][first : first + len(seen)] = values
                made[name][1][first : first + len(seen)] = seen
        yield clip_id, made


def _embed_windows(
    module: ContrastiveModule, dataset: WindowDataset, names: Sequence[str], batch_size: int
) -> Iterator[tuple[int, dict[str, Embedded]]]:
    """First step and embeddings of every window, in order."""
    module.eval()
    for batch in loader(dataset, batch_size):
        with torch.inference_mode():  # not around the yield, which would disable the caller's gradients
            made = {name: module.embed(batch.to(module.device), name) for name in names}
        arrays = {name: (each.float().cpu().numpy(), seen.cpu().numpy()) for name, (each, seen) in made.items()}
        for row, (first, num) in enumerate(zip(batch.first_step.tolist(), batch.lengths.tolist(), strict=True)):
            yield first, {name: (values[row, :num], seen[row, :num]) for name, (values, seen) in arrays.items()}


def measure_pairs(module: ContrastiveModule, source: FeatureSource, labels: LabelsByTask) -> dict[str, PairScore]:
    """The pair AUC of every relation on these clips (task -> clip -> labels), joint beside alone.

    Steps that were observed and have a label, at most ``MAX_MEASURED`` of a relation, are compared with those of other
    clips. Labels are shifted as in training.
    """
    of_task = {name: labels[name] for name in labels if name in module.tasks}
    targets = make_training_targets(of_task, source, module.tasks, module.config.training.label_shift)
    clip_ids = sorted({clip_id for by_clip in targets.values() for clip_id in by_clip})
    totals = {
        name: sum(int(each.scored.sum()) for each in targets.get(one.task, {}).values())
        for name, one in _relations(module)
    }
    rows: dict[str, list[tuple[int, np.ndarray, dict[str, np.ndarray]]]] = {name: [] for name, _ in _relations(module)}
    for number, (clip_id, made) in enumerate(embed_clips(module, source, clip_ids, module.encoder_names())):
        for name, relation in _relations(module):
            each = targets.get(relation.task, {}).get(clip_id)
            if each is None:
                continue
            target, scored = torch.tensor(each.values).float()[None], torch.tensor(each.scored)[None]
            usable = relation.usable(target, scored)[0].numpy() & made[JOINT][1]
            stride = max(1, -(-totals[name] // MAX_MEASURED))
            kept = np.flatnonzero(usable)[::stride]
            encoders = [encoder for encoder in (JOINT, name) if encoder in made]
            rows[name].append((number, each.values[kept], {key: made[key][0][kept] for key in encoders}))
    return {name: _score(relation, rows[name], name) for name, relation in _relations(module)}


def score_pairs(
    relation: Relation,
    embedding: Float[np.ndarray, "n dim"],
    values: Float[np.ndarray, "n goal"],
    clip_of: Sequence[int],
) -> tuple[float | None, int, int]:
    """The pair AUC of the cosine of rows of different clips, and how many pairs are alike and different.

    None where one of the kinds is missing. ``values``: the labels; ``clip_of``: the number of each row's clip.
    """
    given, clip = torch.tensor(values).float(), torch.tensor(clip_of)
    eligible = (clip[:, None] != clip).triu(1)
    alike, different = ((found & eligible).numpy() for found in relation.compare(given, given))
    if not alike.any() or not different.any():
        return None, int(alike.sum()), int(different.sum())
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    return pair_auc(cosine[alike], cosine[different]), int(alike.sum()), int(different.sum())


def _score(
    relation: Relation, rows: Sequence[tuple[int, np.ndarray, Mapping[str, np.ndarray]]], name: str
) -> PairScore:
    clip_of = [number for number, values, _ in rows for _ in values]
    if not clip_of:
        return PairScore(None, None, 0, 0, 0, 0)
    values = np.concatenate([each for _, each, _ in rows])
    joint, alone = (
        score_pairs(relation, np.concatenate([made[key] for _, _, made in rows]), values, clip_of)
        if key in rows[0][2]
        else (None, 0, 0)
        for key in (JOINT, name)
    )
    return PairScore(joint[0], alone[0], joint[1], joint[2], len(clip_of), len(set(clip_of)))


def _relations(module: ContrastiveModule) -> list[tuple[str, Relation]]:
    return list(module.relations.items())
