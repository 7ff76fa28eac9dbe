"""Tasks whose columns a data set defines: classes and values."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.evaluation.intervals import intervals
from abaw.tasks import TASKS, for_dataset, tasks_for
from abaw.tasks.base import PredictionPair, Task, is_count
from tests.support.abaw.manifests import open_manifest

NAMES = ["angry", "happy", "neutral"]
SOFT = "classes: {columns: {angry: p_a, happy: p_h, neutral: p_n}}\n"
PAIN = "values: {columns: [pain, effort], range: {pain: [0, 10], effort: [-1, 1]}}\n"


def pairs(predicted, truths):
    """Clips of one row."""
    rows = [
        (np.array([p], float).reshape(1, -1), np.array([t], np.float32).reshape(1, -1))
        for p, t in zip(predicted, truths, strict=True)
    ]
    return {f"{i}": PredictionPair(p, Labels(t, np.ones(1, bool))) for i, (p, t) in enumerate(rows)}


def test_a_task_without_its_data_set_has_no_column_and_no_clips(tmp_path):
    for name in ("classes", "values"):
        task = TASKS.build(name)
        assert (task.columns, task.out_dim) == ((), 0)
        bare = open_manifest(tmp_path / name, "path\na.wav\n", "", media=["a.wav"])
        assert task.for_dataset(bare) is task
        assert name not in tasks_for(bare)
        with pytest.raises(
            ValueError, match=f"does not define {name}: expected a data set file with the keys manifest and"
        ):
            for_dataset({name: task}, bare)


def test_names_and_level_are_those_of_the_data_set(tmp_path):
    dataset = open_manifest(
        tmp_path, "path,emotion\na.wav,hap\nb.wav,angry\nc.wav,\n", media=["a.wav", "b.wav", "c.wav"]
    )
    task = TASKS.build("classes").for_dataset(dataset)
    assert task.columns == ("p_angry", "p_happy", "p_neutral")
    assert (task.resolution, task.goals) == ("clip", ("class",))
    assert tasks_for(dataset)["classes"].settings() == task.settings()
    labels = task.read_labels(dataset, "train")
    assert {clip: each.values.tolist() for clip, each in labels.items() if each.scored.any()} == {
        "a": [[1]],
        "b": [[0]],
    }
    assert task.clips(dataset, "train") == ("a", "b", "c")
    again = TASKS.build("classes", **task.settings())
    assert again.for_dataset(dataset).settings() == task.settings()


def test_a_run_reads_the_classes_of_another_data_set_in_its_own_order(tmp_path):
    dataset = open_manifest(tmp_path, "path,emotion\na.wav,happy\n", media=["a.wav"])
    task = TASKS.build("classes", class_names=["sad", "neutral", "happy", "angry"]).for_dataset(dataset)
    assert task.read_labels(dataset, "train")["a"].values.tolist() == [[2]]
    with pytest.raises(ValueError, match="has the class 'neutral', the task has angry, happy"):
        TASKS.build("classes", class_names=["angry", "happy"]).for_dataset(dataset)
    with pytest.raises(ValueError, match="labels for every clip, but classes has level frame"):
        TASKS.build("classes", level="frame").for_dataset(dataset)


def test_shares_of_classes_train_softly_and_are_scored_by_the_largest(tmp_path):
    dataset = open_manifest(tmp_path, "path,p_a,p_h,p_n\na.wav,0.2,0.7,0.1\n", SOFT, media=["a.wav"])
    task = TASKS.build("classes").for_dataset(dataset)
    labels = task.read_labels(dataset, "train")["a"]
    np.testing.assert_allclose(labels.values, [[1, 0.2, 0.7, 0.1]], atol=1e-6)
    assert task.strata(labels).tolist() == [1]
    raw = torch.tensor([[[0.3, -0.2, 0.1]]], requires_grad=True)
    loss = task.loss(raw, torch.tensor(labels.values)[None], torch.ones(1, 1, dtype=torch.bool))
    expected = -(torch.tensor([0.2, 0.7, 0.1]) * raw[0, 0].log_softmax(-1)).sum()
    torch.testing.assert_close(loss, expected)
    pair = PredictionPair(task.to_labels(task.probabilities(np.array([[0.0, 3.0, 1.0]]))), labels)
    assert task.score({"a": pair})["accuracy"] == 1


def test_classes_without_a_label_do_not_enter_the_mean():
    task = TASKS.build("classes", class_names=[*NAMES, "sad", "tired"], level="clip")
    found = pairs([0, 1, 1, 3], [0, 1, 0, 0])
    scores = task.score(found)
    assert scores["F1"] == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert scores["UAR"] == pytest.approx((1 / 3 + 1) / 2)
    assert (scores["classes"], scores["n"], scores["accuracy"]) == (2, 4, 0.5)
    assert [name for name in scores if name.startswith("F1_")] == ["F1_angry", "F1_happy"]
    (remark,) = task.remarks(found)
    assert remark == (
        "F1 and UAR are means over 2 of 5 classes: no label is neutral or sad or tired (1 row predicted as such)"
    )
    assert replace(task, class_names=("a", "b")).remarks(pairs([0, 1], [0, 1])) == ()


def test_the_intervals_of_own_tasks_follow_from_pooled_statistics():
    rng = np.random.default_rng(0)
    for name, settings in (
        ("classes", {"class_names": NAMES, "level": "clip"}),
        ("values", {"value_names": ["pain"], "ranges": [[0, 10]], "level": "clip"}),
    ):
        task = TASKS.build(name, **settings)
        truths = rng.integers(0, 3, 30) * (1.0 if name == "classes" else 3.3)
        predicted = np.where(rng.random(30) < 0.7, truths, truths[::-1])
        found = pairs(predicted, truths)
        groups = [{clip: each} for clip, each in found.items()]
        counts = rng.multinomial(30, np.full(30, 1 / 30), size=4)
        fast, slow = task.resampled_scores(groups)(counts), Task.resampled_scores(task, groups)(counts)
        for key, values in slow.items():
            np.testing.assert_allclose(fast[key], values, err_msg=f"{name} {key}", atol=1e-9)
        low, high = intervals(task, found)[next(iter(task.score(found)))]
        assert low < next(iter(task.score(found).values())) < high


def test_values_are_scored_in_their_own_range(tmp_path):
    table = "path,pain,effort\na.wav,0,-1\nb.wav,5,0\nc.wav,10,1\n"
    dataset = open_manifest(tmp_path, table, PAIN, media=["a.wav", "b.wav", "c.wav"])
    task = TASKS.build("values").for_dataset(dataset)
    assert (task.columns, task.ranges) == (("pain", "effort"), ((0, 10), (-1, 1)))
    labels = task.read_labels(dataset, "train")
    assert labels["b"].values.tolist() == [[5, 0]]
    raw = np.array([[0.5, 0.5], [0.9, -3.0]])
    table = task.probabilities(raw)
    np.testing.assert_allclose(table, [[7.5, 0.5], [9.5, -3.0]])
    np.testing.assert_allclose(task.logits(table), raw, atol=1e-6)
    np.testing.assert_allclose(task.to_labels(table), [[8.5, -1.0]])  # the mean, in range
    predicted = {clip: PredictionPair(each.values - [[1, 0]], each) for clip, each in labels.items()}
    scores = task.score(predicted)
    assert scores["RMSE_pain"] == pytest.approx(1)
    assert scores["RMSE"] == pytest.approx(0.5)
    assert scores["Pearson_pain"] == pytest.approx(1)
    assert scores["CCC_pain"] < scores["CCC_effort"] == pytest.approx(1)
    assert (next(iter(scores)), scores["n"]) == ("CCC", 3)
    beyond = {clip: replace(each, prediction=np.array([[10.0, 0.5]])) for clip, each in predicted.items()}
    assert task.remarks(predicted) == ()
    assert task.remarks(beyond)[0].startswith("67% of the predictions of pain left its range, 0 to 10:")
    with pytest.raises(ValueError, match="'pain' is 0 to 10, but the task's is 0 to 1"):
        TASKS.build("values", value_names=["pain"], ranges=[[0, 1]]).for_dataset(dataset)
    with pytest.raises(ValueError, match="no 'heat'"):
        TASKS.build("values", value_names=["heat"]).for_dataset(dataset)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("classes", {"class_names": ["a"]}, "'a' alone, expected two or more"),
        ("classes", {"class_names": ["a", "a"]}, "'a' is there twice"),
        ("classes", {"class_names": ["a", " b"]}, "spaces around"),
        ("classes", {"class_names": ["a", "\u2800\u0301"]}, "is empty or looks so"),
        ("values", {"value_names": ["time_s"]}, "'time_s' is a column of every table"),
        ("values", {"value_names": ["person"]}, "'person' is a column of every table"),
        ("values", {"value_names": ["a", "a_spread"]}, "'a_spread' is the column of a standard deviation"),
        ("values", {"value_names": ["a"], "ranges": [[1, 1]]}, "not a lowest and a higher"),
        ("values", {"value_names": ["a"], "ranges": [[1, 2], [1, 2]]}, "ranges has 2 entries, expected 1"),
        ("values", {"value_names": ["a"], "level": "clip", "ccc_over": "sequence"}, "a clip has a single label"),
    ],
)
def test_names_that_cannot_be_used_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        TASKS.build(name, **settings)


@pytest.mark.parametrize("name", ["F1_yes/no", "F1_<b>x</b>", "F1_y/n", "expr/F1_y/n", "F1_a_b", "va/CCC_x/classes"])
def test_a_slash_in_the_name_of_a_class_does_not_hide_what_its_score_measures(name):
    task = TASKS.build("classes", class_names=["a", "b"])
    assert task.score_range(name) == ((-1.0, 1.0) if "CCC" in name else (0.0, 1.0))
    assert not is_count(name)


@pytest.mark.parametrize("name", ["n", "classes", "va/n"])
def test_counts_are_no_scores(name):
    assert is_count(name)
