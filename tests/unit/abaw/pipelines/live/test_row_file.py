"""The table that a live analysis appends to."""

import csv
import resource
import signal

import pyarrow as pa
import pytest

from abaw.pipelines.live.rows import RowFile


@pytest.fixture
def small_disk():
    """No file may have more than 100 bytes: as on a full disk, a part of what is written is taken first."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_full_disk_leaves_whole_rows_and_is_said_with_the_name_of_the_file(name, tmp_path, small_disk):
    rows = RowFile(tmp_path / name)
    row = pa.table({"frame": [1], "expression": ["Happiness"]})
    with pytest.raises(OSError, match=f"File too large: .*{name}'$"):  # noqa: PT012  which row is too much is no matter
        for _ in range(100):
            rows.add(row)
    assert rows.close()
    lines = (tmp_path / name).read_text().splitlines(keepends=True)
    assert lines
    assert all(line.endswith(('"Happiness"\n', '"Happiness"}\n', '"expression"\n')) for line in lines)


def test_a_table_without_rows_leaves_no_files(tmp_path):
    rows = RowFile(tmp_path / "rows.csv")
    rows.explain({})
    assert not rows.close()
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_a_class_is_no_formula_in_the_table(tmp_path):
    rows = RowFile(tmp_path / "rows.csv")
    for time_s in (0.0, 0.04):
        rows.add(pa.table({"time_s": [time_s], "=1+1": [0.5], "expression": ["=cmd()"]}))
    rows.close()
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["time_s", "'=1+1", "expression"],
            ["0", "0.5", "'=cmd()"],
            ["0.04", "0.5", "'=cmd()"],
        ]
