"""One clip's failure does not stop the others; a crash or a full disk stops the run."""

import os

import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract import media
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.store.store import read_failures
from tests.support.extract.many_clips import Brightness, light, store_of, target, write


def test_a_clip_that_an_encoder_refuses_affects_no_other_in_its_batch(six, tmp_path):
    class Picky(Brightness):
        def forward(self, batch):
            if (np.abs(batch[:, 0] - 120) < 5).any():
                raise RuntimeError("not this one")
            return super().forward(batch)

    store, report = store_of(Picky(batch_size=64), six, tmp_path)
    assert [(each.clip, each.stage) for each in report.failed] == [
        ("c2", f"encode {store.folder(store.find('light')).name}")
    ]
    assert sorted(report.made) == ["c0", "c1", "c3", "c4", "c5"]
    assert np.abs(light(store, "c3").values - 140).max() < 4


def test_two_encoders_of_one_name_are_an_error_on_the_command_line():
    from abaw.pipelines.extraction import build

    with pytest.raises(ValueError, match="two encoders are named 'face_hog': give one of them another name with as="):
        build(["face_hog", "face_hog:margin=0.3"], "haar", "largest", 5, "cpu", False)


def test_an_unknown_clip_and_zero_readers_are_errors(six, tmp_path):
    with pytest.raises(ValueError, match="has no clip 'x': `abaw check` lists its clips"):
        store_of(Brightness(), six, tmp_path, clip_ids=["x"])
    with pytest.raises(ValueError, match="--readers is 0, expected 1 or more"):
        store_of(Brightness(), six, tmp_path, num_readers=0)


@pytest.mark.parametrize("num_before", [0, 1, 3])
def test_a_crash_of_a_reader_is_raised_and_leaves_no_lease(six, tmp_path, monkeypatch, num_before):
    prepare, calls = Brightness.prepare, []

    def crash(self, pictures):
        calls.append(len(pictures))
        if len(calls) > num_before:
            raise KeyboardInterrupt
        return prepare(self, pictures)

    monkeypatch.setattr(Brightness, "prepare", crash)
    monkeypatch.setattr("extract.engine.streams.MAX_ROWS_PER_MESSAGE", 4)
    with pytest.raises(KeyboardInterrupt):
        store_of(Brightness(), six, tmp_path)
    assert not (tmp_path / ".leases").exists()


def test_decoded_frames_that_differ_from_the_stored_clock_are_an_error(six, tmp_path, monkeypatch):
    store, _ = store_of(Brightness(), six / "c0.mp4", tmp_path)
    real = media.pictures
    monkeypatch.setattr(media, "pictures", lambda *words: list(real(*words))[1:])
    specs = [EncoderSpec("other", Brightness(span=2), "float32")]
    (failure,) = extract(open_dataset(six / "c0.mp4"), store, specs, target()).failed
    assert failure.stage == "clock"
    assert "9 frames were decoded, but the stored clock has 10 or other times" in failure.reason
    (tmp_path / "clock/c0.safetensors").unlink()  # as it advises: then all of the clip is made anew
    specs += [EncoderSpec("light", Brightness(), "float32")]
    assert extract(open_dataset(six / "c0.mp4"), store, specs, target()).made == ["c0"]
    assert len(light(store, "c0")) == len(store.clock("c0")) == 9


def test_a_read_error_of_one_clip_does_not_stop_the_others(six, tmp_path, monkeypatch):
    import errno

    from extract.store.origins import sources

    real = sources.fingerprint

    def broken(clip, images):
        if clip.clip_id == "c0":
            raise OSError(errno.EIO, "Input/output error")
        return real(clip, images)

    monkeypatch.setattr(sources, "fingerprint", broken)
    _, report = store_of(Brightness(), six, tmp_path)
    assert [failure.clip for failure in report.failed] == ["c0"]
    assert len(report.made) == 5


def test_a_clip_whose_name_is_not_utf8_fails_alone_in_every_run(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9\xc2\x85.mp4")).write_text("no film")
    write(tmp_path / "a.mp4", [80])
    for made in (["a"], []):
        store, report = store_of(Brightness(), tmp_path, tmp_path / "store")
        assert report.made == made
        (failure,) = report.failed
        assert failure.clip.isprintable()
        assert "UTF-8" in failure.reason
    assert read_failures(store.folder(store.find("light"))) == []  # no file of the store can have its name


def test_a_full_disk_stops_the_run_at_every_stage(six, tmp_path, monkeypatch):
    import errno

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("extract.store.track_file.tempfile.TemporaryFile", "extract.store.tensor_file.atomic_write"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(OSError, match="No space left"):
                store_of(Brightness(), six, tmp_path)
        assert not list(tmp_path.glob("light-*/*.safetensors"))
    _, report = store_of(Brightness(), six, tmp_path)
    assert len(report.made) == 6
