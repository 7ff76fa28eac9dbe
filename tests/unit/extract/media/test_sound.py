"""Sound is resampled and put in its place in time; gaps are filled with zeros and listed."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from extract.media import DecodeCounts, Sound, sound
from tests.support.extract.clips import find_click_s, make_burst, make_click


def tone_level(decoded: Sound, tone_hz: float) -> float:
    """Amplitude of a tone in the middle second."""
    middle = decoded.samples[len(decoded.samples) // 2 - decoded.rate_hz // 2 :][: decoded.rate_hz]
    wave = np.exp(-2j * np.pi * tone_hz * np.arange(len(middle)) / decoded.rate_hz)
    return float(2 * abs(np.mean(middle * np.hanning(len(middle)) * wave)) / 0.5)


def write_audio_frames(path: Path, samples: np.ndarray, starts_s: list[float], num: int, rate_hz: int = 16000) -> None:
    """Write consecutive frames of ``num`` samples as PCM, each stamped with a time of its own."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate_hz, layout="mono")
        for frame, start_s in zip(samples.reshape(-1, 1, num), starts_s, strict=True):
            packed = av.AudioFrame.from_ndarray((frame * 32767).astype(np.int16), format="s16", layout="mono")
            packed.sample_rate, packed.time_base = rate_hz, Fraction(1, rate_hz)
            packed.pts = round(start_s * rate_hz)
            out.mux(stream.encode(packed))
        out.mux(stream.encode(None))


@pytest.mark.parametrize("rate_hz", [44100, 48000])
def test_resampling_keeps_440_hz_and_removes_9_khz(tmp_path, rate_hz):
    seconds = np.arange(2 * rate_hz) / rate_hz
    tones = 0.4 * np.sin(2 * np.pi * 440 * seconds) + 0.4 * np.sin(2 * np.pi * 9000 * seconds)
    write_audio_frames(tmp_path / "clip.wav", tones, [i / 10 for i in range(20)], rate_hz // 10, rate_hz)
    decoded = sound(tmp_path / "clip.wav")
    assert decoded.samples.dtype == np.float32
    assert (len(decoded.samples), decoded.stop_s) == (32000, 2.0)
    assert tone_level(decoded, 440) == pytest.approx(0.4, rel=0.01)
    assert tone_level(decoded, 16000 - 9000) < 0.4 * 10 ** (-80 / 20)  # where an alias would be


def test_channels_are_averaged(tmp_path):
    with av.open(str(tmp_path / "clip.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16000, layout="stereo")
        channels = np.tile(np.array([[16384, 0]], np.int16), (1, 16000))
        frame = av.AudioFrame.from_ndarray(channels, format="s16", layout="stereo")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert sound(tmp_path / "clip.wav").samples == pytest.approx(np.full(16000, 0.25), abs=1e-6)


def test_a_gap_is_filled_with_zeros_and_listed(tmp_path):
    samples = np.concatenate([np.full(8000, 0.5), make_click(1.2, start_s=0.8, length_s=0.7).samples])
    starts_s = [i / 50 for i in range(25)] + [0.8 + i / 50 for i in range(35)]
    write_audio_frames(tmp_path / "clip.mkv", samples, starts_s, 320)
    decoded = sound(tmp_path / "clip.mkv")
    assert decoded.gaps_s == (pytest.approx((0.5, 0.8), abs=1e-3),)
    assert np.abs(decoded.samples[8000:12800]).max() == 0
    assert decoded.samples[7900] == pytest.approx(0.5, abs=1e-3)
    assert find_click_s(decoded) == pytest.approx(1.2, abs=1e-3)
    assert decoded.stop_s == pytest.approx(1.5, abs=1e-3)


def test_a_single_missing_frame_is_a_gap(tmp_path):
    starts_s = [i / 50 for i in range(51) if i != 20]
    write_audio_frames(tmp_path / "clip.mkv", np.zeros(50 * 320), starts_s, 320)
    assert sound(tmp_path / "clip.mkv").gaps_s == (pytest.approx((0.4, 0.42), abs=1e-3),)


def test_overlapping_sound_is_cut(tmp_path):
    samples = np.concatenate([np.full(8000, 0.5), np.full(4800, -0.5)])
    write_audio_frames(
        tmp_path / "clip.mkv", samples, [i / 50 for i in range(25)] + [0.485 + i / 50 for i in range(15)], 320
    )
    decoded = sound(tmp_path / "clip.mkv")
    assert decoded.stop_s == pytest.approx(0.785, abs=1e-3)
    assert decoded.samples[[7990, 8010]] == pytest.approx([0.5, -0.5], abs=1e-3)
    assert decoded.gaps_s == ()


@pytest.mark.parametrize("step_s", [0.019, 0.021])
def test_small_errors_of_time_stamps_do_not_accumulate(tmp_path, step_s):
    samples, starts_s = np.zeros(200 * 320), [i * step_s for i in range(200)]
    samples[-320:-160] = make_burst(16000)
    write_audio_frames(tmp_path / "clip.mkv", samples, starts_s, 320)
    assert find_click_s(sound(tmp_path / "clip.mkv")) == pytest.approx(starts_s[-1], abs=0.011)


def test_a_single_stamp_that_leaps_is_not_believed(tmp_path):
    starts_s = [i / 50 for i in range(50)]
    starts_s[49] = 90000.0
    write_audio_frames(tmp_path / "clip.mkv", np.zeros(50 * 320), starts_s, 320)
    counts = DecodeCounts()
    decoded = sound(tmp_path / "clip.mkv", counts=counts)
    assert (len(decoded.samples), decoded.gaps_s, counts.num_mended_sound_stamps) == (16000, (), 1)


def test_a_gap_of_more_than_an_hour_is_a_join(tmp_path):
    starts_s = [i / 50 + (90000 if i >= 20 else 0) for i in range(50)]
    write_audio_frames(tmp_path / "clip.mkv", np.zeros(50 * 320), starts_s, 320)
    counts = DecodeCounts()
    decoded = sound(tmp_path / "clip.mkv", counts=counts)
    assert (len(decoded.samples), decoded.gaps_s, counts.num_joins) == (16000, (), 1)


def test_a_change_of_rate_and_channels_in_the_middle_is_handled(tmp_path):
    data = b""
    for rate_hz, layout, tone_hz in ((48000, "stereo", 440), (16000, "mono", 1000)):
        with av.open(str(tmp_path / "part.aac"), "w") as out:
            stream = out.add_stream("aac", rate=rate_hz, layout=layout)
            tone = np.sin(2 * np.pi * tone_hz * np.arange(rate_hz) / rate_hz).astype(np.float32)
            channels = np.repeat(tone[None], stream.codec_context.layout.nb_channels, 0)
            frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
            frame.sample_rate = rate_hz
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        data += (tmp_path / "part.aac").read_bytes()
    (tmp_path / "clip.aac").write_bytes(data)
    decoded = sound(tmp_path / "clip.aac")
    # the stamps of ADTS go by the first rate: frames of the second part overlap and are cut, its tone stays
    peaks = [np.argmax(np.abs(np.fft.rfft(part))) for part in (decoded.samples[4000:8000], decoded.samples[-4000:])]
    assert [4 * peak for peak in peaks] == pytest.approx([440, 1000], rel=0.03)


@pytest.mark.parametrize(("rate_hz", "length_s"), [(44100, 8), (32000, 8), (48000, 4), (16000, 3)])
@pytest.mark.parametrize("is_noise", [False, True])
def test_ogg_vorbis_has_no_gap_and_every_click_at_its_time(tmp_path, rate_hz, length_s, is_noise):
    # FFmpeg's stamps are up to 14 ms wrong at the ends of pages, and all of them where there is one page
    seconds = np.arange(length_s * rate_hz) / rate_hz
    noise = np.random.default_rng(0).standard_normal(len(seconds)) * (np.sin(3 * seconds) > 0)
    clicks = np.arange(1, length_s) * rate_hz
    samples = 0.05 * (noise if is_noise else np.sin(2 * np.pi * (100 + 20 * seconds) * seconds))
    samples[clicks], samples[clicks + 1] = 0.9, 0.6
    soundfile.write(tmp_path / "clip.ogg", samples, rate_hz, format="OGG", subtype="VORBIS")
    counts = DecodeCounts()
    decoded = sound(tmp_path / "clip.ogg", counts=counts)
    assert (decoded.start_s, decoded.gaps_s, counts.num_mended_sound_stamps) == (0.0, (), 0)
    parts = decoded.samples[8000 : 8000 + 16000 * (length_s - 1)].reshape(-1, 16000)
    assert np.abs(parts).argmax(1) / 16000 == pytest.approx(np.full(length_s - 1, 0.5), abs=1e-3)
