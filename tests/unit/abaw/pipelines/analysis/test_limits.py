"""Limits on media that somebody else has sent."""

import numpy as np
import pytest

from abaw.errors import InputError, NotFoundError
from abaw.pipelines.analysis import limits
from abaw.pipelines.analysis.limits import MediaLimits, check_limits
from extract.media import MediaError, measure_size
from extract.synthetic.write_clip import write_clip
from tests.support.extract.drawn_clips import picture, tone


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("limits") / "clip.mp4"
    write_clip(path, [picture()] * 20, np.arange(20) / 10, tone(2.0))
    return path


def test_the_size_is_measured_from_packets(clip):
    size = measure_size(clip)
    assert size.length_s == pytest.approx(2.0, abs=0.15)
    assert (size.num_pictures, size.width, size.height, size.has_sound) == (20, 160, 120, True)


def test_a_file_within_the_limits_passes(clip):
    assert check_limits(clip, MediaLimits(10_000_000, 3.0)) == pytest.approx(2.0, abs=0.15)


def test_each_limit_is_said(clip, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"clip.mp4 has .* MB, expected at most 0.001 MB"):
        check_limits(clip, MediaLimits(1000, 3.0))
    with pytest.raises(InputError, match=r"s long, expected at most 1 s"):
        check_limits(clip, MediaLimits(10_000_000, 1.0))
    monkeypatch.setattr(limits, "MAX_RATE_HZ", 1)
    with pytest.raises(InputError, match="20 pictures, expected at most 4"):
        check_limits(clip, MediaLimits(10_000_000, 3.0))
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MAX_PICTURE_PX", 1000)
    with pytest.raises(InputError, match="160 x 120 pixels"):
        check_limits(clip, MediaLimits(10_000_000, 3.0))
    with pytest.raises(InputError, match="by its name"):
        check_limits(tmp_path / "page.html", MediaLimits(1, 1.0))
    with pytest.raises(NotFoundError):
        check_limits(tmp_path / "none.mp4", MediaLimits(1, 1.0))
    with pytest.raises(InputError, match="max_length_s is 0"):
        MediaLimits(1, 0)


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile clip.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2,\nclip.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ],
)
def test_a_playlist_does_not_read_other_files(clip, tmp_path, playlist):
    path = tmp_path / "list.mp4"
    path.write_text(playlist)
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    with pytest.raises(MediaError, match="it is not a media file"):
        measure_size(path)
