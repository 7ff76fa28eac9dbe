"""The weights of convolutions in a TensorFlow Lite file, read as data: no interpreter is needed.

The format is FlatBuffers with the schema of TensorFlow Lite, version 3: tables refer to fields through a vtable, and
all numbers are little-endian (https://flatbuffers.dev/internals). Only what is read here is described here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw.errors import InputError

CONV_2D, FLOAT32 = 3, 0  # of the schema's BuiltinOperator and TensorType


@dataclass(frozen=True)
class Convolution:
    """``kernel`` (out, height, width, in) and ``bias`` (out), float32."""

    kernel: np.ndarray
    bias: np.ndarray


def read_convolutions(file: Path) -> list[Convolution]:
    """The 2D convolutions of a network in the order in which they run.

    Raises InputError where the file is damaged or no TensorFlow Lite file, or a weight is quantised or not constant.
    """
    content = file.read_bytes()
    try:
        if content[4:8] != b"TFL3":
            raise ValueError("its first bytes are others")
        return _convolutions(_Table(content, struct.unpack_from("<I", content)[0]))
    except (ValueError, IndexError, struct.error) as error:
        raise InputError(
            f"{file} is damaged, or not a TensorFlow Lite file with float32 weights ({error}): get it again"
        ) from error


@dataclass(frozen=True)
class _Table:
    content: bytes
    at: int

    def _field(self, number: int) -> int | None:
        """Where a field's value lies; None where it has its default."""
        vtable = self.at - self._int(self.at)
        (size,) = struct.unpack_from("<H", self.content, vtable)
        (offset,) = struct.unpack_from("<H", self.content, vtable + 4 + 2 * number) if 4 + 2 * number < size else (0,)
        return self.at + offset if offset else None

    def _int(self, at: int) -> int:
        if at < 0:
            raise ValueError("an offset points before its beginning")
        found: int = struct.unpack_from("<i", self.content, at)[0]
        return found

    def number(self, field: int, form: str = "<i") -> int:
        """A number of the struct format ``form``; 0 by default."""
        at = self._field(field)
        return 0 if at is None else struct.unpack_from(form, self.content, at)[0]

    def _vector(self, field: int) -> tuple[int, int]:
        """Where a vector's elements begin, and their number."""
        at = self._field(field)
        if at is None:
            return 0, 0
        at += self._int(at)
        return at + 4, self._int(at)

    def array(self, field: int, dtype: str = "<i4") -> np.ndarray:
        """A vector of numbers."""
        at, count = self._vector(field)
        return np.frombuffer(self.content, dtype, count, at)

    def tables(self, field: int) -> list[_Table]:
        """A vector of tables."""
        first, count = self._vector(field)
        places = range(first, first + 4 * count, 4)
        return [_Table(self.content, at + self._int(at)) for at in places]


def _convolutions(model: _Table) -> list[Convolution]:
    # fields by their numbers in the schema. Model: 1 operator_codes, 2 subgraphs, 4 buffers; SubGraph: 0 tensors,
    # 3 operators; OperatorCode: 0 code, 3 code where it is above 127; Operator: 0 index of its code, 1 inputs
    codes = [max(each.number(0, "<b"), each.number(3)) for each in model.tables(1)]
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors = graph.tables(0)
    steps = [each for each in graph.tables(3) if codes[each.number(0, "<I")] == CONV_2D]
    return [Convolution(*(_weights(tensors[i], buffers) for i in each.array(1)[1:3])) for each in steps]


def _weights(tensor: _Table, buffers: list[_Table]) -> np.ndarray:
    """The values of a constant tensor. Tensor: 0 shape, 1 type, 2 index of its buffer; Buffer: 0 data."""
    if tensor.number(1, "<b") != FLOAT32:
        raise ValueError(f"a weight has the type {tensor.number(1, '<b')}")
    shape = tensor.array(0)
    return buffers[tensor.number(2, "<I")].array(0, "u1").view("<f4").reshape(shape)
