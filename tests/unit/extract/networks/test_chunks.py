"""Chunks of long sound: passes tile the rows, are cross-faded at the seams, and agree with one pass where they can."""

import re

import numpy as np
import pytest

from abaw.errors import InputError
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks.chunks import (
    Chunks,
    Grid,
    check_chunks,
    mean_and_variance,
    pieces,
    plan_chunks,
    read_blocks,
    receptive_field,
)

RATE_HZ = 16000


def noise(num, start_s=0.0):
    return Sound((0.1 * np.random.default_rng(0).normal(size=num)).astype(np.float32), RATE_HZ, start_s)


def test_the_used_rows_of_the_passes_tile_all_rows():
    for num, chunk, margin in ((10, 10, 3), (11, 10, 3), (100, 10, 4), (37, 20, 0), (1000, 101, 50)):
        found = list(pieces(num, chunk, margin))
        assert [row for _, keep, until, _ in found for row in range(keep, until)] == list(range(num))
        assert all(0 <= first <= keep < until <= stop <= num for first, keep, until, stop in found)
        assert {stop - first for first, _, _, stop in found} == {chunk}
    assert list(pieces(0, 10, 3)) == []


def test_a_network_with_less_context_than_the_margin_gives_exactly_one_pass():
    grid = Grid(RATE_HZ, span=400, hop=320, centre=199.5)

    def network(reach):
        def rows(samples):
            level = np.array([samples[320 * i : 320 * i + 400].mean() for i in range(grid.num_rows(len(samples)))])
            padded = np.pad(level, reach)
            around = np.stack([padded[i : i + len(level)] for i in range(2 * reach + 1)], axis=1)
            return around.astype(np.float32)

        return rows

    sound, plan = noise(100_000), Chunks(grid, chunk=50, margin=10, fade=5)
    for reach, same in ((5, True), (6, False)):
        made = joined(plan.tracks(sound, network(reach)), 2 * reach + 1)
        assert np.array_equal(made.values, network(reach)(sound.samples)) == same
        assert np.allclose(np.diff(made.times_s), 0.02)
    unused = Chunks(grid, chunk=50, margin=10, fade=0)
    assert np.array_equal(joined(unused.tracks(sound, network(10)), 21).values, network(10)(sound.samples))


def test_two_passes_are_cross_faded_in_even_steps():
    grid, passes = Grid(100, span=1, hop=1, centre=0.0), iter([0.0, 1.0])

    def network(samples):
        return np.full((len(samples), 1), next(passes), np.float32)

    made = joined(Chunks(grid, 20, 4, 2).tracks(Sound(np.zeros(32, np.float32), 100, 0.0), network), 1).values[:, 0]
    assert made.tolist() == [0.0] * 14 + [0.125, 0.375, 0.625, 0.875] + [1.0] * 14


@pytest.mark.parametrize("overlap_s", [0.4, 1.0])
def test_a_planned_cross_fade_covers_the_middle_half_of_the_overlap(overlap_s):
    """The network gives the number of its pass, so that the track shows which pass each row comes from."""
    grid, passes = Grid(100, span=1, hop=1, centre=0.0), iter(range(100))
    plan = plan_chunks("x", grid, chunk_s=4.0, overlap_s=overlap_s)
    sound = Sound(np.zeros(1500, np.float32), 100, 0.0)
    values = joined(plan.tracks(sound, lambda part: np.full((len(part), 1), next(passes), np.float32)), 1).values[:, 0]
    num = round(overlap_s * 100 / 2)
    faded = np.flatnonzero(values % 1)
    first_seam = faded[:num]
    assert np.array_equal(first_seam, np.arange(400 - num - num // 2, 400 - num // 2))
    assert np.allclose(np.diff(values[first_seam]), 1 / num)
    assert np.abs(np.diff(values)).max() <= 1 / num + 1e-6


def test_passes_that_agree_are_not_changed_by_the_cross_fade():
    grid = Grid(100, span=1, hop=1, centre=0.0)
    sound = Sound(np.linspace(0, 1, 500, dtype=np.float32), 100, 0.0)
    made = joined(Chunks(grid, 100, 20, 10).tracks(sound, lambda part: part[:, None]), 1).values[:, 0]
    assert np.array_equal(made, sound.samples)


def test_rows_have_the_times_of_the_grid_whatever_the_passes():
    grid = Grid(RATE_HZ, span=400, hop=320, centre=199.5)
    sound = noise(40_000, start_s=2.0)
    made = joined(Chunks(grid, 30, 5, 2).tracks(sound, lambda part: np.zeros((grid.num_rows(len(part)), 1))), 1)
    assert np.allclose(made.times_s, 2.0 + (np.arange(124) * 320 + 199.5) / RATE_HZ)
    assert made.observed.all()


def test_rows_come_in_whole_steps():
    grid = Grid(RATE_HZ, span=400, hop=320, centre=199.5, step=2)
    assert [grid.num_rows(num) for num in (399, 400, 720, 1040, 1360)] == [0, 0, 2, 2, 4]
    plan = plan_chunks("x", grid, chunk_s=1.0, overlap_s=0.2)
    assert (plan.chunk % 2, plan.margin % 2) == (0, 0)


def test_the_receptive_field_of_wav2vec2_is_25_ms_every_20_ms():
    assert receptive_field((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)) == (400, 320)


def test_mean_and_variance_in_blocks_equal_those_of_the_whole():
    values = np.random.default_rng(0).normal(3, 2, (1000, 4)).astype(np.float32)
    mean, var = mean_and_variance(values[first : first + 77] for first in range(0, 1000, 77))
    assert np.allclose(mean, values.astype(float).mean(0))
    assert np.allclose(var, values.astype(float).var(0))
    assert [float(each) for each in mean_and_variance(iter(()))] == [0.0, 0.0]


def test_blocks_cover_all_samples(monkeypatch):
    monkeypatch.setattr("extract.networks.chunks.BLOCK", 7)
    samples = np.arange(20, dtype=np.float32)
    read = list(read_blocks(samples))
    assert [len(block) for block in read] == [7, 7, 6]
    assert np.array_equal(np.concatenate(read), samples)


# errors


def test_a_network_that_gives_too_few_rows_is_an_error():
    plan = plan_chunks("x", Grid(100, 1, 1, 0.0), 10.0, 0.0)
    with pytest.raises(ValueError, match="the network gave 3 rows for 5 samples, its strides say 5"):
        list(plan.tracks(Sound(np.zeros(5, np.float32), 100, 0.0), lambda samples: np.zeros((3, 1), np.float32)))


@pytest.mark.parametrize(
    ("chunk_s", "overlap_s", "message"),
    [
        (10.0, 5.0, "x: overlap_s is 5.0, expected 0 or more and less than half of chunk_s=10.0"),
        (10.0, -1.0, "x: overlap_s is -1.0, expected 0 or more"),
        (40.0, 1.0, "x: chunk_s is 40.0, this network takes at most 30 s at a time"),
    ],
)
def test_chunks_that_do_not_fit_are_refused(chunk_s, overlap_s, message):
    with pytest.raises(InputError, match=re.escape(message)):
        check_chunks("x", chunk_s, overlap_s, longest_s=30)


def test_a_chunk_without_a_row_is_refused():
    grid = Grid(RATE_HZ, span=400, hop=320, centre=199.5)
    with pytest.raises(InputError, match="x: chunk_s is 0.02, too short for a row of 0.025 s"):
        plan_chunks("x", grid, 0.02, 0.0)
