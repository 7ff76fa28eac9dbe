"""Names of clips and classes that a spreadsheet would compute are text in every CSV file that we write."""

import csv

import numpy as np
from pyarrow import parquet

from abaw.challenge.gaps import GapLimits
from abaw.challenge.own_files import faults_of, write_own
from abaw.corpora.writing import _to_csv
from abaw.dataset.manifests.text_table import read_table
from abaw.evaluation.run_table import RunRow, RunTable
from abaw.pipelines.analysis.presence import Presence
from abaw.pipelines.analysis.tables import PersonTables, write_frames
from abaw.pipelines.embedding.searching import Moment, SimilarReport
from abaw.pipelines.members.suggesting import Suggestion, Suggestions, _write
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS

FORMULA = "=HYPERLINK(A1)"
FRAMES = np.arange(1, 4)


def table_of(task):
    values = np.tile(np.array([[0.9, 0.1]], np.float32), (3, 1))
    return Table(FRAMES, FRAMES / 25, np.ones(3, bool), values, task.columns)


def cells(text):
    return list(csv.reader(text.splitlines()))


def test_an_analysis(tmp_path):
    task = TASKS.build("classes", class_names=[FORMULA, "b"], level="frame")
    made = [PersonTables(None, {"classes": table_of(task)}, Presence(None, np.zeros(3, bool)))]
    write_frames(tmp_path, "1", {"classes": task}, made)
    rows = cells((tmp_path / "1.csv").read_text())
    assert f"'{FORMULA}" in rows[1]
    assert FORMULA not in rows[1]
    columns = parquet.read_table(tmp_path / "1.parquet").to_pydict()
    assert [FORMULA] * 3 in columns.values()  # no spreadsheet reads Parquet


def test_a_file_of_predictions_is_read_back_without_faults(tmp_path):
    task = TASKS.build("classes", class_names=[FORMULA, "b"], level="frame")
    predictions.write_table(tmp_path / "in", "-a+b", table_of(task), task)
    write_own(tmp_path / "in", task, ["-a+b"], None, tmp_path / "out.csv", GapLimits())
    rows = cells((tmp_path / "out.csv").read_text())
    assert rows[1][:3] == ["'-a+b", "1", f"'{FORMULA}"]
    assert list(faults_of(tmp_path / "out.csv", task, ["-a+b"])) == []


def test_runs_and_similar_moments():
    assert cells(RunTable([RunRow(FORMULA, "complete", score=-0.5)]).to_csv())[1][0] == f"'{FORMULA}"
    assert "-0.5" in cells(RunTable([RunRow("a", "complete", score=-0.5)]).to_csv())[1]
    report = SimilarReport("a", 0.0, "f", 1, 1, 0, 0.5, moments=[Moment("@a", 0.5, 2, -0.25)])
    assert cells(report.to_csv())[1] == ["1", "'@a", "0.500000", "2", "-0.250000"]


def test_suggestions_and_manifests_are_read_back_as_they_were(tmp_path):
    path = tmp_path / "new.csv"
    _write(Suggestions(path, ("valence",), (Suggestion("+a", 1, 0.0, "explore", (-0.5,), (0.1,)),), 1, 1))
    assert cells(path.read_text())[1][0] == "'+a"
    assert read_table(path).cells(0)[0] == "+a"
    path.write_text(_to_csv([{"clip": "=a", "path": "-x/y.mp4", "label": "it's"}]))
    assert "'=a" in path.read_text()
    assert sorted(read_table(path).cells(0)) == sorted(["=a", "-x/y.mp4", "it's"])
