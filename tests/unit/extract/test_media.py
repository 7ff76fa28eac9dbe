"""Pictures and sound are read at their true times, from intact and from damaged files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from extract.media import DecodeCounts, MediaError, Sound, _time_s, pictures, probe, sound
from extract.synthetic.write_clip import write_clip

EVEN_RATES = {"7.5": 7.5, "25": 25.0, "29.97": 30000 / 1001, "60": 60.0}
BURST_HZ = 1500


def _pictures(num: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Dark pictures with a bright top left corner."""
    all_pictures = np.full((num, height, width, 3), (20, 60, 90), np.uint8)
    all_pictures[:, : height // 2, : width // 2] = 220
    return list(all_pictures)


def _burst(rate_hz: int) -> np.ndarray:
    return (0.8 * np.sin(2 * np.pi * BURST_HZ * np.arange(rate_hz // 100) / rate_hz)).astype(np.float32)


def _click(at_s: float, rate_hz: int = 16000, start_s: float = 0.0, length_s: float = 2.0) -> Sound:
    """Silence with a 10 ms burst."""
    samples = np.zeros(round(length_s * rate_hz), np.float32)
    first = round((at_s - start_s) * rate_hz)
    samples[first : first + rate_hz // 100] = _burst(rate_hz)
    return Sound(samples, rate_hz, start_s)


def _click_s(decoded: Sound) -> float:
    """The time of the burst."""
    return decoded.start_s + int(np.argmax(np.correlate(decoded.samples, _burst(decoded.rate_hz)))) / decoded.rate_hz


def _times(path: Path) -> np.ndarray:
    return np.array([picture.time_s for picture in pictures(path)])


def _level(decoded: Sound, tone_hz: float) -> float:
    """Amplitude of a tone in the middle second."""
    middle = decoded.samples[len(decoded.samples) // 2 - decoded.rate_hz // 2 :][: decoded.rate_hz]
    wave = np.exp(-2j * np.pi * tone_hz * np.arange(len(middle)) / decoded.rate_hz)
    return float(2 * abs(np.mean(middle * np.hanning(len(middle)) * wave)) / 0.5)


def _write_frames(path: Path, samples: np.ndarray, starts_s: list[float], num: int, rate_hz: int = 16000) -> None:
    """Write consecutive frames of ``num`` samples as PCM, each stamped with a time of its own."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate_hz, layout="mono")
        for frame, start_s in zip(samples.reshape(-1, 1, num), starts_s, strict=True):
            packed = av.AudioFrame.from_ndarray((frame * 32767).astype(np.int16), format="s16", layout="mono")
            packed.sample_rate, packed.time_base = rate_hz, Fraction(1, rate_hz)
            packed.pts = round(start_s * rate_hz)
            out.mux(stream.encode(packed))
        out.mux(stream.encode(None))


def _damaged(source: Path, target: Path, first: int, stop: int | None) -> Path:
    """A copy without the bytes from ``first`` to ``stop``."""
    data = source.read_bytes()
    target.write_bytes(data[:first] + (b"" if stop is None else data[stop:]))
    return target


def _without_media_data(source: Path, target: Path) -> Path:
    """A copy of an mp4 file whose index is whole and whose packets are all zeros."""
    data = bytearray(source.read_bytes())
    first = data.index(b"mdat") + 4
    size = int.from_bytes(data[first - 8 : first - 4], "big") - 8
    data[first : first + size] = bytes(size)
    target.write_bytes(data)
    return target


# --- what is written reads back ---


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi"])
@pytest.mark.parametrize("fps", EVEN_RATES.values(), ids=EVEN_RATES)
def test_even_times_read_back_to_a_tenth_of_a_millisecond(tmp_path, suffix, fps):
    times_s = np.arange(20) / fps
    write_clip(tmp_path / f"clip{suffix}", _pictures(20), times_s)
    np.testing.assert_allclose(_times(tmp_path / f"clip{suffix}"), times_s, atol=1e-4)
    info = probe(tmp_path / f"clip{suffix}")
    assert info.fps == pytest.approx(fps, rel=1e-6)
    assert not info.is_variable


@pytest.mark.parametrize(("suffix", "tolerance_s"), [(".mp4", 1e-4), (".mkv", 6e-4)])
def test_variable_times_that_start_late_read_back(tmp_path, suffix, tolerance_s):
    times_s = 0.5 + np.cumsum(np.random.default_rng(0).uniform(0.01, 0.4, 40))
    write_clip(tmp_path / f"clip{suffix}", _pictures(40), times_s)
    np.testing.assert_allclose(_times(tmp_path / f"clip{suffix}"), times_s, atol=tolerance_s)
    info = probe(tmp_path / f"clip{suffix}")
    assert info.is_variable
    assert info.fps == pytest.approx(1 / np.median(np.diff(times_s)), rel=0.01)


@pytest.mark.parametrize("num_lost", [0, 1])
def test_one_lost_frame_makes_a_clip_variable(tmp_path, num_lost):
    times_s = np.delete(np.arange(101) / 25, slice(50, 50 + num_lost))
    write_clip(tmp_path / "clip.mp4", _pictures(len(times_s)), times_s)
    info = probe(tmp_path / "clip.mp4")
    assert info.is_variable == (num_lost > 0)
    assert info.fps == pytest.approx(25)


@pytest.mark.parametrize("rate_hz", [16000, 44100])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_click_and_flash_of_one_moment_read_back_at_that_moment(tmp_path, suffix, rate_hz):
    shown = _pictures(50)
    shown[30] = np.full_like(shown[30], 255)
    write_clip(tmp_path / f"clip{suffix}", shown, np.arange(50) / 25, _click(1.2, rate_hz))
    flash_s = max(pictures(tmp_path / f"clip{suffix}"), key=lambda picture: picture.rgb().mean()).time_s
    assert flash_s == pytest.approx(1.2, abs=1e-6)
    assert _click_s(sound(tmp_path / f"clip{suffix}")) == pytest.approx(1.2, abs=5e-4)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_late_sound_keeps_its_place_beside_pictures_from_zero(tmp_path, suffix):
    write_clip(tmp_path / f"clip{suffix}", _pictures(30), np.arange(30) / 25, _click(1.2, start_s=0.8, length_s=1.0))
    decoded, info = sound(tmp_path / f"clip{suffix}"), probe(tmp_path / f"clip{suffix}")
    assert _click_s(decoded) == pytest.approx(1.2, abs=5e-4)
    assert 0.8 - 1024 / 16000 <= decoded.start_s <= 0.8
    assert info.sound_start_s == pytest.approx(decoded.start_s, abs=1e-3)
    assert info.sound_stop_s == pytest.approx(1.8, abs=1024 / 16000)
    assert _times(tmp_path / f"clip{suffix}")[0] == 0.0
    assert decoded.gaps_s == ()


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_colours_survive_writing_and_reading(tmp_path, suffix):
    write_clip(tmp_path / f"clip{suffix}", _pictures(3), [0.0, 0.04, 0.08])
    for picture, given in zip(pictures(tmp_path / f"clip{suffix}"), _pictures(3), strict=True):
        assert picture.rgb().dtype == np.uint8
        assert np.abs(picture.rgb().astype(int) - given).mean() < 4


def test_odd_sizes_can_be_written_as_avi_and_are_an_error_for_mp4(tmp_path):
    write_clip(tmp_path / "clip.avi", _pictures(2, 47, 63), [0.0, 0.04])
    assert next(pictures(tmp_path / "clip.avi")).rgb().shape == (47, 63, 3)
    with pytest.raises(ValueError, match=r"needs an even width and height, not 63x47: crop or pad, or write \.avi"):
        write_clip(tmp_path / "clip.mp4", _pictures(2, 47, 63), [0.0, 0.04])


def test_sound_can_be_written_and_read_alone(tmp_path):
    write_clip(tmp_path / "clip.mp4", [], [], _click(1.2))
    assert list(pictures(tmp_path / "clip.mp4")) == []
    assert _click_s(sound(tmp_path / "clip.mp4")) == pytest.approx(1.2, abs=5e-4)
    info = probe(tmp_path / "clip.mp4")
    assert (info.has_video, info.has_sound, info.num_packets, info.sound_rate_hz) == (False, True, 0, 16000)
    assert np.isnan([info.fps, info.first_picture_s, info.last_picture_s]).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_the_same_clip_is_written_as_the_same_bytes(tmp_path, suffix):
    for name in ("one", "two"):
        write_clip(tmp_path / f"{name}{suffix}", _pictures(30), np.arange(30) / 25, _click(0.5))
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    def failing():
        yield from _pictures(30)
        raise RuntimeError("no more pictures")

    (tmp_path / "clip.avi").write_bytes(b"before")
    with pytest.raises(RuntimeError, match="no more pictures"):
        write_clip(tmp_path / "clip.avi", failing(), np.arange(50) / 25, _click(0.5))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.avi"]
    assert (tmp_path / "clip.avi").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("name", "num", "times_s", "decoded", "message"),
    [
        ("clip.gif", 2, [0, 0.04], None, "has the suffix '.gif', expected one of .mp4, .mov, .mkv, .avi"),
        (
            "clip.mp4",
            0,
            [],
            Sound(np.zeros(0, np.float32), 16000, 0.0),
            "would be empty: give pictures with times, or sound",
        ),
        ("clip.mp4", 2, [0, 0], None, "must be 0 s or later and increase"),
        ("clip.mp4", 2, [-0.04, 0], None, "must be 0 s or later and increase"),
        ("clip.mp4", 2, [0, float("nan")], None, "must be 0 s or later and increase"),
        ("clip.mp4", 3, [0, 0.04], None, r"more pictures than times \(2\)"),
        ("clip.mp4", 1, [0, 0.04], None, "1 pictures for 2 times"),
        ("clip.mp4", 0, [0, 0.04], None, "0 pictures for 2 times"),
        ("clip.mp4", 2, [0, 0.04], _click(0.5, 17000), "AAC cannot store sound at 17000 Hz: resample to one of"),
        ("clip.avi", 3, [0, 0.04, 0.2], None, "evenly spaced .* write .mp4"),
        ("clip.avi", 2, [0.5, 0.54], None, "from 0 s: write .mp4"),
        ("clip.avi", 2, [0, 0.04], _click(1.2, start_s=0.8), "from 0 s: write .mp4"),
    ],
)
def test_input_that_a_container_cannot_hold_is_an_error(tmp_path, name, num, times_s, decoded, message):
    with pytest.raises(ValueError, match=message):
        write_clip(tmp_path / name, _pictures(num), times_s, decoded)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_another_size_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"picture 3 is uint8 \(24, 64, 3\), expected uint8 \(48, 64, 3\)"):
        write_clip(tmp_path / "clip.mp4", [*_pictures(2), *_pictures(1, 24, 64)], [0, 0.04, 0.08])


# --- sound ---


@pytest.mark.parametrize("rate_hz", [44100, 48000])
def test_resampling_keeps_440_hz_and_removes_9_khz(tmp_path, rate_hz):
    seconds = np.arange(2 * rate_hz) / rate_hz
    tones = 0.4 * np.sin(2 * np.pi * 440 * seconds) + 0.4 * np.sin(2 * np.pi * 9000 * seconds)
    _write_frames(tmp_path / "clip.wav", tones, [i / 10 for i in range(20)], rate_hz // 10, rate_hz)
    decoded = sound(tmp_path / "clip.wav")
    assert decoded.samples.dtype == np.float32
    assert (len(decoded.samples), decoded.stop_s) == (32000, 2.0)
    assert _level(decoded, 440) == pytest.approx(0.4, rel=0.01)
    assert _level(decoded, 16000 - 9000) < 0.4 * 10 ** (-80 / 20)  # where an alias would be


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
    samples = np.concatenate([np.full(8000, 0.5), _click(1.2, start_s=0.8, length_s=0.7).samples])
    starts_s = [i / 50 for i in range(25)] + [0.8 + i / 50 for i in range(35)]
    _write_frames(tmp_path / "clip.mkv", samples, starts_s, 320)
    decoded = sound(tmp_path / "clip.mkv")
    assert decoded.gaps_s == (pytest.approx((0.5, 0.8), abs=1e-3),)
    assert np.abs(decoded.samples[8000:12800]).max() == 0
    assert decoded.samples[7900] == pytest.approx(0.5, abs=1e-3)
    assert _click_s(decoded) == pytest.approx(1.2, abs=1e-3)
    assert decoded.stop_s == pytest.approx(1.5, abs=1e-3)


def test_a_single_missing_frame_is_a_gap(tmp_path):
    starts_s = [i / 50 for i in range(51) if i != 20]
    _write_frames(tmp_path / "clip.mkv", np.zeros(50 * 320), starts_s, 320)
    assert sound(tmp_path / "clip.mkv").gaps_s == (pytest.approx((0.4, 0.42), abs=1e-3),)


def test_overlapping_sound_is_cut(tmp_path):
    samples = np.concatenate([np.full(8000, 0.5), np.full(4800, -0.5)])
    _write_frames(
        tmp_path / "clip.mkv", samples, [i / 50 for i in range(25)] + [0.485 + i / 50 for i in range(15)], 320
    )
    decoded = sound(tmp_path / "clip.mkv")
    assert decoded.stop_s == pytest.approx(0.785, abs=1e-3)
    assert decoded.samples[[7990, 8010]] == pytest.approx([0.5, -0.5], abs=1e-3)
    assert decoded.gaps_s == ()


@pytest.mark.parametrize("step_s", [0.019, 0.021])
def test_small_errors_of_time_stamps_do_not_accumulate(tmp_path, step_s):
    samples, starts_s = np.zeros(200 * 320), [i * step_s for i in range(200)]
    samples[-320:-160] = _burst(16000)
    _write_frames(tmp_path / "clip.mkv", samples, starts_s, 320)
    assert _click_s(sound(tmp_path / "clip.mkv")) == pytest.approx(starts_s[-1], abs=0.011)


def test_a_jump_of_the_time_stamps_is_an_error(tmp_path):
    _write_frames(tmp_path / "clip.mkv", np.zeros(640), [0.0, 90000.0], 320)
    with pytest.raises(MediaError, match=r"jumps from 0\.0 s to 90000\.0 s"):
        sound(tmp_path / "clip.mkv")


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


# --- real media ---


@pytest.mark.parametrize(
    ("name", "num", "first_s", "last_s"),
    [
        ("clips/1001_DFA_ANG_XX.flv", 67, 0.027, 2.229),
        ("clips/bbaf2n.mpg", 75, 0.0, 2.96),
        ("nasty/av1_video.mkv", 125, 0.0, 4.96),
        ("nasty/fps_30000_1001.mp4", 90, 0.0, 89 * 1001 / 30000),
        ("nasty/no_face.mp4", 95, 0.0, 3.916667),
        ("nasty/noface_face.mov", 169, 0.0, 6.345296),
        ("nasty/odd_dims_351x287_mjpeg_8khz.avi", 38, 0.0, 1.48),
        ("nasty/one_frame.mp4", 1, 0.0, 0.0),
        ("nasty/vfr_gaps_CREMAD_HAP.mp4", 33, 0.033, 1.768067),
    ],
)
def test_real_pictures_come_with_their_own_times_and_probe_agrees(media, name, num, first_s, last_s):
    counts = DecodeCounts()
    times_s = np.array([picture.time_s for picture in pictures(media / name, counts)])
    assert counts == DecodeCounts(num_frames=num)
    assert (times_s[0], times_s[-1]) == pytest.approx((first_s, last_s), abs=1e-6)
    assert (np.diff(times_s) > 0).all()
    info = probe(media / name)
    assert (info.num_packets, info.first_picture_s, info.last_picture_s) == (num, times_s[0], times_s[-1])


def test_time_stamps_rounded_to_a_millisecond_do_not_change_the_frame_rate(media):
    info = probe(media / "clips/1001_DFA_ANG_XX.flv")
    assert info.fps == pytest.approx(989 / 33, rel=1e-3)
    assert not info.is_variable


def test_a_corrupt_packet_costs_one_picture_and_is_counted(media):
    counts = DecodeCounts()
    assert len(list(pictures(media / "nasty/corrupted.mp4", counts))) == 49
    assert counts == DecodeCounts(num_frames=49, num_corrupt_packets=1)
    assert probe(media / "nasty/corrupted.mp4").num_packets == 50


@pytest.mark.parametrize(
    ("name", "shape", "rotation_deg"),
    [("nasty/rotate_flag.mp4", (288, 360, 3), 90), ("nasty/video_90.mov", (568, 320, 3), -90)],
)
def test_pictures_are_rotated_upright(media, name, shape, rotation_deg):
    assert next(pictures(media / name)).rgb().shape == shape
    info = probe(media / name)
    assert (info.height, info.width, info.rotation_deg) == (*shape[:2], rotation_deg)


def test_a_rotated_video_shows_the_same_picture_as_its_original(media):
    turned, upright = (
        next(pictures(media / name)).rgb().mean(axis=2).ravel()
        for name in ("nasty/rotate_flag.mp4", "clips/lbax4n.mpg")
    )
    assert np.corrcoef(turned, upright)[0, 1] > 0.98


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_every_rotation_and_mirroring_is_applied(tmp_path, degrees, is_mirrored):
    with av.open(str(tmp_path / "clip.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        stream.set_display_rotation(degrees, hflip=is_mirrored)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(_pictures(1)[0], format="rgb24")))
        out.mux(stream.encode(None))
    expected = np.rot90(_pictures(1)[0], degrees // 90)
    expected = expected[:, ::-1] if is_mirrored else expected
    assert np.abs(next(pictures(tmp_path / "clip.mp4")).rgb().astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("name", "start_s", "stop_s"),
    [
        ("nasty/noface_face.mov", 0.0, 3.97),
        ("nasty/audio_starts_late_0.8s.mp4", 0.8, 3.78),
        ("nasty/odd_dims_351x287_mjpeg_8khz.avi", 0.0, 1.5),
        ("clips/1001_DFA_HAP_XX.flv", 0.0, 1.907),
        ("clips/single_face.mp4", 0.0, 2.4185),
    ],
)
def test_real_sound_starts_and_ends_at_its_own_times_without_gaps(media, name, start_s, stop_s):
    decoded, info = sound(media / name), probe(media / name)
    assert (decoded.start_s, decoded.stop_s) == pytest.approx((start_s, stop_s), abs=0.03)
    assert (info.sound_start_s, info.sound_stop_s) == pytest.approx((decoded.start_s, decoded.stop_s), abs=0.03)
    assert decoded.gaps_s == ()


def test_the_delay_of_an_encoder_does_not_move_sound(media):
    again, original = sound(media / "nasty/rotate_flag.mp4"), sound(media / "clips/lbax4n.mpg")  # MP2, then AAC
    likeness = np.correlate(again.samples[16000:32000], original.samples[16000 - 800 : 32000 + 800])
    assert int(np.argmax(likeness)) == pytest.approx(800, abs=8)
    assert again.start_s == original.start_s == 0.0


@pytest.mark.parametrize("name", ["no_audio_track", "one_frame", "corrupted"])
def test_a_clip_without_sound_has_no_samples(media, name):
    decoded = sound(media / f"nasty/{name}.mp4")
    assert (len(decoded.samples), decoded.samples.dtype, decoded.start_s, decoded.stop_s) == (0, np.float32, 0.0, 0.0)
    assert not probe(media / f"nasty/{name}.mp4").has_sound


def test_silence_is_sound(media):
    decoded = sound(media / "nasty/silent_audio_track.mp4")
    assert decoded.stop_s == pytest.approx(3.0, abs=0.01)
    assert np.abs(decoded.samples).max() == 0


def test_lost_bytes_only_affect_pictures_and_sound_of_that_moment(media, tmp_path):
    clip = _damaged(media / "clips/bbaf2n.mpg", tmp_path / "clip.mpg", 150_000, 155_000)
    whole, decoded = sound(media / "clips/bbaf2n.mpg"), sound(clip)
    assert 70 <= len(_times(clip)) <= 75
    assert 0.9 < decoded.gaps_s[0][0] < decoded.gaps_s[-1][1] < 1.2
    assert decoded.samples[-8000:] == pytest.approx(whole.samples[-8000:], abs=1e-3)


def test_a_truncated_clip_gives_what_is_left(media, tmp_path):
    clip = _damaged(media / "clips/bbaf2n.mpg", tmp_path / "clip.mpg", 250_000, None)
    times_s = _times(clip)
    assert 20 < len(times_s) < 75
    assert times_s == pytest.approx(np.arange(len(times_s)) / 25)
    assert sound(clip).stop_s == pytest.approx(times_s[-1], abs=0.3)
    assert probe(clip).num_packets == len(times_s)


# --- what cannot be read ---


@pytest.mark.parametrize("read", [lambda path: list(pictures(path)), sound, probe], ids=["pictures", "sound", "probe"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zero_length.mp4", "zero_length.mp4 is an empty file: download or copy it again"),
        ("text_named.mp4", "cannot read .*text_named.mp4: it is not a media file"),
        ("truncated_moov_missing.mp4", r"truncated_moov_missing.mp4: its index \(moov\) is missing because the file"),
    ],
)
def test_the_error_of_an_unreadable_file_says_what_is_wrong(media, read, name, message):
    with pytest.raises(MediaError, match=message):
        read(media / "nasty" / name)


@pytest.mark.parametrize("read", [lambda path: list(pictures(path)), sound, probe], ids=["pictures", "sound", "probe"])
def test_a_missing_file_is_not_a_media_error(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"no media file at .*clip\.mp4"):
        read(tmp_path / "clip.mp4")


def test_a_file_without_video_and_audio_is_an_error(tmp_path):
    (tmp_path / "clip.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n\n")
    with pytest.raises(MediaError, match="neither a video nor an audio stream"):
        sound(tmp_path / "clip.srt")


def test_a_video_stream_without_a_decodable_picture_is_an_error(tmp_path):
    write_clip(tmp_path / "whole.mp4", _pictures(5), np.arange(5) / 25)
    clip = _without_media_data(tmp_path / "whole.mp4", tmp_path / "clip.mp4")
    with pytest.raises(MediaError, match=r"no picture of .*clip\.mp4 can be decoded \(5 corrupt packets"):
        list(pictures(clip))
    with pytest.raises(MediaError, match="no picture"):
        probe(clip)


def test_an_audio_stream_without_decodable_sound_is_an_error(tmp_path):
    write_clip(tmp_path / "whole.mp4", [], [], _click(0.5))
    with pytest.raises(MediaError, match=r"no sound of .*clip\.mp4 can be decoded \(\d+ corrupt packets"):
        sound(_without_media_data(tmp_path / "whole.mp4", tmp_path / "clip.mp4"))


# --- odd files that are fine ---


def test_a_picture_not_later_than_the_one_before_is_dropped_and_counted(tmp_path):
    times_s = np.arange(10) / 25
    times_s[5] = times_s[4] + 0.0002  # Matroska rounds both to the same millisecond
    write_clip(tmp_path / "clip.mkv", _pictures(10), times_s)
    counts = DecodeCounts()
    assert len(list(pictures(tmp_path / "clip.mkv", counts))) == 9
    assert counts == DecodeCounts(num_frames=9, num_dropped=1)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_every_picture_of_an_avi_with_b_frames_is_given_in_order(tmp_path, codec):
    with av.open(str(tmp_path / "clip.avi"), "w") as out:
        stream = out.add_stream(codec, rate=25, width=64, height=48, pix_fmt="yuv420p", max_b_frames=2)
        for num in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 6 * num, np.uint8), format="rgb24")
            frame.pts = num
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    given = list(pictures(tmp_path / "clip.avi"))
    assert np.diff([picture.time_s for picture in given]) == pytest.approx(np.full(39, 0.04))
    assert (np.diff([picture.rgb().mean() for picture in given]) >= 0).all()


@pytest.mark.parametrize(("pts", "dts", "time_s"), [(3600, 1800, 0.04), (None, 1800, 0.02), (None, None, None)])
def test_a_packet_without_pts_takes_dts(tmp_path, pts, dts, time_s):
    write_clip(tmp_path / "clip.mp4", _pictures(1), [0.0])
    with av.open(str(tmp_path / "clip.mp4")) as container:
        packet = av.Packet(1)
        packet.pts, packet.dts = pts, dts
        assert _time_s(packet, container.streams.video[0]) == time_s


def test_pictures_without_a_time_are_counted_in_the_error(tmp_path):
    with av.open(str(tmp_path / "clip.h264"), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        for num, picture in enumerate(_pictures(5)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = num
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(MediaError, match="5 pictures without a time"):
        list(pictures(tmp_path / "clip.h264"))


def test_cover_art_is_not_decoded(tmp_path):
    with av.open(str(tmp_path / "clip.m4a"), "w", format="mp4") as out:
        audio = out.add_stream("aac", rate=16000, layout="mono")
        cover = out.add_stream("mjpeg", rate=1, width=64, height=48, pix_fmt="yuvj420p")
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(_click(0.5).samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        for stream, given in ((cover, av.VideoFrame.from_ndarray(_pictures(1)[0], format="rgb24")), (audio, frame)):
            out.mux(stream.encode(given))
            out.mux(stream.encode(None))
    assert list(pictures(tmp_path / "clip.m4a")) == []
    assert not probe(tmp_path / "clip.m4a").has_video
    assert _click_s(sound(tmp_path / "clip.m4a")) == pytest.approx(0.5, abs=5e-4)


def test_the_largest_video_stream_is_decoded(tmp_path):
    with av.open(str(tmp_path / "clip.mkv"), "w") as out:
        streams = [
            out.add_stream("mjpeg", rate=25, width=w, height=h, pix_fmt="yuvj420p")
            for h, w in ((24, 32), (48, 64), (48, 32))
        ]
        for stream in streams:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(_pictures(1)[0], format="rgb24")))
            out.mux(stream.encode(None))
    assert next(pictures(tmp_path / "clip.mkv")).rgb().shape == (48, 64, 3)


def test_names_with_a_colon_and_tags_in_latin_1_are_read(tmp_path):
    with av.open(str(tmp_path / "plain.wav"), "w") as out:
        out.metadata["title"] = "Gr__en"
        stream = out.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    data = (tmp_path / "plain.wav").read_bytes()
    assert b"Gr__en" in data
    (tmp_path / "12:24.wav").write_bytes(data.replace(b"Gr__en", "Grüßen".encode("latin-1")[:6]))
    assert len(sound(tmp_path / "12:24.wav").samples) == 1600
