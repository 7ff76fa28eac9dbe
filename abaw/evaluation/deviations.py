"""How often the intervals of a folder's standard deviations hold the labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from abaw.postprocessing import PostProcessing
from abaw.results.deviations import post_process_deviations
from abaw.results.predictions import Table
from abaw.tasks.base import PredictionPair, Task

LEVEL, WIDTH = "90 %", 1.6448536  # of a normal distribution: 90 % lie within so many standard deviations


def deviation_remarks(
    task: Task,
    tables: Mapping[str, Table],
    pairs: Mapping[str, PredictionPair],
    kept: PostProcessing | None,
    about: Mapping[str, Any],
) -> list[str]:
    """A line on the intervals around the final values of ``pairs``; none where a table has no deviations.

    ``kept``: the post-processing of the tables, ``about``: their predictions.json.
    """
    inside: dict[str, list[np.ndarray]] = {column: [] for column in task.linear_columns}
    for clip_id, pair in pairs.items():
        deviations = tables[clip_id].deviations
        if not deviations:
            return []
        deviations = post_process_deviations(kept, task, deviations)
        for column, found in inside.items():
            goal = task.goals.index(column)
            truth, predicted = pair.labels.values[:, goal], pair.prediction[:, goal]
            scored = pair.labels.scored & ~np.isnan(truth)
            apart = abs(predicted - truth) <= WIDTH * deviations[column][: len(truth)]
            found.append(apart[scored])
    shares = {column: np.concatenate(found) for column, found in inside.items()}
    words = ", ".join(f"{share.mean():.0%} of {column}" for column, share in shares.items() if len(share))
    if not words:
        return []
    sources = sorted({str(each) for each in (about.get("deviations") or {}).values()})
    return [f"last-layer {LEVEL} intervals hold {words}" + (f" ({'; '.join(sources)})" if sources else "")]
