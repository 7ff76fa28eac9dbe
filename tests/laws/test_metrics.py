"""Laws of the official scores."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abaw.dataset.annotations import Labels
from abaw.metrics import class_f1, concordance, macro_f1, pearson, unit_f1
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair

VALUE = st.integers(-1000, 1000).map(lambda thousandths: thousandths / 1000)
PAIRS = st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=60)
FRAME_TASKS = [name for name in TASKS.names() if TASKS.build(name).resolution == "frame"]
CLASSES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=60)


def columns(pairs, kind=np.float64):
    return np.array([p for p, _ in pairs], kind), np.array([t for _, t in pairs], kind)


@given(PAIRS)
def test_concordance_lies_between_minus_one_and_one(pairs):
    assert -1 - 1e-12 <= concordance(*columns(pairs)) <= 1 + 1e-12


@given(PAIRS)
def test_a_perfect_prediction_has_concordance_one_unless_it_is_constant(pairs):
    _, truth = columns(pairs)
    assert concordance(truth, truth) == pytest.approx(0.0 if np.ptp(truth) == 0 else 1.0, abs=1e-12)


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_frames_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    assert concordance(*columns(shuffled)) == pytest.approx(concordance(*columns(pairs)), abs=1e-12)


@given(PAIRS)
def test_prediction_and_truth_may_be_swapped(pairs):
    prediction, truth = columns(pairs)
    assert concordance(prediction, truth) == pytest.approx(concordance(truth, prediction), abs=1e-12)


@given(PAIRS, st.floats(0.1, 10), st.floats(-5, 5))
def test_scaling_and_shifting_both_sides_alike_changes_nothing(pairs, factor, shift):
    prediction, truth = columns(pairs)
    before = concordance(prediction, truth)
    assert concordance(factor * prediction + shift, factor * truth + shift) == pytest.approx(before, abs=1e-7)


@given(PAIRS)
def test_turning_one_side_about_its_mean_turns_the_sign(pairs):
    prediction, truth = columns(pairs)
    turned = 2 * prediction.mean() - prediction
    assert concordance(turned, truth) == pytest.approx(-concordance(prediction, truth), abs=1e-9)


@given(PAIRS, st.floats(1, 3))
def test_a_larger_offset_brings_no_concordance(pairs, offset):
    prediction, truth = columns(pairs)
    centred = prediction - prediction.mean() + truth.mean()
    assert abs(concordance(centred + offset, truth)) <= abs(concordance(centred, truth)) + 1e-12


@given(CLASSES, st.randoms(use_true_random=False))
def test_f1_knows_no_order_and_no_sides(pairs, random):
    prediction, truth = columns(pairs, np.int64)
    f1 = class_f1(prediction, truth, 8)
    assert np.allclose(class_f1(*columns(random.sample(pairs, len(pairs)), np.int64), 8), f1, atol=1e-15)
    assert np.allclose(class_f1(truth, prediction, 8), f1, atol=1e-15)  # precision and recall change places
    assert ((f1 >= 0) & (f1 <= 1)).all()


@given(CLASSES, st.permutations(range(8)))
def test_renaming_the_classes_renames_their_f1(pairs, names):
    prediction, truth = columns(pairs, np.int64)
    names = np.array(names)
    f1, renamed = class_f1(prediction, truth, 8), class_f1(names[prediction], names[truth], 8)
    assert np.allclose(renamed[names], f1, atol=1e-15)
    assert macro_f1(names[prediction], names[truth], 8) == pytest.approx(f1.mean(), abs=1e-15)


@given(CLASSES)
def test_a_perfect_prediction_scores_one_for_every_class_there_is(pairs):
    _, truth = columns(pairs, np.int64)
    assert macro_f1(truth, truth, 8) == pytest.approx(len(set(truth.tolist())) / 8, abs=1e-15)


@given(PAIRS)
def test_concordance_is_at_most_the_correlation_and_has_its_sign(pairs):
    prediction, truth = columns(pairs)
    agreement, correlation = concordance(prediction, truth), pearson(prediction, truth)
    assert abs(agreement) <= abs(correlation) + 1e-12
    assert agreement * correlation >= -1e-15
    assert -1 - 1e-12 <= correlation <= 1 + 1e-12


@given(PAIRS, st.floats(0.1, 10), st.floats(-5, 5))
def test_scaling_and_shifting_one_side_changes_no_correlation(pairs, factor, shift):
    prediction, truth = columns(pairs)
    before = pearson(prediction, truth)
    assert pearson(factor * prediction + shift, truth) == pytest.approx(before, abs=1e-7)
    assert pearson(-prediction, truth) == pytest.approx(-before, abs=1e-12)
    assert pearson(truth, prediction) == pytest.approx(before, abs=1e-12)


UNITS = st.lists(st.tuples(*[st.booleans()] * 6), min_size=1, max_size=40)  # three predicted, three true


@given(UNITS, st.randoms(use_true_random=False), st.permutations(range(3)))
def test_f1_of_units_knows_no_order_of_frames_or_units_and_no_sides(frames, random, order):
    predicted, true = np.array(frames)[:, :3], np.array(frames)[:, 3:]
    f1 = unit_f1(predicted, true)
    shuffled = np.array(random.sample(frames, len(frames)))
    assert np.allclose(unit_f1(shuffled[:, :3], shuffled[:, 3:]), f1, atol=1e-15)
    assert np.allclose(unit_f1(predicted[:, order], true[:, order]), f1[list(order)], atol=1e-15)
    assert np.allclose(unit_f1(true, predicted), f1, atol=1e-15)


@given(UNITS)
def test_a_unit_is_the_second_of_two_classes(frames):
    """So that what is absent from both sides counts the same for a unit and for a class: there is one definition."""
    predicted, true = np.array(frames)[:, :3], np.array(frames)[:, 3:]
    expected = [class_f1(predicted[:, i].astype(int), true[:, i].astype(int), 2)[1] for i in range(3)]
    assert unit_f1(predicted, true).tolist() == expected
    absent = ~(predicted | true).any(axis=0)
    assert not unit_f1(predicted, true)[absent].any()


def frames_of(task, num, seed):
    """Predictions, truths and what is scored of so many frames; the first always is."""
    rng = np.random.default_rng(seed)
    tables = (task.probabilities(rng.normal(size=(num, task.out_dim))) for _ in range(2))
    # to a clip-level task a table is one clip: it is given every row as one
    truth, post_processed = (np.concatenate([task.to_labels(row) for row in np.split(table, num)]) for table in tables)
    scored = rng.random(num) < 0.8
    scored[0] = True
    return post_processed, truth, scored


@settings(max_examples=50)
@given(data=st.data(), name=st.sampled_from(FRAME_TASKS), num=st.integers(2, 40), seed=st.integers(0, 99))
def test_neither_the_order_of_frames_nor_padding_changes_a_score(data, name, num, seed):
    task = TASKS.build(name)
    post_processed, truth, scored = frames_of(task, num, seed)
    whole = task.score({"all": PredictionPair(post_processed, Labels(truth, scored))})
    order = np.array(data.draw(st.permutations(range(num)), label="order"))
    shuffled = PredictionPair(post_processed[order], Labels(truth[order], scored[order]))
    assert task.score({"all": shuffled}) == pytest.approx(whole, abs=1e-12)
    num_more = data.draw(st.integers(1, 9), label="padding")
    more, nothing = post_processed[-1:].repeat(num_more, axis=0), np.zeros((num_more, truth.shape[1]), truth.dtype)
    padded = Labels(np.concatenate([truth, nothing]), np.concatenate([scored, np.zeros(num_more, bool)]))
    assert task.score({"all": PredictionPair(np.concatenate([post_processed, more]), padded)}) == whole


@settings(max_examples=50)
@given(data=st.data(), name=st.sampled_from(FRAME_TASKS), num=st.integers(2, 40), seed=st.integers(0, 99))
def test_cutting_the_frames_into_clips_in_any_way_and_order_changes_no_score(data, name, num, seed):
    task = TASKS.build(name)
    post_processed, truth, scored = frames_of(task, num, seed)
    cuts = sorted(data.draw(st.lists(st.integers(0, num), max_size=4), label="cuts"))

    def clip(start, stop):
        return PredictionPair(post_processed[start:stop], Labels(truth[start:stop], scored[start:stop]))

    edges = [0, *cuts, num]
    pieces = data.draw(st.permutations([*itertools.pairwise(edges)]), label="pieces")
    split = {str(i): clip(*edge) for i, edge in enumerate(pieces)}
    whole = task.score({"all": clip(0, num)})
    assert whole["n"] == scored.sum()
    assert task.score(split) == pytest.approx(whole, abs=1e-12)
