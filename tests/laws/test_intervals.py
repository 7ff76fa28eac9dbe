"""Laws of scores from pooled statistics, of intervals and of comparisons."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abaw.dataset.annotations import Labels
from abaw.dataset.names import video_of
from abaw.evaluation.intervals import compare, group_by_video, intervals
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair, Task, is_count
from tests.support.abaw.tasks import build

NAMES = TASKS.names()
SEEDS = st.integers(0, 10_000)


def system(task, rng, clips, noise=1.0, truths=None):
    """Clips of a few frames, some of them unscored, and predictions of them; ``truths`` of another system are kept."""
    by_clip = {}
    for clip_id in clips:
        raw = rng.normal(size=(int(rng.integers(2, 9)), task.out_dim))
        truth = task.to_labels(task.probabilities(raw))[:, : len(task.goals)]
        labels = Labels(with_gaps(task, truth, rng), np.array([True, *(rng.random(len(truth) - 1) < 0.8)]))
        if truths:
            labels = truths[clip_id].labels
            raw = np.resize(raw, (len(labels), task.out_dim))
        by_clip[clip_id] = PredictionPair(
            task.to_labels(task.probabilities(raw + noise * rng.normal(size=raw.shape))), labels
        )
    return by_clip


def with_gaps(task, truth, rng):
    """Of multi-task labels one part is missing here and there."""
    missing = rng.integers(0, 4, len(truth)) if task.name == "mtl" else np.full(len(truth), 3)
    for part, columns in enumerate((slice(0, 2), slice(2, 3), slice(3, None))):
        truth[missing == part, columns] = np.nan
    return truth


def absent_classes(task, found):
    """Of a class of a data set that no drawn clip has, a draw has an F1 of 0, and a score has none."""
    return {key: 0.0 for key in found if task.name == "classes" and key.startswith("F1_")}


def clip_names(num):
    return [f"{i // 2}_{'left' if i % 2 else 'right'}" if i < 4 else str(i) for i in range(num)]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)
@given(seed=SEEDS, num=st.integers(1, 8), rounds=st.booleans())
def test_the_score_from_the_statistics_of_videos_is_the_official_score(name, seed, num, rounds):
    task = build(name)
    by_clip = system(task, np.random.default_rng(seed), clip_names(num))
    if rounds:  # constants and ties: what the definitions treat apart
        by_clip = {clip_id: PredictionPair(each.prediction.round(), each.labels) for clip_id, each in by_clip.items()}
    parts = list(group_by_video(by_clip).values())
    found = task.resampled_scores(parts)(np.ones((1, len(parts)), int))
    expected = {key: value for key, value in task.score(by_clip).items() if not is_count(key)}
    assert {key: value[0] for key, value in found.items()} == pytest.approx(expected, abs=1e-12)
    assert next(iter(found)) == next(iter(expected))  # the one that ranks


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(seed=SEEDS, drawn=st.lists(st.integers(0, 3), min_size=2, max_size=6).filter(any))
def test_a_video_drawn_twice_counts_as_two_of_its_kind(name, seed, drawn):
    task = build(name)
    by_clip = system(task, np.random.default_rng(seed), [str(i) for i in range(len(drawn))])
    found = task.resampled_scores(list(group_by_video(by_clip).values()))(np.array([drawn]))
    copies = {f"{i}-{copy}": by_clip[str(i)] for i, times in enumerate(drawn) for copy in range(times)}
    expected = task.score(copies)
    expected = absent_classes(task, found) | {key: value for key, value in expected.items() if not is_count(key)}
    assert {key: value[0] for key, value in found.items()} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(seed=SEEDS, drawn=st.lists(st.integers(0, 3), min_size=2, max_size=5).filter(any))
def test_pooled_statistics_and_scoring_every_draw_give_the_same(name, seed, drawn):
    task = build(name)
    parts = list(
        group_by_video(system(task, np.random.default_rng(seed), [str(i) for i in range(len(drawn))])).values()
    )
    fast = task.resampled_scores(parts)(np.array([drawn]))
    slow = Task.resampled_scores(task, parts)(np.array([drawn]))  # the default
    expected = absent_classes(task, fast) | {key: value[0] for key, value in slow.items()}
    assert {key: value[0] for key, value in fast.items()} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("bias", [0.0, 0.5, 0.999])
@given(thousandths=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=30))
def test_a_narrow_distribution_far_from_zero_keeps_its_digits(bias, thousandths):
    values = np.array(thousandths, np.float64) / 1000
    task = TASKS.build("va")
    truth, prediction = bias + values[:, :1].repeat(2, 1), bias + values[:, 1:].repeat(2, 1)
    clips = {
        str(i): PredictionPair(prediction[i : i + 1], Labels(truth[i : i + 1], np.array([True])))
        for i in range(len(truth))
    }
    found = task.resampled_scores(list(group_by_video(clips).values()))(np.ones((1, len(clips)), int))
    assert found["CCC"][0] == pytest.approx(task.score(clips)["CCC"], abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10)
@given(seed=SEEDS, random=st.randoms(use_true_random=False))
def test_the_order_of_clips_changes_no_interval_and_no_p(name, seed, random):
    task, rng = build(name), np.random.default_rng(seed)
    first = system(task, rng, clip_names(7))
    second = system(task, rng, clip_names(7), truths=first)
    shuffled = random.sample(list(first), len(first))
    assert intervals(task, {clip: first[clip] for clip in shuffled}) == intervals(task, first)
    mixed = [{clip: each[clip] for clip in shuffled} for each in (first, second)]
    assert compare(task, *mixed, 100) == compare(task, first, second, 100)


@settings(max_examples=20)
@given(seed=SEEDS, cuts=st.lists(st.integers(1, 5), min_size=2, max_size=5))
def test_a_video_cut_into_two_persons_is_still_one_video(seed, cuts):
    task, rng = TASKS.build("expr"), np.random.default_rng(seed)
    whole = system(task, rng, [str(i) for i in range(len(cuts))])
    parts = {}
    for (clip_id, each), cut in zip(whole.items(), cuts, strict=True):
        for side, rows in (("left", slice(None, cut)), ("right", slice(cut, None))):
            labels = Labels(each.labels.values[rows], each.labels.scored[rows])
            parts[f"{clip_id}_{side}"] = PredictionPair(each.prediction[rows], labels)
    assert {video_of(clip_id) for clip_id in parts} == set(whole)
    assert intervals(task, parts) == intervals(task, whole)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(seed=SEEDS, num=st.integers(1, 9))
def test_a_system_is_neither_better_nor_worse_than_itself(name, seed, num):
    task = build(name)
    by_clip = system(task, np.random.default_rng(seed), [str(i) for i in range(num)])
    found = compare(task, by_clip, by_clip, 100)
    assert (found.difference, found.p, found.verdict) == (0.0, 1.0, "neither")
    assert found.interval == (None if num == 1 else (0.0, 0.0))


@settings(max_examples=15)
@given(seed=SEEDS, num=st.integers(2, 9), name=st.sampled_from(NAMES))
def test_two_systems_in_the_other_order_differ_by_the_opposite(seed, num, name):
    task, rng = build(name), np.random.default_rng(seed)
    first = system(task, rng, [str(i) for i in range(num)])
    second = system(task, rng, list(first), truths=first)
    there, back = compare(task, first, second, 200), compare(task, second, first, 200)
    assert back.difference == pytest.approx(-there.difference, abs=1e-12)
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]), abs=1e-12)
    assert back.p == there.p
    assert 0 < there.p <= 1


@pytest.mark.parametrize("name", ["va", "emi"])
@given(
    constants=st.lists(st.integers(-999, 999), min_size=2, max_size=4, unique=True),
    num=st.integers(2, 50),
    times=st.integers(1, 7),
)
def test_a_draw_of_one_constant_video_alone_scores_0(name, constants, num, times):
    """Rounding must not pass for variance: a constant that is predicted correctly scores 0."""
    task = build(name)
    clips = {}
    for number, thousandths in enumerate(constants):
        values = np.full((num, task.out_dim), thousandths / 1000)
        clips[str(number)] = PredictionPair(values, Labels(values, np.ones(num, bool)))
    drawn = times * np.eye(len(constants), dtype=int)
    scores = task.resampled_scores(list(group_by_video(clips).values()))(drawn)
    assert {key: values.tolist() for key, values in scores.items()} == {key: [0.0] * len(drawn) for key in scores}
