"""The voices of the synthetic data set."""

import numpy as np
import pytest

from extract.synthetic.voice import VOICE_HZ, draw_voice, synthesize_voice


@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_an_excited_voice_is_louder_and_brighter(rate_hz):
    num, rng = 4 * VOICE_HZ, np.random.default_rng(0)
    voice = draw_voice(rng)
    loud, high = [], []
    for arousal in (-0.9, 0.9):
        sound = synthesize_voice(voice, np.full(num, arousal), np.zeros(num), rate_hz, np.random.default_rng(1))
        assert sound.dtype == np.float32
        assert len(sound) == 4 * rate_hz
        assert np.abs(sound).max() <= 1
        power = np.abs(np.fft.rfft(sound)) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / rate_hz)
        loud.append(10 * np.log10(power.sum()))
        high.append(power[hertz > 1500].sum() / power.sum())
    assert 8 < loud[1] - loud[0] < 14
    assert high[1] > 1.5 * high[0]


def test_a_voice_at_another_rate_is_refused():
    with pytest.raises(ValueError, match="rate_hz is 8000, expected 16000 or 44100"):
        synthesize_voice(
            draw_voice(np.random.default_rng(0)), np.zeros(800), np.zeros(800), 8000, np.random.default_rng(0)
        )
