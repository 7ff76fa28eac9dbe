"""Relations: which two steps are alike by their labels of a task, and which are different."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.numbers import format_count
from abaw.tasks.base import Block, Task

ALIKE_DISTANCE, DIFFERENT_DISTANCE = 0.4, 0.8  # of values on a range from -1 to 1
ALIKE_OVERLAP, DIFFERENT_OVERLAP = 0.5, 0.25  # of active units: intersection over union
OTHER = "other"  # a class of faces that have nothing in common
MAX_CHECKED = 2048  # steps that decide whether there are pairs at all


@dataclass(frozen=True)
class Relation:
    """When two steps are alike by one block of a task's labels: values, classes or units.

    - classes: alike where the class is the same, else different. Two faces of a class "Other" are neither.
    - values: alike within a distance of 0.4, different beyond 0.8, on a range of 2; neither in between.
    - units: alike where the active units overlap by half or more (intersection over union), different up to a quarter;
      neither in between. Two steps without an active unit are alike.

    ``columns``: the block's columns in the labels. ``halves``: half the range of each value. ``other``: the number of
    the class "Other", or None.
    """

    name: str
    task: str
    kind: Block
    columns: slice
    halves: tuple[float, ...] = ()
    other: int | None = None

    def usable(
        self, target: Float[Tensor, "batch time goal"], scored: Bool[Tensor, "batch time"]
    ) -> Bool[Tensor, "batch time"]:
        """Steps that have a label of this block. A task of several blocks marks a block without label by NaN."""
        return scored & ~target[..., self.columns].isnan().any(-1)

    def compare(
        self, first: Float[Tensor, "n goal"], second: Float[Tensor, "m goal"]
    ) -> tuple[Bool[Tensor, "n m"], Bool[Tensor, "n m"]]:
        """Whether each of the first steps and each of the second are alike, and whether they are different."""
        first, second = first[:, self.columns], second[:, self.columns]
        if self.kind == "values":
            halves = first.new_tensor(self.halves)
            distance = torch.cdist(first / halves, second / halves, compute_mode="donot_use_mm_for_euclid_dist")
            return distance < ALIKE_DISTANCE, distance > DIFFERENT_DISTANCE
        if self.kind == "classes":
            one, two = first[:, 0].round(), second[:, 0].round()
            same = one[:, None] == two
            return (same & (one != self.other)[:, None] if self.other is not None else same), ~same
        one, two = (first > 0.5).float(), (second > 0.5).float()
        both = one @ two.T
        either = one.sum(1)[:, None] + two.sum(1) - both
        overlap = torch.where(either > 0, both / either.clamp(min=1), 1.0)
        return overlap >= ALIKE_OVERLAP, overlap <= DIFFERENT_OVERLAP


def relations_of(task: Task) -> tuple[Relation, ...]:
    """A relation for each block of the task's labels, named after the task, or ``task/kind`` where it has several.

    Raises InputError where the task has no block.
    """
    if not task.blocks:
        raise InputError(
            f"tasks.{task.name}: pairs of steps are compared by values, classes or units, of which this task has none: "
            "remove it, or choose another model"
        )
    widths = [1 if kind == "classes" else num for kind, num in task.blocks]
    ends, outs = list(accumulate(widths)), list(accumulate(num for _, num in task.blocks))
    found = []
    for (kind, num), width, end, out in zip(task.blocks, widths, ends, outs, strict=True):
        name = task.name if len(task.blocks) == 1 else f"{task.name}/{kind}"
        names = [column.removeprefix("p_").lower() for column in task.columns[out - num : out]]
        other = names.index(OTHER) if kind == "classes" and OTHER in names else None
        halves = value_halves(task, end - width, end) if kind == "values" else ()
        found.append(Relation(name, task.name, kind, slice(end - width, end), halves, other))
    return tuple(found)


def check_relations(relations: Sequence[Relation], labels: Mapping[str, Mapping[str, Labels]]) -> None:
    """Raises InputError where the training labels (task -> clip -> labels) give a relation no pairs to learn from."""
    for relation in relations:
        clips = labels.get(relation.task, {})
        steps, clip_of = [], []
        for number, each in enumerate(clips.values()):
            values, scored = torch.tensor(each.values).float(), torch.tensor(each.scored)
            own = values[relation.usable(values[None], scored[None])[0]]
            stride = max(1, -(-len(own) * len(clips) // MAX_CHECKED))
            steps.append(own[::stride])
            clip_of += [number] * len(steps[-1])
        num_clips = len(set(clip_of))
        if num_clips < 2:
            raise InputError(
                f"pairs are of steps from different clips, but {format_count(num_clips, 'clip')} of the training split "
                f"has labels of {relation.name}: label more clips, or remove the task"
            )
        values, of_clip = torch.cat(steps), torch.tensor(clip_of)
        alike, different = relation.compare(values, values)
        apart = of_clip[:, None] != of_clip
        for what, found in (("alike", alike), ("different", different)):
            if not (found & apart).any():
                raise InputError(
                    f"no two steps of different training clips are {what} by their labels of {relation.name}, so there "
                    "are no pairs to learn from: label more clips, or remove the task"
                )


def value_halves(task: Task, first: int, stop: int) -> tuple[float, ...]:
    """Half the range of each of a task's values; 1 where the task names no range, as for valence and arousal."""
    ranges = getattr(task, "ranges", None)
    if not ranges:
        return (1.0,) * (stop - first)
    return tuple((high - low) / 2 for low, high in list(ranges)[first:stop])
