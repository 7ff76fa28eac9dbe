"""The reader of TensorFlow Lite files, on a file written by hand from the format's definition."""

import struct

import numpy as np
import pytest

from abaw.errors import InputError
from extract.networks.voice.tflite import read_convolutions

INT, BYTES = "<i4", "u1"


class Writer:
    """Appends vtable, table and vectors; offsets are written last, when it is known where their targets lie."""

    def __init__(self):
        self.content = bytearray(b"\0\0\0\0TFL3")

    def vector(self, values, dtype):
        values = np.asarray(values, dtype)
        at = self._end()
        self.content += struct.pack("<i", len(values)) + values.tobytes()
        return at

    def tables(self, places):
        at = self._end()
        self.content += struct.pack("<i", len(places))
        for place in places:
            self.content += struct.pack("<i", place - len(self.content))
        return at

    def table(self, **fields):
        """Fields ``f<number>``: ("at", place) is an offset, else a number of four bytes."""
        vtable = self._end()
        num = 1 + max((int(name[1:]) for name in fields), default=-1)
        offsets = [4 + 4 * list(fields).index(f"f{i}") if f"f{i}" in fields else 0 for i in range(num)]
        self.content += struct.pack(f"<{2 + num}H", 4 + 2 * num, 4 + 4 * len(fields), *offsets)
        at = self._end()
        self.content += struct.pack("<i", at - vtable)
        for value in fields.values():
            number = value[1] - len(self.content) if isinstance(value, tuple) else value
            self.content += struct.pack("<i", number)
        return at

    def _end(self):
        self.content += b"\0" * (-len(self.content) % 4)
        return len(self.content)


def write_network(path, kernel, bias, dtype=0):
    """A network of an addition (code 0) and a convolution (code 3), which has two constants."""
    out = Writer()
    buffers = [out.table()] + [
        out.table(f0=("at", out.vector(np.frombuffer(each.astype("<f4").tobytes(), "u1"), BYTES)))
        for each in (kernel, bias)
    ]
    shapes = [out.vector(shape, INT) for shape in ((1, 4, 4, 1), kernel.shape, bias.shape)]
    tensors = [out.table(f0=("at", shape), f1=dtype, f2=i) for i, shape in enumerate(shapes)]
    add = out.table(f0=0, f1=("at", out.vector([0, 0], INT)))
    conv = out.table(f0=1, f1=("at", out.vector([0, 1, 2], INT)))
    graph = out.table(f0=("at", out.tables(tensors)), f3=("at", out.tables([add, conv])))
    codes = [out.table(f0=0), out.table(f0=3)]
    model = out.table(
        f0=3, f1=("at", out.tables(codes)), f2=("at", out.tables([graph])), f4=("at", out.tables(buffers))
    )
    out.content[:4] = struct.pack("<I", model)
    path.write_bytes(out.content)
    return path


KERNEL, BIAS = np.arange(12.0).reshape(2, 3, 2, 1), np.array([0.5, -1.0])


def test_kernels_and_biases_are_read_in_their_shapes(tmp_path):
    (found,) = read_convolutions(write_network(tmp_path / "net.tflite", KERNEL, BIAS))
    assert found.kernel.dtype == np.float32
    assert (found.kernel == KERNEL).all()
    assert (found.bias == BIAS).all()


def test_quantised_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"net.tflite is damaged, or .* \(a weight has the type 9\)"):
        read_convolutions(write_network(tmp_path / "net.tflite", KERNEL, BIAS, dtype=9))


def test_any_file_cut_short_or_of_another_kind_is_refused(tmp_path):
    content = write_network(tmp_path / "net.tflite", KERNEL, BIAS).read_bytes()
    for num in range(0, len(content), 8):
        (tmp_path / "cut.tflite").write_bytes(content[:num])
        with pytest.raises(InputError, match=r"cut.tflite is damaged, or not a TensorFlow Lite file"):
            read_convolutions(tmp_path / "cut.tflite")
    (tmp_path / "other.tflite").write_bytes(b"\x08\x00\x00\x00ONNX" + bytes(99))
    with pytest.raises(InputError, match="not a TensorFlow Lite file"):
        read_convolutions(tmp_path / "other.tflite")
