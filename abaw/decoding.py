"""From raw windows to final predictions: stitched, gaps filled, smoothed, shifted. Pure functions on arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage, signal

if TYPE_CHECKING:
    from abaw.tasks.base import Task

Overlap = Literal["mean", "centre"]
Smoother = Literal["none", "box", "median", "gaussian", "savgol"]
Space = Literal["probabilities", "logits"]


def stitch(
    pieces: Iterable[tuple[int, Float[np.ndarray, "_ out"]]], num_steps: int, overlap: Overlap = "mean"
) -> Float[np.ndarray, "{num_steps} out"]:
    """One raw output a step from windows that may overlap: the mean of all that cover the step.

    A piece is its first step, counted from 0, and its rows. With ``overlap`` "centre" a row counts by how near it is to
    its window's middle (a triangle, at least one step high at the ends), with "mean" all alike. The mean is taken
    before probabilities or values are made of it, in float64, so that the order of the windows cannot show. Raises
    ValueError where there is no piece, one reaches beyond ``num_steps``, or a step is covered by none.
    """
    total: np.ndarray | None = None
    weight = np.zeros(num_steps)
    for first, rows in pieces:
        stop = first + len(rows)
        if first < 0 or stop > num_steps:
            raise ValueError(f"a window of steps {first} .. {stop - 1} does not lie in a clip of {num_steps} steps")
        if total is None:
            total = np.zeros((num_steps, rows.shape[1]))
        count = np.ones(len(rows))
        if overlap == "centre":
            count = np.minimum(np.arange(1, len(rows) + 1), np.arange(len(rows), 0, -1)).astype(float)
        total[first:stop] += count[:, None] * rows
        weight[first:stop] += count
    if total is None:
        raise ValueError(f"no window at all for a clip of {num_steps} steps: give windows that cover every step")
    if not weight.all():
        raise ValueError(
            f"step {int(np.flatnonzero(weight == 0)[0])} of {num_steps} is covered by no window: "
            "give windows with a stride up to their length, the last one ending at the last step"
        )
    return total / weight[:, None]


def fill(values: Float[np.ndarray, "time columns"], observed: Bool[np.ndarray, " time"]) -> np.ndarray:
    """Rows at unobserved steps from the line between the observed ones around them; at the ends the nearest one's.

    Nothing observed: as they are.
    """
    if not observed.any():
        return values
    steps = np.arange(len(values))
    return np.stack([np.interp(steps, steps[observed], column[observed]) for column in values.T], axis=1)


def smooth(values: Float[np.ndarray, "time columns"], smoother: Smoother, width: int) -> np.ndarray:
    """Every column over ``width`` frames (odd, centred); beyond the ends the last value goes on.

    "gaussian" has a standard deviation of a quarter of the width, "savgol" fits squares (Savitzky and Golay 1964) and
    leaves a clip shorter than its window as it is.
    """
    if smoother == "none" or width <= 1 or not len(values):
        return values
    if smoother == "box":
        return ndimage.uniform_filter1d(values, width, axis=0, mode="nearest")
    if smoother == "median":
        return ndimage.median_filter(values, size=(width, 1), mode="nearest")
    if smoother == "gaussian":
        return ndimage.gaussian_filter1d(values, width / 4, axis=0, mode="nearest", radius=width // 2)
    return values if len(values) < width else signal.savgol_filter(values, width, min(2, width - 1), axis=0)


@dataclass(frozen=True)
class Decoding:
    """What is done to a task's tables before they are decoded, the same for validation and test.

    Gaps are filled (``fills``), then columns smoothed over ``width`` frames in ``space``, then each is ``scale`` times
    itself plus ``shift`` as a logit (for valence and arousal: as a value): class biases and thresholds of units are
    shifts. Empty ``scale`` and ``shift``: 1 and 0. ``fitted_on`` names the videos whose labels it was fitted on: to
    score any of them with it is an error. Raises ValueError for settings that make no sense.
    """

    fills: bool = False
    smoother: Smoother = "none"
    width: int = 1
    space: Space = "probabilities"
    scale: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    fitted_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or self.width % 2 == 0:
            raise ValueError(f"decoding: width is {self.width}, expected an odd number of frames")
        for name, numbers in (("scale", self.scale), ("shift", self.shift)):
            if not np.isfinite(numbers).all():
                raise ValueError(f"decoding: {name} is {list(numbers)}, expected finite numbers")

    def apply(
        self, task: "Task", values: Float[np.ndarray, "time columns"], observed: Bool[np.ndarray, " time"]
    ) -> Float[np.ndarray, "time columns"]:
        """One clip's table, decoded so; float32. ValueError where scale or shift are not one a logit."""
        for name, numbers in (("scale", self.scale), ("shift", self.shift)):
            if numbers and len(numbers) != task.out_dim:
                raise ValueError(f"decoding: {name} has {len(numbers)} numbers, {task.name} has {task.out_dim} logits")
        values = fill(values, observed) if self.fills else values
        if self.space == "probabilities":
            values = smooth(values, self.smoother, self.width)
        logits = task.logits(values)
        if self.space == "logits":
            logits = smooth(logits, self.smoother, self.width)
        scaled = logits * np.array(self.scale or [1.0]) + np.array(self.shift or [0.0])
        return task.probabilities(scaled)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def read_decoding(document: Mapping[str, Any], place: str) -> Decoding:
    """The inverse of ``document``. ValueError names ``place`` and the key that is wrong."""
    known = Decoding.__dataclass_fields__
    for key in document:
        if key not in known:
            raise ValueError(f"{place}: unknown key {key!r} in decoding; known: {', '.join(known)}")
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
    try:
        return Decoding(**given)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{place}: {error}") from error
