"""An event keeps its time through media, encoders, store and alignment."""

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.faces.detectors import Haar
from extract.faces.target import TargetConfig
from extract.media import Sound
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from extract.synthetic.write_clip import write_clip

RATE_HZ = 44100
HOP_S = 0.01
LOUDNESS = 40  # voice_mel's column after the 40 mel bands


class Brightness(PictureEncoder):
    """A test encoder: the mean brightness of the whole picture."""

    crop, dim, batch_size = None, 1, 7

    def recipe(self):
        return {"encoder": "brightness", "settings": {}, "version": 1}

    def prepare(self, pictures):
        return np.stack([picture.mean() for picture in pictures])[:, None]

    def forward(self, batch):
        return batch.astype(np.float32)


def clock_times(rate):
    if rate == "variable":
        steps = np.random.default_rng(3).choice([1, 1, 1, 2, 5], size=60) / 30
        return np.cumsum(steps) - steps[0]
    return np.arange(round(2.5 * rate)) / rate


CASES = [(7.5, 0.0), (25, 0.0), (30000 / 1001, 0.0), (60, 0.0), ("variable", 0.0), (25, 0.4), ("variable", 0.4)]


@pytest.fixture(params=CASES, ids=[f"{str(rate)[:8]}-fps-sound-from-{late_s}" for rate, late_s in CASES])
def made(request, tmp_path):
    """Makes a clip with an event at one frame in picture and sound, extracts it and returns the store."""
    rate, late_s = request.param
    times_s = clock_times(rate)
    event = len(times_s) // 2

    def make(kind):
        lit = np.arange(len(times_s)) == event if kind == "impulse" else np.arange(len(times_s)) >= event
        pictures = (np.full((64, 64, 3), 235 if on else 16, np.uint8) for on in lit)
        t = np.arange(round((times_s[-1] + 0.5 - late_s) * RATE_HZ)) / RATE_HZ + late_s
        since_s = t - times_s[event]
        on = np.abs(since_s) < 0.001 if kind == "impulse" else since_s >= 0
        sound = Sound((0.8 * on * np.sin(2 * np.pi * 1000 * since_s + 1)).astype(np.float32), RATE_HZ, late_s)
        write_clip(tmp_path / "clip.mp4", pictures, times_s, sound)
        store = FeatureStore(tmp_path / "store")
        specs = [EncoderSpec("brightness", Brightness()), EncoderSpec("voice_mel", ENCODERS.build("voice_mel"))]
        report = extract(open_dataset(tmp_path / "clip.mp4"), store, specs, TargetConfig(Haar(4, 0.1)))
        assert report.made == ["clip"], report.failed
        return store

    return make, times_s, event


def level(values, modality):
    """Brightness, or the sound's power."""
    return values[:, 0] if modality == "brightness" else 10.0 ** (2 * values[:, LOUDNESS])


def test_an_impulse_is_in_the_tracks_at_its_time(made):
    make, times_s, event = made
    store = make("impulse")
    assert np.abs(store.clock("clip").times_s - times_s).max() < 1e-4
    brightness = store.get(store.find("brightness"), "clip")
    voice = store.get(store.find("voice_mel"), "clip")
    interval_s = np.diff(times_s).min()
    assert abs(brightness.times_s[level(brightness.values, "brightness").argmax()] - times_s[event]) <= interval_s / 2
    assert abs(voice.times_s[level(voice.values, "voice_mel").argmax()] - times_s[event]) <= HOP_S


def test_after_window_mean_the_impulse_peaks_on_its_frame_in_both_modalities(made):
    make, times_s, event = made
    store = make("impulse")
    for modality in ("brightness", "voice_mel"):
        source = AlignedSource(store, {modality: FeatureConfig(align="window_mean")})
        track = source.read(modality, "clip", times_s[0] - 1, times_s[-1] + 1)
        levels = np.where(track.observed, level(track.values, modality), -np.inf)
        assert levels.argmax() == event


@pytest.mark.parametrize(("align", "may_be_late"), [("nearest", 0), ("linear", 0), ("hold_last", 1)])
def test_a_step_appears_on_its_frame_in_both_modalities(made, align, may_be_late):
    make, times_s, event = made
    store = make("step")
    for modality in ("brightness", "voice_mel"):
        source = AlignedSource(store, {modality: FeatureConfig(align=align)})
        track = source.read(modality, "clip", times_s[0] - 1, times_s[-1] + 1)
        levels = level(track.values, modality)
        late = np.median(levels[event + 3 : -3])
        # a fifth of the way: the sound's 25 ms window may be centred 5 ms before the frame
        risen = np.flatnonzero(track.observed & (levels > levels[event - 3] + 0.04 * (late - levels[event - 3])))
        assert event <= risen[0] <= event + may_be_late


def test_an_aligner_that_works_by_index_is_caught(made):
    """The mutant: row i * n / m for step i, as if track and clock began and ended together."""
    make, times_s, event = made
    store = make("impulse")
    track = store.get(store.find("voice_mel"), "clip")
    by_index = track.values[(np.arange(len(times_s)) * len(track) / len(times_s)).astype(int)]
    assert level(by_index, "voice_mel").argmax() != event


def test_an_index_aligner_breaks_the_law_of_shifted_time():
    """The mutant in the laws' terms: a track that begins later must change what a step gets."""
    from extract import ALIGNERS

    times_s = np.arange(10) * 0.1
    early, late = (
        ALIGNERS.build("nearest", times_s=times_s + s, observed=np.ones(10, bool), goal_s=times_s, max_gap_s=9.0).rows
        for s in (0.0, 0.3)
    )
    by_index = np.arange(10)[:, None]
    assert np.array_equal(early, by_index)
    assert not np.array_equal(late, by_index)
