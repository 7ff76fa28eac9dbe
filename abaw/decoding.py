"""From windows of raw outputs to one value a frame: pure functions on arrays."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float


def stitch(
    pieces: Iterable[tuple[int, Float[np.ndarray, "_ out"]]], num_steps: int
) -> Float[np.ndarray, "{num_steps} out"]:
    """One raw output a step from windows that may overlap: the plain mean of all that cover the step.

    A piece is its first step, counted from 0, and its rows. The mean is taken before probabilities or values are made
    of it, in float64, so that the order of the windows cannot show. Raises ValueError where there is no piece, one
    reaches beyond ``num_steps``, or a step is covered by none.
    """
    total: np.ndarray | None = None
    count = np.zeros(num_steps, np.int64)
    for first, rows in pieces:
        stop = first + len(rows)
        if first < 0 or stop > num_steps:
            raise ValueError(f"a window of steps {first} .. {stop - 1} does not lie in a clip of {num_steps} steps")
        if total is None:
            total = np.zeros((num_steps, rows.shape[1]))
        total[first:stop] += rows
        count[first:stop] += 1
    if total is None:
        raise ValueError(f"no window at all for a clip of {num_steps} steps: give windows that cover every step")
    if not count.all():
        raise ValueError(
            f"step {int(np.flatnonzero(count == 0)[0])} of {num_steps} is covered by no window: "
            "give windows with a stride up to their length, the last one ending at the last step"
        )
    return total / count[:, None]
