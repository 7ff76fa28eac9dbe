"""Scores of subject-adapted tables: without the frames whose labels adapted the model, and those near them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.numbers import format_count
from abaw.results.predictions import Table
from abaw.results.subjects import subjects_words
from abaw.tasks.base import Task


def without_support(
    about: Mapping[str, Any], task: Task, tables: Mapping[str, Table], labels: Mapping[str, Labels]
) -> tuple[dict[str, Labels], list[str]]:
    """Labels at the frames of the tables, of which none was used for them or is within the gap of one that was, and
    remarks that say so. ``about``: predictions.json.
    """
    record = about.get("subjects")
    labels = {clip_id: each.at(tables[clip_id].times_s) for clip_id, each in labels.items()}
    if not record:
        return labels, []
    kept, num_support, num_near = dict(labels), 0, 0
    for person in record["persons"].values():
        for clip_id, frames in person["support"].items():
            if clip_id not in labels:
                continue
            scored, times_s = labels[clip_id].scored, tables[clip_id].times_s[: len(labels[clip_id])]
            used = np.zeros(len(scored), bool)
            used[[i - 1 for i in frames if i <= len(used)] if task.resolution == "frame" else slice(None)] = True
            near = used.copy()
            if task.resolution == "frame" and used.any():
                near |= np.abs(times_s[:, None] - times_s[used]).min(axis=1) < person["gap_s"]
            kept[clip_id] = replace(labels[clip_id], scored=scored & ~near)
            num_support += int((scored & used).sum())
            num_near += int((scored & near & ~used).sum())
    unit = "frame" if task.resolution == "frame" else "clip"
    gaps = sorted({person["gap_s"] for person in record["persons"].values()})
    near_words = f" and {format_count(num_near, unit)} within {', '.join(f'{gap:g}' for gap in gaps)} s of them"
    return kept, [
        subjects_words(record),
        f"not scored: {format_count(num_support, unit)} whose labels adapted the model"
        + (near_words if unit == "frame" else ""),
        "the labels of the persons were used: such a score is not to be compared with those of other predictions",
    ]
