"""A file whose end is missing says so, by the sizes that it states itself, even where it announces no length."""

import wave

import av
import numpy as np
import pytest

from extract.losses import PictureLosses, end_losses
from extract.media import DecodeCounts, pictures, probe, sound
from extract.media.container import count_missing_bytes
from tests.support.extract.damage import CONTAINERS, write_small_clip
from tests.unit.extract.media.test_avi import write_avi


def write(path):
    if path.suffix == ".avi":
        write_avi(path, sound_codec="pcm_s16le", rate_hz=16000)
    elif path.suffix == ".wav":
        with wave.open(str(path), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            out.writeframes(bytes(32000))
    elif path.suffix == ".ogg":
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libopus", rate=48000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 48000
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    else:
        write_small_clip(path)


def format_of(path):
    with av.open(str(path)) as container:
        return container.format.name


def lines(path):
    """What is said of the pictures of a file."""
    counts = DecodeCounts()
    num = len(list(pictures(path, counts)))
    return [loss.text for loss in PictureLosses(num, counts.num_undecodable, **end_losses(counts)).losses()]


@pytest.mark.parametrize("suffix", [*(name for name in CONTAINERS if name != "flv"), "avi", "wav", "ogg"])
def test_missing_bytes_are_counted(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write(path)
    form, data = format_of(path), path.read_bytes()
    assert count_missing_bytes(path, form) == 0
    for num_missing in (3001,) if suffix == "mpg" else (5, 57, len(data) // 3):  # an .mpg is padded at its end
        path.write_bytes(data[:-num_missing])
        found = count_missing_bytes(path, form)
        assert 0 < found <= num_missing
        if suffix in ("mkv", "webm", "avi", "wav"):  # others state the size of each part, not that of the file
            assert found == num_missing


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_a_cut_end_is_reported_where_no_length_is_announced(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write(path)
    assert lines(path) == []
    path.write_bytes(path.read_bytes()[:-5000])
    assert any(line.startswith("the end of the file is missing") for line in lines(path))
    assert probe(path).num_missing_bytes > 0


def test_a_packet_that_is_cut_is_corrupt(tmp_path):
    path, counts = tmp_path / "a.flv", DecodeCounts()
    write(path)
    sound(path, counts=counts)
    assert counts.num_corrupt_packets == 0
    path.write_bytes(path.read_bytes()[:-200])
    sound(path, counts=counts)
    assert counts.num_corrupt_packets == 1


def test_a_doubled_chunk_of_sound_in_an_avi_is_reported(tmp_path):
    path = tmp_path / "a.avi"
    write(path)
    assert lines(path) == []
    data = path.read_bytes()
    at = data.index(b"01wb", data.index(b"movi"))
    size = 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    path.write_bytes(data[:at] + data[at : at + size] + data[at:])
    assert any("3.00 s are announced: what comes later may have moved" in line for line in lines(path))


def test_an_avi_whose_sound_is_longer_than_its_pictures_is_whole(tmp_path):
    path = tmp_path / "a.avi"
    write_avi(path, sound_codec="pcm_s16le", rate_hz=16000)
    data = path.read_bytes()
    length = data.index(b"strh") + 8 + 32  # of the pictures, which come first
    fewer = int.from_bytes(data[length : length + 4], "little") - 5
    with av.open(str(path)) as container:
        rate, sound_s = float(container.streams.video[0].average_rate), 3.0
    path.write_bytes(data[:length] + fewer.to_bytes(4, "little") + data[length + 4 :])
    assert fewer / rate < sound_s - 0.1
    assert probe(path).announced_s == pytest.approx(sound_s, abs=0.01)
    assert not any("announced" in line for line in lines(path))


@pytest.mark.parametrize("size", [0, 2**32 - 1])
def test_a_recorder_that_did_not_write_its_size_lost_nothing(tmp_path, size):
    path = tmp_path / "a.wav"
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[:4] + size.to_bytes(4, "little") + data[8:])
    assert count_missing_bytes(path, "wav") == 0


def test_m2ts_packets_with_a_stamp_before_each_are_whole(tmp_path):
    path = tmp_path / "a.ts"
    write(path)
    data = path.read_bytes()
    stamped = b"".join(b"\0\0\0\0" + data[at : at + 188] for at in range(0, len(data), 188))
    path.write_bytes(stamped)
    assert count_missing_bytes(path, "mpegts") == 0
    path.write_bytes(stamped[:-7])
    assert count_missing_bytes(path, "mpegts") == 7
