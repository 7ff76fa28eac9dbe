"""Copies of real media for browsers: the same pictures at the same times, upright, the sound in step."""

from fractions import Fraction

import av
import numpy as np
import pytest

from abaw.dataset.media_files import Part
from extract.media import MediaError, pictures, probe, sound
from extract.media.writing import VideoSource, find_playback_fault, write_proxy
from extract.synthetic.write_clip import write_clip
from tests.support.extract.clips import find_click_s, make_click, make_pictures, picture_times_s
from tests.support.extract.real_media import real_media

MEDIA = {  # path -> why browsers cannot play it, and the size of its pictures
    "clips/bbaf2n.mpg": ("the container is MPEG-PS", (360, 288)),
    "clips/1001_DFA_HAP_XX.flv": ("the container is Flash Video", (480, 360)),
    "nasty/odd_dims_351x287_mjpeg_8khz.avi": ("the container is AVI", (352, 288)),
    "nasty/av1_video.mkv": ("the container is Matroska", (640, 360)),
    "nasty/video_90.mov": ("the container is QuickTime", (320, 568)),
    "nasty/vfr_gaps_CREMAD_HAP.mp4": ("", (480, 360)),
    "nasty/rotate_flag.mp4": ("", (360, 288)),
    "nasty/one_frame.mp4": ("", (360, 288)),
}


@pytest.fixture(params=MEDIA)
def real(request):
    path = real_media() / request.param
    if not path.is_file():
        pytest.skip(f"no real media at {real_media()}: set ABAW_MEDIA to their folder")
    return path, *MEDIA[request.param]


def test_a_proxy_of_real_media_has_their_pictures_at_their_times_and_their_sound(tmp_path, real):
    path, fault, size = real
    assert find_playback_fault(VideoSource(path)) == fault
    written = write_proxy(VideoSource(path), tmp_path / "proxy.mp4")
    assert find_playback_fault(VideoSource(tmp_path / "proxy.mp4")) == ""
    times_s = picture_times_s(path)
    assert (written.num_pictures, written.offset_s) == (len(times_s), 0)
    np.testing.assert_allclose(picture_times_s(tmp_path / "proxy.mp4"), times_s, atol=1e-9)
    info, of_proxy = probe(path), probe(tmp_path / "proxy.mp4")
    assert (of_proxy.width, of_proxy.height, of_proxy.rotation_deg, of_proxy.pixel_aspect) == (*size, 0, 1)
    assert of_proxy.has_sound == info.has_sound
    shown, copied = next(pictures(path)).rgb(), next(pictures(tmp_path / "proxy.mp4")).rgb()
    assert np.abs(shown.astype(int) - copied[: shown.shape[0], : shown.shape[1]]).mean() < 6
    if info.has_sound:
        assert np.abs(find_lag_s(sound(path), sound(tmp_path / "proxy.mp4"))) < 1e-3


def find_lag_s(first, second):
    """How much later the same sound is in the second one."""
    num = 1 << 17
    spectra = [np.fft.rfft(each.samples, num) for each in (first, second)]
    lag = int(np.argmax(np.fft.irfft(spectra[1] * spectra[0].conj())))
    return (lag - num * (lag > num // 2)) / first.rate_hz + second.start_s - first.start_s


def test_pixels_that_are_not_square_are_made_square(tmp_path):
    with av.open(str(tmp_path / "wide.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        for picture in make_pictures(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        out.mux(stream.encode(None))
    write_proxy(VideoSource(tmp_path / "wide.mp4"), tmp_path / "proxy.mp4")
    info = probe(tmp_path / "proxy.mp4")
    assert (info.width, info.height, info.pixel_aspect) == (94, 48, 1.0)  # 93 by its aspect, made even


def test_large_pictures_are_scaled_down(tmp_path):
    write_clip(tmp_path / "large.mp4", make_pictures(3, 144, 256), [0, 0.04, 0.08])
    write_proxy(VideoSource(tmp_path / "large.mp4"), tmp_path / "proxy.mp4", max_height_px=72)
    info = probe(tmp_path / "proxy.mp4")
    assert (info.width, info.height) == (128, 72)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_click_stays_at_its_time_whether_sound_is_copied_or_encoded(tmp_path, suffix):
    start_s = 0.0 if suffix == ".avi" else 0.8
    given = make_click(1.2, 44100, start_s=start_s)
    write_clip(tmp_path / f"clip{suffix}", make_pictures(50), np.arange(50) / 25, given)
    written = write_proxy(VideoSource(tmp_path / f"clip{suffix}"), tmp_path / "proxy.mp4")
    assert written.sound == ("encoded" if suffix == ".avi" else "copied")
    assert find_click_s(sound(tmp_path / "proxy.mp4")) == pytest.approx(1.2, abs=1e-3)


def test_a_part_starts_at_0_s_and_says_by_how_much_it_was_moved(tmp_path):
    times_s = np.sort(np.random.default_rng(0).choice(np.arange(300), 60, replace=False)) / 90
    write_clip(tmp_path / "clip.mp4", make_pictures(60), times_s, make_click(1.2, 44100, length_s=3.0))
    part = Part(0.9, 2.1)
    written = write_proxy(VideoSource(tmp_path / "clip.mp4", part=part), tmp_path / "proxy.mp4")
    expected_s = times_s[(times_s >= 0.9) & (times_s < 2.1)]
    assert written.offset_s == pytest.approx(0.9, abs=2e-5)
    np.testing.assert_allclose(picture_times_s(tmp_path / "proxy.mp4") + float(written.offset_s), expected_s, atol=1e-9)
    found = sound(tmp_path / "proxy.mp4")
    assert find_click_s(found) + float(written.offset_s) == pytest.approx(1.2, abs=1e-3)
    assert found.stop_s == pytest.approx(1.2, abs=1024 / 44100)


def test_a_file_that_starts_late_keeps_its_times_but_not_hours_of_nothing(tmp_path):
    for name, start_s, offset_s in (("late.mkv", 2.5, 0), ("hours.mkv", 7200.5, 7200)):
        times_s = start_s + np.arange(10) / 25
        write_clip(tmp_path / name, make_pictures(10), times_s)
        written = write_proxy(VideoSource(tmp_path / name), tmp_path / "proxy.mp4")
        assert written.offset_s == offset_s
        np.testing.assert_allclose(picture_times_s(tmp_path / "proxy.mp4") + offset_s, times_s, atol=1e-3)


def test_sound_alone_becomes_sound_alone(tmp_path):
    write_clip(tmp_path / "clip.mkv", [], [], make_click(1.2))
    source = VideoSource(tmp_path / "clip.mkv")
    assert not source.has_pictures
    assert write_proxy(source, tmp_path / "proxy.mp4").num_pictures == 0
    assert find_click_s(sound(tmp_path / "proxy.mp4")) == pytest.approx(1.2, abs=1e-3)


def test_what_cannot_be_read_is_refused_and_leaves_no_file(tmp_path):
    (tmp_path / "text.mp4").write_text("no media")
    with pytest.raises(MediaError, match="it is not a media file"):
        write_proxy(VideoSource(tmp_path / "text.mp4"), tmp_path / "proxy.mp4")
    assert [each.name for each in tmp_path.iterdir()] == ["text.mp4"]
