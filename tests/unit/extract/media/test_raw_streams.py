"""A codec's bytes without a container have no time stamps: pictures are counted at the rate that the stream states."""

import av
import numpy as np
import pytest

from extract.media import DecodeCounts, MediaError, pictures, probe

CODECS = {"h264": "libx264", "hevc": "libx265", "m4v": "mpeg4", "mpeg2video": "mpeg2video", "mjpeg": "mjpeg"}
NUM = 12


def write_raw(path, form, rate):
    """Pictures that get brighter, with B frames where the codec has them."""
    options = {"x265-params": "log-level=none"} if form == "hevc" else {}
    with av.open(str(path), "w", format=form) as out:
        pixel_format, num_b_frames = ("yuvj420p", 0) if form == "mjpeg" else ("yuv420p", 2)
        stream = out.add_stream(
            CODECS[form],
            rate=rate,
            width=64,
            height=48,
            pix_fmt=pixel_format,
            max_b_frames=num_b_frames,
            options=options,
        )
        for number in range(NUM):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate", [10, 50])
@pytest.mark.parametrize("form", ["h264", "hevc"])
def test_pictures_are_counted_at_the_rate_that_the_stream_states(tmp_path, form, rate):
    path, counts = write_raw(tmp_path / "clip", form, rate), DecodeCounts()
    found = list(pictures(path, counts))
    assert [picture.time_s for picture in found] == pytest.approx(np.arange(NUM) / rate)
    assert (np.diff([picture.rgb().mean() for picture in found]) > 10).all()
    assert (counts.num_untimed, counts.assumed_fps) == (NUM, 0)
    info = probe(path)
    assert (info.num_packets, info.fps, info.counted_fps) == (NUM, pytest.approx(rate), rate)
    assert not info.is_variable


@pytest.mark.parametrize("form", ["m4v", "mpeg2video"])
def test_where_the_stream_has_times_itself_these_are_used(tmp_path, form):
    path = write_raw(tmp_path / "clip", form, 50)
    assert np.diff([picture.time_s for picture in pictures(path)]) == pytest.approx(np.full(NUM - 1, 0.02))
    assert np.isnan(probe(path).counted_fps)


def test_without_a_stated_rate_the_user_gives_one(tmp_path):
    path, counts = write_raw(tmp_path / "clip.mjpeg", "mjpeg", 10), DecodeCounts()
    message = r"clip\.mjpeg has no time stamps, and its stream states no frame rate: give --assume-fps FPS"
    with pytest.raises(MediaError, match=message):
        list(pictures(path))
    with pytest.raises(MediaError, match=message):
        probe(path)
    found = list(pictures(path, counts, assume_fps=10.0))
    assert [picture.time_s for picture in found] == pytest.approx(np.arange(NUM) / 10)
    assert (counts.num_untimed, counts.assumed_fps) == (NUM, 10)
    assert probe(path, assume_fps=10.0).fps == pytest.approx(10)
