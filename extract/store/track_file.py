"""Tracks and clocks as safetensors files: written in blocks, so that memory does not grow with a clip, and mapped."""

import hashlib
import json
import math
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from abaw.errors import InputError
from abaw.files import atomic_write, write_json
from abaw.tracks import Track

BLOCK_BYTES = 4 << 20
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I32": "int32", "BOOL": "bool"}
DTYPE_NAMES = {numpy_name: name for name, numpy_name in DTYPES.items()}
EXTRACT_AGAIN = "abaw extract again"


@dataclass(frozen=True)
class Tensor:
    """A tensor to write, in blocks of bytes because it may be larger than memory."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterable[bytes]

    @classmethod
    def of(cls, array: np.ndarray) -> "Tensor":
        """An array in memory as one block."""
        return cls(array.dtype, array.shape, [array.tobytes()])

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, complete or absent; the SHA-256 of what follows the header is added to its metadata.

    The library's own writer needs all tensors in memory and writes metadata in an order that differs between runs.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))  # widest type first: aligned
    header: dict[str, Any] = {"__metadata__": dict(sorted({**metadata, "sha256": "0" * 64}.items()))}
    offset = 0
    for name in order:
        tensor = tensors[name]
        stop = offset + tensor.num_bytes
        header[name] = {
            "dtype": DTYPE_NAMES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, stop],
        }
        offset = stop
    digest = hashlib.sha256()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(pack_header(header))
        for name in order:
            for block in tensors[name].blocks:
                file.write(block)
                digest.update(block)
        header["__metadata__"]["sha256"] = digest.hexdigest()  # as long as the zeros it replaces
        file.seek(0)
        file.write(pack_header(header))


def pack_header(header: Mapping[str, Any]) -> bytes:
    """How a safetensors file begins: the header's length in 8 bytes, then the header as JSON, padded to 8 bytes."""
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class TensorFile:
    """A safetensors file mapped into memory: ``file[name]`` is a tensor of which only what is used is read.

    Copies would grow with the store in every process that reads from it; the pages of a mapped file are shared.
    Raises InputError where the file is damaged; the message says to run ``command``.
    """

    def __init__(self, path: Path, command: str = EXTRACT_AGAIN) -> None:
        self.path = path
        try:
            with safe_open(path, framework="numpy") as file:  # checks the header and the file's length
                self.metadata: dict[str, str] = file.metadata() or {}
        except SafetensorError as error:
            raise InputError(f"{path} is damaged ({error}): delete it and run {command}") from error
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._start = 8 + int.from_bytes(self._bytes[:8], "little")
        self._header = json.loads(self._bytes[8 : self._start])

    def __contains__(self, name: str) -> bool:
        return name in self._header

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._header:
            names = ", ".join(sorted(self._header.keys() - {"__metadata__"})) or "none"
            raise InputError(f"{self.path} has no tensor {name!r}; it has {names}")
        entry = self._header[name]
        if entry["dtype"] not in DTYPES:
            raise InputError(f"{self.path}: {name} is of type {entry['dtype']}, expected one of {', '.join(DTYPES)}")
        start = self._start + entry["data_offsets"][0]
        return np.ndarray(tuple(entry["shape"]), DTYPES[entry["dtype"]], self._bytes, start)

    def body_sha256(self) -> str:
        """The SHA-256 of what follows the header, in hexadecimal."""
        digest = hashlib.sha256()
        for first in range(self._start, len(self._bytes), BLOCK_BYTES):
            digest.update(self._bytes[first : first + BLOCK_BYTES])
        return digest.hexdigest()


def read_metadata(path: Path) -> dict[str, str]:
    """A file's metadata without its tensors; {} where it is damaged or missing, so that it is extracted again."""
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}


class TrackFile:
    """A stored track, mapped into memory: ``values`` (time, dim) as stored, ``times_s`` (time), ``observed`` (time).

    ``flags`` are the tensors with one bool a row: ``observed`` and, where faces of missing images were taken from the
    video, ``filled``. Raises InputError where the file is damaged or holds no track.
    """

    def __init__(self, path: Path, command: str = EXTRACT_AGAIN) -> None:
        self.path, self._file = path, TensorFile(path, command)
        self.metadata = self._file.metadata
        self.values, self.times_s = self._file["values"], self._file["times_s"]
        self.flags = {"observed": self._file["observed"]}
        if "filled" in self._file:
            self.flags["filled"] = self._file["filled"]

    @property
    def observed(self) -> np.ndarray:
        return self.flags["observed"]

    @property
    def dim(self) -> int:
        return int(self.values.shape[1])

    def rows(self, first: int, stop: int) -> np.ndarray:
        """The values of the rows from ``first`` to ``stop`` (excluded) in float32."""
        return self.values[first:stop].astype(np.float32)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The first row and the values, as stored, of one block after the other."""
        step = max(1, BLOCK_BYTES // max(1, self.dim * self.values.itemsize))
        for first in range(0, len(self.values), step):
            yield first, self.values[first : first + step]

    def body_sha256(self) -> str:
        """The SHA-256 of what follows the file's header, in hexadecimal."""
        return self._file.body_sha256()


class TrackWriter:
    """Writes one track from its observed rows as they come; nothing is in the store before ``finish``.

    The rows are kept in an unnamed temporary file, which ends with the process.
    """

    def __init__(self, folder: Path, recipe: dict[str, Any], clip_id: str, dim: int) -> None:
        self._folder, self._recipe, self._clip_id, self._dim = folder, recipe, clip_id, dim
        self._dtype = np.dtype(recipe.get("stored_dtype", "float16"))
        self._rows: IO[bytes] = tempfile.TemporaryFile(dir=folder.parent)  # noqa: SIM115  close() does
        self.num_rows = 0

    def __enter__(self) -> "TrackWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Discard the rows."""
        self._rows.close()

    def add(self, rows: np.ndarray) -> None:
        """Add observed rows (n, dim). Raises InputError where a value is not finite or does not fit the stored type."""
        if rows.ndim != 2 or rows.shape[1] != self._dim:
            raise InputError(f"{self._recipe['name']} gave rows of shape {rows.shape}, expected (n, {self._dim})")
        with np.errstate(over="ignore"):
            stored = rows.astype(self._dtype)
        if not np.isfinite(stored).all():
            self._raise_not_finite(rows, stored)
        self._rows.write(stored.tobytes())
        self.num_rows += len(rows)

    def finish(
        self,
        times_s: np.ndarray,
        observed: np.ndarray,
        metadata: Mapping[str, str],
        filled: np.ndarray | None = None,
    ) -> None:
        """Write the track: ``observed`` (time) marks the added rows, ``filled`` (time) those taken from the video.

        Rows that are not observed are stored as zeros. Raises InputError where another number of rows was added, or
        times do not increase.
        """
        if int(observed.sum()) != self.num_rows:
            name, num = self._recipe["name"], int(observed.sum())
            raise InputError(f"clip {self._clip_id!r}: {name} gave {self.num_rows} rows, expected {num}")
        Track(np.zeros((len(times_s), 0), np.float32), times_s, observed)  # checks the times
        self._write_recipe()
        tensors = {
            "values": Tensor(self._dtype, (len(times_s), self._dim), self._blocks(observed)),
            "times_s": Tensor.of(times_s.astype(np.float64)),
            "observed": Tensor.of(observed.astype(bool)),
        }
        if filled is not None:
            tensors["filled"] = Tensor.of(filled.astype(bool))
        write_tensors(self._folder / f"{self._clip_id}.safetensors", tensors, metadata)
        self._write_recipe()  # again: the features may have been removed meanwhile

    def _write_recipe(self) -> None:
        if not (self._folder / "recipe.json").exists():
            write_json(self._folder / "recipe.json", self._recipe)

    def _blocks(self, observed: np.ndarray) -> Iterator[bytes]:
        """The values of all rows in order, in blocks; rows that are not observed are zeros."""
        self._rows.seek(0)
        num = max(1, BLOCK_BYTES // (self._dim * self._dtype.itemsize))
        for first in range(0, len(observed), num):
            mask = observed[first : first + num]
            block = np.zeros((len(mask), self._dim), self._dtype)
            count = int(mask.sum())
            rows = np.frombuffer(self._rows.read(count * self._dim * self._dtype.itemsize), self._dtype)
            block[mask] = rows.reshape(count, self._dim)
            yield block.tobytes()

    def _raise_not_finite(self, rows: np.ndarray, stored: np.ndarray) -> None:
        name = self._recipe["name"]
        row, column = (int(i) for i in np.argwhere(~np.isfinite(stored))[0])
        where = f"(row {self.num_rows + row}, column {column})"
        if not np.isfinite(rows[row, column]):
            raise InputError(
                f"clip {self._clip_id!r}: the encoder {name} gave {rows[row, column]} {where}, expected finite "
                "numbers: with precision=fp16 try bf16 or fp32; otherwise check the encoder's weights and code"
            )
        raise InputError(
            f"clip {self._clip_id!r}: value {rows[row, column]:g} {where} of {name} does not fit {self._dtype.name}: "
            f"extract it with {name}:stored_dtype=float32"
        )
