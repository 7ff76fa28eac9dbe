"""What every task must survive. A new task file is tested by existing."""

import json

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import open_dataset
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair, Task
from abaw.tasks.ce import compound_probabilities

TASK_NAMES = [part.name for part in TASKS.parts()]
NUM = 24

# What a label file of each task holds: a good row, and every way to say that a row is unscored.
ROWS = {
    "va": ("0.25,-0.5", ["-5,-5", "-5,0.5", "0.5,-5", "-5.0,-5.0"]),
    "expr": ("3", ["-1"]),
    "ce": ("3", ["-1"]),
    "au": ("1,0,1,0,0,0,0,0,0,0,0,1", [",".join(["-1"] * 12), "-1" + ",1" * 11, "0," * 11 + "-1"]),
}
HEADERS = {
    "va": "valence,arousal",
    "expr": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
    "ce": "Fearfully_Surprised,Happily_Surprised,Sadly_Surprised,Disgustedly_Surprised,Angrily_Surprised,"
    "Sadly_Fearful,Sadly_Angry",
    "au": "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
}

# Of every setting a value that is not its default. The loss must show it, but for NOT_IN_THE_LOSS: those the training
# step reads.
CLASS_SETTINGS = {
    "class_balance": 0.0,
    "label_smoothing": 0.1,
    "focal_gamma": 2.0,
    "focal_alpha": 0.5,
    "kl_weight": 0.2,
    "r_drop_weight": 5.0,
}
OTHER_SETTINGS = {
    "va": {"ccc_over": "sequence", "mse_weight": 0.5, "mae_weight": 0.5},
    "expr": {**CLASS_SETTINGS, "class_weights": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]},
    "ce": {**CLASS_SETTINGS, "class_weights": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]},
    "au": {
        "balance": 0.0,
        "pos_weights": [float(weight) for weight in range(1, 13)],
        "label_smoothing": 0.1,
        "focal_gamma": 2.0,
        "r_drop_weight": 5.0,
    },
}
OTHER_SETTINGS |= {
    "mtl": {
        **{part: OTHER_SETTINGS[part] for part in ("va", "expr", "au")},
        "weights": {"va": 2.0, "expr": 0.5, "au": 1.0},
    },
    "emi": {"mse_weight": 0.5, "pearson_weight": 1.0},
    "ah": {"level": "frame", "class_balance": 0.0, "class_weights": [1.0, 3.0]},
}
NOT_IN_THE_LOSS = {"r_drop_weight"}
MAXIMUM = {"mtl": 3.0}  # of the ranking score; 1 of the others


@pytest.fixture(params=TASK_NAMES)
def task(request):
    return TASKS.build(request.param)


def raw(task, seed=0, num=NUM, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(num, task.out_dim))


def prediction(task, seed=0, num=NUM):
    """Labels as the task decodes them, for lack of real ones: every task gives them, none is told apart."""
    return decode(task, task.probabilities(raw(task, seed, num)))


def decode(task, table):
    """A row of each row: to a clip-level task a table is one clip, so it is given every row as a table."""
    pieces = [table] if task.resolution == "frame" else np.split(table, len(table))
    return np.concatenate([task.to_labels(piece) for piece in pieces])


def every_class(task):
    """As ``prediction``, and every class of a task of classes occurs."""
    return np.concatenate([prediction(task), decode(task, task.probabilities(50 * np.eye(task.out_dim)))])


def clip(task, truth, prediction=None, scored=None):
    scored = np.ones(len(truth), bool) if scored is None else scored
    return PredictionPair(truth if prediction is None else prediction, Labels(truth.astype(np.float32), scored))


def tensors(task, seed=0):
    """raw (2 time out) with a gradient, target (2 time goal), scored (2 time) with some of both."""
    target = np.stack([prediction(task, seed + 1), prediction(task, seed + 2)])
    outputs = np.stack([raw(task, seed + 3), raw(task, seed + 4)])
    scored = np.random.default_rng(seed).random((2, NUM)) < 0.6
    return torch.tensor(outputs, dtype=torch.float32, requires_grad=True), torch.tensor(target), torch.tensor(scored)


def test_the_table_here_knows_every_task():
    assert set(ROWS) == set(HEADERS) == {name for name in TASK_NAMES if TASKS.build(name).folders}
    assert set(OTHER_SETTINGS) == set(TASK_NAMES)


def test_a_perfect_prediction_scores_the_maximum(task):
    scores = task.score({"a": clip(task, every_class(task))})
    assert next(iter(scores.values())) == pytest.approx(MAXIMUM.get(task.name, 1.0))
    assert scores["n"] == NUM + task.out_dim


def test_another_prediction_scores_less(task):
    truth = every_class(task)
    worse = clip(task, truth, prediction=np.roll(truth, 5, axis=0))
    assert next(iter(task.score({"a": worse}).values())) < 0.9 * MAXIMUM.get(task.name, 1.0)


def test_unscored_frames_count_for_nothing(task):
    truth, scored = every_class(task), np.ones(NUM + task.out_dim, bool)
    scored[3:9] = False
    spoilt = np.roll(truth, 5, axis=0)
    prediction = np.where(scored[:, None], truth, spoilt)
    scores = task.score({"a": clip(task, truth, prediction, scored)})
    kept = task.score({"a": clip(task, truth[scored], prediction[scored])})
    assert scores == pytest.approx(kept)
    assert scores["n"] == scored.sum()


def test_the_order_of_clips_does_not_matter(task):
    clips = {str(i): clip(task, prediction(task, i, 9 + i), prediction(task, 10 + i, 9 + i)) for i in range(4)}
    backwards = dict(reversed(clips.items()))
    assert task.score(backwards) == pytest.approx(task.score(clips), abs=1e-12)


def test_a_score_needs_as_many_predictions_as_labels_and_something_scored(task):
    truth = prediction(task)
    with pytest.raises(ValueError, match="clip 'a' has 23 predictions and 24 labels"):
        task.score({"a": clip(task, truth, truth[1:])})
    with pytest.raises(ValueError, match="nothing to score: no frame has a label"):
        task.score({"a": clip(task, truth, scored=np.zeros(NUM, bool))})
    with pytest.raises(ValueError, match="nothing to score"):
        task.score({})


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_what_is_decoded_is_in_the_official_range(task, scale):
    table = task.probabilities(raw(task, scale=scale))
    assert table.dtype == np.float32
    assert table.shape == (NUM, len(task.columns))
    assert np.isfinite(table).all()
    for values in decode(task, table):
        task.parse_row(task.row(values))  # raises outside the range


def test_nothing_decodes_to_nothing(task):
    assert len(task.to_labels(task.probabilities(np.zeros((0, task.out_dim))))) == 0


def test_a_row_is_read_back(task):
    for values in every_class(task):
        np.testing.assert_allclose(task.parse_row(task.row(values)), values, atol=5.1e-7)


@pytest.mark.parametrize(
    "text", ["", "x", "0.1,x", "9", "9,9", "1,1,1,1", "nan", "nan,nan", "1.5", "1.5,0", "-5,-5", "-1"]
)
def test_a_row_that_is_none_is_refused(task, text):
    with pytest.raises(ValueError, match=f"'{text}'"):
        task.parse_row(text)


def test_many_rows_are_the_row_of_each(task):
    values = np.concatenate([every_class(task), every_class(task)])
    assert task.rows(values) == [task.row(each) for each in values]
    assert task.rows(values[:1]) == [task.row(values[0])]
    assert task.rows(values[:0]) == []


def test_words_of_a_class_agree_with_its_number(task):
    table = task.probabilities(50 * np.eye(task.out_dim))
    for goal, words in task.names(table).items():
        assert goal in task.goals
        own = [i for i, column in enumerate(task.columns) if column.removeprefix("p_") in words]
        assert [words[i] for i in own] == [task.columns[i].removeprefix("p_") for i in own]
        assert len(own) in (len(task.columns), 8)  # of several tasks' columns the eight expressions'


def test_every_sentinel_becomes_unscored(task, tmp_path):
    if not task.folders:
        pytest.skip("one file holds a whole split: tests/unit/test_multitask.py")
    good, sentinels = ROWS[task.name]
    for folder in task.folders:
        root = tmp_path / folder
        path = root / folder / "Train_Set" / "12-24.txt"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([HEADERS[task.name], good, *sentinels, good]) + "\n")
        labels = task.read_labels(open_dataset(root), "train")["12-24"]
        assert labels.scored.tolist() == [True, *[False] * len(sentinels), True]
        assert not labels.values[~labels.scored].any()
        assert labels.values[0].tolist() == task.parse_row(good).tolist()
        assert task.read_labels(open_dataset(root), "validation") == {}


def test_a_table_is_what_its_logits_make(task):
    extreme = task.probabilities(1e4 * (2 * np.eye(task.out_dim) - 1))  # of probabilities exactly 0 and 1
    for table in (task.probabilities(raw(task)), task.probabilities(raw(task, scale=4.0)), extreme):
        logits = task.logits(table)
        assert logits.shape == (len(table), task.out_dim)
        assert np.isfinite(logits).all()
        np.testing.assert_allclose(task.probabilities(logits), table, atol=1e-6)
        np.testing.assert_allclose(decode(task, task.probabilities(logits)), decode(task, table), atol=1e-6)


def test_every_scored_frame_has_a_kind_and_no_other(task):
    truth = every_class(task).astype(np.float32)
    scored = np.random.default_rng(0).random(len(truth)) < 0.6
    kinds = task.strata(Labels(np.where(scored[:, None], truth, 0), scored))
    assert kinds.shape == scored.shape
    assert np.issubdtype(kinds.dtype, np.integer)
    assert np.array_equal(kinds >= 0, scored)
    assert (kinds[~scored] == -1).all()
    assert len(set(kinds[scored])) > 1
    every = task.strata(Labels(truth, np.ones(len(truth), bool)))
    assert np.array_equal(every[scored], kinds[scored])  # a frame's kind is its own: no other frame changes it
    assert len(task.strata(Labels(truth[:0], scored[:0]))) == 0


def test_every_setting_changes_what_is_learnt(task):
    assert set(OTHER_SETTINGS[task.name]) == set(TASKS.part(task.name).settings)
    uneven = np.concatenate([every_class(task), np.repeat(every_class(task)[:1], 200, axis=0)]).astype(np.float32)
    labels = {"a": Labels(uneven, np.ones(len(uneven), bool))}
    plain = task.fitted(labels).loss(*tensors(task)).item()
    for key, value in OTHER_SETTINGS[task.name].items():
        other = TASKS.build(task.name, **{key: value}).fitted(labels)
        assert other.settings()[key] == value
        if key in NOT_IN_THE_LOSS:
            assert getattr(other, key) == value != getattr(task, key)
            assert other.loss(*tensors(task)).item() == plain
        else:
            assert abs(other.loss(*tensors(task)).item() - plain) > 1e-3, key


def test_the_settings_rebuild_the_task(task):
    fitted = task.fitted({"a": Labels(every_class(task).astype(np.float32), np.ones(NUM + task.out_dim, bool))})
    for each in (task, fitted):
        settings = json.loads(json.dumps(each.settings()))
        again = TASKS.build(each.name, **settings)
        assert again.settings() == each.settings()
        assert torch.equal(again.loss(*tensors(task)), each.loss(*tensors(task)))
    assert fitted.fitted({}).settings() == fitted.settings()  # what was fitted stays


def test_fitting_on_nothing_scored_changes_no_loss(task):
    fitted = task.fitted({"a": Labels(prediction(task).astype(np.float32), np.zeros(NUM, bool))})
    torch.testing.assert_close(fitted.loss(*tensors(task)), task.loss(*tensors(task)))


def test_the_loss_falls_when_the_truth_is_approached(task):
    outputs, target, scored = tensors(task)
    optimiser = torch.optim.Adam([outputs], lr=0.05)
    first = task.loss(outputs, target, scored).item()
    for _ in range(50):
        optimiser.zero_grad()
        task.loss(outputs, target, scored).backward()
        optimiser.step()
    assert task.loss(outputs, target, scored).item() < 0.9 * first


@pytest.mark.parametrize("filling", [float("nan"), float("inf"), -5.0, -1.0, 1e30])
def test_the_loss_and_its_gradient_ignore_whatever_unscored_steps_hold(task, filling):
    outputs, target, scored = tensors(task)
    clean = task.loss(outputs, target, scored)
    (gradient,) = torch.autograd.grad(clean, outputs)
    spoilt = outputs.detach().masked_fill(~scored[..., None], filling).requires_grad_()
    loss = task.loss(spoilt, target.masked_fill(~scored[..., None], filling), scored)
    assert loss.item() == clean.item()
    assert torch.equal(torch.autograd.grad(loss, spoilt)[0], gradient)
    assert not gradient[~scored].any()
    assert gradient[scored].any()


def test_without_a_scored_step_the_loss_is_zero_and_has_a_gradient(task):
    outputs, target, scored = tensors(task)
    fillings = [outputs.detach().fill_(filling).requires_grad_() for filling in (float("nan"), float("inf"), -1e30)]
    for spoilt in (outputs, *fillings):
        loss = task.loss(spoilt, target, torch.zeros_like(scored))
        loss.backward()
        assert loss.item() == 0
        assert not spoilt.grad.any()


def test_one_scored_step_is_enough_for_a_finite_loss_that_teaches(task):
    outputs, target, scored = tensors(task)
    alone = torch.zeros_like(scored)
    alone[1, 3] = True
    loss = task.loss(outputs, target, alone)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(outputs.grad).all()
    assert outputs.grad[1, 3].any()


def test_a_class_or_value_the_training_split_lacks_keeps_the_loss_finite(task):
    one_value = Labels(np.repeat(prediction(task, num=1), NUM, axis=0).astype(np.float32), np.ones(NUM, bool))
    outputs, target, scored = tensors(task)
    other = target.flatten(0, 1) != one_value.values[0, 0]
    only_unseen = scored & other[:, 0].reshape(scored.shape)
    loss = task.fitted({"a": one_value}).loss(outputs, target, only_unseen)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(outputs.grad).all()


# ---- R-Drop, where a task offers it

OFFERING = [name for name in TASK_NAMES if type(TASKS.build(name)).disagreement is not Task.disagreement]


@pytest.mark.parametrize("name", OFFERING)
def test_two_outputs_disagree_as_far_as_they_differ_and_either_way(name):
    task = TASKS.build(name)
    (one, _, scored), (other, _, _) = tensors(task), tensors(task, seed=7)
    assert task.disagreement(one, one, scored).item() == pytest.approx(0, abs=1e-7)
    assert task.disagreement(one, other, scored).item() > 0.01
    assert task.disagreement(one, other, scored).item() == task.disagreement(other, one, scored).item()
    near = one + 0.1 * (other - one)
    assert 0 < task.disagreement(one, near, scored).item() < task.disagreement(one, other, scored).item()


@pytest.mark.parametrize("name", OFFERING)
@pytest.mark.parametrize("filling", [float("nan"), float("inf"), 1e30])
def test_a_disagreement_teaches_both_outputs_on_scored_steps_alone(name, filling):
    task = TASKS.build(name)
    (one, _, scored), (other, _, _) = tensors(task), tensors(task, seed=7)
    clean = task.disagreement(one, other, scored).item()
    spoilt = [side.detach().masked_fill(~scored[..., None], filling).requires_grad_() for side in (one, other)]
    found = task.disagreement(*spoilt, scored)
    assert found.item() == clean
    for gradient in torch.autograd.grad(found, spoilt):
        assert not gradient[~scored].any()
        assert gradient[scored].any()
    nothing = task.disagreement(*spoilt, torch.zeros_like(scored))
    assert nothing.item() == 0
    assert not any(gradient.any() for gradient in torch.autograd.grad(nothing, spoilt))


@pytest.mark.parametrize("name", OFFERING)
def test_a_disagreement_of_certain_outputs_is_finite(name):
    task = TASKS.build(name)
    one, _, scored = tensors(task)
    sides = [(1e4 * one.detach()).requires_grad_(), (-1e4 * one.detach()).requires_grad_()]
    far = task.disagreement(*sides, scored)
    assert torch.isfinite(far)
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(far, sides))


@pytest.mark.parametrize("name", sorted({*TASK_NAMES} - {*OFFERING}))
def test_a_task_of_values_says_that_it_has_no_r_drop(name):
    task = TASKS.build(name)
    outputs, _, scored = tensors(task)
    assert task.r_drop_weight == 0
    with pytest.raises(ValueError, match=f"{name}: r_drop is for tasks of classes, not for values"):
        task.disagreement(outputs, outputs, scored)


# ---- what is particular to one task


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("va", {"mse_weight": -1.0}, "va: mse_weight is -1.0, expected 0 or more"),
        ("va", {"mae_weight": float("inf")}, "va: mae_weight is inf, expected 0 or more"),
        ("va", {"ccc_over": "clip"}, "task 'va': ccc_over is 'clip', expected .*'batch'.*'sequence'"),
        ("expr", {"label_smoothing": 1.0}, "expr: label_smoothing is 1.0, expected 0 up to 1"),
        ("expr", {"focal_gamma": -1.0}, "expr: focal_gamma is -1.0, expected 0 or more"),
        ("expr", {"kl_weight": -0.5}, "expr: kl_weight is -0.5, expected 0 or more"),
        ("expr", {"class_weights": [1.0]}, r"expr: class_weights are \[1.0\], expected 8 numbers"),
        ("expr", {"class_weights": [-1.0] * 8}, "expected 8 numbers of 0 or more"),
        ("expr", {"class_weights": [float("nan")] * 8}, "expected 8 numbers of 0 or more"),
        ("expr", {"class_balance": -1.0}, "expr: class_balance is -1.0, expected 0 or more"),
        ("expr", {"r_drop_weight": float("nan")}, "expr: r_drop_weight is nan, expected 0 or more"),
        ("ce", {"class_weights": [1.0] * 8}, "ce: class_weights are .*, expected 7 numbers"),
        ("ce", {"focal_gamma": -1.0}, "ce: focal_gamma is -1.0, expected 0 or more"),
        ("au", {"balance": -0.5}, "au: balance is -0.5, expected 0 or more"),
        ("au", {"focal_gamma": -1.0}, "au: focal_gamma is -1.0, expected 0 or more"),
        ("au", {"r_drop_weight": -1.0}, "au: r_drop_weight is -1.0, expected 0 or more"),
        ("au", {"label_smoothing": 1.5}, "au: label_smoothing is 1.5, expected 0 up to 1"),
        ("au", {"pos_weights": [1.0] * 11}, r"au: pos_weights are \[1.0, .*, expected 12 numbers above 0"),
        ("au", {"pos_weights": [0.0] * 12}, "expected 12 numbers above 0"),
        ("va", {"mse_weight": "much"}, "task 'va': mse_weight is 'much', expected float"),
        ("va", {"mse_weigth": 1.0}, "task 'va' has no setting 'mse_weigth'; did you mean 'mse_weight'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(name, settings, words):
    with pytest.raises(ValueError, match=words):
        TASKS.build(name, **settings)


def test_valence_and_arousal_are_reported_under_their_own_names():
    truth = np.array([[-0.5, 0.1], [0.0, 0.9], [0.5, -0.4]], np.float32)
    prediction = np.stack([truth[:, 0], np.zeros(3, np.float32)], axis=1)
    scores = TASKS.build("va").score({"a": PredictionPair(prediction, Labels(truth, np.ones(3, bool)))})
    assert scores["CCC_valence"] == pytest.approx(1)
    assert scores["CCC_arousal"] == 0
    assert scores["CCC"] == pytest.approx(0.5)


def test_macro_f1_counts_all_eight_classes_even_those_that_do_not_occur():
    truth = np.array([[0.0], [3.0], [5.0]], np.float32)
    scores = TASKS.build("expr").score({"a": PredictionPair(truth, Labels(truth, np.ones(3, bool)))})
    assert scores["F1"] == pytest.approx(3 / 8)


def test_f1_of_action_units_is_the_mean_of_all_twelve_of_their_active_side():
    truth, told = np.zeros((4, 12), np.float32), np.zeros((4, 12), np.float32)
    truth[:, 0], told[:2, 0] = 1, 1  # AU1: 2 hits of 2 told and 4 true: 2 * 2 / (2 + 4)
    truth[0, 1], told[0, 1] = 1, 1  # AU2: perfect
    told[3, 11] = 1  # AU26: told, never there; the other nine: neither
    scores = TASKS.build("au").score({"a": PredictionPair(told, Labels(truth, np.ones(4, bool)))})
    assert list(scores) == ["F1", *(f"F1_{name}" for name in HEADERS["au"].split(",")), "n"]
    assert (scores["F1_AU1"], scores["F1_AU2"], scores["F1_AU26"]) == (pytest.approx(2 / 3), 1, 0)
    assert scores["F1"] == pytest.approx((2 / 3 + 1) / 12)


def test_macro_f1_counts_all_seven_compounds():
    truth = np.array([[0.0], [6.0]], np.float32)
    scores = TASKS.build("ce").score({"a": PredictionPair(truth, Labels(truth, np.ones(2, bool)))})
    assert scores["F1"] == pytest.approx(2 / 7)
    assert {"F1_Fearfully_Surprised", "F1_Sadly_Angry"} <= set(scores)


def test_a_unit_is_active_above_a_half_and_a_shift_of_its_logit_is_a_threshold():
    task = TASKS.build("au")
    table = np.full((3, 12), 0.5, np.float32)
    table[0] += 1e-3
    table[1] -= 1e-3
    assert task.to_labels(table).tolist() == [[1.0] * 12, [0.0] * 12, [0.0] * 12]
    shift = np.zeros(12)
    shift[3] = -np.log(0.2 / 0.8)  # a threshold of 0.2 for AU6
    shares = np.repeat([[0.19], [0.21]], 12, axis=1)
    shifted = task.to_labels(task.probabilities(task.logits(shares) + shift))
    assert shifted[:, 3].tolist() == [0, 1]
    assert not np.delete(shifted, 3, axis=1).any()


def test_a_frame_of_action_units_counts_for_the_rarest_that_is_active():
    names = HEADERS["au"].split(",")
    values = np.zeros((5, 12), np.float32)
    values[1, names.index("AU25")] = 1
    values[2, [names.index("AU25"), names.index("AU12"), names.index("AU15")]] = 1
    values[3, [names.index("AU24"), names.index("AU15")]] = 1
    values[4] = 1
    # none: 0; AU25, the commonest, alone: 12; AU24, the rarest: 1; AU15 next: 2
    assert TASKS.build("au").strata(Labels(values, np.ones(5, bool))).tolist() == [0, 12, 2, 1, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("va", text) for text in ["1.0000001,0", "0,-1.0000001", "0,nan", "inf,0", "+1,0", "0,0 ", " 0,0", "0, 0"]),
        *(
            ("va", text)
            for text in ["0_1,0", "0;0", "0,0,", "0,0\n", "\u0661,0", "0x1,0", ".,0", "-,0", "1e,0", "1e3,0"]
        ),
        *(
            ("expr", text)
            for text in ["8", "7.0", "1e0", "+1", "1 ", " 1", "01", "1_0", "12", "-0", "1\n", "\u0663", "0,1"]
        ),
        *(("ce", text) for text in ["7", "6.0", "+6", "06", "6 "]),
        *(("au", text) for text in ["0," * 11 + "2", "0," * 11 + "-1", "0," * 10 + "1", "0," * 12 + "1", "0," * 12]),
        *(("au", text) for text in ["0," * 11 + "1.0", "0," * 11 + " 1", "0," * 11 + "1\n", "0;" * 11 + "1", "0" * 12]),
    ],
)
def test_a_row_that_is_nearly_one_is_refused(name, text):
    with pytest.raises(ValueError, match="value|number|outside|not one class|not 12 times 0 or 1"):
        TASKS.build(name).parse_row(text)


@pytest.mark.parametrize(("text", "value"), [("1e0", 1), ("-5E-05", -5e-5), ("1.", 1), (".5", 0.5), ("-0", 0)])
def test_valence_may_be_written_as_any_program_writes_a_number(text, value):
    assert TASKS.build("va").parse_row(f"{text},-1.000000").tolist() == [value, -1]


def test_compound_expressions_are_the_sum_of_their_two_emotions():
    # Neutral .1, Anger .05, Disgust .05, Fear .2, Happiness .1, Sadness .1, Surprise .3, Other .1
    table = np.array([[0.1, 0.05, 0.05, 0.2, 0.1, 0.1, 0.3, 0.1]], np.float32)
    sums = np.array([0.5, 0.4, 0.4, 0.35, 0.35, 0.3, 0.15])
    compounds = compound_probabilities(table)
    assert compounds.dtype == np.float32
    np.testing.assert_allclose(compounds, [sums / sums.sum()], rtol=1e-6)
    assert compound_probabilities(np.eye(8, dtype=np.float32)[[0]])[0].tolist() == [np.float32(1 / 7)] * 7
    assert compound_probabilities(np.zeros((0, 8), np.float32)).shape == (0, 7)
    with pytest.raises(ValueError, match=r"need a table of 8 expressions, not \(3, 7\)"):
        compound_probabilities(np.zeros((3, 7)))


@pytest.mark.parametrize("pair", HEADERS["ce"].split(","))
def test_each_compound_is_told_by_the_two_emotions_of_its_name(pair):
    """Fearfully_Surprised: half fear, half surprise. The names' stems are enough to tell them."""
    task, expressions = TASKS.build("ce"), HEADERS["expr"].split(",")
    stems = {
        "fear": "Fear",
        "happ": "Happiness",
        "sadl": "Sadness",
        "disg": "Disgust",
        "angr": "Anger",
        "surp": "Surprise",
    }
    table = np.zeros((1, 8), np.float32)
    for word in pair.split("_"):
        table[0, expressions.index(stems[word[:4].lower()])] = 0.5
    assert task.names(compound_probabilities(table)) == {"compound_expression": [pair]}
