"""What every task must satisfy, at every value of its enumerated settings and with every optional loss on.

A new task file is tested without an edit here.
"""

import json

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.tasks import TASKS
from abaw.tasks.base import Task
from tests.support.abaw.tasks import (
    NUM,
    ON,
    TASK_NAMES,
    build,
    changes,
    clip,
    every_class,
    labelled,
    prediction,
    raw,
    settings_of,
    tensors,
    variants,
)

NOT_IN_THE_LOSS = {"r_drop_weight"}  # the training step reads it: see Task.disagreement
VARIANTS = [(name, settings) for name in TASK_NAMES for settings in variants(name)]


@pytest.fixture(params=VARIANTS, ids=lambda each: f"{each[0]} {each[1]}" if each[1] else each[0])
def task(request):
    name, settings = request.param
    return build(name, **settings)


def test_the_variants_are_those_of_the_annotations():
    """``va`` has both values of ``ccc_over``, each without and with either of its other losses."""
    assert len(variants("va")) == 2 * 3
    assert {"ccc_over": "sequence", "mae_weight": ON} in variants("va")
    assert {"va": {"ccc_over": "sequence"}} in variants("mtl")
    assert all(variants(name) for name in TASK_NAMES)


def test_a_perfect_prediction_scores_the_maximum(task):
    scores = task.score({"a": clip(task, every_class(task))})
    assert next(iter(scores.values())) == pytest.approx(task.max_score)
    assert scores["n"] == NUM + task.out_dim


def test_another_prediction_scores_less(task):
    truth = every_class(task)
    worse = clip(task, truth, prediction=np.roll(truth, 5, axis=0))
    assert next(iter(task.score({"a": worse}).values())) < 0.9 * task.max_score


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
def test_labels_are_in_the_official_range(task, scale):
    table = task.probabilities(raw(task, scale=scale))
    assert table.dtype == np.float32
    assert table.shape == (NUM, len(task.columns))
    assert np.isfinite(table).all()
    for values in labelled(task, table):
        task.parse_row(task.row(values))  # raises outside the range


def test_an_empty_table_has_no_labels(task):
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
        assert own


def test_a_table_is_what_its_logits_make(task):
    extreme = task.probabilities(1e4 * (2 * np.eye(task.out_dim) - 1))  # of probabilities exactly 0 and 1
    for table in (task.probabilities(raw(task)), task.probabilities(raw(task, scale=4.0)), extreme):
        logits = task.logits(table)
        assert logits.shape == (len(table), task.out_dim)
        assert np.isfinite(logits).all()
        np.testing.assert_allclose(task.probabilities(logits), table, atol=1e-6)
        np.testing.assert_allclose(labelled(task, task.probabilities(logits)), labelled(task, table), atol=1e-6)


def test_every_scored_frame_has_a_stratum_and_no_other(task):
    truth = every_class(task).astype(np.float32)
    scored = np.random.default_rng(0).random(len(truth)) < 0.6
    strata = task.strata(Labels(np.where(scored[:, None], truth, 0), scored))
    assert strata.shape == scored.shape
    assert np.issubdtype(strata.dtype, np.integer)
    assert np.array_equal(strata >= 0, scored)
    assert (strata[~scored] == -1).all()
    assert len(set(strata[scored])) > 1
    every = task.strata(Labels(truth, np.ones(len(truth), bool)))
    assert np.array_equal(every[scored], strata[scored])  # no other frame changes a frame's stratum
    assert len(task.strata(Labels(truth[:0], scored[:0]))) == 0


@pytest.mark.parametrize("name", TASK_NAMES)
def test_every_setting_changes_what_is_learnt(name):
    task = build(name)
    uneven = np.concatenate([every_class(task), np.repeat(every_class(task)[:1], 200, axis=0)]).astype(np.float32)
    labels = {"a": Labels(uneven, np.ones(len(uneven), bool))}
    fitted = task.fitted(labels)
    plain = fitted.loss(*tensors(task)).item()
    changed = list(changes(name, fitted.settings()))
    assert {key for _, settings in changed for key in settings} == set(settings_of(name))
    for key, settings in changed:
        other = build(name, **settings).fitted(labels)
        if key in NOT_IN_THE_LOSS:
            assert other.loss(*tensors(task)).item() == plain
            assert getattr(other, key) > getattr(task, key)
        else:
            assert abs(other.loss(*tensors(task)).item() - plain) > 1e-4, settings


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

OFFERING = [name for name in TASK_NAMES if type(build(name)).disagreement is not Task.disagreement]


@pytest.mark.parametrize("name", OFFERING)
def test_two_outputs_disagree_as_far_as_they_differ_and_either_way(name):
    task = build(name)
    (one, _, scored), (other, _, _) = tensors(task), tensors(task, seed=7)
    assert task.disagreement(one, one, scored).item() == pytest.approx(0, abs=1e-7)
    assert task.disagreement(one, other, scored).item() > 0.01
    assert task.disagreement(one, other, scored).item() == task.disagreement(other, one, scored).item()
    near = one + 0.1 * (other - one)
    assert 0 < task.disagreement(one, near, scored).item() < task.disagreement(one, other, scored).item()


@pytest.mark.parametrize("name", OFFERING)
@pytest.mark.parametrize("filling", [float("nan"), float("inf"), 1e30])
def test_a_disagreement_teaches_both_outputs_on_scored_steps_alone(name, filling):
    task = build(name)
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
    task = build(name)
    one, _, scored = tensors(task)
    sides = [(1e4 * one.detach()).requires_grad_(), (-1e4 * one.detach()).requires_grad_()]
    far = task.disagreement(*sides, scored)
    assert torch.isfinite(far)
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(far, sides))


@pytest.mark.parametrize("name", sorted({*TASK_NAMES} - {*OFFERING}))
def test_a_task_of_values_says_that_it_has_no_r_drop(name):
    task = build(name)
    outputs, _, scored = tensors(task)
    assert task.r_drop_weight == 0
    with pytest.raises(ValueError, match=f"{name}: r_drop is for tasks of classes, not for values"):
        task.disagreement(outputs, outputs, scored)
