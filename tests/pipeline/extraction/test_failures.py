"""A clip that fails is reported with its reason, and the others are extracted."""

import numpy as np
import pytest
from safetensors import safe_open

from abaw.dataset.layout import open_dataset
from extract.engine.run import extract
from extract.store.store import FeatureStore
from tests.support.extract.drawn_clips import bright, get, picture, run, specs, tone, write_images, write_video


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


def test_the_same_encoder_twice_is_an_error(tmp_path):
    write_video(tmp_path / "a.mp4", [picture()] * 3)
    with pytest.raises(ValueError, match="'voice_mel' is given twice with the same settings: remove one"):
        extract(open_dataset(tmp_path / "a.mp4"), FeatureStore(tmp_path / "s"), specs()[1:] * 2, bright())


def test_damaged_containers_give_what_can_be_decoded_and_a_reason_for_the_rest(media, tmp_path):
    report = run(media / "nasty", tmp_path / "store")
    assert {failure.clip for failure in report.failed} == {"zero_length", "text_named", "truncated_moov_missing"}
    assert all(failure.stage == "decode" and failure.reason for failure in report.failed)
    assert len(report.made) == 17
    store = FeatureStore(tmp_path / "store")
    assert (len(store.clock("corrupted")), int(store.clock("corrupted").decoded.sum())) == (50, 49)
    assert "1 of 50 pictures cannot be decoded" in str(report.losses["corrupted"])
    assert len(store.clock("one_frame")) == 1
    assert len(get(tmp_path / "store", "voice_mel", "no_audio_track")) == 0
    late = get(tmp_path / "store", "voice_mel", "audio_starts_late_0.8s")
    assert late.times_s[0] == pytest.approx(0.8, abs=0.03)


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


def test_a_data_set_of_labels_alone_is_one_error(tmp_path):
    labels = tmp_path / "notes/VA_Estimation_Challenge/Train_Set/ghost.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("valence,arousal\n0,0\n")
    with pytest.raises(ValueError, match="names 1 clip in labels and lists, but holds no media and no face images"):
        run(tmp_path, tmp_path / "store", assume_fps=10.0)
    assert not (tmp_path / "store").exists()


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

    monkeypatch.setattr("extract.store.tensor_file.pack_header", full)
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
