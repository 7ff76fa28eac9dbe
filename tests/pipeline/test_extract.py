"""Extraction from files on disk: what is made, what is skipped, what fails and how that is reported."""

import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from safetensors import safe_open

from abaw.dataset.layout import open_dataset
from abaw.tracks import Clock
from extract.encoders import ENCODERS
from extract.engine.plan import EncoderSpec
from extract.engine.requests import ReadResult
from extract.engine.run import extract
from extract.faces.detectors import FaceDetector, Haar
from extract.faces.geometry import Box, Face
from extract.faces.target import TargetConfig
from extract.media import Sound
from extract.store.store import FeatureStore
from extract.synthetic.write_clip import write_clip

FPS = 25


class Bright(FaceDetector):
    """A test detector: every bright square of the picture is a face."""

    def detect(self, picture):
        count, _, stats, _ = cv2.connectedComponentsWithStats((picture[:, :, 0] > 128).astype(np.uint8))
        return [Face(Box(*(float(side) for side in stats[i, :4]))) for i in range(1, count) if stats[i, 4] > 50]

    def recipe(self):
        return {"finder": "bright", "settings": {}, "version": 1}


def picture(*squares):
    image = np.full((120, 160, 3), 20, np.uint8)
    for left, top, side in squares:
        image[top : top + side, left : left + side] = 220
    return image


def tone(seconds, start_s=0.0):
    t = np.arange(round(seconds * 16000)) / 16000
    return Sound((0.3 * np.sin(2 * np.pi * 200 * t)).astype(np.float32), 16000, start_s)


def write_video(path, pictures, sound=None, times_s=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, pictures, np.arange(len(pictures)) / FPS if times_s is None else times_s, sound)


def write_images(folder, numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), np.full((112, 112, 3), number * 3 % 255, np.uint8))


def specs():
    return [EncoderSpec(name, ENCODERS.build(name)) for name in ("face_hog", "voice_mel")]


def bright(**settings):
    return TargetConfig(Bright(), **{"detect_every": 1, **settings})


def run(root, store, target=None, **options):
    return extract(open_dataset(root), FeatureStore(store), specs(), target or bright(), **options)


def get(store, name, clip_id):
    store = FeatureStore(store)
    recipes = [recipe for recipe in store.recipes().values() if recipe["name"] == name]
    return store.get(recipes[0], clip_id)


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


def test_a_bad_clip_is_reported_and_the_others_are_extracted(tmp_path):
    write_video(tmp_path / "good.mp4", [picture()] * 3)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a film")
    report = run(tmp_path, tmp_path / "store")
    assert report.made == ["good"]
    assert {failure.clip: failure.stage for failure in report.failed} == {"empty": "decode", "text": "decode"}
    store = FeatureStore(tmp_path / "store")
    listed = (store.folder(store.find("face_hog")) / "failed.jsonl").read_text()
    assert '"clip": "empty"' in listed
    assert not store.has(store.find("face_hog"), "empty")
    assert not list((tmp_path / "store").rglob("empty*"))
    write_video(tmp_path / "empty.mp4", [picture()] * 3)
    write_video(tmp_path / "text.mp4", [picture()] * 3)
    report = run(tmp_path, tmp_path / "store")
    assert (report.made, report.present, report.failed) == (["empty", "text"], ["good"], [])
    assert not (store.folder(store.find("face_hog")) / "failed.jsonl").exists()


def test_an_encoder_that_fails_on_a_clip_fails_only_that_clip(tmp_path, monkeypatch):
    from extract.encoders.voice_mel import VoiceMel

    write_video(tmp_path / "a.mp4", [picture()] * 3, tone(0.2))
    write_video(tmp_path / "b.mp4", [picture()] * 3)
    monkeypatch.setattr(VoiceMel, "encode", lambda self, sound: 1 / 0)
    report = run(tmp_path, tmp_path / "store")
    assert report.made == ["b"]
    (failure,) = report.failed
    assert failure.clip == "a"
    assert failure.stage.startswith("encode voice_mel")
    assert failure.reason == "ZeroDivisionError: division by zero"


def test_a_damaged_image_is_an_unobserved_row_and_counted(tmp_path):
    write_video(tmp_path / "videos/v.mp4", [picture()] * 3)
    write_images(tmp_path / "cropped/v", [1, 2, 3])
    (tmp_path / "cropped/v/00002.jpg").write_bytes(b"")
    run(tmp_path, tmp_path / "store")
    assert get(tmp_path / "store", "face_hog", "v").observed.tolist() == [True, False, True]
    store = FeatureStore(tmp_path / "store")
    with safe_open(store.folder(store.find("face_hog")) / "v.safetensors", framework="numpy") as file:
        assert file.metadata()["num_unreadable_images"] == "1"


def test_an_image_numbered_zero_is_an_error(tmp_path):
    write_video(tmp_path / "videos/v.mp4", [picture()] * 3)
    write_images(tmp_path / "cropped/v", [0, 1])
    (failure,) = run(tmp_path, tmp_path / "store").failed
    assert "frames are numbered from 00001" in failure.reason


def test_changed_media_are_extracted_again(tmp_path):
    write_video(tmp_path / "a.mp4", [picture()] * 3)
    run(tmp_path / "a.mp4", tmp_path / "store")
    write_video(tmp_path / "a.mp4", [picture((40, 30, 40))] * 4)
    assert run(tmp_path / "a.mp4", tmp_path / "store").made == ["a"]
    assert len(FeatureStore(tmp_path / "store").clock("a")) == 4


def test_a_new_encoder_is_added_without_extracting_the_others_again(tmp_path):
    write_video(tmp_path / "a.mp4", [picture()] * 3)
    store = FeatureStore(tmp_path / "store")
    extract(open_dataset(tmp_path / "a.mp4"), store, specs()[1:], bright())
    path = store.folder(store.find("voice_mel")) / "a.safetensors"
    before = path.stat().st_mtime_ns
    assert run(tmp_path / "a.mp4", tmp_path / "store").made == ["a"]
    assert path.stat().st_mtime_ns == before
    assert run(tmp_path / "a.mp4", tmp_path / "store").present == ["a"]


def test_the_same_encoder_twice_is_an_error(tmp_path):
    write_video(tmp_path / "a.mp4", [picture()] * 3)
    with pytest.raises(ValueError, match="'voice_mel' is given twice with the same settings: remove one"):
        extract(open_dataset(tmp_path / "a.mp4"), FeatureStore(tmp_path / "s"), specs()[1:] * 2, bright())


def test_a_killed_extraction_continues_and_two_processes_can_share_it(tmp_path):
    for name in "abcdefgh":
        write_video(tmp_path / f"data/{name}.mp4", [picture((40, 30, 40))] * 100, tone(4.0))
    words = [sys.executable, "-m", "abaw", "-q", "extract", str(tmp_path / "data")]
    words += ["--store", str(tmp_path / "store"), "--encoder", "face_hog"]
    killed = subprocess.Popen(words)
    while killed.poll() is None and not list((tmp_path / "store").glob("face_hog-*/*.safetensors")):
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    done_before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("face_hog-*/[a-h].safetensors")}
    both = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    assert all(path.stat().st_mtime_ns == then for path, then in done_before.items())
    for name in "abcdefgh":
        assert get(tmp_path / "store", "face_hog", name).values.shape == (100, 763)
    dataset, whole = open_dataset(tmp_path / "data"), tmp_path / "whole"
    extract(dataset, FeatureStore(whole), specs()[:1], TargetConfig(Haar(4, 0.1)))
    for name in "abcdefgh":
        one, other = (get(store, "face_hog", name) for store in (tmp_path / "store", whole))
        assert one.values.tobytes() == other.values.tobytes()


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


def test_damaged_containers_give_what_can_be_decoded_and_a_reason_for_the_rest(media, tmp_path):
    report = run(media / "nasty", tmp_path / "store")
    assert {failure.clip for failure in report.failed} == {"zero_length", "text_named", "truncated_moov_missing"}
    assert all(failure.stage == "decode" and failure.reason for failure in report.failed)
    assert len(report.made) == 17
    store = FeatureStore(tmp_path / "store")
    assert len(store.clock("corrupted")) == 49
    assert len(store.clock("one_frame")) == 1
    assert len(get(tmp_path / "store", "voice_mel", "no_audio_track")) == 0
    late = get(tmp_path / "store", "voice_mel", "audio_starts_late_0.8s")
    assert late.times_s[0] == pytest.approx(0.8, abs=0.03)


def test_another_assumed_frame_rate_makes_every_track_stale(tmp_path):
    write_images(tmp_path / "cropped/v", range(1, 11))
    store, dataset = FeatureStore(tmp_path / "store"), open_dataset(tmp_path)
    face, voice = specs()
    extract(dataset, store, [face, voice], bright(), assume_fps=25.0)
    extract(dataset, store, [face], bright(), assume_fps=10.0)
    assert store.get(store.find("face_hog"), "v").times_s[-1] == pytest.approx(0.9)
    with pytest.raises(ValueError, match="voice_mel track of clip 'v' was made from other media than its clock"):
        store.get(store.find("voice_mel"), "v")
    # the rate that is recorded holds where none is given
    assert extract(dataset, store, [face, voice], bright()).made == ["v"]
    assert store.clock("v").times_s[-1] == pytest.approx(0.9)
    assert len(store.get(store.find("voice_mel"), "v")) == 0


def test_other_pixels_under_the_same_numbers_are_extracted_again(tmp_path):
    write_video(tmp_path / "videos/v.mp4", [picture()] * 3)
    write_images(tmp_path / "cropped/v", [1, 2, 3])
    run(tmp_path, tmp_path / "store")
    before = get(tmp_path / "store", "face_hog", "v").values
    for number in (1, 2, 3):
        noise = np.random.default_rng(number).integers(0, 255, (112, 112, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), noise)
    assert run(tmp_path, tmp_path / "store").made == ["v"]
    assert not np.allclose(get(tmp_path / "store", "face_hog", "v").values, before)


def test_a_clip_that_only_a_label_file_names_fails_even_with_an_assumed_frame_rate(tmp_path):
    write_video(tmp_path / "videos/v.mp4", [picture()] * 3)
    labels = tmp_path / "notes/VA_Estimation_Challenge/Train_Set/ghost.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("valence,arousal\n0,0\n")
    (failure,) = run(tmp_path, tmp_path / "store", assume_fps=10.0).failed
    assert (failure.clip, failure.reason) == (
        "ghost",
        "the clip has neither a media file nor face images: add one, or remove its label files",
    )
    with pytest.raises(
        FileNotFoundError, match="no clock for clip 'ghost' .clock failed: the clip has neither a media file"
    ):
        FeatureStore(tmp_path / "store").clock("ghost")


def test_a_file_that_cannot_be_read_fails_only_its_clip(tmp_path):
    for name in ("good", "images", "labels"):
        write_video(tmp_path / f"videos/{name}.mp4", [picture()] * 3)
    (tmp_path / "videos/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    write_images(tmp_path / "cropped/images", [1, 2, 4])
    (tmp_path / "cropped/images/00003.jpg").symlink_to(tmp_path / "nowhere.jpg")
    labels = tmp_path / "notes/VA_Estimation_Challenge/Train_Set/labels.txt"
    labels.parent.mkdir(parents=True)
    labels.write_bytes(b"\xff\xfe\x00")
    report = run(tmp_path, tmp_path / "store")
    assert report.made == ["good"]
    assert {failure.clip for failure in report.failed} == {"gone", "images", "labels"}


def test_a_value_out_of_range_fails_only_its_clip_and_a_full_disk_stops_the_run(tmp_path, monkeypatch):
    import errno

    from extract.encoders.face_hog import FaceHog

    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", [picture((40, 30, 40))] * 3)
    with monkeypatch.context() as patch:
        patch.setattr(FaceHog, "forward", lambda self, batch: np.full((len(batch), self.dim), 1e6, np.float32))
        failed = run(tmp_path, tmp_path / "store").failed
    assert [failure.clip for failure in failed] == ["a", "b"]
    assert "does not fit float16" in failed[0].reason

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("extract.store.track_file.pack_header", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, tmp_path / "other")


def test_a_stale_temporary_file_is_not_read_as_a_track(tmp_path):
    from abaw.configs.sections import FeatureConfig
    from extract.store.source import AlignedSource

    write_video(tmp_path / "a.mp4", [picture()] * 3)
    run(tmp_path / "a.mp4", tmp_path / "store")
    store = FeatureStore(tmp_path / "store")
    (store.folder(store.find("face_hog")) / ".123-0.safetensors").write_bytes(b"half")
    assert AlignedSource(store, {"face_hog": FeatureConfig()}).dim("face_hog") == 763


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


def test_sound_alone_is_not_extracted_twice(tmp_path):
    write_clip(tmp_path / "a.mp4", [], [], tone(1.0))
    assert run(tmp_path / "a.mp4", tmp_path / "store", assume_fps=10.0).made == ["a"]
    assert run(tmp_path / "a.mp4", tmp_path / "store", assume_fps=10.0).present == ["a"]
