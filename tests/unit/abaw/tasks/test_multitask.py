"""MTL's labels and its three parts side by side: loss, score, rows."""

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import open_dataset
from abaw.dataset.names import ACTION_UNITS
from abaw.dataset.split_files import read_multitask
from abaw.metrics import concordance, macro_f1, unit_f1
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair
from tests.support.abaw.split_files import written

HEADER = "image,valence,arousal,expression," + ",".join(ACTION_UNITS)
UNITS = "0,1,0,0,0,0,1,0,0,0,1,0"
NONE = ",".join(["-1"] * 12)
PARTS = {"va": slice(0, 2), "expr": slice(2, 3), "au": slice(3, 15)}
OUTS = {"va": slice(0, 2), "expr": slice(2, 10), "au": slice(10, 22)}


def test_rows_become_clips_from_frame_1_to_the_last_labelled_image(tmp_path):
    path = written(
        tmp_path / "training_set_annotations.txt",
        HEADER,
        f"a/00004.jpg,0.5,-0.25,3,{UNITS}",
        f"b_left/00001.jpg,-5,-5,0,{NONE}",
        f"a/00002.jpg,0.1,0.2,-1,{NONE}",
        f"a/00009.jpg,-5,-5,-1,{NONE}",  # listed, and without any label
    )
    labels = read_multitask(path)
    assert list(labels) == ["a", "b_left"]
    assert labels["a"].scored.tolist() == [False, True, False, True]
    np.testing.assert_allclose(labels["a"].values[3], [0.5, -0.25, 3, *map(float, UNITS.split(","))])
    assert np.isnan(labels["a"].values[1]).tolist() == [False, False, True] + [True] * 12
    assert not labels["a"].values[[0, 2]].any()
    assert np.isnan(labels["b_left"].values[0]).tolist() == [True, True, False] + [True] * 12
    task = TASKS.build("mtl")
    assert task.read_labels(open_dataset(tmp_path), "train").keys() == {"a", "b_left"}
    assert task.read_labels(open_dataset(tmp_path), "validation") == {}
    assert task.clips(open_dataset(tmp_path), "train") == ("a", "b_left")
    assert task.clips(open_dataset(tmp_path), "test") == ()


@pytest.mark.parametrize("text", ["-5,0.5", "0.5,-5", "-5.0,-5.0"])
def test_one_sentinel_makes_a_part_unlabelled(tmp_path, text):
    for units in (NONE, "-1" + ",1" * 11, "0," * 11 + "-1"):
        path = written(tmp_path / "x.txt", HEADER, f"a/00001.jpg,{text},2,{units}", f"b/00001.jpg,{text},-1,{units}")
        found = read_multitask(path)
        assert np.isnan(found["a"].values[0]).tolist() == [True, True, False] + [True] * 12
        assert found["a"].scored.tolist() == [True]
        assert (found["b"].scored.tolist(), found["b"].values.any()) == ([False], False)


def test_rows_that_repeat_an_image_count_once_and_fill_each_other(tmp_path):
    rows = [f"a/00001.jpg,0.5,0.5,-1,{NONE}", f"b/00002.jpg,0,0,1,{UNITS}", f"a/00001.jpg,-5,-5,3,{NONE}"]
    rows.append(f"b/00001.jpg,0,0,1,{UNITS}")
    path = written(tmp_path / "training_set_annotations.txt", HEADER, *rows, *rows)
    found = read_multitask(path)
    np.testing.assert_array_equal(found["a"].values, [[0.5, 0.5, 3] + [np.nan] * 12])
    assert len(found["b"]) == 2
    assert open_dataset(tmp_path).listing("mtl", "train").num_repeats == 5


BROKEN = {
    f"a/00001.jpg,0.1,0.2,3,{UNITS}": r"4: 'a/00001.jpg' has other labels on line 2: correct or remove these rows, or",
    f"a/00001.jpg,0.1,0.2,4,{NONE}": r"4: 'a/00001.jpg' has other labels on line 2",
    f"c/1.jpg,0,0,0,{UNITS}": "4: 'c/1.jpg' names no clip, expected <clip>/<frame of five digits, from 1>.jpg",
    f"c/00000.jpg,0,0,0,{UNITS}": "4: 'c/00000.jpg' names no clip",
    f"c/00001.jpg,0,0,8,{UNITS}": r"4: class 8 does not exist, expected 0 \.\. 7",
    f"c/00001.jpg,0,2,0,{UNITS}": r"4: 2 is outside \[-1, 1\]",
    f"c/00001.jpg,0,0,0,2{UNITS[1:]}": "4: AU1 is '2', expected 0, 1 or -1",
    "c/00001.jpg,0,0,0": r"4: the row has 4 columns, expected 16 \(image, 3 labels, 12 units\)",
    f"c/00001.jpg,0,0,0,{UNITS},1": "4: the row has 17 columns, expected 16",
    "": "4: '' names no clip",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_row_of_mtl_is_named_by_file_and_line(tmp_path, text):
    good = [f"a/00001.jpg,0,0,3,{UNITS}", f"b/00001.jpg,-5,-5,-1,{NONE}"]
    path = written(tmp_path / "x.txt", HEADER, *good, text, good[1])
    with pytest.raises(ValueError, match="x.txt:" + BROKEN[text]):
        read_multitask(path)


def test_a_file_with_another_header_is_not_mtls(tmp_path):
    with pytest.raises(ValueError, match=r"x.txt:1: the header is 'valence,arousal', expected image,valence"):
        read_multitask(written(tmp_path / "x.txt", "valence,arousal", "0,0"))
    assert read_multitask(written(tmp_path / "x.txt", "Image, valence, arousal, expression, aus")) == {}


@pytest.fixture
def task():
    return TASKS.build("mtl", expr={"class_balance": 0.0}, weights={"va": 2.0, "expr": 0.5})


def truth_of(num=30, seed=0, lacking=()):
    """Rows of 15, in which the parts ``lacking`` are NaN in every third row from their own place on."""
    rng = np.random.default_rng(seed)
    values = np.concatenate(
        [rng.uniform(-1, 1, (num, 2)), rng.integers(0, 8, (num, 1)), rng.integers(0, 2, (num, 12))], axis=1
    )
    for i, part in enumerate(lacking):
        values[i::3, PARTS[part]] = np.nan
    return values.astype(np.float32)


def batch(lacking=(), seed=0):
    raw = torch.tensor(np.random.default_rng(seed + 9).normal(size=(2, 15, 22)), dtype=torch.float32)
    target = torch.tensor(truth_of(30, seed, lacking).reshape(2, 15, 15))
    scored = torch.tensor(np.random.default_rng(seed).random((2, 15)) < 0.7)
    return raw.requires_grad_(), target, scored


def test_the_loss_is_the_weighed_sum_of_each_parts_own_over_the_frames_that_have_it(task):
    raw, target, scored = batch(lacking=("va", "expr", "au"))
    singles = {"va": TASKS.build("va"), "expr": TASKS.build("expr", class_balance=0.0), "au": TASKS.build("au")}
    expected = 0.0
    for (name, part), weight in zip(singles.items(), (2.0, 0.5, 1.0), strict=True):
        own = target[..., PARTS[name]]
        expected += weight * part.loss(raw[..., OUTS[name]], own, scored & ~own[..., 0].isnan())
    assert task.loss(raw, target, scored).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_is_unlabelled_changes_nothing_in_loss_gradient_or_score(task, name):
    raw, target, scored = batch(lacking=(name,))
    missing = target[..., PARTS[name]].isnan().any(-1)
    loss = task.loss(raw, target, scored)
    (gradient,) = torch.autograd.grad(loss, raw)
    assert torch.isfinite(gradient).all()
    assert not gradient[..., OUTS[name]][missing].any()
    others = [other for other in PARTS if other != name]
    assert all(gradient[..., OUTS[other]][missing & scored].any() for other in others)
    spoilt = raw.detach().clone()
    spoilt[..., OUTS[name]][missing] = torch.nan
    assert task.loss(spoilt, target, scored).item() == loss.item()
    truth, prediction = truth_of(lacking=(name,)), truth_of(seed=5)
    there = ~np.isnan(truth[:, PARTS[name]]).any(axis=1)
    labels = Labels(truth, np.ones(30, bool))
    scores = task.score({"a": PredictionPair(prediction, labels)})
    changed = prediction.copy()
    changed[~there, PARTS[name]] = truth_of(seed=6)[~there, PARTS[name]]
    assert task.score({"a": PredictionPair(changed, labels)}) == scores
    assert (scores[f"{name}/n"], scores[f"{others[0]}/n"], scores["n"]) == (there.sum(), 30, 30)


def test_the_score_is_the_sum_of_the_three_official_ones(task):
    truth, prediction = truth_of(60, lacking=("va", "expr")), truth_of(60, seed=5)
    halves = {
        "a": PredictionPair(prediction[:23], Labels(truth[:23], np.ones(23, bool))),
        "b": PredictionPair(prediction[23:], Labels(truth[23:], np.ones(37, bool))),
    }
    scores = task.score(halves)
    va, expr = ~np.isnan(truth[:, 0]), ~np.isnan(truth[:, 2])
    ccc = np.mean([concordance(prediction[va, i], truth[va, i]) for i in (0, 1)])
    f1 = macro_f1(prediction[expr, 2].astype(int), truth[expr, 2].astype(int), 8)
    units = unit_f1(prediction[:, 3:] > 0.5, truth[:, 3:] > 0.5).mean()
    assert next(iter(scores)) == "score"
    assert scores["score"] == pytest.approx(ccc + f1 + units, abs=1e-12)
    assert (scores["va/CCC"], scores["expr/F1"], scores["au/F1"]) == pytest.approx((ccc, f1, units), abs=1e-12)


def test_a_part_that_no_frame_has_adds_nothing_and_says_so(task):
    truth = truth_of()
    truth[:, PARTS["expr"]] = np.nan
    scores = task.score({"a": PredictionPair(truth_of(), Labels(truth, np.ones(30, bool)))})
    assert scores["score"] == pytest.approx(2.0)
    assert scores["expr/n"] == 0
    assert "expr/F1" not in scores


def test_each_part_is_fitted_on_its_own_labels():
    labels = truth_of(90, lacking=("expr", "au"))
    scored = np.random.default_rng(1).random(90) < 0.8
    fitted = TASKS.build("mtl").fitted({"a": Labels(labels, scored)}).settings()
    for name in ("expr", "au"):
        own = labels[scored][:, PARTS[name]]
        own = own[~np.isnan(own).any(axis=1)]
        alone = TASKS.build(name).fitted({"a": Labels(own, np.ones(len(own), bool))})
        assert fitted[name] == alone.settings()
    assert fitted["weights"] == {"va": 1.0, "expr": 1.0, "au": 1.0}


def test_columns_rows_and_words_are_those_of_the_parts():
    task = TASKS.build("mtl")
    assert task.goals == ("valence", "arousal", "expression", *ACTION_UNITS)
    table = task.probabilities(np.random.default_rng(0).normal(size=(5, 22)))
    prediction = task.to_labels(table)
    for name, own in OUTS.items():
        part = TASKS.build(name)
        np.testing.assert_array_equal(prediction[:, PARTS[name]], part.to_labels(table[:, own]))
    assert task.names(table)["expression"] == TASKS.build("expr").names(table[:, OUTS["expr"]])["expression"]
    valence, arousal = prediction[0, :2]
    text = f"{valence:.6f},{arousal:.6f},{prediction[0, 2]:.0f}," + ",".join(
        f"{value:.0f}" for value in prediction[0, 3:]
    )
    assert task.row(prediction[0]) == text
    assert task.rows(prediction) == [task.row(values) for values in prediction]
    with pytest.raises(ValueError, match="has 14 value"):
        task.parse_row(text.rpartition(",")[0])
    with pytest.raises(ValueError, match="is outside"):
        task.parse_row("1.5" + text[text.index(",") :])


def test_a_frames_kind_is_that_of_the_first_part_it_has_and_kinds_of_parts_do_not_meet():
    task, truth = TASKS.build("mtl"), truth_of(60)
    kinds = {}
    for name, lacking in {"expr": (), "va": ("expr",), "au": ("expr", "va")}.items():
        values = truth.copy()
        for part in lacking:
            values[:, PARTS[part]] = np.nan
        kinds[name] = task.strata(Labels(values, np.ones(60, bool)))
        own = TASKS.build(name).strata(Labels(truth[:, PARTS[name]], np.ones(60, bool)))
        assert len(set(zip(kinds[name], own, strict=True))) == len(set(own)) == len(set(kinds[name]))
    assert not set(kinds["expr"]) & set(kinds["va"])
    assert not set(kinds["au"]) & (set(kinds["expr"]) | set(kinds["va"]))


def test_two_passes_disagree_by_the_parts_that_ask_for_it():
    raw, _, scored = batch()
    other = batch(seed=3)[0]
    expr, au = TASKS.build("expr"), TASKS.build("au")
    apart = {
        name: part.disagreement(raw[..., OUTS[name]], other[..., OUTS[name]], scored).item()
        for name, part in {"expr": expr, "au": au}.items()
    }
    task = TASKS.build("mtl", expr={"r_drop_weight": 4.0}, au={"r_drop_weight": 1.0}, weights={"expr": 0.5})
    found = task.r_drop_weight * task.disagreement(raw, other, scored).item()
    assert found == pytest.approx(0.5 * 4.0 * apart["expr"] + apart["au"], rel=1e-6)
    assert TASKS.build("mtl").r_drop_weight == 0


WRONG = {
    "weights": ({"weights": {"vaa": 1.0}}, "mtl: no part 'vaa'; did you mean 'va'.*va, expr, au"),
    "negative": ({"weights": {"va": -1.0}}, "mtl: the weight of va is -1.0, expected 0 or more"),
    "nothing": ({"weights": {"va": 0.0, "expr": 0.0, "au": 0.0}}, "mtl: all weights are 0"),
    "a part": ({"expr": {"focal_gamma": -1.0}}, "expr: focal_gamma is -1.0"),
    "a part's key": ({"au": {"balanc": 1.0}}, "task 'au' has no setting 'balanc'; did you mean 'balance'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_of_mtl_are_named(case):
    settings, words = WRONG[case]
    with pytest.raises(ValueError, match=words):
        TASKS.build("mtl", **settings)


def test_all_rows_of_an_image_that_contradict_are_listed(tmp_path):
    rows = [f"a/{i:05d}.jpg,0.5,0,{label},{UNITS}" for label in (1, 2) for i in range(1, 25)]
    path = written(tmp_path / "training_set_annotations.txt", HEADER, *rows, rows[-1], f"a/00001.jpg,-5,-5,-1,{NONE}")
    with pytest.raises(ValueError, match="has other labels") as failed:
        read_multitask(path)
    listed = str(failed.value).split("; ")
    assert listed[0] == f"{path}:26: 'a/00001.jpg' has other labels on line 2"
    assert listed[1] == "27: 'a/00002.jpg' has other labels on line 3"
    assert listed[-1] == (
        "and 5 more: correct or remove these rows, or average them with the setting average_repeats of the task mtl"
    )


def test_rows_that_contradict_are_averaged_where_that_is_asked_for(tmp_path):
    other = "1" + UNITS[1:]
    rows = [
        f"a/00001.jpg,0.5,-0.5,1,{UNITS}",
        f"a/00001.jpg,0,0.5,2,{other}",
        f"a/00001.jpg,-5,-5,2,{other}",
        f"a/00002.jpg,0.25,0,1,{UNITS}",
        f"a/00002.jpg,0.25,0,3,{other}",  # no label is the most frequent
        f"a/00003.jpg,-5,-5,4,{NONE}",
        f"a/00003.jpg,-5,-5,5,{NONE}",
    ]
    written(tmp_path / "training_set_annotations.txt", HEADER, *rows)
    task = TASKS.build("mtl", average_repeats=True)
    assert TASKS.build("mtl", **task.settings()).settings()["average_repeats"] is True
    dataset = open_dataset(tmp_path)
    found = task.fitted({}).read_labels(dataset, "train")["a"]
    assert found.scored.tolist() == [True, True]
    np.testing.assert_allclose(found.values[0], [0.25, 0, 2, *map(float, other.split(","))])
    np.testing.assert_array_equal(found.values[1], [0.25, 0, *[np.nan] * 13])
    (remark,) = task.label_remarks(dataset, "train")
    assert remark.endswith(
        "4 rows repeat the clip and frame of an earlier row; rows of one frame are merged and count once"
    )
    assert task.label_remarks(dataset, "validation") == ()
    with pytest.raises(ValueError, match="average_repeats is 1, expected bool"):
        TASKS.build("mtl", average_repeats=1)
