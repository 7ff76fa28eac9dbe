"""Laws of the official scores."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abaw.annotations import Labels
from abaw.metrics import class_f1, concordance, macro_f1
from abaw.tasks import TASKS
from abaw.tasks.base import Scored

VALUE = st.integers(-1000, 1000).map(lambda thousandths: thousandths / 1000)
PAIRS = st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=60)
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


@settings(max_examples=50)
@given(data=st.data(), name=st.sampled_from(TASKS.names()), num=st.integers(2, 40), seed=st.integers(0, 99))
def test_cutting_the_frames_into_clips_in_any_way_changes_no_score(data, name, num, seed):
    task, rng = TASKS.build(name), np.random.default_rng(seed)
    truth, decoded = (task.decode(task.probabilities(rng.normal(size=(num, task.out_dim)))) for _ in range(2))
    scored = rng.random(num) < 0.8
    scored[0] = True
    cuts = sorted(data.draw(st.lists(st.integers(0, num), max_size=4), label="cuts"))

    def clip(start, stop):
        return Scored(decoded[start:stop], Labels(truth[start:stop], scored[start:stop]))

    edges = [0, *cuts, num]
    split = {str(i): clip(*edge) for i, edge in enumerate(itertools.pairwise(edges))}
    whole = task.score({"all": clip(0, num)})
    assert whole["n"] == scored.sum()
    assert task.score(split) == pytest.approx(whole, abs=1e-12)
