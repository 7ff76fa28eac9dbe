"""Ambivalence and hesitancy, of videos and of frames: labels, loss, score, rows."""

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import open_dataset
from abaw.dataset.split_files import read_ambivalence
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair
from tests.support.abaw.split_files import written


def test_ambivalence_is_read_a_video_or_a_frame_as_the_level_says(tmp_path):
    written(tmp_path / "video/train.txt", "Videos/8/Visite_1/8_Q1.mp4,1,well, I do not know", "Videos/9/9_Q2.mp4,0,")
    written(tmp_path / "frame/train.txt", "8/8_Q1.mp4/frame-3.jpg,1", "8/8_Q1.mp4/frame-0.jpg,0")
    dataset = open_dataset(tmp_path)
    videos, frames = TASKS.build("ah"), TASKS.build("ah", level="frame")
    assert (videos.resolution, frames.resolution) == ("clip", "frame")
    found = videos.read_labels(dataset, "train")
    assert {clip: each.values.tolist() for clip, each in found.items()} == {"8_Q1": [[1.0]], "9_Q2": [[0.0]]}
    (labels,) = frames.read_labels(dataset, "train").values()
    assert (labels.scored.tolist(), labels.values[:, 0].tolist()) == ([True, False, False, True], [0, 0, 0, 1])
    assert videos.clips(dataset, "train") == ("8_Q1", "9_Q2")
    assert frames.clips(dataset, "train") == ("8_Q1",)
    assert videos.read_labels(dataset, "validation") == {} == frames.read_labels(dataset, "validation")


AMBIVALENCE_FAULTS = {
    ("ah_clip", "b.mp4,2,x"): "2: the label is '2', expected 0 or 1",
    ("ah_clip", "b.mp4"): "2: the label is '', expected 0 or 1",
    ("ah_clip", "a.mp4,1"): "2: 'a.mp4' has other labels on line 1",
    ("ah_frame", "b.mp4,1"): r"2: 'b.mp4' names no clip, expected <video>/frame-<number>.jpg",
    ("ah_frame", "a.mp4/frame-0.jpg,1"): "2: 'a.mp4/frame-0.jpg' has other labels on line 1",
}


@pytest.mark.parametrize(("kind", "text"), AMBIVALENCE_FAULTS)
def test_a_broken_row_of_ambivalence_is_named_by_file_and_line(tmp_path, kind, text):
    good = "a.mp4,0" if kind == "ah_clip" else "a.mp4/frame-0.jpg,0"
    with pytest.raises(ValueError, match="train.txt:" + AMBIVALENCE_FAULTS[kind, text]):
        read_ambivalence(written(tmp_path / "train.txt", good, text), kind)


def test_the_score_of_ambivalence_is_the_mean_f1_of_yes_and_no():
    truth = Labels(np.array([[0.0], [0.0], [0.0], [1.0]], np.float32), np.ones(4, bool))
    scores = TASKS.build("ah", level="frame").score(
        {"a": PredictionPair(np.array([[0.0], [0.0], [1.0], [1.0]]), truth)}
    )
    # no: 2 hits of 2 predicted and 3 true: 4/5; yes: 1 hit of 2 predicted and 1 true: 2/3
    assert (scores["F1_no"], scores["F1_yes"]) == pytest.approx((4 / 5, 2 / 3))
    assert scores["F1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores["accuracy"] == 0.75


def test_ambivalence_weighs_its_two_classes():
    task = TASKS.build("ah", level="frame", class_weights=[1.0, 3.0])
    raw, target = torch.tensor([[[0.3], [-0.2]]]), torch.tensor([[[1.0], [0.0]]])
    loss = task.loss(raw, target, torch.ones(1, 2, dtype=torch.bool)).item()
    yes, no = -np.log(1 / (1 + np.exp(-0.3))), -np.log(1 - 1 / (1 + np.exp(0.2)))
    assert loss == pytest.approx((3 * yes + no) / 4, abs=1e-6)
    labels = Labels(np.repeat([0.0, 1.0], [30, 10])[:, None].astype(np.float32), np.ones(40, bool))
    fitted = TASKS.build("ah", class_balance=1.0).fitted({"a": labels}).settings()
    assert fitted["class_weights"] == pytest.approx([2 / 3, 2.0], abs=1e-6)
    for settings, words in (
        ({"class_weights": [1.0]}, "ah: class_weights are .*, expected 2 numbers"),
        ({"class_balance": -1.0}, "ah: class_balance is -1.0"),
        ({"level": "video"}, "task 'ah': level is 'video', expected one of clip, frame"),
    ):
        with pytest.raises(ValueError, match=words):
            TASKS.build("ah", **settings)


def test_rows_of_ambivalence_hold_probabilities_that_add_up_to_exactly_one():
    task = TASKS.build("ah")
    for p in np.random.default_rng(0).random(2000).astype(np.float32):
        text = task.row(np.array([float(p > 0.5), p]))
        no, yes, label = text.split(",")
        assert float(no) + float(yes) == 1.0
        assert (abs(float(yes) - p) < 6e-7, label) == (True, str(int(p > 0.5)))
        np.testing.assert_allclose(task.parse_row(text), [p > 0.5, p], atol=6e-7)
    assert task.parse_row("1").tolist() == [1.0, 1.0]
    assert TASKS.build("ah", level="frame").row(np.array([1.0])) == "1"


AMBIVALENCE_ROWS = {
    "0.5,0.5000001,1": r"add up to 1.00000009\d*, not to 1",
    "0.5,0.4,1": "add up to 0.9, not to 1",
    "0.5,0.5": "does not end with the class",
    "0.5,0.5,2": "does not end with the class",
    "1.5,-0.5,1": "is not two probabilities and the class",
    "0.5, 0.5,1": "is not two probabilities and the class",
    "0.5,1": "is not two probabilities and the class",
}


@pytest.mark.parametrize("text", AMBIVALENCE_ROWS)
def test_a_row_of_ambivalence_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=f"'{text}'.* {AMBIVALENCE_ROWS[text]}"):
        TASKS.build("ah").parse_row(text)
    with pytest.raises(ValueError, match="does not end with the class|expected the class alone"):
        TASKS.build("ah", level="frame").parse_row(text)
