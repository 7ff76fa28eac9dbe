"""The rows that a probe predicts: clips, or windows around frames; and in which parts they are held out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from abaw.configs.file import parse_section
from abaw.configs.sections import BY_GROUP, FoldsConfig
from abaw.dataset.annotations import Labels
from abaw.dataset.seen import unit_of
from abaw.errors import InputError
from abaw.folds import groups_of, part_groups
from abaw.probes.crossing import blocks_of, row_labels
from abaw.tasks.base import PredictionPair, Task

NUM_PARTS = 6  # in which groups are held out, where the user names no number
Spans = dict[str, np.ndarray]  # clip -> start and stop of its windows in seconds (window 2)


@dataclass(frozen=True)
class Rows:
    """What is predicted: of each row its clip, labels (row goal) and, of a task of frames, the windows of its clip."""

    task: Task
    clip_of: list[str]
    labels: np.ndarray
    groups: list[str]
    spans: Spans | None
    of_clip: Mapping[str, Labels]
    remarks: list[str] = field(default_factory=list)


def hold_out(rows: Rows, folds: int | str | None, seed: int) -> tuple[np.ndarray, int]:
    """The part that holds out each row, and how many there are. Raises InputError for less than two groups."""
    labels = {rows.task.name: {clip: rows.of_clip[clip] for clip in dict.fromkeys(rows.clip_of)}}
    groups = sorted(groups_of(labels))
    if len(groups) < 2:
        unit = unit_of(each.group for each in rows.of_clip.values())
        raise InputError(
            f"all {rows.task.name} labels are of one {unit} ({groups[0]!r}): a probe holds out whole {unit}s and needs "
            "two or more"
        )
    if folds == BY_GROUP:
        parts = [{group} for group in groups]
    else:
        num = min(NUM_PARTS, len(groups)) if folds is None else folds
        asked = parse_section(FoldsConfig, {"num": num, "seed": seed}, "the parts of a probe")
        if asked.number < 2:
            raise InputError(f"folds is {num}, expected 2 or more, or groups")
        parts = part_groups(labels, {rows.task.name: rows.task}, asked, has_official=False)
    part_of = {group: i for i, part in enumerate(parts) for group in part}
    return np.array([part_of[group] for group in rows.groups]), len(parts)


def pair_up(rows: Rows, predicted: np.ndarray) -> dict[str, PredictionPair]:
    """Predictions beside labels, by clip."""
    rows_of: dict[str, list[int]] = {}
    for i, clip in enumerate(rows.clip_of):
        rows_of.setdefault(clip, []).append(i)
    pairs = {}
    for clip, own in rows_of.items():
        labels = Labels(rows.labels[own], np.ones(len(own), bool), rows.of_clip[clip].group)
        pairs[clip] = PredictionPair(predicted[own], labels)
    return pairs


def score_of_chance(rows: Rows) -> float:
    """The ranking score of the same guess for every row: how frequent each class is, and the mean of each value."""
    guess, goal = [], 0
    for kind, width in blocks_of(rows.task):
        truth = rows.labels[:, goal : goal + (1 if kind == "classes" else width)]
        truth = truth[~np.isnan(truth).any(axis=1)]
        goal += truth.shape[1]
        is_class = truth == np.arange(width)
        guess.append((is_class if kind == "classes" else truth).mean(0))
    tables = np.tile(np.concatenate(guess).astype(np.float32), (len(rows.labels), 1))
    return float(next(iter(rows.task.score(pair_up(rows, row_labels(rows.task, tables))).values())))


def find_doubts(rows: Rows) -> list[str]:
    """What about the labels keeps a model from being right. Raises InputError where all are equal."""
    found, goal, column, num_varying = [], 0, 0, 0
    for kind, width in blocks_of(rows.task):
        names = rows.task.columns[column : column + width]
        truth = rows.labels[:, goal : goal + (1 if kind == "classes" else width)]
        goal, column = goal + truth.shape[1], column + width
        num_varying += int((np.nanmin(truth, axis=0) < np.nanmax(truth, axis=0)).sum())
        if kind == "values":
            same = [name for name, column in zip(names, truth.T, strict=True) if np.nanmin(column) == np.nanmax(column)]
            found += [f"{name} is the same in every row" for name in same]
        if kind == "classes":
            for label in np.unique(truth[~np.isnan(truth)]).astype(int):
                own = {rows.groups[i] for i in np.flatnonzero(truth[:, 0] == label)}
                if len(own) == 1:
                    name, group = names[label].removeprefix("p_"), own.pop()
                    found.append(f"{name} occurs in {group!r} alone: held out with it, no model has seen the class")
    if not num_varying:
        raise InputError(f"every {rows.task.name} label is the same: there is nothing to learn")
    return found
