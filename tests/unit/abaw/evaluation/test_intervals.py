"""Intervals and comparisons: cases that can be counted by hand, and how often they are right."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from abaw.dataset.annotations import Labels
from abaw.evaluation.coverage import MEASURED, measured_coverage, videos_words
from abaw.evaluation.intervals import compare, correct, group_by_video, intervals, measure_mean
from abaw.evaluation.jackknife import effective_number, t_interval
from abaw.files import read_json
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair
from benchmarks.intervals import populations
from benchmarks.intervals.methods import leave_out
from tests.support.house import ROOT

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


def test_too_few_draws_are_refused():
    clips = accuracies([3, 7])
    with pytest.raises(ValueError, match="99 draws, expected 100 or more: p of fewer means nothing"):
        compare(EXPR, clips, clips, draws=99)


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
    wide = intervals(EXPR, speakers)["accuracy"]
    low, high = intervals(EXPR, clips)["accuracy"]
    assert wide[0] < low < high < wide[1]
    found = compare(EXPR, speakers, speakers)
    assert (found.num_videos, found.unit) == (2, "group")
    with pytest.raises(ValueError, match="clip '0_left' is of group 'ann' for the first and '' for the second"):
        compare(EXPR, speakers, clips)


def test_the_mean_of_one_system_has_its_intervals_and_the_difference_that_compare_finds():
    before, after = accuracies([9, 7, 8, 5, 9]), accuracies([8, 5, 8, 4, 6])
    found, compared = measure_mean(MEAN, [after], before), compare(MEAN, before, after)
    assert found.intervals == intervals(MEAN, after)
    assert found.scores["accuracy"] == pytest.approx(0.62)
    assert (found.difference, found.difference_interval) == (compared.difference, compared.interval)


def test_the_mean_of_several_systems_is_by_video_over_the_mean():
    before, one, other = accuracies([9, 9, 9]), accuracies([8, 6, 4]), accuracies([6, 6, 8])
    found = measure_mean(MEAN, [one, other], before)
    middle = intervals(MEAN, accuracies([7, 6, 6]))  # what the two give together in each video
    assert found.scores["accuracy"] == pytest.approx(19 / 30)
    assert found.intervals["accuracy"] == pytest.approx(middle["accuracy"])
    assert found.difference == pytest.approx(19 / 30 - 0.9)
    assert measure_mean(MEAN, [accuracies([5])], accuracies([9])).intervals is None
    with pytest.raises(ValueError, match="only the first has clip '2'"):
        measure_mean(MEAN, [accuracies([8, 6])], before)


def test_videos_that_are_all_alike_have_an_interval_of_no_width():
    assert intervals(EXPR, accuracies([6] * 5))["accuracy"] == (0.6, 0.6)


def test_the_interval_of_a_mean_of_normals_is_students():
    values = np.random.default_rng(3).normal(5, 2, 12)
    left_out = (values.sum() - values) / 11
    lengths = np.full((1, 12), 100.0)
    low, high = t_interval(values.mean(keepdims=True), left_out[None], effective_number(lengths), (-np.inf, np.inf))
    assert (low[0], high[0]) == pytest.approx(stats.t.interval(0.95, 11, values.mean(), stats.sem(values)), rel=1e-12)


def test_videos_of_which_one_is_long_are_fewer_than_they_are():
    assert effective_number(np.array([[1.0, 1, 1, 1]])) == [4]
    assert effective_number(np.array([[97.0, 1, 1, 1]])) == pytest.approx([1.062], abs=1e-3)


def test_intervals_stay_inside_the_range_and_a_score_at_its_limit_has_none():
    low, high = intervals(EXPR, accuracies([9, 10, 2]))["accuracy"]
    assert 0 < low < 0.7 < high < 1
    assert "accuracy" not in intervals(EXPR, accuracies([10, 10, 10]))


def test_many_videos_are_left_out_in_blocks(monkeypatch):
    rights = np.random.default_rng(0).integers(2, 10, 60)
    one_by_one = intervals(EXPR, accuracies(rights))["accuracy"]
    monkeypatch.setattr("abaw.evaluation.intervals.MAX_BLOCKS", 30)
    assert intervals(EXPR, accuracies(rights))["accuracy"] == pytest.approx(one_by_one, abs=0.03)


@pytest.mark.parametrize(("population", "least"), [(populations.VALUES, 0.93), (populations.CLASSES, 0.93)])
@pytest.mark.parametrize("num", [8, 30])
def test_intervals_hold_the_true_score_as_often_as_they_say(population, least, num):
    """Of 1,000 sets of videos of log-normal length; percentiles of the bootstrap hold it in 60 to 88 %."""
    (sums,) = population.sets(1000, num, [population.system], 5)
    score = population.score(sums.sum(axis=1))
    weights = effective_number(population.num_rows(sums))
    low, high = t_interval(score, leave_out(population, sums), weights, population.limits)
    truth = population.truths([population.system])[0]
    assert least <= ((low <= truth) & (truth <= high)).mean() <= 0.985


def test_the_coverage_that_reports_print_is_the_benchmarks():
    found = read_json(ROOT / "benchmarks/results/simulations/intervals.json")["lowest"]
    assert {kind: {str(num): share for num, share in of.items()} for kind, of in MEASURED.items()} == found
    assert videos_words(8, "video", measured_coverage(TASKS.build("au"), 8)) == (
        "8 videos: too few for a 95 % interval; measured coverage 90 %"
    )
    assert videos_words(76, "group", measured_coverage(VA, 99)) == "76 groups"


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
