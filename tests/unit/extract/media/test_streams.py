"""Which stream of a file is read: the one flagged default before the largest, never cover art, or the one chosen."""

from fractions import Fraction

import av
import numpy as np
import pytest

from extract.media import MediaError, pictures, probe, sound

RATE_HZ = 16000


def write_streams(path, videos=(), levels=(), video_flags=(), audio_flags=()):
    """Videos of (width, height, brightness) with two pictures, or one where a fourth value says so; constant sounds."""
    with av.open(str(path), "w") as out:
        streams = []
        for width, height, brightness, *num in videos:
            stream = out.add_stream("mjpeg", rate=25, width=width, height=height, pix_fmt="yuvj420p")
            rgb = np.full((height, width, 3), brightness, np.uint8)
            streams.append((stream, [rgb] * (num[0] if num else 2)))
        sounds = [(out.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono"), level) for level in levels]
        for (stream, _), flag in zip([*streams, *sounds], [*video_flags, *audio_flags], strict=False):
            stream.disposition = flag
        for stream, level in sounds:
            samples = np.full((1, RATE_HZ), round(level * 32768), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
            out.mux(stream.encode(frame))
        for stream, images in streams:
            for number, rgb in enumerate(images):
                picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(picture))
        for stream, _ in [*streams, *sounds]:
            out.mux(stream.encode(None))
    return path


DEFAULT = av.stream.Disposition.default
NONE = av.stream.Disposition(0)


def read(path, **chosen):
    """The size of the pictures and the level of the sound that are read."""
    rgb = next(pictures(path, video_stream=chosen.get("video_stream"))).rgb()
    decoded = sound(path, audio_stream=chosen.get("audio_stream"))
    return rgb.shape[1], round(float(decoded.samples[8000]), 2)


@pytest.mark.parametrize(
    ("videos", "flags", "width_px"),
    [
        ([(64, 48, 90), (128, 96, 90)], [NONE, NONE], 128),
        ([(64, 48, 90), (128, 96, 90)], [DEFAULT, NONE], 64),  # a webcam beside a screen
        ([(128, 96, 90), (64, 48, 90)], [NONE, DEFAULT], 64),
        ([(64, 48, 90), (128, 96, 90)], [DEFAULT, DEFAULT], 128),
    ],
)
def test_the_stream_flagged_default_goes_before_the_largest(tmp_path, videos, flags, width_px):
    path = write_streams(tmp_path / "clip.mkv", videos, [0.25], [*flags, DEFAULT])
    assert read(path)[0] == width_px
    info = probe(path)
    assert info.width == width_px == videos[info.video_stream][0]
    assert info.num_video_streams == 2


def test_a_single_picture_is_no_video_beside_a_video(tmp_path):
    path = write_streams(tmp_path / "clip.mov", [(128, 96, 90, 1), (64, 48, 90)], [0.25])
    assert read(path)[0] == 64
    assert len(list(pictures(path))) == 2


def test_streams_can_be_chosen_and_are_counted_within_their_kind(tmp_path):
    path = write_streams(tmp_path / "clip.mkv", [(64, 48, 90), (128, 96, 90)], [0.25, 0.5], [DEFAULT, NONE])
    assert read(path) == (64, 0.25)
    assert read(path, video_stream=1, audio_stream=1) == (128, 0.5)
    info = probe(path, video_stream=1, audio_stream=1)
    assert (info.width, info.video_stream, info.audio_stream) == (128, 1, 1)
    assert (info.num_video_streams, info.num_audio_streams) == (2, 2)


def test_the_sound_flagged_default_is_read(tmp_path):
    path = write_streams(tmp_path / "clip.mkv", [(64, 48, 90)], [0.25, 0.5], [DEFAULT], [NONE, DEFAULT])
    assert read(path) == (64, 0.5)
    assert probe(path).audio_stream == 1


@pytest.mark.parametrize("index", [-1, 1])
def test_a_stream_that_is_not_there_is_an_error_that_names_the_file(tmp_path, index):
    path = write_streams(tmp_path / "clip.mkv", [(64, 48, 90)], [0.25])
    message = rf"clip\.mkv has 1 {{}} stream, counted from 0, but --{{}}-stream is {index}: choose another"
    with pytest.raises(MediaError, match=message.format("video", "video")):
        list(pictures(path, video_stream=index))
    with pytest.raises(MediaError, match=message.format("audio", "audio")):
        sound(path, audio_stream=index)
    with pytest.raises(MediaError, match=message.format("audio", "audio")):
        probe(path, audio_stream=index)


def test_a_choice_of_video_does_not_concern_a_file_of_sound(tmp_path):
    path = write_streams(tmp_path / "clip.wav", levels=[0.25])
    assert list(pictures(path, video_stream=1)) == []
    assert not probe(path, video_stream=1).has_video
