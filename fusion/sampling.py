"""The order in which windows are seen: from the seed and the epoch alone, of which every process takes its share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from torch.utils.data import Sampler

from abaw.tasks.base import Task
from fusion.targets import LabelsByTask

Span = tuple[str, int, int]  # clip, first step, one past the last
Order = Callable[[int], np.ndarray]  # from an epoch to the places of the windows it sees, one after the other


def seed_of_epoch(seed: int, epoch: int, rank: int = 0) -> int:
    """One seed from two numbers, and for every process but the first from three: neighbours have nothing in common."""
    entropy = [abs(seed), int(seed < 0), epoch, *([rank] if rank else [])]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def in_order(num_items: int) -> Order:
    """All, from the first to the last, whatever the epoch."""
    return partial(_in_order, num_items)


def shuffled(num_items: int, seed: int) -> Order:
    """All, each epoch in a new order."""
    return partial(_shuffled, num_items, seed)


def balanced(weights: np.ndarray, seed: int) -> Order:
    """As many as there are, drawn by their weight, so that some come several times and others not at all."""
    return partial(_balanced, weights / weights.sum(), seed)


class Share(Sampler[int]):
    """What one of ``num_ranks`` processes sees of an order: every ``num_ranks``-th window, from ``rank`` on.

    So that all processes have as many, an order that does not divide begins again: training sees up to ``num_ranks`` -
    1 windows of the epoch twice; validation reckons them twice and counts them once (``fusion.validation.gathered``).
    """

    def __init__(self, order: Order, num_items: int, rank: int = 0, num_ranks: int = 1) -> None:
        self._order, self._num_items = order, num_items
        self._rank, self._num_ranks, self._epoch = rank, num_ranks, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-self._num_items // self._num_ranks)

    def __iter__(self) -> Iterator[int]:
        order = np.resize(self._order(self._epoch), len(self) * self._num_ranks)
        yield from order[self._rank :: self._num_ranks].tolist()


def balancing_weights(spans: Sequence[Span], labels: LabelsByTask, tasks: Mapping[str, Task]) -> np.ndarray:
    """A weight for every window, so that all kinds of label (``Task.strata``) are seen alike.

    A frame weighs one over how often its kind occurs, on average 1 over all scored frames; a window the mean over its
    scored frames, and over the tasks that have any there. A window without a scored frame weighs nothing.
    """
    total, num_tasks = np.zeros(len(spans)), np.zeros(len(spans))
    for name, by_clip in labels.items():
        sums = _sums({clip_id: tasks[name].strata(each) for clip_id, each in by_clip.items()})
        for place, (clip_id, start, stop) in enumerate(spans):
            worth, num = sums[clip_id][stop] - sums[clip_id][start] if clip_id in sums else (0.0, 0.0)
            if num:
                total[place] += worth / num
                num_tasks[place] += 1
    return total / np.maximum(num_tasks, 1)


def _sums(kinds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By clip, a row more than steps: what the frames before it weigh together, and how many of them are scored."""
    counts = np.bincount(np.concatenate([each[each >= 0] for each in kinds.values()]))
    worth = counts.sum() / np.maximum(counts, 1) / max(1, np.count_nonzero(counts))
    sums = {}
    for clip_id, each in kinds.items():
        rows = np.stack([np.where(each >= 0, worth[each], 0.0), each >= 0], axis=1)
        sums[clip_id] = np.concatenate([np.zeros((1, 2)), rows.cumsum(axis=0)])
    return sums


# at the module's top, so that an order can be pickled for processes that are started


def _in_order(num_items: int, _: int) -> np.ndarray:
    return np.arange(num_items)


def _shuffled(num_items: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(seed_of_epoch(seed, epoch)).permutation(num_items)


def _balanced(shares: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(seed_of_epoch(seed, epoch)).choice(len(shares), len(shares), p=shares)
