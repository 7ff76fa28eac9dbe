"""Post-processing is applied to a submission; its summary says what the predictions are made of."""

import re

import numpy as np
import pytest

from abaw.challenge import submission
from abaw.tasks import TASKS
from tests.support.abaw.submissions import lines_of, predicted, template

VA, EXPR, CE, MTL = (TASKS.build(name) for name in ("va", "expr", "ce", "mtl"))
ABOUT = {"run": ["runs/a"], "commit": "abc", "label_tasks_seen": ["va"], "subject_adapted": False}


def test_a_folders_post_processing_is_applied_and_reported(tmp_path):
    sample = template(tmp_path, ["b/00001.jpg", "b/00002.jpg", "b/00003.jpg"])
    document = {"fill_gaps": True, "scale": [1.0, 2.0], "bias": [0.0, 0.1], "fitted_on": ["x", "y"]}
    predicted(tmp_path / "p", about={**ABOUT, "post_processing": document}, b=[[0.1, 0.1], [0.9, 0.9], [0.3, 0.3]])
    assert lines_of(tmp_path, sample)[1:] == [
        "b/00001.jpg,0.100000,0.300000",
        "b/00002.jpg,0.200000,0.500000",  # not observed: between its neighbours
        "b/00003.jpg,0.300000,0.700000",
    ]
    summary = submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert summary.notes[-1] == "post-processing applied, fitted on 2 videos"
    predicted(tmp_path / "p", about=ABOUT, b=[[0.1, 0.1], [0.9, 0.9], [0.3, 0.3]])
    summary = submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert summary.notes[-1] == "no post-processing: raw tables"


def test_a_post_processing_that_is_broken_is_named_and_nothing_is_written(tmp_path):
    predicted(tmp_path / "p", about={"post_processing": {"bias": [1.0]}}, b=[[0, 0]])
    with pytest.raises(ValueError, match="bias has 1 numbers"):
        submission.submit(tmp_path / "p", template(tmp_path, ["b/00001.jpg"]), tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


def notes(folder, about, task=VA):
    """The summary's lines after the first."""
    predicted(folder / "p", task, about, b=task.probabilities(np.zeros((1, task.out_dim))))
    sample = template(folder, ["b/00001.jpg"], task=task)
    return str(submission.submit(folder / "p", sample, folder / "out.txt")).splitlines()[1:-1]


def test_the_summary_says_what_the_predictions_are_made_of(tmp_path):
    assert notes(tmp_path, ABOUT) == ["made by run runs/a; commit abc; labels seen: va; not subject-adapted"]
    ensemble = {"how": "weighted", "weights": [0.5, 0.5], "members": ["p1", "p2"]}
    several = {**ABOUT, "run": ["runs/a", "runs/b"], "ensemble": ensemble, "subject_adapted": True}
    assert notes(tmp_path, several) == [
        "made by 2 runs runs/a, runs/b; commit abc; labels seen: va; ensemble of 2 members (weighted); subject-adapted"
    ]


def test_what_is_not_known_of_the_predictions_is_said(tmp_path):
    assert notes(tmp_path, {}) == [
        "provenance unknown: predictions.json does not say run, commit, label_tasks_seen, subject_adapted"
    ]
    assert notes(tmp_path, {**ABOUT, "subject_adapted": None, "label_tasks_seen": None}) == [
        "provenance unknown: predictions.json does not say label_tasks_seen, subject_adapted",
        "made by run runs/a; commit abc",
    ]
    (tmp_path / "p" / "va" / "predictions.json").unlink()
    summary = submission.submit(tmp_path / "p", template(tmp_path, ["b/00001.jpg"]), tmp_path / "out.txt")
    assert summary.notes[0] == "provenance unknown: no predictions.json beside the tables"


@pytest.mark.parametrize(
    ("task", "seen", "words"),
    [
        (
            VA,
            ["expr", "va"],
            "warning: uni-task rule: these va predictions are by a run that was trained on expr labels; va",
        ),
        (
            EXPR,
            ["au", "expr", "mtl"],
            "warning: uni-task rule: these expr predictions .* trained on au, mtl labels; expr",
        ),
        (
            MTL,
            ["mtl", "va"],
            "warning: these mtl predictions are by a run that was trained on va labels; mtl .* s-Aff-Wild2",
        ),
        (VA, ["va"], None),
        (VA, ["emi", "va"], None),  # labels of other data may be used
        (MTL, ["mtl"], None),
        (CE, ["expr"], None),
    ],
)
def test_labels_that_the_challenge_does_not_allow_are_warned_of(tmp_path, task, seen, words):
    warnings = [line for line in notes(tmp_path, {**ABOUT, "label_tasks_seen": seen}, task) if "warning" in line]
    assert len(warnings) == (words is not None)
    if words:
        assert re.match(words, warnings[0])
