"""The table that a live analysis appends to."""

import csv

import pyarrow as pa

from abaw.pipelines.live.rows import RowFile


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
