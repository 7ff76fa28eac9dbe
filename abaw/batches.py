"""What a training step gets: windows over clips, aligned signals, and the batch that holds them.

``observed``, ``scored`` and ``lengths`` are three different facts and are never merged: where a modality was observed,
where there is a label, and where a window ends and its padding begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abaw.errors import InputError
from abaw.tracks import Clock, Track

Self = TypeVar("Self", bound="_Movable")


@runtime_checkable  # so that the tests may check annotations that name it
class FeatureSource(Protocol):
    """The interface through which fusion reads features. Picklable, for data workers."""

    def names(self) -> tuple[str, ...]: ...

    def dim(self, name: str) -> int: ...

    def is_on_clock(self, name: str) -> bool:
        """Whether ``read`` returns one row per frame; else the track's own rows."""
        ...

    def clock(self, clip_id: str) -> Clock: ...

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        """Rows from ``start_s`` to ``stop_s``, both included; at the track's own rate with a margin on either side."""
        ...


class _Movable:
    """Dataclasses of tensors that are moved to a device together."""

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        return self._each(lambda tensor: tensor.to(*args, **kwargs))

    def pin_memory(self: Self) -> Self:
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self: Self, change: Any) -> Self:
        return type(self)(**{f.name: _changed(getattr(self, f.name), change) for f in fields(self)})  # type: ignore[arg-type]


def _changed(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, _Movable):
        return value._each(change)
    if isinstance(value, Mapping):
        return {key: _changed(item, change) for key, item in value.items()}
    return value


@dataclass(frozen=True)
class Signal(_Movable):
    """Tracks of one modality for a batch of windows, padded at the end; ``lengths`` says where padding begins."""

    values: Float[Tensor, "batch n dim"]
    times_s: Float[Tensor, "batch n"]
    observed: Bool[Tensor, "batch n"]
    lengths: Int[Tensor, " batch"]


@dataclass(frozen=True)
class Batch(_Movable):
    """Windows of clips. ``first_step`` is the index, from 0, of each window's first frame in its clip.

    ``signals`` have one row per frame (n == time), or are at their own rate with a margin, and the input stage aligns
    them. ``target`` and ``scored`` have a key for each task with labels in this batch.
    """

    clip_ids: tuple[str, ...]
    first_step: Int[Tensor, " batch"]
    lengths: Int[Tensor, " batch"]
    times_s: Float[Tensor, "batch time"]
    signals: dict[str, Signal]
    target: dict[str, Float[Tensor, "batch time goal"]]
    scored: dict[str, Bool[Tensor, "batch time"]]


def windows(num_steps: int, length: int, stride: int) -> list[tuple[int, int]]:
    """Start and stop of the windows that cover ``num_steps`` steps; the last one is anchored at the end.

    A clip shorter than a window gives one short window, which the batch pads; a clip without steps gives none. Raises
    InputError where length or stride are below 1, or the stride exceeds the length.

    >>> windows(10, length=4, stride=3)
    [(0, 4), (3, 7), (6, 10)]
    """
    if length < 1 or stride < 1:
        raise InputError(f"windows need a length and a stride of at least 1 step, not {length} and {stride}")
    if stride > length:
        raise InputError(
            f"a stride of {stride} steps skips steps between windows of {length}: use a stride up to the length"
        )
    if num_steps <= length:
        return [(0, num_steps)] if num_steps > 0 else []
    starts = [*range(0, num_steps - length, stride), num_steps - length]
    return [(start, start + length) for start in starts]


@dataclass(frozen=True)
class Window:
    """One window without a batch axis. ``first_step`` counts from 0."""

    clip_id: str
    first_step: int
    times_s: Float[Tensor, " time"]
    signals: dict[str, Track]
    target: dict[str, Float[Tensor, "time goal"]]
    scored: dict[str, Bool[Tensor, " time"]]


def collate(items: list[Window]) -> Batch:
    """Pad windows at the end to the length of the longest. Raises InputError where they differ in signals.

    A task has a key if at least one window has its labels; the other windows are unscored for that task.
    """
    keys = set(items[0].signals)
    for item in items:
        if set(item.signals) != keys:
            raise InputError(
                f"clip {item.clip_id!r} has signals {sorted(item.signals)}, others of the batch have {sorted(keys)}"
            )
    widths = {key: target.shape[1] for item in items for key, target in item.target.items()}
    return Batch(
        clip_ids=tuple(item.clip_id for item in items),
        first_step=torch.tensor([item.first_step for item in items]),
        lengths=torch.tensor([len(item.times_s) for item in items]),
        times_s=_pad([item.times_s for item in items]),
        signals={key: _signal([item.signals[key] for item in items]) for key in items[0].signals},
        target={key: _pad([_target(item, key, width) for item in items]) for key, width in widths.items()},
        scored={key: _pad([_scored(item, key) for item in items]) for key in widths},
    )


def _target(item: Window, task: str, width: int) -> Tensor:
    return item.target.get(task, torch.zeros(len(item.times_s), width))


def _scored(item: Window, task: str) -> Tensor:
    return item.scored.get(task, torch.zeros(len(item.times_s), dtype=torch.bool))


def _signal(tracks: list[Track]) -> Signal:
    # copies: a source may return read-only memory, which torch does not accept
    return Signal(
        values=_pad_values([track.values for track in tracks]),
        times_s=_pad([torch.tensor(track.times_s) for track in tracks]),
        observed=_pad([torch.tensor(track.observed) for track in tracks]),
        lengths=torch.tensor([len(track) for track in tracks]),
    )


def _pad_values(values: list[np.ndarray]) -> Tensor:
    """``_pad`` in float32; every value is copied once."""
    longest = max(map(len, values))
    padded = np.empty((len(values), longest, values[0].shape[1]), np.float32)  # unlike torch's, of huge pages
    for into, each in zip(padded, values, strict=True):
        into[: len(each)], into[len(each) :] = each, 0
    return torch.from_numpy(padded)


def _pad(tensors: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
