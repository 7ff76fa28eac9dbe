"""Laws of damaged media: one wrong stamp or erased packet changes nothing but itself, and every picture has a row.

``ABAW_LAW_EXAMPLES=50 pytest --hypothesis-seed 11`` tries more, other ones.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from extract.media import DecodeCounts, pictures, probe, sound
from tests.support.extract.damage import CONTAINERS, NUM_PICTURES, copy_packets, erase, payloads, write_small_clip

ROUNDING_S = 0.0011  # of containers that store milliseconds
EXAMPLES = os.environ.get("ABAW_LAW_EXAMPLES")  # per container and law
LAW = settings(
    max_examples=int(EXAMPLES or 3),
    derandomize=EXAMPLES is None,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SHIFTS_S = st.one_of(
    st.sampled_from([0.04, -0.04, 0.5, -0.5, 1.0, -1.0, 10.0, -10.0, 60.0, 5000.0]), st.floats(-20, 20, width=32)
)


class Clip:
    """A clip in one container, what is read from it, and room for damaged copies."""

    def __init__(self, path: Path) -> None:
        self.path, self.copy = path, path.with_name(f"copy{path.suffix}")
        self.data = path.read_bytes()
        self.payloads = {kind: payloads(path, kind) for kind in ("video", "audio")}
        self.times_s, self.decodable, self.sound, _ = read(path)


def read(path):
    counts = DecodeCounts()
    rows = list(pictures(path, counts))
    decodable = np.array([picture.is_decodable for picture in rows])
    return np.array([picture.time_s for picture in rows]), decodable, sound(path, counts=counts), counts


@pytest.fixture(scope="module", params=CONTAINERS)
def clip(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_small_clip(folder / f"first.{request.param}")
    # copied once more, so that a changed copy differs in nothing but the change
    copy_packets(folder / f"first.{request.param}", folder / f"clip.{request.param}")
    return Clip(folder / f"clip.{request.param}")


def test_the_whole_clip_is_read_without_a_loss(clip):
    times_s, decodable, decoded, counts = read(clip.path)
    assert np.diff(times_s) == pytest.approx(np.full(NUM_PICTURES - 1, 0.04), abs=ROUNDING_S)
    assert decodable.all()
    assert decoded.gaps_s == ()
    counts.announced_s = counts.readable_s = 0.0
    assert counts == DecodeCounts(num_decoded=NUM_PICTURES)


@LAW
@given(number=st.integers(1, NUM_PICTURES - 1), shift_s=SHIFTS_S, with_dts=st.booleans())
def test_one_wrong_stamp_of_a_picture_moves_at_most_its_own_row(clip, number, shift_s, with_dts):
    assume(change_stamp(clip, "video", number, shift_s, with_dts))  # else the container cannot store it
    times_s, decodable, decoded, _ = read(clip.copy)
    assert len(times_s) == NUM_PICTURES
    assert decodable.all()
    assert (np.abs(times_s - clip.times_s) > ROUNDING_S).sum() <= 1
    assert probe(clip.copy).num_packets == NUM_PICTURES
    same_sound(decoded, clip.sound)


@LAW
@given(number=st.integers(1, 55), shift_s=SHIFTS_S, with_dts=st.booleans())
def test_one_wrong_stamp_of_sound_changes_no_sample_and_no_row(clip, number, shift_s, with_dts):
    assume(change_stamp(clip, "audio", number, shift_s, with_dts))
    times_s, decodable, decoded, _ = read(clip.copy)
    assert times_s == pytest.approx(clip.times_s, abs=ROUNDING_S)
    assert decodable.all()
    same_sound(decoded, clip.sound)


@LAW
@given(number=st.integers(1, NUM_PICTURES - 2))
def test_an_erased_picture_keeps_its_row_and_moves_no_other(clip, number):
    times_s, decodable, decoded = read_erased(clip, "video", number)
    assert times_s == pytest.approx(clip.times_s, abs=ROUNDING_S)
    assert not decodable.all() or clip.path.suffix == ".webm"  # VP9 shows the picture before it again
    assert probe(clip.copy).num_packets == NUM_PICTURES
    same_sound(decoded, clip.sound)


@LAW
@given(number=st.integers(3, 45))
def test_an_erased_sound_moves_no_row_and_no_other_sound(clip, number):
    times_s, decodable, decoded = read_erased(clip, "audio", number)
    assert times_s == pytest.approx(clip.times_s, abs=ROUNDING_S)
    assert decodable.all()
    assert decoded.start_s == pytest.approx(clip.sound.start_s, abs=ROUNDING_S)
    assert decoded.stop_s == pytest.approx(clip.sound.stop_s, abs=0.002)
    whole, start = clip.sound.samples, round((decoded.start_s - clip.sound.start_s) * 16000)
    assert start == 0
    late = slice(-3000, -1000)
    assert np.corrcoef(decoded.samples[late], whole[late])[0, 1] > 0.9


@LAW
@given(numbers=st.sets(st.integers(1, NUM_PICTURES - 2), min_size=2, max_size=6))
def test_every_decoded_picture_has_a_row(clip, numbers):
    data = clip.data
    for number in numbers:
        data = erase(data, clip.payloads["video"][number], clip.payloads["video"])
    clip.copy.write_bytes(data)
    times_s, decodable, _, counts = read(clip.copy)
    assert (np.diff(times_s) > 0).all()
    assert (counts.num_decoded, counts.num_undecodable) == (decodable.sum(), (~decodable).sum())
    if clip.path.suffix != ".mpg":  # a run of pictures without a stamp is placed by its length alone
        assert times_s == pytest.approx(clip.times_s, abs=ROUNDING_S)


def change_stamp(clip, kind, number, shift_s, with_dts):
    def change(of_kind, packet_number, packet):
        if (of_kind, packet_number) == (kind, number):
            ticks = round(shift_s / packet.time_base)
            packet.pts += ticks
            if with_dts and packet.dts is not None:
                packet.dts += ticks

    return copy_packets(clip.path, clip.copy, change)


def read_erased(clip, kind, number):
    clip.copy.write_bytes(erase(clip.data, clip.payloads[kind][number], clip.payloads[kind]))
    return read(clip.copy)[:3]


def same_sound(decoded, whole):
    assert (len(decoded.samples), decoded.gaps_s) == (len(whole.samples), whole.gaps_s)
    assert decoded.start_s == pytest.approx(whole.start_s, abs=ROUNDING_S)
    assert np.abs(decoded.samples - whole.samples).max() < 1e-3
