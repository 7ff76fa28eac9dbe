"""What every task must survive. A new task file is tested by existing."""

import json

import numpy as np
import pytest
import torch

from abaw.annotations import Labels
from abaw.clips import open_dataset
from abaw.tasks import TASKS
from abaw.tasks.base import Scored

TASK_NAMES = [part.name for part in TASKS.parts()]
NUM = 24

# What a label file of each task holds: a good row, and every way to say that a row is unscored.
ROWS = {"va": ("0.25,-0.5", ["-5,-5", "-5,0.5", "0.5,-5", "-5.0,-5.0"]), "expr": ("3", ["-1"])}
HEADERS = {"va": "valence,arousal", "expr": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"}


@pytest.fixture(params=TASK_NAMES)
def task(request):
    return TASKS.build(request.param)


def raw(task, seed=0, num=NUM, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(num, task.out_dim))


def decoded(task, seed=0, num=NUM):
    """Labels as the task decodes them, for lack of real ones: every task gives them, none is told apart."""
    return task.decode(task.probabilities(raw(task, seed, num)))


def every_class(task):
    """As ``decoded``, and every class of a task of classes occurs."""
    return np.concatenate([decoded(task), task.decode(task.probabilities(50 * np.eye(task.out_dim)))])


def clip(task, truth, prediction=None, scored=None):
    scored = np.ones(len(truth), bool) if scored is None else scored
    return Scored(truth if prediction is None else prediction, Labels(truth.astype(np.float32), scored))


def tensors(task, seed=0):
    """raw (2 time out) with a gradient, target (2 time goal), scored (2 time) with some of both."""
    target = np.stack([decoded(task, seed + 1), decoded(task, seed + 2)])
    outputs = np.stack([raw(task, seed + 3), raw(task, seed + 4)])
    scored = np.random.default_rng(seed).random((2, NUM)) < 0.6
    return torch.tensor(outputs, dtype=torch.float32, requires_grad=True), torch.tensor(target), torch.tensor(scored)


def test_the_table_here_knows_every_task():
    assert set(ROWS) == set(HEADERS) == set(TASK_NAMES)


def test_a_perfect_prediction_scores_the_maximum(task):
    scores = task.score({"a": clip(task, every_class(task))})
    assert next(iter(scores.values())) == pytest.approx(1.0)
    assert scores["n"] == NUM + task.out_dim


def test_another_prediction_scores_less(task):
    truth = every_class(task)
    worse = clip(task, truth, prediction=np.roll(truth, 5, axis=0))
    assert next(iter(task.score({"a": worse}).values())) < 0.9


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
    clips = {str(i): clip(task, decoded(task, i, 9 + i), decoded(task, 10 + i, 9 + i)) for i in range(4)}
    backwards = dict(reversed(clips.items()))
    assert task.score(backwards) == pytest.approx(task.score(clips), abs=1e-12)


def test_a_score_needs_as_many_predictions_as_labels_and_something_scored(task):
    truth = decoded(task)
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
    for values in task.decode(table):
        task.parse_row(task.row(values))  # raises outside the range


def test_nothing_decodes_to_nothing(task):
    assert len(task.decode(task.probabilities(np.zeros((0, task.out_dim))))) == 0


def test_a_row_is_read_back(task):
    for values in every_class(task):
        np.testing.assert_allclose(task.parse_row(task.row(values)), values, atol=5.1e-7)


@pytest.mark.parametrize(
    "text", ["", "x", "0.1,x", "9", "9,9", "1,1,1,1", "nan", "nan,nan", "1.5", "1.5,0", "-5,-5", "-1"]
)
def test_a_row_that_is_none_is_refused(task, text):
    with pytest.raises(ValueError, match=f"'{text}'"):
        task.parse_row(text)


def test_words_of_a_class_agree_with_its_number(task):
    table = task.probabilities(50 * np.eye(task.out_dim))
    for words in task.names(table).values():
        assert words == [column.removeprefix("p_") for column in task.columns]


def test_every_sentinel_becomes_unscored(task, tmp_path):
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


def test_the_settings_rebuild_the_task(task):
    fitted = task.fitted({"a": Labels(every_class(task).astype(np.float32), np.ones(NUM + task.out_dim, bool))})
    for each in (task, fitted):
        settings = json.loads(json.dumps(each.settings()))
        again = TASKS.build(each.name, **settings)
        assert again.settings() == each.settings()
        assert torch.equal(again.loss(*tensors(task)), each.loss(*tensors(task)))
    assert fitted.fitted({}).settings() == fitted.settings()  # what was fitted stays


def test_fitting_on_nothing_scored_changes_no_loss(task):
    fitted = task.fitted({"a": Labels(decoded(task).astype(np.float32), np.zeros(NUM, bool))})
    torch.testing.assert_close(fitted.loss(*tensors(task)), task.loss(*tensors(task)))


def test_the_loss_falls_when_the_truth_is_approached(task):
    outputs, target, scored = tensors(task)
    optimiser = torch.optim.SGD([outputs], lr=1.0)
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
    for spoilt in (outputs, outputs.detach().fill_(float("nan")).requires_grad_()):
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
    one_value = Labels(np.repeat(decoded(task, num=1), NUM, axis=0).astype(np.float32), np.ones(NUM, bool))
    outputs, target, scored = tensors(task)
    other = target.flatten(0, 1) != one_value.values[0, 0]
    only_unseen = scored & other[:, 0].reshape(scored.shape)
    loss = task.fitted({"a": one_value}).loss(outputs, target, only_unseen)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(outputs.grad).all()


# ---- what is particular to one task


def test_expression_weighs_classes_by_their_frequency_in_training():
    labels = Labels(np.repeat([0.0, 1.0], [90, 10])[:, None].astype(np.float32), np.ones(100, bool))
    weights = TASKS.build("expr", class_balance=1.0).fitted({"a": labels}).settings()["class_weights"]
    # 1/90 and 1/10, then scaled so that the mean over 100 frames is 1: 90 * w0 + 10 * w1 = 100 with w1 = 9 w0
    assert weights == pytest.approx([5 / 9, 5, 0, 0, 0, 0, 0, 0], abs=1e-6)
    equal = TASKS.build("expr", class_balance=0.0).fitted({"a": labels}).settings()["class_weights"]
    assert equal == pytest.approx([1, 1, 0, 0, 0, 0, 0, 0])


def test_the_loss_of_expression_is_torchs_own_where_that_is_defined():
    weights = [1.0, 0.5, 2.0, 1.0, 1.0, 3.0, 1.0, 0.1]
    task = TASKS.build("expr", class_weights=weights, label_smoothing=0.1)
    outputs, target, scored = tensors(task)
    expected = torch.nn.functional.cross_entropy(
        outputs[scored], target[scored][:, 0].long(), weight=torch.tensor(weights), label_smoothing=0.1
    )
    torch.testing.assert_close(task.loss(outputs, target, scored), expected)


def test_what_is_fitted_keeps_every_other_setting():
    settings = {"class_balance": 1.0, "label_smoothing": 0.1, "focal_gamma": 2.0, "focal_alpha": 0.9, "kl_weight": 0.2}
    labels = Labels(np.array([[0.0], [1.0]], np.float32), np.ones(2, bool))
    fitted = TASKS.build("expr", **settings).fitted({"a": labels}).settings()
    assert {key: fitted[key] for key in settings} == settings


def test_the_focal_loss_of_expression_is_that_of_the_seed():
    """Step by step: 0.9 (1 - p)^2 times the smoothed cross-entropy, 0.2 of the divergence from the smoothed label."""
    task = TASKS.build("expr", class_balance=0.0, label_smoothing=0.1, focal_gamma=2.0, focal_alpha=0.9, kl_weight=0.2)
    outputs, target, scored = tensors(task)
    losses = []
    for row, label in zip(outputs[scored].detach().double().numpy(), target[scored][:, 0].long().tolist(), strict=True):
        p = np.exp(row) / np.exp(row).sum()
        smooth = np.full(8, 0.1 / 8)
        smooth[label] += 0.9
        focal = 0.9 * (1 - p[label]) ** 2 * -(smooth * np.log(p)).sum()
        losses.append(focal + 0.2 * (smooth * np.log(smooth / p)).sum())
    loss = task.loss(outputs, target, scored)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)
    loss.backward()
    assert torch.isfinite(outputs.grad).all()


def test_the_loss_of_valence_arousal_is_one_minus_the_official_score():
    task = TASKS.build("va")
    outputs, target, scored = tensors(task)
    truth = Labels(target.flatten(0, 1).numpy(), scored.flatten().numpy())
    scores = task.score({"a": Scored(outputs.detach().flatten(0, 1).numpy(), truth)})
    assert task.loss(outputs, target, scored).item() == pytest.approx(1 - scores["CCC"], abs=1e-6)
    squared = (outputs[scored] - target[scored]).square().mean().item()
    with_error = TASKS.build("va", mse_weight=0.5).loss(outputs, target, scored).item()
    assert with_error == pytest.approx(1 - scores["CCC"] + 0.5 * squared, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("va", {"mse_weight": -1.0}, "va: mse_weight is -1.0, expected 0 or more"),
        ("expr", {"label_smoothing": 1.0}, "expr: label_smoothing is 1.0, expected 0 up to 1"),
        ("expr", {"focal_gamma": -1.0}, "expr: focal_gamma is -1.0, expected 0 or more"),
        ("expr", {"kl_weight": -0.5}, "expr: kl_weight is -0.5, expected 0 or more"),
        ("expr", {"class_weights": [1.0]}, r"expr: class_weights are \[1.0\], expected 8 numbers"),
        ("expr", {"class_weights": [-1.0] * 8}, "expected 8 numbers of 0 or more"),
        ("va", {"mse_weight": "much"}, "task 'va': mse_weight is 'much', expected float"),
        ("va", {"mse_weigth": 1.0}, "task 'va' has no setting 'mse_weigth'; did you mean 'mse_weight'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(name, settings, words):
    with pytest.raises(ValueError, match=words):
        TASKS.build(name, **settings)


def test_valence_and_arousal_are_reported_under_their_own_names():
    truth = np.array([[-0.5, 0.1], [0.0, 0.9], [0.5, -0.4]], np.float32)
    decoded = np.stack([truth[:, 0], np.zeros(3, np.float32)], axis=1)
    scores = TASKS.build("va").score({"a": Scored(decoded, Labels(truth, np.ones(3, bool)))})
    assert scores["CCC_valence"] == pytest.approx(1)
    assert scores["CCC_arousal"] == 0
    assert scores["CCC"] == pytest.approx(0.5)


def test_macro_f1_counts_all_eight_classes_even_those_that_do_not_occur():
    truth = np.array([[0.0], [3.0], [5.0]], np.float32)
    scores = TASKS.build("expr").score({"a": Scored(truth, Labels(truth, np.ones(3, bool)))})
    assert scores["F1"] == pytest.approx(3 / 8)
