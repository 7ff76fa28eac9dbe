"""Clips of every task: which is the worst, and predictions beside labels, frame by frame."""

from pathlib import Path

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from abaw.evaluation.labelled_tables import LabelledPredictions
from abaw.evaluation.report import result
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from abaw.views.report.clip_blocks import all_blocks, blocks_of_clip
from abaw.views.report.facts import TaskFacts
from abaw.views.report.ranking import rank_clips, rank_together
from abaw.views.report.sections.clips import _num_drawn, decisions

NUM = 30
GOOD, BAD = "good", "bad"
NAMES = {"class_names": ["<calm>", "angry"]}
SETTINGS = [
    ("va", {}, "RMSE"),
    ("expr", {}, "accuracy"),
    ("au", {}, "accuracy"),
    ("mtl", {}, "score"),
    ("ce", {}, "accuracy"),
    ("emi", {}, "RMSE"),
    ("ah", {"level": "clip"}, "accuracy"),
    ("ah", {"level": "frame"}, "accuracy"),
    ("classes", {"level": "clip", **NAMES}, "probability of the label"),
    ("classes", {"level": "frame", **NAMES}, "accuracy"),
    ("values", {"level": "clip", "value_names": ["energy"], "ranges": [[-1, 1]]}, "RMSE"),
]


def label_of(task, num):
    """A label of every goal: it alternates over the frames."""
    columns = []
    for kind, width in all_blocks(task):
        for i in range(1 if kind == "classes" else width):
            turns = (np.arange(num) + i) % 2
            columns.append(turns if kind != "values" else 0.2 + 0.5 * turns)
    return np.stack(columns, axis=1).astype(np.float32)


def raw_of(task, label, sign):
    """Raw outputs that say the label, or with ``sign`` -1 its opposite."""
    found, goal = [], 0
    for kind, width in all_blocks(task):
        own = label[:, goal : goal + (1 if kind == "classes" else width)]
        if kind == "classes":
            found.append(sign * 4.0 * (own == np.arange(width)))
        else:
            found.append(own * sign if kind == "values" else sign * 4.0 * (2 * own - 1))
        goal += own.shape[1]
    return np.concatenate(found, axis=1)


def facts_of(name, settings):
    task = TASKS.build(name, **settings)
    labels, tables = {}, {}
    for clip_id, sign in ((GOOD, 1), (BAD, -1)):
        is_frame = task.resolution == "frame"
        values = label_of(task, NUM - 2 if is_frame else 1)
        scored = np.ones(len(values), bool)
        scored[3:5] = False
        labels[clip_id] = Labels(values, scored)
        raw = raw_of(task, np.resize(values, (NUM, values.shape[1])), sign)
        clock = np.arange(1, NUM + 1), np.arange(NUM) / 25, np.ones(NUM, bool)
        tables[clip_id] = Table(*clock, task.probabilities(raw), task.columns)
    labelled = LabelledPredictions(Path("p"), task, "validation", labels, tables, {}, None, {}, ())
    return TaskFacts(labelled, result(labelled, 100, 0))


@pytest.mark.parametrize(("name", "settings", "measure"), SETTINGS, ids=lambda each: str(each)[:20])
def test_the_clip_with_the_wrong_predictions_comes_first(name, settings, measure):
    facts = facts_of(name, settings)
    found = rank_clips(facts)
    assert (found.name, [*found.values]) == (measure, [BAD, GOOD])
    assert (found.values[BAD] > found.values[GOOD]) == found.is_error
    together = rank_together([found, found])
    assert together.values == pytest.approx(found.values)
    assert "mean over the folders" in together.why


@pytest.mark.parametrize(("name", "settings", "measure"), SETTINGS, ids=lambda each: str(each)[:20])
def test_blocks_have_a_row_a_frame_and_no_label_where_a_frame_is_not_scored(name, settings, measure):
    facts = facts_of(name, settings)
    task, labels = facts.labelled.task, facts.labelled.labels[GOOD]
    blocks = blocks_of_clip(task, facts.final_values(GOOD), labels)
    assert sum(len(each.names) for each in blocks) == len(task.columns)
    for block in blocks:
        assert block.prediction.shape == block.label.shape
        known = np.isfinite(block.label).all(axis=1)
        expected = np.ones(NUM, bool)
        if task.resolution == "frame":
            expected[[3, 4, NUM - 2, NUM - 1]] = False
        assert known.tolist() == expected.tolist()
        if block.kind != "values":
            assert np.array_equal(np.round(block.prediction[known]), block.label[known])


def test_only_a_task_of_one_class_a_clip_has_a_decision_for_each_clip():
    assert decisions(facts_of("classes", {"level": "clip", **NAMES}), BAD) == {"label": "<calm>", "predicted": "angry"}
    assert decisions(facts_of("expr", {}), BAD) == {}


def test_of_many_folders_fewer_clips_are_drawn_so_that_the_page_opens():
    assert [_num_drawn(10, num) for num in (1, 2, 6, 30, 100)] == [10, 10, 10, 2, 1]
    assert (_num_drawn(100, 1), _num_drawn(0, 30)) == (100, 0)
