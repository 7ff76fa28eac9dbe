"""Features that are changed when they are read: what is dropped, which noise is added."""

import pickle
from itertools import pairwise

import numpy as np
import pytest

from abaw.batches import FeatureSource
from abaw.pipelines.robustness.conditions import find_inputs, plan_ablations, plan_curves
from abaw.pipelines.robustness.sources import AbsentSource, DroppedSource, Noise, NoisySource, dropped_spans
from tests.support.memory import make_source

STD = {"face": np.array([1.0, 2.0, 4.0]), "voice": np.array([3.0, 3.0])}


@pytest.fixture
def source():
    return make_source({"a": 500, "b": 300, "still": 1})


def read(source, name, clip_id="a", rows=slice(None)):
    times_s = source.clock(clip_id).times_s[rows]
    return source.read(name, clip_id, times_s[0], times_s[-1])


def test_an_absent_modality_is_unobserved_and_the_others_are_as_they_were(source):
    absent = AbsentSource(source, {"voice"})
    assert isinstance(absent, FeatureSource)
    assert not read(absent, "voice").observed.any()
    np.testing.assert_array_equal(read(absent, "face").values, read(source, "face").values)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_the_share_of_the_time_is_dropped_in_stretches(source, share):
    times_s = source.clock("a").times_s
    spans = dropped_spans(times_s, share, 2.0, np.random.default_rng(0))
    lengths = spans[:, 1] - spans[:, 0]
    assert lengths.sum() == pytest.approx(share * (times_s[-1] - times_s[0] + 0.04))
    assert lengths.max() <= 2.0 + 1e-9
    dropped = DroppedSource(source, ["voice", "face"], share, 2.0, seed=0)
    flags = {name: read(dropped, name).observed for name in ("face", "voice")}
    there = {name: read(source, name).observed for name in ("face", "voice")}
    both = there["face"] & there["voice"]  # both are dropped at the same times
    np.testing.assert_array_equal(flags["face"][both], flags["voice"][both])
    assert flags["face"].sum() / there["face"].sum() == pytest.approx(1 - share, abs=0.05)


def test_a_larger_share_drops_the_same_and_more_and_everything_is_dropped_of_1(source):
    shares = (0.25, 0.5, 0.75, 1.0)
    kept = [read(DroppedSource(source, ["face"], share, 1.0, seed=3), "face").observed for share in shares]
    for less, more in pairwise(kept):
        assert not (more & ~less).any()
    assert not kept[-1].any()


def test_what_is_dropped_hangs_on_seed_and_clip_and_not_on_the_window(source):
    one, other = (DroppedSource(source, ["face"], 0.5, 1.0, seed) for seed in (0, 1))
    whole = read(one, "face")
    assert not np.array_equal(whole.observed, read(other, "face").observed)
    assert not np.array_equal(whole.observed[:300], read(one, "face", "b").observed)
    again = pickle.loads(pickle.dumps(DroppedSource(source, ["face"], 0.5, 1.0, 0)))
    np.testing.assert_array_equal(read(again, "face", rows=slice(40, 90)).observed, whole.observed[40:90])


def test_stills_are_dropped_whole_with_the_probability_of_the_share():
    drawn = [len(dropped_spans(np.zeros(1), 0.3, 2.0, np.random.default_rng(seed))) for seed in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.04)
    assert len(dropped_spans(np.zeros(1), 1.0, 2.0, np.random.default_rng(0))) == 1
    assert len(dropped_spans(np.zeros(0), 1.0, 2.0, np.random.default_rng(0))) == 0


def test_noise_has_the_standard_deviation_and_is_independent_of_the_window_and_of_other_rows(source):
    noisy = NoisySource(source, Noise(0.5, STD, seed=0))
    before, after = read(source, "face"), read(noisy, "face")
    noise = (after.values - before.values)[before.observed]
    np.testing.assert_allclose(noise.std(0), 0.5 * STD["face"], rtol=0.15)
    assert abs(noise.mean(0) / STD["face"]).max() < 0.1
    assert abs(np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]) < 0.15
    assert abs(np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]) < 0.15
    assert len(np.unique(noise[:, 0])) > 0.9 * len(noise)
    np.testing.assert_array_equal(read(noisy, "face", rows=slice(100, 250)).values, after.values[100:250])
    np.testing.assert_array_equal(after.observed, before.observed)
    other = read(NoisySource(source, Noise(0.5, STD, seed=1)), "face")
    assert not np.allclose(other.values[before.observed], after.values[before.observed])


def test_a_modality_without_a_standard_deviation_gets_no_noise(source):
    noisy = NoisySource(source, Noise(1.0, {"face": STD["face"]}, seed=0))
    np.testing.assert_array_equal(read(noisy, "voice").values, read(source, "voice").values)


# ---- which conditions there are


def test_the_input_of_a_modality_comes_from_its_recipe():
    recipes = {
        "hog": {"encoder": "face_hog", "crop": {}, "span": 1},
        "scene": {"encoder": "own", "span": 1},
        "mel": {"encoder": "voice_mel"},
        "given": {"encoder": "import", "modality": "vision"},
        "words": {"encoder": "import", "modality": "text"},
        "joint": {"encoder": "embedding", "modality": "joint", "span": 1},
    }
    assert find_inputs(recipes) == {
        "hog": "face", "scene": "picture", "mel": "sound", "given": "face", "words": "sound", "joint": "",
    }  # fmt: skip


def test_of_two_modalities_each_is_alone_once_and_of_three_each_is_also_left_out(source):
    assert [each.observed for each in plan_ablations(source)] == [["face"], ["voice"]]
    source.names = lambda: ("face", "voice", "words")
    assert [each.name for each in plan_ablations(source)] == [
        "without face", "without voice", "without words", "face alone", "voice alone", "words alone",
    ]  # fmt: skip
    source.names = lambda: ("face",)
    assert plan_ablations(source) == []


def test_curves_are_only_of_kinds_that_are_there_and_stills_are_not_shifted(source):
    def names(inputs, **more):
        found = plan_curves(source, inputs, lambda _: source, STD, [0, 1], 2.0, **more)
        return {each.name: each for each in found}

    both = names({"face": "face", "voice": "sound"})
    assert list(both) == ["sound dropped", "faces dropped", "noise", "sound shifted"]
    assert [len(by_seed) for _, by_seed in both["sound dropped"].points] == [2, 2, 2, 1]  # all of it: nothing is drawn
    shifts = [strength for strength, _ in both["sound shifted"].points]
    assert min(shifts) == -0.4
    assert max(shifts) == 0.4
    assert {round(abs(each), 3) for each in shifts} >= {0.04, 0.4}
    assert list(names({"face": "face", "voice": ""})) == ["faces dropped", "noise"]
    stills = names({"face": "face", "voice": "sound"}, is_of_stills=True)
    assert list(stills) == ["sound dropped", "faces dropped", "noise"]
    assert stills["faces dropped"].unit == "share of the pictures"
