"""Batches across clips: each file is decoded once, and neither batch size nor order changes a byte."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from abaw.dataset.layout import open_dataset
from extract import media
from extract.encoders import ENCODERS
from extract.engine import run
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.faces.geometry import Crop
from extract.media import audio, container, video
from extract.store.store import FeatureStore
from tests.support.extract.many_clips import Brightness, files_of, grey, light, store_of, target, write


def test_batches_fill_across_clips_and_only_the_last_is_short(six, tmp_path):
    encoder = Brightness(batch_size=8)
    store, report = store_of(encoder, six, tmp_path)
    assert sorted(report.made) == [f"c{i}" for i in range(6)]
    assert sorted(encoder.batches, reverse=True) == [8] * 9 + [3]  # 75 pictures
    for i in range(6):
        values = light(store, f"c{i}").values
        assert len(values) == 10 + i
        assert np.abs(values - (80 + 20 * i)).max() < 4


def test_batch_size_readers_and_order_change_nothing(six, tmp_path):
    whole, _ = store_of(Brightness(), six, tmp_path / "a")
    for name, encoder, options in (
        ("b", Brightness(batch_size=1), {}),
        ("c", Brightness(batch_size=1000), {"num_readers": 4}),
        ("d", Brightness(), {"clip_ids": ["c5", "c0", "c3", "c1", "c4", "c2"], "num_readers": 3}),
    ):
        store_of(encoder, six, tmp_path / name, **options)
        assert files_of(tmp_path / name) == files_of(whole.root)


def test_pictures_and_sound_are_decoded_once_for_all_encoders(six, tmp_path, monkeypatch):
    opened = []
    real = container.decode

    def counted(file, stream, *others, **options):
        opened.append((Path(file.name).name, stream.type))
        return real(file, stream, *others, **options)

    for module in (audio, video):
        monkeypatch.setattr(module, "decode", counted)
    encoders = [
        EncoderSpec("a", Brightness()),
        EncoderSpec("b", Brightness(Crop(16), span=2)),
        EncoderSpec("c", Brightness(Crop(32))),
    ]
    sounds = [EncoderSpec("voice", ENCODERS.build("voice_mel"))]
    extract(open_dataset(six / "c0.mp4"), FeatureStore(tmp_path), encoders + sounds, target())
    assert sorted(opened) == [("c0.mp4", "audio"), ("c0.mp4", "video")]


def test_a_stored_clock_is_not_decoded_again_for_a_sound_encoder(six, tmp_path, monkeypatch):
    store, _ = store_of(Brightness(), six, tmp_path)
    monkeypatch.setattr(media, "pictures", lambda *_: pytest.fail("pictures were decoded"))
    before = files_of(tmp_path / "clock")
    report = extract(open_dataset(six), store, [EncoderSpec("voice", ENCODERS.build("voice_mel"))], target())
    assert len(report.made) == 6
    assert files_of(tmp_path / "clock") == before
    assert len(store.get(store.find("voice"), "c0")) > 50


def test_the_source_of_the_faces_does_not_depend_on_which_other_tracks_were_missing(tmp_path):
    import cv2

    write(tmp_path / "videos/v.mp4", [200] * 4, 0.2)
    (tmp_path / "cropped/v").mkdir(parents=True)
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), grey(100))
    encoders = [
        EncoderSpec("face", Brightness(Crop(16))),
        EncoderSpec("scene", Brightness()),
        EncoderSpec("voice", ENCODERS.build("voice_mel")),
    ]
    whole, parts = FeatureStore(tmp_path / "whole"), FeatureStore(tmp_path / "parts")
    extract(open_dataset(tmp_path), whole, encoders, target())
    for each in encoders:
        extract(open_dataset(tmp_path), parts, [each], target())
    assert files_of(parts.root) == files_of(whole.root)
    crops = {}
    for name in ("face", "scene"):
        with safe_open(whole.folder(whole.find(name)) / "v.safetensors", framework="numpy") as file:
            crops[name] = file.metadata().get("crops")
    assert crops == {"face": "organisers", "scene": None}


def test_a_long_clip_is_reported_while_it_is_read_and_once_it_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PICTURES_PER_REPORT", 20)
    monkeypatch.setattr("extract.engine.streams.MAX_ROWS_PER_MESSAGE", 16)
    write(tmp_path / "data/long.mp4", [90] * 70)
    said = []
    store_of(Brightness(), tmp_path / "data", tmp_path / "store", progress=lambda *given: said.append(given))
    assert said == [*((f"long, {num} pictures", 0, 1) for num in (32, 48, 64)), ("long", 1, 1)]
