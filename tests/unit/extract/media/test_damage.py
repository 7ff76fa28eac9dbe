"""Joined, erased and cut files keep every row in its place; wrong stamps of sound make no gap."""

import av
import numpy as np
import pytest

from extract.media import DecodeCounts, pictures, probe, sound
from extract.media.audio_buffer import SoundFrame, SoundOrder
from extract.synthetic.write_clip import write_clip
from tests.support.extract.damage import NUM_PICTURES, copy_packets, write_small_clip

FRAME_S = 0.02


def read_rows(path, counts=None):
    rows = list(pictures(path, counts))
    return np.array([row.time_s for row in rows]), np.array([row.is_decodable for row in rows])


def settle(times_s):
    """What is believed of the stamps of frames of 20 ms."""
    order, frames = SoundOrder(), []
    for time_s in times_s:
        frames += order.add(SoundFrame(np.zeros(320, np.float32), 16000, time_s))
    return [frame.time_s for frame in [*frames, *order.finish()]], order.num_mended


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
@pytest.mark.parametrize("num", [3])
def test_pictures_and_sound_of_joined_files_go_on(tmp_path, suffix, num):
    write_small_clip(tmp_path / f"one{suffix}")
    (tmp_path / f"all{suffix}").write_bytes((tmp_path / f"one{suffix}").read_bytes() * num)
    counts, whole = DecodeCounts(), sound(tmp_path / f"one{suffix}")
    times_s, decodable = read_rows(tmp_path / f"all{suffix}", counts)
    assert np.diff(times_s) == pytest.approx(np.full(num * NUM_PICTURES - 1, 0.04), abs=1e-4)
    assert decodable.all()
    assert counts.num_joins == num - 1
    assert probe(tmp_path / f"all{suffix}").num_packets == num * NUM_PICTURES
    decoded = sound(tmp_path / f"all{suffix}")
    assert decoded.stop_s == pytest.approx(whole.stop_s + (num - 1) * NUM_PICTURES * 0.04, abs=0.06)
    assert sum(stop_s - start_s for start_s, stop_s in decoded.gaps_s) < 0.06 * num


def test_a_real_joined_file_keeps_all_rows(media, tmp_path):
    (tmp_path / "all.mpg").write_bytes((media / "clips/bbaf2n.mpg").read_bytes() * 2)
    times_s, decodable = read_rows(tmp_path / "all.mpg")
    assert times_s == pytest.approx(np.arange(150) / 25)
    assert decodable.all()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv", ".webm"])
@pytest.mark.parametrize("leap_s", [4000.0])
def test_stamps_of_both_streams_that_leap_ahead_are_shifted_back(tmp_path, suffix, leap_s):
    write_small_clip(tmp_path / f"one{suffix}")
    assert copy_packets(
        tmp_path / f"one{suffix}", tmp_path / f"leap{suffix}", shift(leap_s, lambda *each: each[2] >= 0.7)
    )
    counts = DecodeCounts()
    times_s, _ = read_rows(tmp_path / f"leap{suffix}", counts)
    assert times_s == pytest.approx(read_rows(tmp_path / f"one{suffix}")[0], abs=0.0011)
    assert counts.num_joins == 1
    assert sound(tmp_path / f"leap{suffix}").stop_s == pytest.approx(sound(tmp_path / f"one{suffix}").stop_s, abs=0.03)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".flv", ".webm"])
def test_a_fifth_of_the_file_erased_moves_no_row(tmp_path, suffix):
    write_small_clip(tmp_path / f"one{suffix}")
    data = bytearray((tmp_path / f"one{suffix}").read_bytes())
    first, stop = int(0.4 * len(data)), int(0.6 * len(data))
    data[first:stop] = bytes(stop - first)
    (tmp_path / f"erased{suffix}").write_bytes(data)
    counts = DecodeCounts()
    times_s, decodable = read_rows(tmp_path / f"erased{suffix}", counts)
    assert times_s == pytest.approx(read_rows(tmp_path / f"one{suffix}")[0], abs=0.0011)
    assert decodable[:5].all()
    assert decodable[-5:].all()
    assert 0 < (~decodable).sum() == counts.num_undecodable < NUM_PICTURES
    assert probe(tmp_path / f"erased{suffix}").num_packets == NUM_PICTURES


def test_a_fifth_of_a_real_mpg_erased_moves_no_row(media, tmp_path):
    data = bytearray((media / "clips/bbaf2n.mpg").read_bytes())
    data[180_000:270_000] = bytes(90_000)
    (tmp_path / "erased.mpg").write_bytes(data)
    times_s, decodable = read_rows(tmp_path / "erased.mpg")
    assert times_s == pytest.approx(np.arange(75) / 25)
    assert 10 < (~decodable).sum() < 20


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".flv", ".webm"])
def test_what_is_before_a_cut_stays_as_it_was(tmp_path, suffix):
    write_small_clip(tmp_path / f"one{suffix}")
    data = (tmp_path / f"one{suffix}").read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(data[: int(0.6 * len(data))])
    counts = DecodeCounts()
    whole_s, times_s = (read_rows(tmp_path / f"{name}{suffix}", counts)[0] for name in ("one", "cut"))
    assert 5 < len(times_s) < NUM_PICTURES
    assert times_s == pytest.approx(whole_s[: len(times_s)], abs=0.0011)
    if suffix in (".mkv", ".webm", ".flv"):
        assert counts.announced_s == pytest.approx(1.44, abs=0.15)
        assert counts.readable_s < counts.announced_s - 0.2


def test_frames_that_share_one_stamp_follow_each_other():
    times_s = [float(0.08 * (i // 4)) for i in range(40)]
    believed, num_mended = settle(times_s)
    assert [time_s for time_s in believed if time_s is not None] == pytest.approx([0.08 * i for i in range(10)])
    assert num_mended == 0


def test_a_gap_that_later_stamps_take_back_is_none():
    # Ogg Vorbis: the stamps of the first page are 13 ms late, those of the pages after it 6 ms
    late_s = np.repeat([0.0, 0.013, 0.006], [1, 30, 40])
    believed, num_mended = settle([float(FRAME_S * i + late) for i, late in enumerate(late_s)])
    assert num_mended == 30
    assert [time_s for time_s in believed[:31] if time_s is not None] == [0.0]


@pytest.mark.parametrize("lost", [1, 5])
def test_lost_frames_are_a_gap(lost):
    times_s = [FRAME_S * (i + (lost if i >= 20 else 0)) for i in range(60)]
    assert settle(times_s) == (times_s, 0)


def test_a_first_stamp_that_the_others_contradict_is_replaced():
    believed, num_mended = settle([60.0, *(0.5 + FRAME_S * i for i in range(1, 60))])
    assert believed[0] == pytest.approx(0.5)
    assert num_mended == 1


def shift(leap_s, is_moved):
    """A change of the packets for which ``is_moved(kind, number, time in seconds)``."""

    def change(kind, number, packet):
        if is_moved(kind, number, float((packet.pts if packet.dts is None else packet.dts) * packet.time_base)):
            packet.pts += round(leap_s / packet.time_base)
            packet.dts = None if packet.dts is None else packet.dts + round(leap_s / packet.time_base)

    return change


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv"])
@pytest.mark.parametrize("name", ["join", "last picture", "last sound"])
def test_a_leap_of_stamps_does_not_make_a_file_look_cut_off(tmp_path, suffix, name):
    write_small_clip(tmp_path / f"one{suffix}")
    with av.open(str(tmp_path / f"one{suffix}")) as container:
        last = sum(packet.size > 0 for packet in container.demux(audio=0)) - 1
    moved = {
        "join": lambda kind, number, time_s: time_s >= 0.7,
        "last picture": lambda kind, number, time_s: (kind, number) == ("video", NUM_PICTURES - 1),
        "last sound": lambda kind, number, time_s: (kind, number) == ("audio", last),
    }
    assert copy_packets(tmp_path / f"one{suffix}", tmp_path / f"leap{suffix}", shift(100.0, moved[name]))
    one, leap = (probe(tmp_path / f"{each}{suffix}") for each in ("one", "leap"))
    assert leap.readable_s == pytest.approx(one.readable_s, abs=0.05)
    assert leap.announced_s == pytest.approx(leap.readable_s, abs=0.05)
    assert leap.last_picture_s == pytest.approx(one.last_picture_s, abs=0.0011)
    assert leap.sound_stop_s == pytest.approx(one.sound_stop_s, abs=0.05)


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_rows_go_on_where_the_33_bits_of_stamps_are_full(tmp_path, suffix):
    write_small_clip(tmp_path / f"one{suffix}")
    # the container's clock of 90 kHz starts anew at 0, a second after the start
    assert copy_packets(
        tmp_path / f"one{suffix}", tmp_path / f"full{suffix}", shift(2**33 / 90000 - 2.0, lambda *_: True)
    )
    whole_s, (times_s, decodable) = read_rows(tmp_path / f"one{suffix}")[0], read_rows(tmp_path / f"full{suffix}")
    assert times_s - times_s[0] == pytest.approx(whole_s - whole_s[0], abs=1e-4)
    assert decodable.all()
    whole, decoded = sound(tmp_path / f"one{suffix}"), sound(tmp_path / f"full{suffix}")
    assert (len(decoded.samples), decoded.gaps_s) == (len(whole.samples), ())
    assert decoded.start_s - times_s[0] == pytest.approx(whole.start_s - whole_s[0], abs=1e-4)


def test_matroska_of_one_cluster_says_how_much_can_be_read(media, tmp_path):
    # FFmpeg goes on at the next cluster, and here is none
    data = bytearray((media / "nasty/av1_video.mkv").read_bytes())
    first, stop = int(0.4 * len(data)), int(0.6 * len(data))
    data[first:stop] = bytes(stop - first)
    (tmp_path / "erased.mkv").write_bytes(data)
    times_s, _ = read_rows(tmp_path / "erased.mkv")
    assert times_s == pytest.approx(np.arange(len(times_s)) / 25, abs=0.0011)
    info = probe(tmp_path / "erased.mkv")
    assert info.num_packets == len(times_s)
    assert info.readable_s == pytest.approx(len(times_s) / 25, abs=0.05)
    assert info.announced_s == pytest.approx(5.0)


def test_an_avi_with_a_picture_twice_is_counted_by_its_index_or_says_so(tmp_path):
    path = tmp_path / "a.avi"
    write_clip(path, [np.full((32, 48, 3), 9 * i, np.uint8) for i in range(25)], np.arange(25) / 25)
    data = path.read_bytes()
    first = data.index(b"00dc", data.index(b"movi"))
    second, index = data.index(b"00dc", first + 4), data.index(b"idx1")
    twice = data[:second] + data[first:second] + data[second:index]
    path.write_bytes(twice + data[index:])
    assert (probe(path).num_packets, probe(path).num_announced) == (25, 0)
    path.write_bytes(twice)
    assert (probe(path).num_packets, probe(path).num_announced) == (26, 25)
