"""Reading Parquet: which values, and what must not happen meanwhile."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from abaw.files.parquet import to_numpy

ALONE = """
import sys
from pathlib import Path
from abaw.files.parquet import read_parquet, to_numpy

def num_threads():
    return len(list(Path("/proc/self/task").iterdir()))

import pyarrow.parquet
before = num_threads()
columns = [to_numpy(column) for column in read_parquet(Path(sys.argv[1])).columns]
print(num_threads() - before, "pandas" in sys.modules, *(column.dtype for column in columns))
"""
COLUMNS = {
    "observed": [True, False, True],
    "person": pa.array([0, None, 2], pa.int32()),
    "value": pa.array([0.5, None, 1.5], pa.float32()),
    "frame": pa.array([1, 2, 3], pa.int32()),
    "class": ["a", None, "c"],
    "seen": [True, None, False],
}


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads in /proc")
def test_reading_starts_no_thread_and_imports_no_pandas(tmp_path):
    """pyarrow's threads can abort a process that ends, and its import of pandas drops a Ctrl-C or SIGTERM."""
    parquet.write_table(pa.table(COLUMNS), tmp_path / "x.parquet")
    words = [sys.executable, "-c", ALONE, str(tmp_path / "x.parquet")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False", "bool", "float64", "float32", "int32", "object", "object"]


@pytest.mark.parametrize("name", COLUMNS)
def test_values_are_those_that_pyarrow_has(name):
    column = pa.chunked_array([pa.array(COLUMNS[name])[:2], pa.array(COLUMNS[name])[2:]])
    found, expected = to_numpy(column), column.to_numpy()
    np.testing.assert_array_equal(found, expected)
    assert (found.dtype, len(to_numpy(column[:0]))) == (expected.dtype, 0)
    np.testing.assert_array_equal(to_numpy(column[1:]), expected[1:])
