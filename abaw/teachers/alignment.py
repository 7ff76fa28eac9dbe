"""Teachers' means of values over clips, drawn together until they vary as little as those of labels.

On persons whose labels they have not seen, teachers are often right about what changes within a clip and wrong by an
offset that stays the same all through it. Their means over clips then vary more than those of labels. To give the
outputs on material without labels the distribution of labels is distribution alignment (Berthelot et al. 2020,
ReMixMatch, arXiv 1911.09785, for classes); here it is the spread of the means of clips.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.numbers import format_count
from abaw.tasks.base import Task

MIN_CLIPS = 3  # on either side: the spread of fewer means says nothing


@dataclass(frozen=True)
class AlignedValue:
    """One value of a task: its column in tables and in labels.

    ``means``: of its labels, by clip; ``bare``: the clips that get targets and have no label of it.
    """

    column: int
    means: Mapping[str, float]
    bare: tuple[str, ...]

    def compute_shifts(self, taught: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """The factor by which the means of clips approach that of labels, and what to add to each clip's values.

        ``taught``: the teachers' mean of each clip without a label. The factor is the standard deviation of the labels'
        means over that of the teachers' means, and 1 at most, so that means never move apart.
        """
        labelled, guessed = np.array(list(self.means.values())), np.array(list(taught.values()))
        spread = guessed.std(ddof=1) if len(guessed) > 1 else 0.0
        factor = min(1.0, float(labelled.std(ddof=1) / spread)) if spread else 1.0
        return factor, {clip_id: (factor - 1) * (mean - labelled.mean()) for clip_id, mean in taught.items()}


def find_values(task: Task, clips: Sequence[str], labels: Mapping[str, Labels]) -> list[AlignedValue]:
    """The values of a task that can be aligned in ``clips``, those that get targets; [] where the task has none.

    Raises InputError where the labels of a value, or the clips without one, are too few to have a spread.
    """
    found: list[AlignedValue] = []
    column = goal = 0
    for kind, width in task.blocks if task.resolution == "frame" else ():
        for offset in range(width if kind == "values" else 0):
            means = {}
            for clip_id, each in labels.items():
                own = each.values[:, goal + offset]
                frames = np.where(np.isnan(own), 0, each.count_frames())
                if frames.any():
                    means[clip_id] = float(np.average(np.nan_to_num(own), weights=frames))
            bare = tuple(clip_id for clip_id in clips if clip_id not in means)
            if min(len(means), len(bare)) < MIN_CLIPS:
                raise InputError(
                    f"align_clips compares how the means of clips vary, but {task.columns[column + offset]} has labels "
                    f"in {format_count(len(means), 'clip')}, and {format_count(len(bare), 'clip')} with tables and "
                    f"without labels: it needs {MIN_CLIPS} of each; set it to false"
                )
            found.append(AlignedValue(column + offset, means, bare))
        column, goal = column + width, goal + (1 if kind == "classes" else width)
    return found


def check_alignable(tasks: Mapping[str, Task]) -> None:
    """Raises InputError where no task has values for each frame."""
    if not any(kind == "values" for task in tasks.values() if task.resolution == "frame" for kind, _ in task.blocks):
        raise InputError(
            f"align_clips aligns values of frames, which {', '.join(tasks)} does not have: set it to false, or name "
            "tables of va"
        )


def shift_table(
    table: Float[np.ndarray, "time columns"], shifts: Mapping[int, float]
) -> Float[np.ndarray, "time columns"]:
    """The table with a constant added to some columns."""
    shifted = table.copy()
    for column, shift in shifts.items():
        shifted[:, column] += shift
    return shifted
