"""Parquet files and their columns are read in one place, without threads of pyarrow and without pandas."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


def read_parquet(source: Path | bytes, columns: Sequence[str] | None = None) -> "pa.Table":
    """The table in a Parquet file or in the content of one; ``columns``: only these.

    Raises InputError, which names the file if it is given, where it cannot be read.

    pyarrow's own ways to read start threads, also from an open file. One that lets go of a Python object after the
    interpreter has ended aborts the process: "terminate called without an active exception", exit code 134.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        content = source.read_bytes() if isinstance(source, Path) else source
        with parquet.ParquetFile(pa.BufferReader(content)) as file:
            return file.read(columns if columns is None else list(columns), use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        place = f"{source}: " if isinstance(source, Path) else ""
        raise InputError(f"{place}not readable as Parquet ({error})") from error


def to_numpy(column: "pa.ChunkedArray | pa.Array") -> np.ndarray:
    """The values of a column. Empty cells are NaN among numbers; other columns with some are of objects, with None.

    pyarrow's own way imports pandas, which takes long, and drops the exception of a Ctrl-C or SIGTERM that comes
    meanwhile: the command would go on.
    """
    import pyarrow as pa

    kind: Any = column.type
    if pa.types.is_boolean(kind) and not column.null_count:
        return to_numpy(column.cast(pa.uint8())).astype(bool)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if column.null_count or not is_number:
        dtype = kind.to_pandas_dtype() if pa.types.is_floating(kind) else float if is_number else object
        return np.array(column.to_pylist(), dtype)
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.array(np.from_dlpack(whole))  # a copy that can be written to
