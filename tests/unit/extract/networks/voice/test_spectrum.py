"""Mel spectra equal librosa's, in the settings of both voice encoders."""

import numpy as np
import pytest

from extract.encoders import ge2e, speech_embedding
from extract.encoders.mfcc import load_librosa


def noise():
    return (0.01 * np.random.default_rng(0).normal(size=20_000)).astype(np.float32)


def test_mels_are_those_of_resemblyzer():
    samples = noise()
    expected = load_librosa().feature.melspectrogram(y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=40).T
    assert ge2e.MELS.rows(samples, 0, 126) == pytest.approx(expected, rel=1e-4, abs=1e-5 * float(expected.max()))
    assert ge2e.MELS.rows(samples, 50, 61) == pytest.approx(ge2e.MELS.rows(samples, 0, 126)[50:61], rel=1e-12)


def test_mels_of_windows_padded_to_a_longer_transform_are_librosas():
    mels, samples = speech_embedding.MELS, noise()
    expected = (
        load_librosa()
        .feature.melspectrogram(
            y=samples,
            sr=16000,
            n_fft=512,
            win_length=400,
            hop_length=160,
            n_mels=32,
            fmin=60,
            fmax=3800,
            center=False,
        )
        .T
    )
    assert mels.rows(samples, 0, len(expected)) == pytest.approx(expected, rel=1e-4, abs=1e-5 * float(expected.max()))
