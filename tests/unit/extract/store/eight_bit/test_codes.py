"""Codes of single rows: edges of numbers and of shapes."""

import numpy as np
import pytest

from extract.store.eight_bit.codes import Columns, quantise, restore


def normal(num, dim, seed=0):
    return np.random.default_rng(seed).standard_normal((num, dim)).astype(np.float32)


def columns_of(rows):
    return Columns(rows.mean(axis=0), rows.std(axis=0))


@pytest.mark.parametrize("columns", [None, columns_of(normal(30, 6))], ids=["as they are", "standardised"])
def test_constant_rows_and_rows_of_zeros_are_exact_among_others(columns):
    rows = normal(30, 6, 1)
    rows[4], rows[9] = 1 / 3, 0
    restored = restore(quantise(rows, columns), columns)
    assert (restored[[4, 9]] == rows[[4, 9]]).all()
    np.testing.assert_allclose(restored, rows, atol=0.05)


@pytest.mark.parametrize("dim", [1, 2])
def test_one_and_two_values_a_row_are_kept_up_to_rounding(dim):
    rows = normal(50, dim)
    np.testing.assert_allclose(restore(quantise(rows)), rows, rtol=2e-6, atol=1e-6)


def test_no_rows_give_no_codes():
    codes = quantise(np.zeros((0, 5), np.float32))
    assert restore(codes).shape == codes.values.shape == (0, 5)


def test_a_small_range_far_from_zero_is_kept_to_the_rounding_of_float32():
    rows = (1e5 + normal(20, 8)).astype(np.float32)
    codes = quantise(rows)
    bound = codes.scale[:, None] / 2 + np.spacing(np.float32(1e5))
    assert (np.abs(restore(codes).astype(float) - rows) <= bound).all()
    neighbours = np.array([[1.0, np.nextafter(np.float32(1), np.float32(2))]], np.float32)
    assert (np.abs(restore(quantise(neighbours)) - neighbours) <= np.spacing(np.float32(1))).all()


def test_the_smallest_and_the_largest_numbers_do_not_break_the_scale():
    tiny = np.array([[0, 1e-45, 2e-45]], np.float32)
    assert (np.abs(restore(quantise(tiny)) - tiny) <= 3e-45).all()
    large = np.array([[-1e38, 0, 1e38]], np.float32)
    np.testing.assert_allclose(restore(quantise(large)), large, atol=1e36)


def test_a_column_that_never_changes_is_restored_exactly():
    rows = normal(40, 5)
    rows[:, 2] = 1234.5678
    columns = Columns(rows.mean(axis=0, dtype=float).astype(np.float32), rows.std(axis=0))
    columns.deviation[2] = 0
    assert (restore(quantise(rows, columns), columns)[:, 2] == rows[:, 2]).all()


def test_rows_do_not_depend_on_the_rows_beside_them():
    rows = normal(40, 16)
    columns = columns_of(rows)
    whole = quantise(rows, columns)
    part = quantise(rows[7:19], columns)
    assert (whole.values[7:19] == part.values).all()
    assert (restore(whole, columns)[7:19] == restore(part, columns)).all()
