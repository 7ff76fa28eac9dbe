"""Overlay videos of made clips: every frame at its time, flash and click together, and what cannot be drawn."""

import errno

import av
import numpy as np
import pytest

from abaw.dataset.clip import Clip
from abaw.errors import InputError
from abaw.pipelines.viewing.overlay import write_overlay
from extract.media import Sound, pictures, probe, sound
from extract.synthetic.write_clip import write_clip
from tests.support.extract.clips import find_click_s, make_click, make_pictures, picture_times_s
from tests.support.views.analysed import write_analysis

VARIABLE_S = 0.2 + np.cumsum(np.random.default_rng(1).choice([900, 2700, 4500], 60)) / 90_000


def overlay_of(folder, media, times_s, **columns):
    """The overlay of a clip, and the remark."""
    clip = media if isinstance(media, Clip) else Clip("clip", media)
    path = folder / "out" / "clip.overlay.mp4"
    return path, write_overlay(write_analysis(folder / "out", clip, times_s, **columns), path)


@pytest.mark.parametrize(
    ("suffix", "times_s", "sound_start_s"),
    [
        (".mp4", np.arange(50) / 25, 0.0),
        (".mp4", VARIABLE_S, 0.0),
        (".mp4", VARIABLE_S, 0.8),
        (".mkv", VARIABLE_S, 0.8),
        (".avi", np.arange(50) / 25, 0.0),
    ],
    ids=["even", "variable", "variable, sound late", "Matroska, sound late", "AVI, sound encoded"],
)
def test_flash_and_click_of_one_moment_stay_within_one_frame(tmp_path, suffix, times_s, sound_start_s):
    at = 30
    shown = make_pictures(len(times_s), 96, 128)
    shown[at] = np.full_like(shown[at], 255)
    click = make_click(times_s[at], 44100, start_s=sound_start_s, length_s=3.0)
    write_clip(tmp_path / f"clip{suffix}", shown, times_s, click)
    source_s = picture_times_s(tmp_path / f"clip{suffix}")
    path, remark = overlay_of(tmp_path, tmp_path / f"clip{suffix}", source_s)
    assert remark == ""
    np.testing.assert_allclose(picture_times_s(path), source_s, atol=1e-9)
    flash_s = max(pictures(path), key=lambda picture: picture.rgb()[48:60, :60].mean()).time_s
    assert flash_s == source_s[at]
    assert abs(find_click_s(sound(path)) - flash_s) < np.diff(source_s).min()


def test_frames_that_cannot_be_decoded_keep_their_place_and_say_so(tmp_path):
    write_clip(tmp_path / "clip.mp4", make_pictures(40, 96, 128), np.arange(40) / 25)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray((tmp_path / "clip.mp4").read_bytes())
    for start, size in spans[-6:-4]:
        data[start : start + size] = bytes(size)
    (tmp_path / "clip.mp4").write_bytes(data)
    source = list(pictures(tmp_path / "clip.mp4"))
    lost = [row for row, picture in enumerate(source) if not picture.is_decodable]
    assert lost
    path, _ = overlay_of(tmp_path, tmp_path / "clip.mp4", [picture.time_s for picture in source])
    found = list(pictures(path))
    assert [picture.time_s for picture in found] == [picture.time_s for picture in source]
    notice = np.s_[45:60, 8:100]  # below the time and the flags
    before, during = found[lost[0] - 1].rgb(), found[lost[0]].rgb()
    assert np.abs(before[notice].astype(int) - during[notice]).mean() > 20
    assert np.abs(before[64:].astype(int) - during[64:]).mean() < 3


def test_a_part_of_a_file_begins_at_0_s_and_its_times_are_said(tmp_path):
    write_clip(tmp_path / "clip.mp4", make_pictures(100), np.arange(100) / 25, make_click(2.0, length_s=4.0))
    clip = Clip("clip", tmp_path / "clip.mp4", start_s=1.0, stop_s=3.0)
    path, remark = overlay_of(tmp_path, clip, np.arange(25, 75) / 25)
    assert remark == f"0 s of the video are 1 s of {clip.media}"
    np.testing.assert_allclose(picture_times_s(path), np.arange(50) / 25, atol=1e-9)
    assert find_click_s(sound(path)) == pytest.approx(1.0, abs=1e-3)


def test_sound_without_video_has_no_overlay_and_an_old_one_is_removed(tmp_path):
    write_clip(tmp_path / "clip.mkv", [], [], make_click(1.2))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip.overlay.mp4").write_bytes(b"of another file")
    path, remark = overlay_of(tmp_path, tmp_path / "clip.mkv", np.arange(50) / 25)
    assert remark == "there is no picture to draw on, so no video was written"
    assert not path.exists()


def test_a_still_picture_is_a_video_of_one_frame(tmp_path):
    from PIL import Image

    Image.fromarray(make_pictures(1, 97, 129)[0]).save(tmp_path / "clip.png")
    path, _ = overlay_of(tmp_path, tmp_path / "clip.png", [0.0])
    assert picture_times_s(path).tolist() == [0.0]
    assert (probe(path).width, probe(path).height) == (130, 98)


def test_consecutive_pictures_become_a_video_at_their_times(tmp_path):
    from PIL import Image

    (tmp_path / "clip").mkdir()
    for number in (1, 2, 4):
        Image.fromarray(make_pictures(1)[0]).save(tmp_path / "clip" / f"{number:05}.png")
    path, _ = overlay_of(tmp_path, Clip("clip", images=tmp_path / "clip", is_series=True, fps=10), np.arange(3) / 10)
    np.testing.assert_allclose(picture_times_s(path), np.arange(3) / 10, atol=1e-9)


def test_a_file_that_changed_since_it_was_analysed_is_refused_and_nothing_is_written(tmp_path):
    write_clip(tmp_path / "clip.mp4", make_pictures(10), np.arange(10) / 25)
    with pytest.raises(InputError, match=r"clip.mp4 has changed since it was analysed: analyze it again"):
        overlay_of(tmp_path, tmp_path / "clip.mp4", np.arange(10) / 30)
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_a_full_disk_leaves_the_old_video_and_names_the_file(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip.mp4", make_pictures(10), np.arange(10) / 25)
    viewed = write_analysis(tmp_path / "out", Clip("clip", tmp_path / "clip.mp4"), np.arange(10) / 25)
    path = tmp_path / "out" / "clip.overlay.mp4"
    path.write_bytes(b"before")

    def encode(out, *_):
        raise av.error.OSError(errno.ENOSPC, "No space left on device", out.name)

    monkeypatch.setattr("extract.media.writing.mp4._Pictures._add_stream", lambda self, *_: encode(self._out))
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_overlay(viewed, path)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == b"before"
    assert not list(path.parent.glob(".abaw-*"))


def test_a_video_that_ffmpeg_left_incomplete_counts_as_a_full_disk(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip.mp4", make_pictures(10), np.arange(10) / 25)
    monkeypatch.setattr("extract.media.writing.mp4.count_missing_bytes", lambda *_: 100)
    with pytest.raises(OSError, match="No space left on device"):
        overlay_of(tmp_path, tmp_path / "clip.mp4", np.arange(10) / 25)
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path):
    import tracemalloc

    peaks = []
    for num in (40, 140):
        noise = Sound(np.random.default_rng(0).normal(0, 0.1, num * 640).astype(np.float32).clip(-1, 1), 16000, 0.0)
        write_clip(tmp_path / "clip.avi", make_pictures(num), np.arange(num) / 25, noise)
        viewed = write_analysis(tmp_path / "out", Clip("clip", tmp_path / "clip.avi"), np.arange(num) / 25)
        assert len(viewed.timeline.times_s) == num
        tracemalloc.start()
        write_overlay(viewed, tmp_path / "out" / "clip.overlay.mp4")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 300_000  # 100 pictures and 4 s of sound have 1,150,000 bytes
