"""Track files: the safetensors format, written in blocks, mapped when read."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from extract.store import tensor_file, track_file
from extract.store.tensor_file import Tensor, TensorFile, read_metadata, write_tensors
from extract.store.track_file import TrackFile, TrackWriter
from tests.support.stores import body, flip_bit

RECIPE = {"name": "loud", "encoder": "loud", "settings": {}}
ARRAYS = {
    "flags": np.array([True, False, True]),
    "half": np.arange(6, dtype=np.float16).reshape(3, 2),
    "number": np.array([7], np.int32),
    "single": np.zeros((0, 4), np.float32),
    "times_s": np.array([0.1, 0.2, 0.3]),
}


def write(path, arrays=ARRAYS, metadata=None):
    write_tensors(path, {name: Tensor.of(array) for name, array in arrays.items()}, metadata or {"source": "é"})
    return path


def test_the_library_reads_what_is_written_here(tmp_path):
    read = load_file(write(tmp_path / "a.safetensors"))
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(read[name], array)


def test_what_the_library_writes_is_read_here(tmp_path):
    save_file(ARRAYS, tmp_path / "a.safetensors", {"source": "é"})
    file = TensorFile(tmp_path / "a.safetensors")
    assert file.metadata == read_metadata(tmp_path / "a.safetensors") == {"source": "é"}
    for name, array in ARRAYS.items():
        assert (file[name].dtype, file[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(file[name], array)


def test_tensors_are_mapped_and_cannot_be_changed(tmp_path):
    file = TensorFile(write(tmp_path / "a.safetensors"))
    assert not file["half"].flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        file["half"][0] = 1


def test_a_mapped_file_keeps_its_content_when_it_is_replaced(tmp_path):
    file = TensorFile(write(tmp_path / "a.safetensors"))
    write(tmp_path / "a.safetensors", {name: array * 0 for name, array in ARRAYS.items() if name != "flags"})
    np.testing.assert_array_equal(file["half"], ARRAYS["half"])


def test_the_checksum_is_that_of_the_content(tmp_path, monkeypatch):
    path = write(tmp_path / "a.safetensors")
    assert TensorFile(path).body_sha256() == TensorFile(path).metadata["sha256"]
    monkeypatch.setattr(tensor_file, "BLOCK_BYTES", 7)
    assert TensorFile(path).body_sha256() == TensorFile(path).metadata["sha256"]
    flip_bit(path, len(body(path)) - 1)
    assert TensorFile(path).body_sha256() != TensorFile(path).metadata["sha256"]


def test_the_same_content_gives_the_same_bytes(tmp_path):
    first = write(tmp_path / "a.safetensors", metadata={"a": "1", "b": "2"})
    second = write(tmp_path / "b.safetensors", dict(reversed(ARRAYS.items())), {"b": "2", "a": "1"})
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("num_bytes", [0, 5, 100, -1])
def test_a_truncated_file_is_damaged_and_the_error_names_the_command(tmp_path, num_bytes):
    path = write(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged .*: delete it and run abaw again"):
        TensorFile(path, "abaw again")
    assert read_metadata(path) == {}


def test_an_unknown_type_and_a_missing_tensor_are_errors(tmp_path):
    save_file({"values": np.zeros(3, np.uint8)}, tmp_path / "a.safetensors")
    file = TensorFile(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="values is of type U8, expected one of F64, F32"):
        file["values"]
    with pytest.raises(ValueError, match="has no tensor 'times_s'; it has values"):
        file["times_s"]


def test_a_track_is_written_in_blocks_and_read_by_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(track_file, "BLOCK_BYTES", 12)  # three rows of two numbers in float16
    values, observed = np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(10) % 4 != 1
    with TrackWriter(tmp_path / "loud", RECIPE, "a", 2) as writer:
        for row in values[observed]:
            writer.add(row[None])
        writer.finish(np.arange(10) / 10, observed, {}, filled=~observed)
    file = TrackFile(tmp_path / "loud" / "a.safetensors")
    expected = np.where(observed[:, None], values, 0)
    np.testing.assert_array_equal(file.values, expected)
    np.testing.assert_array_equal(file.rows(2, 7), expected[2:7])
    assert (file.rows(2, 7).dtype, file.values.dtype, file.dim) == (np.float32, np.float16, 2)
    assert [(first, len(block)) for first, block in file.blocks()] == [(0, 3), (3, 3), (6, 3), (9, 1)]
    assert file.flags.keys() == {"observed", "filled"}
    np.testing.assert_array_equal(file.flags["filled"], ~observed)


def test_another_number_of_rows_than_observed_is_refused(tmp_path):
    with TrackWriter(tmp_path / "loud", RECIPE, "a", 2) as writer:
        writer.add(np.zeros((3, 2)))
        with pytest.raises(ValueError, match="clip 'a': loud gave 3 rows, expected 2"):
            writer.finish(np.arange(3) / 10, np.array([True, True, False]), {})
        with pytest.raises(ValueError, match="increase"):
            writer.finish(np.zeros(3), np.ones(3, bool), {})
        with pytest.raises(ValueError, match=r"loud gave rows of shape \(1, 3\), expected \(n, 2\)"):
            writer.add(np.zeros((1, 3)))
    assert not (tmp_path / "loud").exists()


def test_a_value_that_is_not_finite_is_refused_with_its_row_among_all(tmp_path):
    with TrackWriter(tmp_path / "loud", RECIPE, "a", 2) as writer:
        writer.add(np.zeros((3, 2)))
        with pytest.raises(ValueError, match=r"the encoder loud gave nan \(row 4, column 1\), expected finite"):
            writer.add(np.array([[0, 0], [0, np.nan]]))


def test_rows_in_half_precision_are_read_exactly(tmp_path):
    """Every finite number of half precision, also the smallest."""
    values = np.arange(2**16, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)].reshape(-1, 64)
    tensors = {"values": values, "times_s": np.arange(len(values)) / 25, "observed": np.ones(len(values), bool)}
    rows = TrackFile(write(tmp_path / "a.safetensors", tensors)).rows(2, len(values))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, values[2:].astype(np.float32))


def test_rows_in_single_precision_are_copied_only_where_they_may_be_changed(tmp_path):
    recipe = {"name": "x", "stored_dtype": "float32"}
    with TrackWriter(tmp_path / "features", recipe, "a", 2) as writer:
        writer.add(np.arange(20, dtype=np.float32).reshape(10, 2))
        writer.finish(np.arange(10) / 25, np.ones(10, bool), {})
    file = TrackFile(tmp_path / "features" / "a.safetensors")
    mapped, copied = file.rows(2, 7, copy=False), file.rows(2, 7)
    assert np.shares_memory(mapped, file.values)
    assert not np.shares_memory(copied, file.values)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, copied)
