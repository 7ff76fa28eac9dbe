"""A track or clock as a file: written by rows as they come, so that an hour takes no more memory than a minute."""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from abaw.errors import InputError
from abaw.files import atomic_write, write_json
from abaw.tracks import Track

BLOCK_BYTES = 4 << 20


class TrackWriter:
    """The observed rows of one track as they come; ``finish`` makes the track whole, before that nothing is there.

    The rows wait in a file without a name, which is gone with the process.
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
        """Let the rows go."""
        self._rows.close()

    def add(self, rows: np.ndarray) -> None:
        """More observed rows. ValueError where one is not finite, or the number format cannot hold it."""
        if rows.ndim != 2 or rows.shape[1] != self._dim:
            raise InputError(f"{self._recipe['name']} gave rows of shape {rows.shape}, expected (n, {self._dim})")
        with np.errstate(over="ignore"):
            stored = rows.astype(self._dtype)
        if not np.isfinite(stored).all():
            self._refuse(rows, stored)
        self._rows.write(stored.tobytes())
        self.num_rows += len(rows)

    def finish(
        self,
        times_s: np.ndarray,
        observed: np.ndarray,
        metadata: Mapping[str, str],
        filled: np.ndarray | None = None,
    ) -> None:
        """Write the track. ``observed`` marks the rows that were added; ``filled``, those that are of another origin.

        ValueError where as many rows were not added, or times do not increase.
        """
        if int(observed.sum()) != self.num_rows:
            name, num = self._recipe["name"], int(observed.sum())
            raise InputError(f"clip {self._clip_id!r}: {name} gave {self.num_rows} rows, {num} expected")
        Track(np.zeros((len(times_s), 0), np.float32), times_s, observed)  # the times are those of a track
        if not (self._folder / "recipe.json").exists():
            write_json(self._folder / "recipe.json", self._recipe)
        tensors = {
            "values": Tensor(self._dtype, (len(times_s), self._dim), self._blocks(observed)),
            "times_s": tensor(times_s.astype(np.float64)),
            "observed": tensor(observed.astype(bool)),
        }
        if filled is not None:
            tensors["filled"] = tensor(filled.astype(bool))
        write(self._folder / f"{self._clip_id}.safetensors", tensors, metadata)

    def _blocks(self, observed: np.ndarray) -> Iterator[bytes]:
        """The values of all rows in order, a few at a time; those not observed are 0."""
        self._rows.seek(0)
        num = max(1, BLOCK_BYTES // (self._dim * self._dtype.itemsize))
        for first in range(0, len(observed), num):
            seen = observed[first : first + num]
            block = np.zeros((len(seen), self._dim), self._dtype)
            count = int(seen.sum())
            rows = np.frombuffer(self._rows.read(count * self._dim * self._dtype.itemsize), self._dtype)
            block[seen] = rows.reshape(count, self._dim)
            yield block.tobytes()

    def _refuse(self, rows: np.ndarray, stored: np.ndarray) -> None:
        name = self._recipe["name"]
        row, column = (int(i) for i in np.argwhere(~np.isfinite(stored))[0])
        where = f"(row {self.num_rows + row}, column {column})"
        if not np.isfinite(rows[row, column]):
            raise InputError(
                f"clip {self._clip_id!r}: the encoder {name} gave {rows[row, column]} {where}, expected "
                "finite numbers: with precision=fp16 try bf16 or fp32, else its weights or its code are at fault"
            )
        raise InputError(
            f"clip {self._clip_id!r}: value {rows[row, column]:g} {where} of {name} does not fit {self._dtype.name}: "
            f"extract it with {name}:stored_dtype=float32"
        )


@dataclass(frozen=True)
class Tensor:
    """A tensor that may be larger than memory: its bytes come in blocks."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterable[bytes]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def tensor(array: np.ndarray) -> Tensor:
    return Tensor(array.dtype, array.shape, [array.tobytes()])


SAFETENSORS_TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "int32": "I32", "bool": "BOOL"}


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file, whole or absent; its metadata get the SHA-256 of all that follows the header.

    The library's own writer wants all of it in memory, and writes metadata in an order that differs from run to run.
    The format: length of the header, header in JSON padded to 8 bytes, tensors one after the other, widest type first.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted({**metadata, "sha256": "0" * 64}.items()))}
    offset = 0
    for name in order:
        tensor = tensors[name]
        header[name] = {
            "dtype": SAFETENSORS_TYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.num_bytes],
        }
        offset += tensor.num_bytes
    digest = hashlib.sha256()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_packed(header))
        for name in order:
            for block in tensors[name].blocks:
                file.write(block)
                digest.update(block)
        header["__metadata__"]["sha256"] = digest.hexdigest()  # as long as the zeros that held its place
        file.seek(0)
        file.write(_packed(header))


def _packed(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
