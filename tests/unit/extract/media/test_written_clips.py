"""Clips are written, and pictures and sound are read back at their times."""

import numpy as np
import pytest

from extract.media import Sound, pictures, probe, sound
from extract.synthetic.write_clip import write_clip
from tests.support.extract.clips import find_click_s, make_click, make_pictures, picture_times_s

EVEN_RATES = {"7.5": 7.5, "25": 25.0, "29.97": 30000 / 1001, "60": 60.0}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi"])
@pytest.mark.parametrize("fps", EVEN_RATES.values(), ids=EVEN_RATES)
def test_even_times_read_back_to_a_tenth_of_a_millisecond(tmp_path, suffix, fps):
    times_s = np.arange(20) / fps
    write_clip(tmp_path / f"clip{suffix}", make_pictures(20), times_s)
    np.testing.assert_allclose(picture_times_s(tmp_path / f"clip{suffix}"), times_s, atol=1e-4)
    info = probe(tmp_path / f"clip{suffix}")
    assert info.fps == pytest.approx(fps, rel=1e-6)
    assert not info.is_variable


@pytest.mark.parametrize(("suffix", "tolerance_s"), [(".mp4", 1e-4), (".mkv", 6e-4)])
def test_variable_times_that_start_late_read_back(tmp_path, suffix, tolerance_s):
    times_s = 0.5 + np.cumsum(np.random.default_rng(0).uniform(0.01, 0.4, 40))
    write_clip(tmp_path / f"clip{suffix}", make_pictures(40), times_s)
    np.testing.assert_allclose(picture_times_s(tmp_path / f"clip{suffix}"), times_s, atol=tolerance_s)
    info = probe(tmp_path / f"clip{suffix}")
    assert info.is_variable
    assert info.fps == pytest.approx(1 / np.median(np.diff(times_s)), rel=0.01)


@pytest.mark.parametrize("num_lost", [0, 1])
def test_one_lost_frame_makes_a_clip_variable(tmp_path, num_lost):
    times_s = np.delete(np.arange(101) / 25, slice(50, 50 + num_lost))
    write_clip(tmp_path / "clip.mp4", make_pictures(len(times_s)), times_s)
    info = probe(tmp_path / "clip.mp4")
    assert info.is_variable == (num_lost > 0)
    assert info.fps == pytest.approx(25)


@pytest.mark.parametrize("rate_hz", [16000, 44100])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_click_and_flash_of_one_moment_read_back_at_that_moment(tmp_path, suffix, rate_hz):
    shown = make_pictures(50)
    shown[30] = np.full_like(shown[30], 255)
    write_clip(tmp_path / f"clip{suffix}", shown, np.arange(50) / 25, make_click(1.2, rate_hz))
    flash_s = max(pictures(tmp_path / f"clip{suffix}"), key=lambda picture: picture.rgb().mean()).time_s
    assert flash_s == pytest.approx(1.2, abs=1e-6)
    assert find_click_s(sound(tmp_path / f"clip{suffix}")) == pytest.approx(1.2, abs=5e-4)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_late_sound_keeps_its_place_beside_pictures_from_zero(tmp_path, suffix):
    write_clip(
        tmp_path / f"clip{suffix}", make_pictures(30), np.arange(30) / 25, make_click(1.2, start_s=0.8, length_s=1.0)
    )
    decoded, info = sound(tmp_path / f"clip{suffix}"), probe(tmp_path / f"clip{suffix}")
    assert find_click_s(decoded) == pytest.approx(1.2, abs=5e-4)
    assert 0.8 - 1024 / 16000 <= decoded.start_s <= 0.8
    assert info.sound_start_s == pytest.approx(decoded.start_s, abs=1e-3)
    assert info.sound_stop_s == pytest.approx(1.8, abs=1024 / 16000)
    assert picture_times_s(tmp_path / f"clip{suffix}")[0] == 0.0
    assert decoded.gaps_s == ()


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_colours_survive_writing_and_reading(tmp_path, suffix):
    write_clip(tmp_path / f"clip{suffix}", make_pictures(3), [0.0, 0.04, 0.08])
    for picture, given in zip(pictures(tmp_path / f"clip{suffix}"), make_pictures(3), strict=True):
        assert picture.rgb().dtype == np.uint8
        assert np.abs(picture.rgb().astype(int) - given).mean() < 4


def test_odd_sizes_can_be_written_as_avi_and_are_an_error_for_mp4(tmp_path):
    write_clip(tmp_path / "clip.avi", make_pictures(2, 47, 63), [0.0, 0.04])
    assert next(pictures(tmp_path / "clip.avi")).rgb().shape == (47, 63, 3)
    with pytest.raises(ValueError, match=r"needs an even width and height, not 63x47: crop or pad, or write \.avi"):
        write_clip(tmp_path / "clip.mp4", make_pictures(2, 47, 63), [0.0, 0.04])


def test_sound_can_be_written_and_read_alone(tmp_path):
    write_clip(tmp_path / "clip.mp4", [], [], make_click(1.2))
    assert list(pictures(tmp_path / "clip.mp4")) == []
    assert find_click_s(sound(tmp_path / "clip.mp4")) == pytest.approx(1.2, abs=5e-4)
    info = probe(tmp_path / "clip.mp4")
    assert (info.has_video, info.has_sound, info.num_packets, info.sound_rate_hz) == (False, True, 0, 16000)
    assert np.isnan([info.fps, info.first_picture_s, info.last_picture_s]).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_the_same_clip_is_written_as_the_same_bytes(tmp_path, suffix):
    for name in ("one", "two"):
        write_clip(tmp_path / f"{name}{suffix}", make_pictures(30), np.arange(30) / 25, make_click(0.5))
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    def failing():
        yield from make_pictures(30)
        raise RuntimeError("no more pictures")

    (tmp_path / "clip.avi").write_bytes(b"before")
    with pytest.raises(RuntimeError, match="no more pictures"):
        write_clip(tmp_path / "clip.avi", failing(), np.arange(50) / 25, make_click(0.5))
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
        ("clip.mp4", 2, [0, 0.04], make_click(0.5, 17000), "AAC cannot store sound at 17000 Hz: resample to one of"),
        ("clip.avi", 3, [0, 0.04, 0.2], None, "evenly spaced .* write .mp4"),
        ("clip.avi", 2, [0.5, 0.54], None, "from 0 s: write .mp4"),
        ("clip.avi", 2, [0, 0.04], make_click(1.2, start_s=0.8), "from 0 s: write .mp4"),
    ],
)
def test_input_that_a_container_cannot_hold_is_an_error(tmp_path, name, num, times_s, decoded, message):
    with pytest.raises(ValueError, match=message):
        write_clip(tmp_path / name, make_pictures(num), times_s, decoded)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_another_size_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"picture 3 is uint8 \(24, 64, 3\), expected uint8 \(48, 64, 3\)"):
        write_clip(tmp_path / "clip.mp4", [*make_pictures(2), *make_pictures(1, 24, 64)], [0, 0.04, 0.08])
