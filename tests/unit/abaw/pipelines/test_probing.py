"""Linear models on pooled features: what is informative is found, on held-out groups, and what is doubtful is said."""

import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from abaw.errors import AbawError
from abaw.pipelines.probing import pooler, scoring
from abaw.pipelines.probing.scoring import probe
from abaw.probes import linear
from abaw.tracks import Clock, Track
from extract.store.store import FeatureStore
from tests.support.abaw.speakers import CLEAR, CLIPS, MOODS, NOISE, NUM_ROWS, track_of, write_data, write_store


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store")).root


@pytest.fixture(scope="module")
def report(data, store):
    return probe(data, store, draws=100)


def test_the_encoder_that_separates_the_classes_is_first(report):
    best, other = report.results
    assert (best.encoder, other.encoder) == ("clear", "noise")
    assert best.scores["F1"] > 0.8 > 0.6 > other.scores["F1"]
    low, high = best.interval
    assert low <= best.scores["F1"] <= high
    assert best.num_features == 6


def test_the_report_says_what_was_scored(report):
    (about,) = report.tasks
    assert (about.num_clips, about.num_groups, about.unit, about.num_parts) == (36, 4, "group", 4)
    assert about.chance == pytest.approx(1 / 6)  # F1 of one of three classes is 1/2
    assert "classes: 36 clips of 4 groups, held out in 4 parts" in str(report)
    assert str(report).index("clear") < str(report).index("noise") < str(report).index("a constant guess")
    assert report.to_dict()["results"][0]["encoder"] == "clear"
    assert list(report.to_pandas()["encoder"]) == ["clear", "noise"]


def test_the_same_seed_gives_the_same_and_a_combination_is_scored_side_by_side(data, store, report):
    again = probe(data, store, encoders=["clear", "noise+clear"], draws=100)
    scores = {each.encoder: each for each in again.results}
    assert scores["clear"].scores == report.results[0].scores
    assert scores["noise+clear"].num_features == 12


def test_no_row_is_predicted_by_a_model_of_its_group(data, store, monkeypatch):
    seen = []

    def record(task, features, labels, parts, groups, seed):
        seen.append({group: set(parts[np.array(groups) == group].tolist()) for group in set(groups)})
        return cross_predict(task, features, labels, parts, groups, seed)

    cross_predict = linear.cross_predict
    monkeypatch.setattr(linear, "cross_predict", record)
    for folds in (2, "groups"):
        probe(data, store, encoders=["clear"], folds=folds, draws=100)
        assert all(len(parts) == 1 for parts in seen[-1].values())


def test_within_groups_what_belongs_to_a_speaker_is_taken_away(tmp_path, data, monkeypatch):
    monkeypatch.setattr(pooler, "MIN_GROUP_S", 20.0)
    shifted = write_store(tmp_path / "store", shift=20.0).root
    options = {"encoders": ["clear"], "draws": 100}
    plain, within = (probe(data, shifted, normalise=how, **options) for how in ("none", "group"))
    assert within.results[0].scores["F1"] > 0.8
    assert within.results[0].scores["F1"] > plain.results[0].scores["F1"] + 0.1


def test_speakers_with_too_little_are_refused_where_all_of_them_are(data, store):
    with pytest.raises(ValueError, match=r"no group has 30 s of clear .the most has 27.0 s.: probe without"):
        probe(data, store, encoders=["clear"], normalise="group", folds=2)


def test_a_clip_without_a_track_is_left_out_for_all_and_said(tmp_path, data):
    store = write_store(tmp_path / "store")
    store.track_path(NOISE, "ann0").unlink()
    (about,) = (found := probe(data, store.root, draws=100, folds=2)).tasks
    assert about.num_clips == 35
    assert "1 clip without a track of noise left out: ann0" in about.remarks
    assert {each.scores["n"] for each in found.results} == {35}


def test_a_clip_in_which_nothing_was_observed_has_the_mean_and_is_said(tmp_path, data):
    store = write_store(tmp_path / "store")
    silent = track_of("bob3", True)
    store.put(CLEAR, "bob3", Track(silent.values, silent.times_s, np.zeros(NUM_ROWS, bool)), {})
    found = probe(data, store.root, encoders=["clear"], draws=100, folds=2)
    assert found.results[0].num_unobserved == 1
    assert "clear observed nothing in 1 clip ('bob3' first): predicted without it" in found.tasks[0].remarks


def test_a_constant_encoder_scores_as_a_guess_does_and_is_said(tmp_path, data):
    store = write_store(tmp_path / "store")
    for clip in CLIPS:
        same = track_of(clip, True)
        store.put(NOISE, clip, Track(np.ones_like(same.values), same.times_s, same.observed), {})
    found = probe(data, store.root, encoders=["noise"], draws=100, folds=2)
    assert found.results[0].scores["F1"] < 0.5
    assert "noise is the same in every row: its score is that of a guess" in found.tasks[0].remarks


def test_a_class_of_a_single_group_is_said(tmp_path, store):
    rows = [f"{clip}.wav,{who},{'calm' if who != 'dan' else mood}" for clip, (who, mood) in CLIPS.items()]
    found = probe(write_data(tmp_path / "data", rows=rows), store, encoders=["clear"], draws=100, folds=2)
    assert "glad occurs in 'dan' alone: held out with it, no model has seen the class" in found.tasks[0].remarks


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([f"{clip}.wav,{who},calm" for clip, (who, _) in CLIPS.items()], "every classes label is the same: there is"),
        (
            [f"{clip}.wav,ann,{mood}" for clip, (_, mood) in CLIPS.items()],
            "are of one group ('ann'): a probe holds out",
        ),
        (
            [f"{clip}.wav,{who}," for clip, (who, _) in CLIPS.items()],
            "has no labels for any task in train or validation",
        ),
        (["other.wav,ann,calm", "more.wav,bob,glad"], "has no clip with classes labels and tracks of .*extract them"),
    ],
)
def test_labels_that_cannot_be_probed_are_an_error(tmp_path, store, rows, message):
    with pytest.raises(AbawError, match=message.replace("('ann')", r"\('ann'\)")):
        probe(write_data(tmp_path / "data", rows=rows), store, draws=100, folds=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoders": ["none"]}, "none"),
        ({"folds": 5}, "5.*only 4 "),
        ({"folds": 1}, "folds is 1, expected 2 or more, or groups"),
        ({"folds": "persons"}, "num is 'persons': expected a number of folds, 1 or more, or the word groups"),
        ({"seed": -1}, "the draws have seed -1, expected 0 or more"),
        ({"draws": 0}, "0 draws, expected"),
        ({"encoders": ["a", "a"]}, "the encoder a is given twice: remove one"),
        ({"encoders": ["a + a"]}, "the part of the encoder a . a, a is given twice"),
        ({"task": "values"}, "has no labels for values in train or validation"),
    ],
)
def test_options_that_cannot_be_are_an_error(data, store, options, message):
    with pytest.raises(AbawError, match=message):
        probe(data, store, **{"draws": 100, **options})


def test_values_are_predicted_by_ridge(tmp_path, store):
    rows = [f"{clip}.wav,{who},{MOODS.index(mood) * 4 + 1}" for clip, (who, mood) in CLIPS.items()]
    keys = {"values": {"columns": ["arousal"], "range": [1, 9]}}
    found = probe(write_data(tmp_path / "data", "path,group,arousal", rows, **keys), store, draws=100)
    assert [each.encoder for each in found.results] == ["clear", "noise"]
    assert found.results[0].scores["CCC"] > 0.8
    assert found.tasks[0].chance == pytest.approx(0, abs=1e-6)


def test_a_task_of_frames_is_probed_in_windows_around_frames(tmp_path):
    """Two frames of three are scored; the label of a frame moves the rows around it."""
    data, store = tmp_path / "data", FeatureStore(tmp_path / "store")
    labels = data / "labels/EXPR_Recognition_Challenge/Train_Set"
    labels.mkdir(parents=True)
    for i in range(6):
        clip, classes = f"v{i}", np.repeat(np.random.default_rng(i).permutation([0, 1, 4]), 30)
        rows = np.where(np.arange(90) % 3 > 0, classes, -1)
        (labels / f"{clip}.txt").write_text(
            "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n" + "\n".join(map(str, rows))
        )
        clock = Clock(np.arange(1, 91), np.arange(90) / 10, np.ones(90, bool))
        store.put_clock(clip, clock, {"num_frames": "90"})
        values = np.random.default_rng(i).normal(size=(90, 2)) + classes[:, None] * [2, 0]
        store.put(CLEAR, clip, Track(values.astype(np.float32), clock.times_s, np.ones(90, bool)), {})
    found = probe(data, store.root, draws=100)
    (about,) = found.tasks
    assert (about.task, about.num_clips, about.num_rows, about.unit) == ("expr", 6, 360, "video")
    assert found.results[0].scores["accuracy"] > 0.85
    assert open_dataset(data).groups == {}


def test_frames_with_labels_of_spans_are_counted_as_frames(tmp_path, monkeypatch):
    """A file of labels with one row for a whole clip labels all its frames: the windows are as many as is allowed."""
    monkeypatch.setattr(scoring, "MAX_WINDOWS", 100)
    rows = [f"{clip}.wav,{who},{clip}.csv" for clip, (who, _) in CLIPS.items()]
    keys = {"classes": {"column": "mood", "names": list(MOODS)}}
    data = write_data(tmp_path / "data", "path,group,labels", rows, **keys)
    for clip, (_, mood) in CLIPS.items():
        (data.parent / f"{clip}.csv").write_text(f"start_s,stop_s,mood\n0,2,{mood}\n2,4,{mood}\n")
    (about,) = probe(data, write_store(tmp_path / "store").root, draws=100).tasks
    assert (about.num_clips, about.num_rows) == (36, 96)  # of 36 clips of 40 frames every fifteenth
