"""When columns are standardised, what counts as an error, and what is refused."""

import numpy as np
import pytest

from abaw.errors import InputError
from extract.store.eight_bit.fitting import MAX_ERROR, MIN_ROWS, Int8Error, fit


def normal(num, dim, seed=0):
    return np.random.default_rng(seed).standard_normal((num, dim)).astype(np.float32)


def fitted(rows, num_blocks=3):
    return fit(lambda: iter(np.array_split(rows, num_blocks)), rows.shape[1])


def test_columns_are_left_as_they_are_where_rows_alone_lose_little():
    found = fitted(normal(200, 64))
    assert found.columns is None
    assert 0.003 < found.error.rows < found.error.largest < 0.01
    assert len(found.scale) == len(found.middle) == 200


def test_columns_of_different_sizes_are_standardised():
    found = fitted(normal(200, 64) * np.geomspace(0.001, 100, 64, dtype=np.float32))
    assert found.columns is not None
    assert found.error.columns < 0.01


def test_the_error_of_the_rows_does_not_show_what_a_small_column_loses():
    rows = normal(MIN_ROWS - 1, 64) * np.geomspace(0.001, 100, 64, dtype=np.float32)
    short, long = fitted(rows), fitted(np.concatenate([rows, rows]))
    assert short.error.columns is None
    assert short.error.rows < MAX_ERROR
    assert short.columns is None
    assert long.columns is not None


def test_blocks_do_not_matter():
    rows = normal(100, 12) * np.geomspace(0.01, 10, 12, dtype=np.float32)
    one, several = fitted(rows, 1), fitted(rows, 7)
    assert one.error.rows == pytest.approx(several.error.rows)
    np.testing.assert_allclose(one.columns.deviation, several.columns.deviation, rtol=1e-6)


def test_a_constant_track_an_empty_one_and_constant_columns_lose_nothing():
    for rows in (np.full((40, 6), 2.7, np.float32), np.zeros((0, 6), np.float32), np.tile(normal(1, 6), (40, 1))):
        assert fitted(rows).error.largest == pytest.approx(0, abs=1e-6), rows.shape


def test_a_deviation_that_float16_does_not_keep_either_does_not_count():
    rows = normal(100, 4)
    rows[:, 0] = 1000 + 1e-3 * rows[:, 0]
    assert fitted(rows).error.largest < 0.01


def test_what_loses_too_much_is_refused_with_what_to_do():
    found = fitted(normal(100, 1024) ** 9)
    with pytest.raises(
        InputError, match=r"^clip 'a' would lose too much in int8: its error is .*, expected at most 0.02: do"
    ):
        found.check("clip 'a'", "do this")


def test_numbers_that_overflow_are_refused():
    rows = np.array([[-3.4e38, 3.4e38, 0.0]], np.float32)
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(InputError, match="would lose too much"):
        fitted(rows).check("it", "do this")


def test_the_error_is_read_as_it_was_written():
    error = Int8Error(0.004, None, 0.99, 0.5)
    assert Int8Error.from_text(error.to_text()) == error
    for text in (
        "",
        "[]",
        "{}",
        '{"rows": 1}',
        '{"rows": "a", "columns": null, "min_cosine": 1.0, "max_difference": 0.0}',
    ):
        with pytest.raises(InputError, match="cannot be read"):
            Int8Error.from_text(text)
