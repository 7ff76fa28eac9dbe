"""8-bit rows against LiRank's middle-max quantisation, and against what it does to columns of different sizes."""

import numpy as np
import pytest

from benchmarks.seed_systems import eight_bit
from extract.store.eight_bit.codes import quantise, restore


def test_every_row_reaches_both_ends_and_no_value_moves_by_more_than_half_a_scale():
    found = eight_bit.measure_rows(10_000, 128)
    assert (found.lowest, found.highest, found.reach_both) == (-128, 127, True)
    assert found.half_scales <= 1 + 1e-5
    assert found.rmse == pytest.approx(0.00588, abs=2e-5)
    assert found.size == (128 + 8) / (4 * 128) <= 0.266


def test_rows_of_width_1024_lose_what_the_papers_rule_predicts():
    found = eight_bit.measure_rows(2_000, 1_024)
    assert found.rmse == pytest.approx(0.0074, abs=1e-4)
    assert found.min_cosine >= 0.9999


def test_the_scale_and_the_middle_are_those_of_the_paper():
    rows = eight_bit.normal_rows(50, 7)
    codes, low, high = quantise(rows), rows.min(axis=1).astype(float), rows.max(axis=1).astype(float)
    np.testing.assert_allclose(codes.scale, (high - low) / 255, rtol=1e-6)
    np.testing.assert_allclose(codes.middle, (high * 128 + low * 127) / 255, rtol=1e-5, atol=1e-7)
    steps = (rows - codes.middle[:, None].astype(float)) / codes.scale[:, None]
    assert (codes.values == np.rint(steps)).all()


def test_a_constant_row_is_restored_exactly():
    rows = np.repeat(eight_bit.normal_rows(40, 1), 9, axis=1)
    assert (restore(quantise(rows)) == rows).all()


@pytest.mark.parametrize(
    ("make", "least"), [(eight_bit.with_outliers, 0.1), (eight_bit.of_many_sizes, 10)], ids=["outliers", "sizes"]
)
def test_standardised_columns_are_restored_where_rows_alone_destroy_them(tmp_path, make, least):
    rows = make(eight_bit.normal_rows(2_000, 1_024))
    alone = eight_bit.by_rows_alone(rows)
    assert eight_bit.worst_column(rows, alone) > least  # the control
    file = eight_bit.store_track(tmp_path, rows)
    stored = file.rows(0, len(rows))
    assert eight_bit.worst_column(rows, stored) <= 0.0085
    assert file.columns is not None
    if make is eight_bit.with_outliers:
        assert eight_bit.rmse(rows, alone) == pytest.approx(0.113, abs=1e-3)
        assert eight_bit.centred_cosines(rows, alone).min() == pytest.approx(0.992, abs=1e-3)
        assert eight_bit.rmse(rows, stored) == pytest.approx(0.0073, abs=2e-4)


def test_a_file_takes_26_56_percent_of_float32_and_its_times_and_flags(tmp_path):
    rows = eight_bit.normal_rows(2_000, 128)
    files = {each: eight_bit.store_track(tmp_path / each, rows, each) for each in ("float32", "int8")}
    assert files["int8"].columns is None
    assert files["int8"].num_value_bytes == rows.nbytes * 0.265625
    sizes = {each: file.path.stat().st_size for each, file in files.items()}
    header = 2_000
    assert sizes["int8"] <= 0.265625 * rows.nbytes + 9 * len(rows) + header
    assert sizes["int8"] < 0.29 * sizes["float32"]
