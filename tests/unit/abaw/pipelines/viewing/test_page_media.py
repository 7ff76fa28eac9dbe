"""What a page of a clip plays and draws of its sound: addresses, copies, loudness, words."""

import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from abaw.dataset.clip import Clip
from abaw.errors import NotFoundError
from abaw.pipelines.viewing import page
from abaw.pipelines.viewing.writing import ViewedClip
from abaw.tracks import Clock
from extract.store.store import FeatureStore
from tests.support.views.timelines import write_analysis


@pytest.fixture
def viewed(tmp_path):
    """A clip of 2 s of sound, whose second half is half as loud."""
    samples = np.sin(np.arange(32_000) / 5) * np.repeat([20_000, 10_000], 16_000)
    with wave.open(str(tmp_path / "clip.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.astype("<i2").tobytes())
    times_s = np.arange(50) / 25
    write_analysis(tmp_path, "clip", times_s, media=tmp_path / "clip.wav")
    store = FeatureStore(tmp_path / "store")
    store.put_clock("clip", Clock(np.arange(1, 51), times_s, np.ones(50, bool)), {"num_frames": "0"})
    return ViewedClip(Clip("clip", tmp_path / "clip.wav"), store, tmp_path)


@pytest.mark.parametrize("name", ["a b.mp4", 'a"b.mp4', "<x>&.mp4", "a#1?.mp4", "a\nb.mp4", "=1.mp4"])
def test_an_address_is_relative_and_holds_no_special_character(name):
    address = page.link(Path("/in/media") / name, Path("/in/out/page.html"))
    assert address.startswith("../media/")
    assert not set(' "<>&#?\n') & set(address)


def test_sound_that_browsers_play_is_linked_and_its_loudness_measured(viewed):
    media, remarks = page._choose_media(viewed, viewed.folder / "clip.html")
    assert (media.kind, media.address, media.embedded, remarks) == ("sound", "clip.wav", None, [])
    envelope = page._measure_envelope(viewed)
    assert envelope.stop_s == pytest.approx(2, abs=0.02)
    assert envelope.peaks[20:80] == pytest.approx(20_000 / 32_768, abs=0.03)
    assert envelope.peaks[120:180] == pytest.approx(10_000 / 32_768, abs=0.03)


def test_words_are_read_where_the_store_has_their_track_and_else_it_is_said(viewed, monkeypatch):
    assert page._read_words(viewed) == ([], "")
    monkeypatch.setattr(FeatureStore, "recipes", lambda *_, **__: {"words-1": {"encoder": "words"}})
    monkeypatch.setattr(FeatureStore, "has", lambda *_: True)
    spoken = [SimpleNamespace(text="hello", start_s=0.5, stop_s=0.8)]
    encoder = SimpleNamespace(rate_hz=16_000, transcribe=lambda sound: spoken if len(sound.samples) else [])
    monkeypatch.setattr(page, "_word_encoder", lambda recipe: encoder)
    words, remark = page._read_words(viewed)
    assert [(each.text, each.start_s, each.stop_s) for each in words] == [("hello", 0.5, 0.8)]
    assert remark == ""

    def missing(recipe):
        raise NotFoundError("the weights are gone")

    monkeypatch.setattr(page, "_word_encoder", missing)
    assert page._read_words(viewed) == ([], "words are not shown: the weights are gone")
