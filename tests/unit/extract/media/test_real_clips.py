"""Pictures and sound of real clips, intact and damaged, are read at their true times."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from extract.media import DecodeCounts, pictures, probe, sound
from tests.support.extract.clips import make_pictures, picture_times_s


def damaged_copy(source: Path, target: Path, first: int, stop: int | None) -> Path:
    """A copy without the bytes from ``first`` to ``stop``."""
    data = source.read_bytes()
    target.write_bytes(data[:first] + (b"" if stop is None else data[stop:]))
    return target


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
    assert replace(counts, announced_s=0.0, readable_s=0.0, num_announced=0) == DecodeCounts(num_decoded=num)
    assert (times_s[0], times_s[-1]) == pytest.approx((first_s, last_s), abs=1e-6)
    assert (np.diff(times_s) > 0).all()
    info = probe(media / name)
    assert (info.num_packets, info.first_picture_s, info.last_picture_s) == (num, times_s[0], times_s[-1])


def test_time_stamps_rounded_to_a_millisecond_do_not_change_the_frame_rate(media):
    info = probe(media / "clips/1001_DFA_ANG_XX.flv")
    assert info.fps == pytest.approx(989 / 33, rel=1e-3)
    assert not info.is_variable


def test_a_picture_that_cannot_be_decoded_keeps_its_row_and_is_counted(media):
    counts = DecodeCounts()
    rows = list(pictures(media / "nasty/corrupted.mp4", counts))
    assert [row for row, picture in enumerate(rows) if not picture.is_decodable] == [30]
    assert np.diff([picture.time_s for picture in rows]) == pytest.approx(np.full(49, 0.1))
    assert (counts.num_decoded, counts.num_undecodable, counts.num_corrupt_packets) == (49, 1, 1)
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
        out.mux(stream.encode(av.VideoFrame.from_ndarray(make_pictures(1)[0], format="rgb24")))
        out.mux(stream.encode(None))
    expected = np.rot90(make_pictures(1)[0], degrees // 90)
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
    clip = damaged_copy(media / "clips/bbaf2n.mpg", tmp_path / "clip.mpg", 150_000, 155_000)
    whole, decoded = sound(media / "clips/bbaf2n.mpg"), sound(clip)
    assert 70 <= len(picture_times_s(clip)) <= 75
    assert 0.9 < decoded.gaps_s[0][0] < decoded.gaps_s[-1][1] < 1.2
    assert decoded.samples[-8000:] == pytest.approx(whole.samples[-8000:], abs=1e-3)


def test_a_truncated_clip_gives_what_is_left(media, tmp_path):
    clip = damaged_copy(media / "clips/bbaf2n.mpg", tmp_path / "clip.mpg", 250_000, None)
    times_s = picture_times_s(clip)
    assert 20 < len(times_s) < 75
    assert times_s == pytest.approx(np.arange(len(times_s)) / 25)
    assert sound(clip).stop_s == pytest.approx(times_s[-1], abs=0.3)
    assert probe(clip).num_packets == len(times_s)
