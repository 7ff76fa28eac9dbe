"""Pairs of steps of a batch, as many alike as different, and the loss of an embedding on them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusion.contrastive.relations import Relation

MAX_STEPS = 256  # of a batch, drawn at random, that are compared with each other for a relation
START_SCALE, START_OFFSET = 5.0, -1.0  # of the cosine, before training; learned for each relation


class Pairs(NamedTuple):
    """Pairs of steps of a batch: ``steps`` are (window, step), ``first`` and ``second`` their numbers in that list.

    The first half of the pairs is alike, the second half different.
    """

    steps: Int[Tensor, "steps 2"]
    first: Int[Tensor, " n"]
    second: Int[Tensor, " n"]
    is_alike: Bool[Tensor, " n"]


def draw_pairs(
    relation: Relation,
    clip_ids: Sequence[str],
    target: Float[Tensor, "batch time goal"],
    usable: Bool[Tensor, "batch time"],
) -> Pairs:
    """As many pairs that are alike as pairs that are different, all of the rarer kind, of steps of different clips.

    ``usable``: steps that may be drawn; of more than ``MAX_STEPS`` a random part is compared. No pairs where one of
    the kinds is missing. Draws from torch's global generator.
    """
    steps = usable.nonzero()
    steps = steps[_shuffled(len(steps), MAX_STEPS, steps)]
    labels = target[steps[:, 0], steps[:, 1]].float()
    numbers = {clip_id: number for number, clip_id in enumerate(dict.fromkeys(clip_ids))}
    clip = torch.tensor([numbers[clip_id] for clip_id in clip_ids], device=steps.device)[steps[:, 0]]
    eligible = (clip[:, None] != clip).triu(1)
    alike, different = ((eligible & found).nonzero() for found in relation.compare(labels, labels))
    num = min(len(alike), len(different))
    chosen = torch.cat([each[_shuffled(len(each), num, each)] for each in (alike, different)])
    return Pairs(steps, chosen[:, 0], chosen[:, 1], torch.arange(2 * num, device=steps.device) < num)


def pair_loss(
    embedding: Float[Tensor, "batch time dim"], pairs: Pairs, scale_and_offset: Float[Tensor, "2"]
) -> Float[Tensor, ""]:
    """Binary cross-entropy of "alike" given scale x cosine + offset, the mean over the pairs.

    ``embedding`` has rows of unit length. Exactly 0, with a gradient of 0 for every parameter, without pairs.
    """
    if not len(pairs.is_alike):
        return embedding[:0].sum() + scale_and_offset[:0].sum()
    rows = embedding[pairs.steps[:, 0], pairs.steps[:, 1]]
    rows = rows if rows.dtype == torch.float64 else rows.float()
    cosines = (rows @ rows.T)[pairs.first, pairs.second]  # of all steps at once: there are many pairs of few steps
    logits = scale_and_offset[0] * cosines + scale_and_offset[1]
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, pairs.is_alike.to(logits.dtype))


def _shuffled(num: int, num_kept: int, like: Tensor) -> Int[Tensor, " kept"]:
    """``num_kept`` of ``num`` indices in random order; all of them in order where all are kept."""
    return (torch.arange(num) if num <= num_kept else torch.randperm(num)[:num_kept]).to(like.device)
