"""Tracks as safetensors files: written from rows as they come, mapped into memory and verified when they are read."""

import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from abaw.errors import InputError
from abaw.files import write_json
from abaw.tracks import Track
from extract.store.eight_bit.codes import Codes, Columns, quantise, restore, weigh
from extract.store.eight_bit.fitting import Fit, Int8Error, fit
from extract.store.tensor_file import BLOCK_BYTES, EXTRACT_AGAIN, Tensor, TensorFile, write_tensors

# how values are stored -> the type to which they are rounded first; the last is of tracks converted from float16
ROUNDED_TO = {"float16": "float16", "float32": "float32", "int8": "float32", "int8_from_float16": "float16"}
INT8_TENSORS = {"scale": "row", "middle": "row", "column_mean": "column", "column_deviation": "column"}
INT8_ERROR = "int8_error"  # a key of a track's metadata


def check_stored_dtype(given: object, what: str) -> str:
    """How values are stored, as ``what`` gives it. Raises InputError where there is no such way."""
    if given not in ROUNDED_TO:
        raise InputError(f"{what} is {given!r}, expected float16, float32 or int8")
    return str(given)


def num_row_bytes(stored_dtype: str, dim: int) -> int:
    """How many bytes the values of a row take, with the scale and the middle of a row in int8."""
    return dim + 8 if stored_dtype.startswith("int8") else dim * np.dtype(stored_dtype).itemsize


class TrackFile:
    """A stored track, mapped into memory: ``values`` (time, dim) as stored, ``times_s`` (time), ``observed`` (time).

    Of a track in int8, ``values`` are codes; ``rows``, ``take`` and ``blocks`` give what they stand for. ``flags`` are
    the tensors with one bool a row: ``observed`` and, where faces of missing images were taken from the video,
    ``filled``. Raises InputError where the file is damaged or holds no track; with ``check``, also where its
    content is not what was written, shapes do not fit, or times do not increase.
    """

    def __init__(self, path: Path, command: str = EXTRACT_AGAIN, *, check: bool = True) -> None:
        self.path, self._file = path, TensorFile(path, command)
        self.metadata = self._file.metadata
        self.values, self.times_s = self._file["values"], self._file["times_s"]
        self.flags = {"observed": self._file["observed"]}
        if "filled" in self._file:
            self.flags["filled"] = self._file["filled"]
        self._of_int8 = {name: self._file[name] for name in INT8_TENSORS if name in self._file} if self.is_int8 else {}
        if check:
            self._file.check_content()
            for fault in self.wrong_shapes() or self.wrong_times():
                raise self._file.damage(fault)

    def wrong_shapes(self) -> list[str]:
        """What is wrong with the shapes and types of the tensors."""
        if self.values.ndim != 2:
            return [f"values have the shape {self.values.shape}, expected (time, dim)"]
        num_rows = len(self.values)
        expected = {"times_s": (self.times_s, "float64"), **{name: (each, "bool") for name, each in self.flags.items()}}
        return [
            f"{name} has the shape {array.shape} and type {array.dtype}, expected ({num_rows},) and {dtype}, "
            f"because values have {num_rows} rows"
            for name, (array, dtype) in expected.items()
            if array.shape != (num_rows,) or array.dtype != dtype
        ] + self._wrong_int8()

    def _wrong_int8(self) -> list[str]:
        """What is wrong with the scales, middles and columns of 8-bit rows; nothing in a track of another type."""
        if not self.is_int8:
            return []
        found, faults = self._of_int8, []
        expected = ["scale", "middle", *(["column_mean", "column_deviation"] if "column_mean" in found else [])]
        faults += [f"its values are int8, but it has no {name}" for name in expected if name not in found]
        for name, array in found.items():
            num = len(self.values) if INT8_TENSORS[name] == "row" else self.dim
            if array.shape != (num,) or array.dtype != np.float32:
                what = f"{name} has the shape {array.shape} and type {array.dtype}"
                faults.append(f"{what}, expected ({num},) and float32")
            elif not np.isfinite(array).all() or (name in ("scale", "column_deviation") and (array < 0).any()):
                faults.append(f"{name} has values that no row can have")
        if "column_deviation" in found and "column_mean" not in found:
            faults.append("it has the deviation of its columns, but not their mean")
        try:
            self.int8_error()
        except InputError as error:
            faults.append(str(error))
        return faults

    def wrong_times(self) -> list[str]:
        """Whether times are not finite or do not increase strictly."""
        late = np.flatnonzero(~(np.diff(self.times_s) > 0))
        if not late.size and np.isfinite(self.times_s).all():
            return []
        return [f"times do not increase strictly, first at row {int(late[0]) + 1 if late.size else 0}"]

    @property
    def observed(self) -> np.ndarray:
        return self.flags["observed"]

    def table(self, name: str) -> np.ndarray | None:
        """An array that is kept beside the track; None where there is none, as in files of earlier versions."""
        return self._file[name] if name in self._file else None  # noqa: SIM401  it has no get

    @property
    def dim(self) -> int:
        return int(self.values.shape[1])

    @property
    def is_int8(self) -> bool:
        """Whether the values are codes of 8 bits."""
        return bool(self.values.dtype == np.int8)

    @property
    def num_value_bytes(self) -> int:
        """How many bytes the values take, with what 8-bit rows need beside their codes."""
        return int(self.values.nbytes + sum(array.nbytes for array in self._of_int8.values()))

    @cached_property
    def columns(self) -> Columns | None:
        """By which columns were standardised before their rows were quantised; None where they were not."""
        found = self._of_int8
        return Columns(found["column_mean"], found["column_deviation"]) if "column_mean" in found else None

    def int8_error(self) -> Int8Error:
        """What 8-bit rows lost when they were written. Raises InputError where the file does not say so."""
        return Int8Error.from_text(self.metadata.get(INT8_ERROR, ""))

    def rows(self, first: int, stop: int, *, copy: bool = True) -> np.ndarray:
        """The values of the rows from ``first`` to ``stop`` (excluded) in float32.

        Without ``copy``, values stored in float32 are the mapped file's, which cannot be written to.
        """
        return self._values(slice(first, stop), copy=copy)

    def weigh(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        """Weighted sums of rows in int8 (``eight_bit.codes.weigh``); None where they need ``rows``."""
        if not self.is_int8 or not len(rows) or (self.columns is not None and self._has_constant_rows):
            return None
        first, stop = int(rows.min()), int(rows.max()) + 1
        return weigh(self._codes(slice(first, stop)), rows - first, weights, self.columns)

    @cached_property
    def _has_constant_rows(self) -> bool:
        """Whether observed rows in int8 have no scale, which are not standardised."""
        return bool(((self._of_int8["scale"] == 0) & self.observed).any())

    def _codes(self, which: slice | np.ndarray) -> Codes:
        return Codes(self.values[which], self._of_int8["scale"][which], self._of_int8["middle"][which])

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """The values of some rows, by number or as a slice, as stored or, of 8-bit rows, in float32."""
        return self._values(rows) if self.is_int8 else self.values[rows]

    def _values(self, which: slice | np.ndarray, *, copy: bool = True) -> np.ndarray:
        """The values of some rows in float32."""
        if self.is_int8:
            return restore(self._codes(which), self.columns)
        rows = self.values[which]
        if rows.dtype != np.float16:
            return rows.astype(np.float32, copy=copy)
        import torch  # converts half precision 20 times as fast as numpy

        # copied first: mapped memory is read-only, of which torch warns
        return torch.from_numpy(rows.copy()).float().numpy()

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The first row and the values, as stored or of 8-bit rows in float32, of one block after the other."""
        step = max(1, BLOCK_BYTES // max(1, self.dim * self.values.itemsize))
        for first in range(0, len(self.values), step):
            yield first, self.take(slice(first, first + step))

    def body_sha256(self) -> str:
        """The SHA-256 of what follows the file's header, in hexadecimal."""
        return self._file.body_sha256()


class TrackWriter:
    """Writes one track from its observed rows as they come; nothing is in the store before ``finish``.

    The rows are kept in an unnamed temporary file, which ends with the process.
    """

    def __init__(self, folder: Path, recipe: dict[str, Any], clip_id: str, dim: int) -> None:
        self._folder, self._recipe, self._clip_id, self._dim = folder, recipe, clip_id, dim
        stored_dtype = recipe.get("stored_dtype", "float16")
        self._dtype = np.dtype(ROUNDED_TO[stored_dtype])
        self._is_int8 = stored_dtype.startswith("int8")
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
        tables: Mapping[str, np.ndarray] | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Write the track: ``observed`` (time) marks the added rows, ``filled`` (time) those taken from the video.

        ``tables``: other arrays to keep in the file, by name. ``sync``: to the disk.
        Rows that are not observed are stored as zeros. Raises InputError where another number of rows was added, times
        do not increase, or rows lose too much in int8.
        """
        if int(observed.sum()) != self.num_rows:
            name, num = self._recipe["name"], int(observed.sum())
            raise InputError(f"clip {self._clip_id!r}: {name} gave {self.num_rows} rows, expected {num}")
        Track(np.zeros((len(times_s), 0), np.float32), times_s, observed)  # checks the times
        tensors = {
            "times_s": Tensor.of(times_s.astype(np.float64)),
            "observed": Tensor.of(observed.astype(bool)),
        }
        shape = len(times_s), self._dim
        if self._is_int8:
            found = self._fit()
            metadata = {**metadata, INT8_ERROR: found.error.to_text()}
            tensors |= _int8_tensors(found, observed)
            tensors["values"] = Tensor(np.dtype(np.int8), shape, self._blocks(observed, found))
        else:
            tensors["values"] = Tensor(self._dtype, shape, self._blocks(observed))
        self._write_recipe()
        if filled is not None:
            tensors["filled"] = Tensor.of(filled.astype(bool))
        tensors |= {name: Tensor.of(table) for name, table in (tables or {}).items()}
        write_tensors(self._folder / f"{self._clip_id}.safetensors", tensors, metadata, sync=sync)
        self._write_recipe()  # again: the features may have been removed meanwhile

    def _write_recipe(self) -> None:
        if not (self._folder / "recipe.json").exists():
            write_json(self._folder / "recipe.json", self._recipe)

    def _fit(self) -> Fit:
        """How the rows are quantised. Raises InputError where they lose too much."""
        found, name = fit(self._added, self._dim), self._recipe["name"]
        found.check(f"clip {self._clip_id!r}: {name}", f"extract it with {name}:stored_dtype=float16")
        return found

    def _added(self) -> Iterator[np.ndarray]:
        """The added rows in blocks."""
        self._rows.seek(0)
        num_bytes = self._dim * self._dtype.itemsize
        while data := self._rows.read(max(1, BLOCK_BYTES // num_bytes) * num_bytes):
            yield np.frombuffer(data, self._dtype).reshape(-1, self._dim)

    def _blocks(self, observed: np.ndarray, found: Fit | None = None) -> Iterator[bytes]:
        """The values of all rows in order, in blocks, as codes where ``found`` says how; zeros where not observed."""
        self._rows.seek(0)
        num = max(1, BLOCK_BYTES // (self._dim * self._dtype.itemsize))
        for first in range(0, len(observed), num):
            mask = observed[first : first + num]
            count = int(mask.sum())
            rows = np.frombuffer(self._rows.read(count * self._dim * self._dtype.itemsize), self._dtype)
            rows = rows.reshape(count, self._dim)
            if found is not None:
                rows = quantise(rows, found.columns).values
            block = np.zeros((len(mask), self._dim), rows.dtype)
            block[mask] = rows
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


def _int8_tensors(found: Fit, observed: np.ndarray) -> dict[str, Tensor]:
    """What is stored beside the codes; scale and middle are 0 where a row is not observed, which restores zeros."""
    arrays = {}
    for name, of_observed in (("scale", found.scale), ("middle", found.middle)):
        arrays[name] = np.zeros(len(observed), np.float32)
        arrays[name][observed.astype(bool)] = of_observed
    if found.columns is not None:
        arrays |= {"column_mean": found.columns.mean, "column_deviation": found.columns.deviation}
    return {name: Tensor.of(array) for name, array in arrays.items()}
