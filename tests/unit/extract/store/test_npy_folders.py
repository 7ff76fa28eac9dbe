"""Npy folders of other programs: arrays of rows, or one file per frame."""

import numpy as np
import pytest

from extract.store.npy_folders import find_rows


@pytest.fixture
def folder(tmp_path):
    """A folder of features of two clips, ten rows each."""
    folder = tmp_path / "made_elsewhere"
    folder.mkdir()
    for value, clip_id in ((1, "a"), (2, "b.left")):
        np.save(folder / f"{clip_id}.npy", value * np.arange(1, 21, dtype=np.float64).reshape(10, 2))
    return folder


def test_rows_are_read_in_blocks_in_float32(folder):
    rows = find_rows(folder)["b.left"]
    assert (len(rows), rows.dim, rows.has_gaps) == (10, 2, False)
    block = rows.block(3, 5)
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block, 2 * np.arange(7, 11).reshape(2, 2))


def test_frames_have_the_position_of_their_number(tmp_path):
    (tmp_path / "a").mkdir()
    for number in (2, 10, 3):
        np.save(tmp_path / "a" / f"{number}.npy", np.array([number, -number]))
    rows = find_rows(tmp_path)["a"]
    assert (rows.positions.tolist(), rows.has_gaps) == ([1, 2, 9], True)
    np.testing.assert_array_equal(rows.block(1, 3), [[3, -3], [10, -10]])


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros(8), r"a.npy has the shape \(8,\), expected \(time, dim\): one vector for the whole clip has no time"),
        (np.zeros((2, 3, 4)), r"a.npy has the shape \(2, 3, 4\), expected \(time, dim\)"),
        (np.zeros((10, 3)), r"several widths \(2 in b.left, 3 in a\): import each kind from its own folder"),
        (np.array([["x"]]), r"a.npy is not an array of numbers: write it again with numpy.save"),
        (np.array([[{}]], object), r"a.npy cannot be read as an array of numbers .*: write it again with numpy.save"),
    ],
)
def test_a_file_that_is_not_an_array_of_rows_is_named(folder, array, why):
    np.save(folder / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=why):
        find_rows(folder)


def test_a_truncated_file_is_named(folder):
    path = folder / "a.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"a.npy cannot be read as an array of numbers"):
        find_rows(folder)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"a.npy cannot be read as an array of numbers"):
        find_rows(folder)


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*none: give the folder of <clip>.npy"):
        find_rows(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty holds neither <clip>.npy nor <clip>/<frame number>.npy"):
        find_rows(tmp_path / "empty")


def test_a_clip_with_both_file_and_folder_is_refused(folder):
    (folder / "a").mkdir()
    np.save(folder / "a" / "1.npy", np.zeros(2))
    with pytest.raises(ValueError, match=r"has both a.npy and a/: remove one of them"):
        find_rows(folder)


def test_a_frame_of_another_width_is_named(tmp_path):
    (tmp_path / "frames/a").mkdir(parents=True)
    for number in range(1, 11):
        np.save(tmp_path / f"frames/a/{number}.npy", np.zeros(3 if number == 7 else 2))
    with pytest.raises(ValueError, match=r"7.npy has 3 values, but 1.npy has 2"):
        find_rows(tmp_path / "frames")["a"].block(0, 10)
