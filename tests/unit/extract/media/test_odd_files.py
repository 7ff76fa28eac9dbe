"""Files that cannot be read are named with the reason; unusual ones that can be read are read."""

from pathlib import Path

import av
import numpy as np
import pytest

from extract.media import DecodeCounts, MediaError, pictures, probe, sound
from extract.media.timing import time_of
from extract.synthetic.write_clip import write_clip
from tests.support.extract.clips import find_click_s, make_click, make_pictures


def copy_without_media_data(source: Path, target: Path) -> Path:
    """A copy of an mp4 file whose index is whole and whose packets are all zeros."""
    data = bytearray(source.read_bytes())
    first = data.index(b"mdat") + 4
    size = int.from_bytes(data[first - 8 : first - 4], "big") - 8
    data[first : first + size] = bytes(size)
    target.write_bytes(data)
    return target


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
    write_clip(tmp_path / "whole.mp4", make_pictures(5), np.arange(5) / 25)
    clip = copy_without_media_data(tmp_path / "whole.mp4", tmp_path / "clip.mp4")
    with pytest.raises(MediaError, match=r"no picture of .*clip\.mp4 can be decoded \(5 corrupt packets"):
        list(pictures(clip))
    with pytest.raises(MediaError, match="no picture"):
        probe(clip)


def test_an_audio_stream_without_decodable_sound_is_an_error(tmp_path):
    write_clip(tmp_path / "whole.mp4", [], [], make_click(0.5))
    with pytest.raises(MediaError, match=r"no sound of .*clip\.mp4 can be decoded \(\d+ corrupt packets"):
        sound(copy_without_media_data(tmp_path / "whole.mp4", tmp_path / "clip.mp4"))


def test_a_picture_not_later_than_the_one_before_has_a_time_between_its_neighbours(tmp_path):
    times_s = np.arange(10) / 25
    times_s[5] = times_s[4] + 0.0002  # Matroska rounds both to the same millisecond
    write_clip(tmp_path / "clip.mkv", make_pictures(10), times_s)
    counts = DecodeCounts()
    given_s = [picture.time_s for picture in pictures(tmp_path / "clip.mkv", counts)]
    assert given_s == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.28, 0.32, 0.36])
    assert (counts.num_decoded, counts.num_mended_picture_stamps) == (10, 1)


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
    write_clip(tmp_path / "clip.mp4", make_pictures(1), [0.0])
    with av.open(str(tmp_path / "clip.mp4")) as container:
        packet = av.Packet(1)
        packet.pts, packet.dts = pts, dts
        assert time_of(packet, container.streams.video[0]) == time_s


def test_cover_art_is_not_decoded(tmp_path):
    with av.open(str(tmp_path / "clip.m4a"), "w", format="mp4") as out:
        audio = out.add_stream("aac", rate=16000, layout="mono")
        cover = out.add_stream("mjpeg", rate=1, width=64, height=48, pix_fmt="yuvj420p")
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(make_click(0.5).samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        for stream, given in ((cover, av.VideoFrame.from_ndarray(make_pictures(1)[0], format="rgb24")), (audio, frame)):
            out.mux(stream.encode(given))
            out.mux(stream.encode(None))
    assert list(pictures(tmp_path / "clip.m4a")) == []
    assert not probe(tmp_path / "clip.m4a").has_video
    assert find_click_s(sound(tmp_path / "clip.m4a")) == pytest.approx(0.5, abs=5e-4)


def test_the_largest_video_stream_is_decoded(tmp_path):
    with av.open(str(tmp_path / "clip.mkv"), "w") as out:
        streams = [
            out.add_stream("mjpeg", rate=25, width=w, height=h, pix_fmt="yuvj420p")
            for h, w in ((24, 32), (48, 64), (48, 32))
        ]
        for stream in streams:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(make_pictures(1)[0], format="rgb24")))
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
