"""Features standardised within a person, without labels; too little material falls back to the training split."""

import pickle

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.errors import NotFoundError
from abaw.tracks import Clock, Track
from fusion.normalisation.group_source import GroupSource, standardise_groups
from fusion.normalisation.statistics import FeatureStatistics

FPS = 10
LONG, SHORT = 200, 20  # frames: 20 s and 2 s
FEATURES = {"voice": FeatureConfig(normalise="group"), "face": FeatureConfig()}


class Voices:
    """Voice and face of a few persons: each has a level and a range of his own; a tenth of the rows is unobserved."""

    def __init__(self, **num_frames):
        self.reads = []
        self.num_frames = num_frames

    def names(self):
        return ("voice", "face")

    def dim(self, name):
        return 3

    def is_on_clock(self, name):
        return True

    def clock(self, clip_id):
        if clip_id not in self.num_frames:
            raise NotFoundError(clip_id)
        num = self.num_frames[clip_id]
        return Clock(np.arange(1, num + 1), np.arange(num) / FPS, np.ones(num, bool))

    def read(self, name, clip_id, start_s, stop_s):
        self.reads.append((name, clip_id))
        num, level = self.num_frames[clip_id], ord(clip_id[0])
        rng = np.random.default_rng([level, int(clip_id[1:])])
        values = (level + (level - 90) * rng.normal(size=(num, 3))).astype(np.float32)
        observed = np.arange(num) % 10 > 0
        values[~observed] = np.nan
        times_s = np.arange(num) / FPS
        inside = (times_s >= start_s) & (times_s <= stop_s)
        return Track(values[inside], times_s[inside], observed[inside])


GROUPS = {"a1": "ann", "a2": "ann", "a3": "ann", "b1": "bob", "b2": "bob", "c1": "cid"}
SPLIT = {"voice": FeatureStatistics(np.full(3, 5.0), np.full(3, 2.0))}


def source_of(groups=GROUPS, **num_frames):
    return GroupSource(Voices(**num_frames), FEATURES, groups, SPLIT)


class Wrapper:
    """A source around another one, as those with worse features are."""

    def __init__(self, source):
        self.source = source

    def __getattr__(self, name):
        return getattr(self.source, name)


def test_a_source_around_one_within_groups_is_not_standardised_again():
    inner = source_of(a1=LONG)
    wrapped = Wrapper(inner)
    assert standardise_groups(wrapped, FEATURES, GROUPS, SPLIT) is wrapped
    other = Wrapper(Voices(a1=LONG))
    assert isinstance(standardise_groups(other, FEATURES, GROUPS, SPLIT), GroupSource)


def test_another_source_of_the_same_clips_is_standardised_by_the_same_statistics():
    source = source_of(a1=LONG, a2=LONG)
    before = whole(source, "a1")
    doubled = Voices(a1=LONG, a2=LONG)
    read = doubled.read
    doubled.read = lambda *given: (lambda track: Track(track.values * 2, track.times_s, track.observed))(read(*given))
    statistics = source._of_clip("voice", "a1")
    found = whole(source.over(doubled), "a1")
    seen = before.observed
    expected = (read("voice", "a1", 0, 1e9).values * 2 - statistics.mean) / statistics.std
    np.testing.assert_allclose(found.values[seen], expected[seen], rtol=1e-5)


def whole(source, clip_id, name="voice"):
    return source.read(name, clip_id, 0, 1e9)


def observed(*tracks):
    return np.concatenate([track.values[track.observed] for track in tracks])


def test_all_observed_rows_of_a_person_have_mean_0_and_deviation_1():
    source = source_of(a1=LONG, a2=LONG, b1=LONG, b2=2 * LONG)
    for clips in (("a1", "a2"), ("b1", "b2")):
        rows = observed(*(whole(source, clip) for clip in clips))
        assert rows.mean(0) == pytest.approx(np.zeros(3), abs=1e-5)
        assert rows.std(0) == pytest.approx(np.ones(3), abs=1e-5)


def test_a_window_is_standardised_as_its_clip_is_and_other_modalities_stay():
    source = source_of(a1=LONG, a2=LONG)
    part = source.read("voice", "a1", 3.0, 5.0)
    np.testing.assert_array_equal(part.values, whole(source, "a1").values[30:51])
    np.testing.assert_array_equal(whole(source, "a1", "face").values, whole(source.source, "a1", "face").values)


def test_the_other_clips_of_the_person_count_also_those_that_are_never_predicted():
    alone, together = source_of(a1=2 * LONG), source_of(a1=2 * LONG, a3=LONG)
    assert not np.allclose(observed(whole(alone, "a1")), observed(whole(together, "a1")))
    assert together.report()["num_missing_clips"] == 1  # a2


def test_a_group_is_read_once():
    source = source_of(a1=LONG, a2=LONG, b1=LONG)
    for clip in ("a1", "a2", "a1"):
        whole(source, clip)
    own = [each for each in source.source.reads if each == ("voice", "a2")]
    assert len(own) == 2  # its own rows, and once for the statistics
    assert ("voice", "b1") not in source.source.reads


def test_a_person_with_too_little_is_standardised_by_the_training_split_and_a_warning_says_so(caplog):
    source = source_of(c1=SHORT)
    rows = observed(whole(source.source, "c1"))
    np.testing.assert_allclose(observed(whole(source, "c1")), (rows - 5) / 2, rtol=1e-6)
    source.warn()
    assert "1 group with less than 30 s of voice (group 'cid': 1.8 s): standardised by the training" in caplog.text
    assert source.report()["too_little_s"] == {"voice": {"cid": 1.8}}


def test_a_clip_without_a_group_is_its_own_and_a_warning_says_so(caplog):
    source = source_of({}, a1=2 * LONG, a2=2 * LONG)
    assert observed(whole(source, "a1")).mean(0) == pytest.approx(np.zeros(3), abs=1e-5)
    source.warn()
    assert "1 clip of no group: each is standardised by itself" in caplog.text


def test_the_split_is_measured_in_the_same_pass():
    source = source_of(a1=LONG, a2=LONG, b1=2 * LONG)
    source.prepare(["a1", "b1"], ["a1", "a2"])
    rows = observed(whole(source.source, "a1"), whole(source.source, "a2"))
    assert source.fallback["voice"].mean == pytest.approx(rows.mean(0), rel=1e-6)
    reads = len(source.source.reads)
    again = pickle.loads(pickle.dumps(source))  # as a process that reads windows gets it
    whole(again, "a1")
    assert len(again.source.reads) == reads + 1


def test_training_is_refused_where_nobody_has_enough():
    source = source_of(a1=SHORT, b1=SHORT, b2=SHORT)
    with pytest.raises(ValueError, match=r"features.voice: .* no group has 30 s .*the most has group 'bob', 3.6 s"):
        source.prepare(["a1", "b1"], ["a1"])


def test_a_still_picture_counts_as_a_second():
    groups = {f"a{i}": "ann" for i in range(40)}
    source = GroupSource(Pictures(40), {"voice": FeatureConfig(normalise="group")}, groups, SPLIT)
    assert observed(whole(source, "a1")).shape == (1, 1)
    assert source.report()["too_little_s"] == {"voice": {}}
    few = GroupSource(Pictures(20), {"voice": FeatureConfig(normalise="group")}, groups, SPLIT)
    whole(few, "a1")
    assert few.report()["too_little_s"] == {"voice": {"ann": 20.0}}


class Pictures(Voices):
    """Clips of one frame."""

    def __init__(self, num):
        super().__init__(**{f"a{i}": 1 for i in range(num)})

    def names(self):
        return ("voice",)

    def dim(self, name):
        return 1

    def read(self, name, clip_id, start_s, stop_s):
        return Track(np.array([[float(clip_id[1:])]], np.float32), np.zeros(1), np.ones(1, bool))


def test_where_nothing_asks_for_it_the_source_is_as_it_was():
    voices = Voices(a1=LONG)
    assert standardise_groups(voices, {"voice": FeatureConfig(), "face": FeatureConfig()}, GROUPS) is voices
    wrapped = standardise_groups(voices, FEATURES, GROUPS)
    assert standardise_groups(wrapped, FEATURES, {}) is wrapped
