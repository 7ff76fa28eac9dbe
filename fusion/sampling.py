"""The order of windows in each epoch, determined by seed and epoch, and its distribution over processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from torch.utils.data import Sampler

from abaw.tasks.base import Task
from fusion.targets import LabelsByTask

Span = tuple[str, int, int]  # clip, first step, one past the last
EpochOrder = Callable[[int], np.ndarray]  # epoch -> indices of its windows, in order


def derive_epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed from seed and epoch, and for every process but the first also from its rank."""
    entropy = [abs(seed), int(seed < 0), epoch, *([rank] if rank else [])]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def make_sequential_order(num_items: int) -> EpochOrder:
    """Every window once, in order, in every epoch."""
    return partial(_sequential, num_items)


def make_shuffled_order(num_items: int, seed: int) -> EpochOrder:
    """Every window once, in a new random order in each epoch."""
    return partial(_shuffle, num_items, seed)


def make_balanced_order(weights: np.ndarray, seed: int) -> EpochOrder:
    """As many windows as there are, drawn with replacement with probabilities proportional to ``weights``."""
    return partial(_draw_balanced, weights / weights.sum(), seed)


def keep_together(order: EpochOrder, persons: Sequence[str], num_windows: int) -> EpochOrder:
    """The windows of an order, with ``num_windows`` of a person after each other: a batch holds several of each person.

    ``persons``: of each window. The order among the windows of a person stays; groups of windows are placed where their
    first window was. A person's last group may be smaller.
    """
    return partial(_keep_together, order, list(persons), num_windows)


class RankSampler(Sampler[int]):
    """The windows of an order that one of ``num_ranks`` processes gets: every ``num_ranks``-th, starting at ``rank``.

    All processes get the same number: where the order does not divide evenly, its first windows are repeated at the
    end. Up to ``num_ranks`` - 1 windows are then trained on twice; in validation the duplicates are removed
    (``fusion.validation.gather_windows``).
    """

    def __init__(self, order: EpochOrder, num_items: int, rank: int = 0, num_ranks: int = 1) -> None:
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


def compute_balancing_weights(spans: Sequence[Span], labels: LabelsByTask, tasks: Mapping[str, Task]) -> np.ndarray:
    """A sampling weight for every window, so that all strata of labels (``Task.strata``) are drawn equally often.

    The weight of a frame is inversely proportional to the frequency of its stratum, with a mean of 1 over all scored
    frames. The weight of a window is the mean over its scored frames, then over the tasks that have any in it. A window
    without a scored frame has weight 0.
    """
    total, num_tasks = np.zeros(len(spans)), np.zeros(len(spans))
    for name, by_clip in labels.items():
        sums = _cumulate({clip_id: tasks[name].strata(each) for clip_id, each in by_clip.items()})
        for index, (clip_id, start, stop) in enumerate(spans):
            weight, num = sums[clip_id][stop] - sums[clip_id][start] if clip_id in sums else (0.0, 0.0)
            if num:
                total[index] += weight / num
                num_tasks[index] += 1
    return total / np.maximum(num_tasks, 1)


def _cumulate(strata: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each clip, cumulative sums (time + 1, 2) of the frames' weights and of the number of scored frames."""
    counts = np.bincount(np.concatenate([each[each >= 0] for each in strata.values()]))
    weights = counts.sum() / np.maximum(counts, 1) / max(1, np.count_nonzero(counts))
    sums = {}
    for clip_id, each in strata.items():
        rows = np.stack([np.where(each >= 0, weights[each], 0.0), each >= 0], axis=1)
        sums[clip_id] = np.concatenate([np.zeros((1, 2)), rows.cumsum(axis=0)])
    return sums


# module-level functions, so that an order can be pickled for worker processes


def _sequential(num_items: int, _: int) -> np.ndarray:
    return np.arange(num_items)


def _shuffle(num_items: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(derive_epoch_seed(seed, epoch)).permutation(num_items)


def _keep_together(order: EpochOrder, persons: Sequence[str], num_windows: int, epoch: int) -> np.ndarray:
    groups: list[list[int]] = []
    open_groups: dict[str, list[int]] = {}
    for index in order(epoch).tolist():
        group = open_groups.get(persons[index])
        if group is None or len(group) == num_windows:
            group = open_groups[persons[index]] = []
            groups.append(group)
        group.append(index)
    return np.array([index for group in groups for index in group], dtype=int)


def _draw_balanced(probabilities: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(derive_epoch_seed(seed, epoch)).choice(
        len(probabilities), len(probabilities), p=probabilities
    )
