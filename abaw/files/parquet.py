"""Parquet files are read in one place, without threads of pyarrow."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
        words = f"not readable as Parquet ({error})"
        raise InputError(f"{source}: {words}: write it again" if isinstance(source, Path) else words) from error
