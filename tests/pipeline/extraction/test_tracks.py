"""Extraction from files on disk: tracks of faces and sound, and the clock of each clip."""

import numpy as np
import pytest

from abaw.tracks import Clock
from extract.encoders import ENCODERS
from extract.engine.requests import ReadResult
from extract.faces.detectors import Haar
from extract.faces.target import TargetConfig
from extract.media import Sound
from extract.store.store import FeatureStore
from extract.synthetic.write_clip import write_clip
from tests.support.extract.drawn_clips import FPS, get, picture, run, tone, write_images, write_video


def test_a_face_detected_in_the_video_gives_a_row_per_frame_and_its_box(tmp_path):
    shown = [picture((40, 30, 40))] * 10 + [picture()] * 5 + [picture((60, 30, 40))] * 5
    write_video(tmp_path / "a.mp4", shown, tone(0.8))
    report = run(tmp_path / "a.mp4", tmp_path / "store")
    assert (report.made, report.present, report.failed) == (["a"], [], [])
    track, boxes = get(tmp_path / "store", "face_hog", "a"), get(tmp_path / "store", "faces", "a")
    assert np.allclose(track.times_s, np.arange(20) / FPS, atol=1e-4)
    assert track.observed.tolist() == [True] * 10 + [False] * 5 + [True] * 5
    assert np.abs(boxes.values[[0, 19], :4] - [[40, 30, 40, 40], [60, 30, 40, 40]]).max() <= 2
    assert len(FeatureStore(tmp_path / "store").clock("a")) == 20


def test_the_boxes_of_all_persons_are_stored_beside_the_targets(tmp_path):
    """The target, large, leaves after five frames, while another person stays."""
    write_video(tmp_path / "a.mp4", [picture((10, 30, 50), (110, 40, 30))] * 5 + [picture((110, 40, 30))] * 5)
    report = run(tmp_path / "a.mp4", tmp_path / "store")
    (recipe,) = (each for each in FeatureStore(tmp_path / "store").recipes().values() if each["name"] == "faces")
    file = FeatureStore(tmp_path / "store").open(recipe, "a")
    persons = file.table("persons")
    assert file.observed.tolist() == [True] * 5 + [False] * 5
    assert persons[:, 0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10]
    target = int(file.values[0, 4])
    assert np.array_equal(persons[persons[:, 5] == target][:, 1:], file.values[:5])
    (other,) = set(persons[persons[:, 0] > 5, 5].astype(int))
    assert other != target
    assert np.abs(persons[persons[:, 5] == other][:, 1:5] - [110, 40, 30, 30]).max() <= 2
    assert "in 5 frames the person is absent, but others are there" in str(report.losses["a"])


def test_left_and_right_have_their_own_face_and_the_same_sound(tmp_path):
    write_video(tmp_path / "videos/v.mp4", [picture((10, 30, 30), (110, 40, 40))] * 6, tone(0.24))
    for side in ("left", "right"):
        folder = tmp_path / "notes/VA_Estimation_Challenge/Train_Set"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"v_{side}.txt").write_text("valence,arousal\n" + "0.1,0.2\n" * 6)
    report = run(tmp_path, tmp_path / "store")
    assert sorted(report.made) == ["v_left", "v_right"]
    assert get(tmp_path / "store", "faces", "v_left").values[:, 0] == pytest.approx(10, abs=2)
    assert get(tmp_path / "store", "faces", "v_right").values[:, 0] == pytest.approx(110, abs=2)
    left, right = (get(tmp_path / "store", "voice_mel", f"v_{side}") for side in ("left", "right"))
    assert np.array_equal(left.values, right.values)


def test_each_face_image_is_a_row_at_the_time_of_its_frame(tmp_path):
    times_s = np.cumsum([0.0, 0.04, 0.04, 0.2, 0.04, 0.04])
    write_video(tmp_path / "videos/v.mp4", [picture()] * 6, tone(0.4), times_s)
    write_images(tmp_path / "cropped/v", [1, 2, 4, 6])
    run(tmp_path, tmp_path / "store")
    track = get(tmp_path / "store", "face_hog", "v")
    assert track.times_s == pytest.approx(times_s[[0, 1, 3, 5]], abs=1e-4)
    assert track.observed.all()
    assert not list((tmp_path / "store").glob("faces-*"))


def test_labels_and_images_beyond_the_last_frame_extend_the_clock_at_the_median_interval(tmp_path):
    write_video(tmp_path / "videos/v.mp4", [picture()] * 5)
    write_images(tmp_path / "cropped/v", [1, 6])
    labels = tmp_path / "notes/EXPR_Recognition_Challenge/Train_Set/v.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n" + "0\n" * 7)
    run(tmp_path, tmp_path / "store")
    clock = FeatureStore(tmp_path / "store").clock("v")
    assert clock.times_s == pytest.approx(np.arange(7) / FPS, abs=1e-4)
    assert clock.decoded.tolist() == [True] * 5 + [False] * 2
    assert get(tmp_path / "store", "face_hog", "v").times_s == pytest.approx([0, 5 / FPS], abs=1e-4)


def test_images_without_a_video_need_an_assumed_frame_rate_and_the_clock_records_it(tmp_path):
    write_images(tmp_path / "cropped/v", [1, 3])
    report = run(tmp_path, tmp_path / "store")
    assert [(failure.clip, failure.stage) for failure in report.failed] == [("v", "clock")]
    assert "give --assume-fps FPS" in report.failed[0].reason
    report = run(tmp_path, tmp_path / "store", assume_fps=20.0)
    assert report.made == ["v"]
    store = FeatureStore(tmp_path / "store")
    assert store.clock("v").times_s == pytest.approx([0, 0.05, 0.1])
    assert store.clock_metadata("v")["assumed_fps"] == "20.0"
    assert len(get(tmp_path / "store", "voice_mel", "v")) == 0
    assert run(tmp_path, tmp_path / "store", assume_fps=20.0).present == ["v"]
    assert run(tmp_path, tmp_path / "store", assume_fps=10.0).made == ["v"]


def test_a_clip_without_sound_has_a_track_without_rows(tmp_path):
    write_video(tmp_path / "a.mp4", [picture()] * 3)
    run(tmp_path / "a.mp4", tmp_path / "store")
    assert get(tmp_path / "store", "voice_mel", "a").values.shape == (0, 49)


def test_sound_alone_has_a_clock_at_the_assumed_rate(tmp_path):
    write_clip(tmp_path / "a.mp4", [], [], tone(1.0))
    failed = run(tmp_path / "a.mp4", tmp_path / "store").failed
    assert "the clip has sound only, so its frame rate is unknown: give --assume-fps FPS" in failed[0].reason
    run(tmp_path / "a.mp4", tmp_path / "store", assume_fps=10.0)
    clock = FeatureStore(tmp_path / "store").clock("a")
    assert 10 <= len(clock) <= 11
    assert not clock.decoded.any()


def test_real_clips_give_tracks_with_true_times(media, tmp_path):
    names = ("single_face.mp4", "1001_DFA_ANG_XX.flv", "lrwp9a.mpg")
    for name in names:
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to((media / "clips" / name).resolve())
    report = run(tmp_path / "data", tmp_path / "store", TargetConfig(Haar(4, 0.1)))
    assert len(report.made) == 3
    face = get(tmp_path / "store", "face_hog", "single_face")
    assert len(face) == 72
    assert face.observed.sum() >= 70
    flash = get(tmp_path / "store", "face_hog", "1001_DFA_ANG_XX")
    assert flash.times_s[0] == pytest.approx(0.027, abs=1e-3)
    assert np.diff(flash.times_s) == pytest.approx(33 / 989, abs=2e-3)


def test_the_boxes_of_faces_are_not_listed_as_features(tmp_path):
    write_video(tmp_path / "a.mp4", [picture((40, 30, 40))] * 3)
    run(tmp_path / "a.mp4", tmp_path / "store")
    with pytest.raises(ValueError, match="no features named 'faces'"):
        FeatureStore(tmp_path / "store").find("faces")


def test_rows_in_a_gap_of_the_sound_are_not_observed(tmp_path):
    from extract.engine.batching import Batcher, OpenClip

    sound = Sound(tone(3.0).samples, 16000, 0.5, ((1.0, 2.0),))
    encoder = ENCODERS.build("voice_mel")
    with FeatureStore(tmp_path).writer({"name": "voice"}, "a", encoder.dim) as writer:
        clip = OpenClip("a", "source")
        clip.add_writer("voice", writer)
        clip.read = ReadResult(Clock(np.zeros(0, int), np.zeros(0), np.zeros(0, bool)), {}, None, {})
        Batcher({"voice": encoder}).add(clip, "voice", sound)
        clip.finish({})
    track = FeatureStore(tmp_path).get({"name": "voice"}, "a")
    in_gap = (track.times_s >= 1.0) & (track.times_s < 2.0)
    assert in_gap.any()
    assert np.array_equal(track.observed, ~in_gap)


def test_values_of_a_face_that_appears_late_are_in_its_own_rows(tmp_path):
    shown = [picture()] * 4 + [picture((40, 30, 40))] * 4
    write_video(tmp_path / "a.mp4", shown)
    run(tmp_path / "a.mp4", tmp_path / "store")
    track = get(tmp_path / "store", "face_hog", "a")
    assert track.observed.tolist() == [False] * 4 + [True] * 4
    assert not track.values[:4].any()
    assert (np.abs(track.values[4:]).sum(axis=1) > 0).all()
