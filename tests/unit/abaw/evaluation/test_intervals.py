"""Intervals and comparisons: cases that can be counted by hand, and how often they are right."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from abaw.dataset.annotations import Labels
from abaw.evaluation.intervals import compare, correct, group_by_video, intervals
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair

VA, EXPR = TASKS.build("va"), TASKS.build("expr")


def guesses(right, num=10):
    """A clip of ``num`` frames of which so many are rightly Neutral, the others wrongly Anger; labels all Neutral."""
    post_processed = np.where(np.arange(num) < right, 0.0, 1.0)[:, None]
    return PredictionPair(post_processed, Labels(np.zeros((num, 1)), np.ones(num, bool)))


def accuracies(rights):
    return {str(i): guesses(right) for i, right in enumerate(rights)}


class Accuracy(type(EXPR)):
    """Ranked by accuracy, which over videos of one length is a plain mean: its distributions are known."""

    name = "accuracy"

    def score(self, by_clip):
        found = super().score(by_clip)
        return {"accuracy": found["accuracy"], "n": found["n"]}


MEAN = Accuracy(**EXPR.settings())


def test_the_draws_are_the_same_for_a_seed_and_other_for_another():
    assert np.array_equal(draw_videos(9, 200, 3), draw_videos(9, 200, 3))
    assert not np.array_equal(draw_videos(9, 200, 3), draw_videos(9, 200, 4))
    counts = draw_videos(9, 2000, 0)
    assert (counts.sum(axis=1) == 9).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(9), abs=0.1)
    assert (counts == 0).mean() == pytest.approx((8 / 9) ** 9, abs=0.02)  # with replacement: a video may be left out


def test_too_few_draws_are_refused():
    with pytest.raises(ValueError, match="99 draws, expected 100 or more: percentiles of fewer mean nothing"):
        intervals(EXPR, accuracies([3, 7]), draws=99)


@pytest.mark.parametrize("how", [lambda clips: intervals(EXPR, clips), lambda clips: compare(EXPR, clips, clips)])
def test_nothing_scored_is_an_error(how):
    clip = PredictionPair(np.zeros((3, 1)), Labels(np.zeros((3, 1)), np.zeros(3, bool)))
    with pytest.raises(ValueError, match="nothing to score: no frame has a label"):
        how({"1": clip})


def test_one_video_has_no_interval():
    assert intervals(EXPR, {"1_left": guesses(3), "1_right": guesses(9)}) is None


def test_both_persons_of_a_video_and_none_without_a_scored_frame_are_drawn():
    unscored = PredictionPair(np.zeros((3, 1)), Labels(np.zeros((3, 1)), np.zeros(3, bool)))
    clips = {"2_right": guesses(1), "1": unscored, "2_left": guesses(2), "3": guesses(3)}
    assert {video: list(part) for video, part in group_by_video(clips).items()} == {
        "2": ["2_left", "2_right"],
        "3": ["3"],
    }


def test_where_clips_have_groups_whole_groups_are_drawn():
    """Ten clips of either speaker are two witnesses; twenty without speakers are twenty."""
    clips = {f"{i}_left": guesses(2 if i < 10 else 9) for i in range(20)}
    speakers = {
        clip: replace(each, labels=replace(each.labels, group="ann" if int(clip[:-5]) < 10 else "bob"))
        for clip, each in clips.items()
    }
    assert {group: len(part) for group, part in group_by_video(speakers).items()} == {"ann": 10, "bob": 10}
    assert intervals(EXPR, speakers)["accuracy"] == (0.2, 0.9)
    low, high = intervals(EXPR, clips)["accuracy"]
    assert 0.2 < low < high < 0.9
    found = compare(EXPR, speakers, speakers)
    assert (found.num_videos, found.unit) == (2, "group")
    with pytest.raises(ValueError, match="clip '0_left' is of group 'ann' for the first and '' for the second"):
        compare(EXPR, speakers, clips)


def test_videos_that_are_all_alike_have_an_interval_of_no_width():
    assert intervals(EXPR, accuracies([6] * 5))["accuracy"] == (0.6, 0.6)


def test_the_interval_of_two_videos_runs_from_the_worse_to_the_better():
    assert intervals(EXPR, accuracies([2, 9]))["accuracy"] == (0.2, 0.9)


def test_the_interval_of_a_mean_is_the_bootstraps_of_another_library():
    rights = np.random.default_rng(0).integers(2, 10, 40)
    ours = intervals(EXPR, accuracies(rights), draws=20_000)["accuracy"]
    theirs = stats.bootstrap(
        (rights / 10,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_an_interval_is_right_about_as_often_as_it_says():
    """Of 200 sets of 30 videos whose true accuracy is known, about 95 % of the intervals hold it."""
    rng, hits, sets = np.random.default_rng(7), 0, 200
    for seed in range(sets):
        rights = rng.binomial(10, rng.beta(6, 4, 30))  # videos differ: frames of one are no independent trials
        low, high = intervals(EXPR, accuracies(rights), 200, seed)["accuracy"]
        hits += low <= 0.6 <= high
    assert 0.87 <= hits / sets <= 0.99


def test_an_interval_by_frames_would_be_far_too_narrow():
    """What is drawn are videos: forty frames of one are one witness, not forty."""
    rng = np.random.default_rng(0)
    clips = {str(i): guesses(right, 400) for i, right in enumerate(rng.integers(100, 300, 20))}
    low, high = intervals(EXPR, clips)["accuracy"]
    share = EXPR.score(clips)["accuracy"]
    assert high - low > 3 * 2 * 1.96 * (share * (1 - share) / 8000) ** 0.5


def test_a_better_system_on_every_video_is_found_better():
    first, second = accuracies([3] * 25), accuracies([6] * 25)
    found = compare(EXPR, first, second)
    gain = 2 * 0.6 / 1.6 / 8 - 2 * 0.3 / 1.3 / 8  # of one of eight classes
    assert found.difference == pytest.approx(gain)
    assert found.interval == pytest.approx((gain, gain))
    assert found.p == pytest.approx(1 / 1001)  # no exchange of 1,000 is as large as the one found
    assert found.verdict == "better"
    assert compare(EXPR, second, first).verdict == "worse"


def test_with_few_videos_every_exchange_is_tried_and_p_has_a_floor():
    found = compare(EXPR, accuracies([3] * 4), accuracies([6] * 4))
    assert found.p == 2 / 2**4  # all exchanged, or none: as large as what was found
    assert found.verdict == "neither"
    assert compare(EXPR, accuracies([3] * 6), accuracies([6] * 6)).verdict == "better"


def test_p_is_the_share_of_sign_flips_that_are_as_large():
    """For a mean over videos of one length to exchange a video is to turn the sign of its difference."""
    rng = np.random.default_rng(3)
    first, second = rng.integers(2, 7, 8), rng.integers(3, 9, 8)
    flips = np.array(list(itertools.product([-1, 1], repeat=8)))
    sums = np.abs(flips @ (second - first))
    found = compare(MEAN, accuracies(first), accuracies(second))
    assert found.p == (sums >= abs((second - first).sum())).mean()
    assert found.difference == pytest.approx((second - first).mean() / 10)


def test_of_two_systems_that_are_alike_few_comparisons_find_one_better():
    rng = np.random.default_rng(5)
    p = np.array(
        [
            compare(EXPR, accuracies(rng.binomial(10, share)), accuracies(rng.binomial(10, share)), 200, seed).p
            for seed, share in enumerate(rng.beta(6, 4, (150, 15)))
        ]
    )
    assert (p <= 0.05).mean() <= 0.1
    assert p.mean() == pytest.approx(0.5, abs=0.1)


def test_another_clip_or_another_label_is_named():
    clips = accuracies([3, 4, 5])
    with pytest.raises(ValueError, match="only the first has clip '1': two are compared on the same clips"):
        compare(EXPR, clips, {clip: each for clip, each in clips.items() if clip != "1"})
    with pytest.raises(ValueError, match="only the second has clip '2'"):
        compare(EXPR, {clip: each for clip, each in clips.items() if clip != "2"}, clips)
    other = PredictionPair(clips["2"].prediction, Labels(np.ones((10, 1)), np.ones(10, bool)))
    with pytest.raises(ValueError, match="have different labels of clip '2': give one data set"):
        compare(EXPR, clips, {**clips, "2": other})


def test_predictions_and_labels_of_different_lengths_are_named():
    clips = {**accuracies([3, 4]), "7": PredictionPair(np.zeros((3, 1)), Labels(np.zeros((4, 1)), np.ones(4, bool)))}
    with pytest.raises(ValueError, match="clip '7' has 3 predictions and 4 labels"):
        intervals(EXPR, clips)
    with pytest.raises(ValueError, match="clip '7' has 3 predictions and 4 labels"):
        intervals(MEAN, clips)


def test_draws_of_constant_predictions_and_labels_score_0():
    constant = PredictionPair(np.full((5, 2), 0.3), Labels(np.full((5, 2), 0.3), np.ones(5, bool)))
    assert intervals(VA, {"1": constant, "2": constant})["CCC"] == (0.0, 0.0)


def test_several_p_are_corrected_by_their_number_and_keep_their_order():
    assert correct([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert correct([0.9, 0.8]) == [1.0, 1.0]
    assert correct([]) == []
