"""MTL's three parts side by side, and the tasks that say one thing of a whole video: labels, loss, score, rows."""

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import open_dataset
from abaw.dataset.names import ACTION_UNITS, EMOTIONS
from abaw.dataset.split_files import clip_named, parse_place, read_ambivalence, read_mimicry, read_multitask
from abaw.metrics import concordance, macro_f1, unit_f1
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair, one_step

HEADER = "image,valence,arousal,expression," + ",".join(ACTION_UNITS)
UNITS = "0,1,0,0,0,0,1,0,0,0,1,0"
NONE = ",".join(["-1"] * 12)
PARTS = {"va": slice(0, 2), "expr": slice(2, 3), "au": slice(3, 15)}
OUTS = {"va": slice(0, 2), "expr": slice(2, 10), "au": slice(10, 22)}


def written(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")
    return path


# ---- MTL's files


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
    f"a/00001.jpg,0.1,0.2,3,{UNITS}": r"4: 'a/00001.jpg' has other labels on line 2; correct the line",
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


# ---- MTL's parts


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


# ---- one thing of a whole video


def test_a_sequence_of_a_clip_level_task_is_one_step():
    raw = torch.arange(12.0).reshape(2, 3, 2).requires_grad_()
    target = torch.tensor([[[9.0], [1.0], [1.0]], [[0.0], [0.0], [0.0]]])
    scored = torch.tensor([[False, True, True], [False, False, False]])
    mean, goal, there = one_step(raw, target, scored)
    assert mean.tolist() == [[[3.0, 4.0]], [[0.0, 0.0]]]  # of steps 1 and 2: (2 + 4) / 2, (3 + 5) / 2
    assert (goal[0].tolist(), there.tolist()) == ([[1.0]], [[True], [False]])
    (gradient,) = torch.autograd.grad(mean.sum(), raw)
    assert gradient.tolist() == [[[0, 0], [0.5, 0.5], [0.5, 0.5]], [[0, 0]] * 3]


@pytest.mark.parametrize("name", ["emi", "ah"])
def test_a_longer_sequence_weighs_no_more_than_a_shorter_one(name):
    task, rng = TASKS.build(name), np.random.default_rng(0)
    one, two = (torch.tensor(rng.normal(size=(1, 1, task.out_dim)), dtype=torch.float32) for _ in range(2))
    goals = torch.tensor([[[1.0] * task.out_dim], [[0.0] * task.out_dim]])
    short = task.loss(torch.cat([one, two]), goals, torch.ones(2, 1, dtype=torch.bool))
    raw = torch.cat([one.expand(1, 7, -1), two.expand(1, 7, -1)])
    scored = torch.tensor([[True] * 7, [True] + [False] * 6])
    assert task.loss(raw, goals.expand(-1, 7, -1), scored).item() == pytest.approx(short.item(), rel=1e-6)


@pytest.mark.parametrize("name", ["emi", "ah"])
def test_a_table_of_a_clip_decodes_to_one_row_of_the_mean_logits(name):
    task = TASKS.build(name)
    assert task.resolution == "clip"
    raw = np.random.default_rng(0).normal(size=(9, task.out_dim))
    row = task.to_labels(task.probabilities(raw))
    mean = 1 / (1 + np.exp(-raw.mean(axis=0)))
    assert len(row) == 1
    np.testing.assert_allclose(row[0, -task.out_dim :], mean, atol=1e-6)


def test_mimicry_is_read_and_scored_by_the_mean_correlation(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (8, 6)).round(4)
    rows = [f"{i + 1},{','.join(map(str, values))}" for i, values in enumerate(truth)]
    written(tmp_path / "train_split.csv", "Filename," + ",".join(EMOTIONS), *rows)
    written(tmp_path / "test_split.csv", "Filename", "9", "clip_10.mp4")
    task, dataset = TASKS.build("emi"), open_dataset(tmp_path)
    labels = task.read_labels(dataset, "train")
    assert list(labels)[:2] == ["00001", "00002"] == list(task.clips(dataset, "train"))[:2]
    assert task.clips(dataset, "test") == ("00009", "clip_10")
    assert task.read_labels(dataset, "validation") == {}
    assert all(each.values.shape == (1, 6) and each.scored.tolist() == [True] for each in labels.values())
    np.testing.assert_allclose(np.concatenate([each.values for each in labels.values()]), truth, atol=1e-7)
    guess = rng.uniform(0, 1, (8, 6))
    scores = task.score({clip: PredictionPair(guess[i : i + 1], each) for i, (clip, each) in enumerate(labels.items())})
    each = [np.corrcoef(guess[:, i], truth[:, i])[0, 1] for i in range(6)]
    assert scores["Pearson"] == pytest.approx(np.mean(each), abs=1e-6)
    assert scores["Pearson_Empathic Pain"] == pytest.approx(each[3], abs=1e-6)
    assert scores["n"] == 8
    assert task.strata(Labels(truth.astype(np.float32), np.ones(8, bool))).tolist() == truth.argmax(axis=1).tolist()


def test_the_loss_of_mimicry_is_the_squared_error_and_one_minus_the_correlation():
    rng = np.random.default_rng(0)
    raw, truth = rng.normal(size=(5, 6)), rng.uniform(0, 1, (5, 6))
    p = 1 / (1 + np.exp(-raw))
    squared = ((p - truth) ** 2).mean()
    correlation = np.mean([np.corrcoef(p[:, i], truth[:, i])[0, 1] for i in range(6)])
    tensors = (
        torch.tensor(raw, dtype=torch.float32)[:, None],
        torch.tensor(truth, dtype=torch.float32)[:, None],
        torch.ones(5, 1, dtype=torch.bool),
    )
    for mse, pearson in ((1.0, 0.0), (0.5, 2.0), (0.0, 1.0)):
        loss = TASKS.build("emi", mse_weight=mse, pearson_weight=pearson).loss(*tensors).item()
        assert loss == pytest.approx(mse * squared + pearson * (1 - correlation), abs=1e-4)
    alone = TASKS.build("emi", mse_weight=0.0, pearson_weight=1.0).loss(*(each[:1] for each in tensors)).item()
    assert alone == pytest.approx(((p[0] - truth[0]) ** 2).mean(), abs=1e-6)


MIMICRY_FAULTS = {
    "x,0,0,0,0,0": "3: the row has 6 columns, expected 7",
    "x,0,0,0,0,0,1.1": "3: '0,0,0,0,0,1.1' is not 6 numbers from 0 to 1",
    "x,0,0,0,0,0,-0.1": "3: .* is not 6 numbers from 0 to 1",
    "x,0,0,0,0,0,nan": "3: .* is not 6 numbers from 0 to 1",
    "x,0,0,0,0,0,": "3: .* is not 6 numbers; correct the line",
    "x,0,0,0,0,0,0_1": "3: .* is not 6 numbers",
    "a,0,0,0,0,0,1": "3: 'a' has other labels on line 2",
    ",0,0,0,0,0,0": "3: '' names no clip, expected a video",
}


@pytest.mark.parametrize("text", MIMICRY_FAULTS)
def test_a_broken_row_of_mimicry_is_named_by_file_and_line(tmp_path, text):
    path = written(tmp_path / "train_split.csv", "Filename," + ",".join(EMOTIONS), "a,0,0,0,0,0,0", text)
    with pytest.raises(ValueError, match="train_split.csv:" + MIMICRY_FAULTS[text]):
        read_mimicry(path)


def test_the_six_emotions_must_stand_in_their_order(tmp_path):
    path = written(tmp_path / "train_split.csv", "Filename," + ",".join(reversed(EMOTIONS)))
    with pytest.raises(ValueError, match=r"train_split.csv:1: the header is .*expected 'Filename,Admiration,"):
        read_mimicry(path)


def test_rows_of_mimicry_are_six_numbers_from_0_to_1():
    task = TASKS.build("emi")
    assert task.header == "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy"
    assert task.row(np.array([0, 0.25, 0.5, 0.75, 1, 0.1234567])) == (
        "0.000000,0.250000,0.500000,0.750000,1.000000,0.123457"
    )
    for text in ("0,0,0,0,0,1.0000001", "0,0,0,0,0,-0.1", "0,0,0,0,0,1e-1", "0,0,0,0,0,nan", "0,0,0,0,0, 1"):
        with pytest.raises(ValueError, match="is not 6 numbers from 0 to 1"):
            task.parse_row(text)


def test_settings_of_mimicry_must_leave_something_to_learn():
    with pytest.raises(ValueError, match="emi: mse_weight and pearson_weight are both 0"):
        TASKS.build("emi", mse_weight=0.0)
    with pytest.raises(ValueError, match="emi: pearson_weight is -1.0, expected 0 or more"):
        TASKS.build("emi", pearson_weight=-1.0)


# ---- ambivalence and hesitancy


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
        ({"level": "video"}, "task 'ah': level is 'video', expected .*'clip'.*'frame'"),
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


# ---- names


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("Videos/8/Visite_1/8_Q1_2024-11-15_Video.mp4", "8_Q1_2024-11-15_Video"),
        ("00017.mp4", "00017"),
        ("17", "00017"),
        ("Videos/8/17.mp4", "17"),
        ("123456", "123456"),
        ("take.2", "take.2"),
        ("x", "x"),
    ],
)
def test_a_files_name_stands_for_a_clip(name, clip):
    assert clip_named(name) == clip


def test_a_place_is_a_clip_and_a_frame_from_1():
    assert parse_place("mtl", "video45_1/00012.jpg") == ("video45_1", 12)
    assert parse_place("mtl", "video45_1/100000.jpg") == ("video45_1", 100000)
    assert parse_place("ah_frame", "8/Visite_1/8_Q1.mp4/frame-0.jpg") == ("8_Q1", 1)
    assert parse_place("emi", "Filename") is None
    assert [parse_place("mtl", text) for text in ("image", "a/1.jpg", "a/00000.jpg", "a/b/00001.jpg", "")] == [None] * 5


@pytest.mark.parametrize("name", TASKS.names())
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_task_says_what_a_data_set_must_have(tmp_path, name, split):
    (tmp_path / "one.mp4").touch()
    task = TASKS.build(name)
    assert task.clips(open_dataset(tmp_path), split) == ()
    words = task.wanted(split)
    assert words.startswith(("a file", "a list", "a test list", "label files"))
    assert len(task.goals) <= len(task.columns)
